//! Attributes of nodes and log lines: flat objects, as tracing systems have them.

use serde_json::{Map, Value};

use super::json::{bytes, context_entry_bytes, no_nul};
use super::{Refusal, limits};

const FIELD: &str = "attributes";

/// Checks attributes that are to be merged into those of a node: `null` removes an entry.
pub(super) fn check_change(change: &Map<String, Value>) -> Result<(), Refusal> {
    check(change.iter().filter(|(_, value)| !value.is_null()))?;
    change.keys().try_for_each(|key| check_key(key))
}

/// Checks attributes as they are held: texts, numbers and booleans. Their length is checked as earlier versions did,
/// without quotes, colons and commas: what is recorded has to be read.
pub(super) fn check<'a>(entries: impl IntoIterator<Item = (&'a String, &'a Value)>) -> Result<(), Refusal> {
    let mut counted = 0;
    for (key, value) in entries {
        check_key(key)?;
        match value {
            Value::String(text) => no_nul(FIELD, text)?,
            Value::Number(_) | Value::Bool(_) => {}
            Value::Null | Value::Array(_) | Value::Object(_) => {
                let problem = "must be flat, with only texts, numbers and booleans as values";
                return Err(Refusal::Invalid { field: FIELD, problem });
            }
        }
        counted += context_entry_bytes(key, value);
        if counted > limits::ATTRIBUTE_BYTES {
            return Err(Refusal::TooLarge { what: FIELD, limit: limits::ATTRIBUTE_BYTES });
        }
    }
    Ok(())
}

/// Checks that attributes are at most [`limits::ATTRIBUTE_BYTES`] as JSON.
pub(super) fn check_size(attributes: &Map<String, Value>) -> Result<(), Refusal> {
    if bytes(attributes) > limits::ATTRIBUTE_BYTES {
        return Err(Refusal::TooLarge { what: FIELD, limit: limits::ATTRIBUTE_BYTES });
    }
    Ok(())
}

fn check_key(key: &str) -> Result<(), Refusal> {
    if key.is_empty() {
        return Err(Refusal::Invalid { field: FIELD, problem: "must not have an empty key" });
    }
    no_nul(FIELD, key)
}

/// The attributes after a change.
pub(super) fn merged(held: &Map<String, Value>, change: &Map<String, Value>) -> Map<String, Value> {
    let mut next = held.clone();
    for (key, value) in change {
        if value.is_null() {
            next.remove(key);
        } else {
            next.insert(key.clone(), value.clone());
        }
    }
    next
}
