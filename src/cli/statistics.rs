//! `relive statistics`: on the database itself, with or without a server on it.

use std::process::ExitCode;

use super::{complain, exit};
use crate::config::DatabaseConfig;
use crate::server::ServeError;
use crate::server::tool::{IfMissing, ToolDatabase};
use crate::storage::{Recount, StorageError};

/// What `relive statistics` does; the long help stands with [`CliCommand`](super::CliCommand).
#[derive(Clone, Debug, clap::Subcommand)]
pub enum StatisticsAction {
    /// Count all runs anew and add them up. Servers may run meanwhile; what they answer stays exact.
    Rebuild(RebuildArgs),
}

#[derive(Clone, Debug, clap::Args)]
pub struct RebuildArgs {
    /// Do not count runs any more whose sessions were deleted.
    #[arg(long)]
    pub forget_deleted: bool,
    #[command(flatten)]
    pub database: DatabaseConfig,
}

#[derive(Debug, thiserror::Error)]
enum RebuildError {
    #[error(transparent)]
    Database(#[from] ServeError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Runs the command. The exit status is 0, or 1 if it could not be done.
pub async fn run(action: StatisticsAction) -> ExitCode {
    let StatisticsAction::Rebuild(args) = action;
    match rebuild(args).await {
        Ok(Recount { sessions, forgotten }) => {
            eprintln!("relive: looked at {sessions} sessions, and rebuilt the statistics of those that have ended");
            if forgotten > 0 {
                eprintln!("relive: {forgotten} runs of deleted sessions are not counted any more");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            exit::code(exit::FAILED)
        }
    }
}

/// Sessions between two lines of progress.
const TOLD: u64 = 100_000;

async fn rebuild(args: RebuildArgs) -> Result<Recount, RebuildError> {
    let database = ToolDatabase::open(&args.database, IfMissing::Refuse).await?;
    let mut told = 0;
    let progress = |sessions: u64| {
        if sessions / TOLD > told {
            told = sessions / TOLD;
            eprintln!("relive: {sessions} sessions");
        }
    };
    let outcome = database.storage.rebuild_statistics(args.forget_deleted, progress).await;
    let closed = database.close().await;
    let recount = outcome?;
    closed?;
    Ok(recount)
}
