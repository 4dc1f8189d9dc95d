//! Keeps answers short: a run may have ten thousand nodes and inputs of megabytes, and a model reads all it is given.

use serde_json::{Map, Value, json};

use super::arguments::NodeStatusArgument;

/// Characters of an error, of attributes and of a value of the context, within the state of a session.
const DETAIL_CHARACTERS: usize = 1_000;

/// A value, or the beginning of its text if it is long.
pub fn shortened(value: &Value, characters: usize) -> Value {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let length = text.chars().count();
    if length <= characters {
        return value.clone();
    }
    let kept: String = text.chars().take(characters).collect();
    format!("{kept}… (cut: {characters} of {length} characters)").into()
}

/// Shortens these members of an object.
pub fn shorten(object: &mut Value, members: &[&str], characters: usize) {
    for member in members {
        if let Some(value) = object.get_mut(member) {
            *value = shortened(value, characters);
        }
    }
}

/// Shortens a member of each object in an array.
pub fn shorten_each(page: &mut Value, list: &str, member: &str, characters: usize) {
    for item in page.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
        shorten(item, &[member], characters);
    }
}

/// The state of a session with at most so many nodes: those that failed first, then those that wait or run. It says
/// how many nodes are in each status, and how many were left out.
pub fn outline(mut session: Value, statuses: &[NodeStatusArgument], most: usize) -> Value {
    let Some(members) = session.as_object_mut() else { return session };
    let Some(Value::Object(nodes)) = members.remove("nodes") else { return session };
    let mut counts = Map::new();
    for node in nodes.values() {
        let count = counts.entry(status(node)).or_insert_with(|| json!(0));
        *count = json!(count.as_u64().unwrap_or_default() + 1);
    }
    let wanted: Vec<Value> = statuses.iter().filter_map(|status| serde_json::to_value(status).ok()).collect();
    let mut matching: Vec<(String, Value)> =
        nodes.into_iter().filter(|(_, node)| wanted.is_empty() || wanted.contains(&node["status"])).collect();
    // Stable, so nodes of one status keep their order.
    matching.sort_by_key(|(_, node)| urgency(&status(node)));
    let left_out = matching.len().saturating_sub(most);
    matching.truncate(most);
    let cut = |(id, mut node): (String, Value)| {
        shorten(&mut node, &["error", "attributes"], DETAIL_CHARACTERS);
        (id, node)
    };
    members.insert("nodes".to_owned(), Value::Object(matching.into_iter().map(cut).collect()));
    members.insert("nodeCounts".to_owned(), Value::Object(counts));
    members.insert("nodesLeftOut".to_owned(), left_out.into());
    if let Some(active) = members.get_mut("activeNodeIds").and_then(Value::as_array_mut) {
        active.truncate(most);
    }
    if let Some(context) = members.get_mut("contextData").and_then(Value::as_object_mut) {
        for value in context.values_mut() {
            *value = shortened(value, DETAIL_CHARACTERS);
        }
    }
    session
}

fn status(node: &Value) -> String {
    node["status"].as_str().unwrap_or_default().to_owned()
}

fn urgency(status: &str) -> u8 {
    match status {
        "failed" => 0,
        "suspended" => 1,
        "running" => 2,
        "pending" => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters_and_say_so() {
        assert_eq!(shortened(&json!("日本語"), 3), "日本語");
        assert_eq!(shortened(&json!("日本語"), 2), "日本… (cut: 2 of 3 characters)");
        assert_eq!(shortened(&json!({"a": [1, 2]}), 100), json!({"a": [1, 2]}), "what is short stays as it is");
        assert_eq!(shortened(&json!({"a": [1, 2]}), 5), "{\"a\":… (cut: 5 of 11 characters)");
    }

    #[test]
    fn a_large_state_keeps_the_nodes_that_matter() {
        let node = |id: usize| {
            let status = match id {
                7 => "failed",
                8 => "suspended",
                9 => "running",
                _ => "completed",
            };
            (format!("n{id}"), json!({"status": status, "error": "x".repeat(5_000)}))
        };
        let nodes: Map<String, Value> = (0..10_000).map(node).collect();
        let session =
            json!({"nodes": nodes, "contextData": {"k": "y".repeat(5_000)}, "activeNodeIds": ["n8", "n9", "n10"]});
        let outlined = outline(session.clone(), &[], 2);
        let kept: Vec<&str> = outlined["nodes"].as_object().expect("nodes").keys().map(String::as_str).collect();
        assert_eq!((kept, &outlined["nodesLeftOut"]), (vec!["n7", "n8"], &json!(9_998)));
        let counts = json!({"completed": 9_997, "failed": 1, "suspended": 1, "running": 1});
        assert_eq!(outlined["nodeCounts"], counts);
        assert!(outlined.to_string().len() < 5_000, "{}", outlined.to_string().len());
        let running = outline(session, &[NodeStatusArgument::Running], 100);
        let kept: Vec<&str> = running["nodes"].as_object().expect("nodes").keys().map(String::as_str).collect();
        assert_eq!((kept, &running["nodesLeftOut"]), (vec!["n9"], &json!(0)));
    }
}
