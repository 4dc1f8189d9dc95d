//! Why a run failed, or does not go on.

use serde_json::{Value, json};

use relive_client::{Api, ClientError};

/// Nodes that are looked at.
const NODES: usize = 10;
/// Messages of each.
const MESSAGES: usize = 5;
/// Events at the end of the run.
const EVENTS: u64 = 20;
/// Characters of a text in the answer: an input or an output may be long.
const CHARACTERS: usize = 4_000;

/// Gathers what is known.
pub async fn explain(api: &Api, id: &str) -> Result<Value, ClientError> {
    let session = api.get(&["sessions", id], &[]).await?;
    let mut nodes = Vec::new();
    for node in at_fault(&session) {
        let mut detail = api.get(&["sessions", id, "nodes", &node], &[]).await?;
        for member in ["input", "output"] {
            if let Some(value) = detail.get_mut(member) {
                *value = shortened(value);
            }
        }
        let query = [("nodeId", node), ("order", "desc".to_owned()), ("limit", MESSAGES.to_string())];
        let mut said = api.get(&["sessions", id, "messages"], &query).await?;
        let messages = said["messages"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let message = |message: Value| json!({"role": message["role"], "isThinking": message["isThinking"], "content": shortened(&message["content"])});
        detail["lastMessages"] = messages.into_iter().rev().map(message).collect();
        nodes.push(detail);
    }
    let revision = session["revision"].as_u64().unwrap_or_default();
    let query = [("after", revision.saturating_sub(EVENTS).to_string()), ("limit", EVENTS.to_string())];
    let events = api.get(&["sessions", id, "events"], &query).await?;
    let events = events["events"].as_array().into_iter().flatten();
    let event =
        |event: &Value| json!({"revision": event["revision"], "at": event["at"], "event": shortened(&event["event"])});
    Ok(json!({
        "sessionId": id,
        "status": session["status"],
        "summary": summary(&session, &nodes),
        "error": session["error"],
        "startedAt": session["startedAt"],
        "completedAt": session["completedAt"],
        "totalTokens": session["totalTokens"],
        "totalCostUsd": session["totalCostUsd"],
        "nodes": nodes,
        "lastEvents": events.map(event).collect::<Vec<_>>(),
    }))
}

/// The nodes that failed; if none did, those that the run waits for.
fn at_fault(session: &Value) -> Vec<String> {
    let nodes = session["nodes"].as_object();
    let with = |status: &[&str]| -> Vec<String> {
        let matching =
            nodes.into_iter().flatten().filter(|(_, node)| status.contains(&node["status"].as_str().unwrap_or("")));
        matching.map(|(id, _)| id.clone()).take(NODES).collect()
    };
    let failed = with(&["failed"]);
    if failed.is_empty() { with(&["suspended", "running"]) } else { failed }
}

fn summary(session: &Value, nodes: &[Value]) -> String {
    let status = session["status"].as_str().unwrap_or("unknown");
    let named = |node: &Value| {
        let id = node["id"].as_str().unwrap_or_default();
        match node["error"].as_str() {
            Some(error) => format!("{id} ({error})"),
            None => format!("{id} is {}", node["status"].as_str().unwrap_or("unknown")),
        }
    };
    let nodes: Vec<String> = nodes.iter().map(named).collect();
    match (status, nodes.is_empty()) {
        ("completed", _) => "The run completed; it did not fail.".to_owned(),
        (status, true) => format!("The run is {status}, and no node has failed or is waited for."),
        ("failed" | "cancelled", false) => format!("The run {status}. Nodes: {}.", nodes.join("; ")),
        (status, false) => format!("The run is {status}, and waits for: {}.", nodes.join("; ")),
    }
}

/// A value, or the beginning of its text if it is long.
fn shortened(value: &Value) -> Value {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() <= CHARACTERS {
        return value.clone();
    }
    let kept: String = text.chars().take(CHARACTERS).collect();
    format!("{kept}… (shortened)").into()
}
