//! The states of a rate, for a bounded number of those who are counted.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, Reference as _};
use governor::nanos::Nanos;
use governor::state::StateStore;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Those who are counted at a time; what is counted of one takes about 64 bytes.
const COUNTED: usize = 50_000;

/// Tokio's clock, which tests can pause: the time since the rate was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokioClock {
    began: Instant,
}

impl TokioClock {
    pub fn new() -> Self {
        Self { began: Instant::now() }
    }
}

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

/// At most [`COUNTED`] states. When there is no room, those who have used nothing lately make some; if there are
/// none, all further ones share one state, which is exact enough under an attack and keeps the others apart.
pub(super) struct Bounded<K> {
    states: Arc<Mutex<States<K>>>,
    clock: TokioClock,
    /// After this time without use a state is as good as none.
    forgotten_after: Duration,
}

struct States<K> {
    kept: HashMap<K, State>,
    shared: Option<Nanos>,
    swept: Duration,
}

#[derive(Clone, Copy)]
struct State {
    value: Option<Nanos>,
    used: Duration,
}

/// The time between two attempts to make room, each of which looks at all states.
const SWEEP: Duration = Duration::from_secs(1);

impl<K: Hash + Eq + Clone> Bounded<K> {
    pub fn new(clock: TokioClock, forgotten_after: Duration) -> Self {
        let states = States { kept: HashMap::new(), shared: None, swept: Duration::ZERO };
        Self { states: Arc::new(Mutex::new(states)), clock, forgotten_after }
    }

    /// The same states, to be asked without using anything of them.
    pub fn peek(&self) -> Peek<K> {
        Peek(Arc::clone(&self.states))
    }
}

impl<K: Hash + Eq> States<K> {
    fn make_room(&mut self, now: Duration, forgotten_after: Duration) {
        if now.duration_since(self.swept) < SWEEP.into() {
            return;
        }
        self.swept = now;
        self.kept.retain(|_, state| now.saturating_sub(state.used) < forgotten_after);
    }
}

impl<K: Hash + Eq + Clone> StateStore for Bounded<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let now = self.clock.now();
        let mut states = self.states.lock();
        if let Some(state) = states.kept.get_mut(key) {
            let (result, value) = decide(state.value)?;
            *state = State { value: Some(value), used: now };
            return Ok(result);
        }
        if states.kept.len() >= COUNTED {
            states.make_room(now, self.forgotten_after);
        }
        if states.kept.len() >= COUNTED {
            let (result, value) = decide(states.shared)?;
            states.shared = Some(value);
            return Ok(result);
        }
        let (result, value) = decide(None)?;
        states.kept.insert(key.clone(), State { value: Some(value), used: now });
        Ok(result)
    }
}

/// The states of a [`Bounded`], which are not changed.
pub(super) struct Peek<K>(Arc<Mutex<States<K>>>);

impl<K: Hash + Eq + Clone> StateStore for Peek<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let states = self.0.lock();
        let kept = states.kept.get(key).map(|state| state.value);
        let state = kept.unwrap_or(if states.kept.len() >= COUNTED { states.shared } else { None });
        decide(state).map(|(result, _)| result)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use governor::middleware::NoOpMiddleware;
    use governor::{Quota, RateLimiter};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_bounded_and_makes_room() {
        let clock = TokioClock::new();
        let quota = Quota::per_second(NonZeroU32::new(2).expect("a number"));
        let store = Bounded::new(clock, quota.burst_size_replenished_in());
        let limiter = RateLimiter::<usize, _, _, NoOpMiddleware<Duration>>::new(quota, store, clock);
        for key in 0..COUNTED {
            assert!(limiter.check_key(&key).is_ok());
        }
        // The next ones share.
        let shared = (0..10).filter(|n| limiter.check_key(&(COUNTED + n)).is_ok()).count();
        assert_eq!(shared, 2);
        assert!(limiter.check_key(&0).is_ok(), "the others are not concerned");
        assert!(limiter.check_key(&0).is_err());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(limiter.check_key(&(COUNTED + 1)).is_ok() && limiter.check_key(&(COUNTED + 1)).is_ok());
        let kept = limiter.into_state_store().states.lock().kept.len();
        assert_eq!(kept, 1);
    }
}
