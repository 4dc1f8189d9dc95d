//! Revocation of access tokens, and of everything else that open sockets hold.

use sqlx::Row;
use uuid::Uuid;

use super::PRUNED_AT_ONCE;
use crate::storage::{Storage, StorageError};
use relive_session::{ProjectId, Timestamp};

/// Whether an access token is still valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenState {
    pub is_revoked: bool,
    /// Whether the key of its giver is valid; true if no key gave it.
    pub has_giver: bool,
    /// Whether its project exists.
    pub has_project: bool,
}

/// Credentials in use.
#[derive(Clone, Debug, Default)]
pub struct Held {
    pub keys: Vec<Uuid>,
    pub tokens: Vec<(ProjectId, Uuid)>,
    pub sign_ins: Vec<Uuid>,
}

/// Those of them that are not valid any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Whether there is a key at all, valid or not.
    pub has_keys: bool,
    pub keys: Vec<Uuid>,
    /// Of tokens, whatever their project: an id belongs to one token.
    pub tokens: Vec<Uuid>,
    pub sign_ins: Vec<Uuid>,
}

impl Storage {
    /// Revokes a token, with the sign-ins that were made with it. Until `expires_at`, which is no earlier than the
    /// token's end, it is remembered.
    pub async fn revoke_token(&self, project: &ProjectId, id: Uuid, expires_at: Timestamp) -> Result<(), StorageError> {
        sqlx::query(
            "WITH ended AS (DELETE FROM sign_ins WHERE token_id = $2 AND project_id = $1)
             INSERT INTO revoked_tokens (project_id, id, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(project.as_str())
        .bind(id)
        .bind(expires_at.as_datetime())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Whether a token of a project is valid that the holder of `giver` gave.
    pub async fn token_state(
        &self,
        project: &ProjectId,
        id: Uuid,
        giver: Option<Uuid>,
    ) -> Result<TokenState, StorageError> {
        let row = sqlx::query(
            "SELECT EXISTS (SELECT FROM revoked_tokens WHERE project_id = $1 AND id = $2) AS is_revoked,
                    $3::uuid IS NULL OR EXISTS (SELECT FROM api_keys WHERE id = $3 AND revoked_at IS NULL) AS has_giver,
                    EXISTS (SELECT FROM projects WHERE id = $1) AS has_project",
        )
        .bind(project.as_str())
        .bind(id)
        .bind(giver)
        .fetch_one(&self.pool)
        .await?;
        Ok(TokenState {
            is_revoked: row.try_get("is_revoked")?,
            has_giver: row.try_get("has_giver")?,
            has_project: row.try_get("has_project")?,
        })
    }

    /// Which of the credentials in use were revoked, deleted or ended.
    pub async fn revoked(&self, held: &Held) -> Result<Revoked, StorageError> {
        let (projects, tokens): (Vec<&str>, Vec<Uuid>) =
            held.tokens.iter().map(|(project, id)| (project.as_str(), *id)).unzip();
        let row = sqlx::query(
            "SELECT EXISTS (SELECT FROM api_keys) AS has_keys,
                 ARRAY(SELECT id FROM unnest($1::uuid[]) AS held (id) WHERE NOT EXISTS (
                     SELECT FROM api_keys WHERE api_keys.id = held.id AND revoked_at IS NULL)) AS keys,
                 ARRAY(SELECT held.id FROM unnest($2::text[], $3::uuid[]) AS held (project_id, id) WHERE EXISTS (
                     SELECT FROM revoked_tokens AS revoked
                     WHERE revoked.project_id = held.project_id AND revoked.id = held.id)) AS tokens,
                 ARRAY(SELECT id FROM unnest($4::uuid[]) AS held (id) WHERE NOT EXISTS (
                     SELECT FROM sign_ins WHERE sign_ins.id = held.id)) AS sign_ins",
        )
        .bind(&held.keys)
        .bind(projects)
        .bind(tokens)
        .bind(&held.sign_ins)
        .fetch_one(&self.pool)
        .await?;
        Ok(Revoked {
            has_keys: row.try_get("has_keys")?,
            keys: row.try_get("keys")?,
            tokens: row.try_get("tokens")?,
            sign_ins: row.try_get("sign_ins")?,
        })
    }

    /// Forgets some of the tokens and sign-ins that expired before `now`; true if there may be more.
    pub async fn prune_credentials(&self, now: Timestamp) -> Result<bool, StorageError> {
        let row = sqlx::query(
            "WITH tokens AS (
                 DELETE FROM revoked_tokens WHERE (project_id, id) IN (
                     SELECT project_id, id FROM revoked_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)
                 RETURNING 1),
             ended AS (
                 DELETE FROM sign_ins WHERE id IN (
                     SELECT id FROM sign_ins WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)
                 RETURNING 1)
             SELECT (SELECT count(*) FROM tokens) AS tokens, (SELECT count(*) FROM ended) AS sign_ins",
        )
        .bind(now.as_datetime())
        .bind(PRUNED_AT_ONCE)
        .fetch_one(&self.pool)
        .await?;
        let (tokens, sign_ins): (i64, i64) = (row.try_get("tokens")?, row.try_get("sign_ins")?);
        Ok(tokens.max(sign_ins) >= PRUNED_AT_ONCE)
    }
}
