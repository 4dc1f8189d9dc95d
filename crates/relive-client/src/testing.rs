//! For tests: a session in memory, and a small server that serves it over real sockets, with injected faults.

// A panic here fails the test that uses it.
#![allow(clippy::expect_used, clippy::panic, clippy::missing_panics_doc, clippy::result_large_err)]

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use relive_protocol::{ClientFrame, CommandFrame, CreateSession, ErrorCode, Mode, ServerFrame, Subscribe};
use relive_session::{
    Command, Created, Event, GraphDefinition, ProjectId, Recorded, Refusal, Revision, Session, SessionId, Timestamp,
    decide,
};

/// One session, by the same rules as on a real server.
#[derive(Debug)]
pub struct Memory {
    pub session: Session,
    pub history: Vec<Recorded>,
    done: HashMap<String, Revision>,
}

impl Memory {
    pub fn new(graph: Option<GraphDefinition>) -> Self {
        Self::with_id(SessionId::generate(), graph)
    }

    fn with_id(session_id: SessionId, graph: Option<GraphDefinition>) -> Self {
        let created = Created { graph: graph.map(Arc::new), ..Created::default() };
        let recorded = Recorded {
            session_id,
            revision: 1,
            at: Timestamp::now(),
            by: None,
            event: Event::Created(Box::new(created)),
        };
        Self::of(&recorded)
    }

    /// One that begins with this event.
    pub fn of(created: &Recorded) -> Self {
        let session = Session::create(created).expect("a beginning");
        Self { session, history: vec![created.clone()], done: HashMap::new() }
    }

    /// Carries out all or none; the flag says that this `command_id` was known.
    pub fn carry_out(&mut self, commands: &[Command], command_id: Option<&str>) -> Result<(Revision, bool), Refusal> {
        if let Some(revision) = command_id.and_then(|id| self.done.get(id)) {
            return Ok((*revision, true));
        }
        let (mut session, mut recorded) = (self.session.clone(), Vec::new());
        for command in commands {
            for event in decide(&session, command)? {
                let next = Recorded {
                    session_id: session.id,
                    revision: session.revision + 1,
                    at: Timestamp::now(),
                    by: None,
                    event,
                };
                session.apply(&next).expect("what was decided fits");
                recorded.push(next);
            }
        }
        self.session = session;
        self.history.extend(recorded);
        if let Some(id) = command_id {
            self.done.insert(id.to_owned(), self.session.revision);
        }
        Ok((self.session.revision, false))
    }
}

/// The faults of one connection.
#[derive(Clone, Debug, Default)]
pub struct Fault {
    /// Cuts the connection when this many commands have arrived, the last one not carried out.
    pub cut_before: Option<usize>,
    /// Cuts it when this many have arrived and been carried out, the last one not answered.
    pub cut_after: Option<usize>,
    /// Closes with this code at the first frame.
    pub close: Option<u16>,
    /// Refuses this many commands for the moment.
    pub unavailable: usize,
    /// Leaves this event out, once.
    pub lose: Option<Revision>,
    /// Sends this event twice.
    pub repeat: Option<Revision>,
    /// Accepts the connection, and sends nothing.
    pub mute: bool,
    /// Says this before it closes.
    pub refusal: Option<(ErrorCode, &'static str)>,
    /// Says at once that the token expires.
    pub expiring: bool,
}

pub struct Peer {
    pub url: String,
    pub memory: Arc<Mutex<Memory>>,
    head: watch::Sender<Revision>,
    faults: Mutex<VecDeque<Fault>>,
    /// How many connections there have been.
    pub connections: watch::Sender<usize>,
    /// The `Authorization` of every handshake and request, and the token of every `auth`, in their order.
    pub presented: watch::Sender<Vec<(&'static str, Option<String>)>>,
    /// The only token that requests are answered with; any will do if there is none.
    pub valid: Mutex<Option<&'static str>>,
}

impl Peer {
    /// Serves until the test's runtime ends. The first connection has the first fault, and so on.
    pub async fn start(faults: Vec<Fault>) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let peer = Arc::new(Self {
            url,
            memory: Arc::new(Mutex::new(Memory::new(None))),
            head: watch::Sender::new(1),
            faults: Mutex::new(faults.into()),
            connections: watch::Sender::new(0),
            presented: watch::Sender::default(),
            valid: Mutex::default(),
        });
        let serving = Arc::clone(&peer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = Arc::clone(&serving);
                tokio::spawn(async move {
                    let mut first = [0; 12];
                    while stream.peek(&mut first).await.ok()? < first.len() {}
                    if !first.starts_with(b"GET /ws") {
                        return serving.answer_http(stream).await;
                    }
                    let fault = serving.faults.lock().pop_front().unwrap_or_default();
                    serving.connections.send_modify(|count| *count += 1);
                    serving.serve(stream, fault).await
                });
            }
        });
        peer
    }

    pub fn id(&self) -> SessionId {
        self.memory.lock().session.id
    }

    /// A change by somebody else.
    pub fn change(&self, commands: &[Command]) {
        self.memory.lock().carry_out(commands, None).expect("accepted");
        self.tell();
    }

    fn tell(&self) {
        self.head.send_replace(self.memory.lock().session.revision);
    }

    /// `POST /sessions` puts the new session in the place of the one there was; `GET` shows it.
    async fn answer_http(&self, mut stream: TcpStream) -> Option<()> {
        let (mut request, mut body_at) = (Vec::new(), None);
        loop {
            let head = body_at.map(|at: usize| String::from_utf8_lossy(&request[..at]).to_ascii_lowercase());
            let length = head.as_deref().map(|head| {
                head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0)
            });
            if let (Some(at), Some(length)) = (body_at, length)
                && request.len() >= at + length
            {
                break;
            }
            (stream.read_buf(&mut request).await.ok()? > 0).then_some(())?;
            body_at = request.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4);
        }
        let head = String::from_utf8_lossy(&request[..body_at?]).into_owned();
        let token = head.lines().find_map(|line| line.strip_prefix("authorization: ")).map(str::to_owned);
        self.present("request", token.clone());
        let valid = *self.valid.lock();
        if valid.is_some_and(|valid| token != Some(format!("Bearer {valid}"))) {
            let problem = r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"who are you?",
                "code":"unauthorized","retryable":false}"#;
            return respond(&mut stream, "401 Unauthorized", problem).await;
        }
        if request.starts_with(b"POST") {
            let asked: CreateSession = serde_json::from_slice(&request[body_at?..]).expect("a session to create");
            *self.memory.lock() = Memory::with_id(asked.id.unwrap_or_else(SessionId::generate), asked.graph);
            self.head.send_replace(1);
        }
        let body = serde_json::to_string(&self.memory.lock().session.snapshot()).expect("json");
        respond(&mut stream, "200 OK", &body).await
    }

    fn present(&self, kind: &'static str, token: Option<String>) {
        self.presented.send_modify(|presented| presented.push((kind, token)));
    }

    async fn serve(&self, stream: TcpStream, mut fault: Fault) -> Option<()> {
        let look = |request: &Request, response: Response| {
            let token = request.headers().get("authorization").map(|value| value.to_str().expect("text").to_owned());
            self.present("handshake", token);
            Ok(response)
        };
        let mut socket = tokio_tungstenite::accept_hdr_async(stream, look).await.ok()?;
        if fault.expiring {
            send(&mut socket, &ServerFrame::Expiring { expires_at: Timestamp::now() }).await?;
        }
        let mut head = self.head.subscribe();
        let (mut watching, mut commands) = (None, 0);
        loop {
            if let Some(after) = watching {
                watching = self.send_events(&mut socket, after, &mut fault).await?;
            }
            let text = tokio::select! {
                changed = head.changed() => {
                    changed.ok()?;
                    continue;
                }
                message = socket.next() => match message?.ok()? {
                    Message::Text(text) => text,
                    _ => continue,
                },
            };
            if fault.mute {
                continue;
            }
            if let Some(code) = fault.close {
                if let Some((code, message)) = fault.refusal {
                    let message = message.to_owned();
                    let frame = ServerFrame::Error { id: None, session_id: None, code, message, retryable: false };
                    send(&mut socket, &frame).await?;
                }
                let frame = CloseFrame { code: code.into(), reason: "as the test asked".into() };
                socket.close(Some(frame)).await.ok()?;
                // The client's answer ends the connection.
                while socket.next().await.is_some_and(|message| message.is_ok()) {}
                return None;
            }
            match serde_json::from_str(&text).expect("a frame of the protocol") {
                ClientFrame::Subscribe(wanted) => watching = self.subscribed(&mut socket, &wanted).await?,
                ClientFrame::Unsubscribe { .. } => watching = None,
                ClientFrame::Command(frame) => {
                    commands += 1;
                    self.command(&mut socket, *frame, commands, &mut fault).await?;
                }
                ClientFrame::Auth { token } => {
                    let project = ProjectId::default();
                    let (role, scopes, expires_at) = (None, None, None);
                    self.present("auth", Some(token));
                    send(&mut socket, &ServerFrame::Authenticated { role, scopes, project, expires_at }).await?;
                }
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    async fn subscribed(
        &self,
        socket: &mut WebSocketStream<TcpStream>,
        wanted: &Subscribe,
    ) -> Option<Option<Revision>> {
        if wanted.session_id != self.id() {
            let frame = ServerFrame::Error {
                id: None,
                session_id: Some(wanted.session_id.into()),
                code: ErrorCode::NotFound,
                message: "no such session".to_owned(),
                retryable: false,
            };
            return send(socket, &frame).await.map(|()| None);
        }
        assert_eq!(wanted.mode, Some(Mode::Events), "this peer knows no other");
        let revision = self.memory.lock().session.revision;
        send(socket, &ServerFrame::Subscribed { session_id: wanted.session_id, revision, mode: Mode::Events }).await?;
        Some(Some(wanted.after.unwrap_or_default()))
    }

    async fn send_events(
        &self,
        socket: &mut WebSocketStream<TcpStream>,
        after: Revision,
        fault: &mut Fault,
    ) -> Option<Option<Revision>> {
        let (new, status) = {
            let memory = self.memory.lock();
            let new: Vec<Recorded> = memory.history.iter().filter(|event| event.revision > after).cloned().collect();
            (new, memory.session.status)
        };
        let last = new.last().map_or(after, |event| event.revision);
        for Recorded { session_id, revision, at, by, event } in new {
            let times = match revision {
                _ if fault.lose == Some(revision) => 0,
                _ if fault.repeat == Some(revision) => 2,
                _ => 1,
            };
            if times == 0 {
                fault.lose = None;
            }
            for _ in 0..times {
                send(socket, &ServerFrame::Event { session_id, revision, at, by: by.clone(), event: event.clone() })
                    .await?;
            }
        }
        if status.is_ended() {
            send(socket, &ServerFrame::End { session_id: self.id(), status, revision: last }).await?;
            return Some(None);
        }
        Some(Some(last))
    }

    async fn command(
        &self,
        socket: &mut WebSocketStream<TcpStream>,
        frame: CommandFrame,
        nth: usize,
        fault: &mut Fault,
    ) -> Option<()> {
        let CommandFrame { id, session_id, commands, command_id, .. } = frame;
        if fault.cut_before.is_some_and(|cut| nth >= cut) {
            return None;
        }
        let refuse = |code: ErrorCode, message: String| ServerFrame::Error {
            id: Some(id.clone().into()),
            session_id: Some(session_id.into()),
            code,
            message,
            retryable: code.is_retryable(),
        };
        if fault.unavailable > 0 {
            fault.unavailable -= 1;
            return send(socket, &refuse(ErrorCode::Unavailable, "not now".to_owned())).await;
        }
        let carried_out = self.memory.lock().carry_out(&commands.expect("commands"), command_id.as_deref());
        self.tell();
        if fault.cut_after.is_some_and(|cut| nth >= cut) {
            return None;
        }
        let answer = match carried_out {
            Ok((revision, duplicate)) => {
                ServerFrame::Ack { id, session_id, revision, duplicate: duplicate.then_some(true) }
            }
            Err(refusal) => refuse(ErrorCode::from(&refusal), refusal.to_string()),
        };
        send(socket, &answer).await
    }
}

async fn respond(stream: &mut TcpStream, status: &str, body: &str) -> Option<()> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await.ok()
}

async fn send(socket: &mut WebSocketStream<TcpStream>, frame: &ServerFrame) -> Option<()> {
    socket.send(Message::text(serde_json::to_string(frame).expect("json"))).await.ok()
}
