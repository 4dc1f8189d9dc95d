//! Deterministic simulation of the hub and the built-in engine: see `docs/simulation.md`.
//!
//! First come scenarios that a seed rarely leads to.
//!
//! - `SCENARIO=name` runs one of them only, and shows its trace.
//! - `SEED=n` runs one seed and shows its trace.
//! - `SEEDS=n` says how many are run (800), `FROM=n` which is the first (0), and `ENOUGH=n` after how
//!   many failing ones no more are run (10).

#![allow(clippy::expect_used, reason = "a test")]

mod chance;
mod clients;
mod database;
mod nodes;
mod run;
mod scenarios;
mod server;
mod store;
mod viewers;
mod world;

use std::cell::RefCell;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use run::{Report, run};

/// Seeds that are run twice, to see that a seed says everything.
const TWICE: u64 = 50;
/// Failing seeds after which no more are run.
const ENOUGH: usize = 10;

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let what = info.payload_as_str().unwrap_or("no text");
        PANIC.with(|panic| panic.replace(Some(format!("a panic at {place}: {what}"))));
    }));
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SEED") {
        let report = checked(seed, true);
        println!("seed {seed}: {report:?}");
        return if report.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let wrong: Vec<String> = scenarios::all();
    if !wrong.is_empty() {
        wrong.iter().for_each(|wrong| println!("{wrong}"));
        return ExitCode::FAILURE;
    }
    let (first, seeds) = (number("FROM").unwrap_or(0), number("SEEDS").unwrap_or(800));
    let began = Instant::now();
    let all =
        Tally { enough: number("ENOUGH").and_then(|most| most.try_into().ok()).unwrap_or(ENOUGH), ..Tally::default() };
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while all.wrong() < all.enough {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    all.take(seed, both(seed, cfg!(tokio_unstable) && seed < first + TWICE));
                }
            });
        }
    });
    all.tell(began)
}

/// A seed, on demand twice; both times must be the same.
fn both(seed: u64, twice: bool) -> Report {
    let mut report = checked(seed, false);
    if twice && checked(seed, false).hash != report.hash {
        report.wrong.push("the same seed went another way the second time".to_owned());
    }
    report
}

fn checked(seed: u64, shows: bool) -> Report {
    let mut report = std::panic::catch_unwind(|| run(seed, shows)).unwrap_or_default();
    report.wrong.extend(PANIC.with(RefCell::take));
    report
}

#[derive(Default)]
struct Tally {
    enough: usize,
    wrong: Mutex<Vec<(u64, Vec<String>)>>,
    seeds: AtomicU64,
    millis: AtomicU64,
    commits: AtomicU64,
}

impl Tally {
    fn wrong(&self) -> usize {
        self.wrong.lock().map_or(self.enough, |wrong| wrong.len())
    }

    fn take(&self, seed: u64, report: Report) {
        self.seeds.fetch_add(1, Ordering::Relaxed);
        self.millis.fetch_add(report.millis, Ordering::Relaxed);
        self.commits.fetch_add(report.commits, Ordering::Relaxed);
        if !report.wrong.is_empty()
            && let Ok(mut wrong) = self.wrong.lock()
        {
            wrong.push((seed, report.wrong));
        }
    }

    fn tell(&self, began: Instant) -> ExitCode {
        let (seeds, commits) = (self.seeds.load(Ordering::Relaxed), self.commits.load(Ordering::Relaxed));
        let hours = self.millis.load(Ordering::Relaxed) / 3_600_000;
        let seconds = began.elapsed().as_secs_f64();
        println!("simulation: {seeds} seeds, {commits} revisions, {hours} hours in {seconds:.1} s");
        let Ok(mut wrong) = self.wrong.lock() else { return ExitCode::FAILURE };
        wrong.sort();
        for (seed, wrong) in wrong.iter() {
            println!("seed {seed}: {}", wrong.join("; "));
        }
        if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
