//! Which other servers listen on this database.
//!
//! A server's heartbeat names the servers that it knows. A server that is not named answers. A server that
//! finds that it is named for the first time resyncs: earlier commits of the sender were not announced to
//! it. So two servers discover each other with three notices, and nothing is missed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// Whether this server hears the message broker.
    hears_broker: AtomicBool,
}

#[derive(Debug)]
struct Peer {
    seen: Instant,
    /// It hears the message broker.
    hears_broker: bool,
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
        self.hears_broker.swap(hears, Ordering::AcqRel)
    }

    pub fn hears_broker(&self) -> bool {
        self.hears_broker.load(Ordering::Acquire)
    }

    /// Whether this server and all others that it knows hear the message broker.
    pub fn all_hear_broker(&self) -> bool {
        self.hears_broker() && self.known.lock().values().all(|peer| peer.hears_broker)
    }

    pub fn ids(&self) -> Vec<Uuid> {
        self.known.lock().keys().copied().collect()
    }

    /// Handles a heartbeat, which says whether its sender knows this server.
    pub fn heartbeat(&self, from: Uuid, knows_me: bool, hears_broker: bool, now: Instant) -> HeartbeatOutcome {
        let mut known = self.known.lock();
        if known.len() >= PEERS && !known.contains_key(&from) {
            return HeartbeatOutcome::default();
        }
        let before = known.insert(from, Peer { seen: now, hears_broker, knows_me });
        self.any.store(true, Ordering::Release);
        HeartbeatOutcome {
            answer: !knows_me || before.as_ref().is_none_or(|before| before.hears_broker != hears_broker),
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
            let outcome = peers[receiver].heartbeat(ids[sender], knows, false, Instant::now());
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
        assert_eq!(peers[0].heartbeat(ids[1], true, false, Instant::now()), HeartbeatOutcome::default());
    }

    #[test]
    fn a_server_that_did_not_listen_looks_again() {
        let (peers, other) = (Peers::default(), Uuid::now_v7());
        assert_eq!(
            peers.heartbeat(other, true, false, Instant::now()),
            HeartbeatOutcome { answer: true, resync: true }
        );
        peers.mark_stale();
        assert!(peers.any());
        assert_eq!(
            peers.heartbeat(other, true, false, Instant::now()),
            HeartbeatOutcome { answer: false, resync: true }
        );
    }

    #[test]
    fn servers_leave_and_are_lost() {
        let (peers, now) = (Peers::default(), Instant::now());
        let [left, lost, here] = [(); 3].map(|()| Uuid::now_v7());
        for id in [left, lost] {
            peers.heartbeat(id, true, false, now);
        }
        peers.leave(left);
        assert!(!peers.expire(now + GONE / 2));
        peers.heartbeat(here, true, false, now + GONE / 2);
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
        peers.heartbeat(hearing, true, true, now);
        assert!(peers.all_hear_broker());
        peers.heartbeat(deaf, true, false, now);
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
            peers.heartbeat(Uuid::now_v7(), false, false, Instant::now());
        }
        assert_eq!(peers.ids().len(), PEERS);
    }
}
