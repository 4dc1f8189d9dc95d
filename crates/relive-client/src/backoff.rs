//! Backoff before a retry.

use std::time::Duration;

use rand::RngExt;

/// Exponential backoff with full jitter: a random time between zero and a bound that doubles with every
/// failure. So clients that were disconnected together do not reconnect together.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    #[must_use]
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, failures: 0 }
    }

    /// The bound of the next wait.
    fn bound(&self) -> Duration {
        self.first.saturating_mul(1 << self.failures.min(20)).min(self.most)
    }

    /// The next wait, after one more failure.
    pub fn next_wait(&mut self) -> Duration {
        let bound = self.bound();
        self.failures = self.failures.saturating_add(1);
        bound.mul_f64(rand::rng().random_range(0.0..=1.0))
    }

    /// Resets the bound, after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_most_and_every_wait_is_within_it() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let bounds: Vec<u128> = (0..40)
            .map(|_| {
                let bound = backoff.bound();
                assert!(backoff.next_wait() <= bound);
                bound.as_millis()
            })
            .collect();
        assert_eq!(bounds[..5], [100, 200, 400, 800, 1_000]);
        assert_eq!(bounds[39], 1_000);
        backoff.reset();
        assert_eq!(backoff.bound(), Duration::from_millis(100));
    }
}
