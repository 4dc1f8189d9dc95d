//! `relive export`: a session as a file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use futures_util::StreamExt as _;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::progress::TransferProgress;
use super::{ServerArg, complain, exit};
use relive_client::{ArchiveLine, ClientError, FirstLine, SessionId};

/// What `relive export` takes; the long help stands with [`Action`](super::CliCommand).
#[derive(Clone, Debug, clap::Args)]
pub struct ExportArgs {
    /// The session to export.
    pub id: SessionId,
    /// Write to this file, which is there only once it is whole, instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub server: ServerArg,
}

#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("cannot write {to}: {error}")]
    Write { to: String, error: std::io::Error },
}

/// Exports and gives the exit status.
pub async fn run(args: ExportArgs) -> ExitCode {
    let exported = match &args.output {
        Some(path) => to_file(&args, path).await,
        None => copy(&args, &mut tokio::io::stdout(), "standard output").await,
    };
    match exported {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match &error {
                ExportError::Client(error) => args.server.complain(error),
                error @ ExportError::Write { .. } => complain(error),
            }
            exit::code(exit::FAILED)
        }
    }
}

/// Writes under a temporary name first: a file with the final name is complete.
async fn to_file(args: &ExportArgs, path: &Path) -> Result<(), ExportError> {
    let name = path.display().to_string();
    let wrong = |error| ExportError::Write { to: name.clone(), error };
    let part = PathBuf::from(format!("{name}.part"));
    let mut file = tokio::fs::File::create(&part).await.map_err(wrong)?;
    let written = match copy(args, &mut file, &name).await {
        Ok(()) => file.sync_all().await.map_err(wrong),
        Err(error) => Err(error),
    };
    match written {
        Ok(()) => tokio::fs::rename(&part, path).await.map_err(wrong),
        Err(error) => {
            // The first error is reported; a leftover file does no harm.
            let _ = tokio::fs::remove_file(&part).await;
            Err(error)
        }
    }
}

async fn copy(args: &ExportArgs, to: &mut (impl AsyncWrite + Unpin), name: &str) -> Result<(), ExportError> {
    let wrong = |error| ExportError::Write { to: name.to_owned(), error };
    let mut file = args.server.archives()?.export(args.id).await?;
    let progress = TransferProgress::of_lines();
    let mut first = FirstLine::default();
    while let Some(chunk) = file.next().await {
        let chunk = chunk?;
        if let Some(ArchiveLine::Header(header)) = first.push(&chunk) {
            progress.expect(header.counts.lines());
        }
        to.write_all(&chunk).await.map_err(wrong)?;
        progress.add(chunk.split(|byte| *byte == b'\n').count() as u64 - 1);
    }
    to.flush().await.map_err(wrong)?;
    progress.finish();
    Ok(())
}
