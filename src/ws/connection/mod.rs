//! One client's connection: subscriptions, commands, answers, pings and closing.

mod credential;
mod subscriptions;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};
use tokio_util::task::AbortOnDropHandle;

use crate::ws::client::Client;
use crate::ws::closing;
use crate::ws::commands::{InFlight, Submitted};
use crate::ws::frame_ids::FrameIds;
use crate::ws::frames;
use crate::ws::gateway::Gateway;
use crate::ws::list;
use crate::ws::places::Places;
use crate::ws::reader::{MESSAGE_BYTES, Reader};
use crate::ws::refusals;
use crate::ws::replay::{Replay, ReplayControl};
use crate::ws::socket::{OUTBOX_BYTES, Socket};
use crate::ws::socket_kind::SocketKind;
use crate::ws::transport::Transport;

use crate::hub::Chunk;
use crate::storage::SessionFilter;
use relive_protocol::{ClientFrame, CloseCode, CommandFrame, ErrorCode, FromClient as _, ServerFrame};
use relive_session::SessionId;

pub(in crate::ws) use credential::{Expiring, Identity};
use subscriptions::Subscribed;
pub(in crate::ws) use subscriptions::refresh;

/// Time between two pings, 20% more or less so that clients do not synchronise.
const PING: Duration = Duration::from_secs(25);

/// How long a client may be silent after a ping.
const PONG: Duration = Duration::from_secs(10);

/// How long the answers to commands under way are waited for before the server closes a connection.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// A client's connection, owned by its task.
pub(super) struct ClientConnection {
    gateway: Gateway,
    identity: Identity,
    _places: Places,
    socket: Arc<Socket>,
    reader: Reader,
    viewers: HashMap<SessionId, Subscribed>,
    in_flight: Option<Box<InFlight>>,
    /// The session of a `/ws/sessions/{id}` socket.
    only: Option<SessionId>,
    list: Option<ShownList>,
    /// On a `/ws/sessions/{id}/replay` socket.
    replay: Option<Box<Replay>>,
    next_ping: Instant,
    /// Set while a ping is unanswered.
    pong_due: Option<Instant>,
    /// Frames that were refused for their rate since the last that was not.
    refused_frames: u32,
}

/// A live list, and what it shows.
struct ShownList {
    filter: SessionFilter,
    limit: u32,
    task: AbortOnDropHandle<()>,
}

/// What woke the connection's task.
enum Wakeup {
    Message(Option<Result<Message, WebSocketError>>),
    Answers(Bytes),
    Called,
    Writable,
    Time,
    Revoked,
    Stop,
}

impl ClientConnection {
    pub fn new(
        gateway: Gateway,
        identity: Identity,
        places: Places,
        stream: Transport,
        already_read: Bytes,
    ) -> Box<Self> {
        let socket = Arc::new(Socket::new(stream));
        let reader = Reader::new(Arc::clone(&socket), already_read, MESSAGE_BYTES);
        Box::new(Self {
            gateway,
            identity,
            _places: places,
            socket,
            reader,
            viewers: HashMap::new(),
            in_flight: None,
            only: None,
            list: None,
            replay: None,
            next_ping: Instant::now() + jittered(PING),
            pong_due: None,
            refused_frames: 0,
        })
    }

    /// Serves the client until the connection has ended.
    pub async fn run(mut self: Box<Self>, opening: SocketKind) {
        // What is awaited once, or seldom, is boxed: every viewer's task would need the memory for it.
        let code = match Box::pin(self.open(opening)).await {
            Ok(()) => self.serve().await,
            Err(code) => Some(code),
        };
        self.viewers.clear();
        self.list = None;
        self.replay = None;
        if code.is_some() {
            Box::pin(self.last_answers()).await;
        }
        match code {
            Some(code) => Box::pin(closing::close(&self.socket, code)).await,
            None => Box::pin(closing::finish(&self.socket)).await,
        }
    }

    /// Answers the commands that were accepted before the server ends the connection: they may be committed, and
    /// the client would not know.
    async fn last_answers(&mut self) {
        let Some(in_flight) = &mut self.in_flight else { return };
        let answered = async {
            while in_flight.is_waiting() && !self.socket.is_broken() {
                let frames = in_flight.next().await;
                self.socket.send(frames);
            }
        };
        // What is not answered by then is told by the close code alone, as when a connection breaks.
        let _ = tokio::time::timeout(LAST_ANSWERS, answered).await;
    }

    async fn open(&mut self, opening: SocketKind) -> Result<(), CloseCode> {
        match opening {
            SocketKind::Many => Ok(()),
            SocketKind::One(subscribe) => {
                let id = subscribe.session_id;
                self.only = Some(id);
                match self.join(&subscribe).await {
                    Ok(None) => Ok(()),
                    Ok(Some(code)) => Err(code),
                    Err(error) => {
                        self.socket.send(refusals::frame(None, id, &error));
                        Err(refusals::close_code(&error))
                    }
                }
            }
            SocketKind::List(filter, limit) => {
                let (gateway, client) = (self.gateway.clone(), Client::Socket(Arc::clone(&self.socket)));
                let task = tokio::spawn(list::follow(gateway, client, SessionFilter::clone(&filter), limit));
                self.list = Some(ShownList { filter: *filter, limit, task: AbortOnDropHandle::new(task) });
                Ok(())
            }
            SocketKind::Replay(request) => {
                if let Err(error) = self.identity.scoped.readable(request.session_id).await {
                    self.socket.send(refusals::frame(None, request.session_id, &error));
                    return Err(refusals::close_code(&error));
                }
                match Box::pin(Replay::open(
                    self.gateway.clone(),
                    Arc::clone(&self.socket),
                    self.identity.may_read(),
                    request,
                ))
                .await
                {
                    Ok(replay) => self.replay = Some(Box::new(replay)),
                    Err((frame, code)) => {
                        self.socket.send(frame);
                        return Err(code);
                    }
                }
                Ok(())
            }
            SocketKind::Refused(code, message) => {
                let error = refusals::error_code_of(code);
                self.socket.send(frames::error_frame(None, None, error, &message));
                Err(code)
            }
        }
    }

    /// Serves the client until one side ends it; returns the code to close with, if the client is
    /// still connected.
    async fn serve(&mut self) -> Option<CloseCode> {
        loop {
            let woken = self.wait().await;
            let end = match woken {
                Wakeup::Message(None) => return None,
                Wakeup::Message(Some(Err(error))) => {
                    return Box::pin(closing::explain(&self.socket, &mut self.reader, &error)).await;
                }
                Wakeup::Message(Some(Ok(message))) => {
                    self.pong_due = None;
                    self.receive(message).await
                }
                Wakeup::Answers(frames) => {
                    self.socket.send(frames);
                    None
                }
                Wakeup::Writable => {
                    self.socket.flush();
                    None
                }
                Wakeup::Called => None,
                Wakeup::Time => self.check_time(),
                Wakeup::Revoked => Some(CloseCode::BadToken),
                Wakeup::Stop => Some(CloseCode::Restarting),
            };
            if end.is_some() {
                return end;
            }
            if self.socket.is_broken() {
                return None;
            }
            let end = match &mut self.replay {
                Some(replay) => Box::pin(replay.serve()).await,
                None => self.serve_viewers().await,
            };
            if end.is_some() {
                return end;
            }
        }
    }

    async fn wait(&mut self) -> Wakeup {
        let blocked = self.socket.is_blocked();
        let may_read = self.may_read();
        let deadline = self.deadline();
        let answers = async {
            match &mut self.in_flight {
                Some(in_flight) => in_flight.next().await,
                None => std::future::pending().await,
            }
        };
        let session_changed = async {
            match &mut self.replay {
                Some(replay) => Box::pin(replay.session_changed()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            frames = answers => Wakeup::Answers(frames),
            _ = self.socket.stream().tcp().writable(), if blocked => Wakeup::Writable,
            message = self.reader.next(), if may_read => Wakeup::Message(message),
            () = self.socket.wake.notified() => Wakeup::Called,
            () = session_changed => Wakeup::Called,
            () = self.gateway.stop.cancelled() => Wakeup::Stop,
            () = self.identity.revoked() => Wakeup::Revoked,
            () = tokio::time::sleep_until(deadline) => Wakeup::Time,
        }
    }

    /// Whether another frame is read now: the client has room for answers, and its commands have places.
    fn may_read(&self) -> bool {
        self.socket.waiting_bytes() < OUTBOX_BYTES
            && self.in_flight.as_ref().is_none_or(|in_flight| !in_flight.is_full())
    }

    fn deadline(&self) -> Instant {
        let keep_alive = self.pong_due.unwrap_or(self.next_ping);
        let dues = self.viewers.values().filter_map(|subscribed| subscribed.due);
        let replay = self.replay.as_ref().and_then(|replay| replay.due());
        dues.chain(replay).chain(self.socket.stalls_at()).chain(self.identity.due()).fold(keep_alive, Instant::min)
    }

    fn check_time(&mut self) -> Option<CloseCode> {
        let now = Instant::now();
        if self.socket.stalls_at().is_some_and(|stalls| stalls <= now) {
            return Some(CloseCode::WriteStalled);
        }
        if let Some(code) = self.check_expiry(now) {
            return Some(code);
        }
        match self.pong_due {
            // A pong that is not read cannot be waited for.
            Some(due) if due <= now && !self.may_read() => self.pong_due = Some(now + PONG),
            Some(due) if due <= now => return Some(CloseCode::NoPong),
            None if self.next_ping <= now => {
                self.socket.send(frames::ping());
                self.pong_due = Some(now + PONG);
                self.next_ping = now + jittered(PING);
            }
            _ => {}
        }
        None
    }

    /// Returns the code to close with, if the connection ends.
    async fn receive(&mut self, message: Message) -> Option<CloseCode> {
        match message {
            Message::Text(text) => match ClientFrame::read(&text) {
                Ok(ClientFrame::Command(command)) => return self.submit(*command, &text),
                Ok(frame) => return Box::pin(self.handle(frame, &text)).await,
                Err(error) => self.reject_frame(&text, &format!("not a frame of this protocol: {error}")),
            },
            Message::Binary(bytes) => {
                self.reject_frame(std::str::from_utf8(&bytes).unwrap_or_default(), "frames must be text");
            }
            // Control frames are answered while reading.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
        None
    }

    /// Answers an invalid frame with an error, with the ids of the frame if they can be read.
    fn reject_frame(&self, text: &str, problem: &str) {
        let mut ids = FrameIds::read(text);
        if ids.session_id.is_none()
            && let Some(replay) = &self.replay
        {
            ids.session_id = serde_json::value::to_raw_value(&replay.session_id()).ok();
        }
        self.socket.send(frames::error_about(&ids, ErrorCode::BadRequest, problem));
    }

    async fn handle(&mut self, frame: ClientFrame, text: &str) -> Option<CloseCode> {
        match frame {
            ClientFrame::Replay { .. }
            | ClientFrame::Subscribe(_)
            | ClientFrame::Unsubscribe { .. }
            | ClientFrame::Token { .. }
                if let Some(replay) = &mut self.replay =>
            {
                match ReplayControl::read(&frame) {
                    Ok(control) => Box::pin(replay.steer(control)).await,
                    Err(problem) => self.reject_frame(text, &problem),
                }
            }
            ClientFrame::Command(command) => return self.submit(*command, text),
            ClientFrame::Subscribe(subscribe) => return self.subscribe(&subscribe, text).await,
            ClientFrame::Unsubscribe { session_id } => drop(self.viewers.remove(&session_id)),
            ClientFrame::Ping => self.socket.send(frames::text(&ServerFrame::Pong)),
            ClientFrame::Token { session_id, node_id, message_id, text, agent_id, is_thinking } => {
                let chunk = Chunk { node_id, message_id, text, agent_id, is_thinking };
                // One that is not shown is not answered either: for clients, an error with the id of a session and
                // without one of its own ends their subscription.
                if self.identity.scoped.may_show_chunk(session_id, &chunk).await {
                    self.gateway.hub.announce_chunk(session_id, &chunk);
                    self.gateway.rooms.show_chunk(session_id, chunk, Arc::downgrade(&self.socket));
                }
            }
            ClientFrame::Auth { token } => return Box::pin(self.authenticate(&token)).await,
            ClientFrame::Replay { .. } => {
                let problem = "this socket is live; replays are at /ws/sessions/{id}/replay";
                self.reject_frame(text, problem);
            }
        }
        None
    }
}

/// Frames in a row that may be refused for their rate before the connection is ended: the client goes on in spite
/// of the refusals.
const REFUSED_FRAMES: u32 = 100;

impl ClientConnection {
    fn submit(&mut self, command: CommandFrame, text: &str) -> Option<CloseCode> {
        self.reader.stay_ready();
        let in_flight = self.in_flight.get_or_insert_with(|| Box::new(InFlight::new()));
        let submitted = in_flight.submit(&self.identity.scoped, command, text);
        self.answer_at_once(submitted)
    }

    /// Tells the client what became of a command, if that is known at once.
    fn answer_at_once(&mut self, submitted: Submitted) -> Option<CloseCode> {
        match submitted {
            Submitted::Taken => self.refused_frames = 0,
            Submitted::Refused(frame) => {
                self.refused_frames = 0;
                self.socket.send(frame);
            }
            Submitted::Limited(frame) => {
                self.socket.send(frame);
                self.refused_frames += 1;
                return (self.refused_frames > REFUSED_FRAMES).then_some(CloseCode::RateLimited);
            }
        }
        None
    }
}

fn jittered(period: Duration) -> Duration {
    period.mul_f64(rand::random_range(0.8..1.2))
}
