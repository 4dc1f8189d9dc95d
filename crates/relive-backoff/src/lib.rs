//! The waits between retries: exponential backoff with a limit, and with jitter where many wait at once.

use std::time::Duration;

use rand::RngExt;

/// No further than this: the wait is at its limit long before.
const DOUBLINGS: u32 = 30;

/// Exponential backoff: a wait that doubles with every failure, up to a limit.
///
/// With [jitter](Backoff::with_jitter) it is multiplied by a random factor, so that clients that failed
/// together do not retry together.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    /// The least and the greatest factor.
    jitter: Option<(f64, f64)>,
    failures: u32,
}

impl Backoff {
    /// Waits of `first`, twice `first` and so on, but of no more than `most`; without jitter.
    #[must_use]
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, jitter: None, failures: 0 }
    }

    /// As [`Backoff::new`] with full jitter: any wait between nothing and the one without jitter.
    #[must_use]
    pub const fn with_full_jitter(first: Duration, most: Duration) -> Self {
        Self::new(first, most).with_jitter(0.0, 1.0)
    }

    /// Multiplies each wait, after the limit, by a random factor between these two.
    #[must_use]
    pub const fn with_jitter(self, least: f64, greatest: f64) -> Self {
        Self { jitter: Some((least, greatest)), ..self }
    }

    /// The next wait without its jitter.
    #[must_use]
    pub fn bound(&self) -> Duration {
        self.bound_after(self.failures)
    }

    /// The wait after `failures` and one more, without its jitter.
    #[must_use]
    pub fn bound_after(&self, failures: u32) -> Duration {
        self.first.saturating_mul(1 << failures.min(DOUBLINGS)).min(self.most)
    }

    /// The next wait, after one more failure.
    pub fn next_wait(&mut self) -> Duration {
        let bound = self.bound();
        self.failures = self.failures.saturating_add(1);
        match self.jitter {
            Some((least, greatest)) => bound.mul_f64(rand::rng().random_range(least..=greatest)),
            None => bound,
        }
    }

    /// Failures since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// To be called after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(1);

    fn waits(backoff: &mut Backoff, count: usize) -> Vec<u128> {
        (0..count).map(|_| backoff.next_wait().as_millis()).collect()
    }

    #[test]
    fn a_wait_doubles_up_to_the_most_and_begins_anew_after_a_success() {
        let mut backoff = Backoff::new(FIRST, MOST);
        assert_eq!(waits(&mut backoff, 6), [100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(backoff.failures(), 6);
        assert_eq!(waits(&mut backoff, 40)[39], 1_000);
        assert_eq!((backoff.bound_after(1), backoff.bound_after(u32::MAX)), (2 * FIRST, MOST));
        backoff.reset();
        assert_eq!(waits(&mut backoff, 2), [100, 200]);
    }

    #[test]
    fn a_wait_with_jitter_is_between_its_factors() {
        for (least, greatest) in [(0.0, 1.0), (1.0, 1.5), (0.75, 1.25)] {
            let mut backoff = Backoff::new(FIRST, MOST).with_jitter(least, greatest);
            let mut factors = Vec::new();
            for _ in 0..200 {
                let bound = backoff.bound();
                factors.push(backoff.next_wait().as_secs_f64() / bound.as_secs_f64());
            }
            let within = |factor: &f64| (least - 0.001..=greatest + 0.001).contains(factor);
            assert!(factors.iter().all(within), "{least} to {greatest}: {factors:?}");
            let spread = factors.iter().fold(0.0_f64, |most, factor| most.max((factor - factors[0]).abs()));
            assert!(spread > (greatest - least) / 4.0, "{least} to {greatest}: {factors:?}");
        }
    }

    #[test]
    fn full_jitter_begins_at_nothing() {
        let mut backoff = Backoff::with_full_jitter(FIRST, MOST);
        assert!((0..200).any(|_| backoff.next_wait() < MOST / 4));
    }
}
