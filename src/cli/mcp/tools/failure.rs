//! Why a run failed, or does not go on.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::bounds::{shorten, shorten_each, shortened};
use relive_client::{Api, ClientError};

/// Nodes that are looked at.
const NODES: usize = 10;
/// Messages of each, and log lines of each from `warn` on.
const TEXTS: usize = 5;
/// Events at the end of the run.
const EVENTS: u64 = 20;
/// Characters of a text in the answer: an input or an output may be long.
const TEXT: usize = 2_000;

/// Gathers what is known.
pub async fn explain(api: &Api, id: &str) -> Result<Value, ClientError> {
    let session = api.get(&["sessions", id], &[]).await?;
    let mut nodes = Vec::new();
    for node in at_fault(&session) {
        nodes.push(detail(api, id, &node).await?);
    }
    let revision = session["revision"].as_u64().unwrap_or_default();
    let query = [("after", revision.saturating_sub(EVENTS).to_string()), ("limit", EVENTS.to_string())];
    let mut last = api.get(&["sessions", id, "events"], &query).await?;
    shorten_each(&mut last, "events", "event", TEXT);
    for event in last["events"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        event.remove("sessionId");
    }
    Ok(json!({
        "sessionId": id,
        "name": session["name"],
        "status": session["status"],
        "isStalled": session["isStalled"],
        "summary": summary(&session, &nodes),
        "error": shortened(&session["error"], TEXT),
        "startedAt": session["startedAt"],
        "completedAt": session["completedAt"],
        "totalTokens": session["totalTokens"],
        "totalCostUsd": session["totalCostUsd"],
        "nodes": nodes,
        "lastEvents": last["events"],
    }))
}

/// A node with its last messages and log lines.
async fn detail(api: &Api, id: &str, node: &str) -> Result<Value, ClientError> {
    let mut detail = api.get(&["sessions", id, "nodes", node], &[]).await?;
    shorten(&mut detail, &["input", "output", "error", "attributes"], TEXT);
    let newest = |more: Option<(&'static str, String)>| {
        let common = [("nodeId", node.to_owned()), ("order", "desc".to_owned()), ("limit", TEXTS.to_string())];
        common.into_iter().chain(more).collect::<Vec<_>>()
    };
    let said = api.get(&["sessions", id, "messages"], &newest(None)).await?;
    let message = |message: &Value| json!({"role": message["role"], "isThinking": message["isThinking"], "content": shortened(&message["content"], TEXT)});
    detail["lastMessages"] = oldest_first(&said["messages"], message);
    let logged = api.get(&["sessions", id, "logs"], &newest(Some(("level", "warn".to_owned())))).await?;
    let line = |line: &Value| json!({"level": line["level"], "at": line["at"], "text": shortened(&line["text"], TEXT)});
    detail["lastLogs"] = oldest_first(&logged["logs"], line);
    Ok(detail)
}

fn oldest_first(page: &Value, shown: impl Fn(&Value) -> Value) -> Value {
    page.as_array().into_iter().flatten().rev().map(shown).collect()
}

/// The nodes that failed; if none did, those that the run waits for. A failure often makes the nodes around it fail,
/// so the innermost come first.
fn at_fault(session: &Value) -> Vec<String> {
    let nodes = session["nodes"].as_object();
    let with = |statuses: &[&str]| -> Vec<(&String, &Value)> {
        let matches = |node: &Value| statuses.contains(&node["status"].as_str().unwrap_or_default());
        nodes.into_iter().flatten().filter(|(_, node)| matches(node)).collect()
    };
    let failed = with(&["failed"]);
    let mut found = if failed.is_empty() { with(&["suspended", "running"]) } else { failed };
    let around: HashSet<&str> = found.iter().filter_map(|(_, node)| node["parentNodeId"].as_str()).collect();
    // Stable: those of one kind keep their order, by the time of their end.
    found.sort_by_key(|(_, node)| node["completedAt"].as_str());
    found.sort_by_key(|(id, _)| around.contains(id.as_str()));
    found.into_iter().map(|(id, _)| id.clone()).take(NODES).collect()
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
    let nodes = nodes.join("; ");
    match (status, nodes.is_empty()) {
        ("completed", true) => "The run completed; it did not fail.".to_owned(),
        ("completed", false) => format!("The run completed, although nodes failed: {nodes}."),
        (status, true) => format!("The run is {status}, and no node has failed or is waited for."),
        (status @ ("failed" | "cancelled"), false) => format!("The run is {status}. Nodes at fault: {nodes}."),
        (status, false) if session["isStalled"] == true => {
            format!("The run is {status}, but its engine has stopped reporting. Nodes: {nodes}.")
        }
        (status, false) => format!("The run is {status}. Nodes that failed or are waited for: {nodes}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_failure_comes_first() {
        let node = |status: &str, parent: Option<&str>, end: &str| json!({"status": status, "parentNodeId": parent, "completedAt": end});
        let session = json!({"nodes": {
            "a": node("failed", None, "2026-01-01T00:00:01Z"),
            "b": node("failed", Some("a"), "2026-01-01T00:00:02Z"),
            "c": node("failed", Some("b"), "2026-01-01T00:00:03Z"),
            "d": node("completed", Some("a"), "2026-01-01T00:00:00Z"),
        }});
        assert_eq!(at_fault(&session), ["c", "a", "b"]);
        let waiting = json!({"nodes": {"a": {"status": "suspended"}, "b": {"status": "completed"}}});
        assert_eq!(at_fault(&waiting), ["a"]);
    }
}
