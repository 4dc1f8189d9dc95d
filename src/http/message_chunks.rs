//! Chunks of messages that are still being written, over HTTP.

use axum::http::StatusCode;

use super::error::ApiError;
use super::extract::{Body, Path};
use super::state::Api;
use crate::access::Action;
use crate::hub::{Chunk, HubError};
use relive_protocol::{Problem, TokenChunk};
use relive_session::{Refusal, SessionId, limits};

/// Show chunks of messages that are still being written to the viewers of the session.
///
/// Like `token` frames over a socket, in order. They are not stored: the finished message is, by
/// `addMessage` with the same id. A chunk is refused as that would be for its node, its agent or its text, and then
/// none of the array is shown.
#[utoipa::path(post, path = "/sessions/{id}/tokens", operation_id = "show_tokens", tag = "sessions",
    request_body = Vec<TokenChunk>, params(("id" = SessionId, Path)),
    responses(
        (status = 204, description = "Shown"),
        (status = 404, description = "No such session", body = Problem),
        (status = 409, description = "The session has ended", body = Problem),
        (status = 422, description = "A node is not in the session's graph", body = Problem),
    ))]
pub async fn show(
    api: Api,
    Path(id): Path<SessionId>,
    Body(chunks): Body<Vec<TokenChunk>>,
) -> Result<StatusCode, ApiError> {
    if chunks.len() > limits::COMMANDS {
        return Err(HubError::from(Refusal::TooLarge { what: "the number of chunks", limit: limits::COMMANDS }).into());
    }
    let session = api.session_for(id, Action::Chunks).await?;
    let status = session.status;
    if status.is_ended() {
        return Err(HubError::from(Refusal::SessionTransition { command: "tokens", status }).into());
    }
    let chunks: Vec<Chunk> = chunks.into_iter().map(chunk).collect();
    for (index, chunk) in chunks.iter().enumerate() {
        api.check_chunk(id, chunk).await.map_err(|error| in_array(index, error))?;
    }
    for chunk in chunks {
        api.show_chunk(&session, chunk)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn chunk(TokenChunk { node_id, message_id, text, agent_id, is_thinking }: TokenChunk) -> Chunk {
    Chunk { node_id, message_id, text, agent_id, is_thinking }
}

fn in_array(index: usize, error: HubError) -> HubError {
    match error {
        HubError::Refused(refusal) => Refusal::OfArray { index, refusal: Box::new(refusal) }.into(),
        error => error,
    }
}
