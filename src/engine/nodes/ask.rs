//! Asking a model within a node: chunks are shown as they come, the finished text becomes a message
//! and the usage a record, together with the node's end. What arrived of an answer that broke off is
//! kept as a message too.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{End, Ended, NodeContext};
use crate::engine::node_task::timed_out;
use crate::engine::plan::PlanError;
use crate::engine::properties::Properties;
use crate::hub::Chunk;
use crate::models::{Chat, ChatError, Models, Piece, Reply};
use crate::session::Command;

/// How a node wants its model to be; what it leaves open is the agent's, or the server's.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Voice {
    pub model: Option<String>,
    pub temperature: Option<f64>,
    pub max_tokens: Option<u32>,
    pub others: serde_json::Map<String, Value>,
}

impl Voice {
    /// Reads `model`, `temperature`, `maxTokens` and `modelParameters`.
    pub fn read(own: Properties<'_>) -> Result<Self, PlanError> {
        let temperature = own.number("temperature")?;
        if temperature.is_some_and(|degrees| !(0.0..=10.0).contains(&degrees)) {
            return Err(own.wrong("temperature", "a number from 0 to 10"));
        }
        Ok(Self {
            model: own.text("model")?,
            temperature,
            max_tokens: own.count("maxTokens", 10_000_000)?,
            others: own.read("modelParameters", "an object", |value| value.as_object().cloned())?.unwrap_or_default(),
        })
    }

    /// From an agent's `modelConfig`; what cannot be understood there is left out.
    pub fn of_config(config: &serde_json::Map<String, Value>) -> Self {
        let own = Properties::of_graph(config);
        Self {
            model: own.text("model").ok().flatten().filter(|model| !model.is_empty()),
            temperature: own.number("temperature").ok().flatten(),
            max_tokens: own.count("maxTokens", 10_000_000).ok().flatten(),
            others: serde_json::Map::new(),
        }
    }

    pub fn or(self, other: Self) -> Self {
        Self {
            model: self.model.or(other.model),
            temperature: self.temperature.or(other.temperature),
            max_tokens: self.max_tokens.or(other.max_tokens),
            others: if self.others.is_empty() { other.others } else { self.others },
        }
    }

    pub fn chat(self, system: Option<String>, user: String, json: bool) -> Chat {
        let Self { model, temperature, max_tokens, others } = self;
        Chat { model, system, user, temperature, max_tokens, json, others }
    }
}

/// What a model said, with the commands that keep it.
#[derive(Debug)]
pub(super) struct Answer {
    pub text: String,
    pub reply: Reply,
    pub commands: Vec<Command>,
}

impl Answer {
    /// `{text, model, usage?, json?}`
    pub fn output(&self) -> Value {
        let mut output = json!({"text": self.text, "model": self.reply.model});
        if let Some(usage) = self.reply.usage {
            output["usage"] = json!({"inputTokens": usage.input_tokens, "outputTokens": usage.output_tokens});
        }
        if let Some(json) = json_in(&self.text) {
            output["json"] = json;
        }
        output
    }
}

/// Asks, heeding the node's time limit and its stop. `Err` is how the attempt ends then.
pub(super) async fn ask(
    context: &NodeContext,
    models: &Models,
    chat: Chat,
    agent_id: Option<String>,
) -> Result<Answer, Ended> {
    let mut said = Said::new(context, agent_id);
    let limit = context.policy().timeout;
    let mut hear = |piece: Piece<'_>| said.hear(piece);
    let asking = models.chat(&chat, &mut hear);
    let asked = async { tokio::time::timeout(limit.unwrap_or(Duration::MAX), asking).await };
    let outcome = match context.stop.run_until_cancelled(asked).await {
        None => return Err(Ended::bare(End::Stopped)),
        Some(Err(_)) => Err(timed_out(limit.unwrap_or_default())),
        Some(Ok(Err(error))) => Err(failure(context, &error)),
        Some(Ok(Ok(reply))) => Ok(reply),
    };
    match outcome {
        Ok(reply) => {
            let commands = said.commands(Some(&reply));
            Ok(Answer { text: said.text, reply, commands })
        }
        Err(error) => {
            let commands = said.commands(None);
            let output = (!said.text.is_empty()).then(|| json!({"text": said.text, "partial": true}));
            Err(Ended { commands, end: End::Failed { error, output } })
        }
    }
}

fn failure(context: &NodeContext, error: &ChatError) -> String {
    tracing::debug!(node_id = %context.id(), %error, "a model did not answer");
    error.to_string()
}

/// What has been heard so far.
struct Said<'a> {
    context: &'a NodeContext,
    agent_id: Option<String>,
    text: String,
    thinking: String,
    /// Of the message with the text and of the one with the thinking: chunks carry them already.
    ids: [Uuid; 2],
}

impl<'a> Said<'a> {
    fn new(context: &'a NodeContext, agent_id: Option<String>) -> Self {
        Self { context, agent_id, text: String::new(), thinking: String::new(), ids: [Uuid::now_v7(), Uuid::now_v7()] }
    }

    fn hear(&mut self, piece: Piece<'_>) {
        let (text, is_thinking) = match piece {
            Piece::Text(text) => (text, false),
            Piece::Thinking(text) => (text, true),
        };
        if is_thinking { &mut self.thinking } else { &mut self.text }.push_str(text);
        self.context.link.show(Chunk {
            node_id: self.context.id().clone(),
            message_id: self.ids[usize::from(is_thinking)],
            text: text.to_owned(),
            agent_id: self.agent_id.clone(),
            is_thinking: is_thinking.then_some(true),
        });
    }

    fn commands(&self, reply: Option<&Reply>) -> Vec<Command> {
        let usage = reply.and_then(|reply| reply.usage);
        let message = |text: &str, is_thinking: bool| Command::AddMessage {
            message_id: Some(self.ids[usize::from(is_thinking)]),
            node_id: self.context.id().clone(),
            agent_id: self.agent_id.clone(),
            agent_name: None,
            role: None,
            content: text.to_owned(),
            is_thinking: is_thinking.then_some(true),
            token_count: usage.filter(|_| !is_thinking).map(|usage| usage.output_tokens),
        };
        let mut commands = Vec::new();
        if !self.thinking.is_empty() {
            commands.push(message(&self.thinking, true));
        }
        if !self.text.is_empty() {
            commands.push(message(&self.text, false));
        }
        if let Some((reply, usage)) = reply.zip(usage) {
            commands.push(Command::RecordUsage {
                node_id: self.context.id().clone(),
                agent_id: self.agent_id.clone(),
                model: Some(reply.model.chars().take(200).collect()),
                input_tokens: usage.input_tokens,
                output_tokens: usage.output_tokens,
                cached_input_tokens: None,
                reasoning_tokens: None,
                cost_usd: None,
            });
        }
        commands
    }
}

/// The JSON object or array in a text, which may stand in a fence as models like to put it.
pub(super) fn json_in(text: &str) -> Option<Value> {
    let text = text.trim();
    let fenced = text.strip_prefix("```").and_then(|rest| rest.split_once('\n')).map(|(_, rest)| rest);
    let inside = fenced.and_then(|rest| rest.rsplit_once("```")).map_or(text, |(inside, _)| inside);
    let value: Value = serde_json::from_str(inside.trim()).ok()?;
    (value.is_object() || value.is_array()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_found_bare_and_in_a_fence() {
        assert_eq!(json_in(" {\"a\": 1} "), Some(json!({"a": 1})));
        assert_eq!(json_in("```json\n[1]\n```"), Some(json!([1])));
        assert_eq!(json_in("It is {\"a\": 1}"), None);
        assert_eq!(json_in("7"), None);
    }
}
