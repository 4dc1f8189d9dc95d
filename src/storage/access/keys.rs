//! Keys of programs.

use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{optional_time, project, time};
use crate::storage::{Page, PageCursor, Storage, StorageError};
use relive_session::{ProjectId, Timestamp};

/// A key, without what would let it be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    pub id: Uuid,
    pub project: ProjectId,
    pub name: String,
    pub role: String,
    pub prefix: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

/// A key to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewKey<'a> {
    pub id: Uuid,
    pub project: &'a ProjectId,
    pub name: &'a str,
    pub role: &'a str,
    pub prefix: &'a str,
    /// SHA-256 of the key.
    pub hash: &'a [u8],
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

fn read(row: &PgRow) -> sqlx::Result<KeyRow> {
    Ok(KeyRow {
        id: row.try_get("id")?,
        project: project(row, "project_id")?,
        name: row.try_get("name")?,
        role: row.try_get("role")?,
        prefix: row.try_get("prefix")?,
        created_at: time(row, "created_at")?,
        expires_at: optional_time(row, "expires_at")?,
        revoked_at: optional_time(row, "revoked_at")?,
        last_used_at: optional_time(row, "last_used_at")?,
    })
}

impl Storage {
    /// Stores a key.
    ///
    /// # Errors
    ///
    /// [`Constraint::NoSuchProject`](crate::storage::Constraint::NoSuchProject), also if it was deleted.
    pub async fn create_key(&self, key: NewKey<'_>) -> Result<KeyRow, StorageError> {
        let row = sqlx::query(
            "INSERT INTO api_keys (id, project_id, name, role, prefix, hash, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING *",
        )
        .bind(key.id)
        .bind(key.project.as_str())
        .bind(key.name)
        .bind(key.role)
        .bind(key.prefix)
        .bind(key.hash)
        .bind(key.created_at.as_datetime())
        .bind(key.expires_at.map(Timestamp::as_datetime))
        .fetch_one(&self.pool)
        .await?;
        Ok(read(&row)?)
    }

    /// The key with this SHA-256, whether it is valid or not; `None` also if its project was deleted.
    pub async fn key_by_hash(&self, hash: &[u8]) -> Result<Option<KeyRow>, StorageError> {
        let sql = "SELECT api_keys.* FROM api_keys
                   JOIN projects ON projects.id = project_id AND deleted_at IS NULL WHERE hash = $1";
        let row = sqlx::query(sql).bind(hash).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// A key of a project, or of any, whether it is valid or not.
    pub async fn key(&self, project: Option<&ProjectId>, id: Uuid) -> Result<Option<KeyRow>, StorageError> {
        let sql = "SELECT * FROM api_keys WHERE id = $1 AND ($2::text IS NULL OR project_id = $2)";
        let row = sqlx::query(sql).bind(id).bind(project.map(ProjectId::as_str)).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// A page of the keys of a project, or of all projects, newest first, those included that are not valid any
    /// more.
    pub async fn keys(
        &self,
        project: Option<&ProjectId>,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Page<KeyRow>, StorageError> {
        let rows = sqlx::query(
            "SELECT * FROM api_keys WHERE ($1::text IS NULL OR project_id = $1)
                 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
             ORDER BY created_at DESC, id DESC LIMIT $4",
        )
        .bind(project.map(ProjectId::as_str))
        .bind(after.map(|cursor| cursor.created_at.as_datetime()))
        .bind(after.map(|cursor| cursor.id))
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.pool)
        .await?;
        let keys = rows.iter().map(read).collect::<sqlx::Result<_>>()?;
        Ok(Page::cut(keys, limit, |key: &KeyRow| PageCursor { created_at: key.created_at, id: key.id }))
    }

    /// Revokes a key of a project, or of any, with the sign-ins that were made with it; a key that is revoked stays
    /// as it is. `None` if there is no such key.
    pub async fn revoke_key(
        &self,
        project: Option<&ProjectId>,
        id: Uuid,
        at: Timestamp,
    ) -> Result<Option<KeyRow>, StorageError> {
        let row = sqlx::query(
            "WITH ended AS (
                 DELETE FROM sign_ins USING api_keys
                 WHERE sign_ins.key_id = $1 AND api_keys.id = $1
                     AND ($2::text IS NULL OR api_keys.project_id = $2))
             UPDATE api_keys SET revoked_at = coalesce(revoked_at, $3)
             WHERE id = $1 AND ($2::text IS NULL OR project_id = $2) RETURNING *",
        )
        .bind(id)
        .bind(project.map(ProjectId::as_str))
        .bind(at.as_datetime())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// Notes when keys were last used.
    pub async fn touch_keys(&self, used: &[(Uuid, Timestamp)]) -> Result<(), StorageError> {
        let (ids, times): (Vec<Uuid>, Vec<DateTime<Utc>>) = used.iter().map(|(id, at)| (*id, at.as_datetime())).unzip();
        sqlx::query(
            "UPDATE api_keys SET last_used_at = greatest(last_used_at, used.at)
             FROM unnest($1::uuid[], $2::timestamptz[]) AS used (id, at) WHERE api_keys.id = used.id",
        )
        .bind(ids)
        .bind(times)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
