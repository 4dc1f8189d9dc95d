//! Notices between servers on one database: PostgreSQL's `NOTIFY` and `LISTEN`.
//!
//! Each has a connection of its own. A notice is a transaction by itself, never part of one that writes:
//! transactions that notify commit one after the other, in all databases of a PostgreSQL.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgListener, PgPoolOptions};
use tokio::sync::watch;

use super::link::{ACQUIRE, DatabaseLink};
use super::{SetupError, Storage, StorageError};

const CHANNEL: &str = "relive_notices";
/// The `application_name` of the connections.
const APPLICATION: &str = "relive notices";
/// A notice may be lost when the database's machine goes down, as it may be otherwise: its commit need not wait for the disk, and
/// does not make those of the lanes wait for it.
const SETTINGS: &str = "SET application_name = 'relive notices'; SET synchronous_commit = off";
/// How long a statement may take before its connection counts as lost.
const STATEMENT: Duration = Duration::from_secs(5);

/// Sends notices.
#[derive(Debug)]
pub struct Notifier {
    link: DatabaseLink,
    connection: Option<PgConnection>,
}

impl Notifier {
    /// PostgreSQL refuses a longer payload: it must be shorter than 8,000 bytes.
    pub const PAYLOAD_BYTES: usize = 7_999;

    /// Sends notices in one transaction, in this order. Connects if needed.
    ///
    /// # Errors
    ///
    /// If the database is away; it is then unknown whether the notices were sent.
    pub async fn notify(&mut self, payloads: &[String]) -> Result<(), StorageError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.link.open(SETTINGS).await?.connection,
        };
        let statement = sqlx::query("SELECT pg_notify($1, payload) FROM UNNEST($2::text[]) AS payload")
            .bind(CHANNEL)
            .bind(payloads)
            .execute(&mut connection);
        within(STATEMENT, statement).await?;
        // The connection is kept only after a success.
        self.connection = Some(connection);
        Ok(())
    }

    /// Closes the connection; errors are ignored.
    pub async fn close(self) {
        if let Some(connection) = self.connection {
            let _ = connection.close().await;
        }
    }
}

/// Receives notices, this server's own included.
#[derive(Debug)]
pub struct Listener {
    listener: PgListener,
    expiry: watch::Receiver<std::time::Instant>,
}

impl Listener {
    /// The next notice. Cancel-safe.
    ///
    /// # Errors
    ///
    /// If the connection is lost, and possibly notices with it. A new listener is needed then.
    pub async fn next(&mut self) -> Result<String, StorageError> {
        tokio::select! {
            received = self.listener.try_recv() => match received? {
                Some(notification) => Ok(notification.payload().to_owned()),
                None => Err(sqlx::Error::WorkerCrashed.into()),
            },
            // The database was found unreachable by other connections; what was sent to this one meanwhile may
            // never arrive.
            _ = self.expiry.changed() => Err(StorageError::TimedOut),
        }
    }
}

impl Storage {
    /// A sender of notices. It connects on first use.
    #[must_use]
    pub fn notifier(&self) -> Notifier {
        Notifier { link: self.pool.link().clone(), connection: None }
    }

    /// Starts to listen for notices.
    ///
    /// # Errors
    ///
    /// If the database is away, or listening is not possible. Behind a pooler in transaction mode it is not tried: what
    /// is listened for would break the statements of whoever has that server process next.
    pub async fn listen(&self) -> Result<Listener, StorageError> {
        if self.pool.link().is_lent() {
            return Err(SetupError::CannotListen.into());
        }
        // The library needs a pool, to reconnect by itself; this one has a single connection, and losing it ends
        // the listener, since missed notices have to be made up for.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(ACQUIRE)
            .connect_lazy_with(self.pool.link().options().application_name(APPLICATION));
        let expiry = self.pool.link().expiry();
        let mut listener = within(ACQUIRE, PgListener::connect_with(&pool)).await?;
        listener.eager_reconnect(false);
        within(STATEMENT, self.claim.move_to(&mut listener)).await?;
        within(STATEMENT, listener.listen(CHANNEL)).await?;
        Ok(Listener { listener, expiry })
    }
}

async fn within<T>(time: Duration, work: impl Future<Output = sqlx::Result<T>>) -> Result<T, StorageError> {
    Ok(tokio::time::timeout(time, work).await.map_err(|_| StorageError::TimedOut)??)
}
