//! `relive watch`: a session, or all of them, on a screen or a line for each change.

use std::io::IsTerminal;
use std::process::ExitCode;

use super::lines::{OutputLines, Story};
use super::{ServerArg, exit, screen};
use relive_client::{ClientError, ServerFrame, SessionChange, SessionFilters, SessionId, SessionStatus};

/// What `relive watch` takes; the long help stands with [`Action`](super::CliCommand).
#[derive(Clone, Debug, clap::Args)]
pub struct WatchArgs {
    /// The session to watch; all of them without it.
    pub id: Option<SessionId>,
    /// Lines, even on a terminal.
    #[arg(long)]
    pub plain: bool,
    #[command(flatten)]
    pub server: ServerArg,
}

/// Watches to the end and gives the exit status.
pub async fn run(args: WatchArgs) -> ExitCode {
    let on_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let watched = match args.id {
        id if on_terminal && !args.plain => watch_on_screen(&args.server, id).await,
        Some(id) => watch_one(&args.server, id).await,
        None => watch_all(&args.server).await,
    };
    match watched {
        Ok(SessionStatus::Failed) => exit::code(exit::FAILED),
        Ok(SessionStatus::Cancelled) => exit::code(exit::CANCELLED),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            args.server.complain(&error);
            exit::code(exit::FAILED)
        }
    }
}

async fn watch_on_screen(server: &ServerArg, id: Option<SessionId>) -> Result<SessionStatus, ClientError> {
    let client = server.connect().await?;
    if let Some(id) = id {
        // A wrong id is reported before the screen is switched.
        client.session(id).await?;
    }
    let left =
        screen::run(client, id).await.map_err(|error| ClientError::Protocol(format!("the terminal: {error}")))?;
    // A session opened from the list does not determine the exit status.
    Ok(left.filter(|_| id.is_some()).unwrap_or(SessionStatus::Completed))
}

/// Reads the state first and then the events after its revision, so that none is missed.
async fn watch_one(server: &ServerArg, id: SessionId) -> Result<SessionStatus, ClientError> {
    let client = server.connect().await?;
    let session = client.session(id).await?;
    let mut story = Story::of_session(OutputLines::stdout(), &session);
    for line in story.state(&session) {
        story.print(&line);
    }
    if session.status.is_ended() {
        return Ok(session.status);
    }
    let mut events = client.events(id, session.revision).await?;
    while let Some(recorded) = events.next().await? {
        if story.line_of(&recorded).is_some_and(|line| !story.print(&line)) {
            break;
        }
    }
    Ok(story.status)
}

async fn watch_all(server: &ServerArg) -> Result<SessionStatus, ClientError> {
    let client = server.connect().await?;
    let mut list = client.sessions(&SessionFilters::default());
    let lines = OutputLines::stdout();
    loop {
        let told = match list.next().await? {
            ServerFrame::Sessions { sessions, .. } => {
                // A list has the newest first; as lines, the newest is last.
                sessions.iter().rev().all(|session| lines.print(&lines.summary(session, None)))
            }
            ServerFrame::Session { change, session } => {
                let change = match change {
                    SessionChange::Added => Some("added"),
                    SessionChange::Removed => Some("removed"),
                    SessionChange::Changed => None,
                };
                lines.print(&lines.summary(&session, change))
            }
            _ => true,
        };
        if !told {
            return Ok(SessionStatus::Completed);
        }
    }
}
