//! Language models, behind any OpenAI-compatible endpoint.
//!
//! ```text
//! Models::chat ─▶ breaker open? ─▶ request ─▶ 429, 5xx, unreachable: again, later
//!                                     │
//!                                     └─▶ frames ─▶ events ─▶ text, thinking, tool calls ─▶ Reply
//! ```
//!
//! A request is tried again only while nothing of an answer has come: what was heard of a stream that
//! stalls or breaks off belongs to whoever listened.

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

pub(crate) use stream::{ChatStream, Ending};

pub use endpoint::{Endpoint, EndpointOptions, TRIES};
pub use error::{ChatError, EndpointError};

/// What a model is asked.
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
}

/// A piece of an answer, as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Text(&'a str),
    /// What a reasoning model says to itself.
    Thinking(&'a str),
    /// Nothing of an answer has come; the endpoint is asked again after the pause.
    Again {
        why: &'a ChatError,
        tries: u32,
        pause: Duration,
    },
}

/// A tool that a model asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    /// JSON as the model wrote it, which need not be any.
    pub arguments: String,
}

/// What a whole answer ends with; its text was heard piece by piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// As the endpoint names it, or else as it was asked for.
    pub model: String,
    /// `None` when the endpoint did not say.
    pub usage: Option<Usage>,
    /// `stop`, `length`, `content_filter`, `tool_calls` …; `None` when the endpoint did not say.
    pub finish_reason: Option<String>,
    pub tool_calls: Vec<ToolCall>,
    /// What the model says instead of an answer that it refuses.
    pub refusal: Option<String>,
}

/// Tokens of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// The models there are, if any. A cheap handle.
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

    /// What must not be shown of what comes from outside.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        self.endpoint.as_ref().map(|endpoint| endpoint.secrets().clone()).unwrap_or_default()
    }

    /// Asks a model and hands out its answer piece by piece. May be dropped at any time.
    ///
    /// # Errors
    ///
    /// Why there is no whole answer.
    pub async fn chat(&self, chat: &Chat, hear: &mut (dyn FnMut(Piece<'_>) + Send)) -> Result<Reply, ChatError> {
        let endpoint = self.endpoint.as_ref().ok_or(ChatError::NoEndpoint)?;
        endpoint.chat(chat, hear).await
    }
}
