//! The state of a run as AG-UI shows it: the session's snapshot, and JSON patches (RFC 6902) on it.

use serde_json::{Map, Value};

use super::events::PatchOperation;

/// Applies a merge patch (RFC 7396) to `state`, and returns it as a JSON Patch.
pub fn apply(state: &mut Value, patch: Map<String, Value>) -> Vec<PatchOperation> {
    let mut operations = Vec::new();
    merge(state, patch, "", &mut operations);
    operations
}

fn merge(target: &mut Value, patch: Map<String, Value>, above: &str, operations: &mut Vec<PatchOperation>) {
    let Some(members) = target.as_object_mut() else { return };
    for (key, value) in patch {
        let path = format!("{above}/{}", key.replace('~', "~0").replace('/', "~1"));
        match (members.get_mut(&key), value) {
            (Some(_), Value::Null) => {
                members.remove(&key);
                operations.push(PatchOperation::Remove { path });
            }
            (None, Value::Null) => {}
            (Some(held @ Value::Object(_)), Value::Object(patch)) => merge(held, patch, &path, operations),
            (held, value) => {
                let is_new = held.is_none();
                let value = without_null_members(value);
                members.insert(key, value.clone());
                operations.push(if is_new {
                    PatchOperation::Add { path, value }
                } else {
                    PatchOperation::Replace { path, value }
                });
            }
        }
    }
}

/// In a merge patch a null in an object removes the member; in arrays it is a value.
fn without_null_members(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, member)| !member.is_null());
            kept.map(|(key, member)| (key, without_null_members(member))).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_becomes_a_json_patch() {
        let mut state = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": {"f": 1}, "g/~": 0});
        let patch =
            json!({"a": 2, "b": {"c": null, "x": {"y": 1, "z": null}}, "e": [null], "g/~": 1, "n": null, "o": {}});
        let Value::Object(patch) = patch else { unreachable!() };
        let made = serde_json::to_value(apply(&mut state, patch)).expect("JSON");
        assert_eq!(
            made,
            json!([
                {"op": "replace", "path": "/a", "value": 2},
                {"op": "remove", "path": "/b/c"},
                {"op": "add", "path": "/b/x", "value": {"y": 1}},
                {"op": "replace", "path": "/e", "value": [null]},
                {"op": "replace", "path": "/g~1~0", "value": 1},
                {"op": "add", "path": "/o", "value": {}},
            ])
        );
        assert_eq!(state, json!({"a": 2, "b": {"d": 3, "x": {"y": 1}}, "e": [null], "g/~": 1, "o": {}}));
    }
}
