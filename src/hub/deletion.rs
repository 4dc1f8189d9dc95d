//! Deleting sessions and groups.

use std::sync::Arc;

use uuid::Uuid;

use super::Hub;
use super::error::HubError;
use crate::storage::{GroupInDoubt, SessionFilter, StorageError};
use relive_session::{ProjectId, SessionId, SessionIdentity, SessionSummary};

impl Hub {
    /// Deletes a session with everything that belongs to it, and tells its viewers. With `only`, no other one that
    /// has been stored under its id since.
    ///
    /// # Errors
    ///
    /// [`HubError::NotFound`] if there is no such session.
    pub async fn delete(&self, id: SessionId, only: Option<SessionIdentity>) -> Result<(), HubError> {
        let hub = self.clone();
        self.run_to_completion(async move { hub.delete_and_announce(id, only).await }).await
    }

    async fn delete_and_announce(&self, id: SessionId, only: Option<SessionIdentity>) -> Result<(), HubError> {
        let summary = self.inner.store.summary(id).await?.ok_or(HubError::NotFound)?;
        if only.is_some_and(|only| only != summary.identity()) {
            return Err(HubError::NotFound);
        }
        self.delete_one(summary, None).await
    }

    /// Deletes a session that was found in a list, if it still is in it; returns whether it was.
    ///
    /// # Errors
    ///
    /// Only [`HubError::Unavailable`]: it may have been deleted all the same.
    pub async fn delete_listed(&self, summary: SessionSummary, list: Arc<SessionFilter>) -> Result<bool, HubError> {
        let hub = self.clone();
        let outcome = self.run_to_completion(async move { hub.delete_one(summary, Some(&list)).await }).await;
        match outcome {
            Ok(()) => Ok(true),
            Err(HubError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn delete_one(&self, summary: SessionSummary, list: Option<&SessionFilter>) -> Result<(), HubError> {
        match self.inner.store.delete_session(summary.id, summary.identity(), list).await {
            Ok(Some(children)) => {
                self.announce_deleted(summary);
                self.announce_released(&children).await;
                Ok(())
            }
            Ok(None) => Err(HubError::NotFound),
            Err(error) => Err(self.in_doubt(error, summary.id, Some(summary))),
        }
    }

    /// Announces a session's deletion by `work`, which deletes it in one transaction with something else, and returns
    /// the children that it had; `None` if it did not delete it. Returns whether it did.
    ///
    /// # Errors
    ///
    /// Only [`HubError::Unavailable`]: it may have been deleted all the same.
    pub async fn delete_by(
        &self,
        summary: SessionSummary,
        work: impl Future<Output = Result<Option<Vec<SessionId>>, StorageError>>,
    ) -> Result<bool, HubError> {
        match work.await {
            Ok(Some(children)) => {
                self.announce_deleted(summary);
                self.announce_released(&children).await;
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => Err(self.in_doubt(error, summary.id, Some(summary))),
        }
    }

    pub(super) fn announce_deleted(&self, summary: SessionSummary) {
        let parent = summary.parent_session_id;
        self.inner.registry.remove_deleted(summary.id, summary.identity());
        self.inner.fanout.deleted(summary);
        self.family_changed(parent);
    }

    /// Deletes a project's group with its sessions and memories; returns false if there was none.
    pub async fn delete_group(&self, project: &ProjectId, group_id: Uuid) -> Result<bool, HubError> {
        let (hub, project) = (self.clone(), project.clone());
        self.run_to_completion(async move { hub.delete_whole_group(&project, group_id).await }).await
    }

    /// Deletes the sessions one by one, so that no statement takes long, and those that were created in the
    /// group meanwhile together with the group itself.
    async fn delete_whole_group(&self, project: &ProjectId, group_id: Uuid) -> Result<bool, HubError> {
        for id in self.inner.store.sessions_of_group(project, group_id).await? {
            match self.delete_and_announce(id, None).await {
                Ok(()) | Err(HubError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        match self.inner.store.delete_group(project, group_id).await {
            Ok(Some(sessions)) => {
                sessions.into_iter().for_each(|summary| self.announce_deleted(summary));
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(GroupInDoubt { error, sessions }) => {
                for summary in sessions {
                    self.look_up_outcome(&error, summary.id, Some(summary));
                }
                Err(error.into())
            }
        }
    }
}
