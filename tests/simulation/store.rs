//! The database as a server sees it: every call is a statement that takes its time and may go wrong.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use relive::hub::{BatchWriter, NoticeReceiver, NoticeSender, Store};
use relive::storage::{
    Batch, ClaimedLease, Constraint, GroupInDoubt, LapsedLease, NewSession, PageBounds, Parked, SessionFilter,
    SessionVersion, StorageError, StoredEvent,
};
use relive_session::{
    Agent, Event, OutputRef, ProjectId, Recorded, Revision, Session, SessionId, SessionIdentity, SessionSummary, Text,
    Texts,
};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::database::{Process, Row, Sent, Stored};
use crate::server::Watch;
use crate::world::{Shared, World, unavailable};

type Answer<'a, T> = BoxFuture<'a, Result<T, StorageError>>;

/// One server's access to the database.
#[derive(Clone)]
pub struct SimulatedStore {
    pub world: Shared,
    pub process: Process,
    pub watch: Watch,
}

impl std::fmt::Debug for SimulatedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.process.fmt(f)
    }
}

impl SimulatedStore {
    fn call<T: Send + 'static>(
        &self,
        kind: &'static str,
        carry_out: impl FnOnce(&mut World) -> Result<T, StorageError> + Send + 'static,
    ) -> Answer<'static, T> {
        let Self { world, process, watch } = self.clone();
        async move {
            let (reply, answer) = oneshot::channel();
            let waits = Arc::new(());
            world.lock().statement((process, kind), watch.now(), Arc::downgrade(&waits), reply, carry_out);
            let answered = answer.await.unwrap_or_else(|_| Err(unavailable()));
            drop(waits);
            answered
        }
        .boxed()
    }

    fn read<T: Send + 'static>(
        &self,
        kind: &'static str,
        id: SessionId,
        read: impl FnOnce(&Row) -> T + Send + 'static,
    ) -> Answer<'static, Option<T>> {
        self.call(kind, move |world| Ok(world.database.rows.get(&id).map(read)))
    }
}

impl Store for SimulatedStore {
    fn writer(&self) -> Answer<'_, Box<dyn BatchWriter>> {
        let connection = self.clone();
        self.call("connect", move |_| Ok(Box::new(connection) as _))
    }

    fn has_batch<'a>(&'a self, batch: &'a Batch<'a>) -> Answer<'a, bool> {
        let firsts: Vec<_> = batch.projections.iter().map(|row| (row.after.id, row.before.revision + 1)).collect();
        let id = batch.id;
        self.call("has_batch", move |world| Ok(world.database.has_batch(id, &firsts)))
    }

    fn batches_of<'a>(
        &'a self,
        events: &'a [(SessionId, Revision)],
    ) -> Answer<'a, HashMap<(SessionId, Revision), i64>> {
        let events = events.to_vec();
        self.call("batches", move |world| {
            let batch = |(id, revision): &(SessionId, Revision)| {
                Some(((*id, *revision), world.database.rows.get(id)?.stored(*revision)?.batch))
            };
            Ok(events.iter().filter_map(batch).collect())
        })
    }

    fn session(&self, id: SessionId) -> Answer<'_, Option<Session>> {
        self.read("session", id, |row| Session::clone(row.state()))
    }

    fn session_at(&self, id: SessionId, revision: Revision) -> Answer<'_, Option<Session>> {
        let read = self.read("session", id, move |row| row.state_at(revision).map(|state| Session::clone(state)));
        async { Ok(read.await?.flatten()) }.boxed()
    }

    fn store_keyframe<'a>(&'a self, session: &'a Session) -> Answer<'a, ()> {
        let session = session.clone();
        self.call("keyframe", move |world| {
            let stored = world.database.rows.get(&session.id).and_then(|row| row.state_at(session.revision));
            if stored.is_some_and(|stored| **stored != session) {
                world.wrong(format!("a keyframe of revision {} is not what was committed", session.revision));
            }
            Ok(())
        })
    }

    fn versions<'a>(&'a self, ids: &'a [SessionId]) -> Answer<'a, HashMap<SessionId, SessionVersion>> {
        let ids = ids.to_vec();
        self.call("revisions", move |world| {
            let version = |id| Some((id, SessionVersion::of(world.database.rows.get(&id)?.state())));
            Ok(ids.into_iter().filter_map(version).collect())
        })
    }

    fn command_revision<'a>(&'a self, id: SessionId, command_id: &'a str) -> Answer<'a, Option<Revision>> {
        let command_id = command_id.to_owned();
        let read = self.read("command", id, move |row| row.commands.get(&command_id).copied());
        async { Ok(read.await?.flatten()) }.boxed()
    }

    fn command_revisions(
        &self,
        commands: Vec<(SessionId, Arc<str>)>,
    ) -> Answer<'_, HashMap<(SessionId, Arc<str>), Revision>> {
        if commands.is_empty() {
            return async { Ok(HashMap::new()) }.boxed();
        }
        self.call("commands", move |world| {
            let revision = |(id, command_id): (SessionId, Arc<str>)| {
                let revision = *world.database.rows.get(&id)?.commands.get(&*command_id)?;
                Some(((id, command_id), revision))
            };
            Ok(commands.into_iter().filter_map(revision).collect())
        })
    }

    fn events(&self, id: SessionId, after: Revision, limit: u32) -> Answer<'_, Vec<Recorded>> {
        let read = self.read("events", id, move |row| {
            row.after(after).iter().take(limit as usize).map(|stored| stored.recorded.clone()).collect()
        });
        async { Ok(read.await?.unwrap_or_default()) }.boxed()
    }

    fn next_events<'a>(&'a self, state: &'a Session, bounds: PageBounds) -> Answer<'a, Vec<StoredEvent>> {
        let (identity, after) = (state.identity(), state.revision);
        let read = self.read("page", state.id, move |row| {
            let events = row.after(after).iter().filter(|_| row.identity() == identity);
            events.take(bounds.rows as usize).map(page_row).collect()
        });
        async { Ok(read.await?.unwrap_or_default()) }.boxed()
    }

    fn texts_between(
        &self,
        id: SessionId,
        after: Revision,
        up_to: Revision,
        limit: u32,
        texts: Texts,
    ) -> Answer<'_, Vec<(Revision, Text)>> {
        let read = self.read("texts", id, move |row| {
            let events = row.after(after).iter().take_while(|stored| stored.recorded.revision <= up_to);
            let wanted = events.filter(|stored| texts.wants(&stored.recorded.event));
            let texts = wanted.filter_map(|stored| Some((stored.recorded.revision, stored.text.clone()?)));
            texts.take(limit as usize).collect()
        });
        async { Ok(read.await?.unwrap_or_default()) }.boxed()
    }

    fn output(&self, id: SessionId, place: OutputRef) -> Answer<'_, Option<Value>> {
        let read = self.read("output", id, move |row| match &row.stored(place.revision)?.recorded.event {
            Event::NodeStatusChanged { output, .. } => output.as_deref().cloned(),
            _ => None,
        });
        async { Ok(read.await?.flatten()) }.boxed()
    }

    fn create_session<'a>(&'a self, new: &'a NewSession<'a>) -> Answer<'a, ()> {
        let (id, process) = (new.session.id, self.process);
        let row = Row::new(new.recorded, new.session, new.creation_key.map(str::to_owned), process);
        self.call("create", move |world| world.database.create(id, row))
    }

    fn create_fork<'a>(&'a self, _: &'a NewSession<'a>, _: SessionId, _: Revision) -> Answer<'a, ()> {
        self.call("fork", |_| Err(StorageError::Constraint(Constraint::NoSuchWorkflow)))
    }

    fn session_by_creation_key<'a>(&'a self, _: &'a ProjectId, key: &'a str) -> Answer<'a, Option<SessionId>> {
        let key = key.to_owned();
        self.call("key", move |world| {
            let mut rows = world.database.rows.iter();
            Ok(rows.find(|(_, row)| row.creation_key.as_ref() == Some(&key)).map(|(id, _)| *id))
        })
    }

    fn count_ancestors(&self, _: SessionId) -> Answer<'_, usize> {
        self.call("ancestors", |_| Ok(0))
    }

    fn delete_session<'a>(
        &'a self,
        id: SessionId,
        of: SessionIdentity,
        _: Option<&'a SessionFilter>,
    ) -> Answer<'a, Option<Vec<SessionId>>> {
        self.call("delete", move |world| Ok(world.database.delete(id, of).then(Vec::new)))
    }

    fn child_counts<'a>(&'a self, _: &'a [SessionId]) -> Answer<'a, HashMap<SessionId, u64>> {
        self.call("children", |_| Ok(HashMap::new()))
    }

    fn summary(&self, id: SessionId) -> Answer<'_, Option<SessionSummary>> {
        self.read("summary", id, |row| row.state().summary())
    }

    fn has_session<'a>(&'a self, project: &'a ProjectId, id: SessionId) -> Answer<'a, bool> {
        let project = project.clone();
        let found = self.read("has session", id, move |row| row.state().origin.project_id == project);
        Box::pin(async move { Ok(found.await? == Some(true)) })
    }

    fn sessions_of_group<'a>(&'a self, _: &'a ProjectId, _: Uuid) -> Answer<'a, Vec<SessionId>> {
        self.call("group", |_| Ok(Vec::new()))
    }

    fn delete_group<'a>(
        &'a self,
        _: &'a ProjectId,
        _: Uuid,
    ) -> BoxFuture<'a, Result<Option<Vec<SessionSummary>>, GroupInDoubt>> {
        Box::pin(async { Ok(None) })
    }

    fn agent<'a>(&'a self, _: &'a ProjectId, _: Uuid) -> Answer<'a, Option<Agent>> {
        self.call("agent", |_| Ok(None))
    }

    fn claim_leases<'a>(
        &'a self,
        holder: Uuid,
        sessions: &'a [SessionId],
        time: Duration,
    ) -> Answer<'a, Vec<ClaimedLease>> {
        let sessions = sessions.to_vec();
        self.call("take", move |world| {
            let now = world.now;
            Ok(world.database.claim_leases(holder, &sessions, time, now))
        })
    }

    fn renew_leases<'a>(
        &'a self,
        holder: Uuid,
        sessions: &'a [SessionId],
        time: Duration,
    ) -> Answer<'a, Vec<SessionId>> {
        let sessions = sessions.to_vec();
        self.call("renew", move |world| {
            Ok(world.keep_leases(holder, |database, now| database.renew_leases(holder, &sessions, time, now)))
        })
    }

    fn release_leases<'a>(&'a self, holder: Uuid, sessions: &'a [SessionId]) -> Answer<'a, ()> {
        let sessions = sessions.to_vec();
        self.call("release", move |world| {
            world.keep_leases(holder, |database, _| database.release_leases(holder, &sessions));
            Ok(())
        })
    }

    fn park_leases<'a>(&'a self, holder: Uuid, parked: &'a [Parked]) -> Answer<'a, ()> {
        let parked = parked.to_vec();
        self.call("park", move |world| {
            world.keep_leases(holder, |database, now| database.park_leases(holder, &parked, now));
            Ok(())
        })
    }

    fn undriven_sessions(&self, limit: u32) -> Answer<'_, Vec<SessionId>> {
        self.call("undriven", move |world| Ok(world.database.undriven(limit as usize, world.now)))
    }

    /// The simulated database compares every row.
    fn correct_parked(&self) -> Answer<'_, bool> {
        self.call("parked", |_| Ok(false))
    }

    // Nobody asks for leases of engines outside the server here: no driver of the simulation has one.
    fn renew_driver_lease(&self, _: SessionId, _: Duration) -> Answer<'_, bool> {
        self.call("lease", |_| Ok(true))
    }

    fn next_driver_lease(&self) -> Answer<'_, Option<Duration>> {
        self.call("lease", |_| Ok(None))
    }

    fn claim_lapsed_leases(&self, _: u32) -> Answer<'_, Vec<LapsedLease>> {
        self.call("lease", |_| Ok(Vec::new()))
    }

    fn is_still_lapsed(&self, _: LapsedLease) -> Answer<'_, bool> {
        self.call("lease", |_| Ok(false))
    }

    fn end_lapsed_lease(&self, _: LapsedLease) -> Answer<'_, ()> {
        self.call("lease", |_| Ok(()))
    }

    fn notifier(&self) -> Box<dyn NoticeSender> {
        Box::new(self.clone())
    }

    fn listen(&self) -> Answer<'_, Box<dyn NoticeReceiver>> {
        let process = self.process;
        self.call("listen", move |world| Ok(Box::new(Ear(world.listen(process))) as _))
    }
}

impl BatchWriter for SimulatedStore {
    fn write<'a>(&'a mut self, batch: &'a Batch<'a>) -> Answer<'a, ()> {
        let (mut sent, process) = (Sent::of(batch), self.process);
        sent.deadline = batch.deadline.map(|deadline| self.watch.at(deadline));
        self.call("write", move |world| {
            let written = world.database.write(sent, process, world.now);
            let broken = std::mem::take(&mut world.database.broken);
            broken.into_iter().for_each(|broken| world.wrong(broken));
            written
        })
    }
}

impl NoticeSender for SimulatedStore {
    fn notify<'a>(&'a mut self, payloads: &'a [String]) -> Answer<'a, ()> {
        let payloads = payloads.to_vec();
        self.call("notify", move |world| {
            world.notify(&payloads);
            Ok(())
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}

/// A connection that listens.
#[derive(Debug)]
struct Ear(mpsc::UnboundedReceiver<String>);

impl NoticeReceiver for Ear {
    fn next(&mut self) -> Answer<'_, String> {
        async { self.0.recv().await.ok_or_else(unavailable) }.boxed()
    }
}

fn page_row(stored: &Stored) -> StoredEvent {
    let Recorded { revision, at, by, event, .. } = &stored.recorded;
    StoredEvent {
        revision: *revision,
        at: *at,
        event: serde_json::value::to_raw_value(event).expect("an event as JSON").into(),
        by: by.clone(),
        text: stored.text.clone().map(Box::new),
    }
}
