//! Connections that do nothing but search memories by vector.
//!
//! A search is one round trip on a connection whose settings were made when it was opened; setting
//! them in a transaction around each search would take longer than most searches. The connections are
//! few, so that searches, which may be long, leave the others to commands.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::MemoryScope;
use super::vector::Way;
use crate::storage::{ACQUIRE_TIMEOUT, StorageError};

/// - One plan for all: the statements are written so that there is only one good one, and planning
///   takes longer than comparing a small scope. `enable_sort` is off to prefer the index that needs
///   none; where a sort is needed, PostgreSQL sorts all the same.
/// - `ef_search` is how wide the walk through the index is: wider than the default 40, since recall
///   matters more here than the last millisecond. `relaxed_order` lets later parts of the walk return
///   rows nearer than earlier ones; the order is made afterwards. The walk may visit 40,000 rows
///   (default 20,000) in 8 times `work_mem` before it gives up.
/// - A search that takes very long is ended, rather than keeping a connection busy for a client that
///   has gone.
const SETTINGS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_sort = off; SET jit = off;
    SET statement_timeout = '10s'; SET hnsw.iterative_scan = relaxed_order; SET hnsw.ef_search = 100;
    SET hnsw.max_scan_tuples = 40000; SET hnsw.scan_mem_multiplier = 8";

/// How long a scope is searched the way that was right when it was counted.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);
/// Scopes that are remembered; beyond it all are forgotten, and counted anew when asked for.
const REMEMBERED: usize = 4_096;

/// The connections, opened when they are needed and kept.
#[derive(Debug)]
pub(in crate::storage) struct Searchers {
    options: PgConnectOptions,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<PgConnection>>,
    ways: Mutex<HashMap<MemoryScope, (Way, Instant)>>,
}

/// A connection taken for one search. Dropping it closes it: a search that was given up on halfway
/// leaves answers behind that nobody must take for those of the next.
pub(in crate::storage) struct Searcher {
    pub(super) connection: PgConnection,
    is_new: bool,
    _permit: OwnedSemaphorePermit,
}

impl Searchers {
    pub fn new(options: PgConnectOptions, connections: usize) -> Self {
        let permits = Arc::new(Semaphore::new(connections));
        Self { options, permits, idle: Mutex::default(), ways: Mutex::default() }
    }

    /// An idle connection, or a new one; waits for one to be given back when all are busy.
    pub async fn take(&self) -> Result<Searcher, StorageError> {
        let permit = tokio::time::timeout(ACQUIRE_TIMEOUT, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = self.idle.lock().pop();
        if let Some(connection) = idle {
            return Ok(Searcher { connection, is_new: false, _permit: permit });
        }
        let connecting = async {
            let mut connection = self.options.connect().await?;
            sqlx::raw_sql(SETTINGS).execute(&mut connection).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        let connection = tokio::time::timeout(ACQUIRE_TIMEOUT, connecting).await;
        let connection = connection.map_err(|_| StorageError::TimedOut)??;
        Ok(Searcher { connection, is_new: true, _permit: permit })
    }

    pub fn give_back(&self, searcher: Searcher) {
        if !self.permits.is_closed() {
            self.idle.lock().push(searcher.connection);
        }
    }

    /// Whether a failed search is worth repeating on a new connection: this one had been idle, and
    /// what it was connected to is gone. The other idle ones are then no better.
    pub fn was_stale(&self, searcher: &Searcher, error: &StorageError) -> bool {
        let StorageError::Unavailable(source) = error else { return false };
        let is_gone =
            source.as_database_error().is_none_or(|error| error.code().is_some_and(|code| code.starts_with("57P")));
        if is_gone {
            self.idle.lock().clear();
        }
        is_gone && !searcher.is_new
    }

    /// The way to search a scope of more than a few rows, if it was counted of late.
    pub(super) fn way(&self, scope: &MemoryScope) -> Option<Way> {
        let (way, counted) = *self.ways.lock().get(scope)?;
        (counted.elapsed() < REMEMBERED_FOR).then_some(way)
    }

    pub(super) fn remember(&self, scope: &MemoryScope, way: Way) {
        let mut ways = self.ways.lock();
        if ways.len() >= REMEMBERED {
            ways.clear();
        }
        ways.insert(scope.clone(), (way, Instant::now()));
    }

    pub async fn close(&self) {
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle.lock());
        for connection in idle {
            // It is of no more use, however its farewell goes.
            let _ = connection.close().await;
        }
    }
}
