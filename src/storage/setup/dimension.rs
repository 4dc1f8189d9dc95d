//! The dimension of embeddings, which all servers on one database must agree on.
//!
//! Each running server holds a shared advisory lock that names its dimension, from its start on the
//! connection that prepared the schema, and then on the one that listens for notices. A server with another
//! dimension finds the lock and refuses to start. While no other server is running, the setting may change.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sqlx::Executor;
use sqlx::postgres::{PgConnection, Postgres};

use super::SetupError;
use crate::storage::StorageError;

/// The first half of the lock's key: "RLDM" in ASCII. The other half is the dimension.
pub(in crate::storage) const LOCK: i32 = 0x524c_444d;
/// A server that has just ended may still hold its lock for a moment.
const LEAVING: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(50);

/// The server's lock, until the connection for notices holds it.
#[derive(Debug, Default)]
pub(in crate::storage) struct Claim(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    dimension: Option<u32>,
    connection: Option<PgConnection>,
}

impl Claim {
    pub(super) fn keep(&self, dimension: u32, connection: PgConnection) {
        *self.0.lock() = Held { dimension: Some(dimension), connection: Some(connection) };
    }

    /// Takes the lock on a connection that stays open.
    pub async fn move_to(&self, connection: impl Executor<'_, Database = Postgres>) -> sqlx::Result<()> {
        let Some(dimension) = self.0.lock().dimension else { return Ok(()) };
        lock_dimension(connection, dimension).await?;
        self.0.lock().connection = None;
        Ok(())
    }

    pub fn release(&self) {
        self.0.lock().connection = None;
    }
}

async fn lock_dimension(connection: impl Executor<'_, Database = Postgres>, dimension: u32) -> sqlx::Result<()> {
    let key = i32::try_from(dimension).unwrap_or(i32::MAX);
    sqlx::query("SELECT pg_advisory_lock_shared($1, $2)").bind(LOCK).bind(key).execute(connection).await?;
    Ok(())
}

/// Announces the dimension of this server, unless a server with another one is running.
pub(super) async fn claim(connection: &mut PgConnection, dimension: u32) -> Result<(), StorageError> {
    let began = Instant::now();
    loop {
        let others: Option<i64> = sqlx::query_scalar(
            "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
             AND classid::bigint = $1 AND objid::bigint <> $2
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1",
        )
        .bind(i64::from(LOCK))
        .bind(i64::from(dimension))
        .fetch_optional(&mut *connection)
        .await?;
        let Some(others) = others else { break };
        if began.elapsed() > LEAVING {
            return Err(SetupError::Dimension { own: dimension, others }.into());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(lock_dimension(connection, dimension).await?)
}

/// The dimension of a database that a server has prepared before.
pub(super) async fn recorded(connection: impl Executor<'_, Database = Postgres> + Copy) -> sqlx::Result<Option<u32>> {
    let is_there = "SELECT to_regclass('settings') IS NOT NULL";
    if !sqlx::query_scalar::<_, bool>(is_there).fetch_one(connection).await? {
        return Ok(None);
    }
    let sql = "SELECT (value #>> '{}')::bigint FROM settings WHERE name = 'embedding_dimension'";
    let recorded: Option<i64> = sqlx::query_scalar(sql).fetch_optional(connection).await?;
    Ok(recorded.and_then(|dimension| u32::try_from(dimension).ok()))
}

/// Records the dimension.
pub(super) async fn record(connection: &mut PgConnection, dimension: u32) -> Result<(), StorageError> {
    let before: Option<i64> =
        sqlx::query_scalar("SELECT (value #>> '{}')::bigint FROM settings WHERE name = 'embedding_dimension'")
            .fetch_optional(&mut *connection)
            .await?;
    if before == Some(i64::from(dimension)) {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO settings (name, value) VALUES ('embedding_dimension', to_jsonb($1::bigint))
         ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = now()",
    )
    .bind(i64::from(dimension))
    .execute(connection)
    .await?;
    if let Some(before) = before {
        tracing::warn!(before, now = dimension, "the dimension of embeddings has changed");
    }
    Ok(())
}
