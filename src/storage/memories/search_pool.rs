//! Connections reserved for searching memories by vector.
//!
//! A search is one round trip on a connection whose settings were made when it was opened; setting them in
//! a transaction around each search would take longer than most searches. There are few of these connections,
//! so that long searches leave the others to commands.

use std::time::Duration;

use crate::storage::link::DatabaseLink;
use crate::storage::pool::Pool;

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

/// Up to so many connections, each with the settings of searches from its opening on.
pub(in crate::storage) fn search_pool(link: DatabaseLink, connections: u32) -> Pool {
    Pool::new(link, connections, SETTINGS)
}
