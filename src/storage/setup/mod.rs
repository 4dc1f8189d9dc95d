//! Prepares a database for the server: first its requirements are checked, which changes nothing; then
//! the schema is migrated, in one transaction.
//!
//! Several servers may start at the same moment. All changes of the schema happen under one advisory lock.
//! The lock is polled rather than waited for: a waiting statement counts as a transaction, and building an
//! index concurrently would wait for it in turn.

mod checks;
mod dimension;
mod error;
mod tables;

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

pub(super) use checks::{check, make_extension};
pub(super) use dimension::{Claim, LOCK as SERVER_LOCK};
pub use error::SetupError;

use super::link::{ACQUIRE, DatabaseLink};
use super::locks;
use super::memories::indexes;
use super::session_list;
use super::{MIGRATOR, Storage, StorageError};

/// The advisory lock for changes of the schema; "relive" in ASCII.
const SCHEMA_LOCK: i64 = 0x7265_6c69_7665;
/// How long to wait for another server to prepare the schema.
const OTHERS: Duration = Duration::from_mins(10);
/// How long preparing the schema may take.
const MIGRATION: Duration = Duration::from_mins(30);
const POLL: Duration = Duration::from_millis(100);
/// Shorter waits are not logged.
const LOG_AFTER: Duration = Duration::from_secs(2);

/// - A migration has no time limit; waiting for locks of others has.
const SETTINGS: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
    SET lock_timeout = '30s'; SET client_min_messages = warning";

impl Storage {
    /// Migrates the schema, and builds the indexes over embeddings, for `embedding_dimension`, and of lists. If there
    /// are many memories or sessions they are built in the background; until they are complete, searches are slower.
    ///
    /// # Errors
    ///
    /// If the database is away, does not meet the requirements ([`SetupError`]), or was migrated by a newer
    /// version. Nothing was changed then.
    pub async fn migrate(&self, embedding_dimension: u32) -> Result<(), StorageError> {
        let link = self.pool.link();
        self.claim.release();
        let mut connection = link.open(SETTINGS).await?.connection;
        let prepared = async {
            link.watched(ACQUIRE * 5, async { Ok(checks::check(&mut connection).await) }).await??;
            lock(&mut connection).await?;
            dimension::claim(&mut connection, embedding_dimension).await?;
            let work = async { Ok(change(&mut connection, embedding_dimension).await) };
            link.watched(MIGRATION, work).await?
        };
        let left = prepared.await?;
        unlock(&mut connection).await?;
        warn_of_pooler(link, &mut connection).await;
        self.claim.keep(embedding_dimension, connection);
        if left.memories {
            self.build_memory_indexes(embedding_dimension);
        }
        if left.lists {
            self.build_list_indexes();
        }
        Ok(())
    }
}

impl Storage {
    /// As [`Storage::migrate`], for a tool beside the servers: what a server has prepared is left as it is, and the
    /// dimension stays that of the database. `embedding_dimension` is for a new one; `None` if that is left to a
    /// server, and the answer is false then.
    ///
    /// # Errors
    ///
    /// As for [`Storage::migrate`].
    pub async fn migrate_if_new(&self, embedding_dimension: Option<u32>) -> Result<bool, StorageError> {
        const IS_PREPARED: &str = "SELECT to_regclass('api_keys') IS NOT NULL";
        if sqlx::query_scalar(IS_PREPARED).fetch_one(&self.pool).await? {
            return Ok(true);
        }
        let recorded = dimension::recorded(&self.pool).await?;
        let Some(dimension) = recorded.or(embedding_dimension) else { return Ok(false) };
        self.migrate(dimension).await?;
        self.claim.release();
        Ok(true)
    }
}

/// The indexes that remain to be built in the background.
struct RemainingIndexes {
    memories: bool,
    lists: bool,
}

/// Makes the changes that are needed, atomically.
async fn change(connection: &mut PgConnection, embedding_dimension: u32) -> Result<RemainingIndexes, StorageError> {
    let mut transaction = connection.begin().await?;
    checks::make_extension(&mut transaction).await?;
    tables::lock(&mut transaction).await?;
    MIGRATOR.run_direct(None, &mut *transaction, false).await?;
    dimension::record(&mut transaction, embedding_dimension).await?;
    let left = RemainingIndexes {
        memories: indexes::change_small(&mut transaction, embedding_dimension).await?,
        lists: session_list::change_small(&mut transaction).await?,
    };
    transaction.commit().await?;
    Ok(left)
}

/// Takes the lock for changes of the schema.
async fn lock(connection: &mut PgConnection) -> Result<(), StorageError> {
    let began = Instant::now();
    let mut is_told = false;
    loop {
        if locks::try_lock(connection, SCHEMA_LOCK).await? {
            return Ok(());
        }
        if began.elapsed() > OTHERS {
            return Err(SetupError::Busy { minutes: OTHERS.as_secs() / 60 }.into());
        }
        if began.elapsed() > LOG_AFTER && !std::mem::replace(&mut is_told, true) {
            tracing::info!("another server is preparing the database; waiting for it");
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn unlock(connection: &mut PgConnection) -> Result<(), StorageError> {
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(SCHEMA_LOCK).execute(connection).await?;
    Ok(())
}

/// With a transaction pooler in between, session settings, locks and notices are lost.
async fn warn_of_pooler(link: &DatabaseLink, connection: &mut PgConnection) {
    if is_pooled(link, connection).await {
        tracing::warn!(
            database = %link,
            "this is a pooler in transaction mode (such as PgBouncer's pool_mode = transaction): notices between \
             servers, time limits and locks do not work through it; connect to PostgreSQL itself, or use session mode"
        );
    }
}

/// Two connections that are open at the same time have two server processes, unless a transaction pooler is in
/// between.
pub(super) async fn is_pooled(link: &DatabaseLink, connection: &mut PgConnection) -> bool {
    const PROCESS: &str = "SELECT pg_backend_pid()";
    let asking = async {
        let mut other = link.open("").await?.connection;
        let one: i32 = sqlx::query_scalar(PROCESS).fetch_one(&mut *connection).await?;
        let two: i32 = sqlx::query_scalar(AssertSqlSafe(PROCESS)).fetch_one(&mut other).await?;
        other.close().await?;
        Ok::<_, sqlx::Error>(one == two)
    };
    matches!(tokio::time::timeout(ACQUIRE, asking).await, Ok(Ok(true)))
}
