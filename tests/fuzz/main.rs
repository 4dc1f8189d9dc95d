//! Fuzz targets for everything that reads what others wrote: see `docs/fuzzing.md`.
//!
//! - `CASES=n` says how many inputs are tried, over all targets together (4,000).
//! - `SEED=n` decides about all of them (0), `TARGET=name` names the only target to run.
//! - `FILE=path` tries that file alone, with `TARGET`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::pedantic, reason = "a test")]

mod corpus;
mod memory;
mod mutate;
mod random;
mod runner;
mod targets;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: memory::Counted = memory::Counted;

fn main() -> ExitCode {
    runner::remember_panics();
    let only = std::env::var("TARGET").ok().filter(|name| !name.is_empty());
    let targets: Vec<_> =
        targets::ALL.iter().filter(|target| only.as_deref().is_none_or(|name| name == target.name)).collect();
    assert!(!targets.is_empty(), "there is no such target");
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(file) = std::env::var_os("FILE").filter(|file| !file.is_empty()) {
        let input = std::fs::read(file).expect("a file");
        return runner::only(targets[0], &input);
    }
    runner::run(&targets, number("CASES").unwrap_or(4_000), number("SEED").unwrap_or_default())
}
