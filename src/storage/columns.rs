//! A batch as columns, side by side as `UNNEST` wants them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use uuid::Uuid;

use super::StorageError;
use super::batch::{Batch, EventRow, ProjectionRow};
use super::bigint::bigint;
use relive_session::{Actor, Labels, Session, Timestamp};

/// A statement on its way to the database.
pub(super) type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// Binds all that a batch without texts and usage can have.
pub(super) fn bind_rows<'q>(
    statement: Statement<'q>,
    batch: &Batch<'q>,
    deadline: Option<DateTime<Utc>>,
) -> Result<Statement<'q>, StorageError> {
    let statement = bind_commands(bind_nodes(statement, batch, deadline)?, batch);
    let columns = RareArrays::of(batch);
    Ok(statement.bind(columns.proposals).bind(columns.outputs).bind(columns.rare))
}

/// Binds the events, and what a batch most often changes of its sessions.
pub(super) fn bind_nodes<'q>(
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
        .bind(events.actors)
        .bind(projections.ids)
        .bind(projections.expected)
        .bind(projections.created)
        .bind(projections.incarnations)
        .bind(projections.revisions)
        .bind(projections.statuses)
        .bind(projections.node_statuses)
        .bind(projections.node_counts)
        .bind(projections.total_tokens)
        .bind(projections.total_costs)
        .bind(projections.errors)
        .bind(projections.started)
        .bind(projections.ended)
        .bind(projections.updated)
        .bind(i64::try_from(batch.projections.len()).unwrap_or(i64::MAX))
        .bind(deadline)
        .bind(events.distinct_actors))
}

/// Binds the command ids.
pub(super) fn bind_commands<'q>(statement: Statement<'q>, batch: &Batch<'q>) -> Statement<'q> {
    statement
        .bind(batch.commands.iter().map(|row| row.session_id.0).collect::<Vec<_>>())
        .bind(batch.commands.iter().map(|row| row.command_id).collect::<Vec<_>>())
        .bind(batch.commands.iter().map(|row| bigint(row.revision)).collect::<Vec<_>>())
}

/// Columns of the events, side by side as `UNNEST` wants them.
#[derive(Default)]
struct EventArrays<'a> {
    session_ids: Vec<Uuid>,
    revisions: Vec<i64>,
    times: Vec<DateTime<Utc>>,
    events: Vec<Cow<'a, str>>,
    /// Positions among the distinct ones, which PostgreSQL counts from 1.
    actors: Vec<Option<i32>>,
    distinct_actors: Vec<String>,
}

/// The distinct actors of a batch: one key or person makes most of it, and PostgreSQL reads the JSON of each once.
#[derive(Default)]
struct DistinctActors<'a> {
    texts: Vec<String>,
    positions: HashMap<&'a Actor, i32>,
    /// Most events have the actor of the one before them.
    latest: Option<(&'a Arc<Actor>, i32)>,
}

impl<'a> DistinctActors<'a> {
    fn position(&mut self, actor: &'a Arc<Actor>) -> Result<i32, StorageError> {
        if let Some((latest, position)) = self.latest
            && Arc::ptr_eq(latest, actor)
        {
            return Ok(position);
        }
        let position = match self.positions.get(&**actor) {
            Some(position) => *position,
            None => self.add(actor)?,
        };
        self.latest = Some((actor, position));
        Ok(position)
    }

    fn add(&mut self, actor: &'a Actor) -> Result<i32, StorageError> {
        self.texts.push(json(actor)?);
        let position = i32::try_from(self.texts.len()).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        self.positions.insert(actor, position);
        Ok(position)
    }
}

impl<'a> EventArrays<'a> {
    fn of(batch: &'a Batch<'_>) -> Result<Self, StorageError> {
        let mut arrays = Self::default();
        let mut actors = DistinctActors::default();
        for EventRow { recorded, json: encoded, .. } in &batch.events {
            arrays.session_ids.push(recorded.session_id.0);
            arrays.revisions.push(bigint(recorded.revision));
            arrays.times.push(recorded.at.as_datetime());
            arrays.actors.push(recorded.by.as_ref().map(|by| actors.position(by)).transpose()?);
            arrays.events.push(match encoded {
                Some(encoded) => encoded.get().into(),
                None => json(&recorded.event)?.into(),
            });
        }
        arrays.distinct_actors = actors.texts;
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
    started: Vec<Option<DateTime<Utc>>>,
    ended: Vec<Option<DateTime<Utc>>>,
    updated: Vec<DateTime<Utc>>,
    created: Vec<DateTime<Utc>>,
    incarnations: Vec<i64>,
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
            arrays.started.push(after.started_at.map(Timestamp::as_datetime));
            arrays.ended.push(after.completed_at.map(Timestamp::as_datetime));
            arrays.updated.push(after.updated_at.as_datetime());
            arrays.created.push(before.origin.created_at.as_datetime());
            arrays.incarnations.push(before.origin.incarnation);
        }
        arrays
    }
}

/// Columns of the projections that few batches change. `None`: unchanged.
#[derive(Default)]
struct RareArrays {
    proposals: Vec<Option<String>>,
    outputs: Vec<Option<String>>,
    rare: Vec<Option<String>>,
}

impl RareArrays {
    fn of(batch: &Batch<'_>) -> Self {
        let mut arrays = Self::default();
        for ProjectionRow { before, after } in &batch.projections {
            arrays.proposals.push(changed_json(before.proposal.as_deref(), after.proposal.as_deref()));
            arrays.outputs.push(changed_json(before.outputs.as_deref(), after.outputs.as_deref()));
            arrays.rare.push(changed_rarely(before, after));
        }
        arrays
    }
}

/// Whether a batch changes one of those columns in a session.
pub(super) fn changes_rare_columns(ProjectionRow { before, after }: &ProjectionRow<'_>) -> bool {
    is_changed(before.proposal.as_deref(), after.proposal.as_deref())
        || is_changed(before.outputs.as_deref(), after.outputs.as_deref())
        || before.labels != after.labels
        || DriverColumns::of(before) != DriverColumns::of(after)
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

/// What changes rarely, in one column, so that other batches carry nothing of it: the labels, and what lists say of
/// the driver.
#[derive(serde::Serialize)]
struct Rare<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a Labels>,
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<DriverColumns>,
}

#[derive(PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct DriverColumns {
    seen_at: Option<Timestamp>,
    is_stalled: bool,
}

impl DriverColumns {
    fn of(session: &Session) -> Self {
        Self { seen_at: session.driver_seen_at(), is_stalled: session.is_stalled() }
    }
}

fn changed_rarely(before: &Session, after: &Session) -> Option<String> {
    let labels = Some(&after.labels).filter(|labels| before.labels != **labels);
    let driver = Some(DriverColumns::of(after)).filter(|driver| DriverColumns::of(before) != *driver);
    if labels.is_none() && driver.is_none() {
        return None;
    }
    serde_json::to_string(&Rare { labels, driver }).ok()
}

fn changed_json(before: Option<&serde_json::Value>, after: Option<&serde_json::Value>) -> Option<String> {
    after.filter(|_| is_changed(before, after)).and_then(|after| serde_json::to_string(after).ok())
}

/// States share a value that stays. One that is gone stays in its column.
fn is_changed(before: Option<&serde_json::Value>, after: Option<&serde_json::Value>) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => !std::ptr::eq(before, after),
        (None, Some(_)) => true,
        (_, None) => false,
    }
}
