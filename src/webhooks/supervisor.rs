//! Makes deliveries of events, and has those of every webhook sent.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::KEPT;
use super::courier::Courier;
use super::sender::{LEASE, Senders};
use crate::storage::{Storage, StorageError};

/// How often the database is looked at: for deliveries that are due again, and for what other servers have committed or
/// left behind. What this server commits is not waited for.
const POLL: Duration = Duration::from_secs(1);
/// Webhooks that this server serves at once.
const WEBHOOKS: usize = 1_000;
/// How often old deliveries and secrets are deleted, and webhooks sought that have too many.
const UPKEEP: Duration = Duration::from_mins(1);
/// Deliveries that may wait for one webhook.
const WAITING: u32 = 100_000;
const TOO_MANY: &str = "more than 100000 deliveries were waiting";

/// Sends to webhooks until it is shut down.
#[derive(Debug)]
pub struct WebhookSender {
    stop: CancellationToken,
    task: parking_lot::Mutex<Option<JoinHandle<()>>>,
}

impl WebhookSender {
    /// Must be called inside a Tokio runtime.
    #[must_use]
    pub fn start(storage: Storage, courier: Courier) -> Self {
        let stop = CancellationToken::new();
        let (tell, news) = watch::channel(());
        let shared = Senders { storage, courier, holder: Uuid::new_v4(), news, stop: stop.clone() };
        let supervisor = Supervisor {
            shared,
            tell,
            serving: JoinSet::new(),
            served: HashMap::new(),
            upkeep_at: Instant::now() + UPKEEP,
        };
        let task = tokio::spawn(supervisor.run());
        Self { stop, task: parking_lot::Mutex::new(Some(task)) }
    }

    /// Stops. What is in flight is given up: it is sent again by another server, or at the next start.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let task = self.task.lock().take();
        if let Some(task) = task {
            // A task that panicked has said so itself.
            let _ = task.await;
        }
    }
}

struct Supervisor {
    shared: Senders,
    tell: watch::Sender<()>,
    serving: JoinSet<()>,
    served: HashMap<Id, Uuid>,
    upkeep_at: Instant,
}

impl Supervisor {
    async fn run(mut self) {
        let (stop, outbox) = (self.shared.stop.clone(), self.shared.storage.outbox());
        while !stop.is_cancelled() {
            if let Err(error) = self.round().await {
                tracing::debug!(%error, "webhooks have to wait");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = outbox.notified() => {}
                Some(ended) = self.serving.join_next_with_id() => {
                    // One that panicked has said so itself.
                    let task = ended.map_or_else(|error| error.id(), |(task, ())| task);
                    self.served.remove(&task);
                }
                () = tokio::time::sleep(POLL) => {}
            }
        }
        while self.serving.join_next().await.is_some() {}
    }

    async fn round(&mut self) -> Result<(), StorageError> {
        while !self.shared.stop.is_cancelled() && self.shared.storage.dispatch_outbox().await? {}
        self.tell.send_replace(());
        self.claim().await?;
        if Instant::now() >= self.upkeep_at {
            self.upkeep_at = Instant::now() + UPKEEP;
            self.upkeep().await?;
        }
        Ok(())
    }

    /// Serves webhooks that have something to be sent and that nobody serves.
    async fn claim(&mut self) -> Result<(), StorageError> {
        let room = WEBHOOKS.saturating_sub(self.served.len());
        if room == 0 {
            return Ok(());
        }
        let held: Vec<Uuid> = self.served.values().copied().collect();
        let Senders { storage, holder, .. } = &self.shared;
        let limit = u32::try_from(room).unwrap_or(u32::MAX);
        for webhook in storage.claim_webhooks(*holder, &held, LEASE, limit).await? {
            let task = self.serving.spawn(self.shared.clone().serve(webhook));
            self.served.insert(task.id(), webhook);
        }
        metrics::gauge!("relive_webhooks_served").set(self.served.len() as f64);
        Ok(())
    }

    async fn upkeep(&self) -> Result<(), StorageError> {
        let storage = &self.shared.storage;
        for webhook in storage.disable_overdue_webhooks(WAITING, TOO_MANY).await? {
            tracing::warn!(%webhook, "a webhook is disabled: {TOO_MANY}");
        }
        storage.forget_webhook_secrets().await?;
        storage.prune_deliveries(KEPT).await?;
        Ok(())
    }
}
