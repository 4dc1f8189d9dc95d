//! Policies of a graph: failures, time limits and budgets, of each node and of the whole run.

use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::Value;

use super::error::PlanError;
use super::properties::{Properties, seconds};
use relive_backoff::Backoff;
use relive_session::{GraphDefinition, GraphNode};

/// The most retries that a node may have.
const MAX_RETRIES: u32 = 100;
/// Retries of a node with `onError: retry` that does not say how many.
const RETRIES: u32 = 3;
/// The longest backoff between two attempts.
const LONGEST_BACKOFF: Duration = Duration::from_mins(5);

/// What happens when a node fails, and its time limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Attempts after the first.
    pub retries: u32,
    /// The backoff before the first retry; doubled before each one after it.
    pub backoff: Duration,
    /// Whether the run continues as if the node had completed when no attempt is left.
    pub continues: bool,
    /// Per attempt.
    pub timeout: Option<Duration>,
}

impl Policy {
    /// Reads `onError`, `retries`, `backoffSeconds` and `timeoutSeconds`.
    ///
    /// # Errors
    ///
    /// [`PlanError::Property`] for the first that cannot be understood.
    pub fn read(node: &GraphNode) -> Result<Self, PlanError> {
        let own = Properties::of(node);
        let mut policy = Self {
            retries: own.count("retries", MAX_RETRIES)?.unwrap_or_default(),
            backoff: backoff(own)?.unwrap_or_default(),
            continues: false,
            timeout: own.seconds("timeoutSeconds")?,
        };
        match own.get("onError") {
            None => {}
            Some(Value::String(action)) => policy.apply(action, own, own)?,
            Some(Value::Object(details)) => {
                let details = own.within(details).only(&["action", "count", "backoffSeconds", "then"])?;
                let action = details.get("action").and_then(Value::as_str).unwrap_or("retry");
                policy.apply(action, details, own)?;
                match details.get("then").map(Value::as_str) {
                    None | Some(Some("fail")) => {}
                    Some(Some("continue")) => policy.continues = true,
                    Some(_) => return Err(own.wrong("onError.then", "fail or continue")),
                }
            }
            Some(_) => return Err(own.wrong("onError", EXPECTED)),
        }
        Ok(policy)
    }

    fn apply(&mut self, action: &str, details: Properties<'_>, own: Properties<'_>) -> Result<(), PlanError> {
        match action {
            "fail" => {}
            "continue" => self.continues = true,
            "retry" => {
                let count = details.count("count", MAX_RETRIES)?;
                self.retries = count.or(Some(self.retries).filter(|retries| *retries > 0)).unwrap_or(RETRIES);
                self.backoff = backoff(details)?.or(backoff(own)?).unwrap_or(Duration::from_secs(1));
            }
            _ => return Err(own.wrong("onError", EXPECTED)),
        }
        Ok(())
    }

    /// The backoff before retry number `tries`, counted from 0; `None` if there is none.
    #[must_use]
    pub fn retry_after(&self, tries: u32) -> Option<Duration> {
        let backoff = Backoff::new(self.backoff, LONGEST_BACKOFF.max(self.backoff));
        (tries < self.retries).then(|| backoff.bound_after(tries))
    }
}

const EXPECTED: &str = "fail, continue, retry, or an object with action, count, backoffSeconds and then";

fn backoff(from: Properties<'_>) -> Result<Option<Duration>, PlanError> {
    from.read("backoffSeconds", "a number of seconds, at most a year", |value| seconds(value.as_f64()?))
}

/// The policies in the graph's own properties.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunSettings {
    /// Wall time since the start, pauses and waiting included; then the run fails.
    pub timeout: Option<Duration>,
    /// Nodes that run at the same time.
    pub parallel: Option<usize>,
    pub budget: RunBudget,
}

/// What a run may use before it is paused for a decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunBudget {
    pub tokens: Option<u64>,
    pub cost_usd: Option<Decimal>,
    /// Wall time since the start.
    pub time: Option<Duration>,
}

impl RunSettings {
    /// Reads `timeoutSeconds`, `maxParallel` and `budget` of the graph.
    ///
    /// # Errors
    ///
    /// [`PlanError::Property`] for the first that cannot be understood.
    pub fn read(graph: &GraphDefinition) -> Result<Self, PlanError> {
        let own = Properties::of_graph(&graph.properties);
        let parallel = own.count("maxParallel", 10_000)?.map(|most| most as usize);
        if parallel == Some(0) {
            return Err(own.wrong("maxParallel", "a whole number from 1 to 10000"));
        }
        let budget = own.read("budget", "an object", Value::as_object)?;
        let budget = budget.map(|budget| RunBudget::read(own.within(budget))).transpose()?;
        Ok(Self { timeout: own.seconds("timeoutSeconds")?, parallel, budget: budget.unwrap_or_default() })
    }
}

impl RunBudget {
    fn read(own: Properties<'_>) -> Result<Self, PlanError> {
        let own = own.only(&["maxTokens", "maxCostUsd", "maxSeconds"])?;
        let tokens = |value: &Value| value.as_u64().filter(|tokens| *tokens > 0);
        let dollars = |value: &Value| {
            let amount = value.as_f64().filter(|amount| *amount > 0.0 && *amount <= 1e9)?;
            amount.to_string().parse::<Decimal>().ok()
        };
        Ok(Self {
            tokens: own.read("maxTokens", "a whole number above 0", tokens)?,
            cost_usd: own.read("maxCostUsd", "an amount in US dollars above 0", dollars)?,
            time: own.seconds("maxSeconds")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy(properties: Value) -> Result<Policy, PlanError> {
        let node = json!({"id": "a", "type": "x", "name": "A", "properties": properties});
        Policy::read(&serde_json::from_value(node).expect("a node"))
    }

    #[test]
    fn failures_can_be_passed_over_and_tried_again() {
        let seconds = Duration::from_secs;
        let fail = Policy::default();
        let cases = [
            (json!({}), fail.clone()),
            (json!({"onError": "fail"}), fail.clone()),
            (json!({"on_error": "continue"}), Policy { continues: true, ..fail.clone() }),
            (json!({"onError": "retry"}), Policy { retries: 3, backoff: seconds(1), ..fail.clone() }),
            (
                json!({"retries": 2, "timeout_seconds": 5}),
                Policy { retries: 2, timeout: Some(seconds(5)), ..fail.clone() },
            ),
            (
                json!({"onError": {"action": "retry", "count": 5, "backoffSeconds": 2, "then": "continue"}}),
                Policy { retries: 5, backoff: seconds(2), continues: true, timeout: None },
            ),
            (json!({"onError": {"count": 1, "backoff_seconds": 0}}), Policy { retries: 1, ..fail }),
        ];
        for (properties, expected) in cases {
            assert_eq!(policy(properties.clone()), Ok(expected), "{properties}");
        }
        for wrong in [
            json!({"onError": "explode"}),
            json!({"onError": 3}),
            json!({"onError": {"then": "stop"}}),
            json!({"timeoutSeconds": 0}),
            json!({"retries": 101}),
        ] {
            assert!(policy(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_pause_doubles_up_to_a_bound() {
        let policy = Policy { retries: 40, backoff: Duration::from_secs(1), ..Policy::default() };
        let after = |tries| policy.retry_after(tries).map(|pause| pause.as_secs());
        assert_eq!((after(0), after(1), after(3), after(39), after(40)), (Some(1), Some(2), Some(8), Some(300), None));
    }
}
