//! Tool calls of a model, assembled from pieces.

use serde_json::{Map, Value};

use super::ToolCall;
use super::fault::whole;

/// Calls in one answer at most.
const MOST: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
}

#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

impl Calls {
    pub fn are_none(&self) -> bool {
        self.calls.is_empty()
    }

    /// Adds a piece of `tool_calls`, or of the older `function_call`; returns its size in bytes.
    pub fn push(&mut self, piece: &Map<String, Value>) -> usize {
        let inside = ["function", "custom"].into_iter().find_map(|name| piece.get(name)?.as_object()).unwrap_or(piece);
        let text = |from: &Map<String, Value>, name: &str| from.get(name).and_then(Value::as_str).map(str::to_owned);
        let index = piece.get("index").and_then(whole);
        let id = text(piece, "id").filter(|id| !id.is_empty());
        let name = text(inside, "name").filter(|name| !name.is_empty());
        let arguments = ["arguments", "input"].into_iter().find_map(|name| match inside.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            // Some endpoints send them as JSON values rather than as a text.
            value => Some(value.to_string()),
        });
        let bytes = [&id, &name, &arguments].into_iter().flatten().map(String::len).sum();
        let Some(call) = self.call(index, id.as_deref(), name.is_some()) else { return bytes };
        if call.id.is_empty() {
            call.id = id.unwrap_or_default();
        }
        // Some endpoints repeat the name with every piece.
        if let Some(name) = name.filter(|name| *name != call.name) {
            call.name.push_str(&name);
        }
        call.arguments.push_str(&arguments.unwrap_or_default());
        bytes
    }

    /// The call that a piece belongs to: by its index, by its id, or else the last one. A new id begins
    /// another call, whatever the index says.
    fn call(&mut self, index: Option<u64>, id: Option<&str>, is_named: bool) -> Option<&mut Call> {
        let is_other = |call: &Call| id.is_some_and(|id| !call.id.is_empty() && call.id != id);
        let found = match (index, id) {
            (Some(_), _) => self.calls.iter().rposition(|call| call.index == index),
            (None, Some(id)) => self.calls.iter().rposition(|call| call.id == id),
            (None, None) => self.calls.len().checked_sub(1),
        };
        // A name without index and id, as in lists of whole calls, begins another call.
        let begins = index.is_none() && id.is_none() && is_named;
        if let Some(at) = found.filter(|at| !begins && !is_other(&self.calls[*at])) {
            return self.calls.get_mut(at);
        }
        if self.calls.len() >= MOST {
            return None;
        }
        self.calls.push(Call { index, ..Call::default() });
        self.calls.last_mut()
    }

    /// The calls, in the order in which they began.
    pub fn finish(&mut self) -> Vec<ToolCall> {
        let whole = |(at, call): (usize, Call)| {
            let id = if call.id.is_empty() { format!("call_{at}") } else { call.id };
            ToolCall { id, name: call.name, arguments: call.arguments }
        };
        std::mem::take(&mut self.calls).into_iter().enumerate().map(whole).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn calls(pieces: &[Value]) -> Vec<(String, String, String)> {
        let mut calls = Calls::default();
        for piece in pieces {
            calls.push(piece.as_object().expect("an object"));
        }
        calls.finish().into_iter().map(|call| (call.id, call.name, call.arguments)).collect()
    }

    #[test]
    fn pieces_come_together_by_index_by_id_or_by_their_order() {
        let f = |name: &str, arguments: Value| json!({"name": name, "arguments": arguments});
        let own = |id: &str, name: &str, arguments: &str| (id.to_owned(), name.to_owned(), arguments.to_owned());
        let two = vec![own("a", "f", "{\"x\":1}"), own("b", "g", "{}")];
        for pieces in [
            // In parallel, by index.
            vec![
                json!({"index": 0, "id": "a", "function": f("f", json!(""))}),
                json!({"index": 1, "id": "b", "function": {"name": "g"}}),
                json!({"index": 0, "function": {"arguments": "{\"x\""}}),
                json!({"index": "1", "id": "", "function": {"arguments": "{}"}}),
                json!({"index": 0.0, "id": null, "function": {"name": null, "arguments": ":1}"}}),
            ],
            // Every index 0, told apart by their ids; the name repeated.
            vec![
                json!({"index": 0, "id": "a", "function": f("f", json!("{\"x\""))}),
                json!({"index": 0, "id": "a", "function": f("f", json!(":1}"))}),
                json!({"index": 0, "id": "b", "function": f("g", json!("{}"))}),
            ],
            // Whole, without an index, one with its arguments as an object.
            vec![
                json!({"id": "a", "type": "function", "function": f("f", json!({"x": 1}))}),
                json!({"id": "b", "type": "custom", "custom": {"name": "g", "input": "{}"}}),
            ],
        ] {
            assert_eq!(calls(&pieces), two, "{pieces:?}");
        }
        // The older form, streamed.
        assert_eq!(
            calls(&[f("f", Value::Null), json!({"arguments": "{"}), json!({"arguments": "}"})]),
            [own("call_0", "f", "{}")]
        );
        // Whole calls without ids.
        assert_eq!(
            calls(&[json!({"function": f("f", json!("{}"))}), json!({"function": f("g", json!("[]"))})]),
            [own("call_0", "f", "{}"), own("call_1", "g", "[]")]
        );
    }
}
