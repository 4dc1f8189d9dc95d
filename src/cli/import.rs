//! `relive import`: a session from a file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use futures_util::StreamExt as _;
use tokio::fs::File;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use super::progress::TransferProgress;
use super::{ServerArg, complain, exit, print_result};
use relive_client::{ClientError, ErrorCode, WorkflowSession};

/// What `relive import` takes; the long help stands with [`Action`](super::CliCommand).
#[derive(Clone, Debug, clap::Args)]
pub struct ImportArgs {
    /// A file that `relive export` wrote; `-` is standard input.
    pub file: PathBuf,
    /// Give the session a new id, even if its own is free.
    #[arg(long)]
    pub new_id: bool,
    #[command(flatten)]
    pub server: ServerArg,
}

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
enum ImportError {
    #[error("cannot read {file}: {error}")]
    Read { file: String, error: std::io::Error },
    #[error("{0}")]
    Client(#[from] ClientError),
}

/// Imports, prints the session's id and gives the exit status.
pub async fn run(args: ImportArgs) -> ExitCode {
    match import(&args).await {
        Ok(session) => print_result(&session.id.to_string(), ExitCode::SUCCESS),
        Err(error) => {
            match &error {
                ImportError::Client(error) => args.server.complain(error),
                error @ ImportError::Read { .. } => complain(error),
            }
            exit::code(if is_about_the_file(&error) { exit::BAD_INPUT } else { exit::FAILED })
        }
    }
}

async fn import(args: &ImportArgs) -> Result<WorkflowSession, ImportError> {
    if args.file == Path::new("-") {
        return send(args, tokio::io::stdin(), TransferProgress::of_bytes(None)).await;
    }
    let wrong = |error| ImportError::Read { file: args.file.display().to_string(), error };
    let file = File::open(&args.file).await.map_err(wrong)?;
    let metadata = file.metadata().await.map_err(wrong)?;
    if metadata.is_dir() {
        return Err(wrong(std::io::ErrorKind::IsADirectory.into()));
    }
    // A pipe has no size.
    send(args, file, TransferProgress::of_bytes(metadata.is_file().then_some(metadata.len()))).await
}

async fn send<R>(args: &ImportArgs, file: R, progress: TransferProgress) -> Result<WorkflowSession, ImportError>
where
    R: AsyncRead + Send + 'static,
{
    let told = progress.clone();
    let chunks = ReaderStream::with_capacity(file, CHUNK)
        .inspect(move |chunk| told.add(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64)));
    let session = args.server.archives()?.import(chunks, args.new_id).await;
    progress.finish();
    Ok(session?)
}

fn is_about_the_file(error: &ImportError) -> bool {
    match error {
        ImportError::Read { .. } => true,
        ImportError::Client(ClientError::Refused { code, .. }) => {
            matches!(code, ErrorCode::BadRequest | ErrorCode::TooLarge | ErrorCode::Conflict)
        }
        ImportError::Client(_) => false,
    }
}
