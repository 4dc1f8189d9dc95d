//! The one clock, what is to happen when, the database, and what has been seen so far.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use relive::storage::StorageError;
use relive_session::SessionId;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::chance::Chance;
use crate::clients::{Act, Clients};
use crate::database::{Database, Process};

pub type Shared = Arc<Mutex<World>>;
pub type Action = Box<dyn FnOnce(&mut World) + Send>;

/// How long a statement may take at most, as [`relive::storage::Storage`] sees to.
const STATEMENT: u64 = 10_000;

/// The program that writes beside the servers.
pub const FOREIGN: Process = Process { server: usize::MAX, life: 0 };

/// What the scheduler is to do.
pub enum Event {
    /// Something in the world itself, such as a statement that is carried out.
    Do(Action),
    Kill {
        server: usize,
        down: u64,
    },
    Restart {
        server: usize,
    },
    Shutdown {
        server: usize,
        down: u64,
    },
    Gone {
        server: usize,
        life: u64,
        down: u64,
    },
    Stall {
        server: usize,
        until: u64,
    },
    Jump {
        server: usize,
        by: i64,
    },
    /// Something that a client does next.
    Client(Act),
}

/// How often what breaks, in a thousand statements or notices.
#[derive(Clone, Debug, Default)]
pub struct Odds {
    pub lost_answer: u64,
    pub refused: u64,
    pub delayed: u64,
    pub hangs: u64,
    pub notice_lost: u64,
    pub notice_doubled: u64,
    pub notice_late: u64,
    /// The longest time of an undisturbed statement, either way.
    pub latency: u64,
}

/// A server's way to the database.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    pub cut_until: u64,
    /// Cut without a word, instead of by an error.
    pub silent: bool,
    /// Reading sessions is refused, for good as far as the database can tell.
    pub unreadable_until: u64,
    /// Batches are carried out late.
    pub slow_until: u64,
    /// Something has come for it.
    pub woken: bool,
}

pub struct Listener {
    pub process: Process,
    pub sender: mpsc::UnboundedSender<String>,
    pub deaf: bool,
}

pub struct World {
    pub now: u64,
    pub chance: Chance,
    pub odds: Odds,
    pub database: Database,
    pub lines: Vec<Line>,
    pub listeners: BTreeMap<u64, Listener>,
    pub clients: Clients,
    /// What clients do next whose connection was dropped. In which order a runtime drops its tasks is not
    /// for a seed to say.
    pub fallen: Vec<Act>,
    queue: BTreeMap<(u64, u64), Event>,
    numbered: u64,
    pub hash: u64,
    pub shows: bool,
    pub wrong: Vec<String>,
    /// A clock has jumped by an hour.
    pub jumped: bool,
    /// What is to become of the next statement of a kind.
    pub arranged: BTreeMap<&'static str, Arranged>,
}

/// What a scenario has arranged for a statement.
#[derive(Default)]
pub struct Arranged {
    /// So many of the kind are passed over.
    pub skip: u64,
    /// It is carried out so much later.
    pub late: u64,
    /// Its answer comes so much later.
    pub answer: u64,
    /// What happens just before it is carried out.
    pub before: Option<Action>,
}

/// What becomes of a statement.
struct Fate {
    /// When it is carried out, if it is.
    at: Option<u64>,
    /// How long its answer takes from then on, or from the beginning.
    answer: u64,
    /// The answer does not come through.
    error: Option<StorageError>,
}

pub fn unavailable() -> StorageError {
    StorageError::Unavailable(sqlx::Error::WorkerCrashed)
}

impl World {
    pub fn new(chance: Chance, odds: Odds, servers: usize, clients: Clients, shows: bool) -> Self {
        Self {
            now: 0,
            chance,
            odds,
            database: Database::default(),
            lines: vec![Line::default(); servers],
            listeners: BTreeMap::new(),
            clients,
            fallen: Vec::new(),
            queue: BTreeMap::new(),
            numbered: 0,
            hash: 0xcbf2_9ce4_8422_2325,
            shows,
            wrong: Vec::new(),
            jumped: false,
            arranged: BTreeMap::new(),
        }
    }

    /// Something is to happen; what is to happen at the same time comes in an order of chance.
    pub fn schedule(&mut self, at: u64, event: Event) {
        self.numbered += 1;
        let tie = (self.chance.next() & 0xffff) << 40 | self.numbered;
        self.queue.insert((at, tie), event);
    }

    pub fn schedule_fallen(&mut self) {
        let mut fallen = std::mem::take(&mut self.fallen);
        fallen.sort_unstable();
        for act in fallen {
            let pause = self.chance.between(1, 500);
            self.act(pause, act);
        }
    }

    pub fn next_at(&self) -> Option<u64> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    pub fn pop(&mut self) -> Option<Event> {
        self.queue.pop_first().map(|(_, event)| event)
    }

    pub fn take_due(&mut self) -> Option<Event> {
        let is_due = self.next_at().is_some_and(|at| at <= self.now);
        is_due.then(|| self.queue.pop_first().map(|(_, event)| event)).flatten()
    }

    pub fn wrong(&mut self, what: String) {
        self.note("WRONG", &[], || what.clone());
        self.wrong.push(what);
    }

    /// Takes a step into the trace, of which two runs of a seed are compared.
    pub fn note(&mut self, kind: &str, numbers: &[u64], text: impl FnOnce() -> String) {
        let mut hash = self.hash;
        let mut take = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        self.now.to_le_bytes().into_iter().for_each(&mut take);
        kind.bytes().for_each(&mut take);
        numbers.iter().flat_map(|number| number.to_le_bytes()).for_each(&mut take);
        self.hash = hash;
        if self.shows {
            println!("{:>8} ms  {kind:<9} {numbers:?} {}", self.now, text());
        }
    }

    fn fate(&mut self, server: usize, kind: &str, at: u64) -> Fate {
        let line = self.lines[server];
        if line.cut_until > at {
            let answer = if line.silent { STATEMENT } else { self.chance.between(1, 20) };
            let error = if line.silent { StorageError::TimedOut } else { unavailable() };
            return Fate { at: None, answer, error: Some(error) };
        }
        if kind == "session" && line.unreadable_until > at {
            let error = StorageError::Database(sqlx::Error::ColumnNotFound("revision".to_owned()));
            return Fate { at: None, answer: self.chance.between(1, 5), error: Some(error) };
        }
        let latency = |world: &mut Self| world.chance.between(0, world.odds.latency);
        let (there, back) = (latency(self), latency(self));
        if kind == "write" && line.slow_until > at {
            // When its lane has given it up and tries again, but has not yet told the client so.
            let late = if self.chance.per_mille(500) {
                self.chance.between(5_900, 7_300)
            } else {
                self.chance.between(50, 1_500)
            };
            return Fate { at: Some(at + late), answer: back, error: None };
        }
        let Odds { lost_answer, refused, delayed, hangs, .. } = self.odds;
        let number = self.chance.below(1_000);
        if number < lost_answer {
            Fate { at: Some(at + there), answer: back, error: Some(unavailable()) }
        } else if number < lost_answer + refused {
            Fate { at: None, answer: back, error: Some(unavailable()) }
        } else if number < lost_answer + refused + delayed {
            // It may be carried out when nobody waits for it any more.
            let late = self.chance.between(20, 12_000);
            Fate { at: Some(at + late), answer: back, error: None }
        } else if number < lost_answer + refused + delayed + hangs {
            let is_carried_out = self.chance.per_mille(300);
            Fate { at: is_carried_out.then_some(at + there), answer: STATEMENT, error: Some(StorageError::TimedOut) }
        } else {
            Fate { at: Some(at + there), answer: back, error: None }
        }
    }

    fn take_arranged(&mut self, kind: &'static str) -> Option<Arranged> {
        let arranged = self.arranged.get_mut(kind)?;
        match arranged.skip.checked_sub(1) {
            Some(left) => {
                arranged.skip = left;
                None
            }
            None => self.arranged.remove(kind),
        }
    }

    /// A statement leaves a server. It is carried out by itself, whatever becomes of whoever waits.
    pub fn statement<T: Send + 'static>(
        &mut self,
        (process, kind): (Process, &'static str),
        at: u64,
        waits: std::sync::Weak<()>,
        reply: oneshot::Sender<Result<T, StorageError>>,
        carry_out: impl FnOnce(&mut Self) -> Result<T, StorageError> + Send + 'static,
    ) {
        let at = at.max(self.now);
        let server = process.server;
        let mut fate = self.fate(server, kind, at);
        let Arranged { late, answer, before, .. } = self.take_arranged(kind).unwrap_or_default();
        (fate.at, fate.answer) = (fate.at.map(|at| at + late), fate.answer + answer);
        let answer = move |world: &mut Self, result: Result<T, StorageError>| {
            world.lines[server].woken = true;
            let _ = reply.send(result);
        };
        let Some(carried_out) = fate.at else {
            let error = fate.error.unwrap_or(StorageError::TimedOut);
            self.note("lost", &[server as u64, process.life], || format!("{kind}: {error}"));
            return self.schedule(at + fate.answer, Event::Do(Box::new(move |world| answer(world, Err(error)))));
        };
        // Beyond the limit the server hears that it took too long.
        if carried_out - at > STATEMENT {
            fate.answer = 0;
            fate.error = Some(StorageError::TimedOut);
        }
        let action = move |world: &mut Self| {
            if waits.strong_count() == 0 && late == 0 && world.chance.per_mille(500) {
                return world.note("unsent", &[server as u64, process.life], || kind.to_owned());
            }
            if let Some(before) = before {
                before(world);
            }
            let result = carry_out(world);
            let shown = result.as_ref().map(drop).map_err(ToString::to_string);
            world.note(kind, &[server as u64, process.life], || format!("{shown:?}"));
            let result = match fate.error {
                Some(error) => {
                    world.note("unheard", &[server as u64], || format!("{kind}: {error}"));
                    Err(error)
                }
                None => result,
            };
            let time = world.now + fate.answer;
            world.schedule(time, Event::Do(Box::new(move |world| answer(world, result))));
        };
        self.schedule(carried_out, Event::Do(Box::new(action)));
    }

    /// Hands a notice to everybody who listens.
    pub fn notify(&mut self, payloads: &[String]) {
        let listening: Vec<u64> = self.listeners.keys().copied().collect();
        for payload in payloads {
            for id in &listening {
                let Odds { notice_lost, notice_doubled, notice_late, latency, .. } = self.odds;
                let times = if self.chance.per_mille(notice_lost) {
                    0
                } else {
                    1 + u64::from(self.chance.per_mille(notice_doubled))
                };
                for _ in 0..times {
                    let late = if self.chance.per_mille(notice_late) { self.chance.between(0, 3_000) } else { 0 };
                    let at = self.now + self.chance.between(0, latency) + late;
                    let (id, payload) = (*id, payload.clone());
                    self.schedule(at, Event::Do(Box::new(move |world| world.deliver(id, payload))));
                }
            }
        }
    }

    fn deliver(&mut self, id: u64, payload: String) {
        let Some(listener) = self.listeners.get(&id).filter(|listener| !listener.deaf) else { return };
        let server = listener.process.server;
        if self.lines[server].cut_until > self.now {
            return;
        }
        if listener.sender.send(payload).is_ok() {
            self.lines[server].woken = true;
        } else {
            self.listeners.remove(&id);
        }
    }

    pub fn listen(&mut self, process: Process) -> mpsc::UnboundedReceiver<String> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.numbered += 1;
        self.listeners.insert(self.numbered, Listener { process, sender, deaf: false });
        receiver
    }

    /// The connections for notices of a server, or of all, break; or they go deaf without a word.
    pub fn cut_notices(&mut self, server: Option<usize>, silently: bool) {
        let is_meant = |listener: &Listener| server.is_none_or(|server| listener.process.server == server);
        if silently {
            self.listeners.values_mut().filter(|listener| is_meant(listener)).for_each(|listener| listener.deaf = true);
        } else {
            self.listeners.retain(|_, listener| !is_meant(listener));
            self.lines.iter_mut().for_each(|line| line.woken = true);
        }
    }

    /// Another program, or a server of another version, writes to a session.
    pub fn foreign_write(&mut self, id: SessionId, event: relive_session::Event) {
        use relive_session::{Recorded, Session, Timestamp};
        let Some(row) = self.database.rows.get(&id).filter(|row| !row.state().status.is_ended()) else { return };
        let before = Arc::clone(row.state());
        let at = Timestamp::from_millis(crate::server::EPOCH + self.now.cast_signed()).unwrap_or(before.updated_at);
        let recorded =
            Recorded { session_id: id, revision: before.revision + 1, at: at.max(before.updated_at), by: None, event };
        let mut after = Session::clone(&before);
        if after.apply(&recorded).is_err() {
            return;
        }
        let batch = relive::storage::Batch {
            id: -1,
            events: vec![relive::storage::EventRow::from(&recorded)],
            commands: Vec::new(),
            projections: vec![relive::storage::ProjectionRow { before: &before, after: &after }],
            deadline: None,
        };
        let sent = crate::database::Sent::of(&batch);
        let written = self.database.write(sent, FOREIGN, self.now);
        self.note("foreign", &[after.revision], || format!("{written:?}"));
    }

    /// The other program pauses a run, or resumes it.
    pub fn foreign_pause(&mut self, id: SessionId) {
        use relive_session::{Event, SessionStatus};
        match self.database.rows.get(&id).map(|row| row.state().status) {
            Some(SessionStatus::Running) => self.foreign_write(id, Event::Paused { held: false }),
            Some(SessionStatus::Paused) => self.foreign_write(id, Event::Resumed),
            _ => {}
        }
    }

    /// Whoever keeps leases changes none of another holder.
    pub fn keep_leases<T>(&mut self, holder: Uuid, change: impl FnOnce(&mut Database, u64) -> T) -> T {
        let foreign = |database: &Database| -> BTreeMap<SessionId, u64> {
            let others = database.leases.iter().filter(|(_, lease)| lease.holder.is_some_and(|held| held != holder));
            others.map(|(id, lease)| (*id, lease.expires_at)).collect()
        };
        let before = foreign(&self.database);
        let done = change(&mut self.database, self.now);
        if foreign(&self.database) != before {
            self.wrong("a lease was changed by another server than the one that holds it".to_owned());
        }
        done
    }
}
