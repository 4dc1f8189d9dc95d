//! `relive backup` and `relive restore`: a whole database as one file, and back.

use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::HumanBytes;

use super::{complain, exit};
use crate::config::DatabaseConfig;
use crate::server::ServeError;
use crate::server::tool::{IfMissing, ToolDatabase};
use crate::storage::{BackupError, ClientPrograms, IfUsed, Manifest, verify_backup};

/// What `relive backup` takes; the long help stands with [`CliCommand`](super::CliCommand).
#[derive(Clone, Debug, clap::Args)]
pub struct BackupArgs {
    /// The file. One that is there is replaced once the new one is whole.
    pub file: PathBuf,
    /// Make none, and check the one that is there: its checksum, and that it can be read to its end and has the rows
    /// that it should have. No database is needed for it.
    #[arg(long)]
    pub verify: bool,
    #[command(flatten)]
    pub database: DatabaseConfig,
}

/// What `relive restore` takes; the long help stands with [`CliCommand`](super::CliCommand).
#[derive(Clone, Debug, clap::Args)]
pub struct RestoreArgs {
    /// The file that `relive backup` has made.
    pub file: PathBuf,
    /// Remove what the database has.
    #[arg(long)]
    pub replace: bool,
    #[command(flatten)]
    pub database: DatabaseConfig,
}

#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Database(#[from] ServeError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error("interrupted")]
    Interrupted,
}

/// Makes or checks a backup. The exit status is 0, or 1 if it could not be done or the file is not whole.
pub async fn back_up(args: BackupArgs) -> ExitCode {
    let file = args.file.display().to_string();
    if args.verify {
        let programs = ClientPrograms::new(args.database.postgres_bin.as_deref());
        let checked = async { Ok(verify_backup(&args.file, &programs).await?) };
        return report(&format!("{file} is whole"), until_interrupted(checked).await);
    }
    report(&format!("wrote {file}"), until_interrupted(make(&args)).await)
}

/// Restores a backup. The exit status is 0, or 1 if nothing was restored or not everything is there.
pub async fn restore(args: RestoreArgs) -> ExitCode {
    let restored = until_interrupted(put_back(&args)).await;
    report(&format!("restored {}", args.file.display()), restored)
}

async fn make(args: &BackupArgs) -> Result<Manifest, CommandError> {
    let database = ToolDatabase::connect(&args.database, IfMissing::Refuse).await?;
    let programs = ClientPrograms::new(args.database.postgres_bin.as_deref());
    let made = database.storage.back_up(&database.target, &programs, &args.file).await;
    let closed = database.close().await;
    let made = made?;
    closed?;
    Ok(made)
}

async fn put_back(args: &RestoreArgs) -> Result<Manifest, CommandError> {
    let database = ToolDatabase::connect(&args.database, IfMissing::Make).await?;
    let programs = ClientPrograms::new(args.database.postgres_bin.as_deref());
    let if_used = if args.replace { IfUsed::Replace } else { IfUsed::Refuse };
    let restored = database.storage.restore(&database.target, &programs, &args.file, if_used).await;
    let closed = database.close().await;
    let restored = restored?;
    closed?;
    Ok(restored)
}

/// Ctrl-C gives it up: PostgreSQL's program is ended with it, and no file stays.
async fn until_interrupted<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => Err(CommandError::Interrupted),
    }
}

fn counted(number: i64, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

fn report(what: &str, outcome: Result<Manifest, CommandError>) -> ExitCode {
    match outcome {
        Ok(manifest) => {
            let (size, tables) = (HumanBytes(manifest.dump_bytes), manifest.rows.len());
            let (sessions, events) = (counted(manifest.sessions(), "session"), counted(manifest.events(), "event"));
            let (schema, at) = (manifest.schema_version, &manifest.made_at);
            eprintln!("relive: {what}: {sessions}, {events}, {tables} tables, {size}; schema {schema}, as of {at}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            exit::code(if matches!(error, CommandError::Interrupted) { exit::CANCELLED } else { exit::FAILED })
        }
    }
}
