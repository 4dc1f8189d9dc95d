//! JSON of exporters that the types of OTLP do not read as it is: what protobuf's own JSON allows besides, and names of
//! enumerations in place of their numbers.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::{Map, Value};

/// Bytes of a body at most: a value takes many times the bytes that it has in the body.
const LIMIT: usize = 2 * 1024 * 1024;

/// Numbers of 32 bits, which may also come as texts.
const SMALL_NUMBERS: [&str; 4] = ["flags", "droppedAttributesCount", "droppedEventsCount", "droppedLinksCount"];

/// The body with all of that replaced; `None` if it is no JSON, or too large for it.
pub fn normalized(body: &[u8]) -> Option<Value> {
    let mut value = (body.len() <= LIMIT).then(|| serde_json::from_slice(body).ok())??;
    normalize(&mut value);
    Some(value)
}

/// JSON is nested 128 levels deep at most, or it is not read.
fn normalize(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(normalize),
        Value::Object(members) => {
            // A member that is null is one that is not there.
            members.retain(|_, member| !member.is_null());
            name_double(members);
            for (name, member) in members {
                replace_text(name, member);
                normalize(member);
            }
        }
        _ => {}
    }
}

/// JSON has no notation for a few floating-point numbers, so they come as texts. They stay texts.
fn name_double(members: &mut Map<String, Value>) {
    match members.get("doubleValue").and_then(Value::as_str).map(|text| text.parse::<f64>().ok()) {
        Some(Some(number)) if number.is_finite() => {
            members.insert("doubleValue".to_owned(), number.into());
        }
        Some(_) => {
            if let Some(text) = members.remove("doubleValue") {
                members.insert("stringValue".to_owned(), text);
            }
        }
        None => {}
    }
}

fn replace_text(name: &str, member: &mut Value) {
    let Some(text) = member.as_str() else { return };
    let named = match name {
        "kind" => SpanKind::from_str_name(text).map(|kind| kind as i32),
        "code" => StatusCode::from_str_name(text).map(|code| code as i32),
        _ => None,
    };
    let is_number = matches!(name, "kind" | "code") || SMALL_NUMBERS.contains(&name);
    let number = named.map(i64::from).or_else(|| text.parse().ok().filter(|_| is_number));
    if let Some(number) = number {
        *member = number.into();
    }
}
