//! The text of a delta or a message, in the many forms of `content` and reasoning.

use serde_json::{Map, Value};

/// Parts within parts that are looked through.
const LEVELS: usize = 8;
/// Names of members with a model's reasoning.
const REASONING: [&str; 4] = ["reasoning_content", "reasoning", "thinking", "reasoning_details"];

/// The texts of a message, by kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Spoken {
    pub text: String,
    pub thinking: String,
    pub refusal: String,
}

/// The texts in `content` and `refusal`.
pub(super) fn spoken(message: &Map<String, Value>) -> Spoken {
    let mut spoken = Spoken::default();
    if let Some(content) = message.get("content") {
        add(content, &mut spoken, LEVELS);
    }
    if let Some(refusal) = message.get("refusal").and_then(Value::as_str) {
        spoken.refusal.push_str(refusal);
    }
    spoken
}

/// The text beside `content`: the first of the names that has one.
pub(super) fn reasoning(message: &Map<String, Value>) -> String {
    let texts = REASONING.into_iter().filter_map(|name| message.get(name));
    texts.map(|value| plain(value, LEVELS)).find(|text| !text.is_empty()).unwrap_or_default()
}

fn add(content: &Value, spoken: &mut Spoken, levels: usize) {
    let Some(levels) = levels.checked_sub(1) else { return };
    match content {
        Value::String(text) => spoken.text.push_str(text),
        Value::Array(parts) => parts.iter().for_each(|part| add(part, spoken, levels)),
        Value::Number(_) | Value::Bool(true) => spoken.text.push_str(&content.to_string()),
        Value::Object(part) => {
            let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
            if kind.contains("thinking") || kind.contains("reasoning") {
                spoken.thinking.push_str(&plain(content, levels));
            } else if kind.contains("refusal") {
                spoken.refusal.push_str(&plain(content, levels));
            } else if kind.contains("text") {
                spoken.text.push_str(&plain(content, levels));
            }
        }
        Value::Null | Value::Bool(false) => {}
    }
}

/// The text in a part of any form.
fn plain(value: &Value, levels: usize) -> String {
    let Some(levels) = levels.checked_sub(1) else { return String::new() };
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(|part| plain(part, levels)).collect(),
        Value::Object(part) => ["text", "thinking", "reasoning", "refusal", "content", "summary", "value"]
            .into_iter()
            .filter_map(|name| part.get(name))
            .map(|inside| plain(inside, levels))
            .find(|text| !text.is_empty())
            .unwrap_or_default(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_speaks_in_many_forms() {
        let of = |message: Value| {
            let message = message.as_object().expect("an object").clone();
            let Spoken { text, thinking, refusal } = spoken(&message);
            (text, if thinking.is_empty() { reasoning(&message) } else { thinking }, refusal)
        };
        let part = |kind: &str, text: &str| json!({"type": kind, "text": text});
        for (message, text, thinking, refusal) in [
            (json!({"content": "a"}), "a", "", ""),
            (json!({"content": null, "role": null}), "", "", ""),
            (json!({"content": [part("text", "a"), part("output_text", "b"), "c"]}), "abc", "", ""),
            (json!({"content": part("text", "a")}), "a", "", ""),
            (json!({"content": [{"type": "text", "text": {"value": "a"}}, {"text": "b"}]}), "ab", "", ""),
            (json!({"content": [{"type": "thinking", "thinking": [part("text", "hm")]}]}), "", "hm", ""),
            (json!({"content": [{"type": "thinking", "thinking": "hm"}, part("text", "a")]}), "a", "hm", ""),
            (
                json!({"content": [{"type": "image_url", "image_url": {}}, {"type": "reference", "ids": [1]}]}),
                "",
                "",
                "",
            ),
            (json!({"content": "a", "reasoning": "hm", "reasoning_content": "hm"}), "a", "hm", ""),
            (json!({"reasoning": null, "thinking": "hm"}), "", "hm", ""),
            (json!({"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}), "", "hm", ""),
            (json!({"refusal": "I will not.", "content": null}), "", "", "I will not."),
            (json!({"content": [{"type": "refusal", "refusal": "No."}]}), "", "", "No."),
        ] {
            assert_eq!(of(message.clone()), (text.into(), thinking.into(), refusal.into()), "{message}");
        }
    }
}
