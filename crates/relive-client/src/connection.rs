//! The one task that owns the socket, the unanswered commands and the subscriptions.

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::in_flight::{InFlight, PendingAnswer, Reply};
use super::link::AuthenticatedConnection;
use super::socket::{Incoming, Lost};
use super::subscriptions::{Frames, Subscriptions};
use super::token::Tokens;
use super::{ClientError, ConnectionState, Options};
use relive_backoff::Backoff;
use relive_protocol::{ClientFrame, CommandReceipt, Given, ServerFrame, Subscribe};
use relive_session::SessionId;

/// Requests of the handles to the owner.
pub(super) enum Request {
    Command { commands: PendingAnswer, reply: Reply },
    Subscribe { wanted: Subscribe, reply: oneshot::Sender<Result<Frames, ClientError>> },
}

impl Request {
    fn refuse(self, error: ClientError) {
        // The receiver may be gone.
        match self {
            Self::Command { reply, .. } => drop(reply.send(Err(error))),
            Self::Subscribe { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}

/// Why the owner stopped serving a socket, or waiting for one.
enum Stop {
    Lost(Lost),
    /// All handles were dropped.
    Abandoned,
}

pub(super) struct Connection {
    url: String,
    tokens: Tokens,
    options: Options,
    requests: mpsc::Receiver<Request>,
    in_flight: InFlight,
    subscriptions: Subscriptions,
    backoff: Backoff,
    state: watch::Sender<ConnectionState>,
    /// When the next retry is due.
    alarm: Option<Instant>,
}

impl Connection {
    pub(super) fn new(
        (url, tokens): (String, Tokens),
        options: Options,
        requests: mpsc::Receiver<Request>,
        state: watch::Sender<ConnectionState>,
    ) -> Self {
        Self {
            url,
            tokens,
            requests,
            in_flight: InFlight::new(&options),
            subscriptions: Subscriptions::new(&options),
            backoff: Backoff::with_full_jitter(options.backoff_first, options.backoff_most),
            state,
            alarm: None,
            options,
        }
    }

    /// Serves until all handles are dropped, or the server says not to reconnect.
    pub(super) async fn run(mut self, mut socket: AuthenticatedConnection) {
        let fate = loop {
            let Stop::Lost(lost) = self.serve(&mut socket).await else { return };
            let reason = match lost.reason() {
                Ok(reason) => reason,
                Err(error) => break error,
            };
            tracing::debug!(%reason, "connection lost");
            self.state.send_replace(ConnectionState::Reconnecting { reason });
            match self.reconnect().await {
                Ok(Some(next)) => socket = next,
                Ok(None) => return,
                Err(error) => break error,
            }
        };
        self.state.send_replace(ConnectionState::Closed(fate.clone()));
        self.in_flight.fail(&fate);
        self.subscriptions.fail(&fate);
        while let Some(request) = self.requests.recv().await {
            request.refuse(fate.clone());
        }
    }

    /// Retries until there is a connection, and accepts requests meanwhile. `None`: all handles were dropped.
    async fn reconnect(&mut self) -> Result<Option<AuthenticatedConnection>, ClientError> {
        loop {
            let wait = self.backoff.next_wait();
            let (url, tokens) = (self.url.clone(), self.tokens.clone());
            let attempt = async move {
                sleep(wait).await;
                AuthenticatedConnection::connect(&url, &tokens).await
            };
            tokio::pin!(attempt);
            let connected = loop {
                tokio::select! {
                    connected = &mut attempt => break connected,
                    request = self.requests.recv(), if self.in_flight.has_room() => match request {
                        Some(request) => drop(self.accept(request)),
                        None => return Ok(None),
                    },
                }
            };
            match connected {
                Ok(socket) => return Ok(Some(socket)),
                Err(lost) => {
                    let reason = lost.reason()?;
                    tracing::debug!(%reason, "no connection yet");
                }
            }
        }
    }

    async fn serve(&mut self, socket: &mut AuthenticatedConnection) -> Stop {
        self.state.send_replace(ConnectionState::Connected);
        self.subscriptions.all().iter().for_each(|frame| push(socket, frame));
        self.in_flight.all().into_iter().for_each(|text| socket.push(text));
        let mut last_data = Instant::now();
        loop {
            let alarm = self.alarm.unwrap_or(last_data + self.options.silence);
            tokio::select! {
                incoming = socket.next() => {
                    let incoming = match incoming {
                        Ok(incoming) => incoming,
                        Err(lost) => return Stop::Lost(lost),
                    };
                    last_data = Instant::now();
                    self.backoff.reset();
                    if let Incoming::Text(text) = incoming
                        && let Err(error) = self.handle_text(&text, socket)
                    {
                        return Stop::Lost(Lost::Permanent(error));
                    }
                }
                request = self.requests.recv(), if self.in_flight.has_room() => match request {
                    Some(request) => self.accept(request).into_iter().for_each(|text| socket.push(text)),
                    None => return Stop::Abandoned,
                },
                notice = self.subscriptions.notice() => {
                    self.subscriptions.handle(&notice).iter().for_each(|frame| push(socket, frame));
                }
                () = sleep_until(alarm), if self.alarm.is_some() => self.send_due(socket),
                () = sleep_until(last_data + self.options.silence) => {
                    return Stop::Lost(Lost::Temporary("no data from the server in time".to_owned()));
                }
            }
        }
    }

    /// Accepts a request, and returns what to send for it.
    fn accept(&mut self, request: Request) -> Option<String> {
        match request {
            Request::Command { commands, reply } => self.in_flight.add(commands, reply),
            Request::Subscribe { wanted, reply } => {
                self.subscriptions.add(wanted, reply).and_then(|frame| text_of(&frame))
            }
        }
    }

    fn handle_text(&mut self, text: &str, socket: &mut AuthenticatedConnection) -> Result<(), ClientError> {
        let Some(frame) = parse(text)? else { return Ok(()) };
        let answer = match frame {
            ServerFrame::Ack { id, revision, duplicate, .. } => {
                self.in_flight.answer(&id, Ok(CommandReceipt { revision, duplicate }));
                None
            }
            ServerFrame::Error { id: Some(Given::Text(id)), retryable: true, .. } => {
                let due = self.in_flight.postpone(&id);
                self.set_alarm(due);
                None
            }
            ServerFrame::Error { id: Some(Given::Text(id)), code, message, .. } => {
                self.in_flight.answer(&id, Err(ClientError::Refused { code, message }));
                None
            }
            ServerFrame::Error { session_id, code, message, retryable, .. } => {
                if let Some(session_id) = session_id.as_ref().and_then(Given::session_id) {
                    self.subscriptions.refused(session_id, ClientError::Refused { code, message }, retryable)
                } else {
                    tracing::warn!(code = code.as_str(), %message, "the server reports an error");
                    None
                }
            }
            frame => session_of(&frame).and_then(|session_id| self.subscriptions.handle_frame(session_id, frame)),
        };
        answer.iter().for_each(|frame| push(socket, frame));
        self.set_alarm(self.subscriptions.next_due());
        Ok(())
    }

    fn set_alarm(&mut self, due: Option<Instant>) {
        self.alarm = match (self.alarm, due) {
            (Some(alarm), Some(due)) => Some(alarm.min(due)),
            (alarm, due) => alarm.or(due),
        };
    }

    fn send_due(&mut self, socket: &mut AuthenticatedConnection) {
        let now = Instant::now();
        let (texts, next_command) = self.in_flight.due(now);
        texts.into_iter().for_each(|text| socket.push(text));
        self.subscriptions.due(now).iter().for_each(|frame| push(socket, frame));
        self.alarm = next_command;
        self.set_alarm(self.subscriptions.next_due());
    }
}

fn push(socket: &mut AuthenticatedConnection, frame: &ClientFrame) {
    text_of(frame).into_iter().for_each(|text| socket.push(text));
}

/// A frame as text. Frames of this crate always have one.
fn text_of(frame: &ClientFrame) -> Option<String> {
    serde_json::to_string(frame).inspect_err(|error| tracing::error!(%error, "a frame cannot be encoded")).ok()
}

/// A newer server may have more kinds of frames, which are ignored. A known kind that cannot be parsed is an
/// error: otherwise data would be missing without notice.
fn parse(text: &str) -> Result<Option<ServerFrame>, ClientError> {
    const KNOWN: [&str; 10] =
        ["subscribed", "snapshot", "delta", "event", "message", "log", "ack", "error", "end", "sessions"];
    #[derive(serde::Deserialize)]
    struct Kind {
        r#type: String,
    }
    match serde_json::from_str(text) {
        Ok(frame) => Ok(Some(frame)),
        Err(error) => match serde_json::from_str::<Kind>(text) {
            Ok(kind) if !KNOWN.contains(&kind.r#type.as_str()) => Ok(None),
            _ => Err(ClientError::Protocol(error.to_string())),
        },
    }
}

fn session_of(frame: &ServerFrame) -> Option<SessionId> {
    match frame {
        ServerFrame::Subscribed { session_id, .. }
        | ServerFrame::Snapshot { session_id, .. }
        | ServerFrame::Delta { session_id, .. }
        | ServerFrame::Event { session_id, .. }
        | ServerFrame::Message { session_id, .. }
        | ServerFrame::Log { session_id, .. }
        | ServerFrame::Token { session_id, .. }
        | ServerFrame::End { session_id, .. } => Some(*session_id),
        _ => None,
    }
}
