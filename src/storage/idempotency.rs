//! What was made under which idempotency key.
//!
//! A key is claimed before anything is made, with the id that it will have. So whoever finds a claim
//! without an answer, left by a crash or by a request that is still under way, can look for what was made.

use std::time::Duration;

use serde_json::value::RawValue;
use sqlx::Row;
use uuid::Uuid;

use super::{Storage, StorageError};

/// Rows deleted with one statement.
const PRUNED: i64 = 1_000;

/// A request that makes something, under a key.
#[derive(Clone, Copy, Debug)]
pub struct KeyedRequest<'a> {
    /// What is made: a key counts for one scope.
    pub scope: &'static str,
    pub key: &'a str,
    /// A digest of the request.
    pub request: &'a [u8],
}

/// What became of an attempt to claim a key.
#[derive(Debug)]
pub enum KeyClaim {
    /// The key is the caller's.
    Fresh,
    /// Claimed so long ago, and not answered: under way, or given up.
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

impl Storage {
    /// Claims a key, for something that will have the id `made`.
    ///
    /// # Errors
    ///
    /// When the database is away; so for all the others.
    pub async fn claim_key(&self, keyed: KeyedRequest<'_>, made: Uuid) -> Result<KeyClaim, StorageError> {
        let KeyedRequest { scope, key, request } = keyed;
        loop {
            let claimed = sqlx::query(
                "INSERT INTO idempotency_keys (scope, key, request, made) VALUES ($1, $2, $3, $4)
                 ON CONFLICT DO NOTHING",
            )
            .bind(scope)
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
            .bind(scope)
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

    /// Keeps the answer to a request; the first one counts.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn answer_key(&self, keyed: KeyedRequest<'_>, made: Uuid, answer: &RawValue) -> Result<(), StorageError> {
        sqlx::query(
            "INSERT INTO idempotency_keys AS held (scope, key, request, made, answer)
             VALUES ($1, $2, $3, $4, $5::text::json)
             ON CONFLICT (scope, key) DO UPDATE SET answer = excluded.answer
             WHERE held.request = excluded.request AND held.answer IS NULL",
        )
        .bind(keyed.scope)
        .bind(keyed.key)
        .bind(keyed.request)
        .bind(made)
        .bind(answer.get())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Gives a key back: what was asked under it was refused, and may be asked again in another way.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn release_key(&self, keyed: KeyedRequest<'_>) -> Result<(), StorageError> {
        let sql = "DELETE FROM idempotency_keys WHERE scope = $1 AND key = $2 AND request = $3 AND answer IS NULL";
        sqlx::query(sql).bind(keyed.scope).bind(keyed.key).bind(keyed.request).execute(&self.pool).await?;
        Ok(())
    }

    /// Forgets some of the keys that were claimed longer ago than `age`; true if there may be more.
    ///
    /// # Errors
    ///
    /// When the database is away.
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
