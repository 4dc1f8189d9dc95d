//! Servers and their database are broken again and again while drivers and viewers go on; then the
//! stored histories are compared with what was answered and shown.
//!
//! Three servers share one PostgreSQL, each through a proxy of its own, and in every other run a NATS server (where it
//! is installed), in the same way. Faults: `kill -9` and SIGSTOP beyond a lease for servers, crashes and a full disk for
//! PostgreSQL, connections that are cut or that fall silent, clocks that are stepped (where libfaketime is installed).
//!
//! `CHAOS_CRASHES` says after how many faults it ends (30); `make chaos` runs a thousand. What a machine
//! cannot do is left out, and said.

mod behind_nginx;
mod broker;
mod driver;
mod fleet;
mod history;
mod proxy;
mod viewer;

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use driver::Driver;
use fleet::{Fault, Fleet, Parts};
use viewer::Viewer;

use crate::harness::{NatsServer, left_out};

const SESSIONS: usize = 6;
/// How long everything may take to come to rest once nothing is broken any more.
const REST: Duration = Duration::from_secs(60);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn say_what_is_impossible(fleet: &Fleet) {
    for (fault, why) in [
        (Fault::FullDisk, "only root can mount a file system"),
        (Fault::StepClock, "libfaketime is not installed (Debian: apt install faketime)"),
    ] {
        if !fleet.is_possible(fault) {
            left_out(fault.name(), why);
        }
    }
}

fn possible_fault(fleet: &Fleet, random: &mut StdRng) -> Fault {
    loop {
        let fault = Fault::random(random);
        if fleet.is_possible(fault) {
            return fault;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_skipped_whatever_breaks() {
    let crashes = setting("CHAOS_CRASHES", 30);
    let seed = setting("CHAOS_SEED", rand::random());
    println!("CHAOS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let nats = if random.random_bool(0.5) { NatsServer::start().await } else { None };
    println!("notices {}", if nats.is_some() { "by NATS" } else { "by NOTIFY alone" });
    let parts = Parts { servers: 3, nats, has_small_disk: true, ..Parts::default() };
    let fleet = Arc::new(Fleet::start(parts).await.expect("nothing is missing"));
    say_what_is_impossible(&fleet);
    let stop = CancellationToken::new();

    let (mut drivers, mut viewers) = (Vec::new(), Vec::new());
    for number in 0..SESSIONS {
        let driver = Driver::start(Arc::clone(&fleet), random.random()).await;
        for mode in ["events", "snapshot", "delta"] {
            let viewer = Viewer::new(Arc::clone(&fleet), driver.session.clone(), mode, random.random());
            viewers.push(tokio::spawn(viewer.watch()));
        }
        drivers.push(tokio::spawn(driver.run(stop.clone(), number % 2 == 0)));
    }
    let mut engine_runs = Vec::new();

    let began = Instant::now();
    let mut done = std::collections::BTreeMap::new();
    for number in 0..crashes {
        if number % 20 == 0 {
            engine_runs.extend(fleet.start_engine_runs(4).await);
        }
        let fault = possible_fault(&fleet, &mut random);
        *done.entry(fault.name()).or_insert(0) += 1;
        fleet.inject(fault, &mut random).await;
        if (number + 1) % 100 == 0 {
            println!("{} faults in {:.0} s", number + 1, began.elapsed().as_secs_f64());
        }
    }
    fleet.heal().await;
    println!("{crashes} faults in {:.0} s: {done:?}", began.elapsed().as_secs_f64());

    stop.cancel();
    let mut commands = 0;
    for driver in drivers {
        let told = timeout(REST, driver).await.expect("every command is answered in the end").expect("a driver");
        let journal = fleet.journal(&told.session).await;
        commands += history::check(&told, &journal);
    }
    for viewer in viewers {
        let seen = timeout(REST, viewer).await.expect("every viewer gets to the end").expect("a viewer");
        history::check_viewer(&seen, &fleet.journal(&seen.session).await, &fleet.session(&seen.session).await);
    }
    let (mut completed, all) = (0, engine_runs.len());
    for run in engine_runs {
        completed += usize::from(history::check_run(&fleet.ended(&run, REST).await, &fleet.journal(&run).await));
    }
    println!("{completed} of {all} runs completed, each node as often as the graph says; the others were stopped");
    assert!(completed + 1 + all / 20 >= all, "too many were stopped");
    println!("{commands} acknowledged commands: none lost, doubled or skipped");
    Arc::into_inner(fleet).expect("nobody uses it any more").stop().await;
}
