//! The `relive` program.

use std::process::ExitCode;

use clap::Parser;
use relive::cli::{Action, Cli, run, watch};

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().action {
        Action::Run(args) => run::run(args).await,
        Action::Watch(args) => watch::run(args).await,
    }
}
