//! Opens connections to PostgreSQL, and detects that they are broken.
//!
//! All connections are opened here, so that TLS, time limits and settings are the same for commands,
//! searches, notices and the preparation of the schema.
//!
//! The driver offers neither TCP keep-alive nor a user timeout. So slow statements are watched: after
//! [`SUSPECT`] a second connection checks whether the database can be reached at all. If not, the statement
//! is given up; otherwise it is only slow, and is waited for until its own limit.

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions as _, Row as _};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long getting a connection may take: waiting for one that is in use, or opening a new one.
pub(super) const ACQUIRE: Duration = Duration::from_secs(4);
/// How long a statement may take.
pub(super) const STATEMENT: Duration = Duration::from_secs(20);
/// The same for a statement whose work is unbounded, such as deleting a group with everything in it.
pub(super) const LONG_STATEMENT: Duration = Duration::from_mins(5);
/// How long a statement may take before the database is probed.
const SUSPECT: Duration = Duration::from_secs(2);
/// How long the probe may take.
const PROBE: Duration = Duration::from_secs(3);
/// SQLSTATE `disk_full`.
pub(super) const DISK_FULL: &str = "53100";
/// How long the result of a probe is shared.
const PROBE_SERVES: Duration = Duration::from_millis(500);

/// Limits that PostgreSQL itself enforces: for statements and transactions of a server that has disappeared, or
/// cannot be reached. The last one is not supported on every platform.
const LIMITS: &str = "SET statement_timeout = '5min'; SET idle_in_transaction_session_timeout = '5min';
    SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = '30s';
    DO $$ BEGIN SET client_connection_check_interval = '5s'; EXCEPTION WHEN OTHERS THEN NULL; END $$;";
const IS_READ_ONLY: &str = "SELECT current_setting('transaction_read_only')::boolean";

/// One database. Cheap to clone.
#[derive(Clone)]
pub(super) struct DatabaseLink(Arc<Inner>);

struct Inner {
    options: PgConnectOptions,
    /// Whether TLS is used, once `sslmode=allow` or `prefer` has been resolved.
    mode: Mutex<Option<PgSslMode>>,
    /// Connections that were opened before this moment must not be used any more.
    stale_before: watch::Sender<Instant>,
    away_since: Mutex<Option<Instant>>,
    /// When a statement last failed because the disk was full.
    full_at: Mutex<Option<Instant>>,
    /// Whether a pooler lends server processes for single transactions, so that notifications would arrive in the
    /// middle of the answers to somebody else.
    is_lent: AtomicBool,
    /// When the database was last probed, and the error if it failed.
    probed: tokio::sync::Mutex<Option<(Instant, Option<String>)>>,
}

/// A new connection.
pub(super) struct Opened {
    pub connection: PgConnection,
    /// A standby, or a server that is read-only at the moment.
    pub is_read_only: bool,
}

impl DatabaseLink {
    pub fn new(options: PgConnectOptions) -> Self {
        Self(Arc::new(Inner {
            options,
            mode: Mutex::default(),
            stale_before: watch::Sender::new(Instant::now()),
            away_since: Mutex::default(),
            full_at: Mutex::default(),
            is_lent: AtomicBool::default(),
            probed: tokio::sync::Mutex::default(),
        }))
    }

    /// How to connect, with the TLS mode that was found to work.
    pub fn options(&self) -> PgConnectOptions {
        let options = self.0.options.clone();
        let mode = *self.0.mode.lock();
        mode.map_or(options.clone(), |mode| options.ssl_mode(mode))
    }

    /// Remembers that there is a pooler in transaction mode.
    pub fn set_lent(&self) {
        self.0.is_lent.store(true, Ordering::Relaxed);
    }

    pub fn is_lent(&self) -> bool {
        self.0.is_lent.load(Ordering::Relaxed)
    }

    /// Opens a connection, with limits and these settings.
    ///
    /// # Errors
    ///
    /// If none is available within [`ACQUIRE`]. The text contains the database's address.
    pub async fn open(&self, settings: &str) -> sqlx::Result<Opened> {
        let opening = async {
            let mut connection = self.connect().await?;
            let prepare = sqlx::AssertSqlSafe(format!("{LIMITS}{settings};{IS_READ_ONLY}"));
            let row = sqlx::Executor::fetch_one(&mut connection, sqlx::raw_sql(prepare)).await?;
            Ok(Opened { is_read_only: row.try_get(0)?, connection })
        };
        let opened = timeout(ACQUIRE, opening).await.unwrap_or_else(|_| Err(silent(ACQUIRE)));
        match opened {
            Ok(opened) => {
                self.is_back();
                Ok(opened)
            }
            Err(error) => {
                let error = self.placed(error);
                self.is_away(&error);
                Err(error)
            }
        }
    }

    /// Connects as `sslmode` says. The driver treats `allow` as `disable`, and `prefer` as `require` once the
    /// server offers TLS; therefore both modes are tried here in turn.
    async fn connect(&self) -> sqlx::Result<PgConnection> {
        let options = self.options();
        let first = options.clone().connect().await;
        if first.is_err() {
            // The mode that worked once may not work for ever.
            *self.0.mode.lock() = None;
        }
        let second = match options.get_ssl_mode() {
            PgSslMode::Allow => PgSslMode::Require,
            PgSslMode::Prefer => PgSslMode::Disable,
            _ => return first,
        };
        let Err(error) = first else { return first };
        if !is_of_encryption(&error) {
            return Err(error);
        }
        let connection = options.ssl_mode(second).connect().await.map_err(|_| error)?;
        *self.0.mode.lock() = Some(second);
        Ok(connection)
    }

    /// Waits for `work`, a statement on a connection of this database, while the database can be reached, and
    /// no longer than `limit`.
    ///
    /// # Errors
    ///
    /// Those of the work, or that it was given up: then it is unknown whether it took effect, and its
    /// connection must be closed.
    pub async fn watched<T>(&self, limit: Duration, work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        let mut work = pin!(work);
        let began = Instant::now();
        while began.elapsed() < limit {
            let step = SUSPECT.min(limit.saturating_sub(began.elapsed()));
            if let Ok(done) = timeout(step, &mut work).await {
                return done;
            }
            tokio::select! {
                biased;
                done = &mut work => return done,
                there = self.probe() => there?,
            }
        }
        Err(self.placed(silent(limit)))
    }

    /// Whether the database can be reached.
    ///
    /// # Errors
    ///
    /// Why it cannot be reached.
    pub async fn probe(&self) -> sqlx::Result<()> {
        let asked = Instant::now();
        let mut probed = self.0.probed.lock().await;
        let known = probed.as_ref().filter(|(at, _)| *at + PROBE_SERVES > asked);
        if let Some((_, outcome)) = known {
            return outcome.as_ref().map_or(Ok(()), |why| Err(lost(why)));
        }
        let asking = async {
            let mut connection = self.connect().await?;
            sqlx::Connection::ping(&mut connection).await
        };
        let outcome = timeout(PROBE, asking).await.unwrap_or_else(|_| Err(silent(PROBE)));
        // An error from the server is an answer: it can be reached.
        let outcome = outcome.or_else(|error| if error.as_database_error().is_some() { Ok(()) } else { Err(error) });
        let outcome = outcome.map_err(|error| self.placed(error));
        *probed = Some((Instant::now(), outcome.as_ref().err().map(ToString::to_string)));
        if let Err(error) = &outcome {
            self.expire();
            self.is_away(error);
        }
        outcome
    }

    /// Evaluates what an error of a statement means for the connections that are open.
    pub fn observe(&self, error: &sqlx::Error) {
        if breaks_all(error) {
            self.expire();
        }
        if has_code(error, |code| code == DISK_FULL) {
            *self.0.full_at.lock() = Some(Instant::now());
        }
    }

    /// How long ago a statement last failed because the disk was full, if one did.
    pub fn since_full(&self) -> Option<Duration> {
        self.0.full_at.lock().map(|at| at.elapsed())
    }

    /// Invalidates all connections that are open now.
    pub fn expire(&self) {
        self.0.stale_before.send_replace(Instant::now());
    }

    pub fn is_stale(&self, opened: Instant) -> bool {
        opened <= *self.0.stale_before.borrow()
    }

    /// Resolves when connections that are open now are invalidated.
    pub fn expiry(&self) -> watch::Receiver<Instant> {
        let mut expiry = self.0.stale_before.subscribe();
        expiry.mark_unchanged();
        expiry
    }

    fn is_away(&self, error: &sqlx::Error) {
        let mut away_since = self.0.away_since.lock();
        if away_since.is_none() {
            *away_since = Some(Instant::now());
            tracing::warn!(database = %self, %error, "the database is away");
        }
    }

    fn is_back(&self) {
        if let Some(since) = self.0.away_since.lock().take() {
            let seconds = since.elapsed().as_secs_f64().round();
            tracing::info!(database = %self, away_seconds = seconds, "the database is back");
        }
    }

    /// Adds the database's address to an error.
    fn placed(&self, error: sqlx::Error) -> sqlx::Error {
        match error {
            sqlx::Error::Io(error) => io::Error::new(error.kind(), format!("{self}: {error}")).into(),
            sqlx::Error::Tls(error) => sqlx::Error::Tls(format!("{self}: {error}").into()),
            other => other,
        }
    }
}

/// The database's address, without user and password.
impl fmt::Display for DatabaseLink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.0.options;
        match options.get_socket() {
            Some(socket) => write!(formatter, "PostgreSQL at {} (port {})", socket.display(), options.get_port()),
            None => write!(formatter, "PostgreSQL at {}:{}", options.get_host(), options.get_port()),
        }
    }
}

impl fmt::Debug for DatabaseLink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Link({self})")
    }
}

fn silent(time: Duration) -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer for {} s", time.as_secs())).into()
}

fn lost(why: &str) -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, why.to_owned()).into()
}

/// Whether an error may be about TLS: a failed handshake, or a server that only accepts connections with
/// it, or without.
fn is_of_encryption(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => error.kind() == io::ErrorKind::InvalidData,
        _ => has_code(error, |code| code == "28000"),
    }
}

/// Whether an error means that other connections are broken too: the server has stopped, or has become
/// read-only.
fn breaks_all(error: &sqlx::Error) -> bool {
    match error {
        // A statement that was given up has been probed already.
        sqlx::Error::Io(error) => error.kind() != io::ErrorKind::TimedOut,
        sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => true,
        _ => has_code(error, |code| code == "25006" || code.starts_with("08") || code.starts_with("57P")),
    }
}

fn has_code(error: &sqlx::Error, is: impl FnOnce(&str) -> bool) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| is(&code))
}

/// Whether the connection on which an error occurred is in doubt.
pub(super) fn breaks_connection(error: &sqlx::Error) -> bool {
    breaks_all(error) || matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_))
}
