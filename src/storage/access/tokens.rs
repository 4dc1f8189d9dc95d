//! Revocation of access tokens, and of everything else that open sockets hold.

use sqlx::Row;
use uuid::Uuid;

use super::PRUNED_AT_ONCE;
use crate::storage::{Constraint, Storage, StorageError};
use relive_session::{ProjectId, Timestamp};

/// Revoked tokens of a project that are remembered, each until it would have expired.
pub const REVOKED_LIMIT: i64 = 100_000;

/// Whether an access token is still valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenState {
    pub is_revoked: bool,
    /// Whether the key of its issuer is valid; true if no key gave it.
    pub has_giver: bool,
    /// Whether its project exists.
    pub has_project: bool,
}

/// Credentials in use.
#[derive(Clone, Debug, Default)]
pub struct CredentialsInUse {
    pub keys: Vec<Uuid>,
    pub tokens: Vec<(ProjectId, Uuid)>,
    pub sign_ins: Vec<Uuid>,
    /// The projects of all of them, but for `default`, which is never deleted.
    pub projects: Vec<ProjectId>,
}

impl CredentialsInUse {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.tokens.is_empty() && self.sign_ins.is_empty() && self.projects.is_empty()
    }
}

/// Those of them that are not valid any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Whether there is a key at all, valid or not.
    pub has_keys: bool,
    pub keys: Vec<Uuid>,
    /// With the project of each: another project revokes nothing here.
    pub tokens: Vec<(ProjectId, Uuid)>,
    pub sign_ins: Vec<Uuid>,
    /// Projects that do not exist any more: every credential in them.
    pub projects: Vec<ProjectId>,
}

impl Revoked {
    /// Whether nothing was revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.tokens.is_empty() && self.sign_ins.is_empty() && self.projects.is_empty()
    }
}

impl Storage {
    /// Revokes a token, with the sign-ins that were made with it; returns these. Until `expires_at`, which is no
    /// earlier than the token's end, it is remembered.
    ///
    /// # Errors
    ///
    /// [`Constraint::TooManyRevoked`] if [`REVOKED_LIMIT`] of the project are remembered: ids are not known before
    /// they are revoked, so anybody who may revoke could make them up without end.
    pub async fn revoke_token(
        &self,
        project: &ProjectId,
        id: Uuid,
        expires_at: Timestamp,
    ) -> Result<Vec<Uuid>, StorageError> {
        let row = sqlx::query(
            "WITH known AS (SELECT FROM revoked_tokens WHERE project_id = $1 AND id = $2),
             kept AS (SELECT count(*) < $4 OR EXISTS (SELECT FROM known) AS has_room
                 FROM (SELECT FROM revoked_tokens WHERE project_id = $1 LIMIT $4) AS others),
             added AS (
                 INSERT INTO revoked_tokens (project_id, id, expires_at)
                 SELECT $1, $2, $3 FROM kept WHERE has_room ON CONFLICT DO NOTHING),
             ended AS (DELETE FROM sign_ins WHERE token_id = $2 AND project_id = $1 RETURNING id)
             SELECT has_room, ARRAY(SELECT id FROM ended) AS ended FROM kept",
        )
        .bind(project.as_str())
        .bind(id)
        .bind(expires_at.as_datetime())
        .bind(REVOKED_LIMIT)
        .fetch_one(&self.pool)
        .await?;
        if !row.try_get::<bool, _>("has_room")? {
            return Err(StorageError::Constraint(Constraint::TooManyRevoked));
        }
        Ok(row.try_get("ended")?)
    }

    /// Whether a token of a project is valid that the holder of `issuer` gave.
    pub async fn token_state(
        &self,
        project: &ProjectId,
        id: Uuid,
        issuer: Option<Uuid>,
    ) -> Result<TokenState, StorageError> {
        let row = sqlx::query(
            "SELECT EXISTS (SELECT FROM revoked_tokens WHERE project_id = $1 AND id = $2) AS is_revoked,
                    $3::uuid IS NULL OR EXISTS (
                        SELECT FROM api_keys JOIN projects ON projects.id = project_id AND deleted_at IS NULL
                        WHERE api_keys.id = $3 AND revoked_at IS NULL) AS has_giver,
                    EXISTS (SELECT FROM projects WHERE id = $1 AND deleted_at IS NULL) AS has_project",
        )
        .bind(project.as_str())
        .bind(id)
        .bind(issuer)
        .fetch_one(&self.pool)
        .await?;
        Ok(TokenState {
            is_revoked: row.try_get("is_revoked")?,
            has_giver: row.try_get("has_giver")?,
            has_project: row.try_get("has_project")?,
        })
    }

    /// Which of the credentials in use were revoked, deleted or ended.
    pub async fn revoked(&self, held: &CredentialsInUse) -> Result<Revoked, StorageError> {
        let (of_tokens, tokens): (Vec<&str>, Vec<Uuid>) =
            held.tokens.iter().map(|(project, id)| (project.as_str(), *id)).unzip();
        let projects: Vec<&str> = held.projects.iter().map(ProjectId::as_str).collect();
        let row = sqlx::query(
            "SELECT EXISTS (SELECT FROM api_keys) AS has_keys,
                 ARRAY(SELECT id FROM unnest($1::uuid[]) AS held (id) WHERE NOT EXISTS (
                     SELECT FROM api_keys JOIN projects ON projects.id = project_id AND deleted_at IS NULL
                     WHERE api_keys.id = held.id AND revoked_at IS NULL)) AS keys,
                 -- The place of each among those that were given.
                 ARRAY(SELECT held.place FROM unnest($2::text[], $3::uuid[]) WITH ORDINALITY
                         AS held (project_id, id, place)
                     WHERE EXISTS (
                         SELECT FROM revoked_tokens AS revoked
                         WHERE revoked.project_id = held.project_id AND revoked.id = held.id)) AS tokens,
                 ARRAY(SELECT id FROM unnest($4::uuid[]) AS held (id) WHERE NOT EXISTS (
                     SELECT FROM sign_ins WHERE sign_ins.id = held.id)) AS sign_ins,
                 ARRAY(SELECT id FROM unnest($5::text[]) AS held (id) WHERE NOT EXISTS (
                     SELECT FROM projects WHERE projects.id = held.id AND deleted_at IS NULL)) AS projects",
        )
        .bind(&held.keys)
        .bind(of_tokens)
        .bind(tokens)
        .bind(&held.sign_ins)
        .bind(projects)
        .fetch_one(&self.pool)
        .await?;
        let places: Vec<i64> = row.try_get("tokens")?;
        let token = |place: &i64| held.tokens.get(usize::try_from(*place).ok()?.checked_sub(1)?).cloned();
        let gone: Vec<String> = row.try_get("projects")?;
        Ok(Revoked {
            has_keys: row.try_get("has_keys")?,
            keys: row.try_get("keys")?,
            tokens: places.iter().filter_map(token).collect(),
            sign_ins: row.try_get("sign_ins")?,
            projects: held.projects.iter().filter(|id| gone.iter().any(|gone| *gone == id.as_str())).cloned().collect(),
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
