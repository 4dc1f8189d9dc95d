//! The HTTP connections: their number, and which of them to close first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
    /// Idle connections, by the time since when they are idle.
    waiting: Mutex<BTreeMap<u64, CancellationToken>>,
    next: AtomicU64,
    stop: CancellationToken,
}

/// A connection's permit; released when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    shared: Arc<Shared>,
    leave: CancellationToken,
    /// Its key among the idle connections.
    key: AtomicU64,
    is_used: AtomicBool,
}

impl Connections {
    pub fn new(limit: usize) -> Self {
        let shared = Shared {
            limit,
            open: AtomicUsize::new(0),
            waiting: Mutex::default(),
            next: AtomicU64::new(0),
            stop: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared), tasks: TaskTracker::new() }
    }

    /// A permit for a new connection; `None` if all open ones are busy.
    pub fn enter(&self) -> Option<Slot> {
        let is_full = self.shared.open.load(Ordering::Relaxed) >= self.shared.limit;
        if is_full && !self.make_room() {
            return None;
        }
        self.shared.open.fetch_add(1, Ordering::Relaxed);
        let slot = Slot {
            shared: self.shared.clone(),
            leave: self.shared.stop.child_token(),
            key: AtomicU64::new(0),
            is_used: AtomicBool::new(false),
        };
        slot.wait();
        Some(slot)
    }

    /// Closes the connection that has been idle the longest; false if none is idle.
    pub fn make_room(&self) -> bool {
        let longest = self.shared.waiting.lock().pop_first();
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

impl Slot {
    fn wait(&self) {
        let key = self.shared.next.fetch_add(1, Ordering::Relaxed);
        self.key.store(key, Ordering::Relaxed);
        self.shared.waiting.lock().insert(key, self.leave.clone());
    }

    /// A request has arrived.
    pub fn begin(&self) {
        self.is_used.store(true, Ordering::Relaxed);
        self.shared.waiting.lock().remove(&self.key.load(Ordering::Relaxed));
    }

    /// It has been answered, though the answer may still be in transit.
    pub fn end(&self) {
        self.wait();
    }

    /// Whether no request has arrived yet.
    pub fn is_unused(&self) -> bool {
        !self.is_used.load(Ordering::Relaxed)
    }

    pub async fn told_to_leave(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.waiting.lock().remove(&self.key.load(Ordering::Relaxed));
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_connection_takes_the_place_of_the_one_that_has_waited_longest() {
        let connections = Connections::new(2);
        let (first, second) = (connections.enter().expect("room"), connections.enter().expect("room"));
        // The first has had a request since, so the second has been idle longer.
        first.begin();
        first.end();
        let third = connections.enter().expect("the second's place");
        assert!(second.leave.is_cancelled() && !first.leave.is_cancelled());
        drop(second);
        first.begin();
        third.begin();
        assert!(connections.enter().is_none(), "all are busy");
        drop(first);
        assert!(connections.enter().is_some());
    }

    #[tokio::test]
    async fn at_the_end_all_are_told_to_leave() {
        let connections = Connections::new(2);
        let slot = connections.enter().expect("room");
        connections.spawn(async move { slot.told_to_leave().await });
        connections.shutdown().await;
    }
}
