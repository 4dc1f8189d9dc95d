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
/// `addMessage` with the same id.
#[utoipa::path(post, path = "/sessions/{id}/tokens", operation_id = "show_tokens", tag = "sessions",
    request_body = Vec<TokenChunk>, params(("id" = SessionId, Path)),
    responses(
        (status = 204, description = "Shown"),
        (status = 404, description = "No such session", body = Problem),
        (status = 409, description = "The session has ended", body = Problem),
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
    for TokenChunk { node_id, message_id, text, agent_id, is_thinking } in chunks {
        api.show_chunk(&session, Chunk { node_id, message_id, text, agent_id, is_thinking })?;
    }
    Ok(StatusCode::NO_CONTENT)
}
