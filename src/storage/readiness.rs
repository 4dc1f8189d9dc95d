//! Whether the database would take a write now.

use sqlx::error::DatabaseError;

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

/// SQLSTATE `disk_full`.
const DISK_FULL: &str = "53100";
/// SQLSTATE `configuration_limit_exceeded`: what `temp_file_limit` answers, which says nothing of the disk.
const LIMITED: &str = "53400";

/// With little memory for what follows, in this transaction only.
const STATE: &str = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean \
                     FROM set_config('work_mem', '64kB', true)";
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
        let Err(error) = spilled else { return Ok(Readiness::Writable) };
        match error.as_database_error().and_then(DatabaseError::code).as_deref() {
            Some(DISK_FULL) => Ok(Readiness::Full),
            Some(LIMITED) => Ok(Readiness::Writable),
            _ => Err(error.into()),
        }
    }
}
