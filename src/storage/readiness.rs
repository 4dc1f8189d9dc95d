//! Whether the database would take a write now.

use std::time::Duration;

use sqlx::error::DatabaseError;

use super::link::DISK_FULL;
use super::{Storage, StorageError};

/// The state of the database, for readiness probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    Writable,
    /// It is a standby, or was set to read-only.
    ReadOnly,
    /// Its disk is full.
    Full,
}

/// SQLSTATE `configuration_limit_exceeded`: the answer of `temp_file_limit`, which says nothing about the disk.
const LIMITED: &str = "53400";

/// For this long after a statement found the disk full it counts as full, whatever the probe says: a disk
/// with a little space left passes the probe, and not a large write.
const REMEMBERED: Duration = Duration::from_secs(3);

/// With little memory for the statement below, and temporary files in the tablespace of the database, in
/// this transaction only.
const STATE: &str = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean \
                     FROM set_config('work_mem', '64kB', true) AS memory, set_config('temp_tablespaces', '', true) AS place";
/// Half a megabyte of rows, for which that memory is too small: they go to a temporary file on the disk of
/// the database. That needs space as a write does, and leaves nothing behind: no dead rows, no WAL. A small
/// update would prove nothing, since it finds space in existing pages.
const SPILL: &str = "SELECT count(*) FROM generate_series(1, 16000)";

impl Storage {
    /// # Errors
    ///
    /// If the database does not answer, or answers something unexpected.
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
