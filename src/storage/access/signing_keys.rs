//! Secrets that sign access tokens: the newest signs, and the one before is still accepted.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::time;
use crate::storage::{Storage, StorageError};
use relive_session::Timestamp;

/// The advisory lock under which keys are exchanged; "relive" and a letter in ASCII.
const ROTATION_LOCK: i64 = 0x7265_6c69_7674;

/// A secret that signs.
#[derive(Clone)]
pub struct SigningKeyRow {
    /// The `kid` of its tokens.
    pub id: String,
    pub secret: Vec<u8>,
    pub created_at: Timestamp,
}

fn read(row: &PgRow) -> sqlx::Result<SigningKeyRow> {
    Ok(SigningKeyRow { id: row.try_get("id")?, secret: row.try_get("secret")?, created_at: time(row, "created_at")? })
}

const KEYS: &str = "SELECT id, secret, created_at FROM signing_keys ORDER BY number DESC LIMIT 2";

impl Storage {
    /// The keys that are accepted, the newest first: two at most.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKeyRow>, StorageError> {
        let rows = sqlx::query(KEYS).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
    }

    /// Adds a key and removes all but the one before, unless the newest is younger than `before`: of several
    /// servers that try, one succeeds. Returns the keys that are accepted then.
    pub async fn rotate_signing_keys(
        &self,
        id: &str,
        secret: &[u8],
        before: Option<Timestamp>,
    ) -> Result<Vec<SigningKeyRow>, StorageError> {
        let mut transaction = self.pool.begin().await?;
        let rows = transaction
            .run(async |connection| -> sqlx::Result<_> {
                let lock = "SELECT pg_advisory_xact_lock($1)";
                sqlx::query(lock).bind(ROTATION_LOCK).execute(&mut *connection).await?;
                let added = "INSERT INTO signing_keys (id, secret) SELECT $1, $2
                     WHERE NOT EXISTS (SELECT FROM signing_keys WHERE created_at >= $3)";
                let before = before.map(Timestamp::as_datetime);
                sqlx::query(added).bind(id).bind(secret).bind(before).execute(&mut *connection).await?;
                let removed = "DELETE FROM signing_keys WHERE number NOT IN (
                         SELECT number FROM signing_keys ORDER BY number DESC LIMIT 2)";
                sqlx::query(removed).execute(&mut *connection).await?;
                sqlx::query(KEYS).fetch_all(&mut *connection).await
            })
            .await?;
        transaction.commit().await?;
        Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
    }
}
