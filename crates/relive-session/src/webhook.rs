//! Webhooks: addresses that are told of events, and what was sent to them.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Event, NodeStatus, Revision, SessionId, Timestamp};

/// What a webhook can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, TS, ToSchema)]
#[ts(export_to = "webhooks.ts")]
pub enum WebhookType {
    #[serde(rename = "session.created")]
    SessionCreated,
    #[serde(rename = "session.started")]
    SessionStarted,
    #[serde(rename = "session.paused")]
    SessionPaused,
    #[serde(rename = "session.completed")]
    SessionCompleted,
    #[serde(rename = "session.failed")]
    SessionFailed,
    #[serde(rename = "session.cancelled")]
    SessionCancelled,
    /// A node has become `failed`. Not sent for nodes that end with their session.
    #[serde(rename = "node.failed")]
    NodeFailed,
    /// A node has become `suspended`: it waits for a signal.
    #[serde(rename = "review.requested")]
    ReviewRequested,
    /// A signal with a `review` was accepted.
    #[serde(rename = "review.answered")]
    ReviewAnswered,
    /// The condition of an alert began to hold.
    #[serde(rename = "alert.raised")]
    AlertRaised,
    /// It holds no longer.
    #[serde(rename = "alert.resolved")]
    AlertResolved,
}

impl WebhookType {
    pub const ALL: [Self; 11] = [
        Self::SessionCreated,
        Self::SessionStarted,
        Self::SessionPaused,
        Self::SessionCompleted,
        Self::SessionFailed,
        Self::SessionCancelled,
        Self::NodeFailed,
        Self::ReviewRequested,
        Self::ReviewAnswered,
        Self::AlertRaised,
        Self::AlertResolved,
    ];

    /// The name on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SessionCreated => "session.created",
            Self::SessionStarted => "session.started",
            Self::SessionPaused => "session.paused",
            Self::SessionCompleted => "session.completed",
            Self::SessionFailed => "session.failed",
            Self::SessionCancelled => "session.cancelled",
            Self::NodeFailed => "node.failed",
            Self::ReviewRequested => "review.requested",
            Self::ReviewAnswered => "review.answered",
            Self::AlertRaised => "alert.raised",
            Self::AlertResolved => "alert.resolved",
        }
    }

    /// The inverse of [`Self::as_str`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// What webhooks are told of an event of a session. For a node that keeps its status, see [`WebhookType::entered_status`].
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        match event {
            Event::Created(_) => Some(Self::SessionCreated),
            Event::Started => Some(Self::SessionStarted),
            Event::Paused { .. } => Some(Self::SessionPaused),
            Event::Completed { .. } => Some(Self::SessionCompleted),
            Event::Failed { .. } => Some(Self::SessionFailed),
            Event::Cancelled { .. } => Some(Self::SessionCancelled),
            Event::NodeStatusChanged { status: NodeStatus::Failed, .. } => Some(Self::NodeFailed),
            Event::NodeStatusChanged { status: NodeStatus::Suspended, .. } => Some(Self::ReviewRequested),
            Event::Signalled { payload, .. } if payload.get("review").is_some() => Some(Self::ReviewAnswered),
            _ => None,
        }
    }

    /// The status that a node has to enter. An event that leaves the node's status as it was is not told of.
    #[must_use]
    pub fn entered_status(self) -> Option<NodeStatus> {
        match self {
            Self::NodeFailed => Some(NodeStatus::Failed),
            Self::ReviewRequested => Some(NodeStatus::Suspended),
            _ => None,
        }
    }
}

/// Which sessions, and which alerts, a webhook is told of. Every given condition must hold; of an alert, its filter must
/// say the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "webhooks.ts", optional_fields)]
pub struct WebhookFilter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<Uuid>,
    /// One that the session had at the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

impl WebhookFilter {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The fields of a webhook that its owner sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "webhooks.ts", optional_fields)]
pub struct WebhookFields {
    pub url: String,
    pub types: Vec<WebhookType>,
    #[serde(default, skip_serializing_if = "WebhookFilter::is_empty")]
    #[ts(as = "Option<WebhookFilter>", optional)]
    #[schema(required = false)]
    pub filter: WebhookFilter,
    /// While it is not enabled, it is told of nothing, and what is still to be sent waits.
    pub enabled: bool,
}

/// What `POST` and `PUT` take: the fields, and the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "webhooks.ts", optional_fields)]
pub struct WriteWebhook {
    /// An http or https address, of at most 2,048 bytes, without user name and password.
    pub url: String,
    /// At least one.
    pub types: Vec<WebhookType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<WebhookFilter>,
    /// Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// `whsec_` and 24 to 64 bytes in base64. Without it, one is made on creation, and those there are stay on
    /// replacement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl WriteWebhook {
    /// The fields without the secret; each type once.
    #[must_use]
    pub fn fields(&self) -> WebhookFields {
        let mut types = self.types.clone();
        types.sort_unstable();
        types.dedup();
        let filter = self.filter.clone().unwrap_or_default();
        WebhookFields { url: self.url.clone(), types, filter, enabled: self.enabled.unwrap_or(true) }
    }
}

/// What `POST /webhooks/{id}/secret/rotate` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "webhooks.ts", optional_fields)]
pub struct RotateWebhookSecret {
    /// `whsec_` and 24 to 64 bytes in base64. Without it, one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// For how many seconds the secrets before it sign too: 0 to 604,800, by default 86,400, which is a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_seconds: Option<u32>,
}

/// A webhook, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "webhooks.ts", optional_fields)]
pub struct Webhook {
    pub id: Uuid,
    #[serde(flatten)]
    pub fields: WebhookFields,
    /// Why the server has disabled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<String>,
    /// While it is to come: deliveries are also signed with a secret from before the last rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret_until: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The answer to `POST /webhooks`, and to a rotation: the only time that the secret is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "webhooks.ts")]
pub struct CreatedWebhook {
    #[serde(flatten)]
    pub webhook: Webhook,
    /// Left out in the answer to a repeated creation with the same `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[ts(as = "Option<String>", optional)]
    pub secret: String,
}

/// What has become of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "webhooks.ts")]
pub enum DeliveryStatus {
    /// It is still to be sent, for the first time or again.
    Pending,
    /// The receiver has answered with a 2xx.
    Delivered,
    /// It is not sent any more.
    Failed,
}

impl DeliveryStatus {
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Failed];

    /// The name on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    /// The inverse of [`Self::as_str`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// What is sent to a webhook of one event, with its last attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "webhooks.ts", optional_fields)]
pub struct Delivery {
    /// The `webhook-id` of every attempt.
    pub id: Uuid,
    pub webhook_id: Uuid,
    /// One of `WebhookType`, or `webhook.test`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Absent for a test, and of an alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The alert that was raised or resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub revision: Option<Revision>,
    pub status: DeliveryStatus,
    pub attempts: u32,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt_at: Option<Timestamp>,
    /// While it is pending: the earliest time of the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// The HTTP status of the last attempt, if it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<u16>,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long the last attempt took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub duration_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_type_is_its_json() {
        for kind in WebhookType::ALL {
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.as_str());
            assert_eq!(WebhookType::parse(kind.as_str()), Some(kind));
        }
        for status in DeliveryStatus::ALL {
            assert_eq!(serde_json::to_value(status).expect("JSON"), status.as_str());
            assert_eq!(DeliveryStatus::parse(status.as_str()), Some(status));
        }
    }

    #[test]
    fn fields_that_are_not_given_have_their_defaults() {
        let json = r#"{"url": "https://example.org", "types": ["node.failed"], "secret": "whsec_x"}"#;
        let written: WriteWebhook = serde_json::from_str(json).expect("a webhook");
        let fields = written.fields();
        assert!(fields.enabled && fields.filter.is_empty());
        assert_eq!(written.secret.as_deref(), Some("whsec_x"));
    }
}
