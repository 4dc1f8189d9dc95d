//! Deleting many sessions: by a request, and by rules.

use axum::Json;
use serde_json::Value;

use super::error::ApiError;
use super::extract::{Body, Replacement};
use super::session_query::{SessionQuery, escaped_tag, statuses};
use super::state::Api;
use crate::scoped::BulkDeletion;
use crate::storage::{RetentionAction, RetentionRule as Rule, RetentionState, SessionFilter, StoredRule};
use relive_protocol::{
    DeleteSessions, DeletedSessions, ErrorCode, Names, Problem, Retention, RetentionEffect, RetentionRule,
    SessionSelection,
};
use relive_session::{LabelFields, SessionStatus};
use uuid::Uuid;

/// Rules of a project at most.
const RULES: usize = 100;
/// The longest age of a rule, in days.
const DAYS: f64 = 36_500.0;

/// Delete every session that a filter finds, as `DELETE /sessions/{id}` does each, whatever its status; with `dryRun`,
/// only count them.
///
/// The filter has the names of the list's (`GET /sessions`) and at least one condition. A request deletes up to 10,000
/// sessions in up to 20 s, one after the other, and says with `hasMore` that it should be sent again. A session that
/// does not match any more when its turn comes stays.
#[utoipa::path(post, path = "/sessions/delete", operation_id = "delete_sessions", tag = "sessions",
    request_body = DeleteSessions, responses(
        (status = 200, description = "How many were found and deleted", body = DeletedSessions),
        (status = 400, description = "The filter is invalid, or has no condition", body = Problem),
    ))]
pub async fn delete(api: Api, Body(request): Body<DeleteSessions>) -> Result<Json<DeletedSessions>, ApiError> {
    let filter = filter(&api, request.filter)?;
    let dry_run = request.dry_run.unwrap_or_default();
    let outcome = if dry_run { api.count_matching(&filter).await? } else { api.delete_matching(filter).await? };
    let BulkDeletion { matched, deleted, has_more } = outcome;
    Ok(Json(DeletedSessions { matched, deleted, dry_run, has_more }))
}

fn filter(api: &Api, selection: SessionSelection) -> Result<SessionFilter, ApiError> {
    let only_conditions = SessionSelection {
        roots_only: selection.roots_only.filter(|only| *only),
        // Nearly every session is not stalled.
        stalled: selection.stalled.filter(|only| *only),
        metadata: selection.metadata.clone().filter(|entries| !entries.is_empty()),
        ..selection.clone()
    };
    if only_conditions == SessionSelection::default() {
        return Err(ApiError::bad_request("filter must have at least one condition"));
    }
    let entry = |(key, value): (String, Value)| match value {
        Value::String(text) => Ok((key, text)),
        Value::Number(_) | Value::Bool(_) => Ok((key, value.to_string())),
        _ => Err(ApiError::bad_request("filter.metadata: values are texts, numbers or booleans")),
    };
    let metadata = selection.metadata.unwrap_or_default().into_iter().map(entry).collect::<Result<_, _>>()?;
    let query = SessionQuery {
        group_id: selection.group_id,
        workflow_id: selection.workflow_id,
        status: selection.status.map(|names| joined("status", names, str::to_owned)).transpose()?,
        node_id: selection.node_id.map(|id| id.to_string()),
        node_status: selection.node_status,
        started_after: selection.started_after,
        started_before: selection.started_before,
        ended_after: selection.ended_after,
        ended_before: selection.ended_before,
        updated_after: selection.updated_after,
        text: selection.text,
        name: selection.name,
        tag: selection.tag.map(|names| joined("tag", names, escaped_tag)).transpose()?,
        metadata,
        parent_session_id: selection.parent_session_id,
        roots_only: selection.roots_only,
        stalled: selection.stalled,
        limit: None,
        cursor: None,
    };
    query.filter(api)
}

/// Names as a list's parameter has them.
fn joined(field: &str, names: Names, escaped: impl Fn(&str) -> String) -> Result<String, ApiError> {
    match names {
        Names::One(text) => Ok(text),
        Names::Several(names) if names.is_empty() => {
            Err(ApiError::bad_request(format!("filter.{field} must not be an empty list")))
        }
        Names::Several(names) => Ok(names.iter().map(|name| escaped(name)).collect::<Vec<_>>().join(",")),
    }
}

/// Read the rules by which ended sessions are deleted or archived, and how many each has removed.
#[utoipa::path(get, path = "/retention", operation_id = "get_retention", tag = "sessions",
    responses((status = 200, description = "The rules", body = Retention)))]
pub async fn get_retention(api: Api) -> Result<Json<Retention>, ApiError> {
    Ok(Json(shown(api.retention().await?)))
}

/// Replace the rules by which ended sessions are deleted or archived. They are applied within seconds, and then every minute, by one
/// of the servers; a rule that was there before keeps its count.
#[utoipa::path(put, path = "/retention", operation_id = "replace_retention", tag = "sessions", request_body = Retention,
    responses(
        (status = 200, description = "The rules as they are now", body = Retention),
        (status = 400, description = "A rule is invalid", body = Problem),
    ))]
pub async fn replace_retention(
    api: Api,
    Replacement(request): Replacement<Retention>,
) -> Result<Json<Retention>, ApiError> {
    if request.rules.len() > RULES {
        return Err(ApiError::new(ErrorCode::TooLarge, format!("a project can have {RULES} rules")));
    }
    let at = |(index, rule)| {
        stored(rule, api.services.archive.is_configured())
            .map_err(|error: ApiError| ApiError::new(error.code(), format!("rules[{index}]: {}", error.detail())))
    };
    let rules: Vec<Rule> = request.rules.into_iter().enumerate().map(at).collect::<Result<_, _>>()?;
    Ok(Json(shown(api.replace_retention(&rules).await?)))
}

fn stored(rule: RetentionRule, has_archive: bool) -> Result<Rule, ApiError> {
    let action = match rule.action.unwrap_or_default() {
        RetentionEffect::Delete => RetentionAction::Delete(rule.older_than_days),
        RetentionEffect::Archive if has_archive => RetentionAction::Archive(rule.older_than_days),
        RetentionEffect::Archive => {
            return Err(ApiError::bad_request("action: this server has no archive; set RELIVE_ARCHIVE"));
        }
    };
    let RetentionRule { status, workflow_id, group_id, tag, .. } = rule;
    rule_of(RuleFields { status, workflow_id, group_id, tag, action })
}

/// The conditions of a rule, as they were given.
pub struct RuleFields {
    pub status: Option<Names>,
    pub workflow_id: Option<Uuid>,
    pub group_id: Option<Uuid>,
    pub tag: Option<String>,
    pub action: RetentionAction,
}

/// The rule with these conditions.
pub fn rule_of(rule: RuleFields) -> Result<Rule, ApiError> {
    if !(0.0..=DAYS).contains(&rule.action.days()) {
        return Err(ApiError::bad_request(format!("olderThanDays must lie between 0 and {DAYS}")));
    }
    let given = rule.status.map(|names| joined("status", names, str::to_owned)).transpose()?;
    let mut statuses = given.as_deref().map_or(Ok(Vec::new()), statuses)?;
    if let Some(live) = statuses.iter().find(|status| !status.is_ended()) {
        let problem = format!("'{}': only sessions that have ended are deleted or archived by rules", live.as_str());
        return Err(ApiError::bad_request(problem));
    }
    statuses.sort_unstable_by_key(|status| status.as_str());
    statuses.dedup();
    if let Some(tag) = &rule.tag {
        let labels = LabelFields { tags: Some(vec![tag.clone()]), ..LabelFields::default() };
        labels.check().map_err(crate::hub::HubError::from)?;
    }
    let RuleFields { workflow_id, group_id, tag, action, .. } = rule;
    Ok(Rule { statuses, workflow_id, group_id, tag, action })
}

fn shown(state: RetentionState) -> Retention {
    let rule = |StoredRule { rule, removed, last_removed_at }| RetentionRule {
        status: named(&rule.statuses),
        workflow_id: rule.workflow_id,
        group_id: rule.group_id,
        tag: rule.tag,
        older_than_days: rule.action.days(),
        action: matches!(rule.action, RetentionAction::Archive(_)).then_some(RetentionEffect::Archive),
        removed: Some(removed),
        last_removed_at,
    };
    Retention {
        rules: state.rules.into_iter().map(rule).collect(),
        removed: Some(state.removed),
        applied_at: state.applied_at,
        updated_at: state.updated_at,
    }
}

fn named(statuses: &[SessionStatus]) -> Option<Names> {
    let name = |status: &SessionStatus| status.as_str().to_owned();
    match statuses {
        [] => None,
        [one] => Some(Names::One(name(one))),
        several => Some(Names::Several(several.iter().map(name).collect())),
    }
}
