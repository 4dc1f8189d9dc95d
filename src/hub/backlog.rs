//! What waits in a lane: by session, and taken from the sessions in turn.
//!
//! A session that sends a flood waits for itself: its share of the lane is bounded, in commands, in
//! events and in bytes, and however much it has waiting, every other session's next command is in the
//! next batch but one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::error::HubError;
use super::load::Load;
use super::pending_command::PendingCommand;
use super::slot::Slot;
use relive_backoff::Backoff;
use relive_session::SessionId;

/// How often answers that are due are looked for.
const TICK: Duration = Duration::from_millis(250);
/// Before a session is tried again that could not be written.
const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// How long it is remembered that a session could not be written.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The waiting room of one lane.
#[derive(Debug)]
pub(super) struct Backlog {
    inner: Mutex<Inner>,
    /// Something can be taken, or the queue was closed.
    arrived: Notify,
    /// There may be room.
    left: Notify,
    /// For all sessions together.
    lane: Load,
    /// For one session.
    share: Load,
    answer_within: Duration,
    /// Bytes of what has no place yet.
    outside: AtomicUsize,
    /// Those without an answer, the oldest first.
    unanswered: Mutex<VecDeque<Arc<Slot>>>,
    asked: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<SessionId, Waiting>,
    /// The sessions that have something waiting, the next one first.
    turns: VecDeque<SessionId>,
    /// Sessions whose last write ran into a time limit. Each is written by itself from then on, until
    /// that goes well: it could hold others up.
    failing: HashMap<SessionId, Failing>,
    load: Load,
    closed: bool,
}

#[derive(Debug)]
struct Failing {
    not_before: Instant,
    backoff: Backoff,
}

/// One session's part of the queue.
#[derive(Debug, Default)]
struct Waiting {
    entries: VecDeque<PendingCommand>,
    /// With what has a place and is not here yet.
    load: Load,
}

/// A place in the queue for one entry; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    queue: &'a Backlog,
    session_id: SessionId,
    load: Load,
    is_used: bool,
}

/// What waits for a place.
struct Outside<'a> {
    backlog: &'a Backlog,
    bytes: usize,
}

impl Drop for Outside<'_> {
    fn drop(&mut self) {
        self.backlog.outside.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What the lane is to do next.
enum Next {
    Write(Vec<PendingCommand>),
    Wait(Option<Instant>),
    End,
}

impl Backlog {
    /// A queue for up to `lane` in all, and up to `share` of one session. Whoever has waited for
    /// `answer_within` is answered.
    pub fn new(lane: Load, share: Load, answer_within: Duration) -> Self {
        Self {
            inner: Mutex::default(),
            arrived: Notify::new(),
            left: Notify::new(),
            lane,
            share,
            answer_within,
            outside: AtomicUsize::new(0),
            unanswered: Mutex::default(),
            asked: Notify::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.inner.lock().load.entries
    }

    /// A place for an entry. Waits while there is none, unless the database is away or too much waits.
    pub async fn reserve(
        &self,
        session_id: SessionId,
        load: Load,
        healthy: &watch::Receiver<bool>,
    ) -> Result<Place<'_>, HubError> {
        if let Some(place) = self.try_reserve(session_id, load)? {
            return Ok(place);
        }
        let _waiting = self.wait_for_place(load.bytes).ok_or(HubError::Unavailable)?;
        let mut healthy = healthy.clone();
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if let Some(place) = self.try_reserve(session_id, load)? {
                return Ok(place);
            }
            tokio::select! {
                biased;
                () = left => {}
                _ = healthy.wait_for(|healthy| !healthy) => return Err(HubError::Unavailable),
            }
        }
    }

    /// Counts what waits outside, in memory all the same; none when there is too much of it already.
    fn wait_for_place(&self, bytes: usize) -> Option<Outside<'_>> {
        let before = self.outside.fetch_add(bytes, Ordering::Relaxed);
        let outside = Outside { backlog: self, bytes };
        (before == 0 || before + bytes <= 2 * self.lane.bytes).then_some(outside)
    }

    fn try_reserve(&self, session_id: SessionId, load: Load) -> Result<Option<Place<'_>>, HubError> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(HubError::Unavailable);
        }
        let held = inner.sessions.get(&session_id).map_or(Load::default(), |waiting| waiting.load);
        if !inner.load.has_room(load, self.lane) || !held.has_room(load, self.share) {
            return Ok(None);
        }
        inner.load.add(load);
        inner.sessions.entry(session_id).or_default().load.add(load);
        Ok(Some(Place { queue: self, session_id, load, is_used: false }))
    }

    /// The next batch, of at most `limit` unless one entry has more; empty while there is none. `None` once the
    /// queue is closed and empty. Cancel-safe.
    pub async fn next(&self, limit: Load) -> Option<Vec<PendingCommand>> {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let next = self.inner.lock().next(limit, Instant::now());
            match next {
                Next::Write(entries) => {
                    self.left.notify_waiters();
                    return Some(entries);
                }
                Next::End => return None,
                Next::Wait(None) => arrived.await,
                Next::Wait(Some(until)) => {
                    let _ = tokio::time::timeout_at(until, arrived).await;
                }
            }
        }
    }

    /// Takes entries back that could not be written, in front of what waits; the caller counts them as
    /// queued. With `apart`, their sessions wait a little, longer each time, and are written one by one.
    pub fn put_back(&self, entries: Vec<PendingCommand>, apart: bool) {
        let mut inner = self.inner.lock();
        if apart {
            inner.keep_apart(entries.iter().map(|entry| entry.live.id()).collect(), Instant::now());
        }
        for entry in entries.into_iter().rev() {
            let (id, load) = (entry.live.id(), entry.load);
            inner.load.add(load);
            let waiting = inner.sessions.entry(id).or_default();
            waiting.load.add(load);
            waiting.entries.push_front(entry);
            if waiting.entries.len() == 1 {
                inner.turns.push_back(id);
            }
        }
        drop(inner);
        self.arrived.notify_one();
    }

    /// Writes of these sessions went well.
    pub fn went_well(&self, ids: impl Iterator<Item = SessionId>) {
        let mut inner = self.inner.lock();
        if !inner.failing.is_empty() {
            for id in ids {
                inner.failing.remove(&id);
            }
        }
    }

    /// Lets nothing more in.
    pub fn close(&self) {
        self.inner.lock().closed = true;
        self.left.notify_waiters();
        self.arrived.notify_one();
    }

    /// Nothing is written any more: everybody is answered.
    pub fn give_up(&self) {
        self.close();
        self.unanswered.lock().drain(..).for_each(|slot| slot.expire());
    }

    fn push(&self, entry: PendingCommand) {
        let id = entry.live.id();
        self.unanswered.lock().push_back(Arc::clone(&entry.slot));
        let mut inner = self.inner.lock();
        let waiting = inner.sessions.entry(id).or_default();
        waiting.entries.push_back(entry);
        if waiting.entries.len() == 1 {
            inner.turns.push_back(id);
        }
        drop(inner);
        self.arrived.notify_one();
        self.asked.notify_one();
    }

    fn give_back(&self, id: SessionId, load: Load) {
        let mut inner = self.inner.lock();
        inner.load.subtract(load);
        if let Some(waiting) = inner.sessions.get_mut(&id) {
            waiting.load.subtract(load);
        }
        inner.forget_if_empty(id);
        drop(inner);
        self.left.notify_waiters();
        self.arrived.notify_one();
    }

    /// Answers those who have waited too long, wherever their commands are: waiting here, or in a batch
    /// of which nobody knows whether it was written.
    pub async fn answer_in_time(&self) {
        loop {
            if self.unanswered.lock().is_empty() {
                self.asked.notified().await;
            }
            tokio::time::sleep(TICK).await;
            let now = Instant::now();
            let mut unanswered = self.unanswered.lock();
            while unanswered.pop_front_if(|slot| !slot.is_open()).is_some() {}
            if unanswered.front().is_some_and(|slot| slot.expires <= now) {
                unanswered.retain(|slot| {
                    if slot.expires <= now {
                        slot.expire();
                    }
                    slot.is_open()
                });
            }
        }
    }
}

impl Inner {
    fn next(&mut self, limit: Load, now: Instant) -> Next {
        let (mut batch, mut load) = (Vec::new(), Load::default());
        let mut passed = VecDeque::new();
        let mut wake: Option<Instant> = None;
        while load.entries < limit.entries
            && let Some(id) = self.turns.pop_front()
        {
            let Some(waiting) = self.sessions.get_mut(&id) else { continue };
            let failing = self.failing.get(&id);
            if let Some(until) = failing.map(|failing| failing.not_before).filter(|until| *until > now) {
                wake = Some(wake.map_or(until, |wake| wake.min(until)));
                passed.push_back(id);
                continue;
            }
            let fits = waiting.entries.front().is_some_and(|entry| load.has_room(entry.load, limit));
            let is_alone = failing.is_some();
            if !fits || (is_alone && !batch.is_empty()) {
                passed.push_back(id);
                continue;
            }
            let Some(entry) = waiting.entries.pop_front() else { continue };
            waiting.load.subtract(entry.load);
            self.load.subtract(entry.load);
            load.add(entry.load);
            batch.push(entry);
            if !waiting.entries.is_empty() {
                self.turns.push_back(id);
            }
            self.forget_if_empty(id);
            if is_alone {
                break;
            }
        }
        // They were passed over, and so come first next time.
        while let Some(id) = passed.pop_back() {
            self.turns.push_front(id);
        }
        match batch.is_empty() {
            false => Next::Write(batch),
            true if self.closed && self.load.entries == 0 => Next::End,
            true => Next::Wait(wake),
        }
    }

    fn keep_apart(&mut self, ids: HashSet<SessionId>, now: Instant) {
        self.failing.retain(|_, failing| failing.not_before + REMEMBERED > now);
        for id in ids {
            let fresh = Backoff::new(FIRST_RETRY, LAST_RETRY);
            let mut backoff = self.failing.get(&id).map_or(fresh, |failing| failing.backoff);
            self.failing.insert(id, Failing { not_before: now + backoff.next_wait(), backoff });
        }
    }

    fn forget_if_empty(&mut self, id: SessionId) {
        if self.sessions.get(&id).is_some_and(|waiting| waiting.load.entries == 0) {
            self.sessions.remove(&id);
        }
    }
}

impl Place<'_> {
    /// Hands the entry in.
    pub fn send(mut self, entry: PendingCommand) {
        self.is_used = true;
        self.queue.push(entry);
    }

    pub fn load(&self) -> Load {
        self.load
    }

    pub fn answer_within(&self) -> Duration {
        self.queue.answer_within
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.is_used {
            self.queue.give_back(self.session_id, self.load);
        }
    }
}
