//! Which other servers listen on this database.
//!
//! A server's heartbeat names the servers that it knows. A server that is not named answers. A server that
//! finds that it is named for the first time resyncs: earlier commits of the sender were not announced to
//! it. So two servers discover each other with three notices, and nothing is missed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

/// Servers remembered at most. Further ones still receive every notice; but commits from before they were
/// discovered are found only by their periodic comparison.
const PEERS: usize = 64;
/// A server without a heartbeat for this long counts as gone.
const GONE: Duration = Duration::from_secs(35);

#[derive(Debug, Default)]
pub(super) struct Peers {
    known: Mutex<BTreeMap<Uuid, Peer>>,
    /// Whether any other server is known: read at every commit, so not behind the lock.
    any: AtomicBool,
    /// Whether this server receives no notices, so that there may be servers it does not know.
    not_receiving: AtomicBool,
    /// Counts when this server began and ceased to hear the message broker: it hears it while the number is odd.
    broker_epoch: AtomicU64,
}

#[derive(Debug)]
struct Peer {
    seen: Instant,
    /// The newest of its numbers. What it said earlier may arrive later, the other way.
    broker_epoch: u64,
    /// It announces its commits to this server.
    knows_me: bool,
}

/// What a heartbeat of another server leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HeartbeatOutcome {
    /// It does not know this server, or this one did not know it, or notices may have to take another way now.
    pub answer: bool,
    /// From now on it announces its commits to this server; before, it did not.
    pub resync: bool,
}

impl Peers {
    /// Whether there is another server to announce commits to.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire) || self.not_receiving.load(Ordering::Acquire)
    }

    /// Whether this server receives no notices, and so does not know which servers there are.
    pub fn set_not_receiving(&self, not_receiving: bool) {
        self.not_receiving.store(not_receiving, Ordering::Release);
    }

    /// Sets whether this server hears the message broker; returns what was set before.
    pub fn set_hears_broker(&self, hears: bool) -> bool {
        let change = |epoch| (hears_broker(epoch) != hears).then_some(epoch + 1);
        let before = self.broker_epoch.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        hears_broker(before.unwrap_or_else(|unchanged| unchanged))
    }

    pub fn hears_broker(&self) -> bool {
        hears_broker(self.broker_epoch())
    }

    /// What heartbeats say of the message broker.
    pub fn broker_epoch(&self) -> u64 {
        self.broker_epoch.load(Ordering::Acquire)
    }

    /// Whether this server and all others that it knows hear the message broker.
    pub fn all_hear_broker(&self) -> bool {
        self.hears_broker() && self.known.lock().values().all(|peer| hears_broker(peer.broker_epoch))
    }

    pub fn ids(&self) -> Vec<Uuid> {
        self.known.lock().keys().copied().collect()
    }

    /// Handles a heartbeat, which says whether its sender knows this server.
    pub fn heartbeat(&self, from: Uuid, knows_me: bool, broker_epoch: u64, now: Instant) -> HeartbeatOutcome {
        let mut known = self.known.lock();
        if known.len() >= PEERS && !known.contains_key(&from) {
            return HeartbeatOutcome::default();
        }
        let newest = known.get(&from).map_or(broker_epoch, |peer| peer.broker_epoch.max(broker_epoch));
        let before = known.insert(from, Peer { seen: now, broker_epoch: newest, knows_me });
        self.any.store(true, Ordering::Release);
        HeartbeatOutcome {
            answer: !knows_me || before.as_ref().is_none_or(|before| before.broker_epoch != newest),
            resync: knows_me && !before.is_some_and(|before| before.knows_me),
        }
    }

    /// This server did not listen for a while, so commits that others announced were missed.
    pub fn mark_stale(&self) {
        self.known.lock().values_mut().for_each(|peer| peer.knows_me = false);
    }

    pub fn leave(&self, id: Uuid) {
        let mut known = self.known.lock();
        known.remove(&id);
        self.any.store(!known.is_empty(), Ordering::Release);
    }

    /// Forgets servers whose heartbeat has stopped; true if there were any. Their last commits may not have
    /// been announced.
    pub fn expire(&self, now: Instant) -> bool {
        let mut known = self.known.lock();
        let before = known.len();
        known.retain(|_, peer| now.duration_since(peer.seen) < GONE);
        self.any.store(!known.is_empty(), Ordering::Release);
        known.len() < before
    }
}

/// Whether a server with this number hears the message broker.
fn hears_broker(epoch: u64) -> bool {
    epoch % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two servers, each with the notices it has yet to receive: whether the sender knew the other.
    #[test]
    fn two_servers_find_each_other_and_both_look_after_the_other_knows_them() {
        let (ids, peers) = ([Uuid::now_v7(), Uuid::now_v7()], [Peers::default(), Peers::default()]);
        let mut waiting = vec![(0, peers[0].ids().contains(&ids[1]))];
        let (mut notices, mut looked) = (0, [0, 0]);
        while let Some((sender, knows)) = waiting.pop() {
            notices += 1;
            let receiver = 1 - sender;
            let outcome = peers[receiver].heartbeat(ids[sender], knows, 0, Instant::now());
            if outcome.resync {
                assert!(peers[sender].any(), "the other tells its commits by now");
                looked[receiver] += 1;
            }
            if outcome.answer {
                waiting.push((receiver, peers[receiver].ids().contains(&ids[sender])));
            }
        }
        assert_eq!((notices, looked), (3, [1, 1]));
        // A repeated heartbeat changes nothing.
        assert_eq!(peers[0].heartbeat(ids[1], true, 0, Instant::now()), HeartbeatOutcome::default());
    }

    #[test]
    fn a_server_that_did_not_listen_looks_again() {
        let (peers, other) = (Peers::default(), Uuid::now_v7());
        assert_eq!(peers.heartbeat(other, true, 0, Instant::now()), HeartbeatOutcome { answer: true, resync: true });
        peers.mark_stale();
        assert!(peers.any());
        assert_eq!(peers.heartbeat(other, true, 0, Instant::now()), HeartbeatOutcome { answer: false, resync: true });
    }

    #[test]
    fn servers_leave_and_are_lost() {
        let (peers, now) = (Peers::default(), Instant::now());
        let [left, lost, here] = [(); 3].map(|()| Uuid::now_v7());
        for id in [left, lost] {
            peers.heartbeat(id, true, 0, now);
        }
        peers.leave(left);
        assert!(!peers.expire(now + GONE / 2));
        peers.heartbeat(here, true, 0, now + GONE / 2);
        assert!(peers.expire(now + GONE));
        assert_eq!(peers.ids(), [here]);
        peers.leave(here);
        assert!(!peers.any());
        peers.set_not_receiving(true);
        assert!(peers.any());
    }

    #[test]
    fn the_broker_serves_while_all_hear_it() {
        let (peers, now) = (Peers::default(), Instant::now());
        assert!(!peers.all_hear_broker());
        assert!(!peers.set_hears_broker(true));
        assert!(peers.all_hear_broker());
        let (deaf, hearing) = (Uuid::now_v7(), Uuid::now_v7());
        peers.heartbeat(hearing, true, 1, now);
        assert!(peers.all_hear_broker());
        peers.heartbeat(deaf, true, 2, now);
        assert!(!peers.all_hear_broker());
        // What it said before it became deaf.
        assert!(!peers.heartbeat(deaf, true, 1, now).answer);
        assert!(!peers.all_hear_broker());
        peers.leave(deaf);
        assert!(peers.all_hear_broker());
        assert!(peers.set_hears_broker(false));
        assert!(!peers.all_hear_broker());
    }

    #[test]
    fn there_is_a_most() {
        let peers = Peers::default();
        for _ in 0..=PEERS {
            peers.heartbeat(Uuid::now_v7(), false, 0, Instant::now());
        }
        assert_eq!(peers.ids().len(), PEERS);
    }
}
