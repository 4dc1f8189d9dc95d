//! The states of the rate limiter, one for each key (a caller or an address), of a bounded number of keys.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock;
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

/// A key of the rate limiter, and what is charged to it beyond what the limiter itself counts.
///
/// A rate refuses for ever what is more than its burst. So it is asked for a burst, and the rest is added here: a
/// debt, which is paid off at the rate before anything else is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Charge<K> {
    pub who: K,
    pub debt: Duration,
}

/// A keyed state store for `governor` (GCRA), with at most [`COUNTED`] keys. When it is full, expired states are
/// dropped; if there are none, all further keys share one state, which is exact enough under an attack and keeps the
/// others apart.
pub(super) struct BoundedMap<K> {
    states: Arc<Mutex<States<K>>>,
    clock: TokioClock,
}

/// A state is the theoretical arrival time of GCRA. Once that has passed, the state has expired and can be dropped.
struct States<K> {
    kept: HashMap<K, Nanos>,
    shared: Option<Nanos>,
    swept: Duration,
}

/// The time between two attempts to make room, each of which looks at all states.
const SWEEP: Duration = Duration::from_secs(1);

impl<K: Hash + Eq + Clone> BoundedMap<K> {
    pub fn new(clock: TokioClock) -> Self {
        let states = States { kept: HashMap::new(), shared: None, swept: Duration::ZERO };
        Self { states: Arc::new(Mutex::new(states)), clock }
    }

    /// The same states, to be asked without using anything of them.
    pub fn peek(&self) -> Peek<K> {
        Peek(Arc::clone(&self.states))
    }
}

impl<K: Hash + Eq> States<K> {
    fn make_room(&mut self, now: Duration) {
        if now.saturating_sub(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        self.kept.retain(|_, until| Duration::from(*until) > now);
    }
}

impl<K: Hash + Eq + Clone> StateStore for BoundedMap<K> {
    type Key = Charge<K>;

    fn measure_and_replace<T, F, E>(&self, charge: &Charge<K>, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let decide = |state| decide(state).map(|(result, until)| (result, until + charge.debt));
        let mut states = self.states.lock();
        if let Some(state) = states.kept.get_mut(&charge.who) {
            let (result, until) = decide(Some(*state))?;
            *state = until;
            return Ok(result);
        }
        if states.kept.len() >= COUNTED {
            states.make_room(self.clock.now());
        }
        if states.kept.len() >= COUNTED {
            let (result, until) = decide(states.shared)?;
            states.shared = Some(until);
            return Ok(result);
        }
        let (result, until) = decide(None)?;
        states.kept.insert(charge.who.clone(), until);
        Ok(result)
    }
}

/// The states of a [`BoundedMap`], which are not changed.
pub(super) struct Peek<K>(Arc<Mutex<States<K>>>);

impl<K: Hash + Eq + Clone> StateStore for Peek<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, who: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let states = self.0.lock();
        let shared = if states.kept.len() >= COUNTED { states.shared } else { None };
        decide(states.kept.get(who).copied().or(shared)).map(|(result, _)| result)
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
        let store = BoundedMap::new(clock);
        let limiter = RateLimiter::<Charge<usize>, _, _, NoOpMiddleware<Duration>>::new(quota, store, clock);
        let is_allowed = |who: usize| limiter.check_key(&Charge { who, debt: Duration::ZERO }).is_ok();
        let in_debt = Charge { who: 0, debt: Duration::from_secs(10) };
        assert!(limiter.check_key(&in_debt).is_ok());
        assert!((1..COUNTED).all(is_allowed));
        // The next ones share.
        let shared = (0..10).filter(|n| is_allowed(COUNTED + n)).count();
        assert_eq!(shared, 2);
        assert!(is_allowed(1), "the others are not concerned");
        assert!(!is_allowed(1));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(is_allowed(COUNTED + 1) && is_allowed(COUNTED + 1));
        assert!(!is_allowed(0), "who has a debt is not forgotten");
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(is_allowed(0));
        let kept = limiter.into_state_store().states.lock().kept.len();
        assert_eq!(kept, 2);
    }
}
