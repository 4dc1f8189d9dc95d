//! The context data: a set of entries that engines and viewers share.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::json::context_entry_bytes;
use super::{Event, Refusal, Session, limits, validate};

/// The entries that a `setContext` sets: one, or several.
pub(super) fn entries<'a>(
    key: Option<&'a str>,
    value: Option<&'a Value>,
    values: Option<&'a Map<String, Value>>,
) -> Result<Vec<(&'a str, &'a Value)>, Refusal> {
    match (key, value, values) {
        (Some(key), Some(value), None) => Ok(vec![(key, value)]),
        (None, None, Some(values)) => Ok(values.iter().map(|(key, value)| (key.as_str(), value)).collect()),
        _ => Err(Refusal::Invalid { field: "setContext", problem: "needs either `key` and `value`, or `values`" }),
    }
}

pub(super) fn check(entries: &[(&str, &Value)]) -> Result<(), Refusal> {
    if entries.len() > limits::COMMANDS {
        return Err(Refusal::TooLarge { what: "the number of values", limit: limits::COMMANDS });
    }
    entries.iter().try_for_each(|(key, value)| {
        if key.is_empty() {
            return Err(Refusal::Invalid { field: "key", problem: "must not be empty" });
        }
        validate::name("key", key)?;
        validate::json("value", value)
    })
}

/// An event for each entry that changes.
pub(super) fn set(session: &Session, entries: &[(&str, &Value)]) -> Result<Vec<Event>, Refusal> {
    let (mut bytes, mut events) = (session.context_bytes, Vec::new());
    for (key, value) in entries {
        let held = session.context.get(*key).map(|held| held.value());
        if held.map_or(value.is_null(), |held| **held == **value) {
            continue;
        }
        bytes -= held.map_or(0, |held| context_entry_bytes(key, held));
        bytes += if value.is_null() { 0 } else { context_entry_bytes(key, value) };
        events.push(Event::ContextSet { key: (*key).to_owned(), value: Arc::new((*value).clone()) });
    }
    if !events.is_empty() && bytes > limits::CONTEXT_BYTES {
        return Err(Refusal::TooLarge { what: "the context data", limit: limits::CONTEXT_BYTES });
    }
    Ok(events)
}
