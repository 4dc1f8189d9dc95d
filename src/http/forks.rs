//! Taking up a run again from one of its moments.

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

/// Under which id a fork or an imported session is started: once, however often the request is repeated.
const START: &str = "fork:start";

/// Fork a session: a new one with the state this one had at a revision, to be driven on from there.
///
/// The fork has the same graph, workflow and group, its own history, which begins with a `created`
/// event that holds the state, and `parentId` and `forkedFromRevision`. What was said up to there is
/// also said in the fork; what was remembered stays the parent's. Deleting the parent takes nothing
/// from the fork. Nodes stay as they were, running ones too, and a signal that had not arrived
/// arrives in both.
///
/// A fork of a run of the built-in engine does nothing by itself: if the run was under way at that
/// revision, the fork is `paused`, and its clocks (delays, time limits) stand still until it is resumed.
/// Nodes can be changed before. With `start: true` it is started or resumed at once.
///
/// With an `Idempotency-Key`, a repetition answers as the first time and creates nothing.
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
        // Making it and starting it go together, whether or not the client waits for both.
        hub.carry_through(async move { make(&app, id, request, key.as_deref()).await }).await
    })
    .await
}

async fn make(app: &App, id: SessionId, request: ForkSession, key: Option<&str>) -> Result<Arc<Session>, ApiError> {
    // The one that does not exist is named; the hub tells the two apart no further.
    app.hub.session(id).await?;
    let fork = app.hub.fork(id, request.revision, key).await;
    let fork = fork.map_err(|error| match error {
        crate::hub::HubError::NotFound => ApiError::not_found("session at that moment"),
        error => error.into(),
    })?;
    if request.start == Some(true) { started(app, fork).await } else { Ok(fork) }
}

/// Starts or resumes a session that was just made; one that runs or has ended stays as it is.
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
