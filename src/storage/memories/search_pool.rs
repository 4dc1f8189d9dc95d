//! Connections reserved for searching memories by vector.
//!
//! A search is one round trip on a connection whose settings were made when it was opened; setting them in
//! a transaction around each search would take longer than most searches. There are few of these connections,
//! so that long searches leave the others to commands.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::MemoryScope;
use crate::storage::StorageError;
use crate::storage::link::Link;
use crate::storage::pool::{Connection, Pool};

/// - One plan for all: the statements are written so that there is only one good one, and planning
///   takes longer than comparing a small scope. `enable_sort` is off to prefer the index that needs
///   none; where a sort is needed, PostgreSQL sorts all the same.
/// - `ef_search` is the width of the index scan: more than the default 40, since recall matters more here
///   than the last millisecond. With `relaxed_order`, later parts of the scan may return nearer rows than
///   earlier ones; the result is sorted afterwards. The scan may visit 40,000 rows (default 20,000) in
///   8 times `work_mem` before it gives up.
/// - A search that takes very long is cancelled, rather than keeping a connection busy for a client that
///   has disconnected.
const SETTINGS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_sort = off; SET jit = off;
    SET statement_timeout = '10s'; SET hnsw.iterative_scan = relaxed_order; SET hnsw.ef_search = 100;
    SET hnsw.max_scan_tuples = 40000; SET hnsw.scan_mem_multiplier = 8";

/// How long a search may take; PostgreSQL cancels it a little earlier.
pub(super) const SEARCH: Duration = Duration::from_secs(12);

/// How long the strategy for a scope is cached.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);
/// Scopes that are cached; beyond it the cache is cleared.
const REMEMBERED: usize = 4_096;

/// How to search a scope of more than a few rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    RowByRow,
    ThroughIndex,
}

/// The connections, and the cached strategies.
#[derive(Debug)]
pub(in crate::storage) struct SearchPool {
    pool: Pool,
    strategies: Mutex<HashMap<MemoryScope, (Strategy, Instant)>>,
}

impl SearchPool {
    pub fn new(link: Link, connections: u32) -> Self {
        Self { pool: Pool::new(link, connections, SETTINGS), strategies: Mutex::default() }
    }

    /// A connection for one search.
    pub async fn acquire(&self) -> Result<Connection, StorageError> {
        Ok(self.pool.acquire().await?)
    }

    /// The strategy for a scope of more than a few rows, if it is cached.
    pub(super) fn strategy(&self, scope: &MemoryScope) -> Option<Strategy> {
        let (strategy, counted) = *self.strategies.lock().get(scope)?;
        (counted.elapsed() < REMEMBERED_FOR).then_some(strategy)
    }

    pub(super) fn remember(&self, scope: &MemoryScope, strategy: Strategy) {
        let mut strategies = self.strategies.lock();
        if strategies.len() >= REMEMBERED {
            strategies.clear();
        }
        strategies.insert(scope.clone(), (strategy, Instant::now()));
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}
