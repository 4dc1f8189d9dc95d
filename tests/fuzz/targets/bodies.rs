//! The bodies of HTTP requests. The first line names what is read.

use std::fmt::Debug;

use relive_protocol::{
    Commands, ControlRequest, CreateMemory, CreateSession, ForkSession, FromClient, NodeUpdate, ReviewRequest,
    SearchMemories, SignalRequest, TokenChunk,
};
use relive_session::{AgentFields, GroupFields, WorkflowFields, check_command};
use serde::Serialize;

use super::{MIB, Target, assert_short, first_line, kind_of, outcome};
use crate::mutate::{bytes, json};
use crate::random::Random;

pub const TARGET: Target = Target { name: "bodies", share: 150, memory: 4 * MIB, change, check };

const KINDS: [&str; 13] = [
    "commands", "control", "memory", "session", "fork", "node", "review", "search", "signal", "tokens", "agent",
    "group", "workflow",
];

fn change(one: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let ((kind, body), (_, other)) = (first_line(one), first_line(other));
    let kind = if random.one_in(10) { random.pick(&KINDS) } else { kind };
    let mut body = if random.one_in(5) { body.to_vec() } else { json::change_text(body, other, random) };
    if random.one_in(4) {
        bytes::change(&mut body, other, random);
    }
    [kind.as_bytes(), b"\n", &body].concat()
}

fn check(input: &[u8]) -> u64 {
    let (kind, body) = first_line(input);
    let Ok(text) = std::str::from_utf8(body) else { return 0 };
    let came = match kind {
        "commands" => read::<Commands>(text, |commands| {
            let refuse = |command| check_command(command).map_err(|refusal| refusal.to_string());
            match commands {
                Commands::One(command) => refuse(command),
                Commands::Several(commands) => commands.iter().try_for_each(refuse),
            }
        }),
        "control" => read::<ControlRequest>(text, fine),
        "memory" => read::<CreateMemory>(text, |memory| finite(memory.embedding.as_deref())),
        "session" => read::<CreateSession>(text, |session| match &session.graph {
            Some(graph) => graph.validate().map_err(|error| error.to_string()),
            None => Ok(()),
        }),
        "fork" => read::<ForkSession>(text, fine),
        "node" => read::<NodeUpdate>(text, fine),
        "review" => read::<ReviewRequest>(text, fine),
        "search" => read::<SearchMemories>(text, |search| finite(search.embedding.as_deref())),
        "signal" => read::<SignalRequest>(text, fine),
        "tokens" => read::<Vec<TokenChunk>>(text, fine),
        "agent" => read::<AgentFields>(text, fine),
        "group" => read::<GroupFields>(text, fine),
        _ => read::<WorkflowFields>(text, |workflow| workflow.graph.validate().map_err(|error| error.to_string())),
    };
    outcome((kind, came))
}

fn fine<T>(_: &T) -> Result<(), String> {
    Ok(())
}

fn finite(embedding: Option<&[f32]>) -> Result<(), String> {
    let is_finite = embedding.unwrap_or_default().iter().all(|number| number.is_finite());
    if is_finite { Ok(()) } else { Err("infinite".to_owned()) }
}

/// What was read, and is not refused further on, is written and read again as the same.
fn read<T>(text: &str, check: impl Fn(&T) -> Result<(), String>) -> String
where
    T: FromClient + Serialize + PartialEq + Debug,
{
    if let Err(error) = T::read_replacement(text) {
        assert_short(&error.to_string());
    }
    let value = match T::read(text) {
        Ok(value) => value,
        Err(error) => {
            assert_short(&error.to_string());
            return kind_of(&error.to_string());
        }
    };
    if let Err(refusal) = check(&value) {
        assert_short(&refusal);
        return kind_of(&refusal);
    }
    let written = serde_json::to_string(&value).expect("a body can be written");
    let again = T::read(&written).unwrap_or_else(|error| panic!("{written} is not read again: {error}"));
    assert_eq!(again, value);
    "fine".to_owned()
}
