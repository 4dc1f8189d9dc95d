//! Whether the database would take a write now.

use std::time::Duration;

use sqlx::error::DatabaseError;

use super::link::DISK_FULL;
use super::{Storage, StorageError};

/// What the database can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    Writable,
    /// It is a standby, or was set to read-only.
    ReadOnly,
    /// Its disk takes nothing more.
    Full,
}

/// SQLSTATE `configuration_limit_exceeded`: what `temp_file_limit` answers, which says nothing of the disk.
const LIMITED: &str = "53400";

/// For so long after a statement found no room, the disk counts as full whatever the probe below says: a
/// disk with a little room left takes the probe, and not a large write.
const REMEMBERED: Duration = Duration::from_secs(3);

/// With little memory for what follows, and temporary files where the database's tables are, in this
/// transaction only.
const STATE: &str = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean \
                     FROM set_config('work_mem', '64kB', true) AS memory, set_config('temp_tablespaces', '', true) AS place";
/// Half a megabyte of rows, for which that memory is too small: they go to a temporary file on the disk of
/// the database. That needs room as a write does, and leaves nothing behind: no dead rows, no journal. A
/// small update would say nothing, since it finds room in pages that exist.
const SPILL: &str = "SELECT count(*) FROM generate_series(1, 16000)";

impl Storage {
    /// # Errors
    ///
    /// When the database does not answer, or not as it should.
    pub async fn readiness(&self) -> Result<Readiness, StorageError> {
        let mut transaction = self.pool.begin().await?;
        let is_read_only = transaction.run(async |connection| sqlx::query_scalar(STATE).fetch_one(connection).await);
        if is_read_only.await? {
            self.pool.link().expire();
            return Ok(Readiness::ReadOnly);
        }
        let spilled = transaction.run(async |connection| sqlx::query(SPILL).execute(connection).await).await;
        let Err(error) = spilled else {
            let found_full = self.pool.link().since_full().is_some_and(|since| since < REMEMBERED);
            return Ok(if found_full { Readiness::Full } else { Readiness::Writable });
        };
        match error.as_database_error().and_then(DatabaseError::code).as_deref() {
            Some(DISK_FULL) => Ok(Readiness::Full),
            Some(LIMITED) => Ok(Readiness::Writable),
            _ => Err(error.into()),
        }
    }
}
