//! Earlier states of a run: the changes between two revisions, or between two runs, and the statuses of nodes over time.

use axum::Json;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::comparison::{Side, compare};
use super::error::ApiError;
use super::extract::{Path, Query};
use super::session_query::limit;
use super::state::Api;
use crate::scoped::Readable;
use crate::storage::{PageBounds, StorageError};
use relive_protocol::{Problem, RunComparison};
use relive_session::{Revision, Session, SessionId, Timeline, TimelineBuilder, nearest_patch};

/// Intervals in an answer at most.
const INTERVALS: u32 = 100_000;
/// What is read at once for a timeline.
const PAGE: PageBounds = PageBounds { rows: 1_000, bytes: 1024 * 1024 };

/// The two states to compare.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    /// Another session, to compare this one with.
    #[param(value_type = Option<uuid::Uuid>)]
    with: Option<SessionId>,
    /// The patch applies to the state at this revision. It may only be left out together with `with`: the newest then.
    from: Option<Revision>,
    /// And leads to the state at this one, by default the newest. It may be the earlier one. With `with`, it is a
    /// revision of that session.
    to: Option<Revision>,
}

/// The changes between two revisions: a merge patch (RFC 7396) from one state to the other. With `with`, two sessions
/// beside each other instead.
///
/// A merge patch cannot express that a member becomes `null`. If a value in the context data has such a
/// member, the patch leaves it out, and `X-Patch-Exact` is `false`: the state itself is at
/// `GET /sessions/{id}?revision=`.
///
/// The comparison of two sessions matches the nodes by their ids, and has for each the status, the duration, the
/// attempts, the tokens and the cost in both, and whether the outputs are equal.
#[utoipa::path(get, path = "/sessions/{id}/diff", tag = "sessions", params(("id" = SessionId, Path), DiffQuery), responses(
    (status = 200, description = "The patch, an empty object when nothing differs; or the comparison", content(
        (Object = "application/merge-patch+json"), (RunComparison = "application/json")),
     headers(("X-Patch-Exact" = bool, description = "Whether the patch leads to exactly that state"))),
    (status = 404, description = "No such session, or it never reached a revision", body = Problem),
))]
pub async fn diff(api: Api, Path(id): Path<SessionId>, Query(query): Query<DiffQuery>) -> Result<Response, ApiError> {
    if let Some(with) = query.with {
        let (from, to) = (side(&api, id, query.from).await?, side(&api, with, query.to).await?);
        return Ok(Json(compare(&api, &from, &to).await?).into_response());
    }
    let from = query.from.ok_or_else(|| ApiError::bad_request("missing field `from`"))?;
    let from = state_at(&api, id, from).await?;
    let to = match query.to {
        Some(revision) => state_at(&api, id, revision).await?,
        None => Session::clone(&*api.session(id).await?),
    };
    let (patch, is_exact) = nearest_patch(&from, &to);
    let headers = [(CONTENT_TYPE.as_str(), "application/merge-patch+json"), ("x-patch-exact", as_text(is_exact))];
    Ok((headers, Json(patch).into_response().into_body()).into_response())
}

async fn side(api: &Api, id: SessionId, revision: Option<Revision>) -> Result<Side, ApiError> {
    let state = match revision {
        Some(revision) => state_at(api, id, revision).await?,
        None => Session::clone(&*api.session(id).await?),
    };
    Ok(Side { of: api.readable(id).await?, state })
}

fn as_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

async fn state_at(api: &Api, id: SessionId, revision: Revision) -> Result<Session, ApiError> {
    let state = api.session_at(api.readable(id).await?, revision).await?;
    state.ok_or_else(|| ApiError::not_found("session at that moment"))
}

/// The part of a run to show.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TimelineQuery {
    /// Up to this revision, by default the newest.
    to: Option<Revision>,
    /// `revision` of the page before.
    after: Option<Revision>,
    /// Intervals at most: 1 to 100000, by default 100000. A page ends with the revision at which it reaches
    /// this number.
    limit: Option<u32>,
}

/// A run over time: the periods in which the session and each of its nodes had a status, and for nodes an
/// attempt.
#[utoipa::path(get, path = "/sessions/{id}/timeline", tag = "sessions", params(("id" = SessionId, Path), TimelineQuery), responses(
    (status = 200, description = "The intervals; `truncated` when there are more", body = Timeline),
    (status = 404, description = "No such session, or it never reached that revision", body = Problem),
))]
pub async fn timeline(
    api: Api,
    Path(id): Path<SessionId>,
    Query(query): Query<TimelineQuery>,
) -> Result<Json<Timeline>, ApiError> {
    let limit = limit(query.limit, INTERVALS, INTERVALS)? as usize;
    let (head, of) = (api.session(id).await?.revision, api.readable(id).await?);
    let to = query.to.unwrap_or(head);
    let after = query.after.unwrap_or(0);
    if !(1..=head).contains(&to) || after > to {
        return Err(ApiError::not_found("session at that moment"));
    }
    let mut builder = timeline_after(&api, of, after).await?;
    while builder.state().revision < to && builder.begun() < limit {
        let reached = builder.state().revision;
        let page = api.journal(of).after(reached).up_to(to).recorded_page(PAGE).await?;
        if page.is_empty() {
            return Err(ApiError::not_found("session"));
        }
        for recorded in page {
            builder.apply(&recorded).map_err(StorageError::from)?;
            if builder.begun() >= limit {
                break;
            }
        }
    }
    let truncated = builder.state().revision < to;
    Ok(Json(builder.finish(truncated)))
}

/// A timeline after a revision: from the state there, so that the cost of a page depends on its size.
/// Only if the state does not know since when its nodes have had their status, as in keyframes of earlier
/// versions, the history is read from the first event.
async fn timeline_after(api: &Api, of: Readable, after: Revision) -> Result<TimelineBuilder, ApiError> {
    if after > 0
        && let Some(state) = api.session_at(of, after).await?
        && let Some(builder) = TimelineBuilder::resume(state)
    {
        return Ok(builder);
    }
    let first = api.journal(of).recorded(1).await?;
    let first = first.first().ok_or_else(|| ApiError::not_found("session"))?;
    Ok(TimelineBuilder::new(first, after).map_err(StorageError::from)?)
}
