//! NATS as the broker for notices between servers: subject `<prefix>.<database>`, core NATS without `JetStream`.
//!
//! Notices that are lost are made up for by the hub, so nothing is stored at the broker. What may lose
//! messages, such as a lost connection or a full buffer, is reported to the hub.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, Subscriber};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

pub use async_nats::ServerAddr as Address;

use crate::hub::{Broker, BrokerError, BrokerReceiver};

/// How long a connection attempt may take.
const CONNECT: Duration = Duration::from_secs(2);
/// Two pings without an answer end a connection.
const PING: Duration = Duration::from_secs(2);
/// The longest pause between two attempts to connect.
const RECONNECT: Duration = Duration::from_secs(2);
/// Messages that wait to be handled. Beyond it they are dropped, which is reported.
const WAITING: usize = 16_384;

/// A connection to NATS, which is made again when it is lost.
#[derive(Clone)]
pub struct Nats {
    client: Client,
    subject: String,
    /// Counts what may have lost messages.
    losses: watch::Receiver<u64>,
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// The setting makes no sense, or the client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    #[error("RELIVE_NATS_URL is not an address of NATS such as nats://127.0.0.1:4222: {0}")]
    Address(std::io::Error),
    #[error("cannot use NATS: {0}")]
    Client(#[from] async_nats::ConnectError),
}

/// Addresses of NATS servers of one cluster, separated by commas.
///
/// # Errors
///
/// If one of them is not an address.
pub fn addresses(text: &str) -> Result<Vec<Address>, NatsError> {
    text.split(',').map(|one| address(one.trim()).map_err(NatsError::Address)).collect()
}

/// The library takes other schemes, and no host at all.
fn address(text: &str) -> std::io::Result<Address> {
    let scheme = text.split_once("://").map_or("nats", |(scheme, _)| scheme);
    let address: Address = text.parse()?;
    if !["nats", "tls"].contains(&scheme) || address.host().is_empty() {
        return Err(std::io::Error::other("expected nats:// or tls:// and a host"));
    }
    Ok(address)
}

impl Nats {
    /// Begins to connect; does not wait for it. `subject` is that of the notices of one database.
    ///
    /// # Errors
    ///
    /// If the addresses cannot be used.
    pub async fn start(addresses: Vec<Address>, subject: String) -> Result<Self, NatsError> {
        let (lost, losses) = watch::channel(0);
        let lost = Arc::new(lost);
        let options = with_credentials(ConnectOptions::new(), &addresses)
            .name("relive")
            .retry_on_initial_connect()
            .connection_timeout(CONNECT)
            .ping_interval(PING)
            .subscription_capacity(WAITING)
            .reconnect_delay_callback(reconnect_after)
            .event_callback(move |event| {
                let lost = Arc::clone(&lost);
                async move { handle(&event, &lost) }
            });
        let client = options.connect(addresses).await?;
        Ok(Self { client, subject, losses })
    }
}

/// Connects once, and says which version answers.
///
/// # Errors
///
/// Why there is no connection.
pub async fn probe(addresses: Vec<Address>) -> Result<String, NatsError> {
    let options = with_credentials(ConnectOptions::new(), &addresses).name("relive doctor").connection_timeout(CONNECT);
    let client = options.connect(addresses).await?;
    Ok(client.server_info().version)
}

/// The library does not use what an address has before its host. A name without a password is a token.
fn with_credentials(options: ConnectOptions, addresses: &[Address]) -> ConnectOptions {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let found = addresses.iter().find_map(|one| Some((one.username().map(decoded)?, one.password().map(decoded))));
    match found {
        Some((user, Some(password))) => options.user_and_password(user, password),
        Some((token, None)) => options.token(token),
        None => options,
    }
}

/// The pause grows with the number of attempts.
fn reconnect_after(attempts: usize) -> Duration {
    u32::try_from(attempts)
        .map_or(RECONNECT, |attempts| RECONNECT.min(Duration::from_millis(100).saturating_mul(attempts)))
}

fn handle(event: &Event, lost: &watch::Sender<u64>) {
    match event {
        Event::Connected => metrics::gauge!("relive_nats_connected").set(1),
        Event::Disconnected | Event::Closed => {
            metrics::gauge!("relive_nats_connected").set(0);
            lost.send_modify(|count| *count += 1);
        }
        Event::SlowConsumer(_) => lost.send_modify(|count| *count += 1),
        Event::LameDuckMode | Event::Draining => {}
        Event::ServerError(error) => tracing::debug!(%error, "NATS answers an error"),
        Event::ClientError(error) => tracing::debug!(%error, "NATS cannot be reached"),
    }
}

fn broker_error(error: impl fmt::Display) -> BrokerError {
    BrokerError(error.to_string())
}

impl Broker for Nats {
    fn send<'a>(&'a self, payloads: &'a [String]) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(async move {
            // While there is no connection the client would keep messages, and send them when they are stale.
            if self.client.connection_state() != async_nats::connection::State::Connected {
                return Err(BrokerError("no connection".to_owned()));
            }
            for payload in payloads {
                let payload = payload.clone().into_bytes().into();
                self.client.publish(self.subject.clone(), payload).await.map_err(broker_error)?;
            }
            self.client.flush().await.map_err(broker_error)
        })
    }

    fn listen(&self) -> BoxFuture<'_, Result<Box<dyn BrokerReceiver>, BrokerError>> {
        Box::pin(async move {
            let mut losses = self.losses.clone();
            losses.mark_unchanged();
            if self.client.connection_state() != async_nats::connection::State::Connected {
                return Err(BrokerError("no connection".to_owned()));
            }
            let messages = self.client.subscribe(self.subject.clone()).await.map_err(broker_error)?;
            Ok(Box::new(Messages { messages, losses }) as _)
        })
    }
}

struct Messages {
    messages: Subscriber,
    losses: watch::Receiver<u64>,
}

impl BrokerReceiver for Messages {
    fn next(&mut self) -> BoxFuture<'_, Result<String, BrokerError>> {
        Box::pin(async move {
            loop {
                let message = tokio::select! {
                    biased;
                    _ = self.losses.changed() => return Err(BrokerError("the connection was lost".to_owned())),
                    message = self.messages.next() => message,
                };
                let Some(message) = message else { return Err(BrokerError("the subscription has ended".to_owned())) };
                // What is no text was not sent by a Relive.
                if let Ok(text) = String::from_utf8(message.payload.into()) {
                    return Ok(text);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused() {
        let hosts = |text| addresses(text).map(|all| all.iter().map(|one| one.host().to_owned()).collect::<Vec<_>>());
        assert_eq!(hosts("nats://a:4222, tls://b").expect("two addresses"), ["a", "b"]);
        assert_eq!(hosts("nats://user:secret@c:4222").expect("an address"), ["c"]);
        for text in ["", "http://a", "nats://a:port", "nats://a,"] {
            assert!(hosts(text).is_err(), "{text}");
        }
    }
}
