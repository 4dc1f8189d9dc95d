//! The audit log. Rows are only added; a trigger refuses everything else.

use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{actor, time};
use crate::storage::{Storage, StorageError};
use relive_session::{Actor, ProjectId, Timestamp};

/// The advisory lock under which rows are added; "relive" and a letter in ASCII.
const AUDIT_LOCK: i64 = 0x7265_6c69_7661;
/// Rows removed with one statement.
const AUDIT_PRUNED: i32 = 5_000;

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    pub id: Uuid,
    pub at: Timestamp,
    pub project: Option<ProjectId>,
    pub actor: Option<Actor>,
    pub action: String,
    pub resource: String,
    pub ip: Option<String>,
    pub request_id: Option<String>,
    pub outcome: &'static str,
    pub repeated: i64,
}

/// What is read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    pub id: Uuid,
    pub at: Timestamp,
    pub project: Option<String>,
    pub actor: Option<Actor>,
    pub action: String,
    pub resource: String,
    pub ip: Option<String>,
    pub request_id: Option<String>,
    pub outcome: String,
    pub repeated: i64,
}

/// Which rows are read.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// From the row after this one on, in the order of the list.
    pub after: Option<Uuid>,
    /// An actor's id.
    pub actor: Option<String>,
    pub action: Option<String>,
    pub newest_first: bool,
    /// With the rows of no project: refused requests whose sender is not known.
    pub with_unknown: bool,
}

fn read(row: &PgRow) -> sqlx::Result<AuditRecord> {
    Ok(AuditRecord {
        id: row.try_get("id")?,
        at: time(row, "at")?,
        project: row.try_get("project_id")?,
        actor: actor(row)?,
        action: row.try_get("action")?,
        resource: row.try_get("resource")?,
        ip: row.try_get("ip")?,
        request_id: row.try_get("request_id")?,
        outcome: row.try_get("outcome")?,
        repeated: row.try_get("repeated")?,
    })
}

/// Columns, side by side as `unnest` wants them.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<Uuid>,
    times: Vec<DateTime<Utc>>,
    projects: Vec<Option<&'a str>>,
    kinds: Vec<Option<&'a str>>,
    actors: Vec<Option<&'a str>>,
    names: Vec<Option<&'a str>>,
    actions: Vec<&'a str>,
    resources: Vec<&'a str>,
    ips: Vec<Option<&'a str>>,
    requests: Vec<Option<&'a str>>,
    outcomes: Vec<&'a str>,
    repeated: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(rows: &'a [AuditRow]) -> Self {
        let mut columns = Self::default();
        for row in rows {
            let actor = row.actor.as_ref();
            columns.ids.push(row.id);
            columns.times.push(row.at.as_datetime());
            columns.projects.push(row.project.as_ref().map(ProjectId::as_str));
            columns.kinds.push(actor.map(|actor| actor.kind.as_str()));
            columns.actors.push(actor.map(|actor| actor.id.as_str()));
            columns.names.push(actor.map(|actor| actor.name.as_str()));
            columns.actions.push(&row.action);
            columns.resources.push(&row.resource);
            columns.ips.push(row.ip.as_deref());
            columns.requests.push(row.request_id.as_deref());
            columns.outcomes.push(row.outcome);
            columns.repeated.push(row.repeated);
        }
        columns
    }
}

impl Storage {
    /// Adds rows. One that is there already is left out, so that a batch whose outcome is unknown can be written
    /// again.
    pub async fn append_audit(&self, rows: &[AuditRow]) -> Result<(), StorageError> {
        let columns = Columns::of(rows);
        let mut transaction = self.pool.begin().await?;
        transaction
            .run(async move |connection| -> sqlx::Result<()> {
                // A reader that continues after a row must not miss one with a smaller number that is committed later.
                let lock = "SELECT pg_advisory_xact_lock($1)";
                sqlx::query(lock).bind(AUDIT_LOCK).execute(&mut *connection).await?;
                sqlx::query(
                    "INSERT INTO audit_log (id, at, project_id, actor_kind, actor_id, actor_name, action, resource,
                                            ip, request_id, outcome, repeated)
                     SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[],
                         $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::bigint[])
                     ON CONFLICT (id) DO NOTHING",
                )
                .bind(columns.ids)
                .bind(columns.times)
                .bind(columns.projects)
                .bind(columns.kinds)
                .bind(columns.actors)
                .bind(columns.names)
                .bind(columns.actions)
                .bind(columns.resources)
                .bind(columns.ips)
                .bind(columns.requests)
                .bind(columns.outcomes)
                .bind(columns.repeated)
                .execute(&mut *connection)
                .await?;
                Ok(())
            })
            .await?;
        Ok(transaction.commit().await?)
    }

    /// The number of a row of a project.
    async fn audit_number(
        &self,
        project: &ProjectId,
        with_unknown: bool,
        id: Uuid,
    ) -> Result<Option<i64>, StorageError> {
        let sql = "SELECT number FROM audit_log
                   WHERE id = $1 AND (project_id = $2 OR ($3 AND project_id IS NULL))";
        let row = sqlx::query_scalar(sql).bind(id).bind(project.as_str()).bind(with_unknown);
        Ok(row.fetch_optional(&self.pool).await?)
    }

    /// Up to `limit` rows of a project, in the order of writing. `None` if the filter's `after` is no row of it, or
    /// not any more.
    pub async fn audit(
        &self,
        project: &ProjectId,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Option<Vec<AuditRecord>>, StorageError> {
        let after = match filter.after {
            None if filter.newest_first => i64::MAX,
            None => 0,
            Some(id) => match self.audit_number(project, filter.with_unknown, id).await? {
                Some(number) => number,
                None => return Ok(None),
            },
        };
        let sql = if filter.newest_first {
            "SELECT * FROM audit_log
             WHERE (project_id = $1 OR ($5 AND project_id IS NULL))
                 AND ($3::text IS NULL OR actor_id = $3) AND ($4::text IS NULL OR action = $4)
                 AND number < $2
             ORDER BY number DESC LIMIT $6"
        } else {
            "SELECT * FROM audit_log
             WHERE (project_id = $1 OR ($5 AND project_id IS NULL))
                 AND ($3::text IS NULL OR actor_id = $3) AND ($4::text IS NULL OR action = $4)
                 AND number > $2
             ORDER BY number LIMIT $6"
        };
        let rows = sqlx::query(sql)
            .bind(project.as_str())
            .bind(after)
            .bind(filter.actor.as_deref())
            .bind(filter.action.as_deref())
            .bind(filter.with_unknown)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        Ok(Some(rows.iter().map(read).collect::<sqlx::Result<_>>()?))
    }

    /// Removes some of the rows that are older than `age`, or beyond the newest `kept`; true if there may be more.
    pub async fn prune_audit(&self, age: Duration, kept: i64) -> Result<bool, StorageError> {
        let removed: i64 = sqlx::query_scalar("SELECT relive_prune_audit(make_interval(secs => $1), $2, $3)")
            .bind(age.as_secs_f64())
            .bind(kept)
            .bind(AUDIT_PRUNED)
            .fetch_one(&self.pool)
            .await?;
        Ok(removed >= i64::from(AUDIT_PRUNED))
    }
}
