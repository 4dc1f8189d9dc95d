//! The audit log.

use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::http::error::ApiError;
use crate::http::extract::Query;
use crate::http::session_query::limit;
use crate::http::state::Api;
use crate::storage::AuditFilter;
use relive_protocol::{AuditEntry, AuditPage, Problem};
use relive_session::ProjectId;

/// Entries on a page by default, and at most.
const LIMIT: (u32, u32) = (100, 1_000);

/// Which entries to read.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// `nextAfter` of the page before. An entry that is not kept any more is refused: begin without it then.
    after: Option<Uuid>,
    /// Entries at most: 1 to 1000, by default 100.
    limit: Option<u32>,
    /// The id of an actor.
    actor: Option<String>,
    /// The `operationId` of what was done.
    action: Option<String>,
    /// `asc`, in the order of recording, is the default; `desc`, the newest first.
    #[param(inline)]
    order: Option<crate::http::messages::Order>,
    /// The project whose log is read, by default the caller's; another one, also one that was deleted, for root.
    #[param(value_type = Option<String>)]
    project: Option<ProjectId>,
}

/// Who did what to what, refusals included. The log is append-only, and bounded by age and by number.
///
/// What engines do in their runs is not in it: each event of a run says whose command led to it.
#[utoipa::path(get, path = "/audit", operation_id = "read_audit", tag = "access", params(AuditQuery),
    responses(
        (status = 200, description = "A page", body = AuditPage),
        (status = 400, description = "`after` is no entry of the project", body = Problem),
        (status = 404, description = "There is and was no such project", body = Problem),
    ))]
pub async fn read(api: Api, Query(query): Query<AuditQuery>) -> Result<Json<AuditPage>, ApiError> {
    let limit = limit(query.limit, LIMIT.0, LIMIT.1)?;
    let has_nul = |text: &Option<String>| text.as_deref().is_some_and(|text| text.contains('\0'));
    if has_nul(&query.actor) || has_nul(&query.action) {
        return Err(ApiError::bad_request("actors and actions do not contain the character NUL"));
    }
    let newest_first = query.order == Some(crate::http::messages::Order::Desc);
    let AuditQuery { after, actor, action, project, .. } = query;
    let project = project.unwrap_or_else(|| api.project().clone());
    if !api.has_audit_log(&project).await? {
        return Err(ApiError::not_found("project"));
    }
    let filter = AuditFilter { after, actor, action, newest_first, with_unknown: false };
    let found = api.services.access.audit_entries(&project, filter, limit + 1).await?;
    let mut found =
        found.ok_or_else(|| ApiError::bad_request("after: there is no such entry, or it is not kept any more"))?;
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let entries: Vec<AuditEntry> = found.into_iter().map(shown).collect();
    let next_after = entries.last().filter(|_| has_more).map(|last| last.id);
    Ok(Json(AuditPage { entries, next_after }))
}

fn shown(entry: crate::access::AuditEntry) -> AuditEntry {
    let crate::access::AuditEntry { id, at, project, actor, action, resource, ip, request_id, outcome, repeated } =
        entry;
    let outcome = outcome.as_str().to_owned();
    AuditEntry { id, at, project, actor, action, resource, ip, request_id, outcome, repeated }
}
