//! What a node of any type leaves behind when it has completed: memories, context, a new proposal.

use serde_json::{Map, Value};

use super::context::{NodeContext, as_text};
use crate::engine::plan::PlanError;
use crate::engine::properties::Properties;
use relive_session::{Command, GraphNode, limits};

/// The properties `remember` and `assign`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct After {
    remember: Option<Remember>,
    /// `assign.proposal`: what becomes the session's proposal.
    proposal: Option<Value>,
    /// `assign.context`: what becomes part of the context data.
    context: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq)]
struct Remember {
    content: Value,
    agent_id: Option<String>,
    metadata: Option<Value>,
}

impl After {
    /// # Errors
    ///
    /// [`PlanError::Property`] or [`PlanError::Template`] for what cannot be understood.
    pub fn read(node: &GraphNode) -> Result<Self, PlanError> {
        let own = Properties::of(node);
        let mut after = Self { remember: remember(own)?, ..Self::default() };
        if let Some(assign) = own.read("assign", "an object with proposal or context", Value::as_object)? {
            let assign = own.within(assign).only(&["proposal", "context"])?;
            after.proposal = assign.template("proposal")?;
            match assign.template("context")? {
                None => {}
                Some(Value::Object(context)) => after.context = context,
                Some(_) => return Err(own.wrong("assign.context", "an object")),
            }
        }
        Ok(after)
    }

    /// The commands that go with the completion.
    pub(in crate::engine) async fn commands(
        &self,
        context: &NodeContext,
        output: &Value,
    ) -> Result<Vec<Command>, String> {
        let mut commands = Vec::new();
        if let Some(Remember { content, agent_id, metadata }) = &self.remember {
            let content = as_text(&context.fill_with("remember", content, Some(output)).await?);
            if content.len() > limits::CONTENT_BYTES {
                return Err("what is to be remembered is too long".to_owned());
            }
            if !content.trim().is_empty() {
                let metadata = match metadata {
                    Some(metadata) => Some(context.fill_with("remember", metadata, Some(output)).await?),
                    None => Some(serde_json::json!({"nodeId": context.id()})),
                };
                let agent_id = agent_id.clone();
                commands.push(Command::AddMemory { memory_id: None, agent_id, content, embedding: None, metadata });
            }
        }
        if let Some(proposal) = &self.proposal {
            let proposal = context.fill_with("assign.proposal", proposal, Some(output)).await?;
            commands.push(Command::SetProposal { proposal });
        }
        for (key, value) in &self.context {
            let value = context.fill_with("assign.context", value, Some(output)).await?;
            commands.push(Command::SetContext { key: key.clone(), value });
        }
        Ok(commands)
    }
}

fn remember(own: Properties<'_>) -> Result<Option<Remember>, PlanError> {
    let output = || Value::String("{{output}}".to_owned());
    Ok(match own.get("remember") {
        None | Some(Value::Bool(false)) => None,
        Some(Value::Bool(true)) => Some(Remember { content: output(), agent_id: None, metadata: None }),
        Some(Value::Object(details)) => {
            let details = own.within(details).only(&["content", "agentId", "metadata"])?;
            let content = details.template("content")?.unwrap_or_else(output);
            let agent_id = details.text("agentId")?;
            Some(Remember { content, agent_id, metadata: details.template("metadata")? })
        }
        Some(_) => return Err(own.wrong("remember", "true, false, or an object with content")),
    })
}
