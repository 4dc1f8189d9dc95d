//! The commands that go with a completion of any type: memories, context, a new proposal.

use super::context::{NodeContext, as_text};
use serde_json::Value;

use crate::engine::on_complete::{OnComplete, Remember};
use relive_session::{Command, limits};

/// The commands that go with the completion.
pub(in crate::engine) async fn commands(
    on_complete: &OnComplete,
    context: &NodeContext,
    output: &Value,
) -> Result<Vec<Command>, String> {
    let mut commands = Vec::new();
    if let Some(Remember { content, agent_id, metadata }) = &on_complete.remember {
        let content = as_text(&context.fill_with("remember", content, Some(output)).await?);
        if content.len() > limits::CONTENT_BYTES {
            return Err("the text to remember is too long".to_owned());
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
    if let Some(proposal) = &on_complete.proposal {
        let proposal = context.fill_with("assign.proposal", proposal, Some(output)).await?;
        commands.push(Command::SetProposal { proposal });
    }
    for (key, value) in &on_complete.context {
        let value = context.fill_with("assign.context", value, Some(output)).await?;
        commands.push(Command::set_context(key.clone(), value));
    }
    Ok(commands)
}
