//! The feed, sessions in memory, the registry, sockets and rooms, task by task in any order: `docs/testing.md`.
//!
//! The files of `src/hub` and `src/ws` are compiled once more here, with the locks, channels and maps of
//! `sync.rs`, at each of which a scheduler chooses who goes on. `SCHEDULES=n` says how many orders each test
//! tries (2,000).

#![allow(clippy::expect_used, clippy::panic, clippy::pedantic, reason = "tests")]
// The files that are compiled here again are more than what is tested of them.
#![allow(dead_code, unused_imports)]

mod hub;
mod sync;
mod ws;

use relive::{spans, storage};
use shuttle::Runner;
use shuttle::scheduler::{PctScheduler, RandomScheduler};

/// Turns of the schedule that are chosen against the priorities of tasks: most faults need two.
const DEPTH: usize = 3;
/// Frames are made on a task's own stack.
const STACK: usize = 256 * 1024;

/// Runs a test in many orders: half at random, half by priorities (PCT), which find the rare ones.
fn explore(test: impl Fn() + Send + Sync + Clone + 'static) {
    let schedules = std::env::var("SCHEDULES").map_or(2_000, |number| number.parse().expect("a number"));
    let mut config = shuttle::Config::new();
    config.stack_size = STACK;
    config.silence_warnings = true;
    Runner::new(RandomScheduler::new(schedules / 2), config.clone()).run(test.clone());
    Runner::new(PctScheduler::new(DEPTH, schedules / 2), config).run(test);
}

/// Waits for all of them.
fn join<T>(tasks: impl IntoIterator<Item = shuttle::future::JoinHandle<T>>) -> Vec<T> {
    let tasks: Vec<_> = tasks.into_iter().collect();
    tasks.into_iter().map(|task| shuttle::future::block_on(task).expect("a task that ends")).collect()
}
