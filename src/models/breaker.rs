//! Circuit breakers: a model that keeps failing is not asked for a while, so that a hundred runs do not each
//! wait for its failure, nor overload it.
//!
//! Each model has its own: one address can serve many machines.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::error::ChatError;

/// Failures in a row that open the breaker.
pub(super) const FAILURES: u32 = 5;
/// How long it stays open. After that one request is let through; the others wait for its result.
const REST: Duration = Duration::from_secs(30);

/// Models whose failures are counted at most.
const MODELS: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Breakers {
    /// By model: only those whose last request failed.
    states: Mutex<HashMap<String, State>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    failures: u32,
    /// Until when no request is sent.
    open_until: Option<Instant>,
}

impl Breakers {
    /// Whether the model may be asked now.
    ///
    /// # Errors
    ///
    /// [`ChatError::Resting`] with the time until the next request.
    pub fn check(&self, model: &str) -> Result<(), ChatError> {
        let mut states = self.states.lock();
        let Some(state) = states.get_mut(model) else { return Ok(()) };
        let Some(until) = state.open_until else { return Ok(()) };
        let wait = until.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            // This request tests the model; others are refused until it returns.
            state.open_until = Some(Instant::now() + REST);
            return Ok(());
        }
        Err(ChatError::Resting { failures: state.failures, wait })
    }

    pub fn succeeded(&self, model: &str) {
        let mut states = self.states.lock();
        states.remove(model);
        show(&states);
    }

    pub fn failed(&self, model: &str) {
        let mut states = self.states.lock();
        // Names come from graphs, so their number is unbounded.
        if states.len() >= MODELS && !states.contains_key(model) {
            let now = Instant::now();
            states.retain(|_, state| state.open_until.is_some_and(|until| until > now));
            if states.len() >= MODELS {
                return;
            }
        }
        let state = states.entry(model.to_owned()).or_default();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            state.open_until = Some(Instant::now() + REST);
        }
        show(&states);
    }
}

fn show(states: &HashMap<String, State>) {
    let open = states.values().filter(|state| state.open_until.is_some()).count();
    metrics::gauge!("relive_llm_breaker_open").set(open as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_lets_one_through_after_a_rest() {
        let breaker = Breakers::default();
        for _ in 0..FAILURES - 1 {
            breaker.failed("m");
        }
        breaker.succeeded("m");
        for _ in 0..FAILURES {
            assert_eq!(breaker.check("m"), Ok(()));
            breaker.failed("m");
        }
        assert!(matches!(breaker.check("m"), Err(ChatError::Resting { failures: FAILURES, .. })));
        assert_eq!(breaker.check("another"), Ok(()));
        tokio::time::advance(REST).await;
        assert_eq!(breaker.check("m"), Ok(()), "the one that tries");
        assert!(breaker.check("m").is_err(), "another at the same time");
        breaker.failed("m");
        tokio::time::advance(REST / 2).await;
        assert!(breaker.check("m").is_err());
        tokio::time::advance(REST).await;
        assert_eq!(breaker.check("m"), Ok(()));
        breaker.succeeded("m");
        assert_eq!((breaker.check("m"), breaker.check("m")), (Ok(()), Ok(())));
    }

    #[test]
    fn any_number_of_names_takes_bounded_room() {
        let breaker = Breakers::default();
        for name in 0..10 * MODELS {
            breaker.failed(&name.to_string());
        }
        assert!(breaker.states.lock().len() <= MODELS);
    }
}
