//! The only SQL in the project.
//!
//! PostgreSQL holds everything: the journal of events is the truth, `sessions` is its projection
//! for lists, keyframes are its cache for recovery and seeking. There is no second backend, in tests
//! neither, but for the deterministic simulation of the hub (see [`Store`](crate::hub::Store)).

mod address;
mod batch;
mod catalog;
pub mod cluster;
mod columns;
mod error;
mod export;
mod forks;
mod idempotency;
mod import;
mod journal;
mod leases;
mod link;
mod locks;
mod memories;
mod message_history;
mod messages;
mod notices;
mod page;
mod pool;
mod readiness;
mod recovery;
mod replay;
mod session_list;
mod sessions;
mod setup;
mod tasks;
mod texts;
mod usage;
mod writer;

use std::sync::{Arc, OnceLock};

use sqlx::PgPool;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::Notify;

pub use address::connect_options;
pub use batch::{Batch, CommandRow, EventRow, ProjectionRow};
pub use catalog::Entity;
pub use error::{Constraint, StorageError};
pub use export::{Ancestor, ExportedEvent, PageSize};
pub use idempotency::{KeyClaim, KeyedRequest};
pub use import::{Import, ImportedMessage};
pub use leases::{Parked, Taken};
use link::Link;
use memories::SearchPool;
pub use memories::{MemoryScope, NewMemory, SearchLimits, Unembedded};
pub use messages::{MessageCursor, MessageFilter, MessageOrder, PlacedMessage};
pub use notices::{Listener, Notifier};
pub use page::{Page, PageCursor};
use pool::Pool;
pub use readiness::Readiness;
pub use replay::{PageBounds, StoredEvent};
pub use session_list::{SessionFilter, SessionText};
pub use sessions::{GroupInDoubt, NewSession, SessionVersion};
use setup::Claim;
pub use setup::SetupError;
use tasks::Tasks;
pub use usage::UsageRow;
pub use writer::Writer;

/// The schema, embedded in the binary. Every migration can be taken back.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// Access to the database. Cheap to clone: a handle on its connections.
#[derive(Clone, Debug)]
pub struct Storage {
    pool: Pool,
    /// Told when a memory without an embedding was stored, whichever way it came. It holds one
    /// permit, so whoever gives memories their embeddings misses nothing while busy.
    unembedded: Arc<Notify>,
    /// Apart from the pool, with settings of their own.
    search_pool: Arc<SearchPool>,
    /// Says to other servers which dimension embeddings have here.
    claim: Arc<Claim>,
    tasks: Arc<Tasks>,
    behind: Arc<OnceLock<PgPool>>,
}

impl Storage {
    /// Up to `connections`, made on demand: a database that is away is no error here. A fifth of them,
    /// 8 at most, are for searching memories by vector.
    #[must_use]
    pub fn new(options: PgConnectOptions, connections: u32) -> Self {
        let searchers = (connections / 5).clamp(1, 8);
        let link = Link::new(options);
        Self {
            pool: Pool::new(link.clone(), connections.saturating_sub(searchers), ""),
            unembedded: Arc::default(),
            search_pool: Arc::new(SearchPool::new(link, searchers)),
            claim: Arc::default(),
            tasks: Arc::default(),
            behind: Arc::default(),
        }
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
    /// When none can be had within four seconds.
    pub async fn writer(&self) -> Result<Writer, StorageError> {
        Writer::new(self.pool.acquire().await?, Arc::clone(&self.unembedded)).await
    }

    /// Closes every connection that is not in use; the others are closed when they are given back.
    pub async fn close(&self) {
        self.tasks.stop();
        self.claim.release();
        tokio::join!(self.pool.close(), self.search_pool.close());
        if let Some(behind) = self.behind.get() {
            behind.close().await;
        }
    }

    /// A pool beside that of the storage, for tests and benchmarks that look behind the interface.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        self.behind
            .get_or_init(|| PgPoolOptions::new().max_connections(4).connect_lazy_with(self.pool.link().options()))
    }
}
