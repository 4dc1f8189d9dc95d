//! Creating JSON merge patches (RFC 7396). Clients apply them.

use serde_json::{Map, Value};

/// The new value has an object member that is `null`. A merge patch would express a removal by it,
/// so the change has to be sent in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a null object member cannot be expressed in a merge patch")]
pub struct NotExpressible;

/// The merge patch that turns `from` into `to`, or `None` when they are equal.
///
/// # Errors
///
/// [`NotExpressible`] if the change would set an object member to `null`. Nulls inside arrays
/// do not matter: arrays are replaced as a whole.
pub fn diff(from: &Value, to: &Value) -> Result<Option<Value>, NotExpressible> {
    if from == to {
        return Ok(None);
    }
    let (Value::Object(from), Value::Object(to)) = (from, to) else {
        return whole(to).map(Some);
    };
    let mut patch = Map::new();
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, new) in to {
        let change = match from.get(key) {
            Some(old) => diff(old, new)?,
            None => Some(whole(new)?),
        };
        match change {
            Some(Value::Null) => return Err(NotExpressible),
            Some(change) => drop(patch.insert(key.clone(), change)),
            None => {}
        }
    }
    Ok(Some(Value::Object(patch)))
}

/// `value` as a patch that replaces the old value, unless something in it would be read as a removal.
pub fn whole(value: &Value) -> Result<Value, NotExpressible> {
    fn has_null_member(value: &Value) -> bool {
        value
            .as_object()
            .is_some_and(|members| members.values().any(|member| member.is_null() || has_null_member(member)))
    }
    if has_null_member(value) { Err(NotExpressible) } else { Ok(value.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// The algorithm of RFC 7396, section 2, unchanged.
    fn merge(target: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else {
            *target = patch.clone();
            return;
        };
        if !target.is_object() {
            *target = json!({});
        }
        let Some(members) = target.as_object_mut() else { return };
        for (key, value) in patch {
            if value.is_null() {
                members.remove(key);
            } else {
                merge(members.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..3i64).prop_map(Value::from)];
        leaf.prop_recursive(3, 20, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_patch_leads_from_one_value_to_the_other(from in any_json(), to in any_json()) {
            match diff(&from, &to) {
                Ok(None) => prop_assert_eq!(from, to),
                Ok(Some(patch)) => {
                    let mut patched = from;
                    merge(&mut patched, &patch);
                    prop_assert_eq!(patched, to);
                }
                Err(NotExpressible) => {
                    let mut patched = from;
                    merge(&mut patched, &to);
                    prop_assert_ne!(patched, to);
                }
            }
        }
    }

    #[test]
    fn a_scalar_that_becomes_an_object_is_replaced_whole() {
        assert_eq!(diff(&json!({"a": 1}), &json!({"a": {"b": 2}})), Ok(Some(json!({"a": {"b": 2}}))));
    }
}
