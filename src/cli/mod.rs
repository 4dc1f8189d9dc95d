//! The command line.

pub mod archive;
pub mod backup;
pub mod completions;
pub mod config;
mod credentials;
pub mod doctor;
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
pub mod settings;
pub mod statistics;
pub mod watch;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::builder::{BoolishValueParser, Resettable};
use clap::{Arg, ArgAction, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config as server_config;
use crate::version;
pub use server_arg::ServerArg;
use settings::{EffectiveSettings, SettingsFault};

/// Live sessions of workflow runs: durable, watchable, steerable, replayable.
#[derive(Debug, Parser)]
#[command(name = "relive", version = version::TEXT)]
pub struct Cli {
    #[command(subcommand)]
    pub action: CliCommand,
    /// The settings of the server, and where they come from, for commands that use them.
    #[arg(skip)]
    pub settings: EffectiveSettings,
}

impl Cli {
    /// Parses the command line, the environment and the configuration file.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration file. What is wrong with the others is printed, and ends the process.
    pub fn read() -> Result<Self, SettingsFault> {
        let read = |matches: &clap::ArgMatches| Self::from_arg_matches(matches).unwrap_or_else(|error| error.exit());
        let matches = lenient(Self::command()).get_matches();
        let Some((command, layers)) = settings::with_file(&matches)? else { return Ok(read(&matches)) };
        let matches = command.get_matches();
        Ok(Self { settings: layers.effective(&matches), ..read(&matches) })
    }
}

/// Says what is wrong with the settings, and gives the exit status.
#[must_use]
pub fn refuse(fault: &SettingsFault) -> ExitCode {
    complain(fault);
    exit::code(exit::BAD_INPUT)
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
pub(crate) fn unknown_variables() -> Vec<server_config::UnknownVariable> {
    let command = Cli::command();
    let args = arguments(&command);
    let known = args.into_iter().filter_map(|arg| Some(arg.get_env()?.to_str()?.to_owned()));
    let others = settings::secret_file_variables().into_iter().chain([server_arg::TOKEN_VARIABLE.to_owned()]);
    let known: Vec<String> = known.chain(others).collect();
    server_config::unknown(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()), &known)
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
    Serve(Box<server_config::ServeConfig>),
    /// Check the configuration file, or show the settings with where each comes from.
    #[command(subcommand)]
    Config(config::ConfigAction),
    /// Look for what would keep a server from working here, and say what to do about it.
    ///
    /// It takes the settings of `relive serve`. Nothing is changed; the embedded PostgreSQL is started for it if it is
    /// not running, and stopped again. The exit status is 0 unless something fails; warnings do not count.
    Doctor(Box<doctor::DoctorArgs>),
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
    /// Write the whole database into one file, while servers run.
    ///
    /// The database is the one that `relive serve` would use with the same settings. What is written is what was there
    /// at one moment. It needs PostgreSQL's program `pg_dump`, and `pg_restore` to check the file. The exit status is
    /// 0, or 1 if it could not be done or the file is not whole.
    Backup(backup::BackupArgs),
    /// Restore a file of `relive backup` into an empty database, all of it or nothing.
    ///
    /// No server may run on the database. Afterwards rows and the journal's checksum are compared with the file. The
    /// exit status is 0, or 1 if nothing was restored.
    Restore(backup::RestoreArgs),
    /// Rebuild the statistics of runs, on the database itself.
    ///
    /// It is the one that `relive serve` would use with the same settings, whether a server runs on it or not. The
    /// servers keep the statistics as they are; this is for a database that was changed by other means.
    #[command(subcommand)]
    Statistics(statistics::StatisticsAction),
    /// Print a script with which a shell completes commands and flags.
    ///
    /// For bash: `relive completions bash > /etc/bash_completion.d/relive`.
    Completions(completions::CompletionsArgs),
    /// Write manual pages, one for each command, into a directory.
    Man(completions::ManArgs),
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

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write standard output: {0}")]
pub(crate) struct OutputError(pub io::Error);

/// Writes a line to standard output.
pub(crate) fn print_line(line: &str) -> Result<(), OutputError> {
    let mut output = io::stdout();
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(OutputError)
}

/// Writes what a command has to say in the end, and gives its exit status.
fn print_result(line: &str, status: ExitCode) -> ExitCode {
    match print_line(line) {
        Ok(()) => status,
        Err(error) => {
            complain(&error);
            exit::code(exit::FAILED)
        }
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
