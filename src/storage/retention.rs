//! Rules by which ended sessions are deleted or archived (see the migration `0029_retention`).

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::Json;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::bigint::bigint;
use super::session_list::SessionFilter;
use super::{Storage, StorageError};
use relive_session::{ProjectId, SessionStatus, Timestamp};

const DAY: f64 = 86_400.0;

/// What a rule does, and how many days after the end.
///
/// The names are those of the stored rule. A server of a version without the archive cannot read a rule that archives,
/// and so does not apply it, which would be to delete.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum RetentionAction {
    #[serde(rename = "olderThanDays")]
    Delete(f64),
    #[serde(rename = "archiveAfterDays")]
    Archive(f64),
}

impl RetentionAction {
    #[must_use]
    pub fn days(self) -> f64 {
        match self {
            Self::Delete(days) | Self::Archive(days) => days,
        }
    }
}

/// Which sessions are deleted or archived, and how long after their end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetentionRule {
    /// Any of these; empty: all that sessions end with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<SessionStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    #[serde(flatten)]
    pub action: RetentionAction,
}

impl RetentionRule {
    /// The sessions that it applies to at a time. Those that have not ended have no time of their end, so that none of
    /// them is among these; those that came back from the archive less than `restored` ago are not either. `None`: the
    /// time lies before the year 0.
    #[must_use]
    pub fn filter(&self, project_id: ProjectId, now: Timestamp, restored: Duration) -> Option<SessionFilter> {
        let age = Duration::try_from_secs_f64(self.action.days() * DAY).ok()?;
        Some(SessionFilter {
            project_id,
            statuses: self.statuses.clone(),
            workflow_id: self.workflow_id,
            group_id: self.group_id,
            tags: self.tag.iter().cloned().collect(),
            ended_before: Some(now.before(age)?),
            not_restored_after: now.before(restored),
            ..SessionFilter::default()
        })
    }
}

/// A rule, and what it has removed.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRule {
    pub rule: RetentionRule,
    pub removed: u64,
    pub last_removed_at: Option<Timestamp>,
}

/// The rules of a project, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RetentionState {
    pub rules: Vec<StoredRule>,
    /// By rules that are not there any more too.
    pub removed: u64,
    pub applied_at: Option<Timestamp>,
    /// `None`: no rules were ever given.
    pub updated_at: Option<Timestamp>,
}

/// A project whose rules this server is to apply. No other server is given it for as long as was asked for.
#[derive(Clone, Debug)]
pub struct RetentionClaim {
    pub project_id: ProjectId,
    /// The time of the database.
    pub now: Timestamp,
    /// Tells these rules from later ones.
    updated_at: DateTime<Utc>,
}

impl FromRow<'_, PgRow> for StoredRule {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            rule: row.try_get::<Json<RetentionRule>, _>("rule")?.0,
            removed: row.try_get::<i64, _>("removed")?.unsigned_abs(),
            last_removed_at: row.try_get::<Option<DateTime<Utc>>, _>("last_removed_at")?.map(Into::into),
        })
    }
}

async fn replace(connection: &mut PgConnection, project: &str, rules: &[RetentionRule]) -> Result<(), StorageError> {
    let rules: Vec<Json<&RetentionRule>> = rules.iter().map(Json).collect();
    let held = "INSERT INTO retention (project_id) VALUES ($1)
        ON CONFLICT (project_id) DO UPDATE SET updated_at = clock_timestamp(), due_at = clock_timestamp()";
    sqlx::query(held).bind(project).execute(&mut *connection).await?;
    let former = "DELETE FROM retention_rules WHERE project_id = $1 AND rule <> ALL($2)";
    sqlx::query(former).bind(project).bind(&rules).execute(&mut *connection).await?;
    // Of the same rule twice, the first counts.
    let stored = "INSERT INTO retention_rules (project_id, rule, position)
        SELECT $1, rule, min(position)
        FROM unnest($2::jsonb[]) WITH ORDINALITY AS given (rule, position) GROUP BY rule
        ON CONFLICT (project_id, rule) DO UPDATE SET position = excluded.position";
    sqlx::query(stored).bind(project).bind(&rules).execute(connection).await?;
    Ok(())
}

impl Storage {
    /// Replaces the rules of a project. A rule that was there before keeps the number of what it has removed.
    pub async fn replace_retention(&self, project: &ProjectId, rules: &[RetentionRule]) -> Result<(), StorageError> {
        let mut transaction = self.pool.begin().await?;
        transaction.run(async |connection| replace(connection, project.as_str(), rules).await).await?;
        Ok(transaction.commit().await?)
    }

    /// The rules of a project, and what they have removed.
    pub async fn retention(&self, project: &ProjectId) -> Result<RetentionState, StorageError> {
        let held: Option<(DateTime<Utc>, Option<DateTime<Utc>>, i64)> =
            sqlx::query_as("SELECT updated_at, applied_at, removed FROM retention WHERE project_id = $1")
                .bind(project.as_str())
                .fetch_optional(&self.pool)
                .await?;
        let Some((updated_at, applied_at, removed)) = held else { return Ok(RetentionState::default()) };
        let rules = self.retention_rules(project).await?;
        let (updated_at, applied_at) = (Some(updated_at.into()), applied_at.map(Into::into));
        Ok(RetentionState { rules, removed: removed.unsigned_abs(), applied_at, updated_at })
    }

    /// The rules of a project, in order.
    pub async fn retention_rules(&self, project: &ProjectId) -> Result<Vec<StoredRule>, StorageError> {
        let sql = "SELECT rule, removed, last_removed_at FROM retention_rules WHERE project_id = $1 ORDER BY position";
        Ok(sqlx::query_as(sql).bind(project.as_str()).fetch_all(&self.pool).await?)
    }

    /// Claims a project whose rules are due.
    pub async fn claim_retention(&self, time: Duration) -> Result<Option<RetentionClaim>, StorageError> {
        let row: Option<(String, DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
            "UPDATE retention SET due_at = clock_timestamp() + make_interval(secs => $1)
             WHERE project_id = (
                 SELECT project_id FROM retention
                 WHERE due_at <= clock_timestamp() AND EXISTS (
                     SELECT FROM retention_rules WHERE retention_rules.project_id = retention.project_id)
                 ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
             RETURNING project_id, clock_timestamp(), updated_at",
        )
        .bind(time.as_secs_f64())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(project, now, updated_at)| RetentionClaim {
            // Stored values were validated when they were written.
            project_id: project.parse().unwrap_or_default(),
            now: now.into(),
            updated_at,
        }))
    }

    /// Notes what a rule has removed and keeps the claim for this time on; false if the rules are others by now.
    pub async fn note_removed(
        &self,
        claim: &RetentionClaim,
        rule: &RetentionRule,
        removed: u64,
        time: Duration,
    ) -> Result<bool, StorageError> {
        let row: (bool,) = sqlx::query_as(
            "WITH counted AS (
                 UPDATE retention_rules SET removed = removed + $3, last_removed_at = clock_timestamp()
                 WHERE project_id = $1 AND rule = $2 AND $3 > 0
             ), kept AS (
                 UPDATE retention SET removed = removed + $3,
                     due_at = CASE WHEN updated_at = $4 THEN clock_timestamp() + make_interval(secs => $5) ELSE due_at END
                 WHERE project_id = $1 RETURNING updated_at = $4 AS is_kept
             )
             SELECT COALESCE(bool_or(is_kept), false) FROM kept",
        )
        .bind(claim.project_id.as_str())
        .bind(Json(rule))
        .bind(bigint(removed))
        .bind(claim.updated_at)
        .bind(time.as_secs_f64())
        .fetch_one(&self.pool)
        .await?;
        Ok(row.0)
    }

    /// The rules were applied to the end; they are due again after this time.
    pub async fn end_retention(&self, claim: &RetentionClaim, again: Duration) -> Result<(), StorageError> {
        sqlx::query(
            "UPDATE retention SET applied_at = clock_timestamp(),
                 due_at = clock_timestamp() + make_interval(secs => $3)
             WHERE project_id = $1 AND updated_at = $2",
        )
        .bind(claim.project_id.as_str())
        .bind(claim.updated_at)
        .bind(again.as_secs_f64())
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
