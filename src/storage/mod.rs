//! The only SQL in the project.
//!
//! PostgreSQL holds everything: the journal of events is the truth, `sessions` is its projection
//! for lists, keyframes are its cache for recovery and seeking. There is no second backend, in tests
//! neither, but for the deterministic simulation of the hub (see [`Store`](crate::hub::Store)).

mod catalog;
pub mod cluster;
mod error;
mod export;
mod forks;
mod import;
mod journal;
mod leases;
mod memories;
mod message_line;
mod messages;
mod notices;
mod page;
mod recovery;
mod replay;
mod session_list;
mod sessions;
mod texts;
mod usage;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::Notify;

pub use catalog::Entity;
pub use error::{Constraint, StorageError};
pub use export::{Ancestor, ExportedEvent, PageSize};
pub use import::{Import, ImportedMessage};
pub use leases::{Parked, Taken};
use memories::Searchers;
pub use memories::{MemoryScope, Nearness, NewMemory, Unembedded};
pub use messages::{MessageCursor, MessageFilter, MessageOrder, PlacedMessage};
pub use notices::{Listener, Notifier};
pub use page::{Cursor, Page};
pub use replay::{PageBounds, StoredEvent};
pub use session_list::{SessionFilter, SessionText};
pub use sessions::NewSession;
pub use usage::UsageRow;
pub use writer::{Batch, CommandRow, EventRow, ProjectionRow, Writer};

/// The schema, embedded in the binary. Every migration can be taken back.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// How long a request waits for a connection before it is told `unavailable`.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Access to the database. Cheap to clone: a handle on one pool.
#[derive(Clone, Debug)]
pub struct Storage {
    pool: PgPool,
    /// Told when a memory without an embedding was stored, whichever way it came. It holds one
    /// permit, so whoever gives memories their embeddings misses nothing while busy.
    unembedded: Arc<Notify>,
    /// Apart from the pool, with settings of their own.
    searchers: Arc<Searchers>,
}

impl Storage {
    /// Up to `connections`, made on demand: a database that is away is no error here. A fifth of them,
    /// 8 at most, are for searching memories by vector.
    #[must_use]
    pub fn new(options: PgConnectOptions, connections: u32) -> Self {
        let searchers = (connections / 5).clamp(1, 8);
        let pool = PgPoolOptions::new()
            .max_connections(connections.saturating_sub(searchers).max(1))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // A dead connection shows at its first use, and every use copes with that; asking
            // beforehand would cost each request a round trip.
            .test_before_acquire(false)
            .connect_lazy_with(options.clone());
        let searchers = Arc::new(Searchers::new(options, searchers as usize));
        Self { pool, unembedded: Arc::default(), searchers }
    }

    /// Brings the schema up to date, and the indexes over embeddings to `embedding_dimension`.
    ///
    /// # Errors
    ///
    /// When the database is away, lacks pgvector, or was migrated by a newer version.
    pub async fn migrate(&self, embedding_dimension: u32) -> Result<(), StorageError> {
        MIGRATOR.run(&self.pool).await?;
        self.ensure_memory_indexes(embedding_dimension).await
    }

    /// Whether the database answers now.
    ///
    /// # Errors
    ///
    /// The reason it does not.
    pub async fn ping(&self) -> Result<(), StorageError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// A connection of its own for one lane's writes.
    ///
    /// # Errors
    ///
    /// When none can be had within five seconds.
    pub async fn writer(&self) -> Result<Writer, StorageError> {
        Writer::new(self.pool.acquire().await?, Arc::clone(&self.unembedded)).await
    }

    /// Closes every connection, after what runs on them has ended.
    pub async fn close(&self) {
        tokio::join!(self.pool.close(), self.searchers.close());
    }

    /// The pool itself, for tests and benchmarks that look behind the interface.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }
}
