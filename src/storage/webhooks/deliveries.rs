//! Deliveries: which are due, what came of an attempt, and what clients are shown.
//!
//! Of the pending deliveries of one session, only the first is sent. Those behind it are moved out of the way when they
//! are found to be due, and the next one is due as soon as the first is finished. Both are done by the server that
//! holds the webhook's lease; one that has lost it can only delay a delivery, since the next one is always sought by
//! its place.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::{DELIVERY, read_delivery};
use crate::storage::{Page, PageCursor, Storage, StorageError};
use relive_session::{Delivery, DeliveryStatus, ProjectId, Timestamp, TraceContext, Webhook};

/// How long a delivery behind another one is out of the way, unless that is finished before.
const BEHIND: Duration = Duration::from_mins(1);
/// Rows deleted with one statement.
const PRUNED_AT_ONCE: i64 = 1_000;

/// A delivery that is to be sent now.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    pub id: Uuid,
    pub body: String,
    /// Attempts that failed since it was last asked for.
    pub tries: u32,
    /// The trace of the request that created the session.
    pub trace: Option<TraceContext>,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub struct AttemptRecord {
    pub id: Uuid,
    /// Pending: it is tried again after `again`.
    pub status: DeliveryStatus,
    pub again: Option<Duration>,
    pub response_status: Option<u16>,
    pub error: Option<String>,
    pub took: Duration,
}

impl Storage {
    /// Up to `limit` deliveries of a webhook that are to be sent now, none of those in flight. Returns also how many
    /// rows were looked at: if that is `limit`, there may be more.
    pub async fn due_deliveries(
        &self,
        webhook: Uuid,
        in_flight: &[Uuid],
        limit: u32,
    ) -> Result<(Vec<DueDelivery>, u32), StorageError> {
        let rows = sqlx::query(
            "WITH due AS (
                 SELECT id, session_id, event_at, revision FROM webhook_deliveries
                 WHERE webhook_id = $1 AND status = 'pending' AND next_attempt_at <= clock_timestamp()
                     AND id <> ALL ($2)
                 ORDER BY next_attempt_at, event_at, revision LIMIT $3
             ), placed AS MATERIALIZED (
                 SELECT due.id, due.event_at, due.revision,
                     (SELECT max(ahead.next_attempt_at) FROM webhook_deliveries AS ahead
                      WHERE ahead.webhook_id = $1 AND ahead.session_id = due.session_id AND ahead.status = 'pending'
                          AND (ahead.event_at, ahead.revision) < (due.event_at, due.revision)) AS ahead_at
                 FROM due
             ), behind AS (
                 UPDATE webhook_deliveries AS d
                 SET next_attempt_at = greatest(placed.ahead_at, clock_timestamp()) + make_interval(secs => $4)
                 FROM placed WHERE d.id = placed.id AND placed.ahead_at IS NOT NULL
             )
             SELECT placed.id, placed.ahead_at IS NULL AS is_first,
                 CASE WHEN placed.ahead_at IS NULL THEN d.body END AS body, d.tries,
                 created.event ->> 'traceparent' AS traceparent, created.event ->> 'tracestate' AS tracestate
             FROM placed JOIN webhook_deliveries AS d ON d.id = placed.id
                 LEFT JOIN session_events AS created ON placed.ahead_at IS NULL
                     AND created.session_id = d.session_id AND created.revision = 1 AND created.at <= d.event_at
             ORDER BY placed.event_at, placed.revision",
        )
        .bind(webhook)
        .bind(in_flight)
        .bind(i64::from(limit))
        .bind(BEHIND.as_secs_f64())
        .fetch_all(&self.pool)
        .await?;
        let mut due = Vec::new();
        for row in &rows {
            let Some(body) = row.try_get("body")? else { continue };
            let tries = row.try_get::<i32, _>("tries")?.unsigned_abs();
            let (parent, state): (Option<String>, Option<String>) =
                (row.try_get("traceparent")?, row.try_get("tracestate")?);
            let trace = parent.and_then(|parent| TraceContext::parse(&parent, state.as_deref()));
            due.push(DueDelivery { id: row.try_get("id")?, body, tries, trace });
        }
        Ok((due, u32::try_from(rows.len()).unwrap_or(u32::MAX)))
    }

    /// Records attempts. Where a delivery is finished, the next one of its session is due.
    pub async fn record_attempts(&self, results: &[AttemptRecord]) -> Result<(), StorageError> {
        let seconds = |result: &AttemptRecord| result.again.unwrap_or_default().as_secs_f64();
        let millis = |result: &AttemptRecord| i64::try_from(result.took.as_millis()).unwrap_or(i64::MAX);
        sqlx::query(
            "WITH result AS (
                 SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::float8[], $4::int[], $5::text[], $6::bigint[])
                     AS r (id, status, again, response_status, error, took)
             ), recorded AS (
                 UPDATE webhook_deliveries AS d
                 SET status = r.status, attempts = d.attempts + 1,
                     tries = CASE WHEN r.status = 'pending' THEN d.tries + 1 ELSE 0 END,
                     last_attempt_at = clock_timestamp() - r.took * interval '1 millisecond',
                     next_attempt_at = clock_timestamp() + r.again * interval '1 second',
                     response_status = r.response_status, error = r.error, duration_ms = r.took
                 -- What another server has sent meanwhile stays so.
                 FROM result AS r WHERE d.id = r.id AND d.status = 'pending'
                 RETURNING d.id, d.webhook_id, d.session_id, d.event_at, d.revision, d.status
             )
             UPDATE webhook_deliveries AS next SET next_attempt_at = clock_timestamp()
             FROM recorded, LATERAL (
                 SELECT waiting.id FROM webhook_deliveries AS waiting
                 WHERE waiting.webhook_id = recorded.webhook_id AND waiting.session_id = recorded.session_id
                     AND waiting.status = 'pending' AND waiting.id <> ALL ($1)
                 ORDER BY waiting.event_at, waiting.revision LIMIT 1) AS first
             WHERE recorded.status <> 'pending' AND next.id = first.id",
        )
        .bind(results.iter().map(|result| result.id).collect::<Vec<_>>())
        .bind(results.iter().map(|result| result.status.as_str()).collect::<Vec<_>>())
        .bind(results.iter().map(seconds).collect::<Vec<_>>())
        .bind(results.iter().map(|result| result.response_status.map(i32::from)).collect::<Vec<_>>())
        .bind(results.iter().map(|result| result.error.as_deref()).collect::<Vec<_>>())
        .bind(results.iter().map(millis).collect::<Vec<_>>())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Whether the project has this webhook, and if so a page of its deliveries, newest first.
    pub async fn deliveries(
        &self,
        project: &ProjectId,
        webhook: Uuid,
        status: Option<DeliveryStatus>,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Option<Page<Delivery>>, StorageError> {
        if self.entity::<Webhook>(project, webhook).await?.is_none() {
            return Ok(None);
        }
        let sql = format!(
            "SELECT {DELIVERY} FROM webhook_deliveries
             WHERE webhook_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
             AND ($5::text IS NULL OR status = $5) ORDER BY created_at DESC, id DESC LIMIT $4"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(webhook)
            .bind(after.map(|cursor| cursor.created_at.as_datetime()))
            .bind(after.map(|cursor| cursor.id))
            .bind(i64::from(limit) + 1)
            .bind(status.map(DeliveryStatus::as_str))
            .fetch_all(&self.pool)
            .await?;
        let rows = rows.iter().map(read_delivery).collect::<sqlx::Result<Vec<_>>>()?;
        let cursor = |delivery: &Delivery| PageCursor { created_at: delivery.created_at, id: delivery.id };
        Ok(Some(Page::cut(rows, limit, cursor)))
    }

    /// A delivery of a project's webhook.
    pub async fn delivery(
        &self,
        project: &ProjectId,
        webhook: Uuid,
        id: Uuid,
    ) -> Result<Option<Delivery>, StorageError> {
        let sql = format!(
            "SELECT {DELIVERY} FROM webhook_deliveries WHERE id = $1 AND webhook_id = $2
             AND EXISTS (SELECT FROM webhooks WHERE webhooks.id = $2 AND project_id = $3)"
        );
        let row = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(webhook).bind(project.as_str());
        Ok(row.fetch_optional(&self.pool).await?.as_ref().map(read_delivery).transpose()?)
    }

    /// Makes a delivery of a project's webhook due now, whatever became of it; `None` if there is no such one.
    pub async fn retry_delivery(
        &self,
        project: &ProjectId,
        webhook: Uuid,
        id: Uuid,
    ) -> Result<Option<Delivery>, StorageError> {
        // As it is now: it may be sent before the answer is.
        let sql = format!(
            "UPDATE webhook_deliveries SET status = 'pending', tries = 0, next_attempt_at = clock_timestamp()
             WHERE id = $1 AND webhook_id = $2
                 AND EXISTS (SELECT FROM webhooks WHERE webhooks.id = $2 AND project_id = $3)
             RETURNING {DELIVERY}"
        );
        let retried = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(webhook).bind(project.as_str());
        let retried = retried.fetch_optional(&self.pool).await?.as_ref().map(read_delivery).transpose()?;
        self.outbox_filled(retried.is_some());
        Ok(retried)
    }

    /// Stores a test, whose only attempt was made.
    pub async fn store_test(
        &self,
        webhook: Uuid,
        kind: &str,
        body: &str,
        result: &AttemptRecord,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        sqlx::query(
            "INSERT INTO webhook_deliveries (id, webhook_id, type, event_at, body, status, attempts, last_attempt_at,
                 response_status, error, duration_ms, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, 1, $4, $7, $8, $9, $4) ON CONFLICT (id) DO NOTHING",
        )
        .bind(result.id)
        .bind(webhook)
        .bind(kind)
        .bind(at.as_datetime())
        .bind(body)
        .bind(result.status.as_str())
        .bind(result.response_status.map(i32::from))
        .bind(result.error.as_deref())
        .bind(i64::try_from(result.took.as_millis()).unwrap_or(i64::MAX))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Deletes deliveries that are older than `age`, a batch of them; returns whether there may be more.
    pub async fn prune_deliveries(&self, age: Duration) -> Result<bool, StorageError> {
        let deleted = sqlx::query(
            "DELETE FROM webhook_deliveries WHERE id = ANY (ARRAY(
                 SELECT id FROM webhook_deliveries WHERE created_at < now() - make_interval(secs => $1)
                 ORDER BY created_at LIMIT $2))",
        )
        .bind(age.as_secs_f64())
        .bind(PRUNED_AT_ONCE)
        .execute(&self.pool)
        .await?;
        Ok(deleted.rows_affected() == PRUNED_AT_ONCE.unsigned_abs())
    }
}
