//! Values of attributes, within the limits of a session.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde_json::{Map, Number, Value};

/// Attributes by their names. Of several with the same name the last one counts.
pub(super) type Attributes = Map<String, Value>;

/// Levels of arrays and objects that are kept; what is deeper is left out.
const DEPTH: usize = 32;

pub(super) fn attributes(pairs: Vec<KeyValue>) -> Attributes {
    pairs.into_iter().filter_map(pair).collect()
}

fn pair(KeyValue { key, value, .. }: KeyValue) -> Option<(String, Value)> {
    Some((clean(key), json(value?, DEPTH)?))
}

fn json(AnyValue { value }: AnyValue, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    Some(match value? {
        Any::StringValue(text) => clean(text).into(),
        Any::BoolValue(value) => value.into(),
        Any::IntValue(value) => value.into(),
        // JSON has no words for what is not finite.
        Any::DoubleValue(value) => Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number),
        Any::ArrayValue(array) => array.values.into_iter().filter_map(|value| json(value, depth)).collect(),
        Any::KvlistValue(list) => {
            let entry = |KeyValue { key, value, .. }: KeyValue| Some((clean(key), json(value?, depth)?));
            Value::Object(list.values.into_iter().filter_map(entry).collect())
        }
        Any::BytesValue(bytes) => STANDARD.encode(bytes).into(),
        // Refers to a table that traces do not have.
        Any::StringValueStrindex(_) => return None,
    })
}

/// PostgreSQL keeps no NUL.
pub(super) fn clean(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// A text of at most so many bytes.
pub(super) fn cut(mut text: String, bytes: usize) -> String {
    const MARK: &str = " … (cut off)";
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes.saturating_sub(MARK.len())));
        text.push_str(MARK);
    }
    text
}

/// The text of a value, and of anything else its JSON.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What was sent as a text of JSON, or as it is.
pub(super) fn parsed(value: &Value) -> Value {
    let Some(text) = value.as_str() else { return value.clone() };
    match text.trim_start().as_bytes().first() {
        // A text that is only a number or a word is a text.
        Some(b'{' | b'[') => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        _ => value.clone(),
    }
}

/// As attributes of a node or a log line: flat, with at most this size. Returns how many were left out.
pub(super) fn flat(attributes: Attributes, bytes: usize) -> (Attributes, usize) {
    let mut room = bytes;
    let (mut kept, mut omitted) = (Attributes::new(), 0);
    for (key, value) in attributes {
        let value = match value {
            Value::Array(_) | Value::Object(_) => Value::String(value.to_string()),
            Value::Null => continue,
            flat => flat,
        };
        // As they are counted by the session: as JSON, with quotes, a colon and a comma.
        let size = Value::String(key.clone()).to_string().len() + value.to_string().len() + 4;
        match room.checked_sub(size) {
            Some(rest) if !key.is_empty() => {
                room = rest;
                kept.insert(key, value);
            }
            _ => omitted += 1,
        }
    }
    (kept, omitted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(value: Any) -> Option<Value> {
        json(AnyValue { value: Some(value) }, DEPTH)
    }

    #[test]
    fn every_value_can_be_stored() {
        assert_eq!(of(Any::StringValue("a\0b".to_owned())), Some(json!("a\u{fffd}b")));
        assert_eq!(of(Any::DoubleValue(f64::NAN)), Some(json!("NaN")));
        assert_eq!(of(Any::BytesValue(vec![1, 2, 3])), Some(json!("AQID")));
        let mut deep = Any::BoolValue(true);
        for _ in 0..DEPTH * 2 {
            let values = vec![AnyValue { value: Some(deep) }];
            deep = Any::ArrayValue(opentelemetry_proto::tonic::common::v1::ArrayValue { values });
        }
        let depth = of(deep).expect("an array").to_string().matches('[').count();
        assert_eq!(depth, DEPTH, "what is deeper is left out");
    }

    #[test]
    fn attributes_are_flat_and_fit() {
        let all = json!({"a": [1, 2], "b": null, "c": "x".repeat(100), "d": true, "": 1});
        let (kept, omitted) = flat(all.as_object().expect("an object").clone(), 60);
        assert_eq!((Value::Object(kept), omitted), (json!({"a": "[1,2]", "d": true}), 2));
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("ä".repeat(10), 20), "ä".repeat(10));
        let shorter = cut("ä".repeat(20), 21);
        assert!(shorter.len() <= 21 && shorter.ends_with("(cut off)"), "{shorter}");
        assert_eq!(parsed(&json!("{\"a\":1}")), json!({"a": 1}));
        assert_eq!((parsed(&json!("{no")), parsed(&json!("7"))), (json!("{no"), json!("7")));
    }
}
