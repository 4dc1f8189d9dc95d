//! What was said to a model, and what it answered.

use serde_json::Value;

use relive_session::{ContentType, MessageRole, ToolCall, limits};

use super::flattened::{elements, word};
use crate::otlp::span::TraceSpan;
use crate::otlp::values::{Attributes, cut, parsed, text};

/// A message of a span.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::otlp) struct SpanMessage {
    pub role: MessageRole,
    pub text: String,
    pub is_thinking: bool,
    pub tool_calls: Vec<ToolCall>,
    pub tool_call_id: Option<String>,
    pub content_type: Option<ContentType>,
}

/// Messages of one span that are kept, the newest.
const MESSAGES: usize = 100;

/// The answer of a model, and what it was asked that is new: an agent sends the whole conversation with each call,
/// so that what came before the model's last answer has been shown already.
pub(super) fn of(span: &TraceSpan) -> Vec<SpanMessage> {
    let attributes = &span.attributes;
    let mut asked = structured(attributes, "gen_ai.input.messages")
        .or_else(|| details(span, "gen_ai.input.messages"))
        .or_else(|| openinference(attributes, "llm.input_messages"))
        .or_else(|| indexed(attributes, "gen_ai.prompt"))
        .or_else(|| structured(attributes, "gen_ai.prompt"))
        .unwrap_or_else(|| events(span, |name| name != "gen_ai.choice"));
    // With the rest of the beginning of a conversation: every call repeats them.
    asked.splice(0..0, instructions(attributes));
    let mut answered = structured(attributes, "gen_ai.output.messages")
        .or_else(|| details(span, "gen_ai.output.messages"))
        .or_else(|| openinference(attributes, "llm.output_messages"))
        .or_else(|| indexed(attributes, "gen_ai.completion"))
        .or_else(|| structured(attributes, "gen_ai.completion"))
        .unwrap_or_else(|| events(span, |name| name == "gen_ai.choice"));
    let new = asked.iter().rposition(|message| message.role == MessageRole::Agent).map_or(0, |last| last + 1);
    asked.drain(..new);
    // A choice has no role of its own in some conventions.
    answered
        .iter_mut()
        .filter(|message| message.role == MessageRole::User)
        .for_each(|message| message.role = MessageRole::Agent);
    asked.append(&mut answered);
    asked
        .retain(|message| !message.text.is_empty() || !message.tool_calls.is_empty() || message.tool_call_id.is_some());
    asked.split_off(asked.len().saturating_sub(MESSAGES))
}

fn role(word: &str) -> MessageRole {
    match word.to_ascii_lowercase().as_str() {
        "assistant" | "agent" | "ai" | "model" => MessageRole::Agent,
        "system" | "developer" => MessageRole::System,
        "tool" | "function" => MessageRole::Tool,
        _ => MessageRole::User,
    }
}

impl SpanMessage {
    fn new(role: MessageRole, text: String) -> Self {
        let content_type = (role == MessageRole::Tool && is_json(&text)).then_some(ContentType::Json);
        let text = cut(text, limits::CONTENT_BYTES);
        Self { role, text, is_thinking: false, tool_calls: Vec::new(), tool_call_id: None, content_type }
    }

    fn call(&mut self, id: Option<&Value>, name: Option<&Value>, arguments: Option<&Value>) {
        let Some(name) = name.map(text).filter(|name| !name.is_empty()) else { return };
        if self.tool_calls.len() < limits::TOOL_CALLS {
            let number = self.tool_calls.len() + 1;
            let id = id.map(text).filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{number}"));
            let arguments = arguments.map(parsed).unwrap_or_default();
            self.tool_calls.push(ToolCall {
                id: cut(id, limits::NODE_ID_BYTES),
                name: cut(name, limits::NAME_BYTES),
                arguments: if arguments.to_string().len() < limits::CONTENT_BYTES / 8 {
                    arguments
                } else {
                    Value::Null
                },
            });
        }
    }
}

fn is_json(text: &str) -> bool {
    text.starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// `gen_ai.input.messages`: `[{role, parts: [{type, …}]}]`, as a text of JSON or as it is. Older ones have `content`.
fn structured(attributes: &Attributes, name: &str) -> Option<Vec<SpanMessage>> {
    match parsed(attributes.get(name)?) {
        Value::Array(messages) => Some(messages.iter().flat_map(message).collect()),
        Value::String(text) => Some(vec![SpanMessage::new(MessageRole::User, text)]),
        _ => None,
    }
}

/// `gen_ai.system_instructions`: the parts of a message, or a text.
fn instructions(attributes: &Attributes) -> Vec<SpanMessage> {
    let Some(parts) = attributes.get("gen_ai.system_instructions") else { return Vec::new() };
    of_parts("system", &parsed(parts))
}

/// The same, in the event that has the details of a call.
fn details(span: &TraceSpan, name: &str) -> Option<Vec<SpanMessage>> {
    let is_of_call = |event: &&crate::otlp::span::SpanEvent| event.name == "gen_ai.client.inference.operation.details";
    span.events.iter().find(is_of_call).and_then(|event| structured(&event.attributes, name))
}

fn message(message: &Value) -> Vec<SpanMessage> {
    let parts = message.get("parts").or_else(|| message.get("content")).unwrap_or(&Value::Null);
    let mut messages = of_parts(message["role"].as_str().unwrap_or_default(), parts);
    let Some(whole) = messages.last_mut() else { return messages };
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let function = call.get("function").unwrap_or(call);
        whole.call(call.get("id"), function.get("name"), function.get("arguments"));
    }
    if let Some(id) = message.get("tool_call_id").and_then(Value::as_str) {
        whole.tool_call_id = Some(cut(id.to_owned(), limits::NODE_ID_BYTES));
    }
    messages
}

/// What is said in a list of parts, or in a text: the message itself comes last.
fn of_parts(said_by: &str, parts: &Value) -> Vec<SpanMessage> {
    let role = role(said_by);
    let mut whole = SpanMessage::new(role, String::new());
    let mut apart = Vec::new();
    match parts {
        Value::Array(parts) => parts.iter().for_each(|part| add_part(&mut whole, &mut apart, part)),
        Value::Null => {}
        other => whole = SpanMessage::new(role, text(other)),
    }
    apart.push(whole);
    apart
}

/// A part of a message is added to its text and calls, or is a message of its own: thinking, the result of a tool.
fn add_part(whole: &mut SpanMessage, apart: &mut Vec<SpanMessage>, part: &Value) {
    let said = part.get("content").or_else(|| part.get("text")).map(text);
    match part["type"].as_str().unwrap_or("text") {
        "text" => {
            whole.text.push_str(&said.unwrap_or_default());
            whole.text = cut(std::mem::take(&mut whole.text), limits::CONTENT_BYTES);
            if let Some(call) = part.get("toolUse") {
                whole.call(call.get("toolUseId"), call.get("name"), call.get("input"));
            }
        }
        "reasoning" | "thinking" => {
            let thought = SpanMessage::new(whole.role, said.unwrap_or_default());
            apart.push(SpanMessage { is_thinking: true, ..thought });
        }
        "tool_call" | "tool_use" => {
            whole.call(part.get("id"), part.get("name"), part.get("arguments").or_else(|| part.get("input")));
        }
        "tool_call_response" | "tool_result" => {
            let result = part.get("response").or_else(|| part.get("result")).map(text).or(said);
            let mut result = SpanMessage::new(MessageRole::Tool, result.unwrap_or_default());
            result.tool_call_id = part.get("id").map(|id| cut(text(id), limits::NODE_ID_BYTES));
            apart.push(result);
        }
        _ => {}
    }
}

/// `llm.input_messages.0.message.role` of OpenInference.
fn openinference(attributes: &Attributes, name: &str) -> Option<Vec<SpanMessage>> {
    let messages = elements(attributes, name);
    (!messages.is_empty()).then(|| messages.iter().map(openinference_message).collect())
}

fn openinference_message(element: &Attributes) -> SpanMessage {
    let contents = || {
        let parts = elements(element, "message.contents");
        parts.iter().filter_map(|part| word(part, "message_content.text")).collect::<Vec<_>>().join("\n")
    };
    let said = word(element, "message.content").map_or_else(contents, str::to_owned);
    let mut message = SpanMessage::new(role(word(element, "message.role").unwrap_or_default()), said);
    for call in elements(element, "message.tool_calls") {
        let member = |name| call.get(name);
        message.call(member("tool_call.id"), member("tool_call.function.name"), member("tool_call.function.arguments"));
    }
    message.tool_call_id = word(element, "message.tool_call_id").map(|id| cut(id.to_owned(), limits::NODE_ID_BYTES));
    message
}

/// `gen_ai.prompt.0.role` of older instrumentations.
fn indexed(attributes: &Attributes, name: &str) -> Option<Vec<SpanMessage>> {
    let messages = elements(attributes, name);
    let message = |element: &Attributes| {
        let said = element.get("content").map(text).unwrap_or_default();
        let mut message = SpanMessage::new(role(word(element, "role").unwrap_or_default()), said);
        for call in elements(element, "tool_calls") {
            message.call(call.get("id"), call.get("name"), call.get("arguments"));
        }
        message.tool_call_id = word(element, "tool_call_id").map(|id| cut(id.to_owned(), limits::NODE_ID_BYTES));
        message
    };
    (!messages.is_empty()).then(|| messages.iter().map(message).collect())
}

/// `gen_ai.user.message` and the like, events of the conventions before 1.37.
fn events(span: &TraceSpan, is_wanted: impl Fn(&str) -> bool) -> Vec<SpanMessage> {
    let of = |event: &crate::otlp::span::SpanEvent| {
        let word = event.name.strip_prefix("gen_ai.")?;
        let said_by = if word == "choice" { "assistant" } else { word.strip_suffix(".message")? };
        let attributes = &event.attributes;
        let said = ["content", "message", "gen_ai.event.content"].iter().find_map(|name| attributes.get(*name));
        // Some send a text, others the parts of a message as JSON.
        let parts = said.map(parsed).filter(is_parts).or_else(|| said.cloned()).unwrap_or_default();
        let mut messages = of_parts(said_by, &parts);
        if let Some(message) = messages.last_mut() {
            message.tool_call_id = word_of(attributes, "id").filter(|_| message.role == MessageRole::Tool);
        }
        Some(messages)
    };
    span.events.iter().filter(|event| is_wanted(&event.name)).filter_map(of).flatten().collect()
}

fn is_parts(said: &Value) -> bool {
    said.as_array().is_some_and(|parts| !parts.is_empty() && parts.iter().all(Value::is_object))
}

fn word_of(attributes: &Attributes, name: &str) -> Option<String> {
    word(attributes, name).map(|id| cut(id.to_owned(), limits::NODE_ID_BYTES))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn span(attributes: Value) -> TraceSpan {
        TraceSpan {
            id: "1".into(),
            parent: None,
            name: String::new(),
            started_at: None,
            ended_at: None,
            error: None,
            attributes: attributes.as_object().expect("an object").clone(),
            events: Vec::new(),
            resource: Arc::default(),
        }
    }

    fn said(messages: &[SpanMessage]) -> Vec<(MessageRole, &str)> {
        messages.iter().map(|message| (message.role, message.text.as_str())).collect()
    }

    #[test]
    fn only_what_is_new_is_shown_of_what_a_model_was_asked() {
        let asked = json!([
            {"role": "user", "parts": [{"type": "text", "content": "first"}]},
            {"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "add", "arguments": {"a": 1}}]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c", "response": {"sum": 2}}]},
        ]);
        let answered = json!([{"role": "assistant", "finish_reason": "stop", "parts": [
            {"type": "reasoning", "content": "hm"}, {"type": "text", "content": "two"}]}]);
        let messages = of(&span(json!({
            "gen_ai.input.messages": asked.to_string(), "gen_ai.output.messages": answered.to_string(),
        })));
        assert_eq!(
            said(&messages),
            [(MessageRole::Tool, "{\"sum\":2}"), (MessageRole::Agent, "hm"), (MessageRole::Agent, "two")]
        );
        assert_eq!(messages[0].tool_call_id.as_deref(), Some("c"));
        assert_eq!(messages[0].content_type, Some(ContentType::Json));
        assert!(messages[1].is_thinking && !messages[2].is_thinking);
    }

    #[test]
    fn messages_by_each_convention() {
        let call = ToolCall { id: "c".to_owned(), name: "add".to_owned(), arguments: json!({"a": 1}) };
        let openinference = json!({
            "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "ask",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.contents.0.message_content.text": "answer",
            "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "add",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": "{\"a\":1}",
        });
        let indexed = json!({
            "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "ask",
            "gen_ai.completion.0.content": "answer", "gen_ai.completion.0.tool_calls.0.id": "c",
            "gen_ai.completion.0.tool_calls.0.name": "add", "gen_ai.completion.0.tool_calls.0.arguments": "{\"a\":1}",
        });
        let chat = json!({
            "gen_ai.prompt": [{"role": "user", "content": "ask"}],
            "gen_ai.completion": [{"role": "assistant", "content": "answer",
                "tool_calls": [{"id": "c", "function": {"name": "add", "arguments": "{\"a\":1}"}}]}],
        });
        for attributes in [openinference, indexed, chat] {
            let messages = of(&span(attributes.clone()));
            assert_eq!(said(&messages), [(MessageRole::User, "ask"), (MessageRole::Agent, "answer")], "{attributes}");
            assert_eq!(messages[1].tool_calls, std::slice::from_ref(&call), "{attributes}");
        }
    }

    #[test]
    fn long_texts_are_cut_and_not_left_out() {
        let long = "x".repeat(limits::CONTENT_BYTES + 1);
        let answered = json!([{"role": "assistant", "parts": [{"type": "text", "content": long}]}]);
        let messages = of(&span(json!({"gen_ai.output.messages": answered})));
        assert_eq!(messages.len(), 1);
        assert!(messages[0].text.starts_with("xxx") && messages[0].text.ends_with("(cut off)"));
        assert!(messages[0].text.len() <= limits::CONTENT_BYTES);
    }

    #[test]
    fn instructions_are_shown_with_the_beginning_of_a_conversation() {
        let instructions = json!([{"type": "text", "content": "be brief"}]);
        let beginning = json!([{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]);
        for given in [instructions.clone(), json!(instructions.to_string()), json!("be brief")] {
            let messages =
                of(&span(json!({"gen_ai.system_instructions": given, "gen_ai.input.messages": beginning.clone()})));
            assert_eq!(said(&messages), [(MessageRole::System, "be brief"), (MessageRole::User, "hi")], "{given}");
        }
        let later = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "?"},
            {"role": "user", "content": "go"}]);
        let messages = of(&span(json!({"gen_ai.system_instructions": instructions, "gen_ai.input.messages": later})));
        assert_eq!(said(&messages), [(MessageRole::User, "go")]);
    }

    #[test]
    fn events_with_texts_and_with_parts() {
        let event = |name: &str, attributes: Value| crate::otlp::span::SpanEvent {
            name: name.to_owned(),
            at: None,
            attributes: attributes.as_object().expect("an object").clone(),
        };
        let parts = json!([{"text": "four"}, {"toolUse": {"toolUseId": "c", "name": "add", "input": {"a": 1}}}]);
        for (asked, answered) in [
            (json!({"content": "2 + 2"}), json!({"content": "four"})),
            (json!({"content": "[{\"text\": \"2 + 2\"}]"}), json!({"finish_reason": "end_turn", "message": "four"})),
            (json!({"content": [{"text": "2 + 2"}]}), json!({"message": parts.to_string()})),
        ] {
            let mut span = span(json!({}));
            span.events = vec![event("gen_ai.user.message", asked), event("gen_ai.choice", answered.clone())];
            let messages = of(&span);
            assert_eq!(said(&messages), [(MessageRole::User, "2 + 2"), (MessageRole::Agent, "four")], "{answered}");
            assert_eq!(messages[1].tool_calls.len(), usize::from(answered.to_string().contains("toolUse")));
        }
    }

    #[test]
    fn odd_messages_are_left_out() {
        for odd in
            [json!("[{\"role\""), json!([1, null, []]), json!({"role": "user"}), json!([{"parts": 7}]), json!("")]
        {
            let messages = of(&span(json!({"gen_ai.input.messages": odd})));
            assert!(messages.len() <= 1, "{messages:?}");
        }
    }
}
