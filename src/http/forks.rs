//! Forking sessions.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;

use super::error::ApiError;
use super::extract::{Body, Path, idempotency_key};
use super::idempotency::{Keyed, SESSIONS, once_session};
use super::state::Api;
use crate::hub::{HubError, Submission};
use crate::scoped::Refused;
use relive_protocol::{ForkSession, Problem};
use relive_session::{Command, Session, SessionId, SessionStatus, WorkflowSession};

/// The command id of starting a fork or an imported session: once, however often the request is repeated.
const START: &str = "fork:start";

/// Fork a session: create one with the state that this one had at a revision, and continue from there.
///
/// The fork has the same graph, workflow and group, its own history, which begins with a `created`
/// event that holds the state, and `parentId` and `forkedFromRevision`. Messages up to that revision are
/// also messages of the fork; memories stay the parent's. Deleting the parent does not affect the fork. Nodes
/// keep their status, even if running; a signal that was not delivered yet is delivered in both.
///
/// A fork of a run of the built-in engine is held: if the run was under way at that revision, the fork is
/// `paused`, and its clocks (delays, time limits) stand still until it is resumed. Nodes can be changed
/// before. With `start: true` it is started or resumed at once.
///
/// With an `Idempotency-Key`, a repetition returns the first answer and creates nothing.
#[utoipa::path(post, path = "/sessions/{id}/fork", operation_id = "fork_session", tag = "sessions", request_body = ForkSession,
    params(("id" = SessionId, Path), ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless"),
        ("traceparent" = Option<String>, Header, description = "The trace of the request (W3C Trace Context), which is kept with the session"),
        ("tracestate" = Option<String>, Header, description = "Goes with `traceparent`")),
    responses(
        (status = 201, description = "The fork", body = WorkflowSession, headers(
            ("Location" = String, description = "Its address"), ("ETag" = String, description = "The revision in quotes"))),
        (status = 404, description = "No such session, or it never reached that revision", body = Problem),
        (status = 422, description = "The key was used for something else", body = Problem),
        (status = 413, description = "The session descends from too many others", body = Problem),
    ))]
pub async fn fork(
    api: Api,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
    Body(request): Body<ForkSession>,
) -> Result<Response, ApiError> {
    let key = idempotency_key(&headers)?;
    let keyed = Keyed::read(&headers, SESSIONS, &("fork", id, &request))?;
    once_session(&api, keyed, async || {
        let (owned, key) = (api.clone(), key.map(str::to_owned));
        // Creating and starting belong together, whether or not the client waits for both.
        let making = Box::pin(async move { make(&owned, id, request, key.as_deref()).await });
        api.run_to_completion(making).await
    })
    .await
}

async fn make(api: &Api, id: SessionId, request: ForkSession, key: Option<&str>) -> Result<Arc<Session>, ApiError> {
    // The missing one is named here; the hub does not distinguish the two.
    api.session(id).await?;
    let fork = api.fork(id, request.revision, key).await;
    let fork = fork.map_err(|error| match error {
        Refused::Hub(HubError::NotFound) => ApiError::not_found("session at that moment"),
        error => error.into(),
    })?;
    if request.start == Some(true) { started(api, fork).await } else { Ok(fork) }
}

/// Starts or resumes a session that was just created; one that runs or has ended is unchanged.
pub(super) async fn started(api: &Api, session: Arc<Session>) -> Result<Arc<Session>, ApiError> {
    let command = match session.status {
        SessionStatus::Pending => Command::Start,
        SessionStatus::Paused => Command::Resume,
        _ => return Ok(session),
    };
    let start = Submission { command_id: Some(START.into()), ..api.follow_up(session.id, vec![command])? };
    let revision = api.execute(start).await?.revision;
    let started = api.session_at(api.readable(session.id).await?, revision).await?;
    started.map(Arc::new).ok_or_else(|| ApiError::not_found("session"))
}
