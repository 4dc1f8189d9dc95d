//! Webhooks: their rows, the outbox of events that they are told of, and deliveries.
//!
//! ```text
//! commit of an event ─▶ webhook_outbox ─▶ webhook_deliveries ─▶ attempts, by the server with the webhook's lease
//! ```

mod body;
mod deliveries;
mod dispatch;
mod leases;
mod outbox;
mod secrets;

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::access::{optional_time, time};
use super::{Constraint, Entity, PageCursor, Storage, StorageError};
use relive_session::{ProjectId, SessionId, Timestamp, Webhook, WebhookFields, WebhookFilter, WebhookType};

pub use deliveries::{AttemptRecord, DueDelivery};
pub use leases::WebhookTarget;
pub(super) use outbox::{noticed, undispatched};

/// Webhooks of a project at most: each event is compared with all of them.
const WEBHOOKS: i64 = 100;

/// What `POST` and `PUT` write.
#[derive(Clone, Copy, Debug)]
pub struct WebhookChange<'a> {
    pub fields: &'a WebhookFields,
    /// The key of the signatures, from then on the only one; `None`: those there are stay.
    pub secret: Option<&'a [u8]>,
}

fn names(types: &[WebhookType]) -> Vec<&'static str> {
    types.iter().map(|kind| kind.as_str()).collect()
}

pub(super) fn read_filter(row: &PgRow) -> sqlx::Result<WebhookFilter> {
    Ok(WebhookFilter {
        group_id: row.try_get("group_id")?,
        workflow_id: row.try_get("workflow_id")?,
        tag: row.try_get("tag")?,
    })
}

pub(super) fn read_types(row: &PgRow) -> sqlx::Result<Vec<WebhookType>> {
    let types: Vec<String> = row.try_get("types")?;
    // A newer version may know more.
    Ok(types.iter().filter_map(|name| WebhookType::parse(name)).collect())
}

impl Entity for Webhook {
    const TABLE: &'static str = "webhooks";

    fn cursor(&self) -> PageCursor {
        PageCursor { created_at: self.created_at, id: self.id }
    }

    fn read(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            fields: WebhookFields {
                url: row.try_get("url")?,
                types: read_types(row)?,
                filter: read_filter(row)?,
                enabled: row.try_get("enabled")?,
            },
            disabled_reason: row.try_get("disabled_reason")?,
            previous_secret_until: previous_secret_until(row)?,
            created_at: time(row, "created_at")?,
            updated_at: time(row, "updated_at")?,
        })
    }
}

/// The latest time at which a secret from before still signs.
fn previous_secret_until(row: &PgRow) -> sqlx::Result<Option<Timestamp>> {
    let until: Vec<DateTime<Utc>> = row.try_get("previous_secrets_until")?;
    let latest = until.into_iter().map(Timestamp::from).max();
    // Those that have ended are removed later.
    Ok(latest.filter(|until| *until > Timestamp::now()))
}

fn session_id(row: &PgRow) -> sqlx::Result<Option<SessionId>> {
    Ok(row.try_get::<Option<Uuid>, _>("session_id")?.map(SessionId))
}

impl Storage {
    /// Stores a webhook.
    ///
    /// # Errors
    ///
    /// [`Constraint::TooManyWebhooks`].
    pub async fn create_webhook(
        &self,
        project: &ProjectId,
        id: Uuid,
        change: WebhookChange<'_>,
        at: Timestamp,
    ) -> Result<Webhook, StorageError> {
        let WebhookFields { url, types, filter, enabled } = change.fields;
        let row = sqlx::query(
            "INSERT INTO webhooks (id, project_id, url, types, group_id, workflow_id, tag, enabled, secret, created_at,
                 updated_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10
             WHERE (SELECT count(*) FROM webhooks WHERE project_id = $2) < $11 RETURNING *",
        )
        .bind(id)
        .bind(project.as_str())
        .bind(url)
        .bind(names(types))
        .bind(filter.group_id)
        .bind(filter.workflow_id)
        .bind(filter.tag.as_deref())
        .bind(enabled)
        .bind(change.secret.unwrap_or_default())
        .bind(at.as_datetime())
        .bind(WEBHOOKS)
        .fetch_optional(&self.pool)
        .await?;
        Ok(Webhook::read(&row.ok_or(Constraint::TooManyWebhooks)?)?)
    }

    /// Replaces a webhook's fields; `None` if the project has no such one.
    pub async fn update_webhook(
        &self,
        project: &ProjectId,
        id: Uuid,
        change: WebhookChange<'_>,
        at: Timestamp,
    ) -> Result<Option<Webhook>, StorageError> {
        let WebhookFields { url, types, filter, enabled } = change.fields;
        let row = sqlx::query(
            "UPDATE webhooks SET url = $3, types = $4, group_id = $5, workflow_id = $6, tag = $7, enabled = $8,
                 secret = COALESCE($9, secret), updated_at = $10,
                 previous_secrets = CASE WHEN $9 IS NULL THEN previous_secrets ELSE '{}' END,
                 previous_secrets_until = CASE WHEN $9 IS NULL THEN previous_secrets_until ELSE '{}' END,
                 disabled_reason = CASE WHEN $8 THEN NULL ELSE disabled_reason END
             WHERE id = $1 AND project_id = $2 RETURNING *",
        )
        .bind(id)
        .bind(project.as_str())
        .bind(url)
        .bind(names(types))
        .bind(filter.group_id)
        .bind(filter.workflow_id)
        .bind(filter.tag.as_deref())
        .bind(enabled)
        .bind(change.secret)
        .bind(at.as_datetime())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.as_ref().map(Webhook::read).transpose()?)
    }

    /// Disables a webhook. What is still to be sent waits until somebody enables it.
    pub async fn disable_webhook(&self, id: Uuid, reason: &str) -> Result<(), StorageError> {
        let sql = "UPDATE webhooks SET enabled = false, disabled_reason = $2 WHERE id = $1 AND enabled";
        sqlx::query(sql).bind(id).bind(reason).execute(&self.pool).await?;
        Ok(())
    }

    /// Disables webhooks for which more than `most` deliveries wait; returns them.
    pub async fn disable_overdue_webhooks(&self, most: u32, reason: &str) -> Result<Vec<Uuid>, StorageError> {
        let disabled = sqlx::query_scalar(
            "UPDATE webhooks SET enabled = false, disabled_reason = $2
             WHERE enabled AND (SELECT count(*) FROM (
                 SELECT FROM webhook_deliveries WHERE webhook_id = webhooks.id AND status = 'pending' LIMIT $1 + 1
             ) AS waiting) > $1
             RETURNING id",
        )
        .bind(i64::from(most))
        .bind(reason)
        .fetch_all(&self.pool)
        .await?;
        Ok(disabled)
    }

    /// Told that the outbox has been filled; see `Storage::outbox_filled`. It holds one permit.
    #[must_use]
    pub fn outbox(&self) -> std::sync::Arc<tokio::sync::Notify> {
        std::sync::Arc::clone(&self.outbox)
    }

    /// Tells the sender of this server that there is something in the outbox.
    pub(super) fn outbox_filled(&self, is_filled: bool) {
        if is_filled {
            self.outbox.notify_one();
        }
    }
}

/// The columns of a delivery that clients are shown.
const DELIVERY: &str = "id, webhook_id, type, session_id, alert_id, revision, status, attempts, created_at,
    last_attempt_at, next_attempt_at, response_status, error, duration_ms";

fn read_delivery(row: &PgRow) -> sqlx::Result<relive_session::Delivery> {
    let status: &str = row.try_get("status")?;
    let status = relive_session::DeliveryStatus::parse(status)
        .ok_or_else(|| sqlx::Error::Decode("an unknown status of a delivery".into()))?;
    let next_attempt_at = optional_time(row, "next_attempt_at")?;
    // One about an alert has a place in the order of that.
    let alert_id: Option<Uuid> = row.try_get("alert_id")?;
    Ok(relive_session::Delivery {
        id: row.try_get("id")?,
        webhook_id: row.try_get("webhook_id")?,
        kind: row.try_get("type")?,
        session_id: session_id(row)?.filter(|_| alert_id.is_none()),
        alert_id,
        revision: row.try_get::<Option<i64>, _>("revision")?.filter(|_| alert_id.is_none()).map(i64::unsigned_abs),
        status,
        attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
        created_at: time(row, "created_at")?,
        last_attempt_at: optional_time(row, "last_attempt_at")?,
        next_attempt_at: next_attempt_at.filter(|_| status == relive_session::DeliveryStatus::Pending),
        response_status: row
            .try_get::<Option<i32>, _>("response_status")?
            .and_then(|status| u16::try_from(status).ok()),
        error: row.try_get("error")?,
        duration_ms: row.try_get::<Option<i64>, _>("duration_ms")?.map(i64::unsigned_abs),
    })
}
