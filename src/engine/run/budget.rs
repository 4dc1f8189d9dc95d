//! Checks the run's budget before a node starts. If it is exhausted, the session is paused, and its context
//! data says why. Resuming it grants the same amount again.

use std::time::Duration;

use serde_json::{Value, json};

use super::Run;
use super::sending::Purpose;
use relive_session::{Command, Session, Timestamp};

/// The entry of the context data.
const BUDGET: &str = "budget";

impl Run {
    /// Whether the budget is exhausted, so that no node may start. Pauses the session the first time.
    pub(super) fn is_over_budget(&mut self) -> bool {
        if self.pausing {
            return true;
        }
        let Some(reason) = self.excess(&self.link.session()) else { return false };
        self.pausing = true;
        tracing::info!(session_id = %self.link.session().id, "paused: the budget is used up");
        self.send(
            Purpose::BudgetPause,
            vec![Command::SetContext { key: BUDGET.to_owned(), value: reason }, Command::Pause],
        );
        true
    }

    fn excess(&self, session: &Session) -> Option<Value> {
        let budget = &self.plan.settings.budget;
        let before = session.context.get(BUDGET).map(|entry| entry.value().as_ref());
        let pauses = |kind: &str| before.and_then(|held| held.get("pauses")?.get(kind)?.as_u64()).unwrap_or_default();
        let reason = |kind: &str, used: Value, limit: Value| {
            let mut counts = before.and_then(|held| held.get("pauses")).cloned().unwrap_or_else(|| json!({}));
            counts[kind] = json!(pauses(kind) + 1);
            json!({"exceeded": kind, "used": used, "limit": limit, "pausedAt": Timestamp::now(), "pauses": counts,
                   "message": format!("paused: the run's budget of {kind} is used up; resuming grants as much again")})
        };
        let granted = |kind: &str| pauses(kind).saturating_add(1);
        if let Some(tokens) = budget.tokens {
            let limit = tokens.saturating_mul(granted("tokens"));
            if session.total_tokens >= limit {
                return Some(reason("tokens", json!(session.total_tokens), json!(limit)));
            }
        }
        if let Some(cost) = budget.cost_usd {
            let limit = cost.saturating_mul(granted("costUsd").into());
            if session.total_cost_usd >= limit {
                let shown =
                    |amount: rust_decimal::Decimal| json!(amount.to_string().parse::<f64>().unwrap_or_default());
                return Some(reason("costUsd", shown(session.total_cost_usd), shown(limit)));
            }
        }
        if let Some(time) = budget.time {
            let limit = time.saturating_mul(granted("seconds").try_into().unwrap_or(u32::MAX));
            let used = session.started_at.map_or(Duration::ZERO, |started| session.elapsed(started, Timestamp::now()));
            if used >= limit {
                return Some(reason("seconds", json!(used.as_secs_f64()), json!(limit.as_secs_f64())));
            }
        }
        None
    }
}
