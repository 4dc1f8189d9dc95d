//! Idempotency keys, and what was created under them.
//!
//! A key is claimed before anything is created, together with the id that it will have. So if a claim has no
//! answer, because of a crash or because the request is still running, the thing can be looked up by its id.

use std::time::Duration;

use serde_json::value::RawValue;
use sqlx::Row;
use uuid::Uuid;

use super::{Storage, StorageError};
use relive_session::ProjectId;

/// Rows deleted with one statement.
const PRUNED: i64 = 1_000;

/// A request that creates something, under a key.
#[derive(Clone, Copy, Debug)]
pub struct KeyedRequest<'a> {
    /// Keys of another project are others.
    pub project: &'a ProjectId,
    /// The kind of thing that is created: keys are unique within a scope.
    pub scope: &'static str,
    pub key: &'a str,
    /// A digest of the request.
    pub request: &'a [u8],
}

/// The result of claiming a key.
#[derive(Debug)]
pub enum KeyClaim {
    /// The caller has claimed the key.
    Fresh,
    /// Claimed this long ago and not answered: the request is running, or was abandoned.
    Unanswered {
        made: Uuid,
        age: Duration,
    },
    Answered {
        made: Uuid,
        answer: Box<RawValue>,
    },
    /// The key was used for another request.
    OtherRequest,
}

impl KeyedRequest<'_> {
    /// The scope as it is stored. No project's id has a slash, nor has the name of a kind.
    fn scope(&self) -> String {
        if *self.project == ProjectId::default() {
            self.scope.to_owned()
        } else {
            format!("{}/{}", self.project, self.scope)
        }
    }
}

impl Storage {
    /// Claims a key, for something that will have the id `made`.
    pub async fn claim_key(&self, keyed: KeyedRequest<'_>, made: Uuid) -> Result<KeyClaim, StorageError> {
        let (scope, KeyedRequest { key, request, .. }) = (keyed.scope(), keyed);
        loop {
            let claimed = sqlx::query(
                "INSERT INTO idempotency_keys (scope, key, request, made) VALUES ($1, $2, $3, $4)
                 ON CONFLICT DO NOTHING",
            )
            .bind(&scope)
            .bind(key)
            .bind(request)
            .bind(made)
            .execute(&self.pool)
            .await?;
            if claimed.rows_affected() > 0 {
                return Ok(KeyClaim::Fresh);
            }
            let row = sqlx::query(
                "SELECT request, made, answer::text AS answer,
                        extract(epoch FROM clock_timestamp() - claimed_at)::float8 AS age
                 FROM idempotency_keys WHERE scope = $1 AND key = $2",
            )
            .bind(&scope)
            .bind(key)
            .fetch_optional(&self.pool)
            .await?;
            // Released or pruned in between: claimed again.
            let Some(row) = row else { continue };
            if row.try_get::<&[u8], _>("request")? != request {
                return Ok(KeyClaim::OtherRequest);
            }
            let made = row.try_get("made")?;
            return Ok(if let Some(answer) = row.try_get::<Option<String>, _>("answer")? {
                let answer = RawValue::from_string(answer).map_err(StorageError::Event)?;
                KeyClaim::Answered { made, answer }
            } else {
                let age = Duration::try_from_secs_f64(row.try_get("age")?).unwrap_or_default();
                KeyClaim::Unanswered { made, age }
            });
        }
    }

    /// Stores the answer to a request; later answers are ignored.
    pub async fn answer_key(&self, keyed: KeyedRequest<'_>, made: Uuid, answer: &RawValue) -> Result<(), StorageError> {
        sqlx::query(
            "INSERT INTO idempotency_keys AS held (scope, key, request, made, answer)
             VALUES ($1, $2, $3, $4, $5::text::json)
             ON CONFLICT (scope, key) DO UPDATE SET answer = excluded.answer
             WHERE held.request = excluded.request AND held.answer IS NULL",
        )
        .bind(keyed.scope())
        .bind(keyed.key)
        .bind(keyed.request)
        .bind(made)
        .bind(answer.get())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Releases a key: the request was refused, and may be sent again in another form.
    pub async fn release_key(&self, keyed: KeyedRequest<'_>) -> Result<(), StorageError> {
        let sql = "DELETE FROM idempotency_keys WHERE scope = $1 AND key = $2 AND request = $3 AND answer IS NULL";
        sqlx::query(sql).bind(keyed.scope()).bind(keyed.key).bind(keyed.request).execute(&self.pool).await?;
        Ok(())
    }

    /// Deletes some of the keys that were claimed longer ago than `age`; true if there may be more.
    pub async fn prune_keys(&self, age: Duration) -> Result<bool, StorageError> {
        let deleted = sqlx::query(
            "DELETE FROM idempotency_keys WHERE (scope, key) IN (
                 SELECT scope, key FROM idempotency_keys
                 WHERE claimed_at < now() - make_interval(secs => $1) ORDER BY claimed_at LIMIT $2)",
        )
        .bind(age.as_secs_f64())
        .bind(PRUNED)
        .execute(&self.pool)
        .await?;
        Ok(deleted.rows_affected() >= PRUNED.unsigned_abs())
    }
}
