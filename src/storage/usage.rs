//! Usage of a run, added up by node, agent and model.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::batch::Batch;
use super::bigint::bigint;
use super::columns::Statement;
use super::pool::Pool;
use super::{Storage, StorageError};
use relive_session::{Event, NodeId, SessionId};

/// Usage of one node by one agent with one model.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageRow {
    pub node_id: NodeId,
    pub agent_id: Option<String>,
    pub model: Option<String>,
    /// How often usage was recorded.
    pub calls: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cost_usd: Decimal,
}

/// The columns of `session_usage` except the session.
pub(super) type UsageColumns = (String, String, String, i64, i64, i64, Decimal);

impl UsageRow {
    /// Tokens without a cost are those of models with an unknown price.
    #[must_use]
    pub fn is_priced(&self) -> bool {
        !self.cost_usd.is_zero() || self.input_tokens.saturating_add(self.output_tokens) == 0
    }

    pub(super) fn from_columns(columns: UsageColumns) -> Self {
        let (node_id, agent_id, model, calls, input_tokens, output_tokens, cost_usd) = columns;
        let named = |name: String| Some(name).filter(|name| !name.is_empty());
        Self {
            node_id: node_id.into(),
            agent_id: named(agent_id),
            model: named(model),
            calls: calls.unsigned_abs(),
            input_tokens: input_tokens.unsigned_abs(),
            output_tokens: output_tokens.unsigned_abs(),
            cost_usd,
        }
    }
}

/// What a sum is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SummedBy {
    All,
    Node(String),
    Agent(String),
    Model(String),
}

/// Usage added up over a family.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageSum {
    pub by: SummedBy,
    pub calls: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// `None` if none of it has a price.
    pub cost_usd: Option<Decimal>,
}

/// The usage of a session and its descendants.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyUsage {
    /// How many sessions were added up.
    pub sessions: u64,
    /// There are more sessions, nodes, agents or models.
    pub is_truncated: bool,
    pub sums: Vec<UsageSum>,
}

/// Descendants whose usage is added up.
pub(super) const DESCENDANTS: i64 = 10_000;
/// Sums at most; those of agents and models come before those of nodes.
const SUMS: i64 = 10_000;

type SumColumns = (i32, Option<String>, Option<String>, Option<String>, i64, i64, i64, Option<Decimal>, i64);

impl FamilyUsage {
    /// Continues a statement that has the tables `family` and `shown`.
    pub(super) fn push_sums(query: &mut QueryBuilder<Postgres>) {
        const MOST: i64 = i64::MAX;
        query.push(
            "SELECT GROUPING(node_id, agent_id, model) AS level, node_id, agent_id, model,
                 LEAST(COALESCE(sum(calls), 0), ",
        );
        query.push_bind(MOST).push(")::bigint, LEAST(COALESCE(sum(input_tokens), 0), ");
        query.push_bind(MOST).push(")::bigint, LEAST(COALESCE(sum(output_tokens), 0), ");
        query.push_bind(MOST).push(
            ")::bigint,
                 sum(cost_usd) FILTER (WHERE cost_usd <> 0 OR input_tokens + output_tokens = 0),
                 (SELECT count(*) FROM shown)
             FROM session_usage WHERE session_id IN (SELECT id FROM shown LIMIT ",
        );
        query.push_bind(DESCENDANTS + 1).push(
            ")
             GROUP BY GROUPING SETS ((), (node_id), (agent_id), (model))
             ORDER BY level DESC, sum(input_tokens + output_tokens) DESC, node_id, agent_id, model LIMIT ",
        );
        query.push_bind(SUMS + 1);
    }

    pub(super) async fn read(mut query: QueryBuilder<Postgres>, pool: &Pool) -> Result<Self, StorageError> {
        Self::push_sums(&mut query);
        let mut rows: Vec<SumColumns> = query.build_query_as().persistent(false).fetch_all(pool).await?;
        let shown = rows.first().map_or(0, |row| row.8);
        let is_truncated = shown > DESCENDANTS + 1 || i64::try_from(rows.len()).is_ok_and(|rows| rows > SUMS);
        rows.truncate(usize::try_from(SUMS).unwrap_or(usize::MAX));
        let sums = rows.into_iter().filter_map(UsageSum::from_columns).collect();
        Ok(Self { sessions: shown.min(DESCENDANTS + 1).unsigned_abs(), is_truncated, sums })
    }
}

impl UsageSum {
    /// `None` for usage that names no agent, or no model.
    fn from_columns(columns: SumColumns) -> Option<Self> {
        let (level, node, agent, model, calls, input_tokens, output_tokens, cost_usd, _) = columns;
        let named = |name: Option<String>| name.filter(|name| !name.is_empty());
        // A bit for each column that a sum is not by, the first one the highest.
        let by = match level {
            0b111 => SummedBy::All,
            0b011 => SummedBy::Node(node?),
            0b101 => SummedBy::Agent(named(agent)?),
            _ => SummedBy::Model(named(model)?),
        };
        let (calls, input_tokens) = (calls.unsigned_abs(), input_tokens.unsigned_abs());
        Some(Self { by, calls, input_tokens, output_tokens: output_tokens.unsigned_abs(), cost_usd })
    }
}

#[derive(Default)]
struct Sums {
    calls: i64,
    input_tokens: i64,
    output_tokens: i64,
    cost_usd: Decimal,
}

/// A batch's usage added up, with the rows always in the same order.
#[derive(Default)]
pub(super) struct UsageArrays<'a> {
    sums: BTreeMap<(Uuid, &'a str, &'a str, &'a str), Sums>,
}

impl<'a> UsageArrays<'a> {
    pub fn of(batch: &Batch<'a>) -> Self {
        let mut arrays = Self::default();
        for row in &batch.events {
            if let Event::UsageRecorded { node_id, agent_id, model, input_tokens, output_tokens, cost_usd, .. } =
                &row.recorded.event
            {
                let key = (
                    row.recorded.session_id.0,
                    node_id.as_str(),
                    agent_id.as_deref().unwrap_or_default(),
                    model.as_deref().unwrap_or_default(),
                );
                let sum = arrays.sums.entry(key).or_default();
                sum.calls += 1;
                sum.input_tokens = sum.input_tokens.saturating_add(bigint(*input_tokens));
                sum.output_tokens = sum.output_tokens.saturating_add(bigint(*output_tokens));
                sum.cost_usd = sum.cost_usd.saturating_add(cost_usd.unwrap_or_default());
            }
        }
        arrays
    }

    /// Binds the columns in the order of the statement.
    pub fn bind(self, statement: Statement<'a>) -> Statement<'a> {
        let Self { sums } = self;
        statement
            .bind(sums.keys().map(|key| key.0).collect::<Vec<_>>())
            .bind(sums.keys().map(|key| key.1).collect::<Vec<_>>())
            .bind(sums.keys().map(|key| key.2).collect::<Vec<_>>())
            .bind(sums.keys().map(|key| key.3).collect::<Vec<_>>())
            .bind(sums.values().map(|sum| sum.calls).collect::<Vec<_>>())
            .bind(sums.values().map(|sum| sum.input_tokens).collect::<Vec<_>>())
            .bind(sums.values().map(|sum| sum.output_tokens).collect::<Vec<_>>())
            .bind(sums.values().map(|sum| sum.cost_usd).collect::<Vec<_>>())
    }
}

/// Adds a batch's usage to the sums, as part of the caller's transaction.
pub(super) async fn write_usage(connection: &mut sqlx::PgConnection, batch: &Batch<'_>) -> Result<(), StorageError> {
    let arrays = UsageArrays::of(batch);
    if arrays.sums.is_empty() {
        return Ok(());
    }
    let statement = sqlx::query(
        "INSERT INTO session_usage AS held
             (session_id, node_id, agent_id, model, calls, input_tokens, output_tokens, cost_usd)
         SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],
                              $7::bigint[], $8::numeric[])
         ON CONFLICT (session_id, node_id, agent_id, model) DO UPDATE SET
             calls = held.calls + excluded.calls,
             input_tokens = held.input_tokens + excluded.input_tokens,
             output_tokens = held.output_tokens + excluded.output_tokens,
             cost_usd = held.cost_usd + excluded.cost_usd",
    );
    arrays.bind(statement).execute(connection).await?;
    Ok(())
}

impl Storage {
    /// A session's usage, by node, agent and model.
    pub async fn usage(&self, session_id: SessionId) -> Result<Vec<UsageRow>, StorageError> {
        let rows: Vec<UsageColumns> = sqlx::query_as(
            "SELECT node_id, agent_id, model, calls, input_tokens, output_tokens, cost_usd
             FROM session_usage WHERE session_id = $1 ORDER BY node_id, agent_id, model",
        )
        .bind(session_id.0)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(UsageRow::from_columns).collect())
    }
}
