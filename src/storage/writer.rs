//! Writing batches: many sessions' events, their projections and command ids in one statement.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::postgres::PgConnection;
use sqlx::query;
use tokio::sync::Notify;
use uuid::Uuid;

use super::journal::bigint;
use super::link::STATEMENT;
use super::memories::{NewMemory, insert};
use super::pool::Connection;
use super::{Storage, StorageError};
use crate::session::{Event, MemoryAdded, MessageAdded, Recorded, Session, SessionId};

/// One event to insert.
#[derive(Debug)]
pub struct EventRow<'a> {
    pub recorded: &'a Recorded,
    /// The session's group, for memories.
    pub group_id: Option<Uuid>,
}

/// A command id that was carried out, with the revision it is answered with.
#[derive(Debug)]
pub struct CommandRow<'a> {
    pub session_id: SessionId,
    pub command_id: &'a str,
    pub revision: u64,
}

/// A session's row to bring from the state before the batch to the state after it.
#[derive(Debug)]
pub struct ProjectionRow<'a> {
    pub before: &'a Session,
    pub after: &'a Session,
}

/// What one commit writes: all of it or nothing.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// Names this write, so that it can be recognised after a lost connection.
    pub id: i64,
    pub events: Vec<EventRow<'a>>,
    pub commands: Vec<CommandRow<'a>>,
    /// One per session.
    pub projections: Vec<ProjectionRow<'a>>,
}

/// A connection that only writes batches; its statements stay prepared.
#[derive(Debug)]
pub struct Writer {
    connection: Connection,
    unembedded: Arc<Notify>,
}

/// The insertions and the update are one statement and so one transaction. Beside the primary key
/// of the journal, the expected revision in the update is the fence.
const WRITE: &str = "
WITH events AS (
    INSERT INTO session_events (session_id, revision, at, batch, event)
    SELECT session_id, revision, at, $1, event::json
    FROM UNNEST($2::uuid[], $3::bigint[], $4::timestamptz[], $5::text[]) AS e (session_id, revision, at, event)
), commands AS (
    INSERT INTO session_commands (session_id, command_id, revision)
    SELECT * FROM UNNEST($6::uuid[], $7::text[], $8::bigint[])
), updated AS (
    UPDATE sessions SET
        revision = p.revision,
        status = p.status,
        node_statuses = CASE WHEN p.node_statuses IS NULL THEN sessions.node_statuses
                        ELSE sessions.node_statuses || p.node_statuses::jsonb END,
        node_counts = COALESCE(p.node_counts::jsonb, sessions.node_counts),
        total_tokens = p.total_tokens,
        total_cost_usd = p.total_cost_usd,
        error = p.error,
        proposal = COALESCE(p.proposal::jsonb, sessions.proposal),
        outputs = COALESCE(p.outputs::jsonb, sessions.outputs),
        started_at = p.started_at,
        ended_at = p.ended_at,
        updated_at = p.updated_at
    FROM UNNEST($9::uuid[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::text[], $15::bigint[],
                $16::numeric[], $17::text[], $18::text[], $19::text[], $20::timestamptz[], $21::timestamptz[],
                $22::timestamptz[])
        AS p (id, expected, revision, status, node_statuses, node_counts, total_tokens, total_cost_usd, error,
              proposal, outputs, started_at, ended_at, updated_at)
    WHERE sessions.id = p.id AND sessions.revision = p.expected
    RETURNING 1
)
SELECT relive_fence((SELECT count(*) FROM updated), $23)";

impl Writer {
    pub(super) fn new(connection: Connection, unembedded: Arc<Notify>) -> Self {
        Self { connection, unembedded }
    }

    /// Writes a batch durably.
    ///
    /// # Errors
    ///
    /// [`StorageError::Fenced`] when another writer was first and nothing was written;
    /// [`StorageError::Unavailable`] when it is unknown whether the batch was written: look with
    /// [`Storage::has_batch`], on a new connection.
    pub async fn write(&mut self, batch: &Batch<'_>) -> Result<(), StorageError> {
        let has_rows_of_its_own = |row: &EventRow<'_>| {
            matches!(row.recorded.event, Event::MessageAdded(_) | Event::MemoryAdded(_) | Event::UsageRecorded { .. })
        };
        let work = async |connection: &mut PgConnection| {
            if !batch.events.iter().any(has_rows_of_its_own) {
                return write_rows(connection, batch).await;
            }
            let mut transaction = sqlx::Connection::begin(connection).await?;
            write_rows(&mut transaction, batch).await?;
            write_texts(&mut transaction, batch).await?;
            super::usage::write_usage(&mut transaction, batch).await?;
            Ok(transaction.commit().await?)
        };
        self.connection.run(STATEMENT, work).await?;
        if batch.events.iter().any(lacks_embedding) {
            self.unembedded.notify_one();
        }
        Ok(())
    }
}

pub(super) async fn write_rows(connection: &mut sqlx::PgConnection, batch: &Batch<'_>) -> Result<(), StorageError> {
    let events = EventArrays::of(batch)?;
    let projections = ProjectionArrays::of(batch);
    query(WRITE)
        .bind(batch.id)
        .bind(events.session_ids)
        .bind(events.revisions)
        .bind(events.times)
        .bind(events.events)
        .bind(batch.commands.iter().map(|row| row.session_id.0).collect::<Vec<_>>())
        .bind(batch.commands.iter().map(|row| row.command_id).collect::<Vec<_>>())
        .bind(batch.commands.iter().map(|row| bigint(row.revision)).collect::<Vec<_>>())
        .bind(projections.ids)
        .bind(projections.expected)
        .bind(projections.revisions)
        .bind(projections.statuses)
        .bind(projections.node_statuses)
        .bind(projections.node_counts)
        .bind(projections.total_tokens)
        .bind(projections.total_costs)
        .bind(projections.errors)
        .bind(projections.proposals)
        .bind(projections.outputs)
        .bind(projections.started)
        .bind(projections.ended)
        .bind(projections.updated)
        .bind(i64::try_from(batch.projections.len()).unwrap_or(i64::MAX))
        .execute(connection)
        .await?;
    Ok(())
}

/// Columns of the events, side by side as `UNNEST` wants them.
#[derive(Default)]
struct EventArrays {
    session_ids: Vec<Uuid>,
    revisions: Vec<i64>,
    times: Vec<DateTime<Utc>>,
    events: Vec<String>,
}

impl EventArrays {
    fn of(batch: &Batch<'_>) -> Result<Self, StorageError> {
        let mut arrays = Self::default();
        for EventRow { recorded, .. } in &batch.events {
            arrays.session_ids.push(recorded.session_id.0);
            arrays.revisions.push(bigint(recorded.revision));
            arrays.times.push(recorded.at.as_datetime());
            arrays.events.push(json(&recorded.event)?);
        }
        Ok(arrays)
    }
}

/// As a text: `sqlx` would send JSON as `jsonb`, which keeps neither the order of members nor the
/// notation of numbers.
pub(super) fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, StorageError> {
    serde_json::to_string(value).map_err(|error| StorageError::Database(sqlx::Error::Encode(Box::new(error))))
}

/// Columns of the projections. `None` in a JSON column: unchanged.
#[derive(Default)]
struct ProjectionArrays<'a> {
    ids: Vec<Uuid>,
    expected: Vec<i64>,
    revisions: Vec<i64>,
    statuses: Vec<&'static str>,
    node_statuses: Vec<Option<String>>,
    node_counts: Vec<Option<String>>,
    total_tokens: Vec<i64>,
    total_costs: Vec<Decimal>,
    errors: Vec<Option<&'a str>>,
    proposals: Vec<Option<String>>,
    outputs: Vec<Option<String>>,
    started: Vec<Option<DateTime<Utc>>>,
    ended: Vec<Option<DateTime<Utc>>>,
    updated: Vec<DateTime<Utc>>,
}

impl<'a> ProjectionArrays<'a> {
    fn of(batch: &Batch<'a>) -> Self {
        let mut arrays = Self::default();
        for ProjectionRow { before, after } in &batch.projections {
            arrays.ids.push(after.id.0);
            arrays.expected.push(bigint(before.revision));
            arrays.revisions.push(bigint(after.revision));
            arrays.statuses.push(after.status.as_str());
            arrays.node_statuses.push(changed_statuses(before, after));
            arrays.node_counts.push(if before.node_counts == after.node_counts {
                None
            } else {
                serde_json::to_string(&after.node_counts).ok()
            });
            arrays.total_tokens.push(bigint(after.total_tokens));
            arrays.total_costs.push(after.total_cost_usd);
            arrays.errors.push(after.error.as_deref());
            arrays.proposals.push(changed_json(before.proposal.as_deref(), after.proposal.as_deref()));
            arrays.outputs.push(changed_json(before.outputs.as_deref(), after.outputs.as_deref()));
            arrays.started.push(after.started_at.map(crate::session::Timestamp::as_datetime));
            arrays.ended.push(after.completed_at.map(crate::session::Timestamp::as_datetime));
            arrays.updated.push(after.updated_at.as_datetime());
        }
        arrays
    }
}

/// The statuses that differ, as a JSON object to be merged over the stored one. The cost follows
/// the number of changes: the two states share all other nodes.
fn changed_statuses(before: &Session, after: &Session) -> Option<String> {
    use imbl::ordmap::DiffItem;
    let mut changed = serde_json::Map::new();
    for item in before.nodes.diff(&after.nodes) {
        match item {
            DiffItem::Update { old: (_, old), new: (_, new) } if old.snapshot.status == new.snapshot.status => {}
            DiffItem::Add(id, node) | DiffItem::Update { new: (id, node), .. } => {
                changed.insert(id.to_string(), node.snapshot.status.as_str().into());
            }
            // Nodes never leave a session.
            DiffItem::Remove(..) => {}
        }
    }
    if changed.is_empty() { None } else { serde_json::to_string(&changed).ok() }
}

fn changed_json(before: Option<&serde_json::Value>, after: Option<&serde_json::Value>) -> Option<String> {
    match (before, after) {
        (Some(before), Some(after)) if std::ptr::eq(before, after) => None,
        (_, Some(after)) => serde_json::to_string(after).ok(),
        (_, None) => None,
    }
}

async fn write_texts(connection: &mut sqlx::PgConnection, batch: &Batch<'_>) -> Result<(), StorageError> {
    for row in &batch.events {
        match &row.recorded.event {
            Event::MessageAdded(message) => write_message(connection, row.recorded, message).await?,
            Event::MemoryAdded(memory) => write_memory(connection, row, memory).await?,
            _ => {}
        }
    }
    Ok(())
}

async fn write_message(
    connection: &mut sqlx::PgConnection,
    recorded: &Recorded,
    message: &MessageAdded,
) -> Result<(), StorageError> {
    query(
        "INSERT INTO session_messages
         (id, session_id, revision, node_id, agent_id, agent_name, role, content, token_count, is_thinking, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(message.message_id)
    .bind(recorded.session_id.0)
    .bind(bigint(recorded.revision))
    .bind(message.node_id.as_str())
    .bind(&message.agent_id)
    .bind(&message.agent_name)
    .bind(message.role.as_str())
    .bind(message.content.as_deref().unwrap_or_default())
    .bind(bigint(message.token_count))
    .bind(message.is_thinking)
    .bind(recorded.at.as_datetime())
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_memory(
    connection: &mut sqlx::PgConnection,
    row: &EventRow<'_>,
    memory: &MemoryAdded,
) -> Result<(), StorageError> {
    let Some(text) = &memory.row else { return Ok(()) };
    let new = NewMemory {
        id: memory.memory_id,
        group_id: row.group_id,
        agent_id: memory.agent_id.as_deref(),
        session_id: Some(row.recorded.session_id),
        content: &text.content,
        embedding: text.embedding.as_deref(),
        metadata: text.metadata.as_ref(),
        at: row.recorded.at,
    };
    insert(connection, &new).await
}

fn lacks_embedding(row: &EventRow<'_>) -> bool {
    let Event::MemoryAdded(memory) = &row.recorded.event else { return false };
    memory.row.as_ref().is_some_and(|row| row.embedding.is_none())
}

impl Storage {
    /// Whether this batch took effect, judged by one event of each of its sessions: a write takes
    /// effect whole or not at all, but a session may have been deleted since. False for a batch
    /// without events.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn has_batch(&self, batch: &Batch<'_>) -> Result<bool, StorageError> {
        let found = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM session_events JOIN UNNEST($1::uuid[], $2::bigint[])
             AS first (session_id, revision) USING (session_id, revision) WHERE batch = $3)",
        )
        .bind(batch.projections.iter().map(|row| row.after.id.0).collect::<Vec<_>>())
        .bind(batch.projections.iter().map(|row| bigint(row.before.revision + 1)).collect::<Vec<_>>())
        .bind(batch.id)
        .fetch_one(&self.pool)
        .await?;
        Ok(found)
    }
}
