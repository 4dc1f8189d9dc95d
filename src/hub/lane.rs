//! A lane: writes what was staged while its last commit ran, as one statement.
//!
//! There is no timer. Under light load a batch is one command and its latency one commit; under
//! heavy load batches grow and the cost per command falls. How far they grow is bounded in rows and in
//! bytes, so that nobody waits long for the batch that is being written.
//!
//! What can go wrong, and what happens then:
//!
//! - *The connection breaks, or the database does not answer.* Whether the batch was written is unknown,
//!   so the lane looks for it before it does anything else, for as long as it takes. What was not written
//!   goes back into the backlog. Commands whose time is up are answered with `unavailable` meanwhile, and
//!   are not written any more: the batch itself carries a deadline, which the database heeds.
//! - *A session cannot be written in time*, as when somebody holds its row. From then on it is written by
//!   itself, and waits between its attempts, so that it holds up no other.
//! - *Another writer was first.* The sessions it touched are reloaded, their commands decided
//!   again, and the batch is written anew. The others in the batch are kept as they are.
//! - *Something in the batch cannot be written.* The batch is taken apart until only that command
//!   fails; its session is reloaded, so that nothing built on it survives.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backlog::{Backlog, Load, Place};
use super::batch_plan::{BatchPlan, SessionAdvance};
use super::commit_fanout::CommitFanout;
use super::decision::Decision;
use super::error::HubError;
use super::keyframes::Keyframes;
use super::live_session::LiveSession;
use super::pending_command::{Attempt, CommandMetrics, PendingCommand, Received, answer, receive, requeue};
use super::remote_update::RemoteUpdate;
use super::store::{BatchWriter, Store};
use super::submission::Receipt;
use crate::storage::{Batch, StorageError};
use relive_backoff::Backoff;
use relive_session::{Revision, SessionId, ambient};

/// Rows in one commit at most, if one entry alone has not more: some ten milliseconds.
const BATCH_ROWS: usize = 1_024;
/// Bytes of memory that the commands of one commit take at most, if one entry alone has not more.
const BATCH_BYTES: usize = 4 << 20;
/// States of other servers that wait to be taken over; beyond it, whoever has read them waits.
const REMOTE_UPDATES: usize = 16;
/// How often a batch that keeps losing races is decided again before its commands are refused.
const RACES: usize = 50;
/// How long a batch may take before the database counts as away: longer than the database itself lets a
/// statement take, which is an answer.
const COMMIT: Duration = Duration::from_secs(6);
/// How long a look for a batch may take.
const LOOK: Duration = Duration::from_secs(3);
const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_secs(1);

/// The way into a lane.
#[derive(Debug)]
pub(super) struct LaneHandle {
    backlog: Arc<Backlog>,
    remote_updates: mpsc::Sender<RemoteUpdate>,
    healthy: watch::Receiver<bool>,
}

impl LaneHandle {
    /// Where the lane is given what other servers have committed.
    pub fn remote_updates(&self) -> mpsc::Sender<RemoteUpdate> {
        self.remote_updates.clone()
    }

    /// A place in the lane. Waits while the lane, or the session's share of it, is full, unless the database
    /// is away.
    pub async fn reserve(&self, id: SessionId, load: Load) -> Result<Place<'_>, HubError> {
        self.backlog.reserve(id, load, &self.healthy).await
    }

    /// Answers everybody: the lane has been ended.
    pub fn give_up(&self) {
        self.backlog.give_up();
    }

    /// Answers those whose time is up, for ever.
    pub fn answer_in_time(&self) -> impl Future<Output = ()> + Send + use<> {
        let backlog = Arc::clone(&self.backlog);
        async move { backlog.answer_in_time().await }
    }
}

pub(super) struct Lane {
    store: Arc<dyn Store>,
    backlog: Arc<Backlog>,
    remote_updates: mpsc::Receiver<RemoteUpdate>,
    fanout: CommitFanout,
    keyframes: Keyframes,
    healthy: watch::Sender<bool>,
    writer: Option<Box<dyn BatchWriter>>,
    /// Names the next batch; the upper half is random, so that two processes do not meet.
    next_batch: i64,
    /// Rows in the next batch at most: fewer after one that took too long.
    rows: usize,
    /// The pause after the next failure of the database.
    backoff: Backoff,
    stop: CancellationToken,
}

impl Lane {
    /// A lane that takes its commands from `backlog`.
    pub fn new(
        store: Arc<dyn Store>,
        backlog: Backlog,
        fanout: CommitFanout,
        keyframes: Keyframes,
        stop: CancellationToken,
    ) -> (Self, LaneHandle) {
        let backlog = Arc::new(backlog);
        let (send_update, remote_updates) = mpsc::channel(REMOTE_UPDATES);
        let healthy = watch::Sender::new(true);
        let handle =
            LaneHandle { backlog: Arc::clone(&backlog), remote_updates: send_update, healthy: healthy.subscribe() };
        let next_batch = (ambient::random().cast_signed() & i64::MAX) >> 32 << 32 | 1;
        let (rows, backoff, writer) = (BATCH_ROWS, Backoff::new(FIRST_RETRY, LAST_RETRY), None);
        let lane = Self {
            store,
            backlog,
            remote_updates,
            fanout,
            keyframes,
            healthy,
            writer,
            next_batch,
            rows,
            backoff,
            stop,
        };
        (lane, handle)
    }

    /// Runs until told to stop, and then until everything accepted is written or answered.
    pub async fn run(mut self) {
        let backlog = Arc::clone(&self.backlog);
        let mut is_closed = false;
        loop {
            let limit = Load { entries: self.rows, rows: self.rows, bytes: BATCH_BYTES };
            let received = tokio::select! {
                biased;
                // Few, and quick: they were read and folded beforehand.
                Some(update) = self.remote_updates.recv() => {
                    self.apply_remote(update);
                    continue;
                }
                () = self.stop.cancelled(), if !is_closed => {
                    backlog.close();
                    is_closed = true;
                    continue;
                }
                received = backlog.next(limit) => received,
            };
            let Some(entries) = received else { return };
            metrics::gauge!("relive_backlog").set(backlog.len() as f64);
            let ready = self.decide_pending(entries);
            self.settle(ready).await;
        }
    }

    /// Receives entries. Those of deleted sessions are answered: another session may be stored under the same
    /// id, and be meant; then trying again helps. The look for it is not the lane's to wait for.
    fn decide_pending(&self, entries: Vec<PendingCommand>) -> Vec<PendingCommand> {
        let Received { ready, gone } = receive(entries);
        if !gone.is_empty() {
            let store = Arc::clone(&self.store);
            tokio::spawn(async move {
                let ids: Vec<SessionId> = gone.iter().map(|entry| entry.live.id()).collect();
                let look = tokio::time::timeout(LOOK, store.revisions(&ids)).await;
                let stored = look.unwrap_or(Err(StorageError::TimedOut));
                for entry in gone {
                    let is_gone = stored.as_ref().is_ok_and(|stored| !stored.contains_key(&entry.live.id()));
                    answer(entry, Err(if is_gone { HubError::NotFound } else { HubError::Unavailable }));
                }
            });
        }
        ready
    }

    /// Takes over what another server has committed. Between two batches nothing of a session is being
    /// written here, so its head moves in the order of its revisions.
    fn apply_remote(&self, update: RemoteUpdate) {
        let id = update.live.id();
        if update.carry_out() {
            self.fanout.feed.changed(id);
        }
    }

    /// Brings entries to their end: when this returns, each is answered or back in the backlog.
    async fn settle(&mut self, mut entries: Vec<PendingCommand>) {
        for _ in 0..RACES {
            if entries.is_empty() {
                return;
            }
            match self.write(&mut entries).await {
                Ok(()) => return self.publish(entries),
                Err(StorageError::Fenced) => entries = self.decide_again(entries).await,
                Err(error) if error.is_transient() => {
                    requeue(&entries);
                    return self.try_later(entries, &error).await;
                }
                Err(error) if entries.len() == 1 => return self.abandon(entries, error.into()).await,
                Err(_) => return Box::pin(self.take_apart(entries)).await,
            }
        }
        self.abandon(entries, HubError::Unavailable).await;
    }

    /// Puts entries, which count as queued, back in front of the backlog.
    async fn try_later(&mut self, entries: Vec<PendingCommand>, error: &StorageError) {
        if matches!(error, StorageError::Cancelled | StorageError::TimedOut) {
            tracing::warn!(%error, entries = entries.len(), "a batch took too long; smaller ones are tried");
            self.rows = (self.rows / 2).max(1);
            return self.backlog.put_back(entries, true);
        }
        tracing::warn!(%error, entries = entries.len(), "the database is away; a batch waits");
        self.backlog.put_back(entries, false);
        tokio::time::sleep(self.backoff.next_wait()).await;
    }

    /// Writes one batch. Comes back only when it is known to be written, or known not to be.
    async fn write(&mut self, entries: &mut [PendingCommand]) -> Result<(), StorageError> {
        let id = self.next_batch;
        self.next_batch += 1;
        let outcome = self.write_as(id, entries).await;
        if matches!(outcome, Err(StorageError::Unavailable(_) | StorageError::TimedOut)) {
            // Not written when it was looked for; but what is on its way to the database may come there yet.
            for entry in entries {
                if let Some((first, last)) = entry.decision.revisions() {
                    entry.attempts.push(Attempt { batch: id, first, last });
                }
            }
        }
        outcome
    }

    async fn write_as(&mut self, id: i64, entries: &[PendingCommand]) -> Result<(), StorageError> {
        let plan = BatchPlan::of(entries);
        if !plan.are_dense() {
            tracing::error!("a batch does not follow on what is committed; its sessions are decided again");
            return Err(StorageError::Fenced);
        }
        let batch = plan.batch(id, entries);
        if batch.events.is_empty() && batch.commands.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let outcome = match self.try_write(&batch).await {
            Err(error @ (StorageError::Unavailable(_) | StorageError::TimedOut)) => {
                self.find_out(&batch, entries, error).await
            }
            known => known,
        };
        match &outcome {
            Err(StorageError::Unavailable(_) | StorageError::TimedOut) => {}
            // Its clock, or ours, has been set: a new writer looks at both.
            Err(StorageError::TooLate) => self.writer = None,
            _ => drop(self.healthy.send_if_modified(|healthy| !std::mem::replace(healthy, true))),
        }
        metrics::histogram!("relive_commit_seconds").record(started.elapsed().as_secs_f64());
        metrics::histogram!("relive_commit_events").record(batch.events.len() as f64);
        outcome
    }

    async fn try_write(&mut self, batch: &Batch<'_>) -> Result<(), StorageError> {
        let writing = async {
            let writer = match &mut self.writer {
                Some(writer) => writer,
                None => self.writer.insert(self.store.writer().await?),
            };
            writer.write(batch).await
        };
        // A database that neither answers nor disconnects counts as away.
        tokio::time::timeout(COMMIT, writing).await.unwrap_or(Err(StorageError::TimedOut))
    }

    /// Whether a batch was written whose answer was lost. Waits for the database, unless the server stops
    /// and nobody waits for an answer any more.
    async fn find_out(
        &mut self,
        batch: &Batch<'_>,
        entries: &[PendingCommand],
        lost: StorageError,
    ) -> Result<(), StorageError> {
        tracing::warn!(error = %lost, events = batch.events.len(), "it is unknown whether a batch was written");
        self.writer = None;
        self.healthy.send_replace(false);
        let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
        loop {
            let look = tokio::time::timeout(LOOK, self.store.has_batch(batch)).await;
            match look.unwrap_or(Err(StorageError::TimedOut)) {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(lost),
                Err(error) => tracing::debug!(%error, "the batch cannot be looked for"),
            }
            if self.stop.is_cancelled() && !entries.iter().any(|entry| entry.slot.is_open()) {
                return Err(lost);
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }

    /// After a lost race: reloads the sessions that others moved on, and decides their entries anew.
    async fn decide_again(&mut self, mut entries: Vec<PendingCommand>) -> Vec<PendingCommand> {
        metrics::counter!("relive_races_lost_total").increment(1);
        let found = self.overtaken(&entries).await;
        if matches!(&found, Ok((overtaken, _)) if overtaken.is_empty()) && entries.len() > 1 {
            // Nobody else is in the way: two entries of this batch are in each other's.
            Box::pin(self.take_apart(entries)).await;
            return Vec::new();
        }
        requeue(&entries);
        let reloaded = match found {
            Ok((overtaken, settled)) => self.reload_all(&overtaken).await.map(|()| settled),
            Err(error) => Err(error),
        };
        match reloaded {
            Ok(settled) => {
                entries.iter_mut().for_each(|entry| settled.apply_to(entry));
                self.decide_pending(entries)
            }
            Err(error) => {
                self.try_later(entries, &error).await;
                Vec::new()
            }
        }
    }

    /// The sessions that are not where this process believes them to be, or whose command ids were
    /// carried out elsewhere; and which entries were carried out already.
    async fn overtaken(&self, entries: &[PendingCommand]) -> Result<(Overtaken, Settled), StorageError> {
        let ids: Vec<SessionId> = BatchPlan::of(entries).by_session.into_keys().collect();
        let revisions = self.store.revisions(&ids).await?;
        let command_ids = entries.iter().filter_map(|entry| match &entry.decision {
            Decision::Events { .. } => Some((entry.live.id(), Arc::clone(entry.submission.command_id.as_ref()?))),
            _ => None,
        });
        let commands = self.store.command_revisions(command_ids.collect()).await?;
        let attempted: Vec<(SessionId, Revision)> = entries
            .iter()
            .flat_map(|entry| entry.attempts.iter().map(|attempt| (entry.live.id(), attempt.first)))
            .collect();
        let batches = match &attempted[..] {
            [] => HashMap::new(),
            attempted => self.store.batches_of(attempted).await?,
        };
        let settled = Settled { commands, batches };
        let mut overtaken = Overtaken::new();
        for entry in entries {
            let id = entry.live.id();
            if revisions.get(&id) != Some(&entry.live.head().session().revision) || settled.knows(entry) {
                overtaken.entry(id).or_insert_with(|| Arc::clone(&entry.live));
            }
        }
        if let ([entry], true) = (entries, overtaken.is_empty()) {
            // Another session may be stored under this id, and have come as far.
            overtaken.insert(entry.live.id(), Arc::clone(&entry.live));
        }
        Ok((overtaken, settled))
    }

    async fn reload_all(&self, overtaken: &Overtaken) -> Result<(), StorageError> {
        for live in overtaken.values() {
            self.reload(live).await?;
        }
        Ok(())
    }

    /// Replaces what is in memory of a session by what is stored. Only a session that is not stored any
    /// more, or another one in its place, is gone: one that cannot be read stays as it was committed last.
    ///
    /// # Errors
    ///
    /// When trying again may help.
    async fn reload(&self, live: &LiveSession) -> Result<(), StorageError> {
        let read = tokio::time::timeout(LOOK, self.store.session(live.id())).await;
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

    /// The same where something staged is void anyhow: without the database it goes on from what was
    /// committed last, and the fence sees to it that nothing is written on what is out of date.
    async fn reload_or_restage(&self, live: &LiveSession) {
        if let Err(error) = self.reload(live).await {
            tracing::warn!(%error, session_id = %live.id(), "cannot reload the session now");
            live.restage(live.head().session());
        }
    }

    /// Narrows a batch that cannot be written down to what is at fault.
    async fn take_apart(&mut self, entries: Vec<PendingCommand>) {
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
                self.settle(entries).await;
            }
            return;
        }
        let entries: Vec<PendingCommand> = sessions.into_iter().flatten().collect();
        requeue(&entries);
        if let Some(live) = entries.first().map(|entry| Arc::clone(&entry.live)) {
            self.reload_or_restage(&live).await;
        }
        for entry in entries {
            let alone = self.decide_pending(vec![entry]);
            self.settle(alone).await;
        }
    }

    /// Answers entries with an error, and forgets what was staged on them.
    async fn abandon(&mut self, entries: Vec<PendingCommand>, error: HubError) {
        for entry in entries {
            let live = Arc::clone(&entry.live);
            self.refuse(entry, error.clone());
            self.reload_or_restage(&live).await;
        }
    }

    /// Refuses an entry, unless its command id was carried out earlier: then that is the answer. The
    /// look for it is not the lane's to wait for.
    fn refuse(&self, entry: PendingCommand, error: HubError) {
        if entry.submission.command_id.is_none() || !matches!(error, HubError::Refused(_)) {
            return answer(entry, Err(error));
        }
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            let command_id = entry.submission.command_id.as_deref().unwrap_or_default();
            let outcome = match store.command_revision(entry.live.id(), command_id).await {
                Ok(Some(revision)) => Ok(Receipt { revision, duplicate: true }),
                Ok(None) => Err(error),
                Err(unknown) => Err(unknown.into()),
            };
            answer(entry, outcome);
        });
    }

    /// Shows what was committed, then answers: whoever has an answer can already read its effect.
    fn publish(&mut self, entries: Vec<PendingCommand>) {
        self.rows = (self.rows * 2).min(BATCH_ROWS);
        self.backoff.reset();
        self.backlog.went_well(entries.iter().map(|entry| entry.live.id()));
        for SessionAdvance { live, before, after, events } in BatchPlan::of(&entries).by_session.into_values() {
            let Some(after) = after else { continue };
            live.publish(Arc::clone(after), events.into_iter().flatten().cloned());
            self.fanout.committed(after);
            self.keyframes.consider(&before, after);
        }
        let mut command_metrics = CommandMetrics::default();
        for entry in entries {
            let receipt = match &entry.decision {
                Decision::Events { after, .. } => Receipt { revision: after.revision, duplicate: false },
                Decision::Duplicate { revision, .. } => Receipt { revision: *revision, duplicate: true },
                Decision::Written { revision } => Receipt { revision: *revision, duplicate: false },
                Decision::Refused { refusal, .. } => {
                    let refusal = refusal.clone();
                    self.refuse(entry, refusal.into());
                    continue;
                }
                // `receive` lets none through.
                Decision::Undecided => continue,
            };
            command_metrics.answer(entry, Ok(receipt));
        }
    }
}

type Overtaken = BTreeMap<SessionId, Arc<LiveSession>>;

/// What was found to have been carried out already, of the entries of a batch that lost a race.
struct Settled {
    commands: HashMap<(SessionId, Arc<str>), Revision>,
    /// The batches of the events that lost attempts would have written.
    batches: HashMap<(SessionId, Revision), i64>,
}

impl Settled {
    /// The revision that an attempt has led to whose answer was lost.
    fn attempt(&self, entry: &PendingCommand) -> Option<Revision> {
        let took_effect =
            |attempt: &&Attempt| self.batches.get(&(entry.live.id(), attempt.first)) == Some(&attempt.batch);
        entry.attempts.iter().find(took_effect).map(|attempt| attempt.last)
    }

    fn command(&self, entry: &PendingCommand) -> Option<Revision> {
        let command_id = Arc::clone(entry.submission.command_id.as_ref()?);
        self.commands.get(&(entry.live.id(), command_id)).copied()
    }

    fn knows(&self, entry: &PendingCommand) -> bool {
        self.attempt(entry).is_some() || self.command(entry).is_some()
    }

    /// Takes an entry that was carried out for done.
    fn apply_to(&self, entry: &mut PendingCommand) {
        if let Some(revision) = self.attempt(entry) {
            entry.decision = Decision::Written { revision };
        } else if let (Some(command_id), Some(revision)) = (&entry.submission.command_id, self.command(entry)) {
            let mut staged = entry.live.staged.lock();
            staged.recent.insert(Arc::clone(command_id), revision);
            // Not left to `recent`, which may hold fewer than there are here.
            entry.decision = Decision::Duplicate { generation: staged.generation, revision };
        }
    }
}
