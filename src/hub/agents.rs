//! A cache of agents' names, for messages that give only the agent's id.

use std::time::Duration;

use dashmap::DashMap;
use tokio::time::Instant;
use uuid::Uuid;

use super::error::HubError;
use super::store::Store;
use relive_session::Command;

/// How long a name is cached; a renamed agent appears under its new name after that.
const FRESH: Duration = Duration::from_secs(10);
/// Names cached at most. Beyond it the cache is cleared.
const NAMES: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct AgentNames {
    names: DashMap<Uuid, (Option<String>, Instant)>,
}

impl AgentNames {
    /// Puts the agent's current name into a message. Agents that are not in the catalog have none.
    pub async fn put_into(&self, command: &mut Command, store: &dyn Store) -> Result<(), HubError> {
        if let Command::AddMessage { agent_id: Some(agent_id), agent_name, .. } = command
            && let Ok(id) = agent_id.parse()
        {
            *agent_name = self.name(id, store).await?;
        }
        Ok(())
    }

    async fn name(&self, id: Uuid, store: &dyn Store) -> Result<Option<String>, HubError> {
        if let Some(known) = self.names.get(&id)
            && known.1.elapsed() < FRESH
        {
            return Ok(known.0.clone());
        }
        let name = store.agent(id).await?.map(|agent| agent.fields.name);
        if self.names.len() >= NAMES {
            self.names.clear();
        }
        self.names.insert(id, (name.clone(), Instant::now()));
        Ok(name)
    }
}
