//! Changing sessions. An answer means that the change is durable.

use std::time::Duration;

use axum::Json;
use axum::http::HeaderMap;

use super::conditions::{Expected, if_match};
use super::error::ApiError;
use super::extract::{Body, Path, TextBody, body_too_large, idempotency_key};
use super::state::Api;
use crate::hub::{HubError, Receipt, Submission};
use relive_protocol::{
    CommandReceipt, Commands, ControlRequest, LeasedCommands, NodeUpdate, Problem, ReviewRequest, SignalRequest,
};
use relive_session::{Command, NodeId, Refusal, SessionId};

/// How long a request waits for its commit. Beyond it the answer is `unavailable` and the outcome
/// unknown; a retry with the same `Idempotency-Key` returns it.
const COMMIT: Duration = Duration::from_secs(30);

/// Carries out commands and renews the lease of their sender, if it asks for that.
pub(super) async fn execute(
    api: &Api,
    headers: &HeaderMap,
    session_id: SessionId,
    commands: Commands,
    lease_seconds: Option<u32>,
) -> Result<Json<CommandReceipt>, ApiError> {
    let (commands, is_array) = match commands {
        Commands::One(command) => (vec![*command], false),
        Commands::Several(commands) => (commands, true),
    };
    let expected = if_match(headers)?;
    let command_id = idempotency_key(headers)?.map(Into::into);
    let submission = api.leased(api.submission(session_id, commands)?, lease_seconds)?;
    let submission = Submission { is_array, command_id, ..submission };
    let outcome = tokio::time::timeout(COMMIT, submit(api, submission, &expected)).await;
    let receipt = outcome.unwrap_or(Err(HubError::Unavailable)).map_err(|error| expected.explained(error))?;
    Ok(Json(CommandReceipt { revision: receipt.revision, duplicate: receipt.duplicate.then_some(true) }))
}

fn one(command: Command) -> Commands {
    Commands::One(Box::new(command))
}

/// Submits on whichever of the expected revisions the session is at. The hub compares with one only, and
/// returns the actual one; a revision never decreases, so each is tried once.
async fn submit(api: &Api, mut submission: Submission, expected: &Expected) -> Result<Receipt, HubError> {
    submission.expected_revision = expected.nearest(0);
    if !expected.is_choice() {
        return api.execute(submission).await;
    }
    loop {
        let tried = submission.expected_revision;
        match api.execute(submission.clone()).await {
            Err(HubError::Refused(Refusal::RevisionConflict { actual, .. }))
                if expected.allows(actual) && tried != Some(actual) =>
            {
                submission.expected_revision = Some(actual);
            }
            outcome => return outcome,
        }
    }
}

/// Carry out one command, or several atomically.
///
/// A body may have 1 MiB; with only `addMessage` and `addMemory` 4 MiB, so that a text of 1 MiB fits
/// in any encoding.
#[utoipa::path(post, path = "/sessions/{id}/commands", tag = "commands", request_body = Commands,
    params(
        ("id" = SessionId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless"),
        ("If-Match" = Option<String>, Header, description = "Refuse unless the session is at this revision"),
    ),
    responses(
        (status = 200, description = "Carried out", body = CommandReceipt),
        (status = 404, description = "No such session", body = Problem),
        (status = 409, description = "Not allowed in this state", body = Problem),
        (status = 412, description = "The session is at another revision", body = Problem),
        (status = 413, description = "The body, or a text in it, is too large", body = Problem),
        (status = 422, description = "No such node", body = Problem),
        (status = 503, description = "The database is away", body = Problem),
    ))]
pub async fn commands(
    api: Api,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
    TextBody { value: LeasedCommands { commands: request, lease_seconds }, is_large }: TextBody<LeasedCommands>,
) -> Result<Json<CommandReceipt>, ApiError> {
    let is_text = |command: &Command| {
        matches!(command, Command::AddMessage { .. } | Command::AddLog { .. } | Command::AddMemory { .. })
    };
    let is_all_text = match &request {
        Commands::One(command) => is_text(command),
        Commands::Several(commands) => commands.iter().all(is_text),
    };
    if is_large && !is_all_text {
        return Err(body_too_large());
    }
    execute(&api, &headers, id, request, lease_seconds).await
}

/// Start, pause, resume, complete, stop or cancel.
#[utoipa::path(post, path = "/sessions/{id}/control", tag = "commands", request_body = ControlRequest,
    params(("id" = SessionId, Path)),
    responses(
        (status = 200, description = "Done", body = CommandReceipt),
        (status = 404, description = "No such session", body = Problem),
        (status = 409, description = "Not allowed in this state", body = Problem),
        (status = 422, description = "The built-in engine cannot run the graph", body = Problem),
    ))]
pub async fn control(
    api: Api,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
    Body(request): Body<ControlRequest>,
) -> Result<Json<CommandReceipt>, ApiError> {
    let lease_seconds = request.lease_seconds;
    execute(&api, &headers, id, one(request.into()), lease_seconds).await
}

/// Report a node's status.
#[utoipa::path(put, path = "/sessions/{id}/nodes/{nodeId}", tag = "commands", request_body = NodeUpdate,
    params(("id" = SessionId, Path), ("nodeId" = String, Path)),
    responses(
        (status = 200, description = "Recorded", body = CommandReceipt),
        (status = 404, description = "No such session", body = Problem),
        (status = 409, description = "Not allowed in this state", body = Problem),
        (status = 422, description = "No such node", body = Problem),
    ))]
pub async fn update_node(
    api: Api,
    Path((id, node_id)): Path<(SessionId, NodeId)>,
    headers: HeaderMap,
    Body(update): Body<NodeUpdate>,
) -> Result<Json<CommandReceipt>, ApiError> {
    let lease_seconds = update.lease_seconds;
    execute(&api, &headers, id, one(update.into_command(node_id)), lease_seconds).await
}

/// Send a payload to a running or suspended node.
#[utoipa::path(post, path = "/sessions/{id}/signal", tag = "commands", request_body = SignalRequest,
    params(("id" = SessionId, Path)),
    responses(
        (status = 200, description = "Recorded", body = CommandReceipt),
        (status = 404, description = "No such session", body = Problem),
        (status = 409, description = "The node is not waiting, or has a signal already", body = Problem),
        (status = 422, description = "No such node", body = Problem),
    ))]
pub async fn signal(
    api: Api,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
    Body(SignalRequest { node_id, payload, interrupt_id, lease_seconds }): Body<SignalRequest>,
) -> Result<Json<CommandReceipt>, ApiError> {
    let command = Command::Signal { node_id, payload, interrupt_id };
    execute(&api, &headers, id, one(command), lease_seconds).await
}

/// Decide a review: a signal with payload `{review: {…}}`.
#[utoipa::path(post, path = "/sessions/{id}/review", tag = "commands", request_body = ReviewRequest,
    params(("id" = SessionId, Path)),
    responses(
        (status = 200, description = "Recorded", body = CommandReceipt),
        (status = 404, description = "No such session", body = Problem),
        (status = 409, description = "The node is not waiting, or has been reviewed already", body = Problem),
        (status = 422, description = "No such node", body = Problem),
    ))]
pub async fn review(
    api: Api,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
    Body(request): Body<ReviewRequest>,
) -> Result<Json<CommandReceipt>, ApiError> {
    let lease_seconds = request.lease_seconds;
    execute(&api, &headers, id, one(request.into()), lease_seconds).await
}
