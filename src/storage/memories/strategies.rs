//! How scopes of memories are searched by vector, remembered for a while.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::MemoryScope;

/// How long a scope is searched the way that was right when it was counted.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);
/// Scopes that are remembered; beyond it all are forgotten, and counted anew when asked for.
const REMEMBERED: usize = 4_096;

/// How to search a scope of more than a few rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    RowByRow,
    ThroughIndex,
}

/// What is known about scopes.
#[derive(Debug, Default)]
pub(in crate::storage) struct Strategies(Mutex<HashMap<MemoryScope, (Strategy, Instant)>>);

impl Strategies {
    /// The strategy for a scope of more than a few rows, if it was counted recently.
    pub(super) fn of(&self, scope: &MemoryScope) -> Option<Strategy> {
        let (strategy, counted) = *self.0.lock().get(scope)?;
        (counted.elapsed() < REMEMBERED_FOR).then_some(strategy)
    }

    pub(super) fn remember(&self, scope: &MemoryScope, strategy: Strategy) {
        let mut strategies = self.0.lock();
        if strategies.len() >= REMEMBERED {
            strategies.clear();
        }
        strategies.insert(scope.clone(), (strategy, Instant::now()));
    }
}
