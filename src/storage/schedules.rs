//! Schedules, and their runs.
//!
//! All times are compared with the database's clock, so that the clocks of servers do not matter.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::access::{optional_time, project, time};
use super::{Constraint, Entity, PageCursor, Storage, StorageError};
use relive_session::{
    LastRun, Overlap, ProjectId, Schedule, ScheduleFields, ScheduleOutcome, SessionId, SessionIdentity, Timestamp,
};

/// Schedules of a project at most.
const SCHEDULES: i64 = 1_000;
/// Runs of a schedule of which it is known that they are its runs.
const RUNS: i64 = 1_000;

/// A schedule that is due, and that this server is to fire.
#[derive(Clone, Debug)]
pub struct DueSchedule {
    pub project: ProjectId,
    pub schedule: Schedule,
    /// When it was to be fired.
    pub due_at: Timestamp,
    /// The database's time.
    pub now: Timestamp,
}

/// What came of a schedule that was due.
#[derive(Clone, Debug)]
pub struct FiredSchedule {
    pub last: LastRun,
    /// When it is due again.
    pub next: Option<Timestamp>,
}

fn decode<T>(value: Option<T>, what: &str) -> sqlx::Result<T> {
    value.ok_or_else(|| sqlx::Error::Decode(format!("an unknown {what} of a schedule").into()))
}

impl Entity for Schedule {
    const TABLE: &'static str = "schedules";

    fn cursor(&self) -> PageCursor {
        PageCursor { created_at: self.created_at, id: self.id }
    }

    fn read(row: &PgRow) -> sqlx::Result<Self> {
        let inputs: Option<Json<serde_json::Value>> = row.try_get("inputs")?;
        let seconds: i64 = row.try_get("catch_up_seconds")?;
        Ok(Self {
            id: row.try_get("id")?,
            fields: ScheduleFields {
                workflow_id: row.try_get("workflow_id")?,
                name: row.try_get("name")?,
                cron: row.try_get("cron")?,
                timezone: row.try_get("timezone")?,
                inputs: inputs.map(|Json(inputs)| Arc::new(inputs)),
                overlap: decode(Overlap::parse(row.try_get("overlap")?), "overlap")?,
                enabled: row.try_get("enabled")?,
                catch_up_seconds: u32::try_from(seconds).unwrap_or_default(),
            },
            next_run_at: optional_time(row, "next_at")?,
            last_run: read_last(row)?,
            created_at: time(row, "created_at")?,
            updated_at: time(row, "updated_at")?,
        })
    }
}

fn read_last(row: &PgRow) -> sqlx::Result<Option<LastRun>> {
    let Some(at) = optional_time(row, "last_at")? else { return Ok(None) };
    Ok(Some(LastRun {
        at,
        outcome: decode(ScheduleOutcome::parse(row.try_get("last_outcome")?), "outcome")?,
        session_id: row.try_get::<Option<Uuid>, _>("last_session_id")?.map(SessionId),
        error: row.try_get("last_error")?,
    }))
}

fn read_due(row: &PgRow) -> sqlx::Result<DueSchedule> {
    Ok(DueSchedule {
        project: project(row, "project_id")?,
        schedule: Schedule::read(row)?,
        due_at: time(row, "next_at")?,
        now: time(row, "now")?,
    })
}

impl Storage {
    /// Stores a schedule that is due at `next`.
    ///
    /// # Errors
    ///
    /// [`Constraint::NoSuchWorkflow`] if the project has no such one, [`Constraint::TooManySchedules`].
    pub async fn create_schedule(
        &self,
        project: &ProjectId,
        id: Uuid,
        fields: &ScheduleFields,
        next: Option<Timestamp>,
        at: Timestamp,
    ) -> Result<Schedule, StorageError> {
        self.require_workflow(project, fields.workflow_id).await?;
        let row = sqlx::query(
            "INSERT INTO schedules (id, project_id, workflow_id, name, cron, timezone, inputs, overlap, enabled,
                 catch_up_seconds, next_at, created_at, updated_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12
             WHERE (SELECT count(*) FROM schedules WHERE project_id = $2) < $13 RETURNING *",
        )
        .bind(id)
        .bind(project.as_str())
        .bind(fields.workflow_id)
        .bind(fields.name.as_deref())
        .bind(&fields.cron)
        .bind(&fields.timezone)
        .bind(fields.inputs.as_deref().map(Json))
        .bind(fields.overlap.as_str())
        .bind(fields.enabled)
        .bind(i64::from(fields.catch_up_seconds))
        .bind(next.map(Timestamp::as_datetime))
        .bind(at.as_datetime())
        .bind(SCHEDULES)
        .fetch_optional(&self.pool)
        .await?;
        Ok(Schedule::read(&row.ok_or(Constraint::TooManySchedules)?)?)
    }

    /// Replaces a schedule's fields; `None` if the project has no such one.
    ///
    /// # Errors
    ///
    /// [`Constraint::NoSuchWorkflow`].
    pub async fn update_schedule(
        &self,
        project: &ProjectId,
        id: Uuid,
        fields: &ScheduleFields,
        next: Option<Timestamp>,
        at: Timestamp,
    ) -> Result<Option<Schedule>, StorageError> {
        self.require_workflow(project, fields.workflow_id).await?;
        let row = sqlx::query(
            "UPDATE schedules SET workflow_id = $3, name = $4, cron = $5, timezone = $6, inputs = $7, overlap = $8,
                 enabled = $9, catch_up_seconds = $10, next_at = $11, updated_at = $12, claimed_until = '-infinity'
             WHERE id = $1 AND project_id = $2 RETURNING *",
        )
        .bind(id)
        .bind(project.as_str())
        .bind(fields.workflow_id)
        .bind(fields.name.as_deref())
        .bind(&fields.cron)
        .bind(&fields.timezone)
        .bind(fields.inputs.as_deref().map(Json))
        .bind(fields.overlap.as_str())
        .bind(fields.enabled)
        .bind(i64::from(fields.catch_up_seconds))
        .bind(next.map(Timestamp::as_datetime))
        .bind(at.as_datetime())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.as_ref().map(Schedule::read).transpose()?)
    }

    /// A workflow that is deleted at the same time takes the schedule with it.
    async fn require_workflow(&self, project: &ProjectId, id: Uuid) -> Result<(), StorageError> {
        let sql = "SELECT EXISTS (SELECT FROM workflows WHERE id = $1 AND project_id = $2)";
        let is_there: bool = sqlx::query_scalar(sql).bind(id).bind(project.as_str()).fetch_one(&self.pool).await?;
        if is_there { Ok(()) } else { Err(Constraint::NoSuchWorkflow.into()) }
    }

    /// Claims up to `limit` schedules that are due, the longest due first. No other server is given them for `time`.
    pub async fn claim_due_schedules(&self, time: Duration, limit: u32) -> Result<Vec<DueSchedule>, StorageError> {
        let rows = sqlx::query(
            "UPDATE schedules SET claimed_until = clock_timestamp() + make_interval(secs => $1)
             WHERE id = ANY (ARRAY(
                 SELECT id FROM schedules WHERE next_at <= clock_timestamp() AND claimed_until < clock_timestamp()
                 ORDER BY next_at LIMIT $2 FOR UPDATE SKIP LOCKED))
             RETURNING *, clock_timestamp() AS now",
        )
        .bind(time.as_secs_f64())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.iter().map(read_due).collect::<sqlx::Result<_>>()?)
    }

    /// Records what came of a schedule that was due, and when it is due again; unless it was changed, or another server
    /// has done so.
    pub async fn record_firing(&self, due: &DueSchedule, fired: &FiredSchedule) -> Result<(), StorageError> {
        let LastRun { at, outcome, session_id, error } = &fired.last;
        sqlx::query(
            "WITH fired AS (
                 UPDATE schedules SET next_at = $3, claimed_until = '-infinity', last_at = $4, last_outcome = $5,
                     last_session_id = $6, last_error = $7
                 WHERE id = $1 AND next_at = $2 RETURNING id
             )
             DELETE FROM schedule_runs WHERE schedule_id = $1 AND at < (
                 SELECT at FROM schedule_runs WHERE schedule_id = $1 ORDER BY at DESC OFFSET $8 LIMIT 1)",
        )
        .bind(due.schedule.id)
        .bind(due.due_at.as_datetime())
        .bind(fired.next.map(Timestamp::as_datetime))
        .bind(at.as_datetime())
        .bind(outcome.as_str())
        .bind(session_id.map(|id| id.0))
        .bind(error.as_deref())
        .bind(RUNS - 1)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes a run of a schedule, before it is created.
    pub async fn note_schedule_run(&self, schedule: Uuid, at: Timestamp, id: SessionId) -> Result<(), StorageError> {
        sqlx::query(
            "INSERT INTO schedule_runs (schedule_id, at, session_id)
             SELECT id, $2, $3 FROM schedules WHERE id = $1 ON CONFLICT DO NOTHING",
        )
        .bind(schedule)
        .bind(at.as_datetime())
        .bind(id.0)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The runs of a schedule that have not ended, but not the one that was to begin at `at`.
    pub async fn running_of_schedule(
        &self,
        schedule: Uuid,
        at: Timestamp,
    ) -> Result<Vec<(SessionId, SessionIdentity)>, StorageError> {
        let rows = sqlx::query(
            "SELECT s.id, s.created_at, s.incarnation FROM schedule_runs AS r JOIN sessions AS s ON s.id = r.session_id
             WHERE r.schedule_id = $1 AND r.at <> $2 AND s.ended_at IS NULL ORDER BY r.at",
        )
        .bind(schedule)
        .bind(at.as_datetime())
        .fetch_all(&self.pool)
        .await?;
        let running = |row: &PgRow| {
            let identity =
                SessionIdentity { created_at: time(row, "created_at")?, incarnation: row.try_get("incarnation")? };
            Ok((SessionId(row.try_get("id")?), identity))
        };
        Ok(rows.iter().map(running).collect::<sqlx::Result<_>>()?)
    }
}
