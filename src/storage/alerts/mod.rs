//! Alerts: their rows, what is found of the runs they concern, and what is sent when one is raised or resolved.
//!
//! ```text
//! alerts that are due ─▶ observations ─▶ alert_events + webhook_deliveries + alert_emails, in one transaction
//! ```

mod changes;
mod emails;
mod observations;

use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::access::{optional_time, project, time};
use super::{Constraint, Entity, Page, PageCursor, Storage, StorageError};
use relive_session::{
    Alert, AlertChange, AlertEmail, AlertEvent, AlertFields, AlertFilter, AlertNotify, AlertObservation, AlertStatus,
    DeliveryStatus, ProjectId, Timestamp,
};

pub use changes::{AlertTransition, NewAlertEmail};
pub use emails::{DueEmail, EmailAttempt};
pub use observations::{FailedRuns, SlowRun, UsualRuns};

/// Alerts of a project at most: each is looked at all the time.
const ALERTS: i64 = 100;
/// How often an alert is looked at.
const LOOK: Duration = Duration::from_secs(15);
/// How often one on a budget is, whose statement reads the most.
const LOOK_AT_BUDGET: Duration = Duration::from_mins(1);

/// Conditions that this version knows; those of a newer one are for servers of that version.
const CONDITIONS: [&str; 3] = ["failures", "slowRun", "budget"];

/// An alert, and what tells its fields from those of another time.
#[derive(Clone, Debug)]
pub struct StoredAlert {
    pub alert: Alert,
    /// Another one after every change.
    pub version: i64,
}

/// An alert that is to be looked at now.
#[derive(Clone, Debug)]
pub struct DueAlert {
    pub project: ProjectId,
    pub alert: Alert,
    pub version: i64,
    /// Of its last event; 0 if there was none.
    pub number: u64,
    /// What runs were compared with the last time.
    pub usual: Option<UsualRuns>,
    /// The database's time.
    pub now: Timestamp,
}

fn filter(row: &PgRow) -> sqlx::Result<AlertFilter> {
    Ok(AlertFilter {
        workflow_id: row.try_get("workflow_id")?,
        group_id: row.try_get("group_id")?,
        tag: row.try_get("tag")?,
    })
}

fn read(row: &PgRow) -> sqlx::Result<Alert> {
    let Json(condition) = row.try_get("condition")?;
    let raised_at = optional_time(row, "raised_at")?;
    Ok(Alert {
        id: row.try_get("id")?,
        fields: AlertFields {
            name: row.try_get("name")?,
            condition,
            filter: filter(row)?,
            notify: AlertNotify { webhook_ids: row.try_get("webhook_ids")?, emails: row.try_get("emails")? },
            enabled: row.try_get("enabled")?,
        },
        status: if raised_at.is_some() { AlertStatus::Raised } else { AlertStatus::Resolved },
        raised_at,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
    })
}

impl Entity for StoredAlert {
    const TABLE: &'static str = "alerts";

    fn cursor(&self) -> PageCursor {
        PageCursor { created_at: self.alert.created_at, id: self.alert.id }
    }

    fn read(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self { alert: read(row)?, version: row.try_get("version")? })
    }
}

fn read_due(row: &PgRow) -> sqlx::Result<DueAlert> {
    Ok(DueAlert {
        project: project(row, "project_id")?,
        alert: read(row)?,
        version: row.try_get("version")?,
        number: row.try_get::<i64, _>("number")?.unsigned_abs(),
        usual: observations::read_usual(row)?,
        now: time(row, "now")?,
    })
}

fn read_event(row: &PgRow) -> sqlx::Result<AlertEvent> {
    let Json(condition) = row.try_get("condition")?;
    let observed: Option<Json<AlertObservation>> = row.try_get("observed")?;
    let change = AlertChange::parse(row.try_get("type")?)
        .ok_or_else(|| sqlx::Error::Decode("an unknown event of an alert".into()))?;
    Ok(AlertEvent {
        number: row.try_get::<i64, _>("number")?.unsigned_abs(),
        change,
        at: time(row, "at")?,
        condition,
        observed: observed.map(|Json(observed)| observed),
        emails: Vec::new(),
    })
}

fn read_email(row: &PgRow) -> sqlx::Result<(u64, AlertEmail)> {
    let status = DeliveryStatus::parse(row.try_get("status")?)
        .ok_or_else(|| sqlx::Error::Decode("an unknown status of an e-mail".into()))?;
    let email = AlertEmail {
        to: row.try_get("recipient")?,
        status,
        attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
        error: row.try_get("error")?,
    };
    Ok((row.try_get::<i64, _>("number")?.unsigned_abs(), email))
}

/// Events have numbers, and cursors ids.
fn cursor_of(event: &AlertEvent) -> PageCursor {
    PageCursor { created_at: event.at, id: Uuid::from_u64_pair(0, event.number) }
}

fn number_of(cursor: PageCursor) -> i64 {
    i64::try_from(cursor.id.as_u64_pair().1).unwrap_or(i64::MAX)
}

impl Storage {
    /// Stores an alert. It is looked at as soon as a server comes to it.
    ///
    /// # Errors
    ///
    /// [`Constraint::TooManyAlerts`], and [`Constraint::NoSuchWebhook`] if the project lacks one that it names.
    pub async fn create_alert(
        &self,
        project: &ProjectId,
        id: Uuid,
        fields: &AlertFields,
        at: Timestamp,
    ) -> Result<Alert, StorageError> {
        self.require_webhooks(project, &fields.notify.webhook_ids).await?;
        let AlertFields { name, condition, filter, notify, enabled } = fields;
        let row = sqlx::query(
            "INSERT INTO alerts (id, project_id, name, condition, workflow_id, group_id, tag, webhook_ids, emails,
                 enabled, created_at, updated_at, due_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, CASE WHEN $10 THEN clock_timestamp() END
             WHERE (SELECT count(*) FROM alerts WHERE project_id = $2) < $12 RETURNING *",
        )
        .bind(id)
        .bind(project.as_str())
        .bind(name)
        .bind(Json(condition))
        .bind(filter.workflow_id)
        .bind(filter.group_id)
        .bind(filter.tag.as_deref())
        .bind(&notify.webhook_ids)
        .bind(&notify.emails)
        .bind(enabled)
        .bind(at.as_datetime())
        .bind(ALERTS)
        .fetch_optional(&self.pool)
        .await?;
        Ok(read(&row.ok_or(Constraint::TooManyAlerts)?)?)
    }

    /// Changes an alert that still is as it was at `version`; `None` if the project has no such one. What it was raised
    /// for is looked at again at once.
    ///
    /// # Errors
    ///
    /// [`Constraint::NoSuchWebhook`] if the project lacks one that it names.
    pub async fn update_alert(
        &self,
        project: &ProjectId,
        id: Uuid,
        version: i64,
        fields: &AlertFields,
        at: Timestamp,
    ) -> Result<Option<Alert>, StorageError> {
        self.require_webhooks(project, &fields.notify.webhook_ids).await?;
        let AlertFields { name, condition, filter, notify, enabled } = fields;
        let row = sqlx::query(
            "UPDATE alerts SET name = $4, condition = $5, workflow_id = $6, group_id = $7, tag = $8, webhook_ids = $9,
                 emails = $10, enabled = $11, updated_at = $12, version = version + 1, compared_at = NULL,
                 due_at = CASE WHEN $11 OR raised_at IS NOT NULL THEN clock_timestamp() END
             WHERE id = $1 AND project_id = $2 AND version = $3 RETURNING *",
        )
        .bind(id)
        .bind(project.as_str())
        .bind(version)
        .bind(name)
        .bind(Json(condition))
        .bind(filter.workflow_id)
        .bind(filter.group_id)
        .bind(filter.tag.as_deref())
        .bind(&notify.webhook_ids)
        .bind(&notify.emails)
        .bind(enabled)
        .bind(at.as_datetime())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// One that is deleted at the same time is not told of anything.
    async fn require_webhooks(&self, project: &ProjectId, ids: &[Uuid]) -> Result<(), StorageError> {
        if ids.is_empty() {
            return Ok(());
        }
        let sql = "SELECT count(*) FROM webhooks WHERE id = ANY ($1) AND project_id = $2";
        let found: i64 = sqlx::query_scalar(sql).bind(ids).bind(project.as_str()).fetch_one(&self.pool).await?;
        if usize::try_from(found) == Ok(ids.len()) { Ok(()) } else { Err(Constraint::NoSuchWebhook.into()) }
    }

    /// Whether the project has this alert, and if so a page of its events, newest first.
    pub async fn alert_events(
        &self,
        project: &ProjectId,
        alert: Uuid,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Option<Page<AlertEvent>>, StorageError> {
        if self.entity::<StoredAlert>(project, alert).await?.is_none() {
            return Ok(None);
        }
        let rows = sqlx::query(
            "SELECT * FROM alert_events WHERE alert_id = $1 AND ($2::bigint IS NULL OR number < $2)
             ORDER BY number DESC LIMIT $3",
        )
        .bind(alert)
        .bind(after.map(number_of))
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.pool)
        .await?;
        let mut rows = rows.iter().map(read_event).collect::<sqlx::Result<Vec<_>>>()?;
        for (number, email) in self.emails_of(alert, &rows).await? {
            if let Some(event) = rows.iter_mut().find(|event| event.number == number) {
                event.emails.push(email);
            }
        }
        Ok(Some(Page::cut(rows, limit, cursor_of)))
    }

    async fn emails_of(&self, alert: Uuid, events: &[AlertEvent]) -> Result<Vec<(u64, AlertEmail)>, StorageError> {
        let numbers: Vec<i64> = events.iter().map(|event| i64::try_from(event.number).unwrap_or(i64::MAX)).collect();
        let rows = sqlx::query(
            "SELECT number, recipient, status, attempts, error FROM alert_emails
             WHERE alert_id = $1 AND number = ANY ($2) ORDER BY number, recipient",
        )
        .bind(alert)
        .bind(numbers)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.iter().map(read_email).collect::<sqlx::Result<_>>()?)
    }

    /// Up to `limit` alerts that are to be looked at, the longest due first. No other server is given them until they
    /// are due again.
    pub async fn claim_due_alerts(&self, limit: u32) -> Result<Vec<DueAlert>, StorageError> {
        let rows = sqlx::query(
            "UPDATE alerts SET due_at = clock_timestamp()
                 + make_interval(secs => CASE condition->>'type' WHEN 'budget' THEN $1::float8 ELSE $2 END)
             WHERE id = ANY (ARRAY(
                 SELECT id FROM alerts WHERE due_at <= now() AND condition->>'type' = ANY ($4)
                 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED))
             RETURNING *, clock_timestamp() AS now",
        )
        .bind(LOOK_AT_BUDGET.as_secs_f64())
        .bind(LOOK.as_secs_f64())
        .bind(i64::from(limit))
        .bind(&CONDITIONS[..])
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.iter().map(read_due).collect::<sqlx::Result<_>>()?)
    }
}
