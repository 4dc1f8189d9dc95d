//! The services that nodes of the server use.

use uuid::Uuid;

use super::web::Web;
use crate::embeddings::Embeddings;
use crate::models::Models;
use crate::storage::{Entity, MemoryScope, SearchLimits, Storage, StorageError};
use relive_session::{Agent, Group, Memory, ProjectId};

/// Models, memories, agents and the web.
#[derive(Clone, Debug)]
pub struct NodeServices {
    pub models: Models,
    pub web: Web,
    pub storage: Storage,
    pub embeddings: Embeddings,
}

impl NodeServices {
    /// # Errors
    ///
    /// A text for the node's `error`.
    pub(super) async fn agent(&self, project: &ProjectId, id: Uuid) -> Result<Option<Agent>, String> {
        self.entity(project, id).await
    }

    /// # Errors
    ///
    /// A text for the node's `error`.
    pub(super) async fn group(&self, project: &ProjectId, id: Uuid) -> Result<Option<Group>, String> {
        self.entity(project, id).await
    }

    async fn entity<E: Entity>(&self, project: &ProjectId, id: Uuid) -> Result<Option<E>, String> {
        self.storage.entity(project, id).await.map_err(|error| told(&error))
    }

    /// Memories similar to a text, nearest first, and the method of the search.
    ///
    /// # Errors
    ///
    /// A text for the node's `error`.
    pub(super) async fn memories(
        &self,
        scope: &MemoryScope,
        text: &str,
        nearness: SearchLimits,
    ) -> Result<(Vec<Memory>, &'static str), String> {
        let (found, method) = match self.embeddings.of_query(text).await {
            Some(vector) => (self.storage.nearest_memories(scope, &vector, nearness).await, "vector"),
            None => (self.storage.memories_with_words(scope, text, nearness).await, "text"),
        };
        Ok((found.map_err(|error| told(&error))?, method))
    }
}

/// The database's error text is only logged.
pub(super) fn told(error: &StorageError) -> String {
    error.log("a node cannot read the database");
    "the database cannot be read now".to_owned()
}
