//! A server is lost with 9,000 viewers, and all of them come back at once to another one, which has none of their
//! sessions in memory: until the last one is current, and what it costs whoever gives commands meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::support::{Server, Table, millis};
use super::websocket::{self, Client};
use super::write::NODES;

const VIEWERS: usize = 9_000;
const SESSIONS: usize = 300;
/// Connections that are being opened at the same time.
const AT_ONCE: usize = 64;
/// For how long commands are measured without the storm.
const QUIET: Duration = Duration::from_secs(3);

/// `server` has the database alone.
pub fn run(server: &Server, table: &mut Table) {
    let lost = server.second();
    let sessions = lost.sessions(SESSIONS, NODES);
    set_status(&lost, &sessions, "running");
    drop(come(&lost, &sessions, ""));
    drop(lost);
    // Each viewer has missed one change.
    set_status(server, &sessions, "completed");

    let other = server.second();
    let busy = other.session(NODES);
    let quiet = commands_during(&other, &busy, || std::thread::sleep(QUIET));
    let cpu = server.postgres_cpu();
    let mut took = Duration::ZERO;
    let (beside, growth) = other.peak_growth(|| {
        commands_during(&other, &busy, || {
            let began = Instant::now();
            let viewers = come(&other, &sessions, "?after=2");
            took = began.elapsed();
            drop(viewers);
        })
    });
    let cpu = server.postgres_cpu() - cpu;
    table.row(
        &format!("{VIEWERS} viewers of {SESSIONS} sessions come back to another server, until all are current"),
        format!("{:.2} s", took.as_secs_f64()),
        format!("{:.0} viewers/s", VIEWERS as f64 / took.as_secs_f64()),
        "-".to_owned(),
        "at most 5 s",
    );
    table.row(
        "... a command meanwhile (p50, p99)",
        format!("{:.1} ms, {:.1} ms", at(&beside, 0.5), at(&beside, 0.99)),
        format!("{:.1} ms, {:.1} ms without it", at(&quiet, 0.5), at(&quiet, 0.99)),
        format!("p99 {:.1}x", at(&beside, 0.99) / at(&quiet, 0.99)),
        "-",
    );
    table.note(format!(
        "storm: memory rises by {:.1} KiB a viewer at its highest; PostgreSQL uses {:.2} s of CPU",
        growth * 1024.0 / VIEWERS as f64,
        cpu.as_secs_f64()
    ));
}

fn set_status(server: &Server, sessions: &[String], status: &str) {
    let mut driver = Client::new(websocket::open(server.address, "/ws"));
    for (number, session) in sessions.iter().enumerate() {
        driver.send_text(&websocket::set_status(number, session, 0, status));
    }
    driver.wait_for_acks(sessions.len() as u64);
}

/// Viewers of all sessions in turn, each of which has been sent its state.
fn come(server: &Server, sessions: &[String], query: &str) -> Vec<Client> {
    let next = AtomicUsize::new(0);
    let open = || {
        let mut own = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= VIEWERS {
                return own;
            }
            let path = format!("/ws/sessions/{}{query}", sessions[number % sessions.len()]);
            let mut viewer = Client::small(websocket::open(server.address, &path));
            viewer.wait_for_states(1);
            own.push(viewer);
        }
    };
    std::thread::scope(|scope| {
        let opening: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(open)).collect();
        opening.into_iter().flat_map(|thread| thread.join().expect("viewers")).collect()
    })
}

/// How many milliseconds each command took, one after the other, while `work` went on.
fn commands_during(server: &Server, session: &str, work: impl FnOnce()) -> Vec<f64> {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let commands = scope.spawn(|| {
            let mut client = Client::new(websocket::open(server.address, "/ws"));
            let mut times = Vec::new();
            while !is_done.load(Ordering::Relaxed) || times.is_empty() {
                let status = ["running", "completed"][times.len() / NODES % 2];
                let sent = Instant::now();
                client.send_text(&websocket::set_status(times.len(), session, times.len() % NODES, status));
                client.wait_for_acks(times.len() as u64 + 1);
                times.push(millis(sent.elapsed()));
            }
            times.sort_by(f64::total_cmp);
            times
        });
        work();
        is_done.store(true, Ordering::Relaxed);
        commands.join().expect("commands are answered")
    })
}

fn at(times: &[f64], share: f64) -> f64 {
    times[((times.len() - 1) as f64 * share) as usize]
}
