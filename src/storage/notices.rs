//! What servers on one database tell each other: PostgreSQL's `NOTIFY` and `LISTEN`.
//!
//! Both have a connection of their own. A notice is a transaction by itself, never part of one that
//! writes: transactions that notify commit one after the other, in all databases of a PostgreSQL.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgListener, PgPoolOptions};
use tokio::sync::watch;

use super::link::{ACQUIRE, Link};
use super::{Storage, StorageError};

const CHANNEL: &str = "relive_notices";
/// What the connections are called in `pg_stat_activity`.
const APPLICATION: &str = "relive notices";
const SETTINGS: &str = "SET application_name = 'relive notices'";
/// How long one statement may take before its connection counts as lost.
const STATEMENT: Duration = Duration::from_secs(5);

/// Sends notices.
#[derive(Debug)]
pub struct Notifier {
    link: Link,
    connection: Option<PgConnection>,
}

impl Notifier {
    /// PostgreSQL refuses a longer payload: it must be shorter than 8,000 bytes.
    pub const PAYLOAD_BYTES: usize = 7_999;

    /// Sends notices in one transaction, in this order. Connects when it has to.
    ///
    /// # Errors
    ///
    /// When the database is away; whether it took the notices is then unknown.
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
        // Only a connection that is known to be sound is kept.
        self.connection = Some(connection);
        Ok(())
    }

    /// Ends the connection. Nobody minds how that goes.
    pub async fn close(self) {
        if let Some(connection) = self.connection {
            let _ = connection.close().await;
        }
    }
}

/// Hears notices, this server's own included.
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
    /// When the connection is lost, and with it, it may be, notices. A new listener is needed then.
    pub async fn next(&mut self) -> Result<String, StorageError> {
        tokio::select! {
            received = self.listener.try_recv() => match received? {
                Some(notification) => Ok(notification.payload().to_owned()),
                None => Err(sqlx::Error::WorkerCrashed.into()),
            },
            // Others have found that the database could not be reached; what this connection would have
            // brought meanwhile may never come.
            _ = self.expiry.changed() => Err(StorageError::TimedOut),
        }
    }
}

impl Storage {
    /// A sender of notices. It connects when it is first used.
    #[must_use]
    pub fn notifier(&self) -> Notifier {
        Notifier { link: self.pool.link().clone(), connection: None }
    }

    /// Listens for notices from now on.
    ///
    /// # Errors
    ///
    /// When the database is away, or cannot listen.
    pub async fn listen(&self) -> Result<Listener, StorageError> {
        // The library wants a pool, to connect again by itself; this one is of one connection, and a
        // lost connection ends the listener, since what was missed has to be looked for.
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
