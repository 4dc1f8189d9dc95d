//! A failure breaker: an endpoint that keeps failing is left alone for a while, so that a hundred runs
//! do not each wait for it to fail, and do not keep it down.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::error::ChatError;

/// Failures in a row that open the breaker.
pub(super) const FAILURES: u32 = 5;
/// How long it stays open. After that one request is let through; the others wait for what becomes
/// of it.
const REST: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    failures: u32,
    /// Until when nothing is asked.
    open_until: Option<Instant>,
}

impl Breaker {
    /// Whether the endpoint may be asked now.
    ///
    /// # Errors
    ///
    /// [`ChatError::Resting`] with how long it will rest.
    pub fn check(&self) -> Result<(), ChatError> {
        let mut state = self.state.lock();
        let Some(until) = state.open_until else { return Ok(()) };
        let wait = until.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            // This one tries it; whoever comes before it is back is told to wait another while.
            state.open_until = Some(Instant::now() + REST);
            return Ok(());
        }
        Err(ChatError::Resting { failures: state.failures, wait })
    }

    pub fn succeeded(&self) {
        *self.state.lock() = State::default();
        metrics::gauge!("relive_llm_breaker_open").set(0.0);
    }

    pub fn failed(&self) {
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            state.open_until = Some(Instant::now() + REST);
            metrics::gauge!("relive_llm_breaker_open").set(1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_lets_one_through_after_a_rest() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES - 1 {
            breaker.failed();
        }
        breaker.succeeded();
        for _ in 0..FAILURES {
            assert_eq!(breaker.check(), Ok(()));
            breaker.failed();
        }
        assert!(matches!(breaker.check(), Err(ChatError::Resting { failures: FAILURES, .. })));
        tokio::time::advance(REST).await;
        assert_eq!(breaker.check(), Ok(()), "the one that tries");
        assert!(breaker.check().is_err(), "another at the same time");
        breaker.failed();
        tokio::time::advance(REST / 2).await;
        assert!(breaker.check().is_err());
        tokio::time::advance(REST).await;
        assert_eq!(breaker.check(), Ok(()));
        breaker.succeeded();
        assert_eq!((breaker.check(), breaker.check()), (Ok(()), Ok(())));
    }
}
