//! Forking sessions.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::error::ApiError;
use super::extract::{Body, Path, idempotency_key};
use super::idempotency::{Keyed, SESSIONS, once_session};
use super::state::App;
use crate::hub::Submission;
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
    params(("id" = SessionId, Path), ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses(
        (status = 201, description = "The fork", body = WorkflowSession, headers(
            ("Location" = String, description = "Its address"), ("ETag" = String, description = "The revision in quotes"))),
        (status = 404, description = "No such session, or it never reached that revision", body = Problem),
        (status = 422, description = "The key was used for something else", body = Problem),
        (status = 413, description = "The session descends from too many others", body = Problem),
    ))]
pub async fn fork(
    State(app): State<App>,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
    Body(request): Body<ForkSession>,
) -> Result<Response, ApiError> {
    let key = idempotency_key(&headers)?;
    let keyed = Keyed::read(&headers, SESSIONS, &("fork", id, &request))?;
    let hub = app.hub.clone();
    once_session(&app, keyed, async || {
        let (app, key) = (app.clone(), key.map(str::to_owned));
        // Creating and starting belong together, whether or not the client waits for both.
        hub.carry_through(async move { make(&app, id, request, key.as_deref()).await }).await
    })
    .await
}

async fn make(app: &App, id: SessionId, request: ForkSession, key: Option<&str>) -> Result<Arc<Session>, ApiError> {
    // The missing one is named here; the hub does not distinguish the two.
    app.hub.session(id).await?;
    let fork = app.hub.fork(id, request.revision, key).await;
    let fork = fork.map_err(|error| match error {
        crate::hub::HubError::NotFound => ApiError::not_found("session at that moment"),
        error => error.into(),
    })?;
    if request.start == Some(true) { started(app, fork).await } else { Ok(fork) }
}

/// Starts or resumes a session that was just created; one that runs or has ended is unchanged.
pub(super) async fn started(app: &App, session: Arc<Session>) -> Result<Arc<Session>, ApiError> {
    let command = match session.status {
        SessionStatus::Pending => Command::Start,
        SessionStatus::Paused => Command::Resume,
        _ => return Ok(session),
    };
    let start = Submission { command_id: Some(START.into()), ..Submission::new(session.id, vec![command]) };
    let revision = app.hub.execute(start).await?.revision;
    let started = app.storage().session_at(session.id, revision).await?;
    started.map(Arc::new).ok_or_else(|| ApiError::not_found("session"))
}
