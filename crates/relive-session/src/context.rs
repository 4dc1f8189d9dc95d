//! The context data: a set of entries that engines and viewers share.

use std::sync::Arc;

use serde_json::Value;

use super::json::context_entry_bytes;
use super::{Event, Refusal, Session, limits};

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
