//! Sign-ins of the dashboard.

use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{actor, project, time};
use crate::storage::{Constraint, Storage, StorageError};
use relive_session::{Actor, ProjectId, Timestamp};

/// Sign-ins that one key or token has at a time.
const SIGN_INS_LIMIT: i64 = 10_000;

/// A sign-in to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewSignIn<'a> {
    pub id: Uuid,
    /// SHA-256 of the cookie.
    pub hash: &'a [u8],
    pub project: &'a ProjectId,
    pub actor: &'a Actor,
    /// Either a role, or scopes.
    pub role: Option<&'a str>,
    pub scopes: Option<&'a [String]>,
    /// The key that it ends with.
    pub key_id: Option<Uuid>,
    /// The access token that it ends with.
    pub token_id: Option<Uuid>,
    pub expires_at: Timestamp,
}

/// A sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInRow {
    pub id: Uuid,
    pub project: ProjectId,
    pub actor: Actor,
    pub role: Option<String>,
    pub scopes: Option<Vec<String>>,
    pub key_id: Option<Uuid>,
    pub expires_at: Timestamp,
}

fn read(row: &PgRow) -> sqlx::Result<SignInRow> {
    Ok(SignInRow {
        id: row.try_get("id")?,
        project: project(row, "project_id")?,
        actor: actor(row)?.ok_or_else(|| sqlx::Error::Decode("a sign-in without an actor".into()))?,
        role: row.try_get("role")?,
        scopes: row.try_get("scopes")?,
        key_id: row.try_get("key_id")?,
        expires_at: time(row, "expires_at")?,
    })
}

impl Storage {
    /// Stores a sign-in. False if what it was made with was revoked meanwhile.
    ///
    /// # Errors
    ///
    /// [`Constraint::NoSuchProject`], and [`Constraint::TooManySignIns`] if there are `SIGN_INS_LIMIT` with the
    /// same token, or with the key itself: each is a row, and a guest may ask for them without end.
    pub async fn create_sign_in(&self, sign_in: NewSignIn<'_>) -> Result<bool, StorageError> {
        // The row of the key is locked, so that it cannot be revoked in between.
        let row = sqlx::query(
            "WITH valid AS (SELECT id FROM api_keys WHERE id = $9 AND revoked_at IS NULL FOR SHARE),
             room AS (SELECT (SELECT count(*) FROM (
                     SELECT FROM sign_ins WHERE token_id = $10 LIMIT $12) AS of_token) < $12
                 AND (SELECT count(*) FROM (
                     SELECT FROM sign_ins WHERE key_id = $9 AND token_id IS NULL AND $10::uuid IS NULL
                     LIMIT $12) AS of_key) < $12
                 AS is_left),
             stored AS (
                 INSERT INTO sign_ins
                     (id, hash, project_id, actor_kind, actor_id, actor_name, role, scopes, key_id, token_id,
                      expires_at)
                 SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM room
                 WHERE is_left AND ($9::uuid IS NULL OR EXISTS (SELECT FROM valid))
                     AND NOT EXISTS (SELECT FROM revoked_tokens WHERE project_id = $3 AND id = $10)
                 RETURNING 1)
             SELECT is_left, EXISTS (SELECT FROM stored) AS is_stored FROM room",
        )
        .bind(sign_in.id)
        .bind(sign_in.hash)
        .bind(sign_in.project.as_str())
        .bind(sign_in.actor.kind.as_str())
        .bind(&sign_in.actor.id)
        .bind(&sign_in.actor.name)
        .bind(sign_in.role)
        .bind(sign_in.scopes)
        .bind(sign_in.key_id)
        .bind(sign_in.token_id)
        .bind(sign_in.expires_at.as_datetime())
        .bind(SIGN_INS_LIMIT)
        .fetch_one(&self.pool)
        .await?;
        if !row.try_get::<bool, _>("is_left")? {
            return Err(StorageError::Constraint(Constraint::TooManySignIns));
        }
        Ok(row.try_get("is_stored")?)
    }

    /// The sign-in whose cookie has this SHA-256, whether it has expired or not; `None` also if its project was
    /// deleted.
    pub async fn sign_in_by_hash(&self, hash: &[u8]) -> Result<Option<SignInRow>, StorageError> {
        let sql = "SELECT sign_ins.id, project_id, actor_kind, actor_id, actor_name, role, scopes, key_id, expires_at
                   FROM sign_ins JOIN projects ON projects.id = project_id AND deleted_at IS NULL WHERE hash = $1";
        let row = sqlx::query(sql).bind(hash).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// Ends a sign-in.
    pub async fn delete_sign_in(&self, id: Uuid) -> Result<(), StorageError> {
        sqlx::query("DELETE FROM sign_ins WHERE id = $1").bind(id).execute(&self.pool).await?;
        Ok(())
    }
}
