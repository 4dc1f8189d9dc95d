//! Usage of a session.

use std::collections::BTreeMap;

use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;

use super::error::ApiError;
use super::extract::{Path, Query};
use super::state::Api;
use crate::storage::{FamilyUsage, SummedBy, UsageRow, UsageSum};
use relive_protocol::{Problem, Usage, UsageReport};
use relive_session::SessionId;

/// Whose usage.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UsageQuery {
    /// `true`: with that of the sessions that it has started, of those that these have started, and so on.
    descendants: Option<bool>,
}

/// A session's tokens and cost: in total, and by node, agent and model. Usage without an agent or a model is
/// only in the totals. With `descendants=true` it is that of the whole family, as far as the caller may see it; nodes of
/// the same id are added up.
#[utoipa::path(get, path = "/sessions/{id}/usage", tag = "sessions", params(("id" = SessionId, Path), UsageQuery), responses(
    (status = 200, description = "The usage", body = UsageReport),
    (status = 404, description = "No such session", body = Problem),
))]
pub async fn report(
    api: Api,
    Path(id): Path<SessionId>,
    Query(query): Query<UsageQuery>,
) -> Result<Json<UsageReport>, ApiError> {
    let of = api.readable(id).await?;
    if query.descendants == Some(true) {
        return Ok(Json(of_family(api.family_usage(of).await?)));
    }
    let rows = api.usage(of).await?;
    Ok(Json(UsageReport {
        total: if rows.is_empty() { nothing() } else { rows.iter().fold(Usage::default(), add) },
        by_node: grouped(&rows, |row| Some(row.node_id.as_str())),
        by_agent: grouped(&rows, |row| row.agent_id.as_deref()),
        by_model: grouped(&rows, |row| row.model.as_deref()),
        sessions: None,
        truncated: None,
    }))
}

fn of_family(family: FamilyUsage) -> UsageReport {
    let mut report = UsageReport {
        total: nothing(),
        by_node: BTreeMap::new(),
        by_agent: BTreeMap::new(),
        by_model: BTreeMap::new(),
        sessions: Some(family.sessions),
        truncated: family.is_truncated.then_some(true),
    };
    for UsageSum { by, calls, input_tokens, output_tokens, cost_usd } in family.sums {
        let usage = Usage { calls, input_tokens, output_tokens, cost_usd };
        match by {
            SummedBy::All if calls == 0 => {}
            SummedBy::All => report.total = usage,
            SummedBy::Node(id) => drop(report.by_node.insert(id, usage)),
            SummedBy::Agent(id) => drop(report.by_agent.insert(id, usage)),
            SummedBy::Model(name) => drop(report.by_model.insert(name, usage)),
        }
    }
    report
}

/// Without usage the cost is zero.
fn nothing() -> Usage {
    Usage { cost_usd: Some(rust_decimal::Decimal::ZERO), ..Usage::default() }
}

fn grouped<'a>(rows: &'a [UsageRow], key: impl Fn(&'a UsageRow) -> Option<&'a str>) -> BTreeMap<String, Usage> {
    let mut groups = BTreeMap::<String, Usage>::new();
    for row in rows {
        if let Some(key) = key(row) {
            let group = groups.entry(key.to_owned()).or_default();
            *group = add(*group, row);
        }
    }
    groups
}

fn add(sum: Usage, row: &UsageRow) -> Usage {
    Usage {
        calls: sum.calls + row.calls,
        input_tokens: sum.input_tokens.saturating_add(row.input_tokens),
        output_tokens: sum.output_tokens.saturating_add(row.output_tokens),
        cost_usd: if row.is_priced() {
            Some(sum.cost_usd.unwrap_or_default().saturating_add(row.cost_usd))
        } else {
            sum.cost_usd
        },
    }
}
