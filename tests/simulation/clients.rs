//! What clients ask for, what they were answered, and whether that was right: the shadow model.
//!
//! Every request leaves a mark in the context data that nothing else leaves, so that the journal says
//! whether it was carried out, when, and how often.

use std::collections::BTreeMap;
use std::sync::Arc;

use relive::hub::{CommandResult, CreateOptions, Hub, HubError, Submission};
use relive::storage::Constraint;
use relive_session::{
    Command, Created, Event as Happened, LabelFields, LogLevel, MessageId, NodeId, Refusal, Revision, SessionId,
    SessionIdentity,
};
use serde_json::json;

use crate::database::{Database, Row};
use crate::world::{Event, Shared, World};

/// What a client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// Thinks of something to ask of a session.
    Think {
        session: usize,
    },
    /// Sends a request, for the first time or again.
    Send {
        request: usize,
    },
    /// The answer has come, or the connection is gone, or nobody waits any longer.
    Heard {
        request: usize,
        attempt: usize,
    },
    Lost {
        request: usize,
        attempt: usize,
    },
    /// Looks for what waits for somebody.
    Look,
    View {
        viewer: usize,
    },
}

#[derive(Debug, Default)]
pub struct Clients {
    pub sessions: Vec<Known>,
    pub requests: Vec<Request>,
    pub viewers: Vec<Viewer>,
    /// Attempts of the simulation's own nodes that were begun.
    pub begun: BTreeMap<(SessionId, SessionIdentity, NodeId), u64>,
    pub calm: bool,
    /// How many requests of a hundred delete their session.
    pub deletions: u64,
}

/// A session, as its client knows it.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each says something by itself")]
pub struct Known {
    pub id: SessionId,
    pub created: Created,
    /// Whether the run of its graph fails.
    pub fails: bool,
    pub is_there: bool,
    /// Somebody has asked for its end.
    pub ended_by_client: bool,
    pub deleted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Create,
    Start,
    Mark,
    Speak,
    /// Speaks under an id that is given to one message only.
    Repeat,
    /// Sets what may be set so already.
    Set,
    Pause,
    Resume,
    Review,
    Cancel,
    Delete,
}

#[derive(Debug)]
pub struct Request {
    pub session: usize,
    pub what: What,
    pub node: Option<NodeId>,
    pub command_id: Option<Arc<str>>,
    pub expected: Option<Revision>,
    pub attempts: Vec<Attempt>,
    /// Attempts that nothing more is waited for of.
    pub settled: usize,
    pub state: State,
}

#[derive(Debug)]
pub struct Attempt {
    pub sent: u64,
    pub answer: Option<CommandResult>,
    pub answered: u64,
    /// Whether the session was stored when it was sent, and which of those of its id.
    pub was_stored: Option<usize>,
    /// Where it was then.
    pub revision: Revision,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    Done,
    Refused,
    /// Without a command id there is no way to ask.
    Unknown,
}

#[derive(Debug)]
pub struct Viewer {
    pub session: usize,
    pub wants_events: bool,
    /// Which session it was shown last: it may be another one by the same id.
    pub identity: Option<SessionIdentity>,
    /// Events up to this revision were shown, over all its connections.
    pub cursor: Revision,
    /// The state shown last on this connection.
    pub shown: Revision,
    pub is_connected: bool,
    pub saw_deletion: bool,
}

/// What [`What::Set`] sets.
const SWITCH: &str = "switch";

impl Request {
    fn commands(&self, number: usize) -> Vec<Command> {
        let mark = Command::set_context(mark(number), json!(number));
        let node = || self.node.clone().unwrap_or_else(|| "a".into());
        let message = |message_id| Command::AddMessage {
            message_id,
            node_id: node(),
            agent_id: None,
            agent_name: None,
            role: None,
            content: format!("message {number}"),
            is_thinking: None,
            token_count: None,
            tool_calls: None,
            tool_call_id: None,
            content_type: None,
        };
        match self.what {
            What::Create | What::Delete => Vec::new(),
            What::Start => vec![Command::Start, mark],
            What::Mark if number.is_multiple_of(4) => {
                let tags = Some(vec![format!("request{number}")]);
                vec![Command::SetLabels(LabelFields { tags, ..LabelFields::default() }), mark]
            }
            What::Mark => vec![mark],
            What::Speak if number.is_multiple_of(3) => {
                let text = format!("line {number}");
                let log = Command::AddLog { node_id: node(), level: LogLevel::Info, text, at: None, attributes: None };
                vec![message(None), log, mark]
            }
            What::Speak => vec![message(None), mark],
            What::Repeat => vec![message(repeated()), mark],
            What::Set => vec![Command::set_context(SWITCH, json!(number % 2))],
            What::Pause => vec![Command::Pause, mark],
            What::Resume => vec![Command::Resume, mark],
            What::Review => {
                let payload = json!({"review": {"action": "approve"}});
                vec![Command::signal(node(), payload), mark]
            }
            What::Cancel => vec![mark, Command::Cancel { reason: None }],
        }
    }
}

/// An id that a message has already, or will have.
fn repeated() -> Option<MessageId> {
    MessageId::new("repeated")
}

fn mark(number: usize) -> String {
    format!("request{number}")
}

/// Whether an event is the last one of a request.
fn ends(request: &Request, number: usize, event: &Happened) -> bool {
    match (request.what, event) {
        (What::Cancel, Happened::Cancelled { .. }) => true,
        (What::Cancel, _) => false,
        (_, Happened::ContextSet { key, .. }) => *key == mark(number),
        _ => false,
    }
}

impl Clients {
    /// What is, and was, stored of a session, the newest first.
    pub fn rows<'a>(&self, database: &'a Database, session: usize) -> impl Iterator<Item = &'a Row> + use<'a> {
        database.rows_of(self.sessions[session].id)
    }
}

impl World {
    pub fn stored_as(&self, session: usize) -> Option<usize> {
        self.database.stored_as(self.clients.sessions[session].id)
    }

    /// Adds a request, and sends it soon.
    pub fn ask(&mut self, session: usize, what: What, node: Option<NodeId>, careful: bool) {
        let number = self.clients.requests.len();
        let has_id = careful || self.chance.per_mille(700);
        let command_id = has_id.then(|| Arc::from(format!("id{number}")));
        let revision = self.clients.rows(&self.database, session).next().map(Row::revision);
        let conditional = !careful && matches!(what, What::Mark | What::Set | What::Speak | What::Pause | What::Cancel);
        let expected = revision.filter(|_| conditional && self.chance.per_mille(300));
        let request =
            Request { session, what, node, command_id, expected, attempts: Vec::new(), settled: 0, state: State::Open };
        self.clients.requests.push(request);
        self.act(1, Act::Send { request: number });
    }

    pub fn act(&mut self, after: u64, act: Act) {
        self.schedule(self.now + after, Event::Client(act));
    }

    /// Thinks of something to do with a session.
    pub fn think(&mut self, session: usize) {
        let known = &self.clients.sessions[session];
        if self.clients.calm || known.deleted || !known.is_there {
            return;
        }
        let node = known.created.graph.as_ref().and_then(|graph| graph.nodes.keys().next().cloned());
        let what = match self.chance.below(100) {
            number if number < self.clients.deletions => What::Delete,
            0..=46 => What::Mark,
            47..=54 => What::Set,
            55..=69 => What::Speak,
            70..=74 => What::Repeat,
            75..=83 => What::Pause,
            84..=93 => What::Resume,
            94..=95 => What::Cancel,
            _ => What::Mark,
        };
        match what {
            What::Cancel => self.clients.sessions[session].ended_by_client = true,
            What::Delete => self.clients.sessions[session].deleted = true,
            _ => {}
        }
        self.ask(session, what, node, false);
        let pause = self.chance.between(1, 1_500);
        self.act(pause, Act::Think { session });
    }

    /// Looks for what waits for somebody: reviews, and in the end sessions that are paused.
    pub fn look(&mut self) {
        let mut found = Vec::new();
        for (session, known) in self.clients.sessions.iter().enumerate() {
            let Some(row) = self.database.rows.get(&known.id) else { continue };
            let state = row.state();
            let is_asked = |what: What, node: Option<&NodeId>| {
                let open = |request: &&Request| request.state == State::Open && request.session == session;
                let same = |request: &Request| request.what == what && request.node.as_ref() == node;
                self.clients.requests.iter().filter(open).any(same)
            };
            if state.status.is_live() {
                let waits = |id: &&NodeId| {
                    state.node_status(id) == Some(relive_session::NodeStatus::Suspended)
                        && !state.signals.contains_key(*id)
                        && !is_asked(What::Review, Some(id))
                };
                found.extend(state.active.iter().filter(waits).map(|id| (session, What::Review, Some(id.clone()))));
            }
            let is_paused = state.status == relive_session::SessionStatus::Paused;
            if is_paused && self.clients.calm && !is_asked(What::Resume, None) {
                found.push((session, What::Resume, None));
            }
        }
        for (session, what, node) in found {
            if self.clients.calm || self.chance.per_mille(400) {
                self.ask(session, what, node, true);
            }
        }
        let pause = self.chance.between(200, 900);
        self.act(pause, Act::Look);
    }

    /// What comes of an answer, or of none.
    pub fn heard(&mut self, number: usize, attempt: usize, lost: bool) {
        let request = &mut self.clients.requests[number];
        if request.state != State::Open || request.settled != attempt {
            return;
        }
        request.settled += 1;
        let answer = request.attempts[attempt].answer.clone().filter(|_| !lost);
        let can_ask_again = request.command_id.is_some() || matches!(request.what, What::Create | What::Delete);
        let (session, what) = (request.session, request.what);
        let state = match answer {
            Some(Ok(_)) => State::Done,
            None | Some(Err(HubError::Unavailable | HubError::Internal)) if can_ask_again => {
                let pause = self.chance.between(20, 1_000);
                return self.act(pause, Act::Send { request: number });
            }
            None | Some(Err(HubError::Unavailable | HubError::Internal)) => State::Unknown,
            Some(Err(_)) => State::Refused,
        };
        self.clients.requests[number].state = state;
        if state == State::Done && what == What::Delete && !self.clients.calm && self.chance.per_mille(500) {
            self.clients.sessions[session].deleted = false;
            self.clients.sessions[session].is_there = false;
            self.ask(session, What::Create, None, true);
        }
        if state == State::Done && what == What::Create {
            self.clients.sessions[session].is_there = true;
            self.watch_again(session);
            if self.clients.sessions[session].created.driver == relive_session::Driver::Builtin {
                self.ask(session, What::Start, None, true);
            }
            self.act(1, Act::Think { session });
        }
    }

    /// Those who saw that a session was deleted look at the one that was made in its place.
    fn watch_again(&mut self, session: usize) {
        let gone = |viewer: &&mut Viewer| viewer.session == session && viewer.saw_deletion && !viewer.is_connected;
        let mut again = Vec::new();
        for (number, viewer) in self.clients.viewers.iter_mut().enumerate() {
            if gone(&viewer) {
                viewer.saw_deletion = false;
                again.push(number);
            }
        }
        for viewer in again {
            let pause = self.chance.between(1, 500);
            self.act(pause, Act::View { viewer });
        }
    }

    /// Whether an answer is right, as things stand when it is given.
    fn check_answer(&mut self, number: usize, attempt: usize, outcome: CommandResult) {
        let request = &self.clients.requests[number];
        let rows = || self.clients.rows(&self.database, request.session);
        let was_stored = request.attempts[attempt].was_stored;
        let still_stored = was_stored.is_some() && was_stored == self.stored_as(request.session);
        let problem = match &outcome {
            Ok(receipt) => match request.what {
                What::Create => rows().next().is_none().then(|| "created, but not stored".to_owned()),
                What::Delete => still_stored.then(|| "deleted, but still stored".to_owned()),
                _ if !receipt.duplicate && still_stored && receipt.revision < request.attempts[attempt].revision => {
                    let before = request.attempts[attempt].revision;
                    Some(format!("answered with revision {}, and was sent at {before}", receipt.revision))
                }
                What::Set => {
                    let value = json!(number % 2);
                    let is_so = |state: &Arc<relive_session::Session>| {
                        state.context.get(SWITCH).is_some_and(|set| **set.value() == value)
                    };
                    let is_set = rows().any(|row| row.state_at(receipt.revision).is_some_and(is_so));
                    (!is_set).then(|| format!("answered with revision {}, where it is not so", receipt.revision))
                }
                _ => {
                    let stored = rows().find_map(|row| row.stored(receipt.revision));
                    let mut all = rows().filter_map(|row| row.stored(receipt.revision));
                    let is_it = all.any(|stored| ends(request, number, &stored.recorded.event));
                    let events = request.commands(number).len() as Revision;
                    let at = request.expected.map(|expected| expected + events);
                    if !is_it {
                        let stored = stored.map(|stored| &stored.recorded.event);
                        Some(format!("answered with revision {}, where the journal has {stored:?}", receipt.revision))
                    } else if at.is_some_and(|at| at != receipt.revision) {
                        Some(format!("answered with revision {} and not {at:?}", receipt.revision))
                    } else {
                        None
                    }
                }
            },
            Err(HubError::NotFound) => {
                let happens = request.what == What::Delete && request.attempts.len() > 1;
                (still_stored && !happens).then(|| "told that there is no such session".to_owned())
            }
            Err(HubError::Refused(Refusal::RevisionConflict { actual, .. })) => {
                let newest = rows().map(Row::revision).max().unwrap_or_default();
                (*actual > newest).then(|| format!("told of revision {actual}, and {newest} is the newest"))
            }
            Err(HubError::Constraint(Constraint::TextExists)) => {
                let is_said = rows().any(|row| repeated().is_some_and(|id| row.has_message(&id)));
                (!is_said).then(|| "told of a message that is not there".to_owned())
            }
            Err(_) => None,
        };
        self.note("answer", &[number as u64, attempt as u64], || format!("{outcome:?}"));
        if let Some(problem) = problem {
            let what = self.clients.requests[number].what;
            self.wrong(format!("request {number} ({what:?}) was {problem}"));
        }
        let answered = self.now;
        let told = &mut self.clients.requests[number].attempts[attempt];
        (told.answer, told.answered) = (Some(outcome), answered);
        self.act(0, Act::Heard { request: number, attempt });
    }
}

/// Tells of an answer, or that there will be none.
struct Waiting {
    world: Shared,
    number: usize,
    attempt: usize,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let act = Act::Lost { request: self.number, attempt: self.attempt };
        self.world.lock().fallen.push(act);
    }
}

/// Sends a request through a server.
pub fn send(world: &Shared, number: usize, hub: Hub) -> impl Future<Output = ()> + Send + 'static {
    let shared = Arc::clone(world);
    let mut world = world.lock();
    let (now, patience) = (world.now, world.chance.between(3_000, 20_000));
    let session = world.clients.requests[number].session;
    let was_stored = world.stored_as(session);
    let revision = world.database.rows.get(&world.clients.sessions[session].id).map_or(0, Row::revision);
    let request = &mut world.clients.requests[number];
    let attempt = request.attempts.len();
    request.attempts.push(Attempt { sent: now, answer: None, answered: 0, was_stored, revision });
    let what = request.what;
    let commands = request.commands(number);
    let (command_id, expected_revision) = (request.command_id.clone(), request.expected);
    let known = &world.clients.sessions[session];
    let (id, created) = (known.id, known.created.clone());
    world.act(patience, Act::Lost { request: number, attempt });
    world.note("send", &[number as u64, attempt as u64], || format!("{what:?} to {id}"));
    let waiting = Waiting { world: shared, number, attempt };
    async move {
        let receipt = |revision| relive::hub::Receipt { revision, duplicate: false };
        let outcome = match what {
            What::Create => {
                let options = CreateOptions { key: Some(format!("key{session}")), ..CreateOptions::default() };
                hub.create(id, created, options).await.map(|new| receipt(new.revision))
            }
            What::Delete => hub.delete(id, None).await.map(|()| receipt(0)),
            _ => hub.execute(Submission { command_id, expected_revision, ..Submission::new(id, commands) }).await,
        };
        waiting.world.lock().check_answer(number, attempt, outcome);
        // `Lost` after `Heard` means nothing.
    }
}
