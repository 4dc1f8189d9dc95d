//! `relive archive`: has the server move ended sessions to files.

use std::process::ExitCode;

use relive_client::{ArchivedSessions, ClientError};
use serde_json::json;
use uuid::Uuid;

use super::{ServerArg, complain, exit, print_result};

/// What `relive archive` takes; the long help stands with [`Action`](super::CliCommand).
#[derive(Clone, Debug, clap::Args)]
pub struct ArchiveArgs {
    /// Only sessions that ended longer ago than this; fractions of a day too.
    #[arg(long, value_name = "DAYS")]
    pub older_than_days: f64,
    /// Only sessions that ended like this: completed, failed or cancelled; several, separated by commas.
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// Only sessions of this workflow.
    #[arg(long, value_name = "ID")]
    pub workflow: Option<Uuid>,
    /// Only sessions of this group.
    #[arg(long, value_name = "ID")]
    pub group: Option<Uuid>,
    /// Only sessions with this tag.
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// Only count them.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub server: ServerArg,
}

/// Archives, prints how many were, and gives the exit status.
pub async fn run(args: ArchiveArgs) -> ExitCode {
    match archive(&args).await {
        Ok(Outcome { said, failed }) => {
            let status = print_result(&said, exit::code(if failed == 0 { 0 } else { exit::FAILED }));
            if failed > 0 {
                complain(&Failed(failed));
            }
            status
        }
        Err(error) => {
            args.server.complain(&error);
            exit::code(exit::FAILED)
        }
    }
}

/// What became of it.
struct Outcome {
    said: String,
    /// Sessions that could not be archived.
    failed: u64,
}

async fn archive(args: &ArchiveArgs) -> Result<Outcome, ClientError> {
    let api = args.server.api()?;
    let conditions = [
        ("status", args.status.clone().map(Into::into)),
        ("workflowId", args.workflow.map(|id| id.to_string().into())),
        ("groupId", args.group.map(|id| id.to_string().into())),
        ("tag", args.tag.clone().map(Into::into)),
        ("dryRun", args.dry_run.then_some(true.into())),
    ];
    let mut body = json!({"olderThanDays": args.older_than_days});
    for (name, value) in conditions {
        if let (Some(value), Some(members)) = (value, body.as_object_mut()) {
            members.insert(name.to_owned(), value);
        }
    }
    let (mut archived, mut failed) = (0, 0);
    loop {
        let answer = api.post(&["archive"], &body).await?;
        let answer: ArchivedSessions =
            serde_json::from_value(answer).map_err(|error| ClientError::Protocol(error.to_string()))?;
        if args.dry_run {
            let more = if answer.has_more { "more than " } else { "" };
            let said = format!("{more}{} sessions would be archived", answer.matched);
            return Ok(Outcome { said, failed: 0 });
        }
        archived += answer.archived;
        failed += answer.failed;
        // Those that failed, or that other servers are archiving, are found again: they are not waited for.
        if !answer.has_more || answer.archived == 0 {
            break;
        }
        eprintln!("relive: {archived} sessions archived so far");
    }
    Ok(Outcome { said: format!("{archived} sessions archived"), failed })
}

#[derive(Debug, thiserror::Error)]
#[error("{0} sessions could not be archived; the server's log says why")]
struct Failed(u64);
