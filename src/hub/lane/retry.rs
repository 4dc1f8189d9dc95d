//! Recovery when a batch cannot be written as it is: after a lost race, and if one of its commands is at
//! fault.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{LOOKUP_TIMEOUT, Lane, Unwritten};
use crate::hub::decision::Decision;
use crate::hub::error::HubError;
use crate::hub::live_session::LiveSession;
use crate::hub::pending_command::{PendingCommand, UnknownWrite, requeue};
use crate::storage::StorageError;
use relive_session::{Revision, SessionId};

impl Lane {
    /// After a lost race: reloads the sessions that others changed, and decides their entries again.
    pub(super) async fn decide_again(
        &mut self,
        entries: Vec<PendingCommand>,
    ) -> Result<Vec<PendingCommand>, Unwritten> {
        metrics::counter!("relive_races_lost_total").increment(1);
        let found = self.stale(&entries).await;
        if matches!(&found, Ok((stale, _)) if stale.is_empty()) && entries.len() > 1 {
            // There is no other writer: two entries of this batch conflict.
            return Box::pin(self.bisect(entries)).await.map(|()| Vec::new());
        }
        match found {
            Ok((stale, settled)) => self.reload_and_decide(entries, &stale, &settled).await,
            Err(error) => {
                requeue(&entries);
                Err(Unwritten { entries, error })
            }
        }
    }

    /// Reloads sessions, and decides entries again, apart from those that were carried out already.
    async fn reload_and_decide(
        &self,
        mut entries: Vec<PendingCommand>,
        stale: &StaleSessions,
        settled: &Settled,
    ) -> Result<Vec<PendingCommand>, Unwritten> {
        requeue(&entries);
        match self.reload_all(stale).await {
            Ok(()) => {
                entries.iter_mut().for_each(|entry| settled.apply_to(entry));
                Ok(self.decide_pending(entries))
            }
            Err(error) => Err(Unwritten { entries, error }),
        }
    }

    /// Checks, before entries are written again or refused, whether earlier writes of them whose answers were lost
    /// have taken effect since they were looked up. The state that the entries are decided on may include such a
    /// write: then no race would be lost, and they would be carried out twice, or refused because of themselves.
    ///
    /// A write that has not taken effect by now cannot do so behind a refusal: either the session has moved on, or
    /// the refusal is due to an entry of that write that has expired, and so has the write.
    pub(super) async fn settle_written(
        &self,
        mut entries: Vec<PendingCommand>,
    ) -> Result<Vec<PendingCommand>, Unwritten> {
        let is_again = |entry: &&PendingCommand| !entry.attempts.is_empty() && !entry.decision.is_settled();
        loop {
            let look = tokio::time::timeout(LOOKUP_TIMEOUT, self.attempted(entries.iter().filter(is_again))).await;
            let batches = match look.unwrap_or(Err(StorageError::TimedOut)) {
                Ok(batches) => batches,
                Err(error) => {
                    requeue(&entries);
                    return Err(Unwritten { entries, error });
                }
            };
            let settled = Settled { commands: HashMap::new(), batches };
            let landed = entries.iter().filter(is_again).filter(|entry| settled.is_settled(entry));
            let stale: StaleSessions = landed.map(|entry| (entry.live.id(), Arc::clone(&entry.live))).collect();
            if stale.is_empty() {
                return Ok(entries);
            }
            // The reloaded state may include writes from after the look-up.
            entries = self.reload_and_decide(entries, &stale, &settled).await?;
        }
    }

    /// The batches that the events of lost attempts were written with.
    async fn attempted(
        &self,
        entries: impl Iterator<Item = &PendingCommand> + Send,
    ) -> Result<HashMap<(SessionId, Revision), i64>, StorageError> {
        let firsts = |entry: &PendingCommand| {
            let id = entry.live.id();
            entry.attempts.iter().map(move |attempt| (id, attempt.first)).collect::<Vec<_>>()
        };
        let events: Vec<(SessionId, Revision)> = entries.flat_map(firsts).collect();
        if events.is_empty() { Ok(HashMap::new()) } else { self.store.batches_of(&events).await }
    }

    /// The sessions whose stored revision is not the expected one, or whose command ids were carried out
    /// elsewhere; and which entries were carried out already.
    async fn stale(&self, entries: &[PendingCommand]) -> Result<(StaleSessions, Settled), StorageError> {
        let ids: BTreeSet<SessionId> = entries.iter().map(|entry| entry.live.id()).collect();
        let versions = self.store.versions(&ids.into_iter().collect::<Vec<_>>()).await?;
        let command_ids = entries.iter().filter_map(|entry| match &entry.decision {
            Decision::Events { .. } => Some((entry.live.id(), Arc::clone(entry.submission.command_id.as_ref()?))),
            _ => None,
        });
        let commands = self.store.command_revisions(command_ids.collect()).await?;
        let settled = Settled { commands, batches: self.attempted(entries.iter()).await? };
        let mut stale = StaleSessions::new();
        for entry in entries {
            let id = entry.live.id();
            if versions.get(&id) != Some(&entry.live.version()) || settled.is_settled(entry) {
                stale.entry(id).or_insert_with(|| Arc::clone(&entry.live));
            }
        }
        if let ([entry], true) = (entries, stale.is_empty()) {
            // The database shows no conflict, so the state in memory is wrong.
            stale.insert(entry.live.id(), Arc::clone(&entry.live));
        }
        Ok((stale, settled))
    }

    async fn reload_all(&self, stale: &StaleSessions) -> Result<(), StorageError> {
        for live in stale.values() {
            self.reload(live).await?;
        }
        Ok(())
    }

    /// Replaces a session's state in memory by the stored one. It counts as deleted only if it is not stored any
    /// more, or another one is stored in its place; if it cannot be read, it stays at its last commit.
    ///
    /// # Errors
    ///
    /// If a retry may help.
    async fn reload(&self, live: &LiveSession) -> Result<(), StorageError> {
        let read = tokio::time::timeout(LOOKUP_TIMEOUT, self.store.session(live.id())).await;
        match read.unwrap_or(Err(StorageError::TimedOut)) {
            Ok(Some(session)) if live.head().session().is_continued_by(&session) => {
                live.reload(Arc::new(session));
                self.fanout.feed.changed(live.id());
            }
            Ok(Some(_) | None) => live.retire_deleted(),
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                tracing::error!(%error, session_id = %live.id(), "cannot reload the session");
                live.restage(live.head().session());
            }
        }
        Ok(())
    }

    /// The same for a session whose staged state is void: without the database it continues from its last commit,
    /// and the fence keeps anything from being written on an outdated state.
    async fn reload_or_restage(&self, live: &LiveSession) {
        if let Err(error) = self.reload(live).await {
            error.log("cannot reload a session now");
            live.restage(live.head().session());
        }
    }

    /// Splits a batch that cannot be written until the entry at fault is found.
    pub(super) async fn bisect(&mut self, entries: Vec<PendingCommand>) -> Result<(), Unwritten> {
        let mut sessions: Vec<Vec<PendingCommand>> = Vec::new();
        let mut places: HashMap<SessionId, usize> = HashMap::new();
        for entry in entries {
            let place = *places.entry(entry.live.id()).or_insert(sessions.len());
            if place == sessions.len() {
                sessions.push(Vec::new());
            }
            sessions[place].push(entry);
        }
        if sessions.len() > 1 {
            for entries in sessions {
                self.process(entries).await;
            }
            return Ok(());
        }
        let entries: Vec<PendingCommand> = sessions.into_iter().flatten().collect();
        requeue(&entries);
        if let Some(live) = entries.first().map(|entry| Arc::clone(&entry.live)) {
            self.reload_or_restage(&live).await;
        }
        let mut entries = entries.into_iter();
        while let Some(entry) = entries.next() {
            let alone = self.decide_pending(vec![entry]);
            if let Err(mut unwritten) = self.try_process(alone).await {
                // What comes after it is decided after it, and not on what is staged and not written.
                unwritten.entries.extend(entries);
                return Err(unwritten);
            }
        }
        Ok(())
    }

    /// Answers entries with an error, and discards what was staged on them.
    pub(super) async fn abandon(&mut self, entries: Vec<PendingCommand>, error: HubError) {
        for entry in entries {
            let live = Arc::clone(&entry.live);
            self.refuse(entry, error.clone());
            self.reload_or_restage(&live).await;
        }
    }
}

type StaleSessions = BTreeMap<SessionId, Arc<LiveSession>>;

/// The entries of a batch that lost a race which were carried out already.
struct Settled {
    commands: HashMap<(SessionId, Arc<str>), Revision>,
    /// The batches of the events that lost attempts would have written.
    batches: HashMap<(SessionId, Revision), i64>,
}

impl Settled {
    /// The revision that an attempt whose answer was lost has led to.
    fn attempt(&self, entry: &PendingCommand) -> Option<Revision> {
        let took_effect =
            |attempt: &&UnknownWrite| self.batches.get(&(entry.live.id(), attempt.first)) == Some(&attempt.batch);
        entry.attempts.iter().find(took_effect).map(|attempt| attempt.last)
    }

    fn command(&self, entry: &PendingCommand) -> Option<Revision> {
        let command_id = Arc::clone(entry.submission.command_id.as_ref()?);
        self.commands.get(&(entry.live.id(), command_id)).copied()
    }

    fn is_settled(&self, entry: &PendingCommand) -> bool {
        self.attempt(entry).is_some() || self.command(entry).is_some()
    }

    /// Answers an entry that was carried out.
    fn apply_to(&self, entry: &mut PendingCommand) {
        if let Some(revision) = self.attempt(entry) {
            entry.decision = Decision::Written { revision };
            if let Some(command_id) = &entry.submission.command_id {
                entry.live.staged.lock().recent.insert(Arc::clone(command_id), revision);
            }
        } else if let (Some(command_id), Some(revision)) = (&entry.submission.command_id, self.command(entry)) {
            let mut staged = entry.live.staged.lock();
            staged.recent.insert(Arc::clone(command_id), revision);
            // Set here because `recent` may hold fewer ids than there are entries.
            entry.decision = Decision::Duplicate { generation: staged.generation, revision };
        }
    }
}
