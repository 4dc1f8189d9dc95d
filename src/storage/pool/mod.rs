//! The pool of connections for statements.
//!
//! A pool of our own, because of its behaviour in outages: getting a connection, each statement and returning
//! a connection all have a time limit; a connection in doubt is closed; and an outage is detected once for all
//! connections, not by each request.

mod executor;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{timeout, timeout_at};

use super::link::{ACQUIRE, DatabaseLink, LONG_STATEMENT, Opened, STATEMENT, breaks_connection};

/// A connection that was idle for this long is probed before it is used.
const PROBE_AFTER: Duration = Duration::from_secs(2);
/// How long the probe may take, and the cleanup after a request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that was idle for this long is closed.
const IDLE: Duration = Duration::from_mins(10);
/// So is any that is this old: PostgreSQL's caches for it grow.
const LIFETIME: Duration = Duration::from_mins(30);
/// The same for one that is read-only: a server that takes writes may be available soon.
const READ_ONLY_LIFETIME: Duration = Duration::from_secs(1);

/// The connections of a server at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionCount {
    /// Taken for a statement, a transaction or a lane; some may still be opening.
    pub used: usize,
    /// Open, and taken by nobody.
    pub idle: usize,
    /// As many as there may be.
    pub most: usize,
}

/// A pool of connections to one database. Cheap to clone. As an executor of `sqlx`, it takes a connection
/// for each statement.
#[derive(Clone)]
pub(super) struct Pool {
    inner: Arc<Inner>,
    limit: Duration,
}

struct Inner {
    link: DatabaseLink,
    settings: &'static str,
    most: usize,
    permits: Arc<Semaphore>,
    /// The one that was used last is at the end, and is used first.
    idle: Mutex<Vec<PooledConnection>>,
}

struct PooledConnection {
    connection: PgConnection,
    opened: Instant,
    used: Instant,
    is_read_only: bool,
}

impl Pool {
    /// Up to `connections`, each opened with these settings on demand.
    pub fn new(link: DatabaseLink, connections: u32, settings: &'static str) -> Self {
        let most = connections.max(1) as usize;
        let permits = Arc::new(Semaphore::new(most));
        Self { inner: Arc::new(Inner { link, settings, most, permits, idle: Mutex::default() }), limit: STATEMENT }
    }

    /// What it has now.
    pub fn count(&self) -> ConnectionCount {
        let used = self.inner.most.saturating_sub(self.inner.permits.available_permits());
        ConnectionCount { used, idle: self.inner.idle.lock().len(), most: self.inner.most }
    }

    pub fn link(&self) -> &DatabaseLink {
        &self.inner.link
    }

    /// The same pool, for statements whose work is unbounded.
    pub fn long_running(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), limit: LONG_STATEMENT }
    }

    /// A connection for exclusive use.
    ///
    /// # Errors
    ///
    /// If none is available within [`ACQUIRE`].
    pub async fn acquire(&self) -> sqlx::Result<TakenConnection> {
        let began = Instant::now();
        let deadline = tokio::time::Instant::now() + ACQUIRE;
        let permit = timeout_at(deadline, Arc::clone(&self.inner.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| self.none_free())?.map_err(|_| sqlx::Error::PoolClosed)?;
        let (live, was_idle) = match timeout_at(deadline, self.inner.pop_idle()).await {
            Ok(Some(live)) => (live, true),
            _ => (timeout_at(deadline, self.inner.open()).await.map_err(|_| self.none_free())??, false),
        };
        metrics::histogram!("relive_database_wait_seconds").record(began.elapsed().as_secs_f64());
        Ok(TakenConnection {
            live: Some(live),
            pool: self.clone(),
            permit: Some(permit),
            was_idle,
            is_clean: true,
            purpose: Purpose::Statements,
        })
    }

    fn none_free(&self) -> sqlx::Error {
        let text = format!("{}: no connection could be had within {} s", self.inner.link, ACQUIRE.as_secs());
        std::io::Error::new(std::io::ErrorKind::TimedOut, text).into()
    }

    /// A connection with a transaction on it.
    pub async fn begin(&self) -> sqlx::Result<Transaction> {
        self.begin_with("BEGIN").await
    }

    /// As [`Pool::begin`], with a custom statement.
    pub async fn begin_with(&self, statement: &'static str) -> sqlx::Result<Transaction> {
        let mut connection = self.acquire().await?;
        connection.purpose = Purpose::Transaction;
        connection.run(self.limit, async |connection| connection.execute(sqlx::raw_sql(statement)).await).await?;
        connection.is_clean = false;
        Ok(Transaction { connection })
    }

    /// Closes the connections that are idle, and each of the others when it is returned.
    pub async fn close(&self) {
        self.inner.permits.close();
        let idle = std::mem::take(&mut *self.inner.idle.lock());
        let closing = idle.into_iter().map(|live| timeout(ANSWER_TIMEOUT, live.connection.close()));
        // Errors on closing do not matter.
        let _ = futures_util::future::join_all(closing).await;
    }
}

impl Inner {
    /// A connection that was used recently, or has passed the probe.
    async fn pop_idle(&self) -> Option<PooledConnection> {
        loop {
            let mut live = self.idle.lock().pop()?;
            if self.is_spent(&live) {
                continue;
            }
            if live.used.elapsed() < PROBE_AFTER {
                return Some(live);
            }
            match timeout(ANSWER_TIMEOUT, live.connection.ping()).await {
                Ok(Ok(())) => return Some(live),
                Ok(Err(error)) => self.link.observe(&error),
                // The other idle connections would fail the probe too, one after the other.
                Err(_) => self.link.expire(),
            }
        }
    }

    async fn open(&self) -> sqlx::Result<PooledConnection> {
        let Opened { connection, is_read_only } = self.link.open(self.settings).await?;
        let now = Instant::now();
        Ok(PooledConnection { connection, opened: now, used: now, is_read_only })
    }

    fn is_spent(&self, live: &PooledConnection) -> bool {
        let lifetime = if live.is_read_only { READ_ONLY_LIFETIME } else { LIFETIME };
        self.link.is_stale(live.opened) || live.opened.elapsed() > lifetime
    }

    fn put_idle(&self, mut live: PooledConnection) {
        if self.permits.is_closed() || self.is_spent(&live) {
            return close(live);
        }
        live.used = Instant::now();
        let unused = {
            let mut idle = self.idle.lock();
            idle.push(live);
            let is_unused = idle.first().is_some_and(|first| first.used.elapsed() > IDLE);
            is_unused.then(|| idle.remove(0))
        };
        if let Some(unused) = unused {
            close(unused);
        }
    }
}

/// Closes it in the background.
fn close(live: PooledConnection) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            let _ = timeout(ANSWER_TIMEOUT, live.connection.close()).await;
        });
    }
}

/// A connection that was taken from the pool; when dropped it is returned, unless it is in doubt.
pub(super) struct TakenConnection {
    live: Option<PooledConnection>,
    pool: Pool,
    permit: Option<OwnedSemaphorePermit>,
    was_idle: bool,
    /// Nothing unfinished is on it.
    is_clean: bool,
    purpose: Purpose,
}

/// The use of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Statements,
    /// With a transaction, which is rolled back when the connection is returned.
    Transaction,
    /// For one owner, with settings of its own: it is closed afterwards.
    Owner,
}

impl TakenConnection {
    /// Makes the connection be closed instead of returned.
    pub fn close_on_drop(&mut self) {
        self.purpose = Purpose::Owner;
    }

    /// Whether it was used before, and may have broken since.
    pub fn was_idle(&self) -> bool {
        self.was_idle
    }

    /// Runs work on the connection, within `limit`, and evaluates its result.
    ///
    /// # Errors
    ///
    /// Those of the work, or that it took too long.
    pub async fn run<T, E>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<sqlx::Error> + AsSqlxError,
    {
        let (link, connection) = self.work()?;
        let outcome = link.watched(limit, async { Ok(work(connection).await) }).await;
        let outcome = outcome.unwrap_or_else(|error| Err(E::from(error)));
        self.conclude(outcome.as_ref().err().and_then(AsSqlxError::as_sqlx_error));
        outcome
    }

    /// The connection, for work that ends with [`TakenConnection::conclude`].
    ///
    /// # Errors
    ///
    /// If it was found to be broken before.
    fn work(&mut self) -> sqlx::Result<(DatabaseLink, &mut PgConnection)> {
        let link = self.pool.inner.link.clone();
        let live = self.live.as_mut().ok_or(sqlx::Error::WorkerCrashed)?;
        self.is_clean = false;
        Ok((link, &mut live.connection))
    }

    /// Ends work on the connection.
    pub fn conclude(&mut self, error: Option<&sqlx::Error>) {
        self.is_clean = true;
        let Some(error) = error else { return };
        self.pool.inner.link.observe(error);
        if breaks_connection(error) {
            self.live = None;
        }
    }
}

/// Errors that may hold one of the driver's.
pub(super) trait AsSqlxError {
    fn as_sqlx_error(&self) -> Option<&sqlx::Error>;
}

impl AsSqlxError for sqlx::Error {
    fn as_sqlx_error(&self) -> Option<&sqlx::Error> {
        Some(self)
    }
}

impl AsSqlxError for super::StorageError {
    fn as_sqlx_error(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Unavailable(error) | Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl Drop for TakenConnection {
    fn drop(&mut self) {
        let (Some(mut live), Some(permit)) = (self.live.take(), self.permit.take()) else { return };
        if self.purpose == Purpose::Owner {
            return close(live);
        }
        let inner = Arc::clone(&self.pool.inner);
        let in_transaction = self.purpose == Purpose::Transaction;
        if self.is_clean && !in_transaction {
            return inner.put_idle(live);
        }
        // A request that was cancelled halfway leaves answers, or a transaction, behind.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            let cleaning = async {
                if in_transaction {
                    live.connection.execute(sqlx::raw_sql("ROLLBACK")).await?;
                }
                live.connection.ping().await
            };
            if matches!(timeout(ANSWER_TIMEOUT, cleaning).await, Ok(Ok(()))) {
                inner.put_idle(live);
            }
            drop(permit);
        });
    }
}

impl fmt::Debug for TakenConnection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// A transaction on a connection of its own. Dropping it rolls back.
#[derive(Debug)]
pub(super) struct Transaction {
    connection: TakenConnection,
}

impl Transaction {
    /// Runs work within it, with the time limit of one statement.
    ///
    /// # Errors
    ///
    /// Those of the work, or that it took too long.
    pub async fn run<T, E>(&mut self, work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>) -> Result<T, E>
    where
        E: From<sqlx::Error> + AsSqlxError,
    {
        let limit = self.connection.pool.limit;
        self.connection.run(limit, work).await
    }

    /// Commits.
    ///
    /// # Errors
    ///
    /// If the database is away; it is then unknown whether it took effect.
    pub async fn commit(mut self) -> sqlx::Result<()> {
        let limit = self.connection.pool.limit;
        self.connection.run(limit, async |connection| connection.execute(sqlx::raw_sql("COMMIT")).await).await?;
        self.connection.purpose = Purpose::Statements;
        Ok(())
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").field("link", &self.inner.link).finish_non_exhaustive()
    }
}
