//! Looking back at a run: what changed between two moments, and when each node did what.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::error::ApiError;
use super::extract::{Path, Query};
use super::session_query::limit;
use super::state::App;
use crate::storage::{PageBounds, Storage, StorageError};
use relive_protocol::Problem;
use relive_session::{Revision, Session, SessionId, Timeline, TimelineBuilder, nearest_patch};

/// Intervals in an answer at most.
const INTERVALS: u32 = 100_000;
/// What is read at once for a timeline.
const PAGE: PageBounds = PageBounds { rows: 1_000, bytes: 1024 * 1024 };

/// Which two revisions to compare.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    /// The patch applies to the state at this revision,
    from: Revision,
    /// and leads to the state at this one; the newest if not given. It may be the earlier one.
    to: Option<Revision>,
}

/// What changed between two revisions: a merge patch (RFC 7396) from one state to the other.
///
/// A merge patch cannot say that a member becomes `null`. Where a value in the context data holds
/// such a member, the patch leaves it out, and `X-Patch-Exact` is `false`: the state itself is at
/// `GET /sessions/{id}?revision=`.
#[utoipa::path(get, path = "/sessions/{id}/diff", tag = "sessions", params(("id" = SessionId, Path), DiffQuery), responses(
    (status = 200, description = "The patch; an empty object when nothing differs", content_type = "application/merge-patch+json",
     body = Object, headers(("X-Patch-Exact" = bool, description = "Whether the patch leads to exactly that state"))),
    (status = 404, description = "No such session, or it never reached a revision", body = Problem),
))]
pub async fn diff(
    State(app): State<App>,
    Path(id): Path<SessionId>,
    Query(query): Query<DiffQuery>,
) -> Result<Response, ApiError> {
    let from = state_at(&app, id, query.from).await?;
    let to = match query.to {
        Some(revision) => state_at(&app, id, revision).await?,
        None => Session::clone(&*app.hub.session(id).await?),
    };
    let (patch, is_exact) = nearest_patch(&from, &to);
    let headers = [(CONTENT_TYPE.as_str(), "application/merge-patch+json"), ("x-patch-exact", as_text(is_exact))];
    Ok((headers, Json(patch).into_response().into_body()).into_response())
}

fn as_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

async fn state_at(app: &App, id: SessionId, revision: Revision) -> Result<Session, ApiError> {
    let state = app.storage().session_at(id, revision).await?;
    state.ok_or_else(|| ApiError::not_found("session at that moment"))
}

/// Which part of a run to show over time.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TimelineQuery {
    /// Up to this revision; the newest if not given.
    to: Option<Revision>,
    /// `revision` of the page before.
    after: Option<Revision>,
    /// Intervals at most: 1 to 100000, which is also what is meant if it is not given. A page ends
    /// with the revision that reaches it.
    limit: Option<u32>,
}

/// A run over time: when the session and each of its nodes stood in which status, and on which
/// attempt.
#[utoipa::path(get, path = "/sessions/{id}/timeline", tag = "sessions", params(("id" = SessionId, Path), TimelineQuery), responses(
    (status = 200, description = "The intervals; `truncated` when there are more", body = Timeline),
    (status = 404, description = "No such session, or it never reached that revision", body = Problem),
))]
pub async fn timeline(
    State(app): State<App>,
    Path(id): Path<SessionId>,
    Query(query): Query<TimelineQuery>,
) -> Result<Json<Timeline>, ApiError> {
    let limit = limit(query.limit, INTERVALS, INTERVALS)? as usize;
    let head = app.hub.session(id).await?.revision;
    let to = query.to.unwrap_or(head);
    let after = query.after.unwrap_or(0);
    if !(1..=head).contains(&to) || after > to {
        return Err(ApiError::not_found("session at that moment"));
    }
    let mut builder = timeline_after(app.storage(), id, after).await?;
    while builder.state().revision < to && builder.begun() < limit {
        let reached = builder.state().revision;
        let page = app.storage().journal(id).after(reached).up_to(to).recorded_page(PAGE).await?;
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

/// A timeline that goes on after a revision: from the state there, so that a page costs what it holds.
/// Only where the state does not know since when its nodes have stood as they do, as in keyframes of
/// earlier versions, from the first event.
async fn timeline_after(storage: &Storage, id: SessionId, after: Revision) -> Result<TimelineBuilder, ApiError> {
    if after > 0
        && let Some(state) = storage.session_at(id, after).await?
        && let Some(builder) = TimelineBuilder::resume(state)
    {
        return Ok(builder);
    }
    let first = storage.journal(id).recorded(1).await?;
    let first = first.first().ok_or_else(|| ApiError::not_found("session"))?;
    Ok(TimelineBuilder::new(first, after).map_err(StorageError::from)?)
}
