//! The database operations that the hub, and the built-in engine's supervisor, need.
//!
//! In production and in all tests but one it is [`Storage`], which means PostgreSQL. The deterministic
//! simulation (`docs/simulation.md`) has its own implementation, with PostgreSQL's guarantees and injected
//! faults. Each method is described at [`Storage`].

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use uuid::Uuid;

use crate::storage::{
    Batch, ClaimedLease, GroupInDoubt, LapsedLease, Listener, NewSession, Notifier, PageBounds, Parked, SessionFilter,
    SessionVersion, Storage, StorageError, StoredEvent, Writer,
};
use relive_session::{
    Agent, OutputRef, ProjectId, Recorded, Revision, Session, SessionId, SessionIdentity, SessionSummary, Text, Texts,
};

type Answer<'a, T> = BoxFuture<'a, Result<T, StorageError>>;

/// The database, as far as sessions in memory need it.
pub trait Store: Debug + Send + Sync + 'static {
    fn writer(&self) -> Answer<'_, Box<dyn BatchWriter>>;
    fn has_batch<'a>(&'a self, batch: &'a Batch<'a>) -> Answer<'a, bool>;
    fn batches_of<'a>(&'a self, events: &'a [(SessionId, Revision)])
    -> Answer<'a, HashMap<(SessionId, Revision), i64>>;

    fn session(&self, id: SessionId) -> Answer<'_, Option<Session>>;
    fn session_at(&self, id: SessionId, revision: Revision) -> Answer<'_, Option<Session>>;
    fn store_keyframe<'a>(&'a self, session: &'a Session) -> Answer<'a, ()>;
    fn versions<'a>(&'a self, ids: &'a [SessionId]) -> Answer<'a, HashMap<SessionId, SessionVersion>>;
    fn command_revision<'a>(&'a self, id: SessionId, command_id: &'a str) -> Answer<'a, Option<Revision>>;
    fn command_revisions(
        &self,
        commands: Vec<(SessionId, Arc<str>)>,
    ) -> Answer<'_, HashMap<(SessionId, Arc<str>), Revision>>;

    fn events(&self, id: SessionId, after: Revision, limit: u32) -> Answer<'_, Vec<Recorded>>;
    /// The events after this state with their texts; none if another session is stored under its id.
    fn next_events<'a>(&'a self, state: &'a Session, bounds: PageBounds) -> Answer<'a, Vec<StoredEvent>>;
    fn texts_between(
        &self,
        id: SessionId,
        after: Revision,
        up_to: Revision,
        limit: u32,
        texts: Texts,
    ) -> Answer<'_, Vec<(Revision, Text)>>;
    fn output(&self, id: SessionId, place: OutputRef) -> Answer<'_, Option<Value>>;

    fn create_session<'a>(&'a self, new: &'a NewSession<'a>) -> Answer<'a, ()>;
    fn create_fork<'a>(&'a self, new: &'a NewSession<'a>, parent: SessionId, at: Revision) -> Answer<'a, ()>;
    fn session_by_creation_key<'a>(&'a self, project: &'a ProjectId, key: &'a str) -> Answer<'a, Option<SessionId>>;
    fn count_ancestors(&self, id: SessionId) -> Answer<'_, usize>;
    /// With `list`, only if the session is in it.
    fn delete_session<'a>(
        &'a self,
        id: SessionId,
        of: SessionIdentity,
        list: Option<&'a SessionFilter>,
    ) -> Answer<'a, Option<Vec<SessionId>>>;
    fn child_counts<'a>(&'a self, ids: &'a [SessionId]) -> Answer<'a, HashMap<SessionId, u64>>;
    fn summary(&self, id: SessionId) -> Answer<'_, Option<SessionSummary>>;
    fn has_session<'a>(&'a self, project: &'a ProjectId, id: SessionId) -> Answer<'a, bool>;
    fn sessions_of_group<'a>(&'a self, project: &'a ProjectId, group_id: Uuid) -> Answer<'a, Vec<SessionId>>;
    fn delete_group<'a>(
        &'a self,
        project: &'a ProjectId,
        group_id: Uuid,
    ) -> BoxFuture<'a, Result<Option<Vec<SessionSummary>>, GroupInDoubt>>;
    fn agent<'a>(&'a self, project: &'a ProjectId, id: Uuid) -> Answer<'a, Option<Agent>>;

    fn claim_leases<'a>(
        &'a self,
        holder: Uuid,
        sessions: &'a [SessionId],
        time: Duration,
    ) -> Answer<'a, Vec<ClaimedLease>>;
    fn renew_leases<'a>(
        &'a self,
        holder: Uuid,
        sessions: &'a [SessionId],
        time: Duration,
    ) -> Answer<'a, Vec<SessionId>>;
    fn release_leases<'a>(&'a self, holder: Uuid, sessions: &'a [SessionId]) -> Answer<'a, ()>;
    fn park_leases<'a>(&'a self, holder: Uuid, parked: &'a [Parked]) -> Answer<'a, ()>;
    fn undriven_sessions(&self, limit: u32) -> Answer<'_, Vec<SessionId>>;
    fn correct_parked(&self) -> Answer<'_, bool>;

    fn renew_driver_lease(&self, id: SessionId, time: Duration) -> Answer<'_, bool>;
    fn next_driver_lease(&self) -> Answer<'_, Option<Duration>>;
    fn claim_lapsed_leases(&self, limit: u32) -> Answer<'_, Vec<LapsedLease>>;
    fn is_still_lapsed(&self, lapsed: LapsedLease) -> Answer<'_, bool>;
    fn end_lapsed_lease(&self, lapsed: LapsedLease) -> Answer<'_, ()>;

    fn notifier(&self) -> Box<dyn NoticeSender>;
    fn listen(&self) -> Answer<'_, Box<dyn NoticeReceiver>>;
}

/// A lane's connection; see [`Writer`].
pub trait BatchWriter: Debug + Send + Sync {
    fn write<'a>(&'a mut self, batch: &'a Batch<'a>) -> Answer<'a, ()>;
}

/// See [`Notifier`].
pub trait NoticeSender: Debug + Send {
    fn notify<'a>(&'a mut self, payloads: &'a [String]) -> Answer<'a, ()>;
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// See [`Listener`].
pub trait NoticeReceiver: Debug + Send {
    /// Cancel-safe.
    fn next(&mut self) -> Answer<'_, String>;
}

impl BatchWriter for Writer {
    fn write<'a>(&'a mut self, batch: &'a Batch<'a>) -> Answer<'a, ()> {
        Box::pin(self.write(batch))
    }
}

impl NoticeSender for Notifier {
    fn notify<'a>(&'a mut self, payloads: &'a [String]) -> Answer<'a, ()> {
        Box::pin(self.notify(payloads))
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(Notifier::close(*self))
    }
}

impl NoticeReceiver for Listener {
    fn next(&mut self) -> Answer<'_, String> {
        Box::pin(self.next())
    }
}

// Inherent methods take precedence over those of a trait: none of these calls itself.
impl Store for Storage {
    fn writer(&self) -> Answer<'_, Box<dyn BatchWriter>> {
        Box::pin(async { Ok(Box::new(self.writer().await?) as _) })
    }

    fn has_batch<'a>(&'a self, batch: &'a Batch<'a>) -> Answer<'a, bool> {
        Box::pin(self.has_batch(batch))
    }

    fn batches_of<'a>(
        &'a self,
        events: &'a [(SessionId, Revision)],
    ) -> Answer<'a, HashMap<(SessionId, Revision), i64>> {
        Box::pin(self.batches_of(events))
    }

    fn session(&self, id: SessionId) -> Answer<'_, Option<Session>> {
        Box::pin(self.session(id))
    }

    fn session_at(&self, id: SessionId, revision: Revision) -> Answer<'_, Option<Session>> {
        Box::pin(self.session_at(id, revision))
    }

    fn store_keyframe<'a>(&'a self, session: &'a Session) -> Answer<'a, ()> {
        Box::pin(self.store_keyframe(session))
    }

    fn versions<'a>(&'a self, ids: &'a [SessionId]) -> Answer<'a, HashMap<SessionId, SessionVersion>> {
        Box::pin(self.versions(ids))
    }

    fn command_revision<'a>(&'a self, id: SessionId, command_id: &'a str) -> Answer<'a, Option<Revision>> {
        Box::pin(self.command_revision(id, command_id))
    }

    fn command_revisions(
        &self,
        commands: Vec<(SessionId, Arc<str>)>,
    ) -> Answer<'_, HashMap<(SessionId, Arc<str>), Revision>> {
        Box::pin(self.command_revisions(commands))
    }

    fn events(&self, id: SessionId, after: Revision, limit: u32) -> Answer<'_, Vec<Recorded>> {
        Box::pin(self.journal(id).after(after).recorded(limit))
    }

    fn next_events<'a>(&'a self, state: &'a Session, bounds: PageBounds) -> Answer<'a, Vec<StoredEvent>> {
        let journal = self.journal(state.id).of(state.identity());
        Box::pin(journal.after(state.revision).stored_page(bounds, Texts::ALL))
    }

    fn texts_between(
        &self,
        id: SessionId,
        after: Revision,
        up_to: Revision,
        limit: u32,
        texts: Texts,
    ) -> Answer<'_, Vec<(Revision, Text)>> {
        Box::pin(self.texts_between(id, after, up_to, limit, texts))
    }

    fn output(&self, id: SessionId, place: OutputRef) -> Answer<'_, Option<Value>> {
        Box::pin(self.output(id, place))
    }

    fn create_session<'a>(&'a self, new: &'a NewSession<'a>) -> Answer<'a, ()> {
        Box::pin(self.create_session(new))
    }

    fn create_fork<'a>(&'a self, new: &'a NewSession<'a>, parent: SessionId, at: Revision) -> Answer<'a, ()> {
        Box::pin(self.create_fork(new, parent, at))
    }

    fn session_by_creation_key<'a>(&'a self, project: &'a ProjectId, key: &'a str) -> Answer<'a, Option<SessionId>> {
        Box::pin(self.session_by_creation_key(project, key))
    }

    fn count_ancestors(&self, id: SessionId) -> Answer<'_, usize> {
        Box::pin(self.count_ancestors(id))
    }

    fn delete_session<'a>(
        &'a self,
        id: SessionId,
        of: SessionIdentity,
        list: Option<&'a SessionFilter>,
    ) -> Answer<'a, Option<Vec<SessionId>>> {
        Box::pin(async move {
            match list {
                Some(list) => self.delete_session_in(id, of, list).await,
                None => self.delete_session(id, of).await,
            }
        })
    }

    fn child_counts<'a>(&'a self, ids: &'a [SessionId]) -> Answer<'a, HashMap<SessionId, u64>> {
        Box::pin(self.child_counts(ids))
    }

    fn summary(&self, id: SessionId) -> Answer<'_, Option<SessionSummary>> {
        Box::pin(self.summary(id))
    }

    fn has_session<'a>(&'a self, project: &'a ProjectId, id: SessionId) -> Answer<'a, bool> {
        Box::pin(self.has_session(project, id))
    }

    fn sessions_of_group<'a>(&'a self, project: &'a ProjectId, group_id: Uuid) -> Answer<'a, Vec<SessionId>> {
        Box::pin(self.sessions_of_group(project, group_id))
    }

    fn delete_group<'a>(
        &'a self,
        project: &'a ProjectId,
        group_id: Uuid,
    ) -> BoxFuture<'a, Result<Option<Vec<SessionSummary>>, GroupInDoubt>> {
        Box::pin(self.delete_group(project, group_id))
    }

    fn agent<'a>(&'a self, project: &'a ProjectId, id: Uuid) -> Answer<'a, Option<Agent>> {
        Box::pin(self.entity::<Agent>(project, id))
    }

    fn claim_leases<'a>(
        &'a self,
        holder: Uuid,
        sessions: &'a [SessionId],
        time: Duration,
    ) -> Answer<'a, Vec<ClaimedLease>> {
        Box::pin(self.claim_leases(holder, sessions, time))
    }

    fn renew_leases<'a>(
        &'a self,
        holder: Uuid,
        sessions: &'a [SessionId],
        time: Duration,
    ) -> Answer<'a, Vec<SessionId>> {
        Box::pin(self.renew_leases(holder, sessions, time))
    }

    fn release_leases<'a>(&'a self, holder: Uuid, sessions: &'a [SessionId]) -> Answer<'a, ()> {
        Box::pin(self.release_leases(holder, sessions))
    }

    fn park_leases<'a>(&'a self, holder: Uuid, parked: &'a [Parked]) -> Answer<'a, ()> {
        Box::pin(self.park_leases(holder, parked))
    }

    fn undriven_sessions(&self, limit: u32) -> Answer<'_, Vec<SessionId>> {
        Box::pin(self.undriven_sessions(limit))
    }

    fn correct_parked(&self) -> Answer<'_, bool> {
        Box::pin(self.correct_parked())
    }

    fn renew_driver_lease(&self, id: SessionId, time: Duration) -> Answer<'_, bool> {
        Box::pin(self.renew_driver_lease(id, time))
    }

    fn next_driver_lease(&self) -> Answer<'_, Option<Duration>> {
        Box::pin(self.next_driver_lease())
    }

    fn claim_lapsed_leases(&self, limit: u32) -> Answer<'_, Vec<LapsedLease>> {
        Box::pin(self.claim_lapsed_leases(limit))
    }

    fn is_still_lapsed(&self, lapsed: LapsedLease) -> Answer<'_, bool> {
        Box::pin(self.is_still_lapsed(lapsed))
    }

    fn end_lapsed_lease(&self, lapsed: LapsedLease) -> Answer<'_, ()> {
        Box::pin(self.end_lapsed_lease(lapsed))
    }

    fn notifier(&self) -> Box<dyn NoticeSender> {
        Box::new(self.notifier())
    }

    fn listen(&self) -> Answer<'_, Box<dyn NoticeReceiver>> {
        Box::pin(async { Ok(Box::new(self.listen().await?) as _) })
    }
}
