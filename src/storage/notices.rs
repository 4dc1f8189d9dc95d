//! What servers on one database tell each other: PostgreSQL's `NOTIFY` and `LISTEN`.
//!
//! Both have a connection of their own. A notice is a transaction by itself, never part of one that
//! writes: transactions that notify commit one after the other, in all databases of a PostgreSQL.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};

use super::{ACQUIRE_TIMEOUT, Storage, StorageError};

const CHANNEL: &str = "relive_notices";
/// What the connections are called in `pg_stat_activity`.
const APPLICATION: &str = "relive notices";
/// How long one statement may take before its connection counts as lost.
const STATEMENT: Duration = Duration::from_secs(5);

/// Sends notices.
#[derive(Debug)]
pub struct Notifier {
    options: PgConnectOptions,
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
            None => within(ACQUIRE_TIMEOUT, self.options.connect()).await?,
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
}

impl Listener {
    /// The next notice. Cancel-safe.
    ///
    /// # Errors
    ///
    /// When the connection is lost, and with it, it may be, notices. A new listener is needed then.
    pub async fn next(&mut self) -> Result<String, StorageError> {
        match self.listener.try_recv().await? {
            Some(notification) => Ok(notification.payload().to_owned()),
            None => Err(sqlx::Error::WorkerCrashed.into()),
        }
    }
}

impl Storage {
    /// A sender of notices. It connects when it is first used.
    #[must_use]
    pub fn notifier(&self) -> Notifier {
        Notifier { options: self.notice_options(), connection: None }
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
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(self.notice_options());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        within(STATEMENT, listener.listen(CHANNEL)).await?;
        Ok(Listener { listener })
    }

    fn notice_options(&self) -> PgConnectOptions {
        PgConnectOptions::clone(&self.pool.connect_options()).application_name(APPLICATION)
    }
}

async fn within<T>(time: Duration, work: impl Future<Output = sqlx::Result<T>>) -> Result<T, StorageError> {
    Ok(tokio::time::timeout(time, work).await.map_err(|_| StorageError::TimedOut)??)
}
