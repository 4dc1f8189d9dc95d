//! Statistics of runs that have ended (see the migration `0028_statistics`).
//!
//! The commit that ends a run adds its row to `ended_runs`. Whole hours and days are added up in the background
//! (`rollup.rs`), each with its exact percentiles; a request reads those, and the rows themselves for what has not been
//! added up as it is now: the current hour and day, what has just changed, and the ends of its period.

mod count;
mod read;
mod rollup;

use sqlx::postgres::PgConnection;

use super::StorageError;

pub use count::Recount;
pub use read::{Grouping, RunBucket, RunPeriod, Width};

/// The advisory lock of the server that counts earlier runs and adds up: one at a time.
const LOCK: i64 = 0x7265_6c69_7374;
/// Where counting the runs that ended before this version is: the last session, or `true` once that is done.
const COUNTED: &str = "statistics_counted";

/// Takes the lock until the end of the transaction, unless another has it.
async fn lock(connection: &mut PgConnection) -> Result<bool, StorageError> {
    Ok(sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(LOCK).fetch_one(connection).await?)
}
