//! The command line: what is asked for, and how it is answered in lines.

mod lines;
pub mod run;
mod screen;
pub mod serve;
pub mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Live sessions of workflow runs: durable, watchable, steerable, replayable.
#[derive(Debug, Parser)]
#[command(name = "relive", version)]
pub struct Cli {
    #[command(subcommand)]
    pub action: Action,
}

/// What to do. Each variant's arguments live with the module that does it.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Run the server.
    ///
    /// Without a database URL it runs a PostgreSQL of its own under the data directory. It prints
    /// one line, `listening on http://ADDRESS`, once it is ready, and ends on SIGINT or SIGTERM after
    /// telling its viewers and writing what it had accepted.
    Serve(Box<crate::config::ServeConfig>),
    /// Run a graph of local commands as a session.
    ///
    /// Its `command` nodes hold shell commands, which run on this machine, in the current directory
    /// unless a node's `cwd` says otherwise. The exit status is 0 when the session completed, 1 when
    /// it failed, 130 when it was cancelled, and 2 for a graph that cannot be run. Ctrl-C cancels
    /// the session and waits for its commands to end; a second one kills them.
    Run(run::RunArgs),
    /// Show what happens, as it happens.
    ///
    /// On a terminal: the list of sessions, or one session with its nodes and messages, to watch, to
    /// steer and to relive by keys, until you leave. Otherwise, or with --plain, a line for each
    /// change: of all sessions until interrupted, or of one until it ends. The exit status is 0 when
    /// that one completed, 1 when it failed, 130 when it was cancelled. Times are UTC.
    Watch(watch::WatchArgs),
}

/// The server that `run` and `watch` talk to.
#[derive(Clone, Debug, clap::Args)]
pub struct ServerArg {
    /// The server's address.
    #[arg(long, env = "RELIVE_SERVER", default_value = "http://127.0.0.1:7400", value_name = "URL")]
    pub server: String,
}

/// How a session's end becomes an exit status.
pub(crate) mod exit {
    use super::ExitCode;

    pub const FAILED: u8 = 1;
    pub const BAD_INPUT: u8 = 2;
    /// As a shell reports a program that SIGINT ended.
    pub const CANCELLED: u8 = 130;

    pub fn code(code: u8) -> ExitCode {
        ExitCode::from(code)
    }
}

/// Says on standard error what went wrong.
pub(crate) fn complain(error: &dyn std::fmt::Display) {
    eprintln!("relive: {error}");
}

#[cfg(test)]
mod tests;
