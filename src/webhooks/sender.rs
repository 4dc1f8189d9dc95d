//! Sends the deliveries of one webhook, for as long as this server holds its lease and there are some.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::courier::Courier;
use super::retries::wait_after;
use crate::storage::{AttemptRecord, DueDelivery, Storage, StorageError, WebhookTarget};
use relive_session::DeliveryStatus;

/// How long a server may be silent before another one takes its webhooks over.
pub(super) const LEASE: Duration = Duration::from_secs(15);
/// How often the lease is renewed at least.
const RENEW: Duration = Duration::from_secs(4);
/// Deliveries of one webhook in flight at once.
const CONCURRENCY: usize = 8;
/// The pause after an error of the database.
const PAUSE: Duration = Duration::from_secs(1);

/// What all senders of this server share.
#[derive(Clone, Debug)]
pub(super) struct Senders {
    pub storage: Storage,
    pub courier: Courier,
    /// This server, in leases.
    pub holder: Uuid,
    /// Changes when there may be something new to be sent.
    pub news: watch::Receiver<()>,
    pub stop: CancellationToken,
}

/// An attempt, and whether the receiver wants nothing any more.
type Ended = (AttemptRecord, bool);

struct Sender {
    shared: Senders,
    webhook: Uuid,
    in_flight: JoinSet<Ended>,
    ids: HashMap<Id, Uuid>,
    /// Attempts that are not recorded yet.
    ended: Vec<Ended>,
}

/// What a round has found.
enum Round {
    /// Deliveries are in flight, or there may be more to be sent at once.
    Busy { look_again: bool },
    /// Nothing is to be sent now, or somebody else sends it.
    Done,
}

impl Senders {
    /// Serves a webhook whose lease this server holds.
    pub async fn serve(self, webhook: Uuid) {
        let mut sender =
            Sender { shared: self, webhook, in_flight: JoinSet::new(), ids: HashMap::new(), ended: Vec::new() };
        sender.run().await;
        let Sender { shared, .. } = sender;
        if let Err(error) = shared.storage.release_webhook(shared.holder, webhook).await {
            tracing::debug!(%error, "cannot release a webhook; its lease will expire");
        }
    }
}

impl Sender {
    async fn run(&mut self) {
        let stop = self.shared.stop.clone();
        while !stop.is_cancelled() {
            self.shared.news.mark_unchanged();
            let pause = match self.round().await {
                Ok(Round::Done) => return,
                Ok(Round::Busy { look_again: true }) => continue,
                Ok(Round::Busy { look_again: false }) => RENEW,
                Err(error) => {
                    tracing::debug!(%error, "the deliveries of a webhook have to wait");
                    PAUSE
                }
            };
            let is_free = self.in_flight.len() < CONCURRENCY;
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = self.in_flight.join_next_with_id() => self.keep(ended),
                Ok(()) = self.shared.news.changed(), if is_free => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        // What is in flight is given up, and sent again by whoever serves the webhook next.
        if let Err(error) = self.record().await {
            tracing::debug!(%error, "attempts could not be recorded; they are made again");
        }
    }

    /// Records what has ended, renews the lease, and sends what is due.
    async fn round(&mut self) -> Result<Round, StorageError> {
        self.record().await?;
        let Senders { storage, holder, .. } = &self.shared;
        let Some(target) = storage.renew_webhook(*holder, self.webhook, LEASE).await? else {
            return Ok(Round::Done);
        };
        let room = CONCURRENCY.saturating_sub(self.in_flight.len());
        if room == 0 {
            return Ok(Round::Busy { look_again: false });
        }
        let limit = u32::try_from(room).unwrap_or(u32::MAX);
        let in_flight: Vec<Uuid> = self.ids.values().copied().collect();
        let (due, looked_at) = storage.due_deliveries(self.webhook, &in_flight, limit).await?;
        let target = Arc::new(target);
        for delivery in due {
            self.send(Arc::clone(&target), delivery);
        }
        if looked_at == limit {
            return Ok(Round::Busy { look_again: true });
        }
        if self.in_flight.is_empty() { Ok(Round::Done) } else { Ok(Round::Busy { look_again: false }) }
    }

    fn send(&mut self, target: Arc<WebhookTarget>, delivery: DueDelivery) {
        let (courier, id) = (self.shared.courier.clone(), delivery.id);
        let task = self.in_flight.spawn(async move { attempt(&courier, &target, &delivery).await });
        self.ids.insert(task.id(), id);
    }

    fn keep(&mut self, ended: Result<(Id, Ended), tokio::task::JoinError>) {
        match ended {
            Ok((task, ended)) => {
                self.ids.remove(&task);
                self.ended.push(ended);
            }
            // One that panicked has said so itself; its delivery is still due.
            Err(error) => drop(self.ids.remove(&error.id())),
        }
    }

    async fn record(&mut self) -> Result<(), StorageError> {
        while let Some(ended) = self.in_flight.try_join_next_with_id() {
            self.keep(ended);
        }
        if self.ended.is_empty() {
            return Ok(());
        }
        let storage = &self.shared.storage;
        if self.ended.iter().any(|(_, is_gone)| *is_gone) {
            tracing::info!(webhook = %self.webhook, "the receiver is gone; the webhook is disabled");
            storage.disable_webhook(self.webhook, "the receiver answered with 410 Gone").await?;
        }
        let results: Vec<AttemptRecord> = self.ended.iter().map(|(result, _)| result.clone()).collect();
        storage.record_attempts(&results).await?;
        self.ended.clear();
        Ok(())
    }
}

async fn attempt(courier: &Courier, target: &WebhookTarget, delivery: &DueDelivery) -> Ended {
    let attempt = courier.send(target, delivery.id, &delivery.body, delivery.trace.as_ref()).await;
    let again = wait_after(delivery.tries, attempt.asked).filter(|_| !attempt.is_gone());
    let status = match again {
        _ if attempt.is_delivered() => DeliveryStatus::Delivered,
        Some(_) => DeliveryStatus::Pending,
        None => DeliveryStatus::Failed,
    };
    if status == DeliveryStatus::Failed {
        metrics::counter!("relive_webhook_given_up_total").increment(1);
    }
    (attempt.result(delivery.id, status, again), attempt.is_gone())
}
