//! A message broker as the quicker way for notices: `NOTIFY` costs the database a transaction.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

use super::notice::Notice;
use super::receiver::{NoticeSource, Receiver};
use super::{HEARTBEAT, Shared};
use relive_backoff::Backoff;

/// How often this server sends a notice to itself. It is heard by nobody else than those who listen.
const PROBE: Duration = Duration::from_secs(1);
/// Without its own notice for this long, nothing is received.
const PROBE_TIMEOUT: Duration = Duration::from_millis(2_500);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(3);

/// Why a message broker does not serve.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BrokerError(pub String);

/// Carries notices between servers. Messages of one sender arrive in order, or not at all.
pub trait Broker: Debug + Send + Sync {
    /// Sends messages to all servers, this one included.
    ///
    /// # Errors
    ///
    /// If they were possibly not sent.
    fn send<'a>(&'a self, payloads: &'a [String]) -> BoxFuture<'a, Result<(), BrokerError>>;

    /// Starts to receive messages.
    ///
    /// # Errors
    ///
    /// If the broker is away.
    fn listen(&self) -> BoxFuture<'_, Result<Box<dyn BrokerReceiver>, BrokerError>>;
}

/// Receives messages, this server's own included.
pub trait BrokerReceiver: Send {
    /// The next message. Cancel-safe.
    ///
    /// # Errors
    ///
    /// If messages may have been lost. A new receiver is needed then.
    fn next(&mut self) -> BoxFuture<'_, Result<String, BrokerError>>;
}

/// Receives the broker's notices, and says whether they are received.
pub(super) async fn listen(shared: Arc<Shared>, broker: Arc<dyn Broker>, receiver: Receiver) {
    let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
    let mut has_warned = false;
    loop {
        let error = tokio::select! {
            error = receive(&shared, &*broker, &receiver) => error,
            () = probe(&shared, &*broker) => BrokerError("the probes ended".to_owned()),
        };
        if shared.peers.set_hears_broker(false) {
            tracing::warn!(%error, "the message broker is away: notices go through the database");
            shared.outbox.heartbeat();
            has_warned = true;
            backoff.reset();
        } else if !std::mem::replace(&mut has_warned, true) {
            tracing::warn!(%error, "the message broker cannot be reached: notices go through the database");
        }
        sleep(backoff.next_wait()).await;
    }
}

/// Sends notices to this server itself, and regularly its heartbeat, for servers that cannot receive `NOTIFY`.
async fn probe(shared: &Shared, broker: &dyn Broker) {
    let mut tick = interval(PROBE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heartbeat_at = Instant::now();
    loop {
        tick.tick().await;
        let now = Instant::now();
        let mut notice = Notice::default();
        if heartbeat_at <= now && shared.peers.hears_broker() {
            heartbeat_at = now + HEARTBEAT;
            let broker = shared.peers.broker_epoch();
            notice = Notice { heartbeat: Some(shared.peers.ids()), broker, ..notice };
        }
        // A broker that is away is found by the probes that do not arrive.
        let _ = broker.send(&[notice.encode(shared.me)]).await;
    }
}

async fn receive(shared: &Shared, broker: &dyn Broker, receiver: &Receiver) -> BrokerError {
    let mut messages = match broker.listen().await {
        Ok(messages) => messages,
        Err(error) => return error,
    };
    let mut deadline = Instant::now() + PROBE_TIMEOUT;
    loop {
        match timeout_at(deadline, messages.next()).await {
            Ok(Ok(payload)) => {
                if receiver.handle(&payload) == NoticeSource::Me {
                    deadline = Instant::now() + PROBE_TIMEOUT;
                    if !shared.peers.set_hears_broker(true) {
                        tracing::info!("notices go through the message broker");
                        shared.outbox.heartbeat();
                    }
                }
            }
            Ok(Err(error)) => return error,
            Err(_) => return BrokerError("its own messages do not arrive".to_owned()),
        }
    }
}
