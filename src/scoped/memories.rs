//! Memories, as a caller reaches them.

use uuid::Uuid;

use super::{Readable, Refused, Scoped};
use crate::access::Action;
use crate::storage::{Constraint, MemoryScope, NewMemory, Page, PageCursor, SearchLimits, StorageError, TimeOrder};
use relive_session::Memory;

impl Scoped {
    /// A memory of the project, with its embedding.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`], as for all functions here that return it.
    pub async fn memory(&self, id: Uuid) -> Result<Option<Memory>, Refused> {
        self.check(Action::SearchMemories)?;
        Ok(self.storage.memory(self.project(), id).await?)
    }

    /// Stores a memory outside a run, in the project that `memory` says: the caller's. False if its id is that of a
    /// memory of another project.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::memory`]; [`HubError::NotFound`](crate::hub::HubError::NotFound) for one of another project.
    pub async fn add_memory(&self, memory: &NewMemory<'_>) -> Result<bool, Refused> {
        self.check(Action::WriteMemory)?;
        if memory.project_id != self.project() {
            return Err(crate::hub::HubError::NotFound.into());
        }
        match self.storage.add_memory(memory).await {
            Ok(()) => Ok(true),
            Err(StorageError::Constraint(Constraint::TextExists))
                if self.storage.memory(self.project(), memory.id).await?.is_none() =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a memory; false if there was none.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::memory`].
    pub async fn delete_memory(&self, id: Uuid) -> Result<bool, Refused> {
        self.check(Action::DeleteSession)?;
        Ok(self.storage.delete_memory(self.project(), id).await?)
    }

    /// A page of a session's memories, oldest first.
    pub async fn memories_of_session(
        &self,
        of: Readable,
        agent_id: Option<&str>,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Page<Memory>, StorageError> {
        let scope = MemoryScope {
            project_id: self.project().clone(),
            session_id: Some(of.id()),
            agent_id: agent_id.map(str::to_owned),
            group_id: None,
        };
        self.storage.memories_by_time(&scope, TimeOrder::OldestFirst, after, limit).await
    }

    /// A page of the project's memories in a scope, newest first.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::memory`].
    pub async fn memories(
        &self,
        scope: &MemoryScope,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Page<Memory>, Refused> {
        let scope = self.searched(scope, None)?;
        Ok(self.storage.memories_by_time(&scope, TimeOrder::NewestFirst, after, limit).await?)
    }

    /// The project's memories in a scope that are nearest to a vector. `session`: the scope's session, if it has one.
    pub async fn nearest_memories(
        &self,
        scope: &MemoryScope,
        session: Option<Readable>,
        embedding: &[f32],
        nearness: SearchLimits,
    ) -> Result<Vec<Memory>, Refused> {
        let scope = self.searched(scope, session)?;
        Ok(self.storage.nearest_memories(&scope, embedding, nearness).await?)
    }

    /// The same for those that have the words of a text.
    pub async fn memories_with_words(
        &self,
        scope: &MemoryScope,
        session: Option<Readable>,
        text: &str,
        nearness: SearchLimits,
    ) -> Result<Vec<Memory>, Refused> {
        let scope = self.searched(scope, session)?;
        Ok(self.storage.memories_with_words(&scope, text, nearness).await?)
    }

    /// Who may read a session may search its memories; who may read the project, all.
    fn searched(&self, scope: &MemoryScope, session: Option<Readable>) -> Result<MemoryScope, Refused> {
        if session.is_none() {
            self.check(Action::SearchMemories)?;
        }
        let session_id = session.map(Readable::id);
        Ok(MemoryScope { project_id: self.project().clone(), session_id, ..scope.clone() })
    }
}
