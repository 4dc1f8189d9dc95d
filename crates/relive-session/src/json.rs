//! JSON values: their sizes and fingerprints, and how absent and `null` differ.

use serde::{Deserialize, Serialize};
use serde_json::Value;

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
