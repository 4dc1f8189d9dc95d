//! Lists that are written as many attributes: `llm.input_messages.0.message.role`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::otlp::values::Attributes;

/// Elements of such a list that are read.
const ELEMENTS: usize = 1_000;

/// The elements of the list with this name, each by the rest of its names, in their order.
pub(super) fn elements(attributes: &Attributes, name: &str) -> Vec<Attributes> {
    let mut elements: BTreeMap<usize, Attributes> = BTreeMap::new();
    let below = |key: &str| {
        let (index, rest) = key.strip_prefix(name)?.strip_prefix('.')?.split_once('.')?;
        Some((index.parse::<usize>().ok()?, rest.to_owned()))
    };
    for (key, value) in attributes {
        let Some((index, rest)) = below(key) else { continue };
        if index < ELEMENTS {
            elements.entry(index).or_default().insert(rest, value.clone());
        }
    }
    elements.into_values().collect()
}

/// A text of an element.
pub(super) fn word<'a>(element: &'a Attributes, name: &str) -> Option<&'a str> {
    element.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_put_together_in_order() {
        let flat = json!({"m.10.a": 3, "m.2.a": 2, "m.0.a": 1, "m.0.b.c": "x", "m.x.a": 9, "mm.0.a": 9, "m.5": 9,
            "m.99999999.a": 9});
        let elements = elements(flat.as_object().expect("an object"), "m");
        let values: Vec<_> = elements.iter().map(|element| element["a"].clone()).collect();
        assert_eq!(values, [json!(1), json!(2), json!(3)]);
        assert_eq!(word(&elements[0], "b.c"), Some("x"));
    }
}
