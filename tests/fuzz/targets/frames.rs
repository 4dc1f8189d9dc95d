//! The JSON frames of WebSocket clients, and the frames that answer what cannot be understood.

use relive::fuzzing;
use relive_protocol::{ClientFrame, FromClient as _, ServerFrame};
use relive_session::check_command;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{MIB, Target, assert_short, kind_of, outcome};
use crate::mutate::{bytes, frames::Frame, json};
use crate::random::Random;

pub const TARGET: Target = Target { name: "frames", share: 200, memory: 4 * MIB, change, check };

fn change(one: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut input = if random.one_in(4) { one.to_vec() } else { json::change_text(one, other, random) };
    if random.one_in(3) {
        bytes::change(&mut input, other, random);
    }
    input
}

fn check(input: &[u8]) -> u64 {
    // Others never get so far.
    let Ok(text) = std::str::from_utf8(input) else { return 0 };
    let read = ClientFrame::read(text);
    let kind = match &read {
        Ok(frame) => understood(frame),
        Err(error) => {
            assert_short(&error.to_string());
            answered(text, &error.to_string());
            kind_of(&error.to_string())
        }
    };
    // What a server sends is read by clients just so.
    let as_client = serde_json::from_str::<ServerFrame>(text).is_ok();
    outcome((kind, as_client))
}

/// A frame that was understood is written and read again as the same.
fn understood(frame: &ClientFrame) -> String {
    let mut kind = format!("{frame:?}").chars().take_while(char::is_ascii_alphabetic).collect::<String>();
    if let ClientFrame::Command(command) = frame {
        for command in command.command.iter().chain(command.commands.iter().flatten()) {
            kind += command.kind();
            match check_command(command) {
                Ok(()) => {}
                // Numbers too large for what is kept are infinite until they are refused.
                Err(refusal) => return kind + &kind_of(&refusal.to_string()),
            }
        }
        if command.command.is_none() && command.commands.is_none() {
            kind += "none";
        }
    }
    let text = serde_json::to_string(frame).expect("a frame can be written");
    let again = ClientFrame::read(&text).unwrap_or_else(|error| panic!("{text} is not read again: {error}"));
    assert_eq!(&again, frame);
    kind
}

/// The answer is one whole text frame, and carries the ids.
fn answered(text: &str, problem: &str) {
    let answer = fuzzing::complaint(text, problem);
    let mut bytes = &answer[..];
    let frame = Frame::read(&mut bytes).expect("a frame");
    assert!(bytes.is_empty() && frame.first == 0x81 && frame.mask.is_none(), "not one text frame");
    let answer = std::str::from_utf8(&frame.payload).expect("UTF-8");
    serde_json::from_str::<&RawValue>(answer).expect("JSON");
    assert!(answer.len() <= 3_000 + 6 * problem.len(), "an answer of {} bytes", answer.len());
    let (Ok(Value::Object(said)), Ok(answer)) = (serde_json::from_str(text), serde_json::from_str::<Value>(answer))
    else {
        return;
    };
    for name in ["id", "sessionId"] {
        if let Some(Value::String(id)) = said.get(name)
            && id.len() < 100
            && text.matches(name).count() == 1
        {
            assert_eq!(answer.get(name), said.get(name), "the {name}");
        }
    }
}
