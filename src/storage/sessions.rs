//! The `sessions` table: creating, reading, deleting. Lists are in [`session_list`](super::session_list).

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::Json;
use sqlx::{FromRow, QueryBuilder, Row};
use uuid::Uuid;

use super::bigint::bigint;
use super::columns::json;
use super::families::{children_of, enter_family};
use super::session_list::SessionFilter;
use super::webhooks::undispatched;
use super::{Storage, StorageError};
use relive_session::{
    NodeCounts, NodeId, ProjectId, Recorded, Revision, Session, SessionId, SessionIdentity, SessionStatus,
    SessionSummary, Timestamp, WebhookType,
};

/// A session to be stored, with its first event.
#[derive(Debug)]
pub struct NewSession<'a> {
    pub recorded: &'a Recorded,
    /// The state after that event.
    pub session: &'a Session,
    /// Makes a repetition idempotent: a second creation with the same key is refused.
    pub creation_key: Option<&'a str>,
}

/// A session's revision, and its identity: several sessions may have been stored under one id, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionVersion {
    pub identity: SessionIdentity,
    pub revision: Revision,
}

impl SessionVersion {
    #[must_use]
    pub fn of(session: &Session) -> Self {
        Self { identity: session.identity(), revision: session.revision }
    }
}

/// The data that determines who may read a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOwner {
    pub project_id: ProjectId,
    pub group_id: Option<Uuid>,
    pub tags: Arc<[String]>,
}

impl SessionOwner {
    #[must_use]
    pub fn of(session: &Session) -> Self {
        let origin = &session.origin;
        let (project_id, tags) = (origin.project_id.clone(), Arc::clone(&session.labels.tags));
        Self { project_id, group_id: origin.group_id, tags }
    }
}

/// Stores a new session with its first event, as part of the caller's transaction; returns whether webhooks are told
/// of it.
pub(super) async fn insert_session(connection: &mut PgConnection, new: &NewSession<'_>) -> Result<bool, StorageError> {
    let NewSession { recorded, session, creation_key } = new;
    enter_family(&mut *connection, session).await?;
    insert_row(connection, session, *creation_key).await?;
    // As text: `jsonb`, which JSON is bound as, would rewrite it.
    let noticed = sqlx::query(
        "WITH first AS (
             INSERT INTO session_events (session_id, revision, at, batch, event, actor)
             VALUES ($1, $2, $3, 0, $4::text::json, $5::text::json)
         )
         INSERT INTO webhook_outbox (at, session_id, revision, project_id, type)
         SELECT $3, $1, $2, $6, $7
         WHERE EXISTS (SELECT FROM webhooks WHERE project_id = $6 AND enabled AND $7 = ANY (types))",
    )
    .bind(session.id.0)
    .bind(bigint(recorded.revision))
    .bind(recorded.at.as_datetime())
    .bind(json(&recorded.event)?)
    .bind(recorded.by.as_deref().map(json).transpose()?)
    .bind(session.origin.project_id.as_str())
    .bind(WebhookType::SessionCreated.as_str())
    .execute(connection)
    .await?;
    Ok(noticed.rows_affected() > 0)
}

/// Stores a session's row for this state.
pub(super) async fn insert_row(
    connection: &mut PgConnection,
    session: &Session,
    creation_key: Option<&str>,
) -> Result<(), StorageError> {
    let entity = session.entity();
    sqlx::query(
        "INSERT INTO sessions (id, group_id, workflow_id, workflow_name, status, driver, proposal, inputs, outputs,
            node_statuses, node_counts, revision, total_tokens, total_cost_usd, error, parent_id,
            forked_from_revision, creation_key, started_at, ended_at, created_at, updated_at, project_id, name, tags,
            metadata, incarnation, parent_session_id, parent_node_id, updated_about, ended_nodes)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
            $23, $24, $25, $26, $27, $28, $29, $22,
            CASE WHEN $20::timestamptz IS NOT NULL THEN relive_node_hashes($10::jsonb) END)",
    )
    .bind(session.id.0)
    .bind(session.origin.group_id)
    .bind(session.origin.workflow_id)
    .bind(&session.origin.workflow_name)
    .bind(session.status.as_str())
    .bind(session.origin.driver.as_str())
    .bind(session.proposal.as_deref().map(Json))
    .bind(session.origin.inputs.as_deref().map(Json))
    .bind(session.outputs.as_deref().map(Json))
    .bind(Json(&entity.node_statuses))
    .bind(Json(session.node_counts))
    .bind(bigint(session.revision))
    .bind(bigint(session.total_tokens))
    .bind(session.total_cost_usd)
    .bind(session.error.as_deref())
    .bind(session.origin.parent_id.map(|id| id.0))
    .bind(session.origin.forked_from_revision.map(bigint))
    .bind(creation_key.map(|key| stored_key(&session.origin.project_id, key)))
    .bind(session.started_at.map(Timestamp::as_datetime))
    .bind(session.completed_at.map(Timestamp::as_datetime))
    .bind(session.origin.created_at.as_datetime())
    .bind(session.updated_at.as_datetime())
    .bind(session.origin.project_id.as_str())
    .bind(session.labels.name.as_deref())
    .bind(Some(&*session.labels.tags).filter(|tags| !tags.is_empty()))
    .bind(Some(&*session.labels.metadata).filter(|metadata| !metadata.is_empty()).map(Json))
    .bind(session.origin.incarnation)
    .bind(session.parent().map(|id| id.0))
    .bind(session.parent_node().map(NodeId::as_str))
    .execute(connection)
    .await?;
    Ok(())
}

/// An idempotency key as it is stored: keys of another project are others. No key has a line break.
fn stored_key(project: &ProjectId, key: &str) -> String {
    if *project == ProjectId::default() { key.to_owned() } else { format!("{project}\n{key}") }
}

/// It is unknown whether a group was deleted, and its sessions with it.
#[derive(Debug)]
pub struct GroupInDoubt {
    pub error: StorageError,
    /// The sessions that would be deleted with it.
    pub sessions: Vec<SessionSummary>,
}

/// How often a deletion begins again because webhooks were to be told of something new.
const DELETIONS: usize = 10;

enum Deletion {
    /// With the children that it had.
    Deleted(Vec<SessionId>),
    NotThere,
    /// Webhooks have not been told of everything yet.
    Undispatched,
}

enum GroupDeletion {
    Deleted,
    NotThere,
    /// Webhooks have not been told of everything of these sessions yet.
    Undispatched(Vec<SessionId>),
}

impl Storage {
    /// Stores a new session with its first event.
    ///
    /// # Errors
    ///
    /// [`StorageError::Constraint`] if the id or the key is taken, or the group or workflow does not exist.
    pub async fn create_session(&self, new: &NewSession<'_>) -> Result<(), StorageError> {
        let mut transaction = self.pool.begin().await?;
        let is_noticed = transaction.run(async |connection| insert_session(connection, new).await).await?;
        transaction.commit().await?;
        self.outbox_filled(is_noticed);
        Ok(())
    }

    /// The session that was created with an idempotency key in a project.
    pub async fn session_by_creation_key(
        &self,
        project: &ProjectId,
        key: &str,
    ) -> Result<Option<SessionId>, StorageError> {
        let id: Option<Uuid> = sqlx::query_scalar("SELECT id FROM sessions WHERE creation_key = $1")
            .bind(stored_key(project, key))
            .fetch_optional(&self.pool)
            .await?;
        Ok(id.map(SessionId))
    }

    /// Deletes a session with its journal, messages and memories, but no other one that was stored under its id;
    /// `None` if it was not there. Returns the children that it had, which are roots from then on.
    pub async fn delete_session(
        &self,
        id: SessionId,
        of: SessionIdentity,
    ) -> Result<Option<Vec<SessionId>>, StorageError> {
        self.delete_if(id, of, None).await
    }

    /// As [`Storage::delete_session`], only if the session is in a list.
    pub async fn delete_session_in(
        &self,
        id: SessionId,
        of: SessionIdentity,
        list: &SessionFilter,
    ) -> Result<Option<Vec<SessionId>>, StorageError> {
        self.delete_if(id, of, Some(list)).await
    }

    /// Webhooks are told first of what they have not been told yet: what they are sent is made of the session's history.
    async fn delete_if(
        &self,
        id: SessionId,
        of: SessionIdentity,
        list: Option<&SessionFilter>,
    ) -> Result<Option<Vec<SessionId>>, StorageError> {
        for _ in 0..DELETIONS {
            match self.try_delete(id, of, list).await? {
                Deletion::Deleted(children) => return Ok(Some(children)),
                Deletion::NotThere => return Ok(None),
                Deletion::Undispatched => self.dispatch_session(id).await?,
            }
        }
        Err(StorageError::Cancelled)
    }

    async fn try_delete(
        &self,
        id: SessionId,
        of: SessionIdentity,
        list: Option<&SessionFilter>,
    ) -> Result<Deletion, StorageError> {
        let mut transaction = self.pool.long_running().begin().await?;
        // Locked first: no child can be added afterwards, and the session stays in the list.
        let mut held = QueryBuilder::new("SELECT id FROM sessions");
        held.push(" WHERE id = ").push_bind(id.0);
        held.push(" AND created_at = ").push_bind(of.created_at.as_datetime());
        held.push(" AND incarnation = ").push_bind(of.incarnation);
        if let Some(list) = list {
            list.push_whole_to(&mut held);
        }
        held.push(" FOR UPDATE");
        let held = held.build().persistent(list.is_none());
        if transaction.run(async |connection| held.fetch_optional(connection).await).await?.is_none() {
            return Ok(Deletion::NotThere);
        }
        if !undispatched(&mut transaction, &[id]).await?.is_empty() {
            return Ok(Deletion::Undispatched);
        }
        let children = transaction.run(async |connection| children_of(connection, id).await).await?;
        let delete = sqlx::query("DELETE FROM sessions WHERE id = $1").bind(id.0);
        transaction.run(async |connection| delete.execute(connection).await).await?;
        transaction.commit().await?;
        Ok(Deletion::Deleted(children))
    }

    /// The ids of the sessions of a project's group.
    pub async fn sessions_of_group(&self, project: &ProjectId, group_id: Uuid) -> Result<Vec<SessionId>, StorageError> {
        let ids: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM sessions WHERE group_id = $1 AND project_id = $2")
            .bind(group_id)
            .bind(project.as_str())
            .fetch_all(&self.pool)
            .await?;
        Ok(ids.into_iter().map(SessionId).collect())
    }

    /// Deletes a group with everything left in it; `None` if there is none. Returns the sessions that were
    /// deleted with it: while the group is locked, none can be created in it.
    ///
    /// # Errors
    ///
    /// If the database is away; the sessions may have been deleted all the same.
    pub async fn delete_group(
        &self,
        project: &ProjectId,
        group_id: Uuid,
    ) -> Result<Option<Vec<SessionSummary>>, GroupInDoubt> {
        let mut sessions = Vec::new();
        match self.delete_told_group(project, group_id, &mut sessions).await {
            Ok(existed) => Ok(existed.then_some(sessions)),
            Err(error) => Err(GroupInDoubt { error, sessions }),
        }
    }

    async fn delete_told_group(
        &self,
        project: &ProjectId,
        group_id: Uuid,
        sessions: &mut Vec<SessionSummary>,
    ) -> Result<bool, StorageError> {
        for _ in 0..DELETIONS {
            sessions.clear();
            match self.delete_held_group(project, group_id, sessions).await? {
                GroupDeletion::Deleted => return Ok(true),
                GroupDeletion::NotThere => return Ok(false),
                GroupDeletion::Undispatched(unsent) => {
                    for id in unsent {
                        self.dispatch_session(id).await?;
                    }
                }
            }
        }
        sessions.clear();
        Err(StorageError::Cancelled)
    }

    async fn delete_held_group(
        &self,
        project: &ProjectId,
        group_id: Uuid,
        sessions: &mut Vec<SessionSummary>,
    ) -> Result<GroupDeletion, StorageError> {
        let mut transaction = self.pool.long_running().begin().await?;
        let held = sqlx::query("SELECT FROM groups WHERE id = $1 AND project_id = $2 FOR UPDATE")
            .bind(group_id)
            .bind(project.as_str());
        if transaction.run(async |connection| held.fetch_optional(connection).await).await?.is_none() {
            return Ok(GroupDeletion::NotThere);
        }
        let mut query = QueryBuilder::new(SUMMARY);
        query.push(" WHERE group_id = ").push_bind(group_id);
        let rows: Vec<Summary> =
            transaction.run(async |connection| query.build_query_as().fetch_all(connection).await).await?;
        sessions.extend(rows.into_iter().map(|Summary(summary)| summary));
        let ids: Vec<SessionId> = sessions.iter().map(|summary| summary.id).collect();
        let unsent = undispatched(&mut transaction, &ids).await?;
        if !unsent.is_empty() {
            return Ok(GroupDeletion::Undispatched(unsent));
        }
        let delete = sqlx::query("DELETE FROM groups WHERE id = $1").bind(group_id);
        transaction.run(async |connection| delete.execute(connection).await).await?;
        transaction.commit().await?;
        Ok(GroupDeletion::Deleted)
    }

    /// The stored versions of sessions; those that do not exist are left out.
    pub async fn versions(&self, ids: &[SessionId]) -> Result<HashMap<SessionId, SessionVersion>, StorageError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows: Vec<(Uuid, DateTime<Utc>, i64, i64)> =
            sqlx::query_as("SELECT id, created_at, incarnation, revision FROM sessions WHERE id = ANY($1)")
                .bind(ids)
                .fetch_all(&self.pool)
                .await?;
        let version = |(id, created_at, incarnation, revision): (Uuid, DateTime<Utc>, i64, i64)| {
            let identity = SessionIdentity { created_at: created_at.into(), incarnation };
            (SessionId(id), SessionVersion { identity, revision: revision.unsigned_abs() })
        };
        Ok(rows.into_iter().map(version).collect())
    }

    /// How many sessions of a project have not ended, counted up to `limit`.
    pub async fn count_live_sessions(&self, project: &ProjectId, limit: u32) -> Result<u64, StorageError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM (
                 SELECT FROM sessions WHERE project_id = $1 AND ended_at IS NULL LIMIT $2) AS counted",
        )
        .bind(project.as_str())
        .bind(i64::from(limit))
        .fetch_one(&self.pool)
        .await?;
        Ok(count.unsigned_abs())
    }

    /// The data that determines who may read a session of a project. One of another project is not found, in the
    /// same time as one that does not exist.
    pub async fn owner(&self, id: SessionId, project: &ProjectId) -> Result<Option<SessionOwner>, StorageError> {
        let row: Option<(String, Option<Uuid>, Option<Vec<String>>)> =
            sqlx::query_as("SELECT project_id, group_id, tags FROM sessions WHERE id = $1 AND project_id = $2")
                .bind(id.0)
                .bind(project.as_str())
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(project, group_id, tags)| SessionOwner {
            // Stored values were validated when they were written.
            project_id: project.parse().unwrap_or_default(),
            group_id,
            tags: tags.unwrap_or_default().into(),
        }))
    }

    /// Whether a project has a session. It takes the same time for one of another project as for one that does not
    /// exist.
    pub async fn has_session(&self, project: &ProjectId, id: SessionId) -> Result<bool, StorageError> {
        let sql = "SELECT EXISTS (SELECT FROM sessions WHERE id = $1 AND project_id = $2)";
        Ok(sqlx::query_scalar(sql).bind(id.0).bind(project.as_str()).fetch_one(&self.pool).await?)
    }

    /// One session's summary.
    pub async fn summary(&self, id: SessionId) -> Result<Option<SessionSummary>, StorageError> {
        let mut query = QueryBuilder::new(SUMMARY);
        query.push(" WHERE id = ").push_bind(id.0);
        let row: Option<Summary> = query.build_query_as().fetch_optional(&self.pool).await?;
        Ok(row.map(|Summary(summary)| summary))
    }
}

/// The columns of [`Summary`].
pub(super) const SUMMARY: &str = "SELECT id, workflow_id, workflow_name, group_id, status, started_at, ended_at,
    created_at, updated_at, revision, total_tokens, total_cost_usd, error, node_counts, project_id, name, tags,
    metadata, incarnation, driver_seen_at, is_stalled, parent_session_id, parent_node_id,
    (SELECT children FROM session_families WHERE session_id = sessions.id) AS children FROM sessions";

/// A summary as a row.
pub(super) struct Summary(pub SessionSummary);

impl FromRow<'_, PgRow> for Summary {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let time = |column: &str| -> sqlx::Result<Option<Timestamp>> {
            Ok(row.try_get::<Option<DateTime<Utc>>, _>(column)?.map(Timestamp::from))
        };
        let status: &str = row.try_get("status")?;
        let total_cost_usd: Decimal = row.try_get("total_cost_usd")?;
        let Json(node_counts): Json<NodeCounts> = row.try_get("node_counts")?;
        Ok(Self(SessionSummary {
            id: SessionId(row.try_get("id")?),
            // Stored values were validated when they were written.
            project_id: row.try_get::<&str, _>("project_id")?.parse().unwrap_or_default(),
            workflow_id: row.try_get("workflow_id")?,
            workflow_name: row.try_get("workflow_name")?,
            group_id: row.try_get("group_id")?,
            status: SessionStatus::parse(status)
                .ok_or_else(|| sqlx::Error::Decode(format!("unknown session status '{status}'").into()))?,
            started_at: time("started_at")?,
            completed_at: time("ended_at")?,
            created_at: row.try_get::<DateTime<Utc>, _>("created_at")?.into(),
            updated_at: row.try_get::<DateTime<Utc>, _>("updated_at")?.into(),
            revision: row.try_get::<i64, _>("revision")?.unsigned_abs(),
            total_tokens: row.try_get::<i64, _>("total_tokens")?.unsigned_abs(),
            total_cost_usd,
            error: row.try_get::<Option<String>, _>("error")?.map(Into::into),
            node_counts,
            incarnation: row.try_get("incarnation")?,
            name: row.try_get::<Option<String>, _>("name")?.map(Into::into),
            tags: row.try_get::<Option<Vec<String>>, _>("tags")?.unwrap_or_default().into(),
            metadata: row.try_get::<Option<Json<_>>, _>("metadata")?.map(|Json(metadata)| metadata).unwrap_or_default(),
            driver_seen_at: time("driver_seen_at")?,
            is_stalled: row.try_get::<Option<bool>, _>("is_stalled")?.unwrap_or_default(),
            parent_session_id: row.try_get::<Option<Uuid>, _>("parent_session_id")?.map(SessionId),
            parent_node_id: row.try_get::<Option<String>, _>("parent_node_id")?.map(NodeId::from),
            child_count: row.try_get::<Option<i64>, _>("children")?.unwrap_or_default().unsigned_abs(),
        }))
    }
}
