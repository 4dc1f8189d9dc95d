//! JSON values: their sizes and fingerprints, and how absent and `null` differ.

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::{Refusal, limits};

/// A JSON field that is present is `Some`, even if it is `null`: set to `null` differs from absent.
pub(super) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// A fingerprint of a JSON value that is the same in every process (FNV-1a over its text).
pub(super) fn digest(value: &Value) -> u64 {
    struct Fnv(u64);
    impl std::io::Write for Fnv {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    // Writing a `Value` into a hash that accepts every byte cannot fail.
    let _ = serde_json::to_writer(&mut hash, value);
    hash.0
}

/// Whether two values are the same, as PostgreSQL compares those of `jsonb`: members have no order, and numbers are
/// compared by their decimal digits, so 1 and 1.0 are the same.
#[must_use]
pub fn is_same_json(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => is_same_number(one, other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same_json(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_there = |(key, value)| other.get(key).is_some_and(|other| is_same_json(value, other));
            one.len() == other.len() && one.iter().all(is_there)
        }
        _ => one == other,
    }
}

fn is_same_number(one: &Number, other: &Number) -> bool {
    match (integer(one), integer(other)) {
        (Some(one), Some(other)) => one == other,
        // Two floats; or an integer, and a float that is none or too large to be the same.
        _ => one == other,
    }
}

/// The number if it is an integer. A float is the one that its text is, with which it is stored: not always the one
/// that it would be converted to.
fn integer(number: &Number) -> Option<i128> {
    match number.as_i128() {
        None => number.as_f64().filter(|float| float.fract() == 0.0)?.to_string().parse().ok(),
        integer => integer,
    }
}

/// The size of an entry of the context data: its key and its value as JSON.
pub(super) fn context_entry_bytes(key: &str, value: &Value) -> usize {
    key.len() + bytes(value)
}

/// The length of the JSON text.
pub(super) fn bytes(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Writing JSON values into a counter that accepts every byte cannot fail.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

pub(super) fn no_nul(field: &'static str, value: &str) -> Result<(), Refusal> {
    if value.contains('\0') {
        return Err(Refusal::Invalid { field, problem: "must not contain the character NUL" });
    }
    Ok(())
}

/// Walks a JSON value's texts and keys.
///
/// # Errors
///
/// [`Refusal::Invalid`] for the character NUL, and beyond [`limits::JSON_DEPTH`].
pub fn check(field: &'static str, value: &Value) -> Result<(), Refusal> {
    check_within(field, value, limits::JSON_DEPTH)
}

fn check_within(field: &'static str, value: &Value, levels: usize) -> Result<(), Refusal> {
    let inner = || {
        let problem = "must not be nested more than 100 levels deep";
        levels.checked_sub(1).ok_or(Refusal::Invalid { field, problem })
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        Value::String(string) => no_nul(field, string),
        Value::Array(items) => {
            let levels = inner()?;
            items.iter().try_for_each(|item| check_within(field, item, levels))
        }
        Value::Object(entries) => {
            let levels = inner()?;
            entries.iter().try_for_each(|(key, entry)| {
                no_nul(field, key)?;
                check_within(field, entry, levels)
            })
        }
    }
}
