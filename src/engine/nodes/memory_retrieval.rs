//! `memory_retrieval`: searches the group's memories.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::services::NodeServices;
use super::{AttemptResult, NodeContext, NodeType};
use crate::engine::error::PlanError;
use crate::engine::properties::Properties;
use crate::storage::{MemoryScope, SearchLimits};
use relive_session::GraphNode;

/// Characters of the search text.
const QUERY: usize = 8_000;

/// A search in memories. A session without a group searches its own.
#[derive(Debug)]
pub struct MemoryRetrieval {
    services: Arc<NodeServices>,
    /// Default: the proposal.
    query: Option<Value>,
    agent_id: Option<String>,
    nearness: SearchLimits,
}

impl MemoryRetrieval {
    pub fn read(node: &GraphNode, services: &Arc<NodeServices>) -> Result<Self, PlanError> {
        let own = Properties::of(node);
        let limit = own.count("limit", 100)?.unwrap_or(5).max(1);
        let min_score = own.number("minScore")?;
        if min_score.is_some_and(|score| !(-1.0..=1.0).contains(&score)) {
            return Err(own.wrong("minScore", "a number from -1 to 1"));
        }
        Ok(Self {
            services: Arc::clone(services),
            query: own.template("query")?,
            agent_id: own.text("agentId")?,
            nearness: SearchLimits { limit, min_score },
        })
    }

    async fn find(&self, context: &NodeContext) -> Result<Value, String> {
        let query = self.query.clone().unwrap_or_else(|| Value::String("{{proposal}}".to_owned()));
        let query: String = context.text("query", &query).await?.chars().take(QUERY).collect();
        if query.trim().is_empty() {
            return Err(format!("node '{}' has nothing to search for", context.id()));
        }
        let session = context.session();
        let group_id = session.origin.group_id;
        let session_id = group_id.is_none().then_some(session.id);
        let project_id = session.origin.project_id.clone();
        let scope = MemoryScope { project_id, group_id, agent_id: self.agent_id.clone(), session_id };
        let (found, method) = self.services.memories(&scope, &query, self.nearness).await?;
        let text = found.iter().map(|memory| format!("- {}", memory.content)).collect::<Vec<_>>().join("\n");
        let memories: Vec<Value> = found
            .iter()
            .map(|memory| {
                json!({"id": memory.id, "content": memory.content, "score": memory.score, "agentId": memory.agent_id,
                       "createdAt": memory.created_at})
            })
            .collect();
        Ok(json!({"query": query, "method": method, "count": memories.len(), "memories": memories, "text": text}))
    }
}

impl NodeType for MemoryRetrieval {
    fn run<'a>(&'a self, context: &'a NodeContext) -> BoxFuture<'a, AttemptResult> {
        self.find(context).map(AttemptResult::from).boxed()
    }
}
