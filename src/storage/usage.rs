//! Usage of a run, added up by node, agent and model.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use uuid::Uuid;

use super::batch::Batch;
use super::bigint::bigint;
use super::columns::Statement;
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
