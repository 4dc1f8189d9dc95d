//! Rows of earlier versions are given the columns that lists find them by.
//!
//! In small batches, so that a server that writes a session waits for few rows; and rows that are being written are
//! left out. It does no harm where a row lacks them: `updated_about` is then later than it has to be, and a session
//! without `ended_nodes` is looked through like one that runs.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;
use uuid::Uuid;

use crate::storage::StorageError;

/// Rows of one statement: some five milliseconds.
const ROWS: i64 = 200;
/// The pause after a statement, beside the time that it took.
const PAUSE: Duration = Duration::from_millis(1);

const UPDATE: &str = "
WITH page AS (
    SELECT id, updated_about NOT BETWEEN updated_at - interval '10 minutes' AND updated_at
        OR (ended_at IS NOT NULL AND ended_nodes IS NULL) AS is_old
    FROM sessions WHERE id > $1 ORDER BY id LIMIT $2
), old AS (
    SELECT id FROM sessions WHERE id IN (SELECT id FROM page WHERE is_old) FOR NO KEY UPDATE SKIP LOCKED
), updated AS (
    UPDATE sessions SET updated_about = updated_at,
        ended_nodes = CASE WHEN ended_at IS NOT NULL THEN relive_node_hashes(node_statuses) END
    FROM old WHERE sessions.id = old.id
)
SELECT id FROM page ORDER BY id DESC LIMIT 1";

/// Brings some rows up to date; returns the last one that was looked at.
async fn update_some(connection: &mut PgConnection, after: Uuid) -> Result<Option<Uuid>, StorageError> {
    let last = sqlx::query(UPDATE).bind(after).bind(ROWS).fetch_optional(connection).await?;
    Ok(last.map(|row| row.try_get(0)).transpose()?)
}

/// Brings all rows up to date, as part of the caller's transaction.
pub(super) async fn backfill(connection: &mut PgConnection) -> Result<(), StorageError> {
    let mut after = Uuid::nil();
    while let Some(last) = update_some(&mut *connection, after).await? {
        after = last;
    }
    Ok(())
}

/// Brings all rows up to date beside other work: half of the time is left to that.
pub(super) async fn backfill_gently(connection: &mut PgConnection) -> Result<(), StorageError> {
    let began = Instant::now();
    tracing::info!("bringing the rows of sessions up to date");
    let mut after = Uuid::nil();
    loop {
        let statement = Instant::now();
        let Some(last) = update_some(&mut *connection, after).await? else { break };
        after = last;
        tokio::time::sleep(statement.elapsed() + PAUSE).await;
    }
    tracing::info!(seconds = began.elapsed().as_secs_f64().round(), "the rows of sessions are up to date");
    Ok(())
}
