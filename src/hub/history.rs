//! Events of a session, from the journal.

use super::Hub;
use super::error::HubError;
use relive_session::{Event, Recorded, Revision, SessionId};

impl Hub {
    /// Events after `revision`, at most `limit`, from the journal; optionally with the texts of their
    /// messages, which are stored outside the journal.
    pub async fn events(
        &self,
        id: SessionId,
        after: Revision,
        limit: u32,
        with_texts: bool,
    ) -> Result<Vec<Recorded>, HubError> {
        let store = &self.inner.store;
        let mut events = store.events(id, after, limit).await?;
        if with_texts && let Some(last) = events.last() {
            let mut texts = store.messages_between(id, after, last.revision, limit).await?.into_iter().peekable();
            for recorded in &mut events {
                if let Event::MessageAdded(added) = &mut recorded.event
                    && let Some((_, message)) = texts.next_if(|(revision, _)| *revision == recorded.revision)
                {
                    added.content = Some(message.content);
                }
            }
        }
        Ok(events)
    }
}
