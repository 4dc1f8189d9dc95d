//! Writing batches: many sessions' events, texts, usage, projections and command ids in one statement.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::{Row as _, query};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::StorageError;
use super::batch::{Batch, EventRow};
use super::columns::{Statement, bind_commands, bind_nodes, bind_rows, changes_rare_columns};
use super::link::STATEMENT;
use super::pool::TakenConnection;
use super::texts::TextArrays;
use super::usage::UsageArrays;
use super::webhooks;
use relive_session::Event;

/// A connection that only writes batches; its statements stay prepared.
#[derive(Debug)]
pub struct Writer {
    connection: TakenConnection,
    unembedded: Arc<Notify>,
    outbox: Arc<Notify>,
    clock: DatabaseClock,
}

/// What the database's clock showed, and at which local instant.
#[derive(Clone, Copy, Debug)]
struct DatabaseClock {
    showed: DateTime<Utc>,
    at: Instant,
}

impl DatabaseClock {
    /// What the database's clock will show at `instant`, or slightly less.
    fn at(self, instant: Instant) -> DateTime<Utc> {
        let ahead = instant.saturating_duration_since(self.at);
        let behind = self.at.saturating_duration_since(instant);
        self.showed + ahead - behind
    }
}

/// A batch is one statement and therefore one transaction: there is no later message to the database that
/// could be lost, or delayed and take effect afterwards. Besides the primary key of the journal, the fence is
/// the expected revision in the update, and the session's identity: another session may be stored under the id
/// of a deleted one.
///
/// Most batches change nothing but nodes. What else there may be is left out of their statement: with few commands in
/// flight, parameters, parts of the plan and triggers cost more than the rows.
///
/// The distinct actors are made an array of JSON once for each batch, and not once for each event: an event takes its
/// own by position.
macro_rules! events {
    () => {
        "
WITH events AS (
    INSERT INTO session_events (session_id, revision, at, batch, event, actor)
    SELECT session_id, revision, at, $1, event::json, ((SELECT $23::text[]::json[]))[actor]
    FROM UNNEST($2::uuid[], $3::bigint[], $4::timestamptz[], $5::text[], $6::integer[])
        AS e (session_id, revision, at, event, actor)
    RETURNING 1
)"
    };
}

macro_rules! commands {
    () => {
        ", commands AS (
    INSERT INTO session_commands (session_id, command_id, revision)
    SELECT * FROM UNNEST($24::uuid[], $25::text[], $26::bigint[])
    RETURNING 1
)"
    };
}

/// The update of the projections, with what else it sets, and where the values come from.
macro_rules! updated {
    ($sets:literal, $arrays:literal, $columns:literal) => {
        concat!(
            ", updated AS (
    UPDATE sessions SET
        revision = p.revision,
        status = p.status,
        node_statuses = CASE WHEN p.node_statuses IS NULL THEN sessions.node_statuses
                        ELSE sessions.node_statuses || p.node_statuses::jsonb END,
        node_counts = COALESCE(p.node_counts::jsonb, sessions.node_counts),
        total_tokens = p.total_tokens,
        total_cost_usd = p.total_cost_usd,
        error = p.error,
        is_parked = false,
        started_at = p.started_at,
        ended_at = p.ended_at,
        ended_nodes = CASE WHEN p.ended_at IS NULL THEN NULL
                      WHEN p.node_statuses IS NULL
                      THEN COALESCE(sessions.ended_nodes, relive_node_hashes(sessions.node_statuses))
                      ELSE relive_node_hashes(sessions.node_statuses || p.node_statuses::jsonb) END,
        updated_at = p.updated_at,
        -- Indexed, and so left alone for as long as it is near enough.
        updated_about = CASE WHEN p.updated_at < sessions.updated_about + interval '10 minutes'
                        THEN sessions.updated_about ELSE p.updated_at END",
            $sets,
            "
    FROM UNNEST($7::uuid[], $8::bigint[], $9::timestamptz[], $10::bigint[], $11::bigint[], $12::text[], $13::text[],
                $14::text[], $15::bigint[], $16::numeric[], $17::text[], $18::timestamptz[], $19::timestamptz[],
                $20::timestamptz[]",
            $arrays,
            ")
        AS p (id, expected, created_at, incarnation, revision, status, node_statuses,
              node_counts, total_tokens, total_cost_usd, error, started_at, ended_at,
              updated_at",
            $columns,
            ")
    WHERE sessions.id = p.id AND sessions.revision = p.expected AND sessions.created_at = p.created_at
        AND sessions.incarnation = p.incarnation
    RETURNING 1
)"
        )
    };
}

const WRITE_NODES: &str = concat!(
    events!(),
    updated!("", "", ""),
    "
SELECT relive_fence((SELECT count(*) FROM updated), $21, $22, (SELECT count(*) FROM events))"
);

const WRITE_NODES_AND_COMMANDS: &str = concat!(
    events!(),
    commands!(),
    updated!("", "", ""),
    "
SELECT relive_fence((SELECT count(*) FROM updated), $21, $22,
    (SELECT count(*) FROM events) + (SELECT count(*) FROM commands))"
);

macro_rules! rows {
    () => {
        concat!(
            events!(),
            commands!(),
            updated!(
                ",
        proposal = COALESCE(p.proposal::jsonb, sessions.proposal),
        outputs = COALESCE(p.outputs::jsonb, sessions.outputs),
        name = CASE WHEN p.rare::jsonb ? 'labels' THEN p.rare::jsonb -> 'labels' ->> 'name' ELSE sessions.name END,
        tags = CASE WHEN p.rare::jsonb ? 'labels'
               THEN (SELECT array_agg(tag) FROM jsonb_array_elements_text(p.rare::jsonb -> 'labels' -> 'tags') AS tag)
               ELSE sessions.tags END,
        metadata = CASE WHEN p.rare::jsonb ? 'labels' THEN p.rare::jsonb -> 'labels' -> 'metadata'
                   ELSE sessions.metadata END,
        labels_revision = CASE WHEN p.rare::jsonb ? 'labels' THEN p.revision ELSE sessions.labels_revision END,
        driver_seen_at = CASE WHEN p.rare::jsonb ? 'driver' THEN (p.rare::jsonb -> 'driver' ->> 'seenAt')::timestamptz
                         ELSE sessions.driver_seen_at END,
        is_stalled = CASE WHEN p.rare::jsonb ? 'driver' THEN (p.rare::jsonb -> 'driver' ->> 'isStalled')::boolean
                     ELSE sessions.is_stalled END",
                ", $27::text[], $28::text[], $29::text[]",
                ", proposal, outputs, rare"
            )
        )
    };
}

/// The rows of messages, log lines, memories and usage.
macro_rules! texts {
    () => {
        ", messages AS (
    INSERT INTO session_messages (id, session_id, revision, node_id, agent_id, agent_name, role, content,
        token_count, is_thinking, created_at, tool_calls, tool_call_id, content_type)
    SELECT id, session_id, revision, node_id, agent_id, agent_name, role, content, token_count, is_thinking,
        created_at, tool_calls::json, tool_call_id, content_type
    FROM UNNEST($30::text[], $31::uuid[], $32::bigint[], $33::text[], $34::text[], $35::text[],
        $36::text[], $37::text[], $38::bigint[], $39::boolean[], $40::timestamptz[], $50::text[], $51::text[],
        $52::text[])
        AS m (id, session_id, revision, node_id, agent_id, agent_name, role, content, token_count, is_thinking,
        created_at, tool_calls, tool_call_id, content_type)
    RETURNING 1
), logs AS (
    INSERT INTO session_logs (session_id, revision, node_id, level, text, at, attributes)
    SELECT session_id, revision, node_id, level, text, at, attributes::json
    FROM UNNEST($53::uuid[], $54::bigint[], $55::text[], $56::smallint[], $57::text[], $58::timestamptz[],
        $59::text[])
        AS l (session_id, revision, node_id, level, text, at, attributes)
    RETURNING 1
), memories AS (
    INSERT INTO memories (id, group_id, agent_id, session_id, content, embedding, metadata, created_at, project_id)
    SELECT id, group_id, agent_id, session_id, content, embedding, metadata::jsonb, created_at, project_id
    FROM UNNEST($41::uuid[], $42::uuid[], $43::text[], $44::uuid[], $45::text[], $46::vector[], $47::text[],
        $48::timestamptz[], $49::text[])
        AS m (id, group_id, agent_id, session_id, content, embedding, metadata, created_at, project_id)
    RETURNING 1
), usage AS (
    INSERT INTO session_usage AS held
        (session_id, node_id, agent_id, model, calls, input_tokens, output_tokens, cost_usd)
    SELECT * FROM UNNEST($60::uuid[], $61::text[], $62::text[], $63::text[], $64::bigint[], $65::bigint[],
        $66::bigint[], $67::numeric[])
    ON CONFLICT (session_id, node_id, agent_id, model) DO UPDATE SET
        calls = held.calls + excluded.calls,
        input_tokens = held.input_tokens + excluded.input_tokens,
        output_tokens = held.output_tokens + excluded.output_tokens,
        cost_usd = held.cost_usd + excluded.cost_usd
    RETURNING 1
)"
    };
}

/// The rows of events that webhooks of their project are told of.
macro_rules! noticed {
    ($rows:literal) => {
        concat!(
            ", noticed AS (
    INSERT INTO webhook_outbox (at, session_id, revision, project_id, type, node_id)
    SELECT n.at, n.session_id, n.revision, n.project_id, n.type, n.node_id
    FROM json_to_recordset(",
            $rows,
            "::json) AS n (at timestamptz, session_id uuid, revision bigint, project_id text, type text, node_id text)
    WHERE EXISTS (SELECT FROM webhooks WHERE webhooks.project_id = n.project_id AND enabled AND n.type = ANY (types))
    RETURNING 1
)"
        )
    };
}

macro_rules! fence {
    ($rows:literal) => {
        concat!(
            "
SELECT relive_fence((SELECT count(*) FROM updated), $21, $22,
    (SELECT count(*) FROM events) + (SELECT count(*) FROM commands)",
            $rows,
            ")"
        )
    };
}

const WRITE: &str = concat!(rows!(), fence!(""));

/// With what webhooks are told of.
const WRITE_NOTICED: &str = concat!(rows!(), noticed!("$30"), fence!(""), ", (SELECT count(*) FROM noticed)");

const WRITE_WITH_TEXTS: &str = concat!(
    rows!(),
    texts!(),
    fence!(
        "
    + (SELECT count(*) FROM messages) + (SELECT count(*) FROM logs) + (SELECT count(*) FROM memories)
    + (SELECT count(*) FROM usage)"
    )
);

/// With both.
const WRITE_NOTICED_WITH_TEXTS: &str = concat!(
    rows!(),
    texts!(),
    noticed!("$68"),
    fence!(
        "
    + (SELECT count(*) FROM messages) + (SELECT count(*) FROM logs) + (SELECT count(*) FROM memories)
    + (SELECT count(*) FROM usage)"
    ),
    ", (SELECT count(*) FROM noticed)"
);

/// How long a writer's statement may take, and wait for one lock: a transaction that holds a session's row for
/// longer delays this session only.
///
/// The statements are planned once, without a look at their values: planning one takes longer than carrying it out for
/// few rows, and PostgreSQL would do it again each time, since it takes a plan for one row to be cheaper than that for
/// any number. Whatever the statistics say at that time, rows are then looked up by their key.
const SETTINGS: &str = "SELECT clock_timestamp(),
    set_config('statement_timeout', '5s', false), set_config('lock_timeout', '200ms', false),
    set_config('plan_cache_mode', 'force_generic_plan', false), set_config('jit', 'off', false),
    set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false),
    set_config('enable_mergejoin', 'off', false)";

impl Writer {
    pub(super) async fn new(
        mut connection: TakenConnection,
        unembedded: Arc<Notify>,
        outbox: Arc<Notify>,
    ) -> Result<Self, StorageError> {
        // A writer is dropped when its connection is in doubt; neither connection nor settings may return to
        // the pool.
        connection.close_on_drop();
        let shown = connection.run(STATEMENT, async |connection| query(SETTINGS).fetch_one(connection).await).await?;
        let showed = shown.try_get(0)?;
        Ok(Self { connection, unembedded, outbox, clock: DatabaseClock { showed, at: Instant::now() } })
    }

    /// Writes a batch durably.
    ///
    /// # Errors
    ///
    /// [`StorageError::Fenced`] if another writer was first, [`StorageError::TooLate`] if its deadline had
    /// passed: nothing was written then. [`StorageError::Unavailable`] and [`StorageError::TimedOut`] if
    /// the outcome is unknown: look it up with [`has_batch`](super::Storage::has_batch), on a new connection.
    pub async fn write(&mut self, batch: &Batch<'_>) -> Result<(), StorageError> {
        let deadline = batch.deadline.map(|deadline| self.clock.at(deadline));
        let noticed = webhooks::noticed(batch)?;
        let is_noticed = noticed.is_some();
        let has_texts = batch.events.iter().any(has_rows_of_its_own);
        let statement = match (has_texts, noticed) {
            (true, None) => bind_texts(WRITE_WITH_TEXTS, batch, deadline)?,
            (true, Some(noticed)) => bind_texts(WRITE_NOTICED_WITH_TEXTS, batch, deadline)?.bind(noticed),
            (false, Some(noticed)) => bind_rows(query(WRITE_NOTICED), batch, deadline)?.bind(noticed),
            (false, None) => bind_changes(batch, deadline)?,
        };
        let showed = self.connection.run(STATEMENT, async |connection| statement.fetch_one(connection).await).await?;
        // Measured anew each time, as the two clocks drift.
        self.clock = DatabaseClock { showed: showed.try_get(0)?, at: Instant::now() };
        if batch.events.iter().any(lacks_embedding) {
            self.unembedded.notify_one();
        }
        if is_noticed && showed.try_get::<i64, _>(1)? > 0 {
            self.outbox.notify_one();
        }
        Ok(())
    }
}

/// Writes a batch without rows of texts and usage, as part of the caller's transaction.
pub(super) async fn write_rows(connection: &mut sqlx::PgConnection, batch: &Batch<'_>) -> Result<(), StorageError> {
    bind_rows(query(WRITE), batch, None)?.execute(connection).await?;
    Ok(())
}

fn bind_texts<'q>(
    sql: &'static str,
    batch: &'q Batch<'q>,
    deadline: Option<DateTime<Utc>>,
) -> Result<Statement<'q>, StorageError> {
    let rows = TextArrays::of(batch).bind(bind_rows(query(sql), batch, deadline)?);
    Ok(UsageArrays::of(batch).bind(rows))
}

/// The statement for a batch without texts, which is no longer than it needs.
fn bind_changes<'q>(batch: &'q Batch<'q>, deadline: Option<DateTime<Utc>>) -> Result<Statement<'q>, StorageError> {
    if batch.projections.iter().any(changes_rare_columns) {
        bind_rows(query(WRITE), batch, deadline)
    } else if batch.commands.is_empty() {
        bind_nodes(query(WRITE_NODES), batch, deadline)
    } else {
        Ok(bind_commands(bind_nodes(query(WRITE_NODES_AND_COMMANDS), batch, deadline)?, batch))
    }
}

fn has_rows_of_its_own(row: &EventRow<'_>) -> bool {
    matches!(
        row.recorded.event,
        Event::MessageAdded(_) | Event::LogAdded(_) | Event::MemoryAdded(_) | Event::UsageRecorded { .. }
    )
}

fn lacks_embedding(row: &EventRow<'_>) -> bool {
    let Event::MemoryAdded(memory) = &row.recorded.event else { return false };
    memory.row.as_ref().is_some_and(|row| row.embedding.is_none())
}
