//! What changed between two revisions of one session, as a merge patch on its snapshot.

use imbl::ordmap::DiffItem;
use serde::Serialize;
use serde_json::{Map, Value};

use super::merge_patch::{self, NotExpressible};
use super::{Labels, Session, money};

/// The RFC 7396 patch that turns the snapshot of `base` into the snapshot of `head`.
///
/// The two states share what did not change, so the cost depends on the number of changes between
/// them and not on the size of the graph.
///
/// # Errors
///
/// [`NotExpressible`] if a context value has a new `null` member; send the whole snapshot then.
pub fn patch_between(base: &Session, head: &Session) -> Result<Map<String, Value>, NotExpressible> {
    let mut patch = Map::new();
    changed(&mut patch, "status", &base.status, &head.status);
    changed(&mut patch, "startedAt", &base.started_at, &head.started_at);
    changed(&mut patch, "completedAt", &base.completed_at, &head.completed_at);
    changed(&mut patch, "totalTokens", &base.total_tokens, &head.total_tokens);
    changed(&mut patch, "totalCostUsd", &Usd(base.total_cost_usd), &Usd(head.total_cost_usd));
    changed(&mut patch, "error", &base.error, &head.error);
    changed(&mut patch, "driverSeenAt", &base.driver_seen_at(), &head.driver_seen_at());
    changed(&mut patch, "isStalled", &shown(base.is_stalled()), &shown(head.is_stalled()));
    changed(&mut patch, "parentSessionId", &base.parent(), &head.parent());
    changed(&mut patch, "parentNodeId", &base.parent_node(), &head.parent_node());
    changed(&mut patch, "graphRevision", &base.graph_revision, &head.graph_revision);
    changed_labels(&mut patch, &base.labels, &head.labels)?;
    changed(&mut patch, "updatedAt", &base.updated_at, &head.updated_at);
    changed(&mut patch, "revision", &base.revision, &head.revision);
    if !base.active.ptr_eq(&head.active) {
        changed(&mut patch, "activeNodeIds", &base.active, &head.active);
    }
    insert_members(&mut patch, "nodes", changed_nodes(base, head)?);
    if base.context.is_empty() == head.context.is_empty() {
        insert_members(&mut patch, "contextData", changed_context(base, head)?);
    } else {
        // A snapshot omits an empty `contextData`.
        let whole = if head.context.is_empty() { Value::Null } else { merge_patch::whole(&to_value(&head.context))? };
        patch.insert("contextData".to_owned(), whole);
    }
    Ok(patch)
}

/// As [`patch_between`], for callers that cannot use a snapshot instead: members of context values that
/// are `null` are left out. Also returns whether the patch is exact.
#[must_use]
pub fn nearest_patch(base: &Session, head: &Session) -> (Map<String, Value>, bool) {
    if let Ok(patch) = patch_between(base, head) {
        return (patch, true);
    }
    let said = |session: &Session| {
        let mut snapshot = to_value(&session.snapshot());
        without_null_members(&mut snapshot);
        snapshot
    };
    match merge_patch::diff(&said(base), &said(head)) {
        Ok(Some(Value::Object(patch))) => (patch, false),
        _ => (Map::new(), false),
    }
}

/// Nulls inside arrays stay: an array is replaced whole.
fn without_null_members(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, member| !member.is_null());
        members.values_mut().for_each(without_null_members);
    }
}

#[derive(PartialEq, Serialize)]
struct Usd(#[serde(with = "money::usd")] rust_decimal::Decimal);

fn changed<T: PartialEq + Serialize>(patch: &mut Map<String, Value>, key: &str, base: &T, head: &T) {
    if base != head {
        patch.insert(key.to_owned(), to_value(head));
    }
}

/// A snapshot omits what is false.
fn shown(flag: bool) -> Option<bool> {
    flag.then_some(true)
}

/// A snapshot omits what is empty.
fn changed_labels(patch: &mut Map<String, Value>, base: &Labels, head: &Labels) -> Result<(), NotExpressible> {
    changed(patch, "name", &base.name, &head.name);
    if base.tags != head.tags {
        let tags = if head.tags.is_empty() { Value::Null } else { to_value(&head.tags) };
        patch.insert("tags".to_owned(), tags);
    }
    if head.metadata.is_empty() {
        if !base.metadata.is_empty() {
            patch.insert("metadata".to_owned(), Value::Null);
        }
    } else if let Some(change) = merge_patch::diff(&to_value(&base.metadata), &to_value(&head.metadata))? {
        patch.insert("metadata".to_owned(), change);
    }
    Ok(())
}

fn changed_nodes(base: &Session, head: &Session) -> Result<Map<String, Value>, NotExpressible> {
    let mut nodes = Map::new();
    for item in base.nodes.diff(&head.nodes) {
        match item {
            DiffItem::Add(id, node) => drop(nodes.insert(id.to_string(), to_value(&node.snapshot))),
            DiffItem::Remove(id, _) => drop(nodes.insert(id.to_string(), Value::Null)),
            DiffItem::Update { old: (_, old), new: (id, new) } => {
                if let Some(change) = merge_patch::diff(&to_value(&old.snapshot), &to_value(&new.snapshot))? {
                    nodes.insert(id.to_string(), change);
                }
            }
        }
    }
    Ok(nodes)
}

fn changed_context(base: &Session, head: &Session) -> Result<Map<String, Value>, NotExpressible> {
    let mut context = Map::new();
    for item in base.context.diff(&head.context) {
        match item {
            DiffItem::Add(key, value) => drop(context.insert(key.clone(), merge_patch::whole(value.value())?)),
            DiffItem::Remove(key, _) => drop(context.insert(key.clone(), Value::Null)),
            DiffItem::Update { old: (_, old), new: (key, new) } => {
                if let Some(change) = merge_patch::diff(old.value(), new.value())? {
                    context.insert(key.clone(), change);
                }
            }
        }
    }
    Ok(context)
}

fn insert_members(patch: &mut Map<String, Value>, key: &str, members: Map<String, Value>) {
    if !members.is_empty() {
        patch.insert(key.to_owned(), Value::Object(members));
    }
}

/// Only for types of this crate, whose keys are strings and whose numbers are finite: the
/// two things that can make this fail.
fn to_value<T: Serialize + ?Sized>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
