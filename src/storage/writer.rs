//! Writing batches: many sessions' events, texts, usage, projections and command ids in one statement.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Postgres, Row as _, query};
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::journal::bigint;
use super::link::STATEMENT;
use super::pool::Connection;
use super::texts::TextArrays;
use super::usage::UsageArrays;
use super::{Storage, StorageError};
use crate::session::{Event, Recorded, Revision, Session, SessionId};

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
    /// After it the batch is not to be written any more.
    pub deadline: Option<Instant>,
}

/// A connection that only writes batches; its statements stay prepared.
#[derive(Debug)]
pub struct Writer {
    connection: Connection,
    unembedded: Arc<Notify>,
    clock: DatabaseClock,
}

/// What the database's clock showed, and when that was by ours.
#[derive(Clone, Copy, Debug)]
struct DatabaseClock {
    showed: DateTime<Utc>,
    at: Instant,
}

impl DatabaseClock {
    /// What the database's clock will show at `instant`, or a little less.
    fn at(self, instant: Instant) -> DateTime<Utc> {
        let ahead = instant.saturating_duration_since(self.at);
        let behind = self.at.saturating_duration_since(instant);
        self.showed + ahead - behind
    }
}

/// A batch is one statement and so one transaction: there is no later message to the database that
/// could get lost, or stuck on its way and take effect afterwards. Beside the primary key of the
/// journal, the expected revision in the update is the fence, and when the session was created: another
/// one may be stored under the id of a session that was deleted.
macro_rules! rows {
    () => {
        "
WITH events AS (
    INSERT INTO session_events (session_id, revision, at, batch, event)
    SELECT session_id, revision, at, $1, event::json
    FROM UNNEST($2::uuid[], $3::bigint[], $4::timestamptz[], $5::text[]) AS e (session_id, revision, at, event)
    RETURNING 1
), commands AS (
    INSERT INTO session_commands (session_id, command_id, revision)
    SELECT * FROM UNNEST($6::uuid[], $7::text[], $8::bigint[])
    RETURNING 1
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
                $22::timestamptz[], $25::timestamptz[])
        AS p (id, expected, revision, status, node_statuses, node_counts, total_tokens, total_cost_usd, error,
              proposal, outputs, started_at, ended_at, updated_at, created_at)
    WHERE sessions.id = p.id AND sessions.revision = p.expected AND sessions.created_at = p.created_at
    RETURNING 1
)"
    };
}

const WRITE: &str = concat!(
    rows!(),
    "
SELECT relive_fence((SELECT count(*) FROM updated), $23, $24,
    (SELECT count(*) FROM events) + (SELECT count(*) FROM commands))"
);

/// The same with the rows that messages, memories and usage have of their own.
const WRITE_WITH_TEXTS: &str = concat!(
    rows!(),
    ", messages AS (
    INSERT INTO session_messages (id, session_id, revision, node_id, agent_id, agent_name, role, content,
        token_count, is_thinking, created_at)
    SELECT * FROM UNNEST($26::text[], $27::uuid[], $28::bigint[], $29::text[], $30::text[], $31::text[],
        $32::text[], $33::text[], $34::bigint[], $35::boolean[], $36::timestamptz[])
    RETURNING 1
), memories AS (
    INSERT INTO memories (id, group_id, agent_id, session_id, content, embedding, metadata, created_at)
    SELECT id, group_id, agent_id, session_id, content, embedding, metadata::jsonb, created_at
    FROM UNNEST($37::uuid[], $38::uuid[], $39::text[], $40::uuid[], $41::text[], $42::vector[], $43::text[],
        $44::timestamptz[])
        AS m (id, group_id, agent_id, session_id, content, embedding, metadata, created_at)
    RETURNING 1
), usage AS (
    INSERT INTO session_usage AS held
        (session_id, node_id, agent_id, model, calls, input_tokens, output_tokens, cost_usd)
    SELECT * FROM UNNEST($45::uuid[], $46::text[], $47::text[], $48::text[], $49::bigint[], $50::bigint[],
        $51::bigint[], $52::numeric[])
    ON CONFLICT (session_id, node_id, agent_id, model) DO UPDATE SET
        calls = held.calls + excluded.calls,
        input_tokens = held.input_tokens + excluded.input_tokens,
        output_tokens = held.output_tokens + excluded.output_tokens,
        cost_usd = held.cost_usd + excluded.cost_usd
    RETURNING 1
)
SELECT relive_fence((SELECT count(*) FROM updated), $23, $24,
    (SELECT count(*) FROM events) + (SELECT count(*) FROM commands) + (SELECT count(*) FROM messages)
    + (SELECT count(*) FROM memories) + (SELECT count(*) FROM usage))"
);

/// How long the database may work on one statement of a writer, and wait for one lock. Whoever holds a
/// session's row for longer keeps this session from being written, and no other one.
const SETTINGS: &str = "SELECT set_config('statement_timeout', '5s', false), set_config('lock_timeout', '200ms', false), clock_timestamp()";

impl Writer {
    pub(super) async fn new(mut connection: Connection, unembedded: Arc<Notify>) -> Result<Self, StorageError> {
        // A writer is given up when its connection is in doubt; nobody else should meet that one, nor
        // its settings.
        connection.close_on_drop();
        let shown = connection.run(STATEMENT, async |connection| query(SETTINGS).fetch_one(connection).await).await?;
        let showed = shown.try_get(2)?;
        Ok(Self { connection, unembedded, clock: DatabaseClock { showed, at: Instant::now() } })
    }

    /// Writes a batch durably.
    ///
    /// # Errors
    ///
    /// [`StorageError::Fenced`] when another writer was first, [`StorageError::TooLate`] when its deadline
    /// had passed: nothing was written then. [`StorageError::Unavailable`] and [`StorageError::TimedOut`]
    /// when it is unknown whether it was: look with [`Storage::has_batch`], on a new connection.
    pub async fn write(&mut self, batch: &Batch<'_>) -> Result<(), StorageError> {
        let deadline = batch.deadline.map(|deadline| self.clock.at(deadline));
        let has_rows_of_its_own = |row: &EventRow<'_>| {
            matches!(row.recorded.event, Event::MessageAdded(_) | Event::MemoryAdded(_) | Event::UsageRecorded { .. })
        };
        let statement = if batch.events.iter().any(has_rows_of_its_own) {
            let rows = bind_rows(query(WRITE_WITH_TEXTS), batch, deadline)?;
            let texts = TextArrays::of(batch).bind(rows);
            UsageArrays::of(batch).bind(texts)
        } else {
            bind_rows(query(WRITE), batch, deadline)?
        };
        let showed = self.connection.run(STATEMENT, async |connection| statement.fetch_one(connection).await).await?;
        // Looked at anew each time, as the two clocks drift.
        self.clock = DatabaseClock { showed: showed.try_get(0)?, at: Instant::now() };
        if batch.events.iter().any(lacks_embedding) {
            self.unembedded.notify_one();
        }
        Ok(())
    }
}

/// Writes a batch without the rows that texts and usage have of their own, as part of the caller's
/// transaction.
pub(super) async fn write_rows(connection: &mut sqlx::PgConnection, batch: &Batch<'_>) -> Result<(), StorageError> {
    bind_rows(query(WRITE), batch, None)?.execute(connection).await?;
    Ok(())
}

/// A statement on its way to the database.
pub(super) type Statement<'q> = Query<'q, Postgres, PgArguments>;

fn bind_rows<'q>(
    statement: Statement<'q>,
    batch: &Batch<'q>,
    deadline: Option<DateTime<Utc>>,
) -> Result<Statement<'q>, StorageError> {
    let events = EventArrays::of(batch)?;
    let projections = ProjectionArrays::of(batch);
    Ok(statement
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
        .bind(deadline)
        .bind(projections.created))
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
    created: Vec<DateTime<Utc>>,
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
            arrays.created.push(before.origin.created_at.as_datetime());
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

    /// With which batches these events were written; those that do not exist are left out.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn batches_of(
        &self,
        events: &[(SessionId, Revision)],
    ) -> Result<HashMap<(SessionId, Revision), i64>, StorageError> {
        let rows: Vec<(Uuid, i64, i64)> = sqlx::query_as(
            "SELECT session_id, revision, batch FROM session_events JOIN UNNEST($1::uuid[], $2::bigint[])
             AS asked (session_id, revision) USING (session_id, revision)",
        )
        .bind(events.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
        .bind(events.iter().map(|(_, revision)| bigint(*revision)).collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await?;
        let found = rows.into_iter().map(|(id, revision, batch)| ((SessionId(id), revision.unsigned_abs()), batch));
        Ok(found.collect())
    }
}
