//! The budget of filling templates: every value is charged before it is created or traversed.
//!
//! Filling runs on one thread from beginning to end, so the meter is the thread's.

use std::cell::Cell;

use minijinja::value::{ObjectRepr, Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// Bytes that a value counts besides its text.
const NODE: usize = 32;
/// Levels of lists and maps in one value.
const DEPTH: usize = 100;
/// Bytes of an intermediate text.
pub(super) const TEXT: usize = 2 * 1024 * 1024;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// Sets the bytes that this thread may use.
pub(super) fn grant(bytes: u64) {
    LEFT.set(bytes);
}

pub(super) fn left() -> u64 {
    LEFT.get()
}

pub(super) fn refuse(why: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}

pub(super) fn charge(bytes: usize) -> Result<(), Error> {
    let left = LEFT.get().checked_sub(bytes as u64);
    LEFT.set(left.unwrap_or_default());
    left.map(drop).ok_or_else(|| refuse("it takes too much memory"))
}

/// Charges for a value with everything in it, as often as it occurs.
pub(super) fn charge_value(value: &Value) -> Result<(), Error> {
    walk(value, DEPTH)
}

/// Charges for a text of this many bytes.
pub(super) fn charge_text(bytes: usize) -> Result<(), Error> {
    if bytes > TEXT {
        return Err(refuse("a text becomes too long"));
    }
    charge(NODE + bytes)
}

/// Charges for the result of an operation. Lazy results are evaluated now: lists that refer to lists could
/// otherwise be traversed for ever.
pub(super) fn evaluate(value: Value) -> Result<Value, Error> {
    let is_lazy = value.as_object().is_some_and(|object| object.repr() == ObjectRepr::Iterable);
    let value = if is_lazy { Value::from(collect(&value)?) } else { value };
    charge_value(&value)?;
    Ok(value)
}

/// The items of a list.
pub(super) fn collect(list: &Value) -> Result<Vec<Value>, Error> {
    let mut items = Vec::new();
    for item in list.try_iter()? {
        charge(NODE)?;
        items.push(item);
    }
    Ok(items)
}

fn walk(value: &Value, depth: usize) -> Result<(), Error> {
    if let Some(text) = value.as_str() {
        return charge_text(text.len());
    }
    if value.kind() == ValueKind::Invalid {
        return Err(Error::new(ErrorKind::InvalidOperation, value.to_string()));
    }
    charge(NODE + value.as_bytes().map_or(0, <[u8]>::len))?;
    let Some(object) = value.as_object() else { return Ok(()) };
    let repr = object.repr();
    if repr == ObjectRepr::Plain {
        return Ok(());
    }
    // Namespaces can change after the check, up to containing themselves.
    if object.type_name().ends_with("Namespace") {
        return Err(refuse("only the attributes of a namespace can be used"));
    }
    let Some(below) = depth.checked_sub(1) else { return Err(refuse("a value is nested too deeply")) };
    for item in value.try_iter()? {
        walk(&item, below)?;
        if repr == ObjectRepr::Map {
            walk(&value.get_item(&item)?, below)?;
        }
    }
    Ok(())
}
