//! Asking a model within a node: chunks are shown as they arrive; the finished text becomes a message and the
//! usage a record, together with the node's end. The part of an interrupted answer that has arrived becomes a
//! message too.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{AttemptResult, End, NodeContext};
use crate::engine::error::PlanError;
use crate::engine::node_task::timed_out;
use crate::engine::properties::Properties;
use crate::hub::Chunk;
use crate::models::{Chat, ChatError, ModelReply, Models, Piece, TRIES, ToolCall};
use relive_session::{Command, MessageId, MessageRole, ToolCall as RecordedCall, check_command, check_json};

/// Tools that a model can be offered.
const TOOLS: usize = 128;

/// The node's settings for its model; others come from the agent, or the server.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ModelSettings {
    pub model: Option<String>,
    pub temperature: Option<f64>,
    pub max_tokens: Option<u32>,
    pub others: serde_json::Map<String, Value>,
}

impl ModelSettings {
    /// Reads `model`, `temperature`, `maxTokens`, `tools`, `toolChoice`, `responseFormat` and `modelParameters`.
    pub fn read(own: Properties<'_>) -> Result<Self, PlanError> {
        let temperature = own.number("temperature")?;
        if temperature.is_some_and(|degrees| !(0.0..=10.0).contains(&degrees)) {
            return Err(own.wrong("temperature", "a number from 0 to 10"));
        }
        let mut others =
            own.read("modelParameters", "an object", |value| value.as_object().cloned())?.unwrap_or_default();
        let tools = own.read("tools", "an array of at most 128 tools", |value| {
            value.as_array().filter(|tools| tools.len() <= TOOLS && tools.iter().all(Value::is_object))
        })?;
        let choice = own.read("toolChoice", "auto, none, required, or an object", |value| {
            (value.is_string() || value.is_object()).then_some(value)
        })?;
        let format = own.read("responseFormat", "an object", |value| value.is_object().then_some(value))?;
        let tools = tools.map(|tools| Value::Array(tools.clone()));
        let named = [("tools", tools), ("tool_choice", choice.cloned()), ("response_format", format.cloned())];
        others.extend(named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        Ok(Self { model: own.text("model")?, temperature, max_tokens: own.count("maxTokens", 10_000_000)?, others })
    }

    /// From an agent's `modelConfig`; invalid members are ignored.
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
        Chat { model, system, user, temperature, max_tokens, json, others, trace: None }
    }
}

/// A model's answer, with the commands that record it.
#[derive(Debug)]
pub(super) struct ModelAnswer {
    pub text: String,
    pub reply: ModelReply,
    pub commands: Vec<Command>,
}

impl ModelAnswer {
    /// `{text, model, finishReason?, usage?, toolCalls?, refusal?, json?, jsonError?}`
    pub fn output(&self) -> Value {
        let ModelReply { model, usage, finish_reason, tool_calls, refusal } = &self.reply;
        let mut output = json!({"text": self.text, "model": model});
        if let Some(reason) = finish_reason {
            output["finishReason"] = json!(reason);
        }
        if let Some(usage) = usage {
            output["usage"] = json!({"inputTokens": usage.input_tokens, "outputTokens": usage.output_tokens});
        }
        if !tool_calls.is_empty() {
            let call = |call: &ToolCall| json!({"id": call.id, "name": call.name, "arguments": call.arguments});
            output["toolCalls"] = tool_calls.iter().map(call).collect();
        }
        if let Some(refusal) = refusal {
            output["refusal"] = json!(refusal);
        }
        // Usage is recorded even if its JSON cannot be.
        match json_in(&self.text).map(|json| (check_json("it", &json), json)) {
            Some((Ok(()), json)) => output["json"] = json,
            Some((Err(problem), _)) => output["jsonError"] = json!(problem.to_string()),
            None => {}
        }
        output
    }
}

/// Asks, within the node's time limit and until it is stopped. `Err` is how the attempt ends then.
pub(super) async fn ask(
    context: &NodeContext,
    models: &Models,
    mut chat: Chat,
    agent_id: Option<String>,
) -> Result<ModelAnswer, AttemptResult> {
    chat.trace = context.trace();
    let mut received = Received::new(context, agent_id);
    let mut request = models.request(&chat);
    if let Some(members) = request.as_object_mut() {
        // The same in every request.
        members.retain(|name, _| name != "stream" && name != "stream_options");
    }
    context.works_on(request);
    let limit = context.policy().timeout;
    let mut receive = |piece: Piece<'_>| received.receive(piece);
    let asking = models.chat(&chat, &mut receive);
    let asked = async { tokio::time::timeout(limit.unwrap_or(Duration::MAX), asking).await };
    let outcome = match context.stop.run_until_cancelled(asked).await {
        None => return Err(AttemptResult::bare(End::Stopped)),
        Some(Err(_)) => Err(timed_out(limit.unwrap_or_default())),
        Some(Ok(Err(error))) => Err(failure(context, &error)),
        Some(Ok(Ok(reply))) => Ok(reply),
    };
    match outcome {
        Ok(reply) => {
            let commands = received.commands(Some(&reply));
            Ok(ModelAnswer { text: received.text, reply, commands })
        }
        Err(error) => {
            let commands = received.commands(None);
            let output = (!received.text.is_empty()).then(|| json!({"text": received.text, "partial": true}));
            Err(AttemptResult { commands, end: End::Failed { error, output } })
        }
    }
}

fn failure(context: &NodeContext, error: &ChatError) -> String {
    tracing::debug!(node_id = %context.id(), %error, "a request to a model failed");
    error.to_string()
}

/// What has been received so far.
struct Received<'a> {
    context: &'a NodeContext,
    agent_id: Option<String>,
    text: String,
    thinking: String,
    /// Ids of the messages with the text and with the thinking: chunks have them already.
    ids: [MessageId; 2],
}

impl<'a> Received<'a> {
    fn new(context: &'a NodeContext, agent_id: Option<String>) -> Self {
        Self {
            context,
            agent_id,
            text: String::new(),
            thinking: String::new(),
            ids: [Uuid::now_v7().into(), Uuid::now_v7().into()],
        }
    }

    fn receive(&mut self, piece: Piece<'_>) {
        let (text, is_thinking) = match piece {
            Piece::Text(text) => (text, false),
            Piece::Thinking(text) => (text, true),
            Piece::Again { why, tries, pause } => return self.announce_retry(why, tries, pause),
        };
        if is_thinking { &mut self.thinking } else { &mut self.text }.push_str(text);
        self.context.link.show(Chunk {
            node_id: self.context.id().clone(),
            message_id: self.ids[usize::from(is_thinking)].clone(),
            text: text.to_owned(),
            agent_id: self.agent_id.clone(),
            is_thinking: is_thinking.then_some(true),
        });
    }

    /// Tells viewers why nothing arrives. It is sent in the background, so the answer is not delayed.
    fn announce_retry(&self, why: &ChatError, tries: u32, pause: Duration) {
        let content = format!("{why}. Asked again in {:.1} s; {tries} of {TRIES} tries made.", pause.as_secs_f64());
        let message = Command::AddMessage {
            message_id: Some(Uuid::now_v7().into()),
            node_id: self.context.id().clone(),
            agent_id: self.agent_id.clone(),
            agent_name: None,
            role: Some(MessageRole::System),
            content,
            is_thinking: Some(true),
            token_count: None,
            tool_calls: None,
            tool_call_id: None,
            content_type: None,
        };
        drop(self.context.link.send(vec![message]));
    }

    fn commands(&self, reply: Option<&ModelReply>) -> Vec<Command> {
        let usage = reply.and_then(|reply| reply.usage);
        let message = |text: &str, is_thinking: bool, tool_calls: Option<Vec<RecordedCall>>| Command::AddMessage {
            message_id: Some(self.ids[usize::from(is_thinking)].clone()),
            node_id: self.context.id().clone(),
            agent_id: self.agent_id.clone(),
            agent_name: None,
            role: None,
            content: text.to_owned(),
            is_thinking: is_thinking.then_some(true),
            token_count: usage.filter(|_| !is_thinking).map(|usage| usage.output_tokens),
            tool_calls,
            tool_call_id: None,
            content_type: None,
        };
        let mut commands = Vec::new();
        if !self.thinking.is_empty() {
            commands.push(message(&self.thinking, true, None));
        }
        let refusal = reply.and_then(|reply| reply.refusal.as_deref()).unwrap_or_default();
        let text = if self.text.is_empty() { refusal } else { &self.text };
        // Calls that cannot be kept as such, or lack a name, are in the node's output alone.
        let is_named = |call: &RecordedCall| !call.name.is_empty();
        let calls = reply.map(calls).filter(|calls| !calls.is_empty() && calls.iter().all(is_named));
        let calling = calls.map(|calls| message(text, false, Some(calls))).filter(|said| check_command(said).is_ok());
        let said = calling.or_else(|| (!text.is_empty()).then(|| message(text, false, None)));
        commands.extend(said);
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

/// The tools that a model asks for: with arguments that are an object, if they can be read and kept so.
fn calls(reply: &ModelReply) -> Vec<RecordedCall> {
    let call = |ToolCall { id, name, arguments }: &ToolCall| {
        let object = serde_json::from_str(arguments).ok().filter(Value::is_object);
        let object = object.filter(|object| check_json("arguments", object).is_ok());
        let arguments = object.unwrap_or_else(|| Value::from(arguments.as_str()));
        RecordedCall { id: id.clone(), name: name.clone(), arguments }
    };
    reply.tool_calls.iter().map(call).collect()
}

/// The JSON object or array in a text, which may be in a Markdown fence.
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
