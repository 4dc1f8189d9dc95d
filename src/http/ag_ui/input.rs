//! `RunAgentInput`: what an AG-UI client sends. Members that are not read here are ignored: the protocol is another
//! one's, and grows.

use std::collections::HashSet;

use relive_session::Command;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::events::InterruptId;
use super::run::RunIds;
use crate::http::error::ApiError;
use crate::http::foreign::{objects, or_default};

/// Characters of a thread's or a run's id.
const ID_CHARACTERS: usize = 256;
/// Answers in one request.
const ANSWERS: usize = 100;

/// The start of a run, or the answers to its interrupts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunAgentInput {
    pub thread_id: String,
    pub run_id: String,
    /// The conversation so far.
    #[serde(deserialize_with = "objects")]
    pub messages: Vec<AgUiMessage>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub state: Value,
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub tools: Vec<Value>,
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub context: Vec<Value>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub forwarded_props: Value,
    /// Answers to the interrupts of one run; then nothing is started.
    #[serde(default, deserialize_with = "objects")]
    #[schema(value_type = Option<Vec<ResumeEntry>>)]
    pub resume: Vec<ResumeEntry>,
}

/// A message of the conversation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgUiMessage {
    pub role: String,
    /// A text, or parts of which those of type `text` are read.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub content: Value,
    /// The tools that the assistant asked for: `{id, function: {name, arguments}}`.
    #[serde(default)]
    #[schema(value_type = Vec<Object>, required = false)]
    pub tool_calls: Value,
    /// The call that this message of a tool answers.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub tool_call_id: Value,
}

impl AgUiMessage {
    fn text(&self) -> String {
        match &self.content {
            Value::String(text) => text.clone(),
            Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
            _ => String::new(),
        }
    }

    /// As messages of a session are: `{role, content, toolCalls?, toolCallId?}`.
    fn said(&self) -> Value {
        let mut said = json!({"role": self.role, "content": self.text()});
        if let Some(calls) = self.tool_calls.as_array().filter(|calls| !calls.is_empty()) {
            said["toolCalls"] = calls.iter().map(called).collect();
        }
        if self.tool_call_id.is_string() {
            said["toolCallId"] = self.tool_call_id.clone();
        }
        said
    }
}

fn called(call: &Value) -> Value {
    json!({"id": call["id"], "name": call["function"]["name"], "arguments": call["function"]["arguments"]})
}

/// An answer to an interrupt.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResumeEntry {
    pub interrupt_id: String,
    pub status: ResumeStatus,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub payload: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResumeStatus {
    Resolved,
    Cancelled,
}

impl RunAgentInput {
    pub fn ids(&self) -> Result<RunIds, ApiError> {
        for (name, id) in [("threadId", &self.thread_id), ("runId", &self.run_id)] {
            if id.is_empty() || id.chars().count() > ID_CHARACTERS || id.contains('\0') {
                let problem = format!("{name} must have 1 to {ID_CHARACTERS} characters, none of them NUL");
                return Err(ApiError::bad_request(problem));
            }
        }
        Ok(RunIds { thread_id: self.thread_id.clone(), run_id: self.run_id.clone() })
    }

    /// The inputs of the session: the members of `forwardedProps`, and of the conversation `message`, the newest
    /// text of the user, and `messages`, with the calls of tools: their ids are not used again.
    pub fn inputs(&self) -> Value {
        let newest = self.messages.iter().rev().find(|message| message.role == "user");
        let mut inputs = Map::new();
        inputs.insert("message".to_owned(), newest.map(AgUiMessage::text).into());
        inputs.insert("messages".to_owned(), self.messages.iter().map(AgUiMessage::said).collect());
        if !self.state.is_null() {
            inputs.insert("state".to_owned(), self.state.clone());
        }
        for (name, values) in [("tools", &self.tools), ("context", &self.context)] {
            if !values.is_empty() {
                inputs.insert(name.to_owned(), values.clone().into());
            }
        }
        if let Value::Object(props) = &self.forwarded_props {
            inputs.extend(props.clone());
        }
        inputs.into()
    }

    /// The answers, each with the node that waits for it. All are for one session.
    pub fn answers(&self) -> Result<Vec<(InterruptId, Command)>, ApiError> {
        if self.resume.len() > ANSWERS {
            return Err(ApiError::bad_request(format!("resume may have at most {ANSWERS} entries")));
        }
        let answers = self.resume.iter().map(ResumeEntry::answer).collect::<Result<Vec<_>, _>>()?;
        let mut nodes = HashSet::new();
        if let Some((repeated, _)) = answers.iter().find(|(id, _)| !nodes.insert(&id.node_id)) {
            return Err(ApiError::bad_request(format!("resume answers the interrupt {repeated} more than once")));
        }
        let sessions = || answers.iter().map(|(id, _)| id.session_id);
        if sessions().any(|id| Some(id) != sessions().next()) {
            return Err(ApiError::bad_request("resume must answer the interrupts of one run"));
        }
        Ok(answers)
    }
}

impl ResumeEntry {
    fn answer(&self) -> Result<(InterruptId, Command), ApiError> {
        let id = InterruptId::parse(&self.interrupt_id)
            .ok_or_else(|| ApiError::bad_request("interruptId is not one of this server"))?;
        let payload = json!({"review": review(self.status, &self.payload)});
        relive_session::check_json("payload", &payload).map_err(crate::hub::HubError::from)?;
        let command = Command::Signal { node_id: id.node_id.clone(), payload, interrupt_id: None };
        Ok((id, command))
    }
}

/// The decision that an answer stands for: one as `responseSchema` describes it, `{"approved": …}` as approval
/// dialogs send it, or else data with which to go on.
fn review(status: ResumeStatus, payload: &Value) -> Value {
    if status == ResumeStatus::Cancelled {
        return json!({"action": "reject"});
    }
    let approved = payload.as_bool().or_else(|| payload["approved"].as_bool());
    match payload {
        Value::Object(members) if members.get("action").is_some_and(Value::is_string) => payload.clone(),
        _ if approved.is_some() || payload.is_null() => {
            let mut review = json!({"action": if approved.unwrap_or(true) { "approve" } else { "reject" }});
            if payload["comment"].is_string() {
                review["comment"] = payload["comment"].clone();
            }
            review
        }
        _ => json!({"action": "modify", "data": payload}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_decisions() {
        for (payload, expected) in [
            (json!({"action": "modify", "data": 1}), json!({"action": "modify", "data": 1})),
            (json!({"approved": false, "comment": "no"}), json!({"action": "reject", "comment": "no"})),
            (json!({"approved": true}), json!({"action": "approve"})),
            (json!(null), json!({"action": "approve"})),
            (json!(false), json!({"action": "reject"})),
            (json!({"title": "x"}), json!({"action": "modify", "data": {"title": "x"}})),
            (json!("x"), json!({"action": "modify", "data": "x"})),
        ] {
            assert_eq!(review(ResumeStatus::Resolved, &payload), expected, "{payload}");
        }
        assert_eq!(review(ResumeStatus::Cancelled, &json!({"action": "approve"})), json!({"action": "reject"}));
    }

    #[test]
    fn inputs_have_the_newest_question_and_what_was_forwarded() {
        let input: RunAgentInput = serde_json::from_value(json!({
            "threadId": "t", "runId": "r", "unknown": 1, "forwardedProps": {"topic": "x"},
            "messages": [
                {"id": "1", "role": "user", "content": "first"},
                {"id": "2", "role": "assistant", "content": null},
                {"id": "4", "role": "assistant", "toolCalls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                {"id": "5", "role": "tool", "content": "sunny", "toolCallId": "c"},
                {"id": "3", "role": "user", "content": [{"type": "text", "text": "se"}, {"type": "image"}, {"type": "text", "text": "cond"}]},
            ],
        }))
        .expect("an input");
        let inputs = input.inputs();
        assert_eq!((&inputs["message"], &inputs["topic"]), (&json!("second"), &json!("x")));
        assert_eq!(inputs["messages"][1], json!({"role": "assistant", "content": ""}));
        let calls = json!([{"id": "c", "name": "f", "arguments": "{}"}]);
        assert_eq!(inputs["messages"][2], json!({"role": "assistant", "content": "", "toolCalls": calls}));
        assert_eq!(inputs["messages"][3], json!({"role": "tool", "content": "sunny", "toolCallId": "c"}));
        assert!(inputs.get("state").is_none() && inputs.get("tools").is_none(), "{inputs}");
    }
}
