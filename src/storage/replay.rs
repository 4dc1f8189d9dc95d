//! What a replay reads: pages that are bounded in rows and in bytes, and the idle gaps of a run.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::postgres::types::PgInterval;
use sqlx::types::Json;
use sqlx::{FromRow, Row};

use super::journal::bigint;
use super::messages::MessageRow;
use super::{Storage, StorageError};
use relive_session::{Message, Recorded, Revision, SessionId, Timestamp};

/// An event as its text stands in the journal.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    pub revision: Revision,
    pub at: Timestamp,
    /// Shown as it was written; only who needs the state has to understand it.
    pub event: Arc<RawValue>,
    /// The message it added, if it added one and messages were asked for.
    pub message: Option<Box<Message>>,
}

/// How much one page may hold. The first event is always there, however large.
#[derive(Clone, Copy, Debug)]
pub struct PageBounds {
    pub rows: u32,
    pub bytes: u32,
}

const PAGE: &str = "SELECT revision, at, event FROM (
        SELECT revision, at, event,
               sum(octet_length(event::text)) OVER (ORDER BY revision ROWS UNBOUNDED PRECEDING) AS bytes
        FROM session_events WHERE session_id = $1 AND revision > $2 AND revision <= $3
        ORDER BY revision LIMIT $4) AS page
    WHERE bytes <= $5 OR revision = $2 + 1 ORDER BY revision";

const PAGE_WITH_MESSAGES: &str = "SELECT * FROM (
        SELECT e.revision, e.at, e.event, m.id, m.session_id, m.node_id, m.agent_id, m.agent_name, m.role, m.content,
               m.token_count, m.is_thinking, m.created_at,
               sum(octet_length(e.event::text) + coalesce(octet_length(m.content), 0))
                   OVER (ORDER BY e.revision ROWS UNBOUNDED PRECEDING) AS bytes
        FROM session_events e LEFT JOIN session_messages m ON m.session_id = e.session_id AND m.revision = e.revision
        WHERE e.session_id = $1 AND e.revision > $2 AND e.revision <= $3
        ORDER BY e.revision LIMIT $4) AS page
    WHERE bytes <= $5 OR revision = $2 + 1 ORDER BY revision";

impl Storage {
    /// The events after revision `after` and up to `up_to`, as many as `bounds` allow, in order.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn event_page(
        &self,
        session_id: SessionId,
        after: Revision,
        up_to: Revision,
        bounds: PageBounds,
        with_messages: bool,
    ) -> Result<Vec<StoredEvent>, StorageError> {
        let rows = sqlx::query(if with_messages { PAGE_WITH_MESSAGES } else { PAGE })
            .bind(session_id.0)
            .bind(bigint(after))
            .bind(bigint(up_to))
            .bind(i64::from(bounds.rows))
            .bind(i64::from(bounds.bytes))
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.iter().map(|row| stored_event(row, with_messages)).collect::<sqlx::Result<_>>()?)
    }

    /// As [`Storage::event_page`], a page of about a megabyte, understood and without messages.
    ///
    /// # Errors
    ///
    /// When the database is away, or an event cannot be understood.
    pub async fn recorded_page(
        &self,
        session_id: SessionId,
        after: Revision,
        up_to: Revision,
    ) -> Result<Vec<Recorded>, StorageError> {
        const BOUNDS: PageBounds = PageBounds { rows: 1_000, bytes: 1024 * 1024 };
        let understand = |stored: StoredEvent| {
            let event = serde_json::from_str(stored.event.get()).map_err(StorageError::Event)?;
            Ok(Recorded { session_id, revision: stored.revision, at: stored.at, event })
        };
        let page = self.event_page(session_id, after, up_to, BOUNDS, false).await?;
        page.into_iter().map(understand).collect()
    }

    /// When a revision was recorded; `None` when the session never reached it.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn time_of(&self, session_id: SessionId, revision: Revision) -> Result<Option<Timestamp>, StorageError> {
        let at: Option<DateTime<Utc>> =
            sqlx::query_scalar("SELECT at FROM session_events WHERE session_id = $1 AND revision = $2")
                .bind(session_id.0)
                .bind(bigint(revision))
                .fetch_optional(&self.pool)
                .await?;
        Ok(at.map(Timestamp::from))
    }

    /// The longest stretches of more than `threshold_ms` between two neighbouring events of a range,
    /// at most `limit`, in order of time. Reads every event of the range.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn idle_gaps(
        &self,
        session_id: SessionId,
        (first, last): (Revision, Revision),
        threshold_ms: i64,
        limit: u32,
    ) -> Result<Vec<(Timestamp, Timestamp)>, StorageError> {
        let threshold = PgInterval { months: 0, days: 0, microseconds: threshold_ms.saturating_mul(1_000) };
        let mut idle_gaps: Vec<(DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
            "SELECT began, ended FROM (
                SELECT max(at) OVER (ORDER BY revision ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS began,
                       at AS ended
                FROM session_events WHERE session_id = $1 AND revision BETWEEN $2 AND $3) AS gaps
             WHERE ended - began > $4 ORDER BY ended - began DESC LIMIT $5",
        )
        .bind(session_id.0)
        .bind(bigint(first))
        .bind(bigint(last))
        .bind(threshold)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        idle_gaps.sort_unstable();
        Ok(idle_gaps.into_iter().map(|(from, to)| (from.into(), to.into())).collect())
    }
}

fn stored_event(row: &PgRow, with_messages: bool) -> sqlx::Result<StoredEvent> {
    let Json(event): Json<Box<RawValue>> = row.try_get("event")?;
    let has_message = with_messages && row.try_get::<Option<&str>, _>("id")?.is_some();
    let message = if has_message { Some(Box::new(MessageRow::from_row(row)?.1)) } else { None };
    Ok(StoredEvent {
        revision: row.try_get::<i64, _>("revision")?.unsigned_abs(),
        at: row.try_get::<DateTime<Utc>, _>("at")?.into(),
        event: event.into(),
        message,
    })
}
