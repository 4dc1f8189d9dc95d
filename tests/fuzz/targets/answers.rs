//! What endpoints of models answer: in whatever pieces it comes, the same is heard; never a secret, never NUL,
//! never more than a message may hold.

use std::sync::LazyLock;

use relive::endpoint::Secrets;
use relive::fuzzing;
use relive::models::{ChatError, ModelReply};
use relive_session::limits;

use super::{MIB, Target, assert_short, kind_of, outcome, pieces};
use crate::mutate::{bytes, json, words};
use crate::random::Random;

pub const TARGET: Target = Target { name: "answers", share: 150, memory: 24 * MIB, change, check };

const SECRET: &str = "sk-secret-1";
const WORDS: [&str; 40] = [
    "data: ",
    "data:",
    "DATA: ",
    "event: error\n",
    "event: message\n",
    "id: 1\n",
    "retry: 3\n",
    ": ping\n",
    "\n\n",
    "\r\n\r\n",
    "\r\r",
    "\n",
    "[DONE]",
    "data: [DONE]\n\n",
    "\u{1e}",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"choices\":[",
    "{\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}",
    "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"}}]}",
    "{\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}",
    "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}",
    "{\"choices\":[{\"message\":{\"content\":\"whole\"},\"finish_reason\":\"length\"}]}",
    "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}}]}",
    "{\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}",
    "{\"error\":{\"message\":\"overloaded\"}}",
    "\"content\":\"",
    "\\ud83d",
    "\\ude00",
    "\\u0000",
    "NaN",
    "-Infinity",
    "1e999",
    "<html>",
    SECRET,
    "sk-sec",
    "ret-1",
];

fn change(one: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut input = match (random.below(4), std::str::from_utf8(one), std::str::from_utf8(other)) {
        (0 | 1, Ok(one), Ok(other)) => words::change(one, other, &WORDS, random).into_bytes(),
        (2, Ok(text), _) => change_events(text, other, random),
        _ => one.to_vec(),
    };
    if random.one_in(3) {
        bytes::change(&mut input, other, random);
    }
    input
}

/// Changes the JSON of single lines.
fn change_events(text: &str, other: &[u8], random: &mut Random) -> Vec<u8> {
    let lines: Vec<&str> = text.split('\n').collect();
    let others: Vec<&[u8]> = other.split(|byte| *byte == b'\n').collect();
    let at = random.below(lines.len());
    let mut changed = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let (field, value) = match line.find('{') {
            Some(at) => line.split_at(at),
            None => ("", *line),
        };
        changed.extend(field.as_bytes());
        if number == at || random.one_in(4) {
            let other = others[random.below(others.len())];
            let from = other.iter().position(|byte| *byte == b'{').unwrap_or_default();
            changed.extend(json::change_text(value.as_bytes(), &other[from..], random));
        } else {
            changed.extend(value.as_bytes());
        }
        changed.push(b'\n');
    }
    changed
}

static SECRETS: LazyLock<Secrets> = LazyLock::new(|| Secrets::new([SECRET]));

fn check(input: &[u8]) -> u64 {
    let (heard, reply) = fuzzing::answer([input], &SECRETS);
    let same = fuzzing::answer(pieces(input), &SECRETS);
    // What nothing comes of need not have been heard to the same point.
    assert_eq!(alike(&reply), alike(&same.1), "it depends on how the bytes come");
    assert_eq!(heard, same.0, "what was heard depends on how the bytes come");
    if input.len() < 2_000 {
        let by_one = fuzzing::answer(input.chunks(1), &SECRETS);
        assert_eq!((&heard, alike(&reply)), (&by_one.0, alike(&by_one.1)), "it depends on how the bytes come");
    }
    for text in [&heard.text, &heard.thinking] {
        may_be_shown(text);
    }
    match reply {
        Ok(reply) => outcome((whole(&reply), heard.text.is_empty(), heard.thinking.is_empty())),
        Err(error) => {
            assert_short(&error.to_string());
            may_be_shown(&error.to_string());
            let kind = std::mem::discriminant(&error);
            let words =
                if matches!(error, ChatError::Said { .. }) { String::new() } else { kind_of(&error.to_string()) };
            outcome((kind, words, heard.text.is_empty()))
        }
    }
}

/// What quotes the beginning of a body that is no answer may quote what came in one piece with its end.
fn alike(reply: &Result<ModelReply, ChatError>) -> Result<ModelReply, ChatError> {
    match reply {
        Err(ChatError::NoAnswer(_)) => Err(ChatError::NoAnswer(String::new())),
        reply => reply.clone(),
    }
}

fn may_be_shown(text: &str) {
    assert!(!text.contains(SECRET), "a secret is shown");
    assert!(!text.contains('\0'), "NUL");
    // Each letter of a half may become three bytes.
    assert!(text.len() <= 2 * limits::CONTENT_BYTES, "{} bytes", text.len());
}

fn whole(reply: &ModelReply) -> String {
    let calls = reply.tool_calls.iter().flat_map(|call| [&call.id, &call.name, &call.arguments]);
    calls.chain([&reply.model]).chain(&reply.refusal).chain(&reply.finish_reason).for_each(|text| may_be_shown(text));
    assert!(reply.model.chars().count() <= 600, "a model's name of {} bytes", reply.model.len());
    let reason = reply.finish_reason.as_deref().unwrap_or_default();
    assert!(reason.chars().count() <= 64, "{reason}");
    let usage = reply.usage.unwrap_or_default();
    assert!(usage.input_tokens.max(usage.output_tokens) <= limits::TOKENS, "{usage:?}");
    let reason = if ["stop", "length", "tool_calls"].contains(&reason) { reason } else { "other" };
    format!("{reason} {} {} {}", reply.tool_calls.len().min(3), reply.refusal.is_some(), reply.usage.is_some())
}
