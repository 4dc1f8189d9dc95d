//! Four servers behind nginx, with `deploy/nginx-several.conf`, one of which is killed under load.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::driver::Driver;
use super::fleet::{Fleet, Parts};
use super::viewer::Viewer;
use super::{REST, history};
use crate::harness::eventually;

const SERVERS: usize = 4;
const SESSIONS: usize = 8;
/// Of each mode, for each session.
const VIEWERS: usize = 2;
/// How long a viewer may wait until it is current again.
const CURRENT: Duration = Duration::from_secs(5);
/// Commands of each driver before the kill, and after it.
const COMMANDS: u64 = 20;

/// The revisions of these sessions, as a server that stays shows them.
async fn revisions(fleet: &Fleet, sessions: &[String]) -> Vec<u64> {
    let mut revisions = Vec::new();
    for session in sessions {
        revisions.push(fleet.session(session).await["revision"].as_u64().expect("a revision"));
    }
    revisions
}

/// Waits until each driver has had so many further commands carried out.
async fn until_driven(fleet: &Fleet, sessions: &[String]) {
    let from = revisions(fleet, sessions).await;
    let is_driven = async || {
        let now = revisions(fleet, sessions).await;
        now.iter().zip(&from).all(|(now, from)| *now >= from + COMMANDS)
    };
    eventually("every driver goes on", is_driven).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_four_servers_behind_nginx_is_killed_under_load() {
    let parts = Parts { servers: SERVERS, is_behind_nginx: true, ..Parts::default() };
    let Some(fleet) = Fleet::start(parts).await else { return };
    let (fleet, stop) = (Arc::new(fleet), CancellationToken::new());
    let mut random = StdRng::seed_from_u64(4);
    let (mut drivers, mut viewers, mut sessions) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..SESSIONS {
        let driver = Driver::start(Arc::clone(&fleet), random.random()).await;
        for mode in ["events", "snapshot", "delta"].repeat(VIEWERS) {
            let viewer = Viewer::new(Arc::clone(&fleet), driver.session.clone(), mode, random.random());
            viewers.push(tokio::spawn(viewer.watch()));
        }
        sessions.push(driver.session.clone());
        drivers.push(tokio::spawn(driver.run(stop.clone(), true)));
    }
    // Nginx spreads them.
    let share = u32::try_from(viewers.len() / SERVERS / 2).expect("few");
    eventually("viewers are on all servers", async || fleet.watched(share).await == SERVERS).await;
    until_driven(&fleet, &sessions).await;
    fleet.kill(SERVERS - 1).await;
    until_driven(&fleet, &sessions).await;

    stop.cancel();
    let mut told = Vec::new();
    for driver in drivers {
        told.push(timeout(REST, driver).await.expect("every command is answered").expect("a driver"));
    }
    let mut seen = Vec::new();
    for viewer in viewers {
        seen.push(timeout(REST, viewer).await.expect("every viewer gets to the end").expect("a viewer"));
    }
    // The server that was killed is still away: all of it was done by the others.
    let again = seen.iter().filter(|one| one.connections > 1).count();
    let longest = seen.iter().map(|one| one.longest_wait).max().unwrap_or_default();
    assert!(again >= usize::try_from(share).expect("few"), "only {again} viewers were on the server that was killed");
    assert!(longest < CURRENT, "a viewer waited for {longest:.1?}");
    fleet.heal().await;
    let mut commands = 0;
    for one in &told {
        commands += history::check(one, &fleet.journal(&one.session).await);
    }
    for one in &seen {
        history::check_viewer(one, &fleet.journal(&one.session).await, &fleet.session(&one.session).await);
    }
    println!("{commands} acknowledged commands: none lost, doubled or skipped");
    println!("{again} of {} viewers came back; the longest wait for a frame was {longest:.1?}", seen.len());
    Arc::into_inner(fleet).expect("nobody uses it any more").stop().await;
}
