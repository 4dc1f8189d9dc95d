//! Sessions that go.

use uuid::Uuid;

use super::Hub;
use super::error::HubError;
use crate::session::SessionId;

impl Hub {
    /// Deletes a session with everything below it, and tells its viewers.
    ///
    /// # Errors
    ///
    /// [`HubError::NotFound`] when there is none.
    pub async fn delete(&self, id: SessionId) -> Result<(), HubError> {
        let summary = self.inner.store.summary(id).await?;
        if !self.inner.store.delete_session(id).await? {
            return Err(HubError::NotFound);
        }
        self.inner.registry.remove_deleted(id);
        if let Some(summary) = summary {
            self.inner.news.deleted(summary);
        }
        Ok(())
    }

    /// Deletes a group with its sessions and memories; false when there was none.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn delete_group(&self, group_id: Uuid) -> Result<bool, HubError> {
        for id in self.inner.store.sessions_of_group(group_id).await? {
            match self.delete(id).await {
                Ok(()) | Err(HubError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.inner.store.delete_group(group_id).await?)
    }
}
