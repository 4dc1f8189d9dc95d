//! AG-UI: runs as a stream of the events that agent front ends know, and their start by `RunAgentInput`.

mod calls;
mod events;
mod input;
mod run;
mod state;

use axum::Extension;
use axum::response::Response;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::error::ApiError;
use super::extract::Path;
use super::foreign::Foreign;
use super::sessions::describe;
use super::sse;
use super::state::Api;
use crate::access::Action;
use crate::engine::Prospects;
use crate::hub::{HubError, Submission};
use crate::scoped::Refused;
use crate::storage::Constraint;
use crate::ws::{ClientIp, Streamed};
use calls::KNOWN_CALLS;
use input::RunAgentInput;
use relive_protocol::{CreateSession, ErrorCode, Mode, Problem, Subscribe};
use relive_session::{Command, Driver, Refusal, Revision, Session, SessionId};
use run::{Run, RunIds};

/// Where the metadata of a session has the ids by which its AG-UI client knows it.
const THREAD_ID: &str = "agUiThreadId";
const RUN_ID: &str = "agUiRunId";

/// A run as AG-UI events (server-sent): from its beginning, and live if it has not ended.
///
/// `threadId` and `runId` are those it was started with by `POST /ag-ui/{workflowId}`, or the session's id. Steps are
/// named by their node. While a node waits for a review and nothing runs or is ready to, the stream ends with
/// `RUN_FINISHED` and the outcome `interrupt`.
#[utoipa::path(get, path = "/sessions/{id}/ag-ui", operation_id = "ag_ui_session", tag = "streams",
    params(("id" = SessionId, Path)),
    responses(
        (status = 200, description = "An event stream", content_type = "text/event-stream", body = String),
        (status = 404, description = "No such session", body = Problem),
        (status = 429, description = "Too many sockets of this caller", body = Problem),
    ))]
pub async fn session(
    api: Api,
    Path(id): Path<SessionId>,
    Extension(client): Extension<ClientIp>,
) -> Result<Response, ApiError> {
    let session = api.session(id).await?;
    let run = Run::whole(ids_of(&session)).with_prospects(prospects(&session).await);
    stream(&api, client, id, None, run).await
}

/// Start a run of a stored workflow by the built-in engine, or answer the interrupts of one (`resume`), and stream it
/// as AG-UI events.
///
/// The inputs of the run are the members of `forwardedProps`, `message` (the newest text of the user) and `messages`.
/// The same `threadId` and `runId` again start nothing: they stream the same run. An answer's `payload` is
/// `{action: approve｜reject｜modify, comment?, data?}`, `{approved}`, or any other JSON, which is the `data` of
/// `modify`.
#[utoipa::path(post, path = "/ag-ui/{workflowId}", operation_id = "ag_ui_run", tag = "streams",
    request_body = RunAgentInput, params(("workflowId" = Uuid, Path),
        ("traceparent" = Option<String>, Header, description = "The trace of the request (W3C Trace Context), which is kept with the session"),
        ("tracestate" = Option<String>, Header, description = "Goes with `traceparent`")),
    responses(
        (status = 200, description = "An event stream", content_type = "text/event-stream", body = String),
        (status = 404, description = "No such workflow, or no such run", body = Problem),
        (status = 409, description = "The node is not waiting, or has been answered already", body = Problem),
        (status = 422, description = "The built-in engine cannot run the workflow", body = Problem),
        (status = 429, description = "Too many sockets of this caller", body = Problem),
    ))]
pub async fn run(
    api: Api,
    Path(workflow_id): Path<Uuid>,
    Extension(client): Extension<ClientIp>,
    Foreign(input): Foreign<RunAgentInput>,
) -> Result<Response, ApiError> {
    let ids = input.ids()?;
    if input.resume.is_empty() {
        let id = start(&api, workflow_id, &ids, &input).await?;
        let prospects = prospects(&*api.session(id).await?).await;
        return stream(&api, client, id, None, Run::whole(ids).with_prospects(prospects)).await;
    }
    let (id, revision) = answer(&api, workflow_id, &ids, &input).await?;
    let of = api.readable(id).await?;
    let session = api.session_at(of, revision).await?.ok_or_else(|| ApiError::not_found("session"))?;
    let calls = api.tool_call_ids(of, revision, KNOWN_CALLS).await?;
    let prospects = prospects(&session).await;
    let run = Run::from(ids, session, &calls).with_prospects(prospects);
    stream(&api, client, id, Some(revision), run).await
}

async fn stream(
    api: &Api,
    client: ClientIp,
    id: SessionId,
    after: Option<Revision>,
    run: Run,
) -> Result<Response, ApiError> {
    let subscribe = Subscribe {
        session_id: id,
        mode: Some(Mode::Events),
        after,
        messages: Some(true),
        logs: None,
        min_interval_ms: None,
    };
    sse::open(api, client, Streamed::Translated(subscribe, Box::new(run))).await
}

/// What tells whether a run of the built-in engine continues; of others that is not known here.
async fn prospects(session: &Session) -> Option<Prospects> {
    let graph = session.origin.graph.clone().filter(|_| session.origin.driver == Driver::Builtin)?;
    if session.status.is_ended() {
        return None;
    }
    tokio::task::spawn_blocking(move || Prospects::of(&graph).ok()).await.ok()?
}

fn ids_of(session: &Session) -> RunIds {
    let named = |key: &str| session.labels.metadata.get(key).and_then(Value::as_str).map(str::to_owned);
    RunIds {
        thread_id: named(THREAD_ID).unwrap_or_else(|| session.id.to_string()),
        run_id: named(RUN_ID).unwrap_or_else(|| session.id.to_string()),
    }
}

/// An id that follows from what a client calls its run, so that a repeated request finds the same session; and from
/// the interrupts that it answers: some clients call all runs of a thread the same.
fn derived(api: &Api, workflow_id: Uuid, ids: &RunIds, asked: &[String]) -> Uuid {
    let mut digest = Sha256::new();
    let workflow_id = workflow_id.to_string();
    let run = [api.project().as_str(), &workflow_id, &ids.thread_id, &ids.run_id];
    for part in run.into_iter().chain(asked.iter().map(String::as_str)) {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.finalize()[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// Starts the run, unless it was started before.
async fn start(api: &Api, workflow_id: Uuid, ids: &RunIds, input: &RunAgentInput) -> Result<SessionId, ApiError> {
    let id = SessionId(derived(api, workflow_id, ids, &[]));
    api.check(Action::CreateFromWorkflow)?;
    let is_known = match api.session(id).await {
        Ok(session) => is_run_of(&session, workflow_id, ids)?,
        Err(Refused::Hub(HubError::NotFound)) => false,
        Err(error) => return Err(error.into()),
    };
    if !is_known {
        let mut metadata = Map::new();
        metadata.insert(THREAD_ID.to_owned(), ids.thread_id.clone().into());
        metadata.insert(RUN_ID.to_owned(), ids.run_id.clone().into());
        let request = CreateSession {
            workflow_id: Some(workflow_id),
            driver: Some(Driver::Builtin),
            inputs: Some(input.inputs()),
            metadata: Some(metadata),
            ..CreateSession::default()
        };
        let described = describe(api, request).await?;
        match api.create(id, described, None, Action::CreateFromWorkflow).await {
            // Another request was faster.
            Ok(_) | Err(Refused::Hub(HubError::Constraint(Constraint::SessionExists))) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Done once, however often it is asked for.
    let command_id = Some("ag-ui:start".into());
    let submission = Submission { command_id, ..api.submission(id, vec![Command::Start])? };
    api.execute(submission).await?;
    Ok(id)
}

fn is_run_of(session: &Session, workflow_id: Uuid, ids: &RunIds) -> Result<bool, ApiError> {
    let known = ids_of(session);
    let is_same = session.origin.workflow_id == Some(workflow_id)
        && (&known.thread_id, &known.run_id) == (&ids.thread_id, &ids.run_id);
    if is_same { Ok(true) } else { Err(ApiError::new(ErrorCode::Conflict, "another session has the id of this run")) }
}

/// Answers the interrupts; returns the session, and the revision up to which the client has been shown it.
async fn answer(
    api: &Api,
    workflow_id: Uuid,
    ids: &RunIds,
    input: &RunAgentInput,
) -> Result<(SessionId, Revision), ApiError> {
    let answers = input.answers()?;
    let Some((first, _)) = answers.first() else { return Err(ApiError::bad_request("resume is empty")) };
    let id = first.session_id;
    let session = api.session(id).await?;
    if session.origin.workflow_id != Some(workflow_id) {
        return Err(ApiError::not_found("run of this workflow"));
    }
    for (asked, _) in &answers {
        let attempt = session.nodes.get(&asked.node_id).map(|node| node.snapshot.attempt.unwrap_or(1));
        if attempt != Some(asked.attempt) {
            return Err(is_over());
        }
    }
    let shown = answers.iter().map(|(asked, _)| asked.revision).min();
    let mut asked: Vec<String> = answers.iter().map(|(asked, _)| asked.question()).collect();
    asked.sort_unstable();
    let commands = answers.into_iter().map(|(_, command)| command).collect();
    let command_id = Some(format!("ag-ui:{}", derived(api, workflow_id, ids, &asked)).into());
    let submission = Submission { command_id, ..api.submission(id, commands)? };
    let receipt = api.execute(submission).await.map_err(not_waiting)?;
    // What has happened between the question and the answer is still to be shown.
    Ok((id, shown.filter(|shown| (1..=receipt.revision).contains(shown)).unwrap_or(receipt.revision)))
}

fn is_over() -> ApiError {
    ApiError::new(ErrorCode::NotWaiting, "this interrupt is over")
}

/// The refusal of an answer to an interrupt that was answered otherwise: the run has ended since, or has yet to take the
/// other answer. It cannot be foreseen from the state, as a repeated request is not refused.
fn not_waiting(error: HubError) -> ApiError {
    match error {
        HubError::Refused(Refusal::SessionTransition { .. } | Refusal::SignalPending { .. }) => is_over(),
        other => other.into(),
    }
}
