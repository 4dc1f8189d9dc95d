//! Changes of JSON values: members dropped, doubled and renamed, types changed, extreme numbers, deep nesting,
//! and what only the text of JSON can say.

use serde_json::{Map, Value, json};

use crate::random::Random;

/// Stands for a text that is written as it is, in the place of the quoted one.
const RAW: &str = "\u{e000}raw:";
/// As such a text: what a parsed value cannot be.
const RAW_VALUES: [&str; 16] = [
    "1e999",
    "-1e999",
    "1e-999",
    "-0",
    "-0.0",
    "0.1e1",
    "18446744073709551616",
    "-9223372036854775809",
    "123456789012345678901234567890.123456789",
    "NaN",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"\\u0000\"",
    "{\"a\":1,\"a\":2}",
    "{\"type\":\"start\",\"type\":\"pause\"}",
];
const TEXTS: [&str; 24] = [
    "",
    " ",
    "a",
    "a#1",
    "a#",
    "#",
    "null",
    "\0",
    "\u{1}\u{1f}\u{7f}",
    "\u{202e}x",
    "😀",
    "é\u{301}",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999-12:00",
    "0000-01-01T00:00:00+12:00",
    "2026-01-31T08:15:30.250Z",
    "2016-12-31T23:59:60Z",
    "00000000-0000-0000-0000-000000000000",
    "{00000000-0000-0000-0000-000000000007}",
    "urn:uuid:00000000-0000-0000-0000-000000000007",
    "__proto__",
    "{{ inputs.x }}",
    "{% if",
    "max",
];

/// Changes a few places of a JSON text; a text that is no JSON stays as it is.
pub fn change_text(text: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(text) else { return text.to_vec() };
    let other = serde_json::from_slice(other).unwrap_or(Value::Null);
    change(&mut value, &other, random);
    write(&value)
}

/// The text of a value, with what was put in as text.
pub fn write(value: &Value) -> Vec<u8> {
    let mut text = value.to_string();
    if text.contains(RAW) {
        for (number, raw) in RAW_VALUES.iter().enumerate() {
            text = text.replace(&format!("\"{RAW}{number}\""), raw);
        }
        // Where something came in between.
        text = text.replace(RAW, "");
    }
    text.into_bytes()
}

/// Changes a few places of a value; pieces of `other` come in as well.
pub fn change(value: &mut Value, other: &Value, random: &mut Random) {
    for _ in 0..=random.length(5) {
        let mut left = random.below(size(value));
        let place = find(value, &mut left).expect("a place within");
        change_here(place, other, random);
    }
}

fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(members) => members.values().map(size).sum(),
        _ => 0,
    }
}

/// The value at a place, counted from the outermost.
fn find<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| find(item, left)),
        Value::Object(members) => members.values_mut().find_map(|member| find(member, left)),
        _ => None,
    }
}

/// A piece of a value.
pub fn piece(value: &Value, random: &mut Random) -> Value {
    let mut copy = value.clone();
    let mut left = random.below(size(value));
    find(&mut copy, &mut left).cloned().unwrap_or_default()
}

fn change_here(place: &mut Value, other: &Value, random: &mut Random) {
    match random.below(9) {
        0 => *place = odd(random),
        1 => *place = piece(other, random),
        2 => {
            let (within, levels) = (place.take(), random.length(140));
            *place = nested(within, levels, random.one_in(2));
        }
        _ => match place {
            Value::Array(items) => change_items(items, other, random),
            Value::Object(members) => change_members(members, other, random),
            Value::String(text) => change_letters(text, random),
            Value::Number(_) => *place = number(random),
            Value::Bool(is) => *is = !*is,
            Value::Null => *place = odd(random),
        },
    }
}

fn nested(mut value: Value, levels: usize, as_object: bool) -> Value {
    for _ in 0..levels {
        value = if as_object { json!({ "a": value }) } else { json!([value]) };
    }
    value
}

fn change_items(items: &mut Vec<Value>, other: &Value, random: &mut Random) {
    let at = random.below(items.len());
    match random.below(5) {
        0 if !items.is_empty() => drop(items.remove(at)),
        1 if !items.is_empty() && items.len() < 5_000 => {
            let copy = items[at].clone();
            let times = if random.one_in(50) { 1_100 } else { 1 + random.length(4) };
            items.extend(std::iter::repeat_n(copy, times));
        }
        2 if !items.is_empty() => {
            let to = random.below(items.len());
            items.swap(at, to);
        }
        3 => items.insert(at, piece(other, random)),
        _ => items.push(odd(random)),
    }
}

fn change_members(members: &mut Map<String, Value>, other: &Value, random: &mut Random) {
    let keys: Vec<String> = members.keys().cloned().collect();
    let key = keys.get(random.below(keys.len())).cloned().unwrap_or_default();
    match random.below(6) {
        0 => drop(members.remove(&key)),
        1 => {
            let value = members.remove(&key).unwrap_or_default();
            members.insert(renamed(&key, random), value);
        }
        2 => {
            let value = members.get(&key).cloned().unwrap_or_default();
            members.insert(renamed(&key, random), value);
        }
        3 => {
            if let Value::Object(others) = other
                && let Some((key, value)) = others.iter().nth(random.below(others.len()))
            {
                members.insert(key.clone(), value.clone());
            }
        }
        4 => {
            let with = keys.get(random.below(keys.len())).cloned().unwrap_or_default();
            let (one, two) = (members.remove(&key), members.remove(&with));
            members.extend(two.map(|value| (key.clone(), value)));
            members.extend(one.map(|value| (with, value)));
        }
        _ => drop(members.insert(key, odd(random))),
    }
}

fn renamed(key: &str, random: &mut Random) -> String {
    match random.below(5) {
        0 => key.to_uppercase(),
        1 => key.chars().skip(1).collect(),
        2 => format!("{key}s"),
        3 => TEXTS[random.below(TEXTS.len())].to_owned(),
        _ => key
            .chars()
            .flat_map(|c| if c.is_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] })
            .collect(),
    }
}

fn change_letters(text: &mut String, random: &mut Random) {
    let letters: Vec<char> = text.chars().collect();
    let at = random.below(letters.len() + 1);
    let (before, behind): (String, String) = (letters[..at].iter().collect(), letters[at..].iter().collect());
    *text = match random.below(5) {
        0 => behind,
        1 => before + TEXTS[random.below(TEXTS.len())] + &behind,
        2 => TEXTS[random.below(TEXTS.len())].to_owned(),
        3 => long(random),
        _ => before + &text.clone() + &behind,
    };
}

/// As long as a limit, or a little more or less.
fn long(random: &mut Random) -> String {
    let limits = [128, 256, 1_024, 16 * 1_024];
    let most = if random.one_in(20) { 4 } else { 3 };
    let length = limits[random.below(most)] + random.below(3) - 1;
    ["a", "ü", "\u{1}"][random.below(3)].repeat(length)
}

fn number(random: &mut Random) -> Value {
    match random.below(12) {
        0 => json!(0),
        1 => json!(-1),
        2 => json!(u64::MAX),
        3 => json!(i64::MIN),
        4 => json!(u32::MAX),
        5 => json!(1_000_000_000_000_u64),
        6 => json!(1e308),
        7 => json!(5e-324),
        8 => json!(0.1),
        9 => json!(1u64 << random.below(64)),
        10 => json!(random.below(300)),
        _ => json!(f64::from_bits(random.next())),
    }
}

/// A value that is not what stood there.
pub fn odd(random: &mut Random) -> Value {
    match random.below(10) {
        0 => Value::Null,
        1 => json!(random.one_in(2)),
        2 | 3 => number(random),
        4 => json!([]),
        5 => json!({}),
        6 => json!(TEXTS[random.below(TEXTS.len())]),
        7 => json!(long(random)),
        _ => json!(format!("{RAW}{}", random.below(RAW_VALUES.len()))),
    }
}
