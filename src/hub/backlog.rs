//! The queue of a lane: one queue per session, served round-robin.
//!
//! A session that sends a flood delays only itself: its share of the lane is bounded in commands, events
//! and bytes, and however much it has queued, the next command of every other session is in the batch
//! after the one that is being written.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::error::HubError;
use super::pending_command::PendingCommand;
use super::size::QueueSize;
use super::slot::SessionSlot;
use relive_backoff::Backoff;
use relive_session::SessionId;

/// How often expired entries are searched.
const TICK: Duration = Duration::from_millis(250);
/// The pause before a session that could not be written is retried.
const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// How long a session counts as slow after it could not be written.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The queue of one lane.
#[derive(Debug)]
pub(super) struct Backlog {
    inner: Mutex<Inner>,
    /// Notified when something is queued, or the queue was closed.
    arrived: Notify,
    /// Notified when there may be room.
    left: Notify,
    /// The limit for all sessions together.
    lane: QueueSize,
    /// The limit for one session.
    share: QueueSize,
    answer_within: Duration,
    /// Bytes of submissions that have not reserved a place yet.
    outside: AtomicUsize,
    /// Submissions without an answer, the oldest first.
    unanswered: Mutex<VecDeque<Arc<SessionSlot>>>,
    asked: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<SessionId, SessionQueue>,
    /// The sessions with queued entries, the next one first.
    turns: VecDeque<SessionId>,
    /// Sessions whose last write ran into a time limit. Each is written in a batch of its own, so that it
    /// delays no other, until a write succeeds.
    failing: HashMap<SessionId, Failing>,
    size: QueueSize,
    closed: bool,
}

#[derive(Debug)]
struct Failing {
    not_before: Instant,
    backoff: Backoff,
}

/// The queue of one session.
#[derive(Debug, Default)]
struct SessionQueue {
    entries: VecDeque<PendingCommand>,
    /// The size of its entries, those that have reserved a place but are not queued yet included.
    size: QueueSize,
}

/// A reserved place in the queue; released when dropped.
#[derive(Debug)]
pub(super) struct Reservation<'a> {
    queue: &'a Backlog,
    session_id: SessionId,
    size: QueueSize,
    is_used: bool,
}

/// A submission that waits for a place.
struct OutsideWaiter<'a> {
    backlog: &'a Backlog,
    bytes: usize,
}

impl Drop for OutsideWaiter<'_> {
    fn drop(&mut self) {
        self.backlog.outside.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What the lane does next.
enum Next {
    Write(Vec<PendingCommand>),
    Wait(Option<Instant>),
    End,
}

impl Backlog {
    /// A queue for up to `lane` in all, and up to `share` of one session. Whatever has no answer after
    /// `answer_within` expires.
    pub fn new(lane: QueueSize, share: QueueSize, answer_within: Duration) -> Self {
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
        self.inner.lock().size.entries
    }

    /// Reserves a place for an entry. Waits while there is none, unless the database is away or too much waits.
    pub async fn reserve(
        &self,
        session_id: SessionId,
        size: QueueSize,
        healthy: &watch::Receiver<bool>,
    ) -> Result<Reservation<'_>, HubError> {
        if let Some(reservation) = self.try_reserve(session_id, size)? {
            return Ok(reservation);
        }
        let _waiting = self.wait_for_place(size.bytes).ok_or(HubError::Unavailable)?;
        let mut healthy = healthy.clone();
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if let Some(reservation) = self.try_reserve(session_id, size)? {
                return Ok(reservation);
            }
            tokio::select! {
                biased;
                () = left => {}
                _ = healthy.wait_for(|healthy| !healthy) => return Err(HubError::Unavailable),
            }
        }
    }

    /// Counts the memory of a submission that waits outside the queue; `None` if the limit is reached.
    fn wait_for_place(&self, bytes: usize) -> Option<OutsideWaiter<'_>> {
        let before = self.outside.fetch_add(bytes, Ordering::Relaxed);
        let outside = OutsideWaiter { backlog: self, bytes };
        (before == 0 || before + bytes <= 2 * self.lane.bytes).then_some(outside)
    }

    fn try_reserve(&self, session_id: SessionId, size: QueueSize) -> Result<Option<Reservation<'_>>, HubError> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(HubError::Unavailable);
        }
        let held = inner.sessions.get(&session_id).map_or(QueueSize::default(), |waiting| waiting.size);
        if !inner.size.has_room(size, self.lane) || !held.has_room(size, self.share) {
            return Ok(None);
        }
        inner.size.add(size);
        inner.sessions.entry(session_id).or_default().size.add(size);
        Ok(Some(Reservation { queue: self, session_id, size, is_used: false }))
    }

    /// The next batch, of at most `limit` unless a single entry has more; waits while the queue is empty.
    /// `None` once the queue is closed and empty. Cancel-safe.
    pub async fn next(&self, limit: QueueSize) -> Option<Vec<PendingCommand>> {
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

    /// Requeues entries that could not be written, before those that wait; the caller counts them as
    /// queued. With `isolated`, their sessions pause before the retry, longer each time, and are written alone.
    pub fn push_front(&self, entries: Vec<PendingCommand>, isolated: bool) {
        let mut inner = self.inner.lock();
        if isolated {
            inner.isolate(entries.iter().map(|entry| entry.live.id()).collect(), Instant::now());
        }
        for entry in entries.into_iter().rev() {
            let (id, size) = (entry.live.id(), entry.size);
            inner.size.add(size);
            let waiting = inner.sessions.entry(id).or_default();
            waiting.size.add(size);
            waiting.entries.push_front(entry);
            if waiting.entries.len() == 1 {
                inner.turns.push_back(id);
            }
        }
        drop(inner);
        self.arrived.notify_one();
    }

    /// Writes of these sessions succeeded.
    pub fn record_success(&self, ids: impl Iterator<Item = SessionId>) {
        let mut inner = self.inner.lock();
        if !inner.failing.is_empty() {
            for id in ids {
                inner.failing.remove(&id);
            }
        }
    }

    /// Accepts no more entries.
    pub fn close(&self) {
        self.inner.lock().closed = true;
        self.left.notify_waiters();
        self.arrived.notify_one();
    }

    /// The lane has stopped: everything that waits is answered with an error.
    pub fn fail_all(&self) {
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

    fn release(&self, id: SessionId, size: QueueSize) {
        let mut inner = self.inner.lock();
        inner.size.subtract(size);
        if let Some(waiting) = inner.sessions.get_mut(&id) {
            waiting.size.subtract(size);
        }
        inner.remove_if_empty(id);
        drop(inner);
        self.left.notify_waiters();
        self.arrived.notify_one();
    }

    /// Answers expired submissions, wherever they are: in this queue, or in a batch whose outcome is unknown.
    pub async fn expire_overdue(&self) {
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
    fn next(&mut self, limit: QueueSize, now: Instant) -> Next {
        let (mut batch, mut size) = (Vec::new(), QueueSize::default());
        let mut passed = VecDeque::new();
        let mut wake: Option<Instant> = None;
        while size.entries < limit.entries
            && let Some(id) = self.turns.pop_front()
        {
            let Some(waiting) = self.sessions.get_mut(&id) else { continue };
            let failing = self.failing.get(&id);
            if let Some(until) = failing.map(|failing| failing.not_before).filter(|until| *until > now) {
                wake = Some(wake.map_or(until, |wake| wake.min(until)));
                passed.push_back(id);
                continue;
            }
            let fits = waiting.entries.front().is_some_and(|entry| size.has_room(entry.size, limit));
            let is_alone = failing.is_some();
            if !fits || (is_alone && !batch.is_empty()) {
                passed.push_back(id);
                continue;
            }
            let Some(entry) = waiting.entries.pop_front() else { continue };
            waiting.size.subtract(entry.size);
            self.size.subtract(entry.size);
            size.add(entry.size);
            batch.push(entry);
            if !waiting.entries.is_empty() {
                self.turns.push_back(id);
            }
            self.remove_if_empty(id);
            if is_alone {
                break;
            }
        }
        // They were skipped, so they come first next time.
        while let Some(id) = passed.pop_back() {
            self.turns.push_front(id);
        }
        match batch.is_empty() {
            false => Next::Write(batch),
            true if self.closed && self.size.entries == 0 => Next::End,
            true => Next::Wait(wake),
        }
    }

    fn isolate(&mut self, ids: HashSet<SessionId>, now: Instant) {
        self.failing.retain(|_, failing| failing.not_before + REMEMBERED > now);
        for id in ids {
            let fresh = Backoff::new(FIRST_RETRY, LAST_RETRY);
            let mut backoff = self.failing.get(&id).map_or(fresh, |failing| failing.backoff);
            self.failing.insert(id, Failing { not_before: now + backoff.next_wait(), backoff });
        }
    }

    fn remove_if_empty(&mut self, id: SessionId) {
        if self.sessions.get(&id).is_some_and(|waiting| waiting.size.entries == 0) {
            self.sessions.remove(&id);
        }
    }
}

impl Reservation<'_> {
    /// Queues the entry in the reserved place.
    pub fn send(mut self, entry: PendingCommand) {
        self.is_used = true;
        self.queue.push(entry);
    }

    pub fn size(&self) -> QueueSize {
        self.size
    }

    pub fn answer_within(&self) -> Duration {
        self.queue.answer_within
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if !self.is_used {
            self.queue.release(self.session_id, self.size);
        }
    }
}
