//! Which server sends the deliveries of which webhook.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use crate::storage::{Storage, StorageError};

/// What the deliveries of a webhook are sent with, as it is now.
#[derive(Clone, Debug)]
pub struct WebhookTarget {
    pub url: String,
    /// The keys of the signatures: the newest, and those before it that still sign.
    pub secrets: Vec<Vec<u8>>,
}

/// The keys that sign now.
const SECRETS: &str = "ARRAY[secret] || ARRAY(
    SELECT p.secret FROM unnest(previous_secrets, previous_secrets_until) AS p (secret, until)
    WHERE p.until > clock_timestamp() ORDER BY p.until DESC) AS secrets";

fn read_target(row: &PgRow) -> sqlx::Result<WebhookTarget> {
    Ok(WebhookTarget { url: row.try_get("url")?, secrets: row.try_get("secrets")? })
}

impl Storage {
    /// Claims up to `limit` webhooks that have something to be sent now and that no other server holds, for `time`;
    /// none of those in `held`.
    pub async fn claim_webhooks(
        &self,
        holder: Uuid,
        held: &[Uuid],
        time: Duration,
        limit: u32,
    ) -> Result<Vec<Uuid>, StorageError> {
        let claimed = sqlx::query_scalar(
            "UPDATE webhooks SET holder = $1, leased_until = clock_timestamp() + make_interval(secs => $3)
             WHERE id = ANY (ARRAY(
                 SELECT id FROM webhooks
                 WHERE enabled AND id <> ALL ($2) AND (holder IS NULL OR leased_until < clock_timestamp())
                     AND EXISTS (SELECT FROM webhook_deliveries WHERE webhook_id = webhooks.id AND status = 'pending'
                                 AND next_attempt_at <= clock_timestamp())
                 ORDER BY leased_until LIMIT $4 FOR UPDATE SKIP LOCKED))
             RETURNING id",
        )
        .bind(holder)
        .bind(held)
        .bind(time.as_secs_f64())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        Ok(claimed)
    }

    /// Renews the lease of a webhook; `None` if this server does not hold it any more, or it is not enabled.
    pub async fn renew_webhook(
        &self,
        holder: Uuid,
        id: Uuid,
        time: Duration,
    ) -> Result<Option<WebhookTarget>, StorageError> {
        let sql = format!(
            "UPDATE webhooks SET leased_until = clock_timestamp() + make_interval(secs => $3)
             WHERE id = $1 AND holder = $2 AND enabled RETURNING url, {SECRETS}"
        );
        let renewed = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(holder).bind(time.as_secs_f64());
        let row = renewed.fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(read_target).transpose()?)
    }

    /// Releases a webhook.
    pub async fn release_webhook(&self, holder: Uuid, id: Uuid) -> Result<(), StorageError> {
        let sql = "UPDATE webhooks SET holder = NULL WHERE id = $1 AND holder = $2";
        sqlx::query(sql).bind(id).bind(holder).execute(&self.pool).await?;
        Ok(())
    }

    /// What a test of a project's webhook is sent with.
    pub async fn webhook_target(
        &self,
        project: &relive_session::ProjectId,
        id: Uuid,
    ) -> Result<Option<WebhookTarget>, StorageError> {
        let sql = format!("SELECT url, {SECRETS} FROM webhooks WHERE id = $1 AND project_id = $2");
        let row = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(project.as_str()).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(read_target).transpose()?)
    }
}
