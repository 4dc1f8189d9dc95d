//! Sessions that were moved to files of the archive (see the migration `0031_archive`).

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{FromRow, QueryBuilder, Row as _};

use super::bigint::bigint;
use super::families::children_of;
use super::session_list::SessionFilter;
use super::sessions::{SessionVersion, Summary};
use super::webhooks::undispatched;
use super::{Page, PageCursor, Storage, StorageError};
use relive_session::{ProjectId, SessionId, SessionSummary, Timestamp};

/// A file of the archive, and how many lines of each kind it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    pub name: String,
    pub bytes: u64,
    /// Of the file as it is stored, in hexadecimal digits.
    pub sha256: String,
    pub events: u64,
    pub messages: u64,
    pub logs: u64,
    pub memories: u64,
}

/// An archived session as it was, and its file.
#[derive(Clone, Debug, PartialEq)]
pub struct ArchivedRow {
    pub summary: SessionSummary,
    pub archived_at: Timestamp,
    pub file: StoredFile,
}

/// A session that this server is to archive. No other server is given it meanwhile.
#[derive(Clone, Debug)]
pub struct ArchiveClaim {
    pub session_id: SessionId,
    pub file_name: String,
    /// The session's memories: they change without a new revision.
    memories: String,
}

/// The memories of a session in short: how many there are, and a sum over their ids. A memory never changes.
const MEMORIES: &str = "SELECT format('%s %s', count(*), COALESCE(sum(hashtextextended(id::text, 0)::numeric), 0))
    FROM memories WHERE session_id = $1";

const SELECT_ARCHIVED: &str =
    "SELECT id, workflow_id, workflow_name, group_id, status, started_at, ended_at, created_at,
    updated_at, revision, total_tokens, total_cost_usd, error, node_counts, project_id, name, tags, metadata,
    incarnation, driver_seen_at, is_stalled, parent_session_id, parent_node_id, children, archived_at, file_name,
    file_bytes, file_sha256, events, messages, logs, memories FROM archived_sessions";

impl FromRow<'_, PgRow> for ArchivedRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let number = |column: &str| -> sqlx::Result<u64> { Ok(row.try_get::<i64, _>(column)?.unsigned_abs()) };
        let Summary(summary) = Summary::from_row(row)?;
        Ok(Self {
            summary,
            archived_at: row.try_get::<DateTime<Utc>, _>("archived_at")?.into(),
            file: StoredFile {
                name: row.try_get("file_name")?,
                bytes: number("file_bytes")?,
                sha256: row.try_get("file_sha256")?,
                events: number("events")?,
                messages: number("messages")?,
                logs: number("logs")?,
                memories: number("memories")?,
            },
        })
    }
}

async fn insert_record(connection: &mut PgConnection, id: SessionId, file: &StoredFile) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO archived_sessions (id, project_id, group_id, workflow_id, workflow_name, status, node_statuses,
            node_counts, ended_nodes, revision, total_tokens, total_cost_usd, error, started_at, ended_at, created_at,
            updated_at, updated_about, incarnation, name, tags, metadata, driver_seen_at, is_stalled,
            parent_session_id, parent_node_id, children, file_name, file_bytes, file_sha256, events, messages, logs,
            memories)
         SELECT id, project_id, group_id, workflow_id, workflow_name, status, node_statuses, node_counts,
            COALESCE(ended_nodes, relive_node_hashes(node_statuses)), revision, total_tokens, total_cost_usd, error,
            started_at, ended_at, created_at, updated_at, updated_about, incarnation, name, tags, metadata,
            driver_seen_at, is_stalled, parent_session_id, parent_node_id,
            (SELECT children FROM session_families WHERE session_id = sessions.id), $2, $3, $4, $5, $6, $7, $8
         FROM sessions WHERE id = $1",
    )
    .bind(id.0)
    .bind(&file.name)
    .bind(bigint(file.bytes))
    .bind(&file.sha256)
    .bind(bigint(file.events))
    .bind(bigint(file.messages))
    .bind(bigint(file.logs))
    .bind(bigint(file.memories))
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends the claim, if it is still held: neither has another server taken it, nor is the file to be removed.
async fn end_claim(connection: &mut PgConnection, claim: &ArchiveClaim) -> Result<bool, StorageError> {
    let ended = sqlx::query("DELETE FROM archive_files WHERE name = $1 AND session_id = $2")
        .bind(&claim.file_name)
        .bind(claim.session_id.0)
        .execute(connection)
        .await?;
    Ok(ended.rows_affected() > 0)
}

impl Storage {
    /// Claims a session for archiving, under the name of the file that will be written; `None` if another server
    /// archives it. The file of an earlier attempt that was not finished is to be removed from then on.
    pub async fn claim_archiving(
        &self,
        session_id: SessionId,
        file_name: String,
        time: Duration,
    ) -> Result<Option<ArchiveClaim>, StorageError> {
        let mut transaction = self.pool.begin().await?;
        let former = sqlx::query(
            "UPDATE archive_files SET session_id = NULL WHERE session_id = $1 AND due_at <= clock_timestamp()",
        )
        .bind(session_id.0);
        transaction.run(async |connection| former.execute(connection).await).await?;
        let claim = sqlx::query(
            "INSERT INTO archive_files (name, session_id, due_at)
             VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3)) ON CONFLICT DO NOTHING",
        )
        .bind(&file_name)
        .bind(session_id.0)
        .bind(time.as_secs_f64());
        let claimed = transaction.run(async |connection| claim.execute(connection).await).await?;
        if claimed.rows_affected() == 0 {
            return Ok(None);
        }
        let memories = sqlx::query_scalar(MEMORIES).bind(session_id.0);
        let memories: String = transaction.run(async |connection| memories.fetch_one(connection).await).await?;
        transaction.commit().await?;
        Ok(Some(ArchiveClaim { session_id, file_name, memories }))
    }

    /// Keeps a claim for this time on; false if it is lost.
    pub async fn keep_archiving(&self, claim: &ArchiveClaim, time: Duration) -> Result<bool, StorageError> {
        let sql = "UPDATE archive_files SET due_at = clock_timestamp() + make_interval(secs => $3)
            WHERE name = $1 AND session_id = $2";
        let query = sqlx::query(sql).bind(&claim.file_name).bind(claim.session_id.0).bind(time.as_secs_f64());
        Ok(query.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Gives a claim up: the file is to be removed.
    pub async fn give_up_archiving(&self, claim: &ArchiveClaim) -> Result<(), StorageError> {
        let sql = "UPDATE archive_files SET session_id = NULL, due_at = clock_timestamp()
            WHERE name = $1 AND session_id = $2";
        sqlx::query(sql).bind(&claim.file_name).bind(claim.session_id.0).execute(&self.pool).await?;
        Ok(())
    }

    /// Records the file of a session and deletes the session, in one transaction. Returns the children that it had,
    /// which are roots from then on; `None` if nothing was done: the session was deleted, has changed, or is not in
    /// the list any more, or the claim is lost.
    pub async fn archive_session(
        &self,
        claim: &ArchiveClaim,
        version: SessionVersion,
        list: &SessionFilter,
        file: &StoredFile,
    ) -> Result<Option<Vec<SessionId>>, StorageError> {
        let id = claim.session_id;
        // What webhooks are sent is made of its history.
        self.dispatch_session(id).await?;
        let mut transaction = self.pool.long_running().begin().await?;
        // Locked first: nothing can be added to it afterwards, and the session stays in the list.
        let mut held = QueryBuilder::new("SELECT id FROM sessions");
        held.push(" WHERE id = ").push_bind(id.0);
        held.push(" AND created_at = ").push_bind(version.identity.created_at.as_datetime());
        held.push(" AND incarnation = ").push_bind(version.identity.incarnation);
        held.push(" AND revision = ").push_bind(bigint(version.revision)).push(" AND ended_at IS NOT NULL");
        list.push_whole_to(&mut held);
        held.push(" FOR UPDATE");
        let held = held.build().persistent(false);
        if transaction.run(async |connection| held.fetch_optional(connection).await).await?.is_none() {
            return Ok(None);
        }
        if !undispatched(&mut transaction, &[id]).await?.is_empty() {
            return Err(StorageError::Cancelled);
        }
        let memories = sqlx::query_scalar(MEMORIES).bind(id.0);
        let memories: String = transaction.run(async |connection| memories.fetch_one(connection).await).await?;
        if memories != claim.memories || !transaction.run(async |connection| end_claim(connection, claim).await).await?
        {
            return Ok(None);
        }
        let children = transaction.run(async |connection| children_of(connection, id).await).await?;
        transaction.run(async |connection| insert_record(connection, id, file).await).await?;
        let delete = sqlx::query("DELETE FROM sessions WHERE id = $1").bind(id.0);
        transaction.run(async |connection| delete.execute(connection).await).await?;
        transaction.commit().await?;
        Ok(Some(children))
    }

    /// Takes up to `limit` files that are to be removed. Other servers leave them alone for this time.
    pub async fn take_stray_files(&self, limit: u32, time: Duration) -> Result<Vec<String>, StorageError> {
        Ok(sqlx::query_scalar(
            "UPDATE archive_files SET session_id = NULL, due_at = clock_timestamp() + make_interval(secs => $2)
             WHERE name IN (
                 SELECT name FROM archive_files WHERE due_at <= clock_timestamp()
                 ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
             RETURNING name",
        )
        .bind(i64::from(limit))
        .bind(time.as_secs_f64())
        .fetch_all(&self.pool)
        .await?)
    }

    /// Notes that a file was removed.
    pub async fn forget_stray_file(&self, name: &str) -> Result<(), StorageError> {
        let sql = "DELETE FROM archive_files WHERE name = $1 AND session_id IS NULL";
        sqlx::query(sql).bind(name).execute(&self.pool).await?;
        Ok(())
    }

    /// An archived session of a project. One of another project is not found, in the same time as one that does not
    /// exist.
    pub async fn archived(&self, project: &ProjectId, id: SessionId) -> Result<Option<ArchivedRow>, StorageError> {
        let mut query = QueryBuilder::new(SELECT_ARCHIVED);
        query.push(" WHERE id = ").push_bind(id.0);
        query.push(" AND project_id = ").push_bind(project.as_str().to_owned());
        Ok(query.build_query_as().fetch_optional(&self.pool).await?)
    }

    /// A page of archived sessions, in the order of the list of sessions: the newest first.
    pub async fn archived_page(
        &self,
        filter: &SessionFilter,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Page<ArchivedRow>, StorageError> {
        let mut query = QueryBuilder::new(SELECT_ARCHIVED);
        query.push(" WHERE true");
        filter.push_whole_to(&mut query);
        if let Some(cursor) = after {
            query.push(" AND (created_at, id) < (").push_bind(cursor.created_at.as_datetime());
            query.push(", ").push_bind(cursor.id).push(")");
        }
        query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(i64::from(limit) + 1);
        // As for the list of sessions: a plan for one filter must not be used for another.
        let rows = query.build_query_as().persistent(false).fetch_all(&self.pool).await?;
        Ok(Page::cut(rows, limit, |row: &ArchivedRow| PageCursor {
            created_at: row.summary.created_at,
            id: row.summary.id.0,
        }))
    }

    /// Deletes the record of an archived session: its file is to be removed. False if there is none.
    pub async fn delete_archived(&self, project: &ProjectId, id: SessionId) -> Result<bool, StorageError> {
        let sql = "DELETE FROM archived_sessions WHERE id = $1 AND project_id = $2";
        let deleted = sqlx::query(sql).bind(id.0).bind(project.as_str()).execute(&self.pool).await?;
        Ok(deleted.rows_affected() > 0)
    }
}
