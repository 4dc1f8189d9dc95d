//! Sequences of commands on one session: `{"graph": …, "driver": …, "inputs": …, "commands": […]}`. What is no
//! command is left out; `{"fork": true}` goes on in a fork, `{"wait": n}` lets n milliseconds pass.

use relive_protocol::{Commands, FromClient as _};
use relive_session::Command;
use serde_json::{Value, json};
use uuid::Uuid;

use super::run::{Run, time};
use super::{MIB, Target, kind_of, outcome};
use crate::mutate::json;
use crate::random::Random;

pub const TARGET: Target = Target { name: "commands", share: 40, memory: 24 * MIB, change, check };

/// More would only take time.
const COMMANDS: usize = 80;

fn change(one: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let read = |text| serde_json::from_slice::<Value>(text).unwrap_or_default();
    let (mut value, other) = (read(one), read(other));
    if let Some(commands) = value.get_mut("commands").and_then(Value::as_array_mut) {
        let others = other["commands"].as_array().cloned().unwrap_or_default();
        for _ in 0..random.length(12) {
            let at = random.below(commands.len() + 1);
            match random.below(6) {
                0 if at < commands.len() => drop(commands.remove(at)),
                1 if !others.is_empty() => {
                    let from = random.below(others.len());
                    let to = (from + random.length(10)).min(others.len());
                    commands.splice(at..at, others[from..to].iter().cloned());
                }
                _ => commands.insert(at, any(random)),
            }
        }
        commands.truncate(COMMANDS);
    }
    if random.one_in(2) {
        json::change(&mut value, &other, random);
    }
    json::write(&value)
}

/// A command such as engines send.
fn any(random: &mut Random) -> Value {
    let node = random.pick(&["a", "b", "c", "x", "a#1", "a#2", "b#ü", "a##", "d"]);
    let text = |random: &mut Random| random.pick(&["", "t", "naïve", "a longer text"]);
    match random.below(29) {
        0..=1 => json!({"type": "start"}),
        2 => json!({"type": random.pick(&["pause", "resume", "complete", "hold"])}),
        3 => json!({"type": "resume"}),
        4 => json!({"type": random.pick(&["fail", "stop", "cancel"]), "error": "e"}),
        5..=13 => {
            let status = ["pending", "running", "running", "completed", "failed", "skipped", "suspended"];
            let mut command = json!({"type": "setNodeStatus", "nodeId": node, "status": status[random.below(7)]});
            let fields = [
                ("name", json!(text(random))),
                ("nodeType", json!("step")),
                ("progress", json!([0.0, 0.5, 1.0][random.below(3)])),
                ("error", json!(text(random))),
                ("output", json::odd(random)),
                ("input", json::odd(random)),
                ("nextIds", json!([["b"], ["c"]][random.below(2)])),
                ("retry", json!({"tries": random.below(3), "dueAt": "2026-01-31T08:15:30.250Z"})),
                ("parentNodeId", json!(random.pick(&["a", "b", "x", "y", "a#1", "d"]))),
                ("kind", json!(random.pick(&["agent", "llm", "tool"]))),
                ("attributes", json!({"k": json::odd(random), "l": random.below(3), "m": null})),
                ("startedAt", json!(time(random.below(100_000) as i64))),
                ("completedAt", json!(time(random.below(100_000) as i64))),
            ];
            for (name, value) in fields {
                if random.one_in(4) {
                    command[name] = value;
                }
            }
            command
        }
        14..=15 => json!({"type": "recordUsage", "nodeId": node, "inputTokens": random.next() >> random.below(64),
                     "outputTokens": random.below(100), "costUsd": (0.1_f64).powi(random.below(28) as i32)}),
        16..=18 => json!({"type": "setContext", "key": random.pick(&["k", "l", "m"]), "value": json::odd(random)}),
        19 => json!({"type": "setProposal", "proposal": json::odd(random)}),
        20 => json!({"type": "signal", "nodeId": node, "payload": json::odd(random)}),
        21 => json!({"type": "addMessage", "nodeId": node, "content": text(random), "tokenCount": random.below(9),
                     "toolCalls": [{"id": "c", "name": text(random), "arguments": json::odd(random)}], "contentType": "text/plain"}),
        28 => json!({"type": "addLog", "nodeId": node, "level": random.pick(&["debug", "info", "warn", "error"]),
                     "text": text(random), "attributes": {"k": json::odd(random)}}),
        23 => json!({"type": "setLabels", "name": text(random), "tags": [text(random), "t"],
                     "metadata": {"k": json::odd(random)}}),
        22 => json!({"type": "addMemory", "content": text(random), "embedding": [0.5, 1.0]}),
        25 => json!({"type": "setContext", "values": {"k": json::odd(random), "m": json::odd(random)}}),
        26 => json!({"type": "signal", "nodeId": node, "payload": 1, "interruptId": text(random)}),
        27 => json!({"type": "addNodes", "nodes": {node: {"id": node, "type": "t", "name": text(random),
                     "nextIds": ["b", {"to": node, "label": text(random)}]}}, "edges": [{"from": "a", "to": node}]}),
        _ => [json!({"fork": true}), json!({"wait": random.below(70_000)})][random.below(2)].clone(),
    }
}

fn check(input: &[u8]) -> u64 {
    let Ok(Value::Object(said)) = serde_json::from_slice(input) else { return 0 };
    let graph = said.get("graph").and_then(|graph| serde_json::from_value(graph.clone()).ok());
    let driver = said.get("driver").and_then(|driver| serde_json::from_value(driver.clone()).ok()).unwrap_or_default();
    let graph = graph.filter(|graph: &relive_session::GraphDefinition| graph.validate_for(driver).is_ok());
    let inputs = said.get("inputs").filter(|inputs| relive_session::check_json("inputs", inputs).is_ok());
    let mut run = Run::new(graph, driver, inputs.cloned());
    let (mut at, mut refusals, mut kinds) = (1, 0_u32, Vec::new());
    let steps = said.get("commands").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (number, step) in steps.iter().take(COMMANDS).enumerate() {
        if let Some(wait) = step.get("wait").and_then(Value::as_i64) {
            at += wait.clamp(0, 100_000);
            continue;
        }
        if step.get("fork").is_some() {
            run.check();
            run = run.fork();
            at = at.max(run.session.updated_at.as_millis() - time(0).as_millis());
            continue;
        }
        for mut command in commands(step) {
            at += 1;
            command.assign_ids(|| Uuid::from_u128(number as u128));
            let before = run.session.clone();
            match run.execute(&command, time(at)) {
                Ok(events) => {
                    kinds.push((command.kind(), events));
                    assert!(events > 0 || run.session == before, "a state without an event");
                }
                Err(refusal) => {
                    refusals += 1;
                    super::assert_short(&refusal.to_string());
                    kinds.push((command.kind(), kind_of(&refusal.to_string()).len()));
                    assert!(run.session == before, "a refused command changed something");
                }
            }
        }
    }
    run.check();
    kinds.sort_unstable();
    kinds.dedup();
    outcome((run.session.status.as_str(), run.session.nodes.len().min(8), refusals.min(3), kinds.len() / 3))
}

/// Read as a body is; what no client can send is not a command either.
fn commands(step: &Value) -> Vec<Command> {
    if step["type"] == "hold" {
        return vec![Command::Hold];
    }
    match Commands::read(&step.to_string()) {
        Ok(Commands::One(command)) => vec![*command],
        Ok(Commands::Several(commands)) => commands.into_iter().take(COMMANDS).collect(),
        Err(_) => Vec::new(),
    }
}
