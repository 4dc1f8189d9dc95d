//! The tables, with the promises that PostgreSQL keeps: each statement is carried out whole or not at
//! all, one after the other, and keys are unique. It also holds every commit against the rules that the
//! server has to keep, and says what was broken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use relive::storage::{Batch, ClaimedLease, Constraint, Parked, StorageError};
use relive_session::{
    Event, MessageId, NodeId, NodeStatus, Recorded, Revision, Session, SessionId, SessionIdentity, SessionStatus, Text,
    Timestamp,
};
use uuid::Uuid;

/// A server's process; after a restart it is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pub server: usize,
    pub life: u64,
}

#[derive(Debug, Default)]
pub struct Database {
    pub rows: BTreeMap<SessionId, Row>,
    pub leases: BTreeMap<SessionId, Lease>,
    /// Under one id several may have been stored, one after the other.
    pub deleted: BTreeMap<SessionId, Vec<Row>>,
    /// Rules that a commit broke.
    pub broken: Vec<String>,
}

/// A session with its journal.
#[derive(Debug)]
pub struct Row {
    pub creation_key: Option<String>,
    /// The state at each revision, beginning with the first.
    pub states: Vec<Arc<Session>>,
    pub journal: Vec<Stored>,
    pub commands: BTreeMap<String, Revision>,
}

#[derive(Debug)]
pub struct Stored {
    /// Without the text that it added, as in the journal.
    pub recorded: Recorded,
    pub text: Option<Text>,
    pub batch: i64,
    pub by: Process,
    /// When that was.
    pub committed: u64,
}

#[derive(Clone, Debug)]
pub struct Lease {
    pub holder: Option<Uuid>,
    pub expires_at: u64,
    pub parked_revision: Option<Revision>,
    pub wake_at: Option<u64>,
    pub taken_revision: Revision,
    pub crashes: u32,
}

/// A batch that has left the server.
#[derive(Debug)]
pub struct Sent {
    /// When it is not to be written any more.
    pub deadline: Option<u64>,
    id: i64,
    events: Vec<Recorded>,
    commands: Vec<(SessionId, String, Revision)>,
    projections: Vec<Projection>,
}

/// A session's row, from before a batch to after it.
#[derive(Debug)]
struct Projection {
    id: SessionId,
    identity: SessionIdentity,
    before: Revision,
    after: (Revision, SessionStatus),
}

impl Sent {
    pub fn of(batch: &Batch<'_>) -> Self {
        let projection = |row: &relive::storage::ProjectionRow<'_>| Projection {
            id: row.after.id,
            identity: row.before.identity(),
            before: row.before.revision,
            after: (row.after.revision, row.after.status),
        };
        Self {
            deadline: None,
            id: batch.id,
            events: batch.events.iter().map(|row| row.recorded.clone()).collect(),
            commands: batch
                .commands
                .iter()
                .map(|row| (row.session_id, row.command_id.to_owned(), row.revision))
                .collect(),
            projections: batch.projections.iter().map(projection).collect(),
        }
    }
}

impl Row {
    pub fn new(recorded: &Recorded, session: &Session, creation_key: Option<String>, by: Process) -> Self {
        let stored = Stored { recorded: recorded.clone(), text: None, batch: 0, by, committed: 0 };
        Self { creation_key, states: vec![Arc::new(session.clone())], journal: vec![stored], commands: BTreeMap::new() }
    }

    pub fn revision(&self) -> Revision {
        self.states.len() as Revision
    }

    pub fn identity(&self) -> SessionIdentity {
        self.state().identity()
    }

    pub fn state(&self) -> &Arc<Session> {
        self.states.last().expect("a first state")
    }

    pub fn state_at(&self, revision: Revision) -> Option<&Arc<Session>> {
        self.states.get(usize::try_from(revision).ok()?.checked_sub(1)?)
    }

    pub fn stored(&self, revision: Revision) -> Option<&Stored> {
        self.journal.get(usize::try_from(revision).ok()?.checked_sub(1)?)
    }

    pub fn has_message(&self, id: &MessageId) -> bool {
        self.journal.iter().any(|stored| message_id(&stored.recorded.event) == Some(id))
    }

    /// The events after a revision.
    pub fn after(&self, revision: Revision) -> &[Stored] {
        let start = usize::try_from(revision).unwrap_or(usize::MAX).min(self.journal.len());
        &self.journal[start..]
    }

    /// The process that reported a node's newest attempt as running, and how many it is.
    pub fn attempt(&self, node: &NodeId) -> (u64, Option<Process>) {
        let mut found = (0, None);
        for (stored, before) in self.journal.iter().skip(1).zip(&self.states) {
            if let Event::NodeStatusChanged { node_id, status: NodeStatus::Running, .. } = &stored.recorded.event
                && node_id == node
                && before.node_status(node) != Some(NodeStatus::Running)
            {
                found = (found.0 + 1, Some(stored.by));
            }
        }
        found
    }

    fn append(&mut self, recorded: Recorded, (batch, committed): (i64, u64), by: Process, broken: &mut Vec<String>) {
        let mut next = Session::clone(self.state());
        if let Err(error) = next.apply(&recorded) {
            broken.push(format!("an event was committed that does not follow: {error}: {recorded:?}"));
            return;
        }
        self.check_attempt(&recorded, by, broken);
        let mut recorded = recorded;
        let text = recorded.text();
        match &mut recorded.event {
            Event::MessageAdded(added) => added.content = None,
            Event::LogAdded(added) => added.row = None,
            _ => {}
        }
        self.states.push(Arc::new(next));
        self.journal.push(Stored { recorded, text, batch, by, committed });
    }

    /// Who reports the end of an attempt of the simulation's own nodes is who has begun it.
    fn check_attempt(&self, recorded: &Recorded, by: Process, broken: &mut Vec<String>) {
        let Event::NodeStatusChanged { node_id, status, error, output, .. } = &recorded.event else { return };
        let told = match status {
            NodeStatus::Completed => output.as_ref().and_then(|output| output.get("attempt")?.as_u64()),
            NodeStatus::Failed => {
                error.as_deref().and_then(|error| error.strip_prefix("fault in attempt ")?.parse().ok())
            }
            _ => None,
        };
        let Some(told) = told else { return };
        let (attempt, began) = self.attempt(node_id);
        if told != attempt || began != Some(by) {
            broken.push(format!(
                "the end of attempt {told} of '{node_id}' was committed by {by:?}, but attempt {attempt} runs, begun by {began:?}"
            ));
        }
    }
}

impl Database {
    /// What is, and was, stored under an id, the newest first.
    pub fn rows_of(&self, id: SessionId) -> impl Iterator<Item = &Row> {
        self.rows.get(&id).into_iter().chain(self.deleted.get(&id).into_iter().flat_map(|rows| rows.iter().rev()))
    }

    /// The row of this very session, whether or not it is still there.
    pub fn row_of(&self, session: &Session) -> Option<&Row> {
        self.rows_of(session.id).find(|row| row.identity() == session.identity())
    }

    /// Which of those that are stored under an id one after the other is there.
    pub fn stored_as(&self, id: SessionId) -> Option<usize> {
        self.rows.contains_key(&id).then(|| self.deleted.get(&id).map_or(0, Vec::len))
    }

    pub fn write(&mut self, sent: Sent, by: Process, now: u64) -> Result<(), StorageError> {
        if sent.deadline.is_some_and(|deadline| deadline < now) {
            return Err(StorageError::TooLate);
        }
        let taken = |recorded: &Recorded| {
            let row = self.rows.get(&recorded.session_id);
            row.is_some_and(|row| row.stored(recorded.revision).is_some())
        };
        let known = |(id, command_id, _): &(SessionId, String, Revision)| {
            self.rows.get(id).is_none_or(|row| row.commands.contains_key(command_id))
        };
        let moved_on = |Projection { id, identity, before, .. }: &Projection| {
            self.rows.get(id).is_none_or(|row| (row.revision(), row.identity()) != (*before, *identity))
        };
        if sent.events.iter().any(taken) || sent.commands.iter().any(known) || sent.projections.iter().any(moved_on) {
            return Err(StorageError::Fenced);
        }
        self.check_fences(&sent);
        let mut said: BTreeSet<(SessionId, &MessageId)> = BTreeSet::new();
        for recorded in &sent.events {
            let Some(id) = message_id(&recorded.event) else { continue };
            let is_there = self.rows.get(&recorded.session_id).is_some_and(|row| row.has_message(id));
            if is_there || !said.insert((recorded.session_id, id)) {
                return Err(StorageError::Constraint(Constraint::TextExists));
            }
        }
        for recorded in sent.events {
            if let Some(row) = self.rows.get_mut(&recorded.session_id) {
                row.append(recorded, (sent.id, now), by, &mut self.broken);
            }
        }
        for Projection { id, after, .. } in sent.projections {
            let reached = self.rows.get(&id).map(|row| (row.revision(), row.state().status));
            if reached.is_some() && reached != Some(after) {
                self.broken.push(format!("the row says {after:?}, the journal {reached:?}"));
            }
        }
        for (id, command_id, revision) in sent.commands {
            if let Some(row) = self.rows.get_mut(&id) {
                row.commands.insert(command_id, revision);
            }
        }
        Ok(())
    }

    /// Whatever is written of a session is written only if it is the one that was meant, where it was.
    fn check_fences(&mut self, sent: &Sent) {
        let is_fenced = |id: &SessionId| sent.projections.iter().any(|row| row.id == *id);
        let events = sent.events.iter().map(|recorded| recorded.session_id);
        let commands = sent.commands.iter().map(|(id, ..)| *id);
        for id in events.chain(commands).filter(|id| !is_fenced(id)) {
            self.broken.push(format!("something of {id} was written without the condition on its session"));
        }
    }

    /// Another session is stored under an id, with the same events, and nobody is told.
    pub fn replace(&mut self, id: SessionId, by: Process, now: u64) {
        let Some(row) = self.rows.remove(&id) else { return };
        let mut created = row.journal[0].recorded.clone();
        created.at = created.at.max(row.state().updated_at);
        let incarnation = row.identity().incarnation + 1;
        let first = Session::create_new(&created).expect("a session").with_incarnation(incarnation);
        let mut replacing = Row::new(&created, &first, None, by);
        for stored in &row.journal[1..] {
            let recorded = Recorded { at: stored.recorded.at.max(created.at), ..stored.recorded.clone() };
            replacing.append(recorded, (0, now), by, &mut self.broken);
        }
        self.leases.remove(&id);
        self.deleted.entry(id).or_default().push(row);
        self.rows.insert(id, replacing);
    }

    pub fn has_batch(&self, batch: i64, firsts: &[(SessionId, Revision)]) -> bool {
        let is_of = |(id, revision): &(SessionId, Revision)| {
            self.rows.get(id).and_then(|row| row.stored(*revision)).is_some_and(|stored| stored.batch == batch)
        };
        firsts.iter().any(is_of)
    }

    pub fn create(&mut self, id: SessionId, row: Row) -> Result<(), StorageError> {
        if self.rows.contains_key(&id) {
            return Err(StorageError::Constraint(Constraint::SessionExists));
        }
        if row.creation_key.is_some() && self.rows.values().any(|other| other.creation_key == row.creation_key) {
            return Err(StorageError::Constraint(Constraint::CreationKeyUsed));
        }
        self.rows.insert(id, row);
        Ok(())
    }

    pub fn delete(&mut self, id: SessionId, of: SessionIdentity) -> bool {
        if self.rows.get(&id).is_none_or(|row| row.state().identity() != of) {
            return false;
        }
        self.leases.remove(&id);
        let row = self.rows.remove(&id);
        let was_there = row.is_some();
        if let Some(row) = row {
            self.deleted.entry(id).or_default().push(row);
        }
        was_there
    }

    pub fn claim_leases(&mut self, holder: Uuid, ids: &[SessionId], time: Duration, now: u64) -> Vec<ClaimedLease> {
        let mut taken = Vec::new();
        for id in ids {
            let Some(row) = self.rows.get(id) else { continue };
            let (revision, held) = (row.revision(), self.leases.get(id));
            let free = held
                .is_none_or(|lease| lease.holder.is_none() || lease.holder == Some(holder) || lease.expires_at < now);
            if free {
                let expires_at = now + millis(time);
                let crashes = match held.filter(|lease| lease.holder.is_some()) {
                    None => 0,
                    Some(lease) if lease.taken_revision == revision => lease.crashes + 1,
                    Some(_) => 1,
                };
                let holder = Some(holder);
                let taken_revision = revision;
                let lease = Lease { holder, expires_at, parked_revision: None, wake_at: None, taken_revision, crashes };
                self.leases.insert(*id, lease);
                let at = Timestamp::from_millis(crate::server::EPOCH + now.cast_signed()).expect("a time");
                taken.push(ClaimedLease { session_id: *id, revision, crashes, at });
            }
        }
        taken
    }

    pub fn renew_leases(&mut self, holder: Uuid, ids: &[SessionId], time: Duration, now: u64) -> Vec<SessionId> {
        let is_held = |id: &SessionId, lease: &Lease| ids.contains(id) && lease.holder == Some(holder);
        let held = self.leases.iter_mut().filter(|(id, lease)| is_held(id, lease));
        held.map(|(id, lease)| {
            lease.expires_at = now + millis(time);
            *id
        })
        .collect()
    }

    pub fn release_leases(&mut self, holder: Uuid, ids: &[SessionId]) {
        self.leases.retain(|id, lease| !(ids.contains(id) && lease.holder == Some(holder)));
    }

    pub fn park_leases(&mut self, holder: Uuid, parked: &[Parked], now: u64) {
        for parked in parked {
            if let Some(lease) = self.leases.get_mut(&parked.session_id).filter(|lease| lease.holder == Some(holder)) {
                lease.holder = None;
                lease.parked_revision = Some(parked.revision);
                lease.wake_at = parked.wake_after.map(|wake| now + millis(wake));
            }
        }
    }

    pub fn undriven(&self, limit: usize, now: u64) -> Vec<SessionId> {
        let is_undriven = |(id, row): &(&SessionId, &Row)| {
            let session = row.state();
            let Some(lease) = self.leases.get(id) else { return is_to_drive(session) };
            is_to_drive(session)
                && if lease.holder.is_some() {
                    lease.expires_at < now
                } else {
                    lease.parked_revision != Some(session.revision) || lease.wake_at.is_some_and(|wake| wake <= now)
                }
        };
        let mut found: Vec<_> =
            self.rows.iter().filter(is_undriven).map(|(id, row)| (row.state().origin.created_at, *id)).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, id)| id).take(limit).collect()
    }
}

fn message_id(event: &Event) -> Option<&MessageId> {
    if let Event::MessageAdded(added) = event { Some(&added.message_id) } else { None }
}

fn is_to_drive(session: &Session) -> bool {
    session.origin.driver == relive_session::Driver::Builtin && session.status.is_live()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
