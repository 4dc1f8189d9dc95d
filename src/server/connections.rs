//! The HTTP connections: their number, and which of them to close first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ws::Backpressure;

/// All connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Shared {
    limit: usize,
    open: AtomicUsize,
    waiting: Mutex<Waiting>,
    next: AtomicU64,
    stop: CancellationToken,
}

/// Connections whose client is waited for, by the time since when.
#[derive(Debug, Default)]
struct Waiting {
    /// For a request.
    idle: BTreeMap<u64, CancellationToken>,
    /// For the body of one, or to take the answer.
    slow: BTreeMap<u64, CancellationToken>,
}

/// A connection's permit; released when it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    shared: Arc<Shared>,
    leave: CancellationToken,
    /// Its key among those that are waited for.
    key: AtomicU64,
    is_used: AtomicBool,
    /// No request has begun since the last answer.
    is_idle: AtomicBool,
    is_receiving: AtomicBool,
    /// The client does not take what is written as fast as it comes.
    is_blocked: AtomicBool,
    /// It was told to leave, and the client does not take the rest of the answer.
    stuck: Notify,
    /// It carries an event stream, which is counted as a socket and not as a connection.
    is_streaming: AtomicBool,
}

impl Connections {
    pub fn new(limit: usize) -> Self {
        let shared = Shared {
            limit,
            open: AtomicUsize::new(0),
            waiting: Mutex::default(),
            // A new slot has the key 0, which is nobody's.
            next: AtomicU64::new(1),
            stop: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared), tasks: TaskTracker::new() }
    }

    /// A permit for a new connection; `None` if all open ones are busy.
    pub fn enter(&self) -> Option<ConnectionSlot> {
        let is_full = self.shared.open.load(Ordering::Relaxed) >= self.shared.limit;
        if is_full && !self.make_room() {
            return None;
        }
        self.shared.open.fetch_add(1, Ordering::Relaxed);
        let slot = ConnectionSlot {
            shared: self.shared.clone(),
            leave: self.shared.stop.child_token(),
            key: AtomicU64::new(0),
            is_used: AtomicBool::new(false),
            is_idle: AtomicBool::new(false),
            is_receiving: AtomicBool::new(false),
            is_blocked: AtomicBool::new(false),
            stuck: Notify::new(),
            is_streaming: AtomicBool::new(false),
        };
        slot.end();
        Some(slot)
    }

    /// Closes the connection that has been idle the longest, or else the one whose request has been arriving, or whose
    /// answer has not been taken, the longest; false if all are busy with answers.
    pub fn make_room(&self) -> bool {
        let mut waiting = self.shared.waiting.lock();
        let longest = waiting.idle.pop_first().or_else(|| waiting.slow.pop_first());
        longest.map(|(_, leave)| leave.cancel()).is_some()
    }

    pub fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(connection);
    }

    /// Waits until every connection has answered its current request.
    pub async fn shutdown(self) {
        self.shared.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl ConnectionSlot {
    /// Notes what its client is waited for.
    fn place(&self) {
        let mut waiting = self.shared.waiting.lock();
        self.leave_place(&mut waiting);
        self.take_place(&mut waiting);
    }

    fn leave_place(&self, waiting: &mut Waiting) {
        let key = self.key.load(Ordering::Relaxed);
        waiting.idle.remove(&key);
        waiting.slow.remove(&key);
    }

    fn take_place(&self, waiting: &mut Waiting) {
        // One that has been told to leave makes no more room.
        if self.is_streaming.load(Ordering::Relaxed) || self.leave.is_cancelled() {
            return;
        }
        let key = self.key.load(Ordering::Relaxed);
        if self.is_slow() {
            waiting.slow.insert(key, self.leave.clone());
        } else if self.is_idle.load(Ordering::Relaxed) {
            waiting.idle.insert(key, self.leave.clone());
        }
    }

    fn is_slow(&self) -> bool {
        self.is_receiving.load(Ordering::Relaxed) || self.is_blocked.load(Ordering::Relaxed)
    }

    /// A request has arrived, with its body or without.
    pub fn begin(&self, has_arrived: bool) {
        self.is_used.store(true, Ordering::Relaxed);
        self.is_idle.store(false, Ordering::Relaxed);
        self.is_receiving.store(!has_arrived, Ordering::Relaxed);
        self.place();
    }

    /// All of the request's body has arrived, or no more of it is read.
    pub fn received(&self) {
        if self.is_receiving.swap(false, Ordering::Relaxed) {
            self.place();
        }
    }

    /// The request has been answered, though the end of the answer may still be in transit.
    pub fn end(&self) {
        let mut waiting = self.shared.waiting.lock();
        self.leave_place(&mut waiting);
        self.is_receiving.store(false, Ordering::Relaxed);
        self.is_idle.store(true, Ordering::Relaxed);
        self.key.store(self.shared.next.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.take_place(&mut waiting);
    }

    /// The request is answered with an event stream: the connection gives up its place among the others, and is
    /// closed after it.
    pub fn stream(&self) {
        self.is_receiving.store(false, Ordering::Relaxed);
        if !self.is_streaming.swap(true, Ordering::Relaxed) {
            self.shared.open.fetch_sub(1, Ordering::Relaxed);
        }
        self.place();
    }

    /// Whether no request has arrived yet.
    pub fn is_unused(&self) -> bool {
        !self.is_used.load(Ordering::Relaxed)
    }

    /// Whether another connection needs the place of this one, whose request is still arriving, or whose client does
    /// not take the answer: it is not waited for.
    pub fn is_displaced(&self) -> bool {
        self.is_slow() && !self.shared.stop.is_cancelled()
    }

    pub async fn told_to_leave(&self) {
        self.leave.cancelled().await;
    }

    /// Waits until its client lets it wait, after another connection has been given its place.
    pub async fn stuck(&self) {
        self.stuck.notified().await;
    }
}

impl Backpressure for ConnectionSlot {
    fn blocked(&self, is_blocked: bool) {
        self.is_blocked.store(is_blocked, Ordering::Relaxed);
        self.place();
        if is_blocked && self.leave.is_cancelled() && !self.shared.stop.is_cancelled() {
            self.stuck.notify_one();
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.leave_place(&mut self.shared.waiting.lock());
        if !*self.is_streaming.get_mut() {
            self.shared.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_new_connection_takes_the_place_of_the_one_that_has_waited_longest() {
        let connections = Connections::new(2);
        let (first, second) = (connections.enter().expect("room"), connections.enter().expect("room"));
        // The first has had a request since, so the second has been idle longer.
        first.begin(true);
        first.end();
        let third = connections.enter().expect("the second's place");
        assert!(second.leave.is_cancelled() && !first.leave.is_cancelled());
        drop(second);
        first.begin(true);
        third.begin(true);
        assert!(connections.enter().is_none(), "all are busy");
        drop(first);
        assert!(connections.enter().is_some());
    }

    #[test]
    fn requests_that_are_still_arriving_make_room_after_idle_connections() {
        let connections = Connections::new(3);
        let slots: Vec<ConnectionSlot> = (0..3).map(|_| connections.enter().expect("room")).collect();
        slots[0].begin(false);
        slots[1].begin(false);
        let fourth = connections.enter().expect("the place of the idle one");
        assert!(slots[2].leave.is_cancelled() && !slots[0].leave.is_cancelled());
        assert!(!slots[2].is_displaced(), "a request that has arrived is answered");
        slots[2].begin(false);
        assert!(slots[2].is_displaced(), "one that has only begun is not");
        fourth.begin(true);
        slots[0].received();
        let fifth = connections.enter().expect("the place of the one that sends");
        assert!(slots[1].leave.is_cancelled() && slots[1].is_displaced() && !slots[0].leave.is_cancelled());
        fifth.begin(true);
        assert!(connections.enter().is_none(), "all others are being answered");
        drop(slots);
        assert!(connections.enter().is_some());
    }

    #[test]
    fn answers_that_are_not_taken_make_room_after_idle_connections() {
        let connections = Connections::new(2);
        let slots: Vec<ConnectionSlot> = (0..2).map(|_| connections.enter().expect("room")).collect();
        for slot in &slots {
            slot.begin(true);
            slot.end();
        }
        slots[0].blocked(true);
        let third = connections.enter().expect("the place of the idle one");
        assert!(slots[1].leave.is_cancelled() && !slots[0].leave.is_cancelled());
        third.begin(true);
        slots[0].blocked(false);
        slots[0].blocked(true);
        let fourth = connections.enter().expect("the place of the one that reads nothing");
        assert!(slots[0].leave.is_cancelled() && slots[0].is_displaced());
        fourth.begin(true);
        assert!(connections.enter().is_none(), "both are being answered");
        fourth.blocked(true);
        let fifth = connections.enter().expect("the place of the one that does not take its answer");
        assert!(fourth.is_displaced() && !third.is_displaced());
        fifth.begin(true);
        fourth.blocked(false);
        fourth.end();
        assert!(connections.enter().is_none(), "it has given its place away");
    }

    #[tokio::test]
    async fn whoever_reads_nothing_after_its_place_was_taken_is_not_waited_for() {
        let connections = Connections::new(1);
        let first = connections.enter().expect("room");
        first.begin(true);
        first.end();
        let second = connections.enter().expect("the place of the idle one");
        assert!(!first.is_displaced(), "the end of its answer is in transit");
        first.blocked(true);
        first.stuck().await;
        second.begin(true);
        second.blocked(true);
        assert!(second.stuck().now_or_never().is_none(), "nobody has its place");
    }

    #[test]
    fn an_event_stream_takes_no_place_among_the_connections() {
        let connections = Connections::new(1);
        let streaming = connections.enter().expect("room");
        streaming.begin(true);
        assert!(connections.enter().is_none(), "its request is being answered");
        streaming.stream();
        let next = connections.enter().expect("the place of the stream");
        next.begin(true);
        assert!(connections.enter().is_none());
        drop(streaming);
        assert!(connections.enter().is_none(), "it had none to give back");
        drop(next);
        assert!(connections.enter().is_some());
    }

    #[tokio::test]
    async fn at_the_end_all_are_told_to_leave() {
        let connections = Connections::new(2);
        let slot = connections.enter().expect("room");
        slot.begin(false);
        connections.spawn(async move {
            slot.told_to_leave().await;
            assert!(!slot.is_displaced(), "what is arriving is waited for");
        });
        connections.shutdown().await;
    }
}
