//! Events of a session, from the journal.

use super::Hub;
use super::error::HubError;
use relive_session::{Recorded, Revision, SessionId, Text, Texts};

impl Hub {
    /// Events after `revision`, at most `limit`, from the journal; with the wanted texts, which are stored
    /// outside the journal.
    pub async fn events(
        &self,
        id: SessionId,
        after: Revision,
        limit: u32,
        texts: Texts,
    ) -> Result<Vec<Recorded>, HubError> {
        let store = &self.inner.store;
        let mut events = store.events(id, after, limit).await?;
        if texts.any()
            && let Some(last) = events.last()
        {
            let mut found = store.texts_between(id, after, last.revision, limit, texts).await?.into_iter().peekable();
            for recorded in &mut events {
                if let Some((_, text)) = found.next_if(|(revision, _)| *revision == recorded.revision) {
                    recorded.hold_text(text);
                }
            }
        }
        Ok(events)
    }

    /// The wanted texts that a session's events after `after` and up to `up_to` added, each with its event's
    /// revision, at most `limit`.
    pub async fn texts_between(
        &self,
        id: SessionId,
        after: Revision,
        up_to: Revision,
        limit: u32,
        texts: Texts,
    ) -> Result<Vec<(Revision, Text)>, HubError> {
        Ok(self.inner.store.texts_between(id, after, up_to, limit, texts).await?)
    }
}
