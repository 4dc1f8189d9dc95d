//! The only SQL in the project.
//!
//! The journal of events is the source of truth, `sessions` is its projection for lists, and keyframes are a
//! cache for recovery and seeking. There is no second backend, except in the deterministic simulation of the
//! hub (see [`Store`](crate::hub::Store)).
//!
//! Every function that has to reach the database fails with [`StorageError::Unavailable`] while it is away,
//! and with [`StorageError::TimedOut`] if it does not answer in time. `# Errors` sections name only what is
//! specific to a function.

mod access;
mod address;
mod alerts;
mod archived;
mod backup;
mod batch;
mod bigint;
mod catalog;
pub mod cluster;
mod columns;
mod command_ids;
mod diagnosis;
mod driver_leases;
mod entities;
mod error;
mod event_copy;
mod export;
mod families;
mod forks;
mod idempotency;
mod identity;
mod import;
mod indexes;
mod journal;
mod link;
mod load_state;
mod locks;
mod log_history;
mod logs;
mod memories;
mod message_history;
mod messages;
mod notices;
mod open_traces;
mod page;
mod pool;
mod readiness;
mod replay;
mod retention;
mod run_leases;
mod schedules;
mod session_list;
mod sessions;
mod setup;
mod statistics;
mod tasks;
mod texts;
mod usage;
mod webhooks;
mod writer;

use std::sync::{Arc, OnceLock};

use sqlx::PgPool;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::Notify;

pub use access::{
    AuditFilter, AuditRecord, AuditRow, CredentialsInUse, KeyRow, NewKey, NewSignIn, REVOKED_LIMIT, Revoked, SignInRow,
    SigningKeyRow, TokenState,
};
pub use address::connect_options;
pub use alerts::{
    AlertTransition, DueAlert, DueEmail, EmailAttempt, FailedRuns, NewAlertEmail, SlowRun, StoredAlert, UsualRuns,
};
pub use archived::{ArchiveClaim, ArchivedRow, StoredFile};
pub use backup::{BackupError, ClientPrograms, IfUsed, Manifest, Target, verify as verify_backup};
pub use batch::{Batch, CommandRow, EventRow, ProjectionRow};
pub use catalog::CatalogEntity;
pub use diagnosis::{ConnectionUse, DatabaseDescription, Diagnosis, SchemaState};
pub use driver_leases::LapsedLease;
pub use entities::Entity;
pub use error::{Constraint, StorageError};
pub use export::{Ancestor, PageSize};
pub use idempotency::{KeyClaim, KeyedRequest};
pub use import::{Import, ImportedMessage};
pub use journal::{JournalReader, PageBounds, StoredEvent};
use link::DatabaseLink;
pub use log_history::{LogFilter, LogLines, PlacedLog};
pub use memories::{MemoryScope, NewMemory, SearchLimits, TimeOrder, Unembedded};
use memories::{Strategies, search_pool};
pub use messages::{MessageCursor, MessageFilter, MessageOrder, PlacedMessage};
pub use notices::{Listener, Notifier};
pub use open_traces::OpenTrace;
pub use page::{Page, PageCursor};
pub use pool::ConnectionCount;
use pool::Pool;
pub use readiness::Readiness;
pub use retention::{RetentionAction, RetentionClaim, RetentionRule, RetentionState, StoredRule};
pub use run_leases::{ClaimedLease, Parked};
pub use schedules::{DueSchedule, FiredSchedule};
pub use session_list::{MetadataFilter, SessionFilter, SessionText, Visible};
pub use sessions::{GroupInDoubt, NewSession, SessionOwner, SessionVersion};
use setup::Claim;
pub use setup::SetupError;
pub use statistics::{Grouping, Recount, RunBucket, RunPeriod, Width};
use tasks::Tasks;
pub use usage::{FamilyUsage, SummedBy, UsageRow, UsageSum};
pub use webhooks::{AttemptRecord, DueDelivery, WebhookChange, WebhookTarget};
pub use writer::Writer;

/// The schema, embedded in the binary. Every migration has a reversal.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// Access to the database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {
    pool: Pool,
    /// Notified when a memory without an embedding was stored. It holds one permit, so the embedding worker
    /// misses nothing while busy.
    unembedded: Arc<Notify>,
    /// Notified when an event was committed that webhooks are told of. It holds one permit as well.
    outbox: Arc<Notify>,
    /// Separate from the pool, with settings of their own.
    search_pool: Pool,
    strategies: Arc<Strategies>,
    /// Announces the dimension of this server's embeddings to other servers.
    claim: Arc<Claim>,
    tasks: Arc<Tasks>,
    behind: Arc<OnceLock<PgPool>>,
}

impl Storage {
    /// Up to `connections`, opened on demand: it is no error if the database is away. A fifth of them,
    /// 8 at most, are for searching memories by vector.
    #[must_use]
    pub fn new(options: PgConnectOptions, connections: u32) -> Self {
        let searchers = (connections / 5).clamp(1, 8);
        let link = DatabaseLink::new(options);
        Self {
            pool: Pool::new(link.clone(), connections.saturating_sub(searchers), ""),
            unembedded: Arc::default(),
            outbox: Arc::default(),
            search_pool: search_pool(link, searchers),
            strategies: Arc::default(),
            claim: Arc::default(),
            tasks: Arc::default(),
            behind: Arc::default(),
        }
    }

    /// Whether the database answers now.
    ///
    /// # Errors
    ///
    /// The reason why it does not.
    pub async fn ping(&self) -> Result<(), StorageError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Its connections, without those for notices.
    pub fn connections(&self) -> ConnectionCount {
        let (pool, search) = (self.pool.count(), self.search_pool.count());
        ConnectionCount { used: pool.used + search.used, idle: pool.idle + search.idle, most: pool.most + search.most }
    }

    /// A connection of its own for one lane's writes.
    ///
    /// # Errors
    ///
    /// If none is available within four seconds.
    pub async fn writer(&self) -> Result<Writer, StorageError> {
        let connection = self.pool.acquire().await?;
        Writer::new(connection, Arc::clone(&self.unembedded), Arc::clone(&self.outbox)).await
    }

    /// Closes idle connections; the others are closed when they are returned.
    pub async fn close(&self) {
        self.tasks.stop();
        self.claim.release();
        tokio::join!(self.pool.close(), self.search_pool.close());
        if let Some(behind) = self.behind.get() {
            behind.close().await;
        }
    }

    /// A separate pool, for tests and benchmarks that inspect the database.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        self.behind
            .get_or_init(|| PgPoolOptions::new().max_connections(4).connect_lazy_with(self.pool.link().options()))
    }
}
