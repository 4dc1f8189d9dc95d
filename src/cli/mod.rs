//! The command line.

pub mod archive;
mod credentials;
pub mod export;
pub mod import;
pub mod keys;
mod lines;
pub mod login;
pub mod mcp;
mod nested;
mod progress;
pub mod run;
mod screen;
pub mod serve;
mod server_arg;
pub mod statistics;
pub mod watch;

use std::error::Error;
use std::process::ExitCode;

use clap::builder::{BoolishValueParser, Resettable};
use clap::{Arg, ArgAction, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config;
pub use server_arg::ServerArg;

/// Live sessions of workflow runs: durable, watchable, steerable, replayable.
#[derive(Debug, Parser)]
#[command(name = "relive", version)]
pub struct Cli {
    #[command(subcommand)]
    pub action: CliCommand,
}

impl Cli {
    /// Parses the command line and the environment; on an error, prints it and ends the process.
    #[must_use]
    pub fn read() -> Self {
        let matches = lenient(Self::command()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// An empty variable counts as not set, as compose files leave it (`${X:-}`); a flag's may
/// also be 1 or 0, yes or no, on or off.
fn lenient(command: clap::Command) -> clap::Command {
    let adjust = |arg: Arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        let arg = if matches!(arg.get_action(), ArgAction::SetTrue) {
            arg.value_parser(BoolishValueParser::new())
        } else {
            arg
        };
        if value.is_some_and(|value| value.to_string_lossy().trim().is_empty()) {
            arg.env(Resettable::Reset)
        } else {
            arg
        }
    };
    command.mut_args(adjust).mut_subcommands(lenient)
}

/// Variables in the environment that look like settings of this program and are unknown.
pub(crate) fn unknown_variables() -> Vec<config::UnknownVariable> {
    let command = Cli::command();
    let args = arguments(&command);
    let known = args.into_iter().filter_map(|arg| Some(arg.get_env()?.to_str()?.to_owned()));
    let known: Vec<String> = known.chain([server_arg::TOKEN_VARIABLE.to_owned()]).collect();
    config::unknown(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()), &known)
}

/// The arguments of all commands below this one.
#[must_use]
pub fn arguments(command: &clap::Command) -> Vec<&Arg> {
    command.get_subcommands().flat_map(|below| below.get_arguments().chain(arguments(below))).collect()
}

/// The commands. Each variant's arguments are in the module that runs it.
#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Run the server.
    ///
    /// Without a database URL it runs a PostgreSQL of its own under the data directory. It prints
    /// one line, `listening on http://ADDRESS`, once it is ready, and ends on SIGINT or SIGTERM after
    /// closing its connections and writing what it had accepted.
    Serve(Box<crate::config::ServeConfig>),
    /// Run a graph of local commands as a session.
    ///
    /// Its `command` nodes are shell commands, which run on this machine, in the current directory
    /// unless a node's `cwd` says otherwise. The exit status is 0 if the session completed, 1 if
    /// it failed, 130 if it was cancelled, and 2 for a graph that cannot be run. Ctrl-C cancels
    /// the session and waits for its commands to end; a second one kills them.
    Run(run::RunArgs),
    /// Show changes as they happen.
    ///
    /// On a terminal: the list of sessions, or one session with its nodes and messages, with keys to control
    /// and to replay it. Otherwise, or with --plain, a line for each
    /// change: of all sessions until interrupted, or of one until it ends. The exit status is 0 if
    /// that one completed, 1 if it failed, 130 if it was cancelled. Times are UTC.
    Watch(watch::WatchArgs),
    /// Write a session to a file: its history, messages and memories, as lines of JSON.
    ///
    /// Progress is shown on standard error if that is a terminal. The exit status is 0 if the file is
    /// complete, and 1 otherwise.
    Export(export::ExportArgs),
    /// Import a session from an exported file.
    ///
    /// Prints the session's id: the one in the file, or a new one if that is taken. A file that was
    /// altered or is incomplete is refused as a whole, and the line at fault named. The exit status is 0 if the
    /// session was imported, 2 if the file is invalid, and 1 otherwise.
    Import(import::ImportArgs),
    /// Move sessions that have ended from the database to files of the archive.
    ///
    /// The server does it: the one that `RELIVE_ARCHIVE` is set for. Prints how many were moved; each stays listed in
    /// the archive, and can be restored. The exit status is 0 if all were, and 1 otherwise.
    Archive(archive::ArchiveArgs),
    /// Sign in to a server with a key or an access token, for the commands that connect to it.
    ///
    /// Asks for it on the terminal without showing it, or reads the first line of standard input if that is no
    /// terminal. The server is asked whether it is valid. It is stored in
    /// `$XDG_CONFIG_HOME/relive/credentials.toml`, or in `~/.config/relive`, which only you can read.
    Login(login::LoginArgs),
    /// Let assistants list, read, explain and steer runs (Model Context Protocol).
    ///
    /// It speaks the protocol over standard input and output, with the token that all commands send, until its
    /// client leaves. With --listen it serves streamable HTTP instead, prints one line, `listening on
    /// http://ADDRESS/mcp`, and passes on the token that each request brings.
    Mcp(mcp::McpArgs),
    /// Remove what `relive login` has stored for a server. A key stays valid until it is revoked.
    Logout(login::LoginArgs),
    /// Make, list and revoke keys, on the database itself.
    ///
    /// It is the one that `relive serve` would use with the same settings, whether a server runs on it or not.
    /// As soon as there is a key, servers on this database want one with every request.
    #[command(subcommand)]
    Keys(keys::KeysAction),
    /// Rebuild the statistics of runs, on the database itself.
    ///
    /// It is the one that `relive serve` would use with the same settings, whether a server runs on it or not. The
    /// servers keep the statistics as they are; this is for a database that was changed by other means.
    #[command(subcommand)]
    Statistics(statistics::StatisticsAction),
}

/// The exit status for a session's end.
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

/// Prints an error on standard error, with its causes unless its text includes them.
pub(crate) fn complain(error: &dyn Error) {
    eprintln!("relive: {}", described(error));
}

/// An error with its causes. Control characters, which may come from a file or a server, are removed.
fn described(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
