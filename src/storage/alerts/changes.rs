//! Raising and resolving an alert: one transaction writes that, and all that is sent of it.

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::Json;
use uuid::Uuid;

use super::DueAlert;
use crate::storage::bigint::bigint;
use crate::storage::webhooks::{read_filter, read_types};
use crate::storage::{Storage, StorageError};
use relive_session::{AlertChange, AlertFilter, AlertObservation, WebhookFilter, WebhookType};

/// Events of an alert that are kept; of more, the oldest are deleted.
const EVENTS: i64 = 1_000;

/// An e-mail to be stored. It is due at once.
#[derive(Clone, Debug)]
pub struct NewAlertEmail {
    pub id: Uuid,
    pub recipient: String,
    pub subject: String,
    pub body: String,
}

/// What is written when an alert is raised or resolved.
#[derive(Clone, Debug)]
pub struct AlertTransition {
    pub change: AlertChange,
    pub observed: Option<AlertObservation>,
    /// What webhooks are sent.
    pub body: String,
    pub emails: Vec<NewAlertEmail>,
}

impl DueAlert {
    /// The number of the event, if there is one now.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.number + 1
    }
}

fn kind_of(change: AlertChange) -> WebhookType {
    match change {
        AlertChange::Raised => WebhookType::AlertRaised,
        AlertChange::Resolved => WebhookType::AlertResolved,
    }
}

/// Whether all that a webhook asks for is what the alert's filter says.
fn concerns(webhook: &WebhookFilter, alert: &AlertFilter) -> bool {
    webhook.group_id.is_none_or(|id| alert.group_id == Some(id))
        && webhook.workflow_id.is_none_or(|id| alert.workflow_id == Some(id))
        && webhook.tag.as_ref().is_none_or(|tag| alert.tag.as_ref() == Some(tag))
}

fn is_told(row: &PgRow, due: &DueAlert, kind: WebhookType) -> sqlx::Result<Option<Uuid>> {
    let id: Uuid = row.try_get("id")?;
    let fields = &due.alert.fields;
    let is_named = fields.notify.webhook_ids.contains(&id);
    let asks = read_types(row)?.contains(&kind) && concerns(&read_filter(row)?, &fields.filter);
    Ok((is_named || asks).then_some(id))
}

/// Moves the alert on, unless it has been changed, or another server has done so.
async fn move_on(connection: &mut PgConnection, due: &DueAlert, change: AlertChange) -> sqlx::Result<bool> {
    let raised = (change == AlertChange::Raised).then(|| due.now.as_datetime());
    let moved = sqlx::query(
        "UPDATE alerts SET raised_at = $4, number = number + 1, due_at = CASE WHEN enabled THEN due_at END
         WHERE id = $1 AND version = $2 AND number = $3",
    )
    .bind(due.alert.id)
    .bind(due.version)
    .bind(bigint(due.number))
    .bind(raised)
    .execute(connection)
    .await?;
    Ok(moved.rows_affected() > 0)
}

async fn insert_event(connection: &mut PgConnection, due: &DueAlert, new: &AlertTransition) -> sqlx::Result<()> {
    sqlx::query(
        "WITH old AS (DELETE FROM alert_events WHERE alert_id = $1 AND number <= $2::bigint - $7)
         INSERT INTO alert_events (alert_id, number, type, at, condition, observed) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(due.alert.id)
    .bind(bigint(due.next_number()))
    .bind(new.change.as_str())
    .bind(due.now.as_datetime())
    .bind(Json(&due.alert.fields.condition))
    .bind(new.observed.as_ref().map(Json))
    .bind(EVENTS)
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_deliveries(connection: &mut PgConnection, due: &DueAlert, new: &AlertTransition) -> sqlx::Result<bool> {
    let kind = kind_of(new.change);
    let sql = "SELECT id, types, group_id, workflow_id, tag FROM webhooks WHERE project_id = $1 AND enabled";
    let rows = sqlx::query(sql).bind(due.project.as_str()).fetch_all(&mut *connection).await?;
    let told = rows.iter().map(|row| is_told(row, due, kind)).collect::<sqlx::Result<Vec<_>>>()?;
    let told: Vec<Uuid> = told.into_iter().flatten().collect();
    let ids: Vec<Uuid> = told.iter().map(|_| Uuid::now_v7()).collect();
    let inserted = sqlx::query(
        "INSERT INTO webhook_deliveries (id, webhook_id, type, session_id, alert_id, revision, event_at, body, status,
             next_attempt_at, created_at)
         SELECT d.id, d.webhook_id, $3, $4, $4, $5, $6, $7, 'pending', clock_timestamp(), $6
         FROM UNNEST($1::uuid[], $2::uuid[]) AS d (id, webhook_id) JOIN webhooks ON webhooks.id = d.webhook_id",
    )
    .bind(ids)
    .bind(told)
    .bind(kind.as_str())
    .bind(due.alert.id)
    .bind(bigint(due.next_number()))
    .bind(due.now.as_datetime())
    .bind(&new.body)
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

async fn insert_emails(connection: &mut PgConnection, due: &DueAlert, emails: &[NewAlertEmail]) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO alert_emails (id, alert_id, number, recipient, subject, body, status, next_attempt_at, created_at)
         SELECT e.id, $1, $2, e.recipient, e.subject, e.body, 'pending', clock_timestamp(), $3
         FROM UNNEST($4::uuid[], $5::text[], $6::text[], $7::text[]) AS e (id, recipient, subject, body)",
    )
    .bind(due.alert.id)
    .bind(bigint(due.next_number()))
    .bind(due.now.as_datetime())
    .bind(emails.iter().map(|email| email.id).collect::<Vec<_>>())
    .bind(emails.iter().map(|email| email.recipient.as_str()).collect::<Vec<_>>())
    .bind(emails.iter().map(|email| email.subject.as_str()).collect::<Vec<_>>())
    .bind(emails.iter().map(|email| email.body.as_str()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns whether the alert was moved on, and whether a webhook is told.
async fn write(
    connection: &mut PgConnection,
    due: &DueAlert,
    new: &AlertTransition,
) -> Result<Option<bool>, StorageError> {
    if !move_on(&mut *connection, due, new.change).await? {
        return Ok(None);
    }
    insert_event(&mut *connection, due, new).await?;
    let is_told = insert_deliveries(&mut *connection, due, new).await?;
    insert_emails(connection, due, &new.emails).await?;
    Ok(Some(is_told))
}

impl Storage {
    /// Raises or resolves an alert, with all that is sent of it; false if it was changed meanwhile, or another server
    /// has done so.
    pub async fn record_transition(&self, due: &DueAlert, new: &AlertTransition) -> Result<bool, StorageError> {
        let mut transaction = self.pool.begin().await?;
        let written = transaction.run(async |connection| write(connection, due, new).await).await?;
        let Some(is_told) = written else { return Ok(false) };
        transaction.commit().await?;
        self.outbox_filled(is_told);
        Ok(true)
    }
}
