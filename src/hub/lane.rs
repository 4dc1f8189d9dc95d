//! A lane: writes what was staged while its last commit ran, as one statement.
//!
//! There is no timer. Under light load a batch is one command and its latency one commit; under
//! heavy load batches grow and the cost per command falls.
//!
//! What can go wrong, and what happens then:
//!
//! - *The connection breaks.* Whether the batch was written is unknown, so the lane looks for it
//!   before it writes it again, for as long as it takes. Meanwhile the backlog fills, and once it
//!   is full new commands are refused with `unavailable`.
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

use super::adoption::Adoption;
use super::decision::Decision;
use super::entry::{Entry, Tally, answer, hold, take};
use super::error::HubError;
use super::heads::{Advance, Heads};
use super::keyframes::Keyframes;
use super::live::Live;
use super::news::News;
use super::store::{BatchWriter, Store};
use super::submission::Receipt;
use crate::session::{Revision, SessionId, ambient};
use crate::storage::{Batch, StorageError};

/// Entries in one commit at most.
const BATCH: usize = 1_024;
/// States of other servers that wait to be taken over; beyond it, whoever has read them waits.
const ADOPTIONS: usize = 16;
/// How often a batch that keeps losing races is decided again before its commands are refused.
const RACES: usize = 50;
/// How long a batch may take before the database counts as away.
const COMMIT: Duration = Duration::from_secs(15);
const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_secs(1);

/// The way into a lane.
#[derive(Debug)]
pub(super) struct LaneHandle {
    sender: mpsc::Sender<Entry>,
    adoptions: mpsc::Sender<Adoption>,
    healthy: watch::Receiver<bool>,
}

impl LaneHandle {
    /// Where the lane is given what other servers have committed.
    pub fn adoptions(&self) -> mpsc::Sender<Adoption> {
        self.adoptions.clone()
    }

    /// A place in the lane. Waits while it is full, unless the database is away.
    pub async fn reserve(&self) -> Result<mpsc::Permit<'_, Entry>, HubError> {
        match self.sender.try_reserve() {
            Ok(permit) => return Ok(permit),
            Err(mpsc::error::TrySendError::Closed(())) => return Err(HubError::Unavailable),
            Err(mpsc::error::TrySendError::Full(())) => {}
        }
        let mut healthy = self.healthy.clone();
        tokio::select! {
            biased;
            permit = self.sender.reserve() => permit.map_err(|_| HubError::Unavailable),
            _ = healthy.wait_for(|healthy| !healthy) => Err(HubError::Unavailable),
        }
    }
}

pub(super) struct Lane {
    store: Arc<dyn Store>,
    receiver: mpsc::Receiver<Entry>,
    adoptions: mpsc::Receiver<Adoption>,
    news: News,
    keyframes: Keyframes,
    healthy: watch::Sender<bool>,
    writer: Option<Box<dyn BatchWriter>>,
    /// Names the next batch; the upper half is random, so that two processes do not meet.
    next_batch: i64,
}

impl Lane {
    /// A lane in which up to `backlog` commands may wait.
    pub fn new(store: Arc<dyn Store>, backlog: usize, news: News, keyframes: Keyframes) -> (Self, LaneHandle) {
        let (sender, receiver) = mpsc::channel(backlog);
        let (adopt, adoptions) = mpsc::channel(ADOPTIONS);
        let healthy = watch::Sender::new(true);
        let handle = LaneHandle { sender, adoptions: adopt, healthy: healthy.subscribe() };
        let next_batch = (ambient::random().cast_signed() & i64::MAX) >> 32 << 32 | 1;
        (Self { store, receiver, adoptions, news, keyframes, healthy, writer: None, next_batch }, handle)
    }

    /// Runs until told to stop, and then until everything accepted is written.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut entries = Vec::new();
        loop {
            let received = tokio::select! {
                biased;
                // Few, and quick: they were read and folded beforehand.
                Some(adoption) = self.adoptions.recv() => {
                    self.adopt(adoption);
                    continue;
                }
                received = self.receiver.recv_many(&mut entries, BATCH) => received,
                () = stop.cancelled(), if !self.receiver.is_closed() => {
                    self.receiver.close();
                    continue;
                }
            };
            if received == 0 {
                return;
            }
            metrics::gauge!("relive_backlog").set(self.receiver.len() as f64);
            let ready = take(entries.drain(..));
            self.settle(ready).await;
        }
    }

    /// Takes over what another server has committed. Between two batches nothing of a session is being
    /// written here, so its head moves in the order of its revisions.
    fn adopt(&self, adoption: Adoption) {
        let id = adoption.live.id();
        if adoption.carry_out() {
            self.news.feed.changed(id);
        }
    }

    /// Brings entries to their end: every reply is answered when this returns.
    async fn settle(&mut self, mut entries: Vec<Entry>) {
        for _ in 0..RACES {
            if entries.is_empty() {
                return;
            }
            match self.write(&entries).await {
                Ok(()) => return self.publish(entries),
                Err(StorageError::Fenced) => entries = self.decide_again(entries).await,
                Err(error) if entries.len() == 1 => return self.abandon(entries, error.into()).await,
                Err(_) => return Box::pin(self.take_apart(entries)).await,
            }
        }
        self.abandon(entries, HubError::Unavailable).await;
    }

    /// Writes one batch. Comes back only when it is known to be written, or known not to be.
    async fn write(&mut self, entries: &[Entry]) -> Result<(), StorageError> {
        let id = self.next_batch;
        self.next_batch += 1;
        let heads = Heads::of(entries);
        if !heads.are_dense() {
            tracing::error!("a batch does not follow on what is committed; its sessions are decided again");
            return Err(StorageError::Fenced);
        }
        let batch = heads.batch(id, entries);
        if batch.events.is_empty() && batch.commands.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let mut outcome = self.try_write(&batch).await;
        let mut pause = FIRST_RETRY;
        let mut is_unknown = false;
        loop {
            match &outcome {
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, events = batch.events.len(), "the database is away; the batch waits");
                    is_unknown = true;
                    self.writer = None;
                    self.healthy.send_replace(false);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LAST_RETRY);
                }
                // What this attempt ran into may be an earlier one, which came through after all.
                Err(_) if is_unknown => {}
                _ => break,
            }
            outcome = match (self.store.has_batch(&batch).await, outcome) {
                (Ok(true), _) => Ok(()),
                (Ok(false), Err(error)) if error.is_transient() => self.try_write(&batch).await,
                (Ok(false), known) => {
                    outcome = known;
                    break;
                }
                (Err(error), _) => Err(error),
            };
        }
        self.healthy.send_if_modified(|healthy| !std::mem::replace(healthy, true));
        metrics::histogram!("relive_commit_seconds").record(started.elapsed().as_secs_f64());
        metrics::histogram!("relive_commit_events").record(batch.events.len() as f64);
        outcome
    }

    async fn try_write(&mut self, batch: &Batch<'_>) -> Result<(), StorageError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(self.store.writer().await?),
        };
        // A database that neither answers nor disconnects counts as away.
        tokio::time::timeout(COMMIT, writer.write(batch)).await.unwrap_or(Err(StorageError::TimedOut))
    }

    /// After a lost race: reloads the sessions that others moved on, and decides their entries anew.
    async fn decide_again(&mut self, mut entries: Vec<Entry>) -> Vec<Entry> {
        metrics::counter!("relive_races_lost_total").increment(1);
        let Ok((overtaken, known)) = self.overtaken(&entries).await else {
            return entries;
        };
        if overtaken.is_empty() && entries.len() > 1 {
            // Nobody else is in the way: two entries of this batch are in each other's.
            Box::pin(self.take_apart(entries)).await;
            return Vec::new();
        }
        hold(&entries);
        for live in overtaken.values() {
            self.reload(live).await;
        }
        for entry in &mut entries {
            let Some(command_id) = &entry.submission.command_id else { continue };
            if let Some(revision) = known.get(&(entry.live.id(), Arc::clone(command_id))) {
                let mut staged = entry.live.staged.lock();
                staged.recent.insert(Arc::clone(command_id), *revision);
                // Not left to `recent`, which may hold fewer than there are here.
                entry.decision = Decision::Duplicate { generation: staged.generation, revision: *revision };
            }
        }
        take(entries.into_iter())
    }

    /// The sessions that are not where this process believes them to be, or whose command ids were
    /// carried out elsewhere; and those command ids.
    async fn overtaken(&self, entries: &[Entry]) -> Result<(Overtaken, KnownCommands), StorageError> {
        let ids: Vec<SessionId> = Heads::of(entries).by_session.into_keys().collect();
        let revisions = self.store.revisions(&ids).await?;
        let command_ids = entries.iter().filter_map(|entry| match &entry.decision {
            Decision::Events { .. } => Some((entry.live.id(), Arc::clone(entry.submission.command_id.as_ref()?))),
            _ => None,
        });
        let known = self.store.command_revisions(command_ids.collect()).await?;
        let mut overtaken = Overtaken::new();
        for entry in entries {
            let id = entry.live.id();
            let is_known = |command_id: &Arc<str>| known.contains_key(&(id, Arc::clone(command_id)));
            if revisions.get(&id) != Some(&entry.live.head().session().revision)
                || entry.submission.command_id.as_ref().is_some_and(is_known)
            {
                overtaken.entry(id).or_insert_with(|| Arc::clone(&entry.live));
            }
        }
        Ok((overtaken, known))
    }

    /// Replaces what is in memory of a session by what is stored, waiting for the database.
    async fn reload(&mut self, live: &Live) {
        let mut pause = FIRST_RETRY;
        loop {
            match self.store.session(live.id()).await {
                Ok(Some(session)) => {
                    live.reload(Arc::new(session));
                    return self.news.feed.changed(live.id());
                }
                Ok(None) => return live.retire_deleted(),
                Err(error) if error.is_transient() => {
                    self.healthy.send_replace(false);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LAST_RETRY);
                }
                Err(error) => {
                    // Nothing can be decided on a history that cannot be read: the live copy goes,
                    // and the next access meets the same error and reports it.
                    tracing::error!(%error, session_id = %live.id(), "cannot reload the session");
                    return live.retire_deleted();
                }
            }
        }
    }

    /// Narrows a batch that cannot be written down to what is at fault.
    async fn take_apart(&mut self, entries: Vec<Entry>) {
        let mut sessions: Vec<Vec<Entry>> = Vec::new();
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
        let entries: Vec<Entry> = sessions.into_iter().flatten().collect();
        hold(&entries);
        if let Some(live) = entries.first().map(|entry| Arc::clone(&entry.live)) {
            self.reload(&live).await;
        }
        for entry in entries {
            let alone = take(std::iter::once(entry));
            self.settle(alone).await;
        }
    }

    /// Answers entries with an error, and forgets what was staged on them.
    async fn abandon(&mut self, entries: Vec<Entry>, error: HubError) {
        for entry in entries {
            let live = Arc::clone(&entry.live);
            self.refuse(entry, error.clone());
            self.reload(&live).await;
        }
    }

    /// Refuses an entry, unless its command id was carried out earlier: then that is the answer. The
    /// look for it is not the lane's to wait for.
    fn refuse(&self, entry: Entry, error: HubError) {
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
    fn publish(&self, entries: Vec<Entry>) {
        for Advance { live, before, after, events } in Heads::of(&entries).by_session.into_values() {
            let Some(after) = after else { continue };
            live.publish(Arc::clone(after), events.into_iter().flatten().cloned());
            self.news.committed(after);
            self.keyframes.consider(&before, after);
        }
        let mut tally = Tally::default();
        for entry in entries {
            let receipt = match &entry.decision {
                Decision::Events { after, .. } => Receipt { revision: after.revision, duplicate: false },
                Decision::Duplicate { revision, .. } => Receipt { revision: *revision, duplicate: true },
                Decision::Refused { refusal, .. } => {
                    let refusal = refusal.clone();
                    self.refuse(entry, refusal.into());
                    continue;
                }
                // `take` lets none through.
                Decision::Undecided => continue,
            };
            tally.answer(entry, Ok(receipt));
        }
    }
}

type Overtaken = BTreeMap<SessionId, Arc<Live>>;
type KnownCommands = HashMap<(SessionId, Arc<str>), Revision>;
