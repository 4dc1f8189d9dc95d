//! Moving on viewers that are further behind than memory reaches.

use std::time::Duration;

use tokio::time::Instant;

use super::viewer::{Missing, Progress, Viewer};
use crate::hub::{Hub, HubError};

/// Events read from the journal at once.
const PAGE: u32 = 200;
/// How long to wait before the journal is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Moves a viewer on, reading the journal for it as far as the client takes it.
pub(super) async fn move_on(hub: &Hub, viewer: &Viewer) -> Progress {
    loop {
        let missing = match viewer.move_on() {
            Progress::NeedsJournal(missing) => missing,
            progress => return progress,
        };
        match read_journal(hub, viewer, missing).await {
            Ok(true) => {}
            Ok(false) => return Progress::Blocked,
            Err(_) => return Progress::NotBefore(Instant::now() + RETRY),
        }
    }
}

/// Reads and offers a page of what is missing; false when the client cannot take more now.
async fn read_journal(hub: &Hub, viewer: &Viewer, missing: Missing) -> Result<bool, HubError> {
    let id = viewer.session_id();
    match missing {
        Missing::Events { after } => {
            let events = hub.events(id, after, PAGE, viewer.wants_messages()).await?;
            // The head has moved past what the journal holds only when the session was deleted.
            if events.is_empty() { Err(HubError::NotFound) } else { Ok(viewer.offer_stored_events(events)) }
        }
        Missing::Messages { after, up_to } => {
            let messages = hub.messages_between(id, after, up_to, PAGE).await?;
            let is_last = messages.len() < PAGE as usize;
            let complete_to = if is_last { up_to } else { messages.last().map_or(up_to, |(revision, _)| *revision) };
            Ok(viewer.offer_stored_messages(messages, complete_to))
        }
    }
}
