//! Backfill: reads the journal for viewers that are further behind than the ring in memory.

use std::time::Duration;

use tokio::time::Instant;

use super::viewer::{NeededRead, Viewer, ViewerStep};
use crate::hub::{Hub, HubError};

/// The maximum number of events read from the journal at once.
const PAGE: u32 = 200;
/// The pause before the journal is read again after an error.
const RETRY: Duration = Duration::from_millis(500);

/// Advances a viewer as far as the client accepts, by events from the journal if it needs them.
pub(super) async fn advance(hub: &Hub, viewer: &Viewer) -> ViewerStep {
    match viewer.advance() {
        // Boxed, since it is seldom needed: every connection's task would need the memory for it.
        ViewerStep::NeedsJournal(missing) => Box::pin(advance_by_journal(hub, viewer, missing)).await,
        step => step,
    }
}

async fn advance_by_journal(hub: &Hub, viewer: &Viewer, mut missing: NeededRead) -> ViewerStep {
    loop {
        match read_journal(hub, viewer, missing).await {
            Ok(true) => {}
            Ok(false) => return ViewerStep::Blocked,
            Err(_) => return ViewerStep::NotBefore(Instant::now() + RETRY),
        }
        missing = match viewer.advance() {
            ViewerStep::NeedsJournal(missing) => missing,
            progress => return progress,
        };
    }
}

/// Reads and offers a page of missing events; false if the client cannot take more now.
async fn read_journal(hub: &Hub, viewer: &Viewer, missing: NeededRead) -> Result<bool, HubError> {
    let id = viewer.session_id();
    match missing {
        NeededRead::Events { after } => {
            let events = hub.events(id, after, PAGE, viewer.texts()).await?;
            // The head is beyond the end of the journal only if the session was deleted.
            if events.is_empty() { Err(HubError::NotFound) } else { Ok(viewer.offer_stored_events(events)) }
        }
        NeededRead::Texts { after, up_to } => {
            let texts = hub.texts_between(id, after, up_to, PAGE, viewer.texts()).await?;
            let is_last = texts.len() < PAGE as usize;
            let complete_to = if is_last { up_to } else { texts.last().map_or(up_to, |(revision, _)| *revision) };
            Ok(viewer.offer_stored_texts(texts, complete_to))
        }
    }
}
