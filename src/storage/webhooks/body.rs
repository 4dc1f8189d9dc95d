//! What a webhook is sent of an event.

use serde::Serialize;
use serde_json::Value;

use super::outbox::OutboxEvent;
use crate::storage::{Storage, StorageError};
use relive_session::{Event, Node, NodeStateSnapshot, Revision, Session, SessionSummary, Timestamp, WebhookType};

/// The body, in the form of Standard Webhooks.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: WebhookType,
    /// When the event was recorded.
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    /// As the session was at this revision; only the number of its children is newer.
    session: SessionSummary,
    revision: Revision,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a NodeStateSnapshot>,
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<Review>,
}

/// What a review says, without its data: they may be large.
#[derive(Serialize)]
struct Review {
    #[serde(skip_serializing_if = "Value::is_null")]
    action: Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    reviewer: Value,
}

/// The body that is sent of an event, with the state of its session at the event; `None` if the session was deleted.
///
/// # Errors
///
/// If the database is away, or the history is damaged.
pub(super) async fn body_of(storage: &Storage, event: &OutboxEvent) -> Result<Option<(Session, String)>, StorageError> {
    let Some(session) = storage.session_at(event.session_id, event.revision).await? else { return Ok(None) };
    // Another session may be stored under the id.
    if session.updated_at != event.at {
        return Ok(None);
    }
    let review = match event.kind {
        WebhookType::ReviewAnswered => review_of(storage, event).await?,
        _ => None,
    };
    let children = storage.child_counts(&[event.session_id]).await?.into_values().next().unwrap_or_default();
    let node =
        event.node_id.as_ref().and_then(|id| session.nodes.get(id)).map(|node: &std::sync::Arc<Node>| &node.snapshot);
    let data = Data {
        session: SessionSummary { child_count: children, ..session.summary() },
        revision: event.revision,
        node,
        review,
    };
    let body = serde_json::to_string(&Body { kind: event.kind, timestamp: event.at, data });
    let body = body.map_err(StorageError::Event)?;
    Ok(Some((session, body)))
}

async fn review_of(storage: &Storage, event: &OutboxEvent) -> Result<Option<Review>, StorageError> {
    let journal = storage.journal(event.session_id).after(event.revision - 1).up_to(event.revision);
    let Some(recorded) = journal.recorded(1).await?.into_iter().next() else { return Ok(None) };
    let Event::Signalled { payload, .. } = recorded.event else { return Ok(None) };
    let said = |name: &str| payload["review"].get(name).filter(|value| is_short(value)).cloned().unwrap_or_default();
    Ok(Some(Review { action: said("action"), reviewer: said("reviewer") }))
}

fn is_short(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() <= 1_024)
}
