//! A cache of agents' names, for messages that give only the agent's id.

use std::time::Duration;

use dashmap::DashMap;
use tokio::time::Instant;
use uuid::Uuid;

use super::error::HubError;
use super::live_session::LiveSession;
use super::store::Store;
use relive_session::{Command, ProjectId};

/// How long a name is cached; a renamed agent appears under its new name after that.
const FRESH: Duration = Duration::from_secs(10);
/// The maximum number of cached names. Beyond it the cache is cleared.
const NAMES: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct AgentNames {
    names: DashMap<(ProjectId, Uuid), (Option<String>, Instant)>,
}

impl AgentNames {
    /// Puts the agent's current name into a message of a session. Agents that are not in its project's catalog have
    /// none.
    pub async fn put_into(&self, command: &mut Command, live: &LiveSession, store: &dyn Store) -> Result<(), HubError> {
        if let Command::AddMessage { agent_id: Some(agent_id), agent_name, .. } = command
            && let Ok(id) = agent_id.parse()
        {
            let project_id = live.head().session().origin.project_id.clone();
            *agent_name = self.name(project_id, id, store).await?;
        }
        Ok(())
    }

    async fn name(&self, project_id: ProjectId, id: Uuid, store: &dyn Store) -> Result<Option<String>, HubError> {
        let agent = (project_id, id);
        if let Some(known) = self.names.get(&agent)
            && known.1.elapsed() < FRESH
        {
            return Ok(known.0.clone());
        }
        let name = store.agent(&agent.0, id).await?.map(|agent| agent.fields.name);
        if self.names.len() >= NAMES {
            self.names.clear();
        }
        self.names.insert(agent, (name.clone(), Instant::now()));
        Ok(name)
    }
}
