//! The outbox: events that were committed, and of which no deliveries were made yet.
//!
//! The commit of an event writes its row, if a webhook of the project asks for its type at that time. One server at a
//! time takes rows, oldest first, and replaces them by deliveries in one transaction; so an event becomes deliveries
//! exactly once, and those of one session in the order of their revisions: a revision is committed after the one
//! before it, and never has an earlier time. Whoever deletes a session does so before with what there is of it: what is
//! sent is made of its history.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{read_filter, read_types};
use crate::storage::access::{project, time};
use crate::storage::batch::Batch;
use crate::storage::bigint::bigint;
use crate::storage::columns::json;
use crate::storage::pool::Transaction;
use crate::storage::{Storage, StorageError};
use relive_session::{
    Event, NodeId, NodeStatus, ProjectId, Recorded, Revision, SessionId, Timestamp, WebhookFilter, WebhookType,
};

/// "relo" in ASCII, twice: who holds it takes from the outbox.
const TAKING: i64 = 0x7265_6c6f_7265_6c6f;

/// An event that webhooks are told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEvent {
    pub project: ProjectId,
    pub session_id: SessionId,
    pub revision: Revision,
    pub kind: WebhookType,
    pub node_id: Option<NodeId>,
    pub at: Timestamp,
}

/// A webhook that may be told of an event.
#[derive(Clone, Debug)]
pub struct SubscribedWebhook {
    pub id: Uuid,
    pub project: ProjectId,
    pub types: Vec<WebhookType>,
    pub filter: WebhookFilter,
}

/// A delivery to be stored. It is due at once.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    pub webhook_id: Uuid,
    pub kind: WebhookType,
    pub session_id: SessionId,
    pub revision: Revision,
    /// When the event was recorded.
    pub at: Timestamp,
    pub body: String,
}

/// A row of the outbox, as the commit is given it.
#[derive(Serialize)]
struct NoticedRow<'a> {
    at: Timestamp,
    session_id: SessionId,
    revision: Revision,
    project_id: &'a ProjectId,
    #[serde(rename = "type")]
    kind: WebhookType,
    node_id: Option<&'a NodeId>,
}

/// The events of a batch that webhooks can be told of, as JSON; `None` if there are none.
pub(in crate::storage) fn noticed(batch: &Batch<'_>) -> Result<Option<String>, StorageError> {
    let mut rows = Vec::new();
    for (place, row) in batch.events.iter().enumerate() {
        let recorded = row.recorded;
        let (Some(kind), Some(origin)) = (WebhookType::of(&recorded.event), row.origin) else { continue };
        if kind.entered_status().is_some_and(|status| status_before(batch, place) == Some(status)) {
            continue;
        }
        rows.push(NoticedRow {
            at: recorded.at,
            session_id: recorded.session_id,
            revision: recorded.revision,
            project_id: &origin.project_id,
            kind,
            node_id: node_of(recorded),
        });
    }
    if rows.is_empty() { Ok(None) } else { json(&rows).map(Some) }
}

fn node_of(recorded: &Recorded) -> Option<&NodeId> {
    match &recorded.event {
        Event::NodeStatusChanged { node_id, .. } | Event::Signalled { node_id, .. } => Some(node_id),
        _ => None,
    }
}

/// The status that the node of an event of the batch had before it.
fn status_before(batch: &Batch<'_>, place: usize) -> Option<NodeStatus> {
    let recorded = batch.events.get(place)?.recorded;
    let node = node_of(recorded)?;
    // The events of a session are next to each other, in order.
    let of_session = batch.events[..place].iter().rev().map(|row| row.recorded);
    let earlier = of_session.take_while(|earlier| earlier.session_id == recorded.session_id);
    let mut statuses = earlier.filter_map(|earlier| match &earlier.event {
        Event::NodeStatusChanged { node_id, status, .. } if node_id == node => Some(*status),
        _ => None,
    });
    statuses.next().or_else(|| {
        let place = batch.projections.binary_search_by_key(&recorded.session_id, |row| row.after.id).ok()?;
        Some(batch.projections.get(place)?.before.reported(node)?.status)
    })
}

/// Events that were taken from the outbox. They are still in it until [`OutboxBatch::complete`]; dropping this leaves
/// them there.
#[derive(Debug)]
pub struct OutboxBatch {
    transaction: Transaction,
    pub events: Vec<OutboxEvent>,
    /// The webhooks of the projects of these events.
    pub webhooks: Vec<SubscribedWebhook>,
}

fn read_event(row: &PgRow) -> sqlx::Result<Option<OutboxEvent>> {
    let Some(kind) = WebhookType::parse(row.try_get("type")?) else { return Ok(None) };
    Ok(Some(OutboxEvent {
        project: project(row, "project_id")?,
        session_id: SessionId(row.try_get("session_id")?),
        revision: row.try_get::<i64, _>("revision")?.unsigned_abs(),
        kind,
        node_id: row.try_get::<Option<&str>, _>("node_id")?.map(NodeId::from),
        at: time(row, "at")?,
    }))
}

fn read_subscribed(row: &PgRow) -> sqlx::Result<SubscribedWebhook> {
    Ok(SubscribedWebhook {
        id: row.try_get("id")?,
        project: project(row, "project_id")?,
        types: read_types(row)?,
        filter: read_filter(row)?,
    })
}

/// Types of a newer version are for servers of that version.
fn known_types() -> Vec<&'static str> {
    WebhookType::ALL.iter().map(|kind| kind.as_str()).collect()
}

/// The webhooks of the projects of events.
const SUBSCRIBED: &str = "SELECT id, project_id, types, group_id, workflow_id, tag FROM webhooks
     WHERE project_id = ANY ($1) AND enabled ORDER BY id";

fn projects_of(events: &[OutboxEvent]) -> Vec<String> {
    events.iter().map(|event| event.project.to_string()).collect::<HashSet<_>>().into_iter().collect()
}

fn read_events(rows: &[PgRow]) -> sqlx::Result<Vec<OutboxEvent>> {
    rows.iter().filter_map(|row| read_event(row).transpose()).collect()
}

/// Those of the sessions that have events in the outbox. While their rows are locked, no more are added.
pub(in crate::storage) async fn undispatched(
    transaction: &mut Transaction,
    sessions: &[SessionId],
) -> Result<Vec<SessionId>, StorageError> {
    let unsent = sqlx::query_scalar(
        "SELECT DISTINCT session_id FROM webhook_outbox WHERE session_id = ANY ($1) AND type = ANY ($2)",
    )
    .bind(sessions.iter().map(|id| id.0).collect::<Vec<_>>())
    .bind(known_types());
    let unsent: Vec<Uuid> = transaction.run(async |connection| unsent.fetch_all(connection).await).await?;
    Ok(unsent.into_iter().map(SessionId).collect())
}

impl Storage {
    /// Takes up to `limit` events from the outbox, the oldest; `None` if it is empty, or another server is taking some.
    pub(super) async fn take_outbox(&self, limit: u32) -> Result<Option<OutboxBatch>, StorageError> {
        let is_filled = "SELECT EXISTS (SELECT FROM webhook_outbox)";
        if !sqlx::query_scalar(is_filled).fetch_one(&self.pool).await? {
            return Ok(None);
        }
        let mut transaction = self.pool.begin().await?;
        let lock = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(TAKING);
        if !transaction.run(async |connection| lock.fetch_one(connection).await).await? {
            return Ok(None);
        }
        let rows = sqlx::query(
            "SELECT at, session_id, revision, project_id, type, node_id FROM webhook_outbox
             WHERE type = ANY ($1) ORDER BY at, session_id, revision LIMIT $2",
        )
        .bind(known_types())
        .bind(i64::from(limit));
        let rows = transaction.run(async |connection| rows.fetch_all(connection).await).await?;
        let events = read_events(&rows)?;
        let webhooks = sqlx::query(SUBSCRIBED).bind(projects_of(&events));
        let webhooks = transaction.run(async |connection| webhooks.fetch_all(connection).await).await?;
        let webhooks = webhooks.iter().map(read_subscribed).collect::<sqlx::Result<_>>()?;
        Ok(Some(OutboxBatch { transaction, events, webhooks }))
    }

    /// Up to `limit` events of a session that are in the outbox, the oldest, and the webhooks of its project.
    pub(super) async fn outbox_of(
        &self,
        session: SessionId,
        limit: u32,
    ) -> Result<(Vec<OutboxEvent>, Vec<SubscribedWebhook>), StorageError> {
        let rows = sqlx::query(
            "SELECT at, session_id, revision, project_id, type, node_id FROM webhook_outbox
             WHERE session_id = $1 AND type = ANY ($2) ORDER BY at, revision LIMIT $3",
        )
        .bind(session.0)
        .bind(known_types())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let events = read_events(&rows)?;
        let webhooks = sqlx::query(SUBSCRIBED).bind(projects_of(&events)).fetch_all(&self.pool).await?;
        Ok((events, webhooks.iter().map(read_subscribed).collect::<sqlx::Result<_>>()?))
    }

    /// Replaces events by deliveries, as [`OutboxBatch::complete`] does.
    pub(super) async fn complete_outbox(
        &self,
        events: &[OutboxEvent],
        deliveries: &[NewDelivery],
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let mut transaction = self.pool.begin().await?;
        replace(&mut transaction, events, deliveries, now).await?;
        transaction.commit().await?;
        // The sender looks for what is due.
        self.outbox.notify_one();
        Ok(())
    }
}

impl OutboxBatch {
    /// Replaces the events by deliveries. Those of webhooks that were deleted meanwhile are left out.
    pub async fn complete(mut self, deliveries: &[NewDelivery], now: Timestamp) -> Result<(), StorageError> {
        replace(&mut self.transaction, &self.events, deliveries, now).await?;
        Ok(self.transaction.commit().await?)
    }
}

/// Rows are inserted and deleted in the order of the events: two that replace the same events wait for each other, and
/// the second finds that nothing is left to do.
async fn replace(
    transaction: &mut Transaction,
    events: &[OutboxEvent],
    deliveries: &[NewDelivery],
    now: Timestamp,
) -> Result<(), StorageError> {
    let insert = sqlx::query(
        "INSERT INTO webhook_deliveries (id, webhook_id, type, session_id, revision, event_at, body, status,
             next_attempt_at, created_at)
         SELECT d.id, d.webhook_id, d.type, d.session_id, d.revision, d.event_at, d.body, 'pending',
             clock_timestamp(), $8
         FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::bigint[], $6::timestamptz[], $7::text[])
             AS d (id, webhook_id, type, session_id, revision, event_at, body)
         JOIN webhooks ON webhooks.id = d.webhook_id
         ORDER BY d.event_at, d.session_id, d.revision, d.webhook_id
         ON CONFLICT DO NOTHING",
    )
    // Ids in the order of the events: by them deliveries are listed.
    .bind(deliveries.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
    .bind(deliveries.iter().map(|delivery| delivery.webhook_id).collect::<Vec<_>>())
    .bind(deliveries.iter().map(|delivery| delivery.kind.as_str()).collect::<Vec<_>>())
    .bind(deliveries.iter().map(|delivery| delivery.session_id.0).collect::<Vec<_>>())
    .bind(deliveries.iter().map(|delivery| bigint(delivery.revision)).collect::<Vec<_>>())
    .bind(deliveries.iter().map(|delivery| delivery.at.as_datetime()).collect::<Vec<DateTime<Utc>>>())
    .bind(deliveries.iter().map(|delivery| delivery.body.as_str()).collect::<Vec<_>>())
    .bind(now.as_datetime());
    transaction.run(async |connection| insert.execute(connection).await).await?;
    let delete = sqlx::query(
        "WITH taken AS (
             SELECT o.at, o.session_id, o.revision FROM webhook_outbox AS o
             JOIN UNNEST($1::timestamptz[], $2::uuid[], $3::bigint[]) AS e (at, session_id, revision)
                 USING (at, session_id, revision)
             ORDER BY o.at, o.session_id, o.revision FOR UPDATE OF o
         )
         DELETE FROM webhook_outbox AS o USING taken
         WHERE o.at = taken.at AND o.session_id = taken.session_id AND o.revision = taken.revision",
    )
    .bind(events.iter().map(|event| event.at.as_datetime()).collect::<Vec<DateTime<Utc>>>())
    .bind(events.iter().map(|event| event.session_id.0).collect::<Vec<_>>())
    .bind(events.iter().map(|event| bigint(event.revision)).collect::<Vec<_>>());
    transaction.run(async |connection| delete.execute(connection).await).await?;
    Ok(())
}
