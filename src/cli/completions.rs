//! `relive completions` and `relive man`: what shells and manual readers want to know of the command line.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, complain, exit};

/// What `relive completions` takes; the long help stands with [`CliCommand`](super::CliCommand).
#[derive(Clone, Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: Shell,
}

/// What `relive man` takes; the long help stands with [`CliCommand`](super::CliCommand).
#[derive(Clone, Debug, clap::Args)]
pub struct ManArgs {
    /// The directory, such as /usr/share/man/man1; it is made if it is not there.
    pub directory: PathBuf,
}

/// Prints a script for the shell. The exit status is 1 if it cannot be written.
#[must_use]
pub fn complete(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "relive", &mut script);
    let mut output = std::io::stdout();
    match output.write_all(&script).and_then(|()| output.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => exit::code(exit::FAILED),
    }
}

/// Writes a page for every command. The exit status is 1 if one cannot be written.
#[must_use]
pub fn write_pages(args: &ManArgs) -> ExitCode {
    let written = std::fs::create_dir_all(&args.directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &args.directory));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&std::io::Error::new(error.kind(), format!("{}: {error}", args.directory.display())));
            exit::code(exit::FAILED)
        }
    }
}
