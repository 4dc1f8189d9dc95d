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
use sqlx::{Connection as _, Row as _};

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
        check_pooler(link).await?;
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

/// What is between a server and PostgreSQL.
enum Pooler {
    /// Nothing, or a pooler in session mode, which is the same.
    None,
    /// It lends a server process for single transactions.
    Transactions,
    /// And does not keep the statements apart that its clients have prepared.
    MixesStatements,
}

/// Whether the statements of one connection may be carried out by different processes.
pub(super) async fn is_pooled(link: &DatabaseLink) -> bool {
    let found = tokio::time::timeout(ACQUIRE, look_for_pooler(link)).await;
    matches!(found, Ok(Ok(Pooler::Transactions | Pooler::MixesStatements)))
}

/// With a pooler in transaction mode, session settings, locks and notices are lost, which is said; without prepared
/// statements nothing works.
async fn check_pooler(link: &DatabaseLink) -> Result<(), SetupError> {
    // What fails here will fail again, and be told, when the database is used.
    let found = tokio::time::timeout(ACQUIRE, look_for_pooler(link)).await;
    match found {
        Ok(Ok(Pooler::Transactions)) => {
            link.set_lent();
            tracing::warn!(
                database = %link,
                "this is a pooler in transaction mode (such as PgBouncer's pool_mode = transaction): notices between \
                 servers, time limits and locks do not work through it; connect to PostgreSQL itself, or use session mode"
            );
            Ok(())
        }
        Ok(Ok(Pooler::MixesStatements)) => Err(SetupError::MixesStatements),
        Ok(Ok(Pooler::None) | Err(_)) | Err(_) => Ok(()),
    }
}

/// Two connections that are open at the same time have two server processes, unless a pooler lends them.
async fn look_for_pooler(link: &DatabaseLink) -> sqlx::Result<Pooler> {
    let mut one = link.open("").await?.connection;
    let mut other = link.open("").await?.connection;
    let found = if process(&mut one).await? != process(&mut other).await? {
        Pooler::None
    } else if mixes_statements([&mut one, &mut other]).await? {
        Pooler::MixesStatements
    } else {
        Pooler::Transactions
    };
    let _ = tokio::join!(one.close(), other.close());
    Ok(found)
}

/// The server process, asked without a prepared statement.
async fn process(connection: &mut PgConnection) -> sqlx::Result<i32> {
    sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await?.try_get(0)
}

/// Both have prepared nothing yet, and give their first statement the same name.
async fn mixes_statements(connections: [&mut PgConnection; 2]) -> sqlx::Result<bool> {
    const DUPLICATE: &str = "42P05";
    const UNKNOWN: &str = "26000";
    for connection in connections {
        match sqlx::query("SELECT $1::int").bind(1).execute(connection).await {
            Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some(DUPLICATE | UNKNOWN)) => {
                return Ok(true);
            }
            answer => {
                answer?;
            }
        }
    }
    Ok(false)
}
