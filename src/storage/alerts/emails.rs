//! E-mails about alerts: which are due, and what came of an attempt.
//!
//! Whoever sends one moves it out of the way first, so that nobody else does; a server that is killed leaves it there,
//! and it is sent again when that time has passed. Of those of one alert to one recipient, only the first is sent: the
//! others wait for it.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::storage::access::time;
use crate::storage::{Storage, StorageError};
use relive_session::{DeliveryStatus, Timestamp};

/// An e-mail that is to be sent now, by this server.
#[derive(Clone, Debug)]
pub struct DueEmail {
    pub id: Uuid,
    pub recipient: String,
    pub subject: String,
    pub body: String,
    /// With this one.
    pub attempts: u32,
    /// When the alert was raised or resolved.
    pub at: Timestamp,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub struct EmailAttempt {
    /// Pending: it is tried again after `again`.
    pub status: DeliveryStatus,
    pub again: Option<Duration>,
    pub error: Option<String>,
}

fn read(row: &PgRow) -> sqlx::Result<DueEmail> {
    Ok(DueEmail {
        id: row.try_get("id")?,
        recipient: row.try_get("recipient")?,
        subject: row.try_get("subject")?,
        body: row.try_get("body")?,
        attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
        at: time(row, "created_at")?,
    })
}

impl Storage {
    /// Up to `limit` e-mails that are to be sent, the longest due first. No other server is given them for `time`.
    pub async fn claim_due_emails(&self, time: Duration, limit: u32) -> Result<Vec<DueEmail>, StorageError> {
        let rows = sqlx::query(
            "UPDATE alert_emails SET attempts = attempts + 1, last_attempt_at = clock_timestamp(),
                 next_attempt_at = clock_timestamp() + make_interval(secs => $1)
             WHERE id = ANY (ARRAY(
                 SELECT id FROM alert_emails AS due
                 WHERE status = 'pending' AND next_attempt_at <= now() AND NOT EXISTS (
                     SELECT FROM alert_emails AS ahead
                     WHERE ahead.alert_id = due.alert_id AND ahead.recipient = due.recipient
                         AND ahead.number < due.number AND ahead.status = 'pending')
                 ORDER BY next_attempt_at LIMIT $2 FOR UPDATE SKIP LOCKED))
             RETURNING id, recipient, subject, body, attempts, created_at",
        )
        .bind(time.as_secs_f64())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
    }

    /// Records an attempt, unless another server has made one since. What waits behind it is due when it is finished,
    /// and not before it is tried again.
    pub async fn record_email(&self, email: &DueEmail, attempt: &EmailAttempt) -> Result<(), StorageError> {
        sqlx::query(
            "WITH recorded AS (
                 UPDATE alert_emails SET status = $3, error = $5,
                     next_attempt_at = clock_timestamp() + make_interval(secs => $4)
                 WHERE id = $1 AND attempts = $2 AND status = 'pending'
                 RETURNING alert_id, recipient, number, next_attempt_at
             )
             UPDATE alert_emails AS behind SET next_attempt_at = recorded.next_attempt_at
             FROM recorded
             WHERE behind.alert_id = recorded.alert_id AND behind.recipient = recorded.recipient
                 AND behind.number > recorded.number AND behind.status = 'pending'",
        )
        .bind(email.id)
        .bind(i32::try_from(email.attempts).unwrap_or(i32::MAX))
        .bind(attempt.status.as_str())
        .bind(attempt.again.unwrap_or_default().as_secs_f64())
        .bind(attempt.error.as_deref())
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
