//! `relive watch`: a session, or all of them, on a screen or a line for each change.

use std::io::IsTerminal;
use std::process::ExitCode;

use super::lines::{OutputLines, Story, exit_status};
use super::{ServerArg, exit, screen};
use relive_client::{
    Client, ClientError, Happening, Revision, ServerFrame, SessionChange, SessionFilters, SessionId, SessionStatus,
};

/// Log lines from before it began to watch.
const EARLIER_LOGS: u32 = 10;

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
        Ok(_) => exit_status(ExitCode::SUCCESS),
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
    let state = story.state(&session).into_iter().chain(earlier_logs(&client, id, session.revision, &story).await?);
    if !state.into_iter().all(|line| story.print(&line)) || session.status.is_ended() {
        return Ok(session.status);
    }
    let mut happenings = client.events_and_logs(id, session.revision).await?;
    while let Some(happening) = happenings.next_happening().await? {
        let line = match &happening {
            Happening::Event(recorded) => story.line_of(recorded),
            Happening::Log(log) => Some(story.log_line(log)),
        };
        if line.is_some_and(|line| !story.print(&line)) {
            break;
        }
    }
    Ok(story.status)
}

/// The newest log lines up to a revision: later ones come as they are added.
async fn earlier_logs(
    client: &Client,
    id: SessionId,
    until: Revision,
    story: &Story,
) -> Result<Vec<String>, ClientError> {
    match client.newest_logs(id, EARLIER_LOGS).await {
        Ok(logs) => Ok(logs.iter().filter(|log| log.revision <= until).map(|log| story.log_line(log)).collect()),
        // A server of a version that had none.
        Err(ClientError::Protocol(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
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
