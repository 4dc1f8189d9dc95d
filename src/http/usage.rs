//! Usage of a session.

use std::collections::BTreeMap;

use axum::Json;

use super::error::ApiError;
use super::extract::Path;
use super::state::Api;
use crate::storage::UsageRow;
use relive_protocol::{Problem, Usage, UsageReport};
use relive_session::SessionId;

/// A session's tokens and cost: in total, and by node, agent and model. Usage without an agent or a model is
/// only in the totals.
#[utoipa::path(get, path = "/sessions/{id}/usage", tag = "sessions", params(("id" = SessionId, Path)), responses(
    (status = 200, description = "The usage", body = UsageReport),
    (status = 404, description = "No such session", body = Problem),
))]
pub async fn report(api: Api, Path(id): Path<SessionId>) -> Result<Json<UsageReport>, ApiError> {
    let rows = api.usage(api.readable(id).await?).await?;
    Ok(Json(UsageReport {
        total: if rows.is_empty() { nothing() } else { rows.iter().fold(Usage::default(), add) },
        by_node: grouped(&rows, |row| Some(row.node_id.as_str())),
        by_agent: grouped(&rows, |row| row.agent_id.as_deref()),
        by_model: grouped(&rows, |row| row.model.as_deref()),
    }))
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
    // Tokens without a cost are those of models with an unknown price.
    let is_priced = !row.cost_usd.is_zero() || row.input_tokens.saturating_add(row.output_tokens) == 0;
    Usage {
        calls: sum.calls + row.calls,
        input_tokens: sum.input_tokens.saturating_add(row.input_tokens),
        output_tokens: sum.output_tokens.saturating_add(row.output_tokens),
        cost_usd: if is_priced {
            Some(sum.cost_usd.unwrap_or_default().saturating_add(row.cost_usd))
        } else {
            sum.cost_usd
        },
    }
}
