//! Two runs beside each other.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use rust_decimal::Decimal;

use super::error::ApiError;
use super::state::Api;
use crate::scoped::Readable;
use crate::storage::UsageRow;
use relive_protocol::{ComparedNode, ComparedRun, NodeFigures, RunComparison};
use relive_session::{NodeId, OutputRef, Session, Timestamp, TokenUsage, is_same_json};

/// Nodes whose outputs are read at the same time.
const OUTPUTS: usize = 4;

/// A run in a state, and how to read more of it.
pub struct Side {
    pub of: Readable,
    pub state: Session,
}

/// Compares two runs, node by node.
pub async fn compare(api: &Api, from: &Side, to: &Side) -> Result<RunComparison, ApiError> {
    let mut nodes: BTreeMap<NodeId, ComparedNode> = BTreeMap::new();
    for (id, figures) in figures(api, from).await? {
        nodes.entry(id).or_default().from = Some(figures);
    }
    for (id, figures) in figures(api, to).await? {
        nodes.entry(id).or_default().to = Some(figures);
    }
    for chunk in in_both(from, to).chunks(OUTPUTS) {
        let mut reading = Vec::with_capacity(chunk.len());
        for (id, before, after) in chunk {
            reading.push(is_same_output(api, id, (from.of, *before), (to.of, *after)));
        }
        for (id, is_same) in try_join_all(reading).await? {
            nodes.entry(id.clone()).or_default().output_equal = Some(is_same);
        }
    }
    Ok(RunComparison { from: run(&from.state), to: run(&to.state), nodes })
}

fn run(state: &Session) -> ComparedRun {
    ComparedRun {
        session_id: state.id,
        revision: state.revision,
        status: state.status,
        duration_ms: duration(state.started_at, state.completed_at),
        total_tokens: state.total_tokens,
        total_cost_usd: state.total_cost_usd,
    }
}

fn duration(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<u64> {
    u64::try_from(to?.since(from?).as_millis()).ok()
}

async fn figures(api: &Api, side: &Side) -> Result<Vec<(NodeId, NodeFigures)>, ApiError> {
    let costs = costs(&api.usage_at(side.of, side.state.revision).await?);
    let mut figures = Vec::with_capacity(side.state.nodes.len());
    for (id, node) in &side.state.nodes {
        let snapshot = &node.snapshot;
        let TokenUsage { input_tokens, output_tokens } = snapshot.token_usage.unwrap_or_default();
        let of_node = NodeFigures {
            name: snapshot.name.clone(),
            node_type: snapshot.node_type.clone(),
            status: snapshot.status,
            duration_ms: duration(snapshot.started_at, snapshot.completed_at),
            attempts: snapshot.attempt.unwrap_or_default(),
            input_tokens,
            output_tokens,
            // Without usage the cost is zero.
            cost_usd: costs.get(id).copied().unwrap_or(Some(Decimal::ZERO)),
        };
        figures.push((id.clone(), of_node));
    }
    Ok(figures)
}

/// The cost of each node; `None` where all of it is of models without a price.
fn costs(rows: &[UsageRow]) -> BTreeMap<NodeId, Option<Decimal>> {
    let mut costs: BTreeMap<NodeId, Option<Decimal>> = BTreeMap::new();
    for row in rows {
        let cost = costs.entry(row.node_id.clone()).or_default();
        if row.is_priced() {
            *cost = Some(cost.unwrap_or_default().saturating_add(row.cost_usd));
        }
    }
    costs
}

/// The nodes of both runs, with where their outputs are.
fn in_both(from: &Side, to: &Side) -> Vec<(NodeId, Option<OutputRef>, Option<OutputRef>)> {
    let others = &to.state.nodes;
    let nodes = from.state.nodes.iter();
    nodes.filter_map(|(id, node)| Some((id.clone(), node.output, others.get(id)?.output))).collect()
}

type Place = (Readable, Option<OutputRef>);

async fn is_same_output<'a>(api: &Api, id: &'a NodeId, a: Place, b: Place) -> Result<(&'a NodeId, bool), ApiError> {
    let is_same = match (a.1, b.1) {
        (None, None) => true,
        (Some(one), Some(other)) if one.digest == other.digest => true,
        // The same object can have its members in another order, and the same number can be written otherwise.
        (Some(one), Some(other)) => match (api.output(a.0, one).await?, api.output(b.0, other).await?) {
            (Some(one), Some(other)) => is_same_json(&one, &other),
            (one, other) => one == other,
        },
        _ => false,
    };
    Ok((id, is_same))
}
