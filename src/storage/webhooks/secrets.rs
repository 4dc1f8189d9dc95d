//! The secrets of webhooks: the one that signs, and those before it, which sign beside it for a while.

use std::time::Duration;

use uuid::Uuid;

use crate::storage::{Constraint, Entity, Storage, StorageError};
use relive_session::{ProjectId, Timestamp, Webhook};

/// Secrets of a webhook that sign besides the newest one, at most: each makes the header longer.
const PREVIOUS_SECRETS: i64 = 5;

impl Storage {
    /// Gives a webhook a new secret. The one before, and those before that, sign beside it for as long as `overlap`, or
    /// less if they would have ended earlier. `None` if the project has no such webhook.
    ///
    /// # Errors
    ///
    /// [`Constraint::TooManySecrets`].
    pub async fn rotate_webhook_secret(
        &self,
        project: &ProjectId,
        id: Uuid,
        secret: &[u8],
        overlap: Duration,
        at: Timestamp,
    ) -> Result<Option<Webhook>, StorageError> {
        let row = sqlx::query(
            "UPDATE webhooks AS w SET secret = $3, updated_at = $4,
                 (previous_secrets, previous_secrets_until) = (
                     SELECT COALESCE(array_agg(p.secret ORDER BY p.until DESC), '{}'),
                         COALESCE(array_agg(p.until ORDER BY p.until DESC), '{}')
                     FROM (
                         SELECT w.secret, now() + make_interval(secs => $5)
                         UNION ALL
                         SELECT each.secret, least(each.until, now() + make_interval(secs => $5))
                         FROM unnest(w.previous_secrets, w.previous_secrets_until) AS each (secret, until)
                     ) AS p (secret, until)
                     WHERE p.until > now())
             WHERE id = $1 AND project_id = $2
                 AND ($5 = 0 OR $6 > (SELECT count(*) FROM unnest(w.previous_secrets_until) AS until WHERE until > now()))
             RETURNING *",
        )
        .bind(id)
        .bind(project.as_str())
        .bind(secret)
        .bind(at.as_datetime())
        .bind(overlap.as_secs_f64())
        .bind(PREVIOUS_SECRETS)
        .fetch_optional(&self.pool)
        .await?;
        match row {
            Some(row) => Ok(Some(Webhook::read(&row)?)),
            None if self.entity::<Webhook>(project, id).await?.is_some() => Err(Constraint::TooManySecrets.into()),
            None => Ok(None),
        }
    }

    /// Forgets the secrets that do not sign any more.
    pub async fn forget_webhook_secrets(&self) -> Result<(), StorageError> {
        sqlx::query(
            "UPDATE webhooks AS w SET (previous_secrets, previous_secrets_until) = (
                 SELECT COALESCE(array_agg(p.secret ORDER BY p.until DESC), '{}'),
                     COALESCE(array_agg(p.until ORDER BY p.until DESC), '{}')
                 FROM unnest(w.previous_secrets, w.previous_secrets_until) AS p (secret, until)
                 WHERE p.until > now())
             WHERE EXISTS (SELECT FROM unnest(w.previous_secrets_until) AS until WHERE until <= now())",
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
