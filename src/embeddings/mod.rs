//! Vectors for texts, from an OpenAI-compatible endpoint.
//!
//! ```text
//! addMemory, POST /memories ─▶ row without embedding ─▶ worker ──▶ endpoint   up to 64 texts a request
//!                                    ▲                    │
//!                                    └──── embedding ─────┘
//! search by text ─▶ Embeddings::of_query ─▶ endpoint; none in time: full text instead
//! ```
//!
//! A memory is durable, and answered, before the endpoint is asked: a slow or unavailable model delays no
//! session and loses nothing. The worker's queue is the table itself, so it survives restarts, and all
//! servers share the work ([`Storage::claim_unembedded`]).

mod endpoint;
mod waiters;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::storage::Storage;

pub use endpoint::{EmbeddingEndpoint, EmbeddingEndpointError, EmbeddingEndpointOptions, EmbeddingError};
pub use waiters::Arrival;

use waiters::EmbeddingWaiters;
use worker::EmbeddingWorker;

/// How long a search waits for its text's vector before it searches by words.
const QUERY: Duration = Duration::from_secs(3);
/// Characters of a text that its embedding is made from. Models accept about 8,000 tokens and refuse
/// longer texts; a vector for the beginning finds a memory better than none.
const CHARACTERS: u32 = 8_000;

/// Makes embeddings, if there is an endpoint. A cheap handle.
#[derive(Clone, Debug)]
pub struct Embeddings {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dimension: u32,
    endpoint: Option<EmbeddingEndpoint>,
    waiters: EmbeddingWaiters,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Embeddings {
    /// For memories whose embeddings have `dimension` numbers. With an endpoint, this starts the worker, and must
    /// be called inside a Tokio runtime.
    #[must_use]
    pub fn start(storage: Storage, dimension: u32, endpoint: Option<EmbeddingEndpoint>) -> Self {
        let (stop, tasks, waiters) = (CancellationToken::new(), TaskTracker::new(), EmbeddingWaiters::default());
        if let Some(endpoint) = endpoint.clone() {
            tasks.spawn(EmbeddingWorker::new(storage, endpoint, waiters.clone(), dimension).run(stop.clone()));
        }
        Self { inner: Arc::new(Inner { dimension, endpoint, waiters, stop, tasks }) }
    }

    /// The number of dimensions of an embedding.
    #[must_use]
    pub fn dimension(&self) -> u32 {
        self.inner.dimension
    }

    /// The vector of a search text; `None` if there is no endpoint, or it does not answer in time.
    pub async fn of_query(&self, text: &str) -> Option<Vec<f32>> {
        let endpoint = self.inner.endpoint.as_ref()?;
        let text: String = text.chars().take(CHARACTERS as usize).collect();
        let outcome = tokio::time::timeout(QUERY.min(endpoint.timeout()), endpoint.embed(&[&text])).await;
        match outcome.unwrap_or(Err(EmbeddingError::Unreachable("no answer in time".to_owned()))) {
            Ok(vectors) => vectors.into_iter().next(),
            Err(error) => {
                tracing::warn!(%error, "no embedding for a search; it searches by words");
                None
            }
        }
    }

    /// Must be called before a memory without an embedding is stored: completes when it has one.
    #[must_use]
    pub fn expect(&self, memory_id: Uuid) -> Arrival {
        if self.inner.endpoint.is_some() { self.inner.waiters.expect(memory_id) } else { Arrival::never() }
    }

    /// Stops the worker. What it was working on is left for the next start.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}
