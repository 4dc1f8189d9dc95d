//! Sends notices: one statement, or one batch to the message broker, at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::broker::{Broker, BrokerError};
use super::notice::{Notice, encode, encode_chunks, encode_families};
use super::outbox::UnsentNotices;
use super::{HEARTBEAT, Shared};
use crate::hub::store::NoticeSender;
use crate::storage::StorageError;
use relive_backoff::Backoff;

/// The least time between two statements. The first after an idle period is sent at once; later changes are
/// collected, so that the cost is bounded at any load.
const GAP: Duration = Duration::from_millis(5);
/// How long chunks of a message are gathered for `NOTIFY`, and for a broker.
const GATHERED: Duration = Duration::from_millis(50);
const GATHERED_FOR_BROKER: Duration = GAP;
/// Payloads in one statement at most.
const PAYLOADS: usize = 64;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(3);
/// How long the broker may take to accept messages.
const ACCEPT: Duration = Duration::from_secs(1);

/// Which way notices take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Notify,
    Broker,
}

#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Database(#[from] StorageError),
    #[error("the message broker: {0}")]
    Broker(#[from] BrokerError),
}

#[derive(Debug)]
pub(super) struct Sender {
    shared: Arc<Shared>,
    notifier: Box<dyn NoticeSender>,
    broker: Option<Arc<dyn Broker>>,
    route: Route,
}

impl Sender {
    pub fn new(shared: Arc<Shared>, notifier: Box<dyn NoticeSender>, broker: Option<Arc<dyn Broker>>) -> Self {
        Self { shared, notifier, broker, route: Route::Notify }
    }

    /// Runs until told to stop, and then until the rest is sent.
    pub async fn run(mut self) {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
        let shared = Arc::clone(&self.shared);
        loop {
            let pending = tokio::select! {
                biased;
                () = shared.stop.cancelled() => break,
                _ = heartbeat.tick() => {
                    shared.outbox.heartbeat();
                    continue;
                }
                pending = shared.outbox.next() => pending,
                () = shared.chunks.due(self.gathered()) => UnsentNotices::default(),
            };
            let pause = match self.send(pending).await {
                Ok(()) => {
                    backoff.reset();
                    GAP
                }
                Err(error) => {
                    tracing::debug!(%error, "notices to other servers wait");
                    backoff.next_wait()
                }
            };
            let _ = shared.stop.run_until_cancelled(sleep(pause)).await;
        }
        self.leave().await;
    }

    /// Sends the rest, also when no other server is known: one may just have learnt of this server.
    async fn leave(mut self) {
        let rest = self.shared.outbox.drain();
        let leaves = [Notice { leaves: true, ..Notice::default() }.encode(self.shared.me)];
        if self.send(rest).await.is_err() || self.notifier.notify(&leaves).await.is_err() {
            tracing::debug!("other servers were not notified that this one stops");
        }
        self.notifier.close().await;
    }

    fn gathered(&self) -> Duration {
        if self.route == Route::Broker { GATHERED_FOR_BROKER } else { GATHERED }
    }

    /// Sends what is pending, and the chunks that are due. What cannot be sent is requeued, but for chunks.
    async fn send(&mut self, mut pending: UnsentNotices) -> Result<(), SendError> {
        let before = self.route;
        self.route = if self.shared.peers.all_hear_broker() { Route::Broker } else { Route::Notify };
        if (before, self.route) == (Route::Broker, Route::Notify) {
            // The last ones that took the other way may be lost.
            pending.resync = true;
        }
        let chunks = self.shared.chunks.take_due(self.gathered(), Instant::now());
        let me = self.shared.me;
        // A heartbeat is always sent through the database: that is where servers find each other.
        let mut result = Ok(());
        if pending.heartbeat {
            result = self.notify(&[self.heartbeat()]).await;
        }
        let mut payloads = encode_changes(&self.shared, &pending);
        payloads.extend(encode_chunks(me, chunks));
        for payloads in payloads.chunks(PAYLOADS) {
            if result.is_ok() {
                result = self.send_by_route(payloads).await;
            }
        }
        if result.is_err() {
            self.shared.outbox.requeue(pending);
        }
        result
    }

    fn heartbeat(&self) -> String {
        let Shared { me, peers, .. } = &*self.shared;
        Notice { heartbeat: Some(peers.ids()), broker: peers.broker_epoch(), ..Notice::default() }.encode(*me)
    }

    async fn send_by_route(&mut self, payloads: &[String]) -> Result<(), SendError> {
        let Some(broker) = self.broker.as_ref().filter(|_| self.route == Route::Broker) else {
            return self.notify(payloads).await;
        };
        let accepted = timeout(ACCEPT, broker.send(payloads)).await;
        if let Err(error) = accepted.unwrap_or_else(|_| Err(BrokerError("no answer".to_owned()))) {
            // Until the next probe arrives.
            self.shared.peers.set_hears_broker(false);
            return Err(error.into());
        }
        metrics::counter!("relive_notices_sent_total").increment(payloads.len() as u64);
        Ok(())
    }

    async fn notify(&mut self, payloads: &[String]) -> Result<(), SendError> {
        self.notifier.notify(payloads).await?;
        metrics::counter!("relive_notice_statements_total").increment(1);
        metrics::counter!("relive_notices_sent_total").increment(payloads.len() as u64);
        Ok(())
    }
}

fn encode_changes(shared: &Shared, pending: &UnsentNotices) -> Vec<String> {
    let UnsentNotices { changed, deleted, families, resync, heartbeat: _ } = pending;
    let changed = changed.iter().map(|(id, revision)| (*id, *revision));
    let mut payloads = encode(shared.me, changed, deleted);
    payloads.extend(encode_families(shared.me, families.iter().copied()));
    if *resync {
        payloads.push(Notice { resync: true, ..Notice::default() }.encode(shared.me));
    }
    payloads
}
