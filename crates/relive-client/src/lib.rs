//! The Rust side of the protocol: one WebSocket for commands and subscriptions, HTTP for the rest.
//!
//! A [`Client`] is a cheap handle; one task owns the connection behind all of its clones, and ends
//! when the last handle and the last [`Subscription`] are gone.
//!
//! ```text
//! Client ── requests (bounded) ──▶ owner ◀──▶ /ws
//!    ▲                              │ unanswered commands (bounded), resent with their commandId
//!    └── receipts, frames ──────────┘ one bounded queue per subscription, resumed by `after`
//! ```
//!
//! - **Nothing is lost or done twice.** A command keeps its `commandId` until it is answered. After
//!   a reconnect all unanswered ones are sent again, in their order, and the server carries out
//!   each at most once. A subscription in `events` mode shows each event once and in order.
//! - **Order.** Commands are sent in the order of the calls. One that the server refuses for now
//!   (`unavailable`, `rate_limited`) is sent again later, so others may overtake it: where order
//!   matters, wait for the receipt before sending the next.
//! - **Memory is bounded.** At most [`Options::in_flight`] commands are unanswered; further callers
//!   wait. A subscription whose queue of [`Options::queue`] frames is full is unsubscribed until
//!   half of it has been read, and then resumed. The socket itself is always read, so that an
//!   acknowledgement never waits behind a slow reader.
//! - **Access.** With [`Options::token`] the token is sent as a header of every request and handshake. A new one
//!   is requested when the server announces that it expires, after it has closed the connection for that, and,
//!   once, when it answers a request with 401.
//! - **Reconnecting.** After a lost connection the client reconnects with exponential backoff and full
//!   jitter, for as long as there is a handle. A close code that says not to reconnect ends the
//!   client: every waiting and every later call fails with [`ClientError::Closed`].

mod address;
mod api;
mod archive;
mod connection;
mod cursor;
mod error;
mod events;
mod http;
mod in_flight;
mod link;
mod live_list;
mod replay;
mod socket;
mod subscription;
mod subscriptions;
mod token;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

pub use address::Address;
pub use api::Api;
pub use archive::{Archives, FirstLine};
pub use error::ClientError;
pub use events::{Happening, SessionEvents};
pub use live_list::{LiveList, SessionFilters};
pub use replay::{Replay, ReplayControl};
pub use subscription::Subscription;
pub use token::TokenSource;

// The types of the calls, so that users of the client need no other import.
pub use relive_protocol::{
    ArchiveLine, ArchivedSessions, CommandReceipt, CreateSession, ErrorCode, LeaseReceipt, Mode, ReplaySpeed,
    ReplayState, ReviewAction, ReviewRequest, ServerFrame, SessionChange, Subscribe, WhoAmI,
};
pub use relive_session::{
    Command, Event, GraphDefinition, Log, LogLevel, Message, MessageId, NodeCounts, NodeId, NodeKind,
    NodeStateSnapshot, NodeStatus, Recorded, Revision, SessionId, SessionStatus, SessionSummary, Timestamp,
    WorkflowSession,
};

use connection::{Connection, Request};
use in_flight::PendingAnswer;
use link::AuthenticatedConnection;
use socket::Lost;
use token::Tokens;

/// Requests that wait for the owner.
const REQUESTS: usize = 64;

/// The client's limits and times.
#[derive(Clone, Debug)]
pub struct Options {
    /// Unanswered commands at most. Default: 128.
    pub in_flight: usize,
    /// Frames queued per subscription. Default: 256.
    pub queue: usize,
    /// The bound of the first backoff. Default: 250 ms.
    pub backoff_first: Duration,
    /// The bound of every later one. Default: 15 s.
    pub backoff_most: Duration,
    /// How long a server may be silent before the connection counts as dead. Servers ping every
    /// 25 s. Default: 60 s.
    pub silence: Duration,
    /// Needed where the server asks for a key or an access token.
    pub token: Option<TokenSource>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            in_flight: 128,
            queue: 256,
            backoff_first: Duration::from_millis(250),
            backoff_most: Duration::from_secs(15),
            silence: Duration::from_mins(1),
            token: None,
        }
    }
}

/// The state of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    Connected,
    Reconnecting {
        reason: String,
    },
    /// For good.
    Closed(ClientError),
}

/// A handle on a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    address: Address,
    http: reqwest::Client,
    tokens: Tokens,
    requests: mpsc::Sender<Request>,
    state: watch::Receiver<ConnectionState>,
    options: Arc<Options>,
}

impl Client {
    /// Connects to a server, such as `http://127.0.0.1:7400`.
    ///
    /// # Errors
    ///
    /// If the address is wrong, or the first connection fails. Later ones are retried.
    pub async fn connect(server_url: &str) -> Result<Self, ClientError> {
        Self::connect_with(server_url, Options::default()).await
    }

    /// As [`Client::connect`], with other options.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    pub async fn connect_with(server_url: &str, options: Options) -> Result<Self, ClientError> {
        let address = Address::parse(server_url)?;
        let url = address.ws("/ws");
        let tokens = Tokens::new(options.token.clone());
        let socket = AuthenticatedConnection::connect(&url, &tokens).await.map_err(|lost| match lost {
            Lost::NoToken(problem) => ClientError::NoToken(problem),
            lost => lost.reason().map_or_else(
                |error| error,
                |problem| ClientError::Unreachable { server: address.to_string(), problem },
            ),
        })?;
        let http = http::client()?;
        let (requests, owned_requests) = mpsc::channel(REQUESTS);
        let (state_sender, state) = watch::channel(ConnectionState::Connected);
        tokio::spawn(Connection::new((url, tokens.clone()), options.clone(), owned_requests, state_sender).run(socket));
        Ok(Self { address, http, tokens, requests, state, options: Arc::new(options) })
    }

    /// The server's address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The state of the connection, and every change of it.
    #[must_use]
    pub fn connection(&self) -> watch::Receiver<ConnectionState> {
        self.state.clone()
    }

    /// Carries out commands, all or none, and returns once they are durable, after however many reconnects
    /// that takes. If the call is cancelled, it is unknown whether they were carried out.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if the server refuses them, and whatever ended the client.
    pub async fn command(&self, session_id: SessionId, commands: Vec<Command>) -> Result<CommandReceipt, ClientError> {
        self.send(PendingAnswer { session_id, commands, lease_seconds: None }).await
    }

    /// As [`Client::command`], for an engine that drives the session under a lease of so many seconds, 5 to 3,600: it
    /// is renewed, and the session is shown as stalled unless that is repeated in time. Without commands only the
    /// lease is renewed.
    ///
    /// # Errors
    ///
    /// As [`Client::command`].
    pub async fn drive(
        &self,
        session_id: SessionId,
        commands: Vec<Command>,
        lease_seconds: u32,
    ) -> Result<CommandReceipt, ClientError> {
        self.send(PendingAnswer { session_id, commands, lease_seconds: Some(lease_seconds) }).await
    }

    async fn send(&self, commands: PendingAnswer) -> Result<CommandReceipt, ClientError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Command { commands, reply }, answer).await
    }

    /// Watches a session. One client watches a session once.
    ///
    /// # Errors
    ///
    /// [`ClientError::AlreadySubscribed`], and whatever ended the client. A session that does not
    /// exist is reported by the subscription.
    pub async fn subscribe(&self, wanted: Subscribe) -> Result<Subscription, ClientError> {
        let (reply, answer) = oneshot::channel();
        let frames = self.ask(Request::Subscribe { wanted, reply }, answer).await?;
        Ok(Subscription::new(frames, self.requests.clone()))
    }

    /// The events of a session after a revision, to its end.
    ///
    /// # Errors
    ///
    /// As [`Client::subscribe`].
    pub async fn events(&self, session_id: SessionId, after: Revision) -> Result<SessionEvents, ClientError> {
        self.events_with(session_id, after, None).await
    }

    /// As [`Client::events`], with log lines: [`SessionEvents::next_happening`].
    ///
    /// # Errors
    ///
    /// As [`Client::subscribe`].
    pub async fn events_and_logs(&self, session_id: SessionId, after: Revision) -> Result<SessionEvents, ClientError> {
        self.events_with(session_id, after, Some(true)).await
    }

    async fn events_with(
        &self,
        session_id: SessionId,
        after: Revision,
        logs: Option<bool>,
    ) -> Result<SessionEvents, ClientError> {
        let (mode, after) = (Some(Mode::Events), Some(after));
        let wanted = Subscribe { session_id, mode, after, messages: None, logs, min_interval_ms: None };
        Ok(SessionEvents::new(session_id, self.subscribe(wanted).await?))
    }

    /// The live list of sessions, over a connection of its own.
    #[must_use]
    pub fn sessions(&self, filters: &SessionFilters) -> LiveList {
        LiveList::new(&self.address, filters, self.tokens.clone(), (*self.options).clone())
    }

    /// A replay of a stored session, over a connection of its own.
    #[must_use]
    pub fn replay(&self, session_id: SessionId) -> Replay {
        Replay::new(&self.address, session_id, self.tokens.clone(), (*self.options).clone())
    }

    async fn ask<T>(
        &self,
        request: Request,
        answer: oneshot::Receiver<Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        self.requests.send(request).await.map_err(|_| ClientError::Gone)?;
        answer.await.map_err(|_| ClientError::Gone)?
    }
}

#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod testing;
#[cfg(test)]
mod tests;
