//! Counting runs that no commit of this version has counted, and counting all of them anew.

use std::time::Duration;

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::{COUNTED, lock};
use crate::storage::{Storage, StorageError};

/// Sessions looked at by one transaction: a commit that changes one of them waits for it.
const SESSIONS: i64 = 500;
/// Runs looked at while those of deleted sessions are forgotten.
const FORGOTTEN: i64 = 5_000;
/// How long another server is waited for that adds up.
const OTHERS: Duration = Duration::from_millis(200);

/// What counting anew leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recount {
    /// Sessions looked at.
    pub sessions: u64,
    /// Runs forgotten, since their sessions were deleted.
    pub forgotten: u64,
}

/// What is read next.
enum Place {
    After(Uuid),
    End,
}

async fn place(connection: &mut PgConnection) -> Result<Place, StorageError> {
    let value: Option<Json<Value>> = sqlx::query_scalar("SELECT value FROM settings WHERE name = $1")
        .bind(COUNTED)
        .fetch_optional(connection)
        .await?;
    Ok(match value.map(|Json(value)| value) {
        Some(Value::Bool(true)) => Place::End,
        Some(Value::String(id)) => Place::After(id.parse().unwrap_or_default()),
        _ => Place::After(Uuid::nil()),
    })
}

async fn set_place(connection: &mut PgConnection, value: Value) -> Result<(), StorageError> {
    let sql = "INSERT INTO settings (name, value) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = now()";
    sqlx::query(sql).bind(COUNTED).bind(Json(value)).execute(connection).await?;
    Ok(())
}

async fn next_ids(connection: &mut PgConnection, after: Uuid) -> Result<Vec<Uuid>, StorageError> {
    let sql = "SELECT id FROM sessions WHERE id > $1 ORDER BY id LIMIT $2";
    Ok(sqlx::query_scalar(sql).bind(after).bind(SESSIONS).fetch_all(connection).await?)
}

/// Counts some of the runs that are not counted yet; returns whether there are more, or `None` if another server is
/// doing it. What a commit has counted is newer
/// than what is read here, and stays.
async fn count_some(connection: &mut PgConnection) -> Result<Option<bool>, StorageError> {
    const COUNT: &str = "
        WITH counted AS (
            INSERT INTO ended_runs SELECT * FROM runs_to_count WHERE session_id = ANY($1)
            ON CONFLICT (session_id) DO NOTHING RETURNING project_id, ended_at
        )
        INSERT INTO statistics_changes SELECT project_id, ended_at FROM counted";
    if !lock(&mut *connection).await? {
        return Ok(None);
    }
    let Place::After(after) = place(&mut *connection).await? else { return Ok(Some(false)) };
    let ids = next_ids(&mut *connection, after).await?;
    sqlx::query(COUNT).bind(&ids).execute(&mut *connection).await?;
    let next = ids.last().map_or(Value::Bool(true), |id| Value::String(id.to_string()));
    let has_more = !ids.is_empty();
    set_place(connection, next).await?;
    Ok(Some(has_more))
}

/// Counts sessions anew; returns the last one and how many there were. A session that is being changed is counted by
/// whoever changes it.
async fn recount_some(connection: &mut PgConnection, after: Uuid) -> Result<Option<(Uuid, u64)>, StorageError> {
    const HELD: &str = "SELECT id FROM sessions WHERE id = ANY($1) AND ended_at IS NOT NULL
        ORDER BY id FOR SHARE SKIP LOCKED";
    let ids = next_ids(&mut *connection, after).await?;
    let Some(last) = ids.last().copied() else { return Ok(None) };
    let number = u64::try_from(ids.len()).unwrap_or(u64::MAX);
    let ended: Vec<Uuid> = sqlx::query_scalar(HELD).bind(ids).fetch_all(&mut *connection).await?;
    sqlx::query("SELECT relive_count_runs($1)").bind(ended).execute(connection).await?;
    Ok(Some((last, number)))
}

/// Forgets runs whose sessions were deleted; returns the last run looked at, and how many were forgotten.
async fn forget_some(connection: &mut PgConnection, after: Uuid) -> Result<Option<(Uuid, u64)>, StorageError> {
    const FORGET: &str = "
        WITH gone AS (
            DELETE FROM ended_runs WHERE session_id = ANY($1)
                AND NOT EXISTS (SELECT FROM sessions WHERE id = session_id)
                AND NOT EXISTS (SELECT FROM archived_sessions WHERE id = session_id)
            RETURNING project_id, ended_at
        )
        INSERT INTO statistics_changes SELECT project_id, ended_at FROM gone";
    let ids: Vec<Uuid> =
        sqlx::query_scalar("SELECT session_id FROM ended_runs WHERE session_id > $1 ORDER BY session_id LIMIT $2")
            .bind(after)
            .bind(FORGOTTEN)
            .fetch_all(&mut *connection)
            .await?;
    let Some(last) = ids.last().copied() else { return Ok(None) };
    let forgotten = sqlx::query(FORGET).bind(ids).execute(connection).await?.rows_affected();
    Ok(Some((last, forgotten)))
}

impl Storage {
    /// Counts some of the runs that ended before this version was installed; returns whether there are more, or `None`
    /// if another server is doing it.
    pub async fn count_earlier_runs(&self) -> Result<Option<bool>, StorageError> {
        let mut transaction = self.pool.begin().await?;
        let has_more = transaction.run(async |connection| count_some(connection).await).await?;
        transaction.commit().await?;
        Ok(has_more)
    }

    /// Counts all runs anew and adds up everything, while servers run or not. With `forgets_deleted`, runs whose
    /// sessions were deleted are not counted any more. `progress` is told how many sessions were looked at.
    pub async fn rebuild_statistics(
        &self,
        forgets_deleted: bool,
        mut progress: impl FnMut(u64),
    ) -> Result<Recount, StorageError> {
        let mut recount = Recount::default();
        let mut after = Uuid::nil();
        while let Some((last, number)) = self.in_batch(async |connection| recount_some(connection, after).await).await?
        {
            (after, recount.sessions) = (last, recount.sessions + number);
            progress(recount.sessions);
        }
        let mut after = Uuid::nil();
        while forgets_deleted
            && let Some((last, number)) = self.in_batch(async |connection| forget_some(connection, after).await).await?
        {
            (after, recount.forgotten) = (last, recount.forgotten + number);
        }
        self.in_batch(async |connection| set_place(connection, Value::Bool(true)).await).await?;
        while !self.note_all_statistics().await? {
            tokio::time::sleep(OTHERS).await;
        }
        loop {
            match self.add_up_statistics().await? {
                Some(true) => {}
                Some(false) => break,
                None => tokio::time::sleep(OTHERS).await,
            }
        }
        Ok(recount)
    }

    async fn in_batch<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut transaction = self.pool.begin().await?;
        let done = transaction.run(work).await?;
        transaction.commit().await?;
        Ok(done)
    }
}
