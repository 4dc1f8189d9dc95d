//! Language models, through any OpenAI-compatible endpoint.
//!
//! ```text
//! Models::chat ─▶ breaker open? ─▶ request ─▶ 429, 5xx, unreachable: again, later
//!                                     │
//!                                     └─▶ frames ─▶ events ─▶ text, thinking, tool calls ─▶ ModelReply
//! ```
//!
//! A request is retried only while nothing of an answer has arrived: parts of a stream that stalls or breaks
//! have already been shown.

mod breaker;
mod calls;
mod endpoint;
mod error;
mod fault;
mod frames;
mod json;
mod parts;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::endpoint::Secrets;
use relive_session::TraceContext;

pub(crate) use stream::{BodyEnd, ChatStream};

pub use endpoint::{Endpoint, EndpointOptions, TRIES};
pub use error::{ChatError, EndpointError};

/// A request to a model.
#[derive(Clone, Debug, Default)]
pub struct Chat {
    /// The endpoint's default model when there is none.
    pub model: Option<String>,
    pub system: Option<String>,
    pub user: String,
    pub temperature: Option<f64>,
    pub max_tokens: Option<u32>,
    /// Asks for an answer that is a JSON object.
    pub json: bool,
    /// Passed on as they are, such as `tools`, `top_p` or `reasoning_effort`.
    pub others: Map<String, Value>,
    /// The trace that the request belongs to; it travels in the headers.
    pub trace: Option<TraceContext>,
}

/// A piece of an answer, as it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Text(&'a str),
    /// The reasoning of a model.
    Thinking(&'a str),
    /// Nothing of an answer has arrived; the request is retried after the pause.
    Again {
        why: &'a ChatError,
        tries: u32,
        pause: Duration,
    },
}

/// A tool call of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    /// JSON as the model wrote it, which may be invalid.
    pub arguments: String,
}

/// The end of a complete answer, whose text has been passed on piece by piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelReply {
    /// As the endpoint names it, or else as requested.
    pub model: String,
    /// `None` when the endpoint did not say.
    pub usage: Option<ModelUsage>,
    /// `stop`, `length`, `content_filter`, `tool_calls` …; `None` when the endpoint did not say.
    pub finish_reason: Option<String>,
    pub tool_calls: Vec<ToolCall>,
    /// The model's text if it refuses to answer.
    pub refusal: Option<String>,
}

/// Tokens of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelUsage {
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// The configured endpoint, if there is one. A cheap handle.
#[derive(Clone, Debug, Default)]
pub struct Models {
    endpoint: Option<Arc<Endpoint>>,
}

impl Models {
    #[must_use]
    pub fn new(endpoint: Option<Endpoint>) -> Self {
        Self { endpoint: endpoint.map(Arc::new) }
    }

    /// Whether a model can be asked.
    #[must_use]
    pub fn are_there(&self) -> bool {
        self.endpoint.is_some()
    }

    /// The request as it would be sent, without its key; `null` without an endpoint.
    #[must_use]
    pub fn request(&self, chat: &Chat) -> Value {
        self.endpoint.as_ref().map_or(Value::Null, |endpoint| endpoint.body(chat))
    }

    /// The secrets that must be redacted in texts from outside.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        self.endpoint.as_ref().map(|endpoint| endpoint.secrets().clone()).unwrap_or_default()
    }

    /// Asks a model and passes its answer on piece by piece. Cancel-safe.
    ///
    /// # Errors
    ///
    /// Why there is no complete answer.
    pub async fn chat(&self, chat: &Chat, sink: &mut (dyn FnMut(Piece<'_>) + Send)) -> Result<ModelReply, ChatError> {
        let endpoint = self.endpoint.as_ref().ok_or(ChatError::NoEndpoint)?;
        endpoint.chat(chat, sink).await
    }
}
