//! What many tests send, and what they ask of answers.

use serde_json::{Map, Value, json};

pub fn node(id: &str, status: &str) -> Value {
    json!({"type": "setNodeStatus", "nodeId": id, "status": status})
}

pub fn context(key: &str, value: Value) -> Value {
    json!({"type": "setContext", "key": key, "value": value})
}

/// A graph in which each of these nodes leads to the next.
pub fn chain(nodes: &[&str]) -> Value {
    let node = |(index, id): (usize, &&str)| {
        let next: Vec<&&str> = nodes.get(index + 1).into_iter().collect();
        let mut node = json!({"id": id, "type": "task", "name": format!("Node {id}")});
        if !next.is_empty() {
            node["nextIds"] = json!(next);
        }
        ((*id).to_owned(), node)
    };
    let nodes_by_id: Map<String, Value> = nodes.iter().enumerate().map(node).collect();
    json!({"name": "chain", "nodes": nodes_by_id, "startNodeId": nodes[0]})
}

/// What a merge patch makes of a value, as RFC 7396 spells it.
pub fn merge(target: Value, patch: &Value) -> Value {
    let Value::Object(members) = patch else { return patch.clone() };
    let mut merged = if let Value::Object(held) = target { held } else { Map::new() };
    for (key, value) in members {
        let held = merged.remove(key).unwrap_or_default();
        if !value.is_null() {
            merged.insert(key.clone(), merge(held, value));
        }
    }
    Value::Object(merged)
}

/// Fails when an answer is not one problem document with this code, as the protocol prescribes.
pub fn assert_problem(status: u16, content_type: &str, body: &Value, code: &str) {
    assert_eq!(body["code"], code, "{body}");
    assert_eq!((status, &body["status"]), (status_of(code), &json!(status_of(code))), "{body}");
    assert_eq!(content_type, "application/problem+json");
    assert_eq!(body["type"], "about:blank");
    assert_eq!(body["retryable"], matches!(code, "rate_limited" | "unavailable"));
    for text in ["title", "detail"] {
        assert!(body[text].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    }
    assert_no_internals(&body.to_string());
}

/// The HTTP status that goes with an error code.
fn status_of(code: &str) -> u16 {
    match code {
        "bad_request" => 400,
        "unauthorized" => 401,
        "forbidden" => 403,
        "not_found" => 404,
        "conflict" | "illegal_transition" | "nodes_active" | "not_waiting" | "signal_pending" => 409,
        "revision_conflict" => 412,
        "too_large" => 413,
        "unknown_node" | "invalid_graph" | "idempotency_key_reused" => 422,
        "rate_limited" => 429,
        "unavailable" => 503,
        _ => panic!("no test expects the code {code}"),
    }
}

/// Fails when a text for clients shows the inside of the server.
pub fn assert_no_internals(text: &str) {
    let lower = text.to_ascii_lowercase();
    for word in ["sqlx", "postgres", "sqlstate", ".rs", "relive::", "panicked", "serde_json", "tungstenite", "/tmp/"] {
        assert!(!lower.contains(word), "'{word}' in {text}");
    }
}
