//! The embedded PostgreSQL, used when no `DATABASE_URL` is set.
//!
//! `relive` then starts a real PostgreSQL under its data directory, and stops it when it ends: the same
//! engine, the same SQL and the same guarantees as with an external database. It listens on a Unix socket in a
//! private directory, never on a TCP port.
//!
//! The steps of [`Cluster::start`]:
//!
//! - `binaries`: find PostgreSQL's programs, with pgvector;
//! - `account`: choose the user they run as, for PostgreSQL refuses to run as root;
//! - `layout`: create and lock the directories; `relocate` chooses others if that user cannot access them;
//! - `initdb`: create the database cluster if there is none;
//! - `postmaster`: stop a server that an earlier process left running;
//! - `watchdog`: start the server so that it cannot outlive relive; `log` is its log file;
//! - `supervisor`: restart it whenever it ends.

mod account;
mod binaries;
mod error;
mod initdb;
mod layout;
mod log;
mod postmaster;
mod relocate;
mod supervisor;
mod watchdog;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, spawn_blocking},
    time::{sleep, timeout},
};
use tracing::info;

use binaries::Binaries;
use layout::{DataLayout, Lock, PORT};
use log::ServerLog;
use supervisor::Supervisor;
use watchdog::Watchdog;

pub(super) use binaries::{client_directories, major_version};
pub use error::ClusterError;
use error::IoContext;

/// The database relive's tables are in.
const DATABASE: &str = "relive";

/// How long a start may take. Recovery after a crash replays up to `max_wal_size` of changes.
const READY_WITHIN: Duration = Duration::from_mins(5);
const READY_POLL: Duration = Duration::from_millis(25);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Options of the cluster.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Created if missing. The database cluster is in `postgres` below it, or linked from there.
    pub data_dir: PathBuf,
    /// The directory of PostgreSQL's programs; `None`: the first usable one of the well-known directories.
    pub postgres_bin: Option<PathBuf>,
    /// Whether commits survive a crash of the machine; a crash of the server they always survive. False is
    /// for clusters that are thrown away anyway, such as a test's: they start faster, take less memory and
    /// never wait for the disk.
    pub durable: bool,
}

/// A running PostgreSQL. It is restarted whenever it ends, until [`stop`](Self::stop). When the handle is
/// dropped, or the process killed, it is shut down too, without anyone waiting for it.
#[derive(Debug)]
pub struct Cluster {
    plan: Arc<Plan>,
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<Result<(), ClusterError>>,
}

/// What every start of the postmaster needs, the first as well as later ones.
#[derive(Debug)]
struct Plan {
    binaries: Binaries,
    layout: DataLayout,
    log: ServerLog,
    durable: bool,
}

impl Cluster {
    /// Starts PostgreSQL, creating a database cluster if there is none, and returns when it accepts
    /// connections and has relive's database.
    pub async fn start(options: ClusterOptions) -> Result<Self, ClusterError> {
        let (plan, locks) = spawn_blocking(move || Plan::prepare(&options))
            .await
            .context(|| "prepare PostgreSQL's data directory")??;
        let plan = Arc::new(plan);
        let mut watchdog = Watchdog::start(&plan).await?;
        if let Err(why) = plan.make_ready(&mut watchdog).await {
            // The first error is more useful than those of the cleanup.
            let _ = watchdog.end(&plan.layout.pgdata).await;
            return Err(why);
        }
        info!(pgdata = %plan.layout.pgdata.display(), "PostgreSQL is ready");

        let (stop, stopped) = oneshot::channel();
        let supervisor = Supervisor { plan: plan.clone(), stop: stopped, _locks: locks };
        Ok(Self { plan, stop, supervisor: tokio::spawn(supervisor.run(watchdog)) })
    }

    /// How to connect to relive's database, as its superuser. Stays valid across restarts.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.plan.connect_options(DATABASE)
    }

    /// How to connect to the PostgreSQL that another relive runs on this data directory; `None` if none does, or it
    /// runs under a user whose processes this one cannot see.
    pub fn running(data_dir: &Path) -> Option<PgConnectOptions> {
        let pgdata = std::fs::canonicalize(data_dir.join("postgres")).ok()?;
        let sockets = postmaster::sockets(&pgdata)?;
        Some(connect_options(&sockets, DATABASE))
    }

    /// Whether a data directory has been used: it has a database, or a relive that makes one.
    #[must_use]
    pub fn exists(data_dir: &Path) -> bool {
        ["lock", "postgres"].iter().any(|name| std::fs::symlink_metadata(data_dir.join(name)).is_ok())
    }

    /// The directory of PostgreSQL's programs that would be used, and their major version.
    ///
    /// # Errors
    ///
    /// If there are none that can be used.
    pub fn programs(postgres_bin: Option<&Path>) -> Result<(PathBuf, u32), ClusterError> {
        Binaries::find(postgres_bin).map(|found| (found.dir, found.major))
    }

    /// The server's process, if it is running.
    pub fn postmaster_pid(&self) -> Option<u32> {
        postmaster::running(&self.plan.layout.pgdata)?.as_raw().try_into().ok()
    }

    /// The directory of PostgreSQL's programs, as they are run.
    pub fn binaries(&self) -> &Path {
        &self.plan.binaries.dir
    }

    /// Disconnects all clients, shuts the server down and waits until it has ended.
    pub async fn stop(self) -> Result<(), ClusterError> {
        // An error only means that the supervisor has ended, which its own result explains.
        let _ = self.stop.send(());
        self.supervisor.await.context(|| "stop PostgreSQL")?
    }
}

impl Plan {
    /// The part of a start that works on files and runs short programs; it blocks.
    fn prepare(options: &ClusterOptions) -> Result<(Self, [Lock; 2]), ClusterError> {
        let found = Binaries::find(options.postgres_bin.as_deref())?;
        let (layout, lock) = DataLayout::prepare(&options.data_dir)?;
        let binaries = relocate::reachable_binaries(found, &layout.account)?;
        initdb::initialise(&layout.pgdata, &binaries, &layout.account, options.durable)?;
        let locks = [lock, Lock::cluster(&layout.pgdata)?];
        let log = ServerLog::new(layout.log.clone());
        Ok((Self { binaries, layout, log, durable: options.durable }, locks))
    }

    fn connect_options(&self, database: &str) -> PgConnectOptions {
        connect_options(&self.layout.sockets, database)
    }

    /// Waits until the server accepts connections, then makes sure that the database exists.
    async fn make_ready(&self, watchdog: &mut Watchdog) -> Result<(), ClusterError> {
        let mut connection = tokio::select! {
            biased;
            connected = timeout(READY_WITHIN, self.connect()) => connected.map_err(|_| {
                let (log, tail) = (self.log.path().to_owned(), self.log.tail(watchdog.log_start));
                ClusterError::NotReady { seconds: READY_WITHIN.as_secs(), log, tail }
            })?,
            ended = watchdog.ended() => return Err(ClusterError::Ended {
                status: ended?.to_string(),
                log: self.log.path().to_owned(),
                tail: self.log.tail(watchdog.log_start),
            }),
        };
        ensure_database(&mut connection)
            .await
            .map_err(|source| ClusterError::Database { action: "create relive's database", source })?;
        // An error on closing does not matter: the server has just answered.
        let _ = connection.close().await;
        Ok(())
    }

    /// Connects, with retries: there may be no socket yet, or the server recovers or shuts down.
    async fn connect(&self) -> PgConnection {
        let options = self.connect_options("postgres");
        loop {
            if let Ok(Ok(connection)) = timeout(CONNECT_WITHIN, options.connect()).await {
                return connection;
            }
            sleep(READY_POLL).await;
        }
    }
}

fn connect_options(sockets: &Path, database: &str) -> PgConnectOptions {
    // Not `new`, which would look for a password file; and everything that the environment may set for
    // other databases is set here.
    PgConnectOptions::new_without_pgpass()
        .socket(sockets)
        .port(PORT)
        .username(initdb::SUPERUSER)
        .database(database)
        .ssl_mode(PgSslMode::Disable)
        .application_name("relive")
}

async fn ensure_database(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let found: Option<i32> = sqlx::query_scalar("SELECT 1 FROM pg_database WHERE datname = $1")
        .bind(DATABASE)
        .fetch_optional(&mut *connection)
        .await?;
    if found.is_none() {
        sqlx::query("CREATE DATABASE relive").execute(connection).await?;
    }
    Ok(())
}
