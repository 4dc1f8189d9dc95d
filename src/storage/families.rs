//! Families: sessions that were started by other sessions (see the migration `0019_families`).

use std::collections::HashMap;

use sqlx::postgres::PgConnection;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::session_list::SessionFilter;
use super::usage::{DESCENDANTS, FamilyUsage};
use super::{Constraint, Storage, StorageError};
use relive_session::{ProjectId, Session, SessionId, limits};

/// Locks the parent of a session that is about to be stored, until the commit.
///
/// # Errors
///
/// [`StorageError::Constraint`] if the project has no such session, or its family has no room.
pub(super) async fn enter_family(connection: &mut PgConnection, session: &Session) -> Result<(), StorageError> {
    match session.parent() {
        Some(parent) => lock_parent(connection, &session.origin.project_id, parent).await,
        None => Ok(()),
    }
}

/// As [`enter_family`], for a child that is stored later in the transaction.
pub(super) async fn lock_parent(
    connection: &mut PgConnection,
    project: &ProjectId,
    parent: SessionId,
) -> Result<(), StorageError> {
    let held: Option<Uuid> =
        sqlx::query_scalar("SELECT id FROM sessions WHERE id = $1 AND project_id = $2 FOR KEY SHARE")
            .bind(parent.0)
            .bind(project.as_str())
            .fetch_optional(&mut *connection)
            .await?;
    if held.is_none() {
        return Err(Constraint::NoSuchParent.into());
    }
    // A parent exists before its children and never changes, so there is no circle.
    let (depth, children): (i32, Option<i64>) = sqlx::query_as(
        "WITH RECURSIVE line (id, depth) AS (
             SELECT $1::uuid, 1
             UNION ALL SELECT parent_session_id, depth + 1 FROM line JOIN sessions USING (id)
             WHERE parent_session_id IS NOT NULL AND depth < $2
         )
         SELECT max(depth), (SELECT children FROM session_families WHERE session_id = $1) FROM line",
    )
    .bind(parent.0)
    .bind(i32::try_from(limits::GENERATIONS).unwrap_or(i32::MAX))
    .fetch_one(connection)
    .await?;
    if depth.unsigned_abs() as usize >= limits::GENERATIONS {
        return Err(Constraint::TooManyGenerations.into());
    }
    if children.unwrap_or_default().unsigned_abs() >= limits::CHILDREN {
        return Err(Constraint::TooManyChildren.into());
    }
    Ok(())
}

/// The children of a session.
pub(super) async fn children_of(connection: &mut PgConnection, id: SessionId) -> Result<Vec<SessionId>, StorageError> {
    let children: Vec<Uuid> = sqlx::query_scalar(
        "SELECT child.id FROM sessions AS parent
         JOIN session_labels ON label = relive_label(parent.project_id, 'parent', parent.id::text)
         JOIN sessions AS child ON child.id = session_labels.session_id AND child.parent_session_id = parent.id
         WHERE parent.id = $1",
    )
    .bind(id.0)
    .fetch_all(connection)
    .await?;
    Ok(children.into_iter().map(SessionId).collect())
}

impl Storage {
    /// How many children these sessions have; those without any are left out.
    pub async fn child_counts(&self, ids: &[SessionId]) -> Result<HashMap<SessionId, u64>, StorageError> {
        let counts: Vec<(Uuid, i64)> =
            sqlx::query_as("SELECT session_id, children FROM session_families WHERE session_id = ANY($1)")
                .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
                .fetch_all(&self.pool)
                .await?;
        Ok(counts.into_iter().map(|(id, children)| (SessionId(id), children.unsigned_abs())).collect())
    }

    /// As [`Storage::child_counts`], of those children that a reader may see; nothing else of the filter counts.
    pub async fn visible_child_counts(
        &self,
        filter: &SessionFilter,
        ids: &[SessionId],
    ) -> Result<HashMap<SessionId, u64>, StorageError> {
        let (project_id, visible) = (filter.project_id.clone(), filter.visible.clone());
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let mut query = QueryBuilder::new(
            "SELECT parent_session_id, count(*) FROM sessions WHERE id IN (SELECT session_id FROM session_labels
                 WHERE label = ANY(ARRAY(SELECT relive_label(",
        );
        query.push_bind(project_id.as_str().to_owned()).push(", 'parent', parent::text) FROM unnest(");
        query
            .push_bind(ids.clone())
            .push("::uuid[]) AS parent))) AND parent_session_id = ANY(")
            .push_bind(ids)
            .push(")");
        SessionFilter { project_id, visible, ..SessionFilter::default() }.push_to(&mut query);
        query.push(" GROUP BY parent_session_id");
        let counts: Vec<(Uuid, i64)> = query.build_query_as().persistent(false).fetch_all(&self.pool).await?;
        Ok(counts.into_iter().map(|(id, children)| (SessionId(id), children.unsigned_abs())).collect())
    }

    /// The usage of a session with its descendants, as far as `visible` shows them.
    pub async fn family_usage(&self, id: SessionId, visible: &SessionFilter) -> Result<FamilyUsage, StorageError> {
        let mut query = QueryBuilder::new("");
        push_family(&mut query, id, visible);
        FamilyUsage::read(query, &self.pool).await
    }

    /// The plan with which [`Storage::family_usage`] is read: `EXPLAIN (ANALYZE, FORMAT JSON)`.
    pub async fn explain_family_usage(
        &self,
        id: SessionId,
        visible: &SessionFilter,
    ) -> Result<serde_json::Value, StorageError> {
        let mut query = QueryBuilder::new("EXPLAIN (ANALYZE, FORMAT JSON) ");
        push_family(&mut query, id, visible);
        FamilyUsage::push_sums(&mut query);
        let sqlx::types::Json(plan) = query.build_query_scalar().persistent(false).fetch_one(&self.pool).await?;
        Ok(plan)
    }
}

/// Begins a statement with the tables `family`, the ids of a session and of its descendants, and `shown`, those that
/// the reader may see; one more than are added up.
fn push_family(query: &mut QueryBuilder<Postgres>, id: SessionId, visible: &SessionFilter) {
    query.push("WITH RECURSIVE descent (id, depth) AS (SELECT ").push_bind(id.0);
    query.push(
        "::uuid, 0 UNION ALL
             SELECT child.id, depth + 1 FROM descent
             JOIN session_labels ON label = relive_label(",
    );
    query.push_bind(visible.project_id.as_str().to_owned()).push(
        ", 'parent', descent.id::text)
             JOIN sessions AS child ON child.id = session_id AND child.parent_session_id = descent.id
             WHERE depth < ",
    );
    query.push_bind(i32::try_from(limits::GENERATIONS).unwrap_or(i32::MAX));
    query.push("), family AS MATERIALIZED (SELECT id FROM descent LIMIT ").push_bind(DESCENDANTS + 2);
    query.push("), shown AS MATERIALIZED (SELECT id FROM sessions WHERE id IN (SELECT id FROM family)");
    visible.push_to(query);
    query.push(") ");
}
