//! Creating and forking sessions.

use std::sync::Arc;

use super::Hub;
use super::error::HubError;
use crate::storage::{Constraint, NewSession, StorageError};
use relive_session::{Created, Event, Recorded, Refusal, Revision, Session, SessionId, Timestamp, limits};

impl Hub {
    /// Creates a session. With `creation_key`, a repetition returns the session that the first call
    /// created, in its first state.
    ///
    /// # Errors
    ///
    /// [`HubError::Constraint`] when the id is taken, or the group or workflow does not exist.
    pub async fn create(
        &self,
        id: SessionId,
        created: Created,
        creation_key: Option<&str>,
    ) -> Result<Arc<Session>, HubError> {
        let (hub, key) = (self.clone(), creation_key.map(str::to_owned));
        self.carry_through(async move { hub.create_and_tell(id, created, key.as_deref()).await }).await
    }

    async fn create_and_tell(
        &self,
        id: SessionId,
        created: Created,
        creation_key: Option<&str>,
    ) -> Result<Arc<Session>, HubError> {
        let event = Event::Created(Box::new(created));
        let recorded = Recorded { session_id: id, revision: 1, at: Timestamp::now(), event };
        let session = Arc::new(Session::create_new(&recorded).map_err(StorageError::from)?);
        let new = NewSession { recorded: &recorded, session: &session, creation_key };
        match self.inner.store.create_session(&new).await {
            Ok(()) => {}
            Err(StorageError::Constraint(Constraint::CreationKeyUsed | Constraint::SessionExists))
                if creation_key.is_some() =>
            {
                return self.created_before(creation_key.unwrap_or_default()).await;
            }
            Err(error) => return Err(self.in_doubt(error, id, None)),
        }
        self.inner.registry.insert_new(Arc::clone(&session), recorded);
        self.inner.fanout.committed(&session);
        Ok(session)
    }

    /// Forks a session: creates one that continues from the parent's state at a revision. With
    /// `creation_key`, a repetition returns the fork that the first call created, in its first state.
    ///
    /// # Errors
    ///
    /// [`HubError::NotFound`] when the parent never reached that revision;
    /// [`HubError::Constraint`] when the key was used for something else.
    pub async fn fork(
        &self,
        parent_id: SessionId,
        revision: Revision,
        creation_key: Option<&str>,
    ) -> Result<Arc<Session>, HubError> {
        let (hub, key) = (self.clone(), creation_key.map(str::to_owned));
        self.carry_through(async move { hub.fork_and_tell(parent_id, revision, key.as_deref()).await }).await
    }

    async fn fork_and_tell(
        &self,
        parent_id: SessionId,
        revision: Revision,
        creation_key: Option<&str>,
    ) -> Result<Arc<Session>, HubError> {
        let store = &self.inner.store;
        if store.count_ancestors(parent_id).await? >= limits::FORKS {
            return Err(Refusal::TooLarge { what: "the number of forks in a line", limit: limits::FORKS }.into());
        }
        let parent = store.session_at(parent_id, revision).await?.ok_or(HubError::NotFound)?;
        let event = Event::Created(Box::new(Created::fork_of(&parent)));
        // Not earlier than the parent's last event, so that messages stay in order across the two.
        let at = Timestamp::now().max(parent.updated_at);
        let recorded = Recorded { session_id: SessionId::generate(), revision: 1, at, event };
        let session = Arc::new(Session::create_new(&recorded).map_err(StorageError::from)?);
        let new = NewSession { recorded: &recorded, session: &session, creation_key };
        match store.create_fork(&new, parent_id, revision).await {
            Ok(()) => {}
            Err(StorageError::Constraint(Constraint::CreationKeyUsed)) => {
                let fork = self.created_before(creation_key.unwrap_or_default()).await?;
                let is_the_same =
                    (fork.origin.parent_id, fork.origin.forked_from_revision) == (Some(parent_id), Some(revision));
                return if is_the_same { Ok(fork) } else { Err(Constraint::CreationKeyUsed.into()) };
            }
            Err(error) => return Err(self.in_doubt(error, session.id, None)),
        }
        self.inner.registry.insert_new(Arc::clone(&session), recorded);
        self.inner.fanout.committed(&session);
        Ok(session)
    }

    /// Announces a session that was stored whole, as by an import.
    pub fn appeared(&self, id: SessionId) {
        self.inner.fanout.appeared(id);
    }

    /// The newest state of the session that was created under a key.
    ///
    /// # Errors
    ///
    /// [`HubError::NotFound`] when it was deleted.
    pub async fn created_under(&self, key: &str) -> Result<Arc<Session>, HubError> {
        let id = self.inner.store.session_by_creation_key(key).await?.ok_or(HubError::NotFound)?;
        self.session(id).await
    }

    async fn created_before(&self, key: &str) -> Result<Arc<Session>, HubError> {
        let store = &self.inner.store;
        let id = store.session_by_creation_key(key).await?.ok_or(Constraint::SessionExists)?;
        let session = store.session_at(id, 1).await?.ok_or(HubError::NotFound)?;
        Ok(Arc::new(session))
    }
}
