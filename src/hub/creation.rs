//! Creating and forking sessions.

use std::sync::Arc;

use super::Hub;
use super::error::HubError;
use crate::spans::{Span, SpanKind, SpanParent};
use crate::storage::{Constraint, NewSession, StorageError};
use relive_session::{
    Actor, Created, Event, ProjectId, Recorded, Refusal, Revision, Session, SessionId, Timestamp, TraceContext, limits,
};

/// Who creates a session, and where.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// A fork is always in its parent's project.
    pub project_id: ProjectId,
    pub by: Option<Arc<Actor>>,
    /// Makes a repetition idempotent.
    pub key: Option<String>,
    /// The trace of the request, which is kept with the session.
    pub trace: Option<Arc<TraceContext>>,
    /// The span of the request, if its trace is recorded. It counts as the trace of a request that names none.
    pub span: Option<SpanParent>,
}

impl CreateOptions {
    fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_deref().or_else(|| self.span.as_ref().map(SpanParent::context))
    }
}

impl Hub {
    /// Creates a session. With a key, a repetition returns the session that the first call created, in its first
    /// state.
    ///
    /// # Errors
    ///
    /// [`HubError::Constraint`] when the id is taken, or the group or workflow does not exist in the project;
    /// [`HubError::NotFound`] when another project has a session with this id.
    pub async fn create(
        &self,
        id: SessionId,
        created: Created,
        options: CreateOptions,
    ) -> Result<Arc<Session>, HubError> {
        let hub = self.clone();
        self.run_to_completion(async move { hub.create_and_announce(id, created, options).await }).await
    }

    async fn create_and_announce(
        &self,
        id: SessionId,
        created: Created,
        options: CreateOptions,
    ) -> Result<Arc<Session>, HubError> {
        let event = Event::Created(Box::new(created.traced(options.trace())));
        let CreateOptions { project_id, by, key, span, .. } = options;
        let recorded = Recorded { session_id: id, revision: 1, at: Timestamp::now(), by, event };
        let session = Session::create_new(&recorded).map_err(StorageError::from)?;
        let session = Arc::new(session.in_project(project_id.clone()));
        let new = NewSession { recorded: &recorded, session: &session, creation_key: key.as_deref() };
        let commit = span.map(|span| commit(&span));
        let stored = self.inner.store.create_session(&new).await;
        drop(commit);
        match (stored, key) {
            (Ok(()), _) => {}
            (Err(StorageError::Constraint(Constraint::CreationKeyUsed | Constraint::SessionExists)), Some(key)) => {
                return self.created_before(&project_id, id, &key).await;
            }
            (Err(StorageError::Constraint(Constraint::SessionExists)), None) => {
                return Err(self.id_taken(&project_id, id).await);
            }
            (Err(StorageError::Constraint(Constraint::SessionElsewhere)), _) => return Err(HubError::NotFound),
            (Err(error), _) => return Err(self.in_doubt(error, id, None)),
        }
        self.announce_created(&session, recorded);
        Ok(session)
    }

    /// The error for an id that is taken; if another project has it, it does not exist for the caller.
    async fn id_taken(&self, project_id: &ProjectId, id: SessionId) -> HubError {
        match self.inner.store.summary(id).await.map_err(HubError::from) {
            Ok(Some(stored)) if stored.project_id != *project_id => HubError::NotFound,
            Err(HubError::Unavailable) => HubError::Unavailable,
            _ => Constraint::SessionExists.into(),
        }
    }

    /// Forks a session: creates one that continues from the parent's state at a revision, in the parent's project.
    /// With a key, a repetition returns the fork that the first call created, in its first state.
    ///
    /// # Errors
    ///
    /// [`HubError::NotFound`] when the parent never reached that revision;
    /// [`HubError::Constraint`] when the key was used for something else.
    pub async fn fork(
        &self,
        parent_id: SessionId,
        revision: Revision,
        options: CreateOptions,
    ) -> Result<Arc<Session>, HubError> {
        let hub = self.clone();
        self.run_to_completion(async move { hub.fork_and_announce(parent_id, revision, options).await }).await
    }

    async fn fork_and_announce(
        &self,
        parent_id: SessionId,
        revision: Revision,
        options: CreateOptions,
    ) -> Result<Arc<Session>, HubError> {
        let trace = options.trace().cloned();
        let CreateOptions { by, key, span, .. } = options;
        let store = &self.inner.store;
        if store.count_ancestors(parent_id).await? >= limits::FORKS {
            return Err(Refusal::TooLarge { what: "the number of forks in a line", limit: limits::FORKS }.into());
        }
        let parent = self.without_deleted_parent(store.session_at(parent_id, revision).await?).await?;
        let project_id = parent.origin.project_id.clone();
        let event = Event::Created(Box::new(Created::fork_of(&parent).traced(trace.as_ref())));
        // Not earlier than the parent's last event, so that messages stay in order across the two.
        let at = Timestamp::now().max(parent.updated_at);
        let recorded = Recorded { session_id: SessionId::generate(), revision: 1, at, by, event };
        let session = Session::create_new(&recorded).map_err(StorageError::from)?;
        let session = Arc::new(session.in_project(project_id.clone()));
        let new = NewSession { recorded: &recorded, session: &session, creation_key: key.as_deref() };
        let commit = span.map(|span| commit(&span));
        let stored = store.create_fork(&new, parent_id, revision).await;
        drop(commit);
        match (stored, key) {
            (Ok(()), _) => {}
            (Err(StorageError::Constraint(Constraint::CreationKeyUsed)), Some(key)) => {
                let fork = self.created_before(&project_id, session.id, &key).await?;
                let is_the_same =
                    (fork.origin.parent_id, fork.origin.forked_from_revision) == (Some(parent_id), Some(revision));
                return if is_the_same { Ok(fork) } else { Err(Constraint::CreationKeyUsed.into()) };
            }
            (Err(error), _) => return Err(self.in_doubt(error, session.id, None)),
        }
        self.announce_created(&session, recorded);
        Ok(session)
    }

    /// The state that a fork begins with. What the session belonged to at that revision may have been deleted since.
    async fn without_deleted_parent(&self, state: Option<Session>) -> Result<Session, HubError> {
        let mut state = state.ok_or(HubError::NotFound)?;
        if state.parent().is_some() {
            state.is_released = self.session(state.id).await?.parent().is_none();
        }
        Ok(state)
    }

    fn announce_created(&self, session: &Arc<Session>, created: Recorded) {
        self.inner.registry.insert_new(Arc::clone(session), created);
        self.inner.fanout.committed(session);
        self.family_changed(session.parent());
    }

    /// Announces a session that was stored whole, as by an import.
    pub fn appeared(&self, id: SessionId, parent: Option<SessionId>) {
        self.inner.fanout.appeared(id);
        self.family_changed(parent);
    }

    /// The newest state of the session that was created under a key in a project.
    ///
    /// # Errors
    ///
    /// [`HubError::NotFound`] when it was deleted.
    pub async fn created_under(&self, project_id: &ProjectId, key: &str) -> Result<Arc<Session>, HubError> {
        let id = self.inner.store.session_by_creation_key(project_id, key).await?.ok_or(HubError::NotFound)?;
        self.session(id).await
    }

    async fn created_before(&self, project_id: &ProjectId, id: SessionId, key: &str) -> Result<Arc<Session>, HubError> {
        let store = &self.inner.store;
        let Some(id) = store.session_by_creation_key(project_id, key).await? else {
            return Err(self.id_taken(project_id, id).await);
        };
        let session = store.session_at(id, 1).await?.ok_or(HubError::NotFound)?;
        Ok(Arc::new(session))
    }
}

/// The commit of a new session.
fn commit(span: &SpanParent) -> Span {
    span.child_of_kind(SpanKind::Client, "commit".into()).with("db.system.name", "postgresql")
}
