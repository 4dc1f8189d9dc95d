//! Servers that do not reach NATS any more, while nothing is closed: notices go by the database, viewers are current
//! again while it lasts, and nothing is lost.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::driver::{Driver, Told};
use super::fleet::{Fleet, Parts};
use super::viewer::{Seen, Viewer};
use super::{REST, history};
use crate::harness::NatsServer;

const SERVERS: usize = 3;
const SESSIONS: usize = 2;
/// A server finds out within some 3 s. Without notices, viewers would wait for the comparison that follows every 20 s.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long drivers go on while the connections are silent.
const SILENT: Duration = Duration::from_secs(7);

/// Drivers at the first server, and a viewer of each mode at each server.
struct Load {
    stop: CancellationToken,
    drivers: Vec<JoinHandle<Told>>,
    viewers: Vec<JoinHandle<Seen>>,
}

impl Load {
    async fn start(fleet: &Arc<Fleet>, random: &mut StdRng) -> Self {
        let mut load = Self { stop: CancellationToken::new(), drivers: Vec::new(), viewers: Vec::new() };
        for _ in 0..SESSIONS {
            let driver = Driver::start(Arc::clone(fleet), random.random()).await;
            for place in 0..SERVERS {
                for mode in ["events", "snapshot", "delta"] {
                    let viewer = Viewer::new(Arc::clone(fleet), driver.session.clone(), mode, random.random());
                    load.viewers.push(tokio::spawn(viewer.at(place, PATIENCE).watch()));
                }
            }
            // A server that carries out a command knows the newest state without a notice.
            load.drivers.push(tokio::spawn(driver.at(0).run(load.stop.clone(), true)));
        }
        load
    }

    /// Ends the drivers; returns what they and the viewers have seen when all viewers are current.
    async fn end(self) -> (Vec<Told>, Vec<Seen>) {
        self.stop.cancel();
        let (mut told, mut seen) = (Vec::new(), Vec::new());
        for driver in self.drivers {
            told.push(timeout(REST, driver).await.expect("every command is answered").expect("a driver"));
        }
        let ended = Instant::now();
        for viewer in self.viewers {
            seen.push(timeout(REST, viewer).await.expect("every viewer gets to the end").expect("a viewer"));
        }
        assert!(ended.elapsed() < PATIENCE, "the last viewer was current after {:.1?}", ended.elapsed());
        (told, seen)
    }
}

/// Waits until a notice of a commit passes through NATS.
async fn until_by_nats(passing: &mut async_nats::Subscriber) {
    let deadline = Instant::now() + REST;
    loop {
        let message = tokio::time::timeout_at(deadline, passing.next()).await.expect("a notice by NATS in time");
        let payload = message.expect("a message").payload;
        if String::from_utf8_lossy(&payload).contains("\"changed\"") {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_are_current_again_while_servers_do_not_reach_nats() {
    let Some(nats) = NatsServer::start().await else { return };
    let mut random = StdRng::seed_from_u64(16);
    let parts = Parts { servers: SERVERS, nats: Some(nats), ..Parts::default() };
    let fleet = Arc::new(Fleet::start(parts).await.expect("nothing is missing"));
    let mut commands = 0;
    // One that only shows, the one that writes, and all.
    for silent in [&[1][..], &[0], &[0, 1, 2]] {
        // Listens from now on: what was before does not count.
        let mut passing = fleet.nats().expect("NATS").listen().await;
        let load = Load::start(&fleet, &mut random).await;
        until_by_nats(&mut passing).await;
        fleet.partition(silent, true);
        sleep(SILENT).await;
        // They end while it lasts.
        let (told, seen) = load.end().await;
        let longest = seen.iter().map(|one| one.longest_wait).max().unwrap_or_default();
        println!("{} servers do not reach NATS: a viewer waited for {longest:.1?} at most", silent.len());
        for one in &told {
            commands += history::check(one, &fleet.journal(&one.session).await);
        }
        for one in &seen {
            history::check_viewer(one, &fleet.journal(&one.session).await, &fleet.session(&one.session).await);
            assert_eq!(one.connections, 1, "a viewer that waited for notices in vain: {} of {}", one.mode, one.session);
        }
        fleet.partition(silent, false);
    }
    // NATS serves again, and what was sent into the silence harms nobody.
    let mut passing = fleet.nats().expect("NATS").listen().await;
    let load = Load::start(&fleet, &mut random).await;
    until_by_nats(&mut passing).await;
    let (told, seen) = load.end().await;
    for one in &told {
        commands += history::check(one, &fleet.journal(&one.session).await);
    }
    for one in &seen {
        history::check_viewer(one, &fleet.journal(&one.session).await, &fleet.session(&one.session).await);
    }
    println!("{commands} acknowledged commands: none lost, doubled or skipped");
    Arc::into_inner(fleet).expect("nobody uses it any more").stop().await;
}
