//! Embeds stored memories that have no embedding, or one of another dimension than the server's: those keep
//! the old one until they have the new.
//!
//! It is woken when this process stores such a memory, and polls every half minute for those of others.
//! Everything that waits goes into one request, up to 64 texts; there is no timer, so a single memory is not
//! delayed, and many need few requests.
//!
//! - *The endpoint fails*: the memories are requeued, and the worker pauses, longer each time.
//! - *The endpoint refuses*: one text may be at fault, so the batch is split until the others
//!   have their vectors. The refused text is retried an hour later; the setting may have changed.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::CHARACTERS;
use super::endpoint::{EmbeddingEndpoint, EmbeddingError};
use super::waiters::EmbeddingWaiters;
use crate::storage::{Storage, StorageError, Unembedded};
use relive_backoff::Backoff;

/// Texts in one request at most.
const BATCH: u32 = 64;
/// How often to poll for memories.
const PASS: Duration = Duration::from_secs(30);
/// The lease: longer than a batch can take. If a server dies, its memories are claimed again after that.
const LEASE: Duration = Duration::from_mins(5);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause that an endpoint may ask for.
const RETRY_AFTER: Duration = Duration::from_mins(1);
/// Failures in a row after which requests do not wait for the endpoint.
const DOWN_AFTER: u32 = 3;
/// The pause before a refused text is retried.
const REFUSED: Duration = Duration::from_hours(1);
/// Texts refused one by one, and none accepted: then the endpoint or its model's name is at fault.
const REFUSALS: usize = 8;
/// The gauge of waiting memories counts up to this number.
const COUNTED: u32 = 100_000;

#[derive(Debug)]
pub(super) struct EmbeddingWorker {
    storage: Storage,
    endpoint: EmbeddingEndpoint,
    waiters: EmbeddingWaiters,
    dimension: u32,
    /// Since the endpoint last answered.
    backoff: Backoff,
}

/// The result of a batch.
#[derive(Debug, Default)]
struct Batch {
    embedded: Vec<(Uuid, Vec<f32>)>,
    refused: Vec<Uuid>,
    /// Not tried, or failed.
    left: Vec<Uuid>,
    failure: Option<EmbeddingError>,
}

impl EmbeddingWorker {
    pub fn new(storage: Storage, endpoint: EmbeddingEndpoint, waiters: EmbeddingWaiters, dimension: u32) -> Self {
        // So that several instances do not come back at the same moment.
        let backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE).with_jitter(0.75, 1.25);
        Self { storage, endpoint, waiters, dimension, backoff }
    }

    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = match self.next_batch(&stop).await {
                Ok(pause) => pause,
                Err(error) => {
                    error.log("cannot embed memories now");
                    Some(LAST_PAUSE)
                }
            };
            if let Some(pause) = pause {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }

    /// Processes one batch, or waits for one. Returns how long to pause before the next.
    async fn next_batch(&mut self, stop: &CancellationToken) -> Result<Option<Duration>, StorageError> {
        let taken = self.storage.claim_unembedded(BATCH, LEASE, CHARACTERS, self.dimension).await?;
        if taken.is_empty() {
            self.count().await?;
            tokio::select! {
                () = self.storage.unembedded_stored() => {}
                () = tokio::time::sleep(PASS) => {}
                () = stop.cancelled() => {}
            }
            return Ok(None);
        }
        let ids: Vec<Uuid> = taken.iter().map(|memory| memory.id).collect();
        let batch = tokio::select! {
            batch = self.embed(taken) => batch,
            () = stop.cancelled() => Batch { left: ids, ..Batch::default() },
        };
        self.finish(batch).await
    }

    async fn finish(&mut self, batch: Batch) -> Result<Option<Duration>, StorageError> {
        let Batch { embedded, refused, left, failure } = batch;
        if !embedded.is_empty() {
            let ids: Vec<Uuid> = embedded.iter().map(|(id, _)| *id).collect();
            self.storage.store_embeddings(embedded).await?;
            self.waiters.stored(ids.into_iter());
            if self.backoff.failures() >= DOWN_AFTER {
                tracing::info!("the embeddings endpoint is available again");
            }
            self.backoff.reset();
        }
        if !refused.is_empty() {
            tracing::warn!(memories = refused.len(), "the embeddings endpoint refuses some texts");
            refused.iter().for_each(|id| self.waiters.given_up(*id));
            self.storage.release_unembedded(&refused, REFUSED).await?;
        }
        if !left.is_empty() {
            self.storage.release_unembedded(&left, Duration::ZERO).await?;
        }
        let Some(error) = failure else { return Ok(None) };
        let pause = pause_after(&error, self.backoff.next_wait());
        if self.backoff.failures() >= DOWN_AFTER && self.waiters.endpoint_is_down() {
            tracing::warn!(%error, "memories stay without embeddings for now");
        }
        self.count().await?;
        Ok(Some(pause))
    }

    async fn count(&self) -> Result<(), StorageError> {
        let waiting = self.storage.count_unembedded(COUNTED, self.dimension).await?;
        metrics::gauge!("relive_embeddings_waiting").set(f64::from(waiting));
        Ok(())
    }

    /// Requests all of them at once; if they are refused, the halves.
    async fn embed(&self, taken: Vec<Unembedded>) -> Batch {
        let mut batch = Batch::default();
        let (blank, taken): (Vec<_>, Vec<_>) = taken.into_iter().partition(|memory| memory.content.trim().is_empty());
        batch.refused.extend(blank.iter().map(|memory| memory.id));
        let blank = blank.len();
        let mut parts = vec![taken];
        while let Some(mut part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let texts: Vec<&str> = part.iter().map(|memory| memory.content.as_str()).collect();
            match self.endpoint.embed(&texts).await {
                Ok(vectors) => batch.embedded.extend(part.iter().map(|memory| memory.id).zip(vectors)),
                Err(EmbeddingError::Refused(_)) if part.len() > 1 => {
                    let second = part.split_off(part.len() / 2);
                    parts.extend([second, part]);
                }
                Err(error @ EmbeddingError::Refused(_)) => {
                    batch.refused.push(part[0].id);
                    if batch.refused.len() - blank >= REFUSALS && batch.embedded.is_empty() {
                        batch.left.append(&mut batch.refused);
                        batch.failure = Some(error);
                        break;
                    }
                }
                Err(error) => {
                    parts.push(part);
                    batch.failure = Some(error);
                    break;
                }
            }
        }
        batch.left.extend(parts.into_iter().flatten().map(|memory| memory.id));
        batch
    }
}

/// A pause, or a longer one that the endpoint asks for.
fn pause_after(error: &EmbeddingError, pause: Duration) -> Duration {
    match error {
        EmbeddingError::Failed { retry_after: Some(asked), .. } => pause.max((*asked).min(RETRY_AFTER)),
        _ => pause,
    }
}
