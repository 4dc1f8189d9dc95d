//! A database for a command that works on it directly, whether a server runs on it or not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::time::{Instant, sleep};

use super::{ServeError, check_scheme};
use crate::config::DatabaseConfig;
use crate::storage::cluster::{Cluster, ClusterError, ClusterOptions};
use crate::storage::{Storage, StorageError, Target, connect_options};

/// Connections of a command.
const CONNECTIONS: u32 = 2;
/// How long a server that is starting, or another command, is waited for.
const OTHERS: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// An open database, with the PostgreSQL that was started for it if none was running.
#[derive(Debug)]
pub struct ToolDatabase {
    pub storage: Storage,
    /// As PostgreSQL's own programs are told of it.
    pub target: Target,
    cluster: Option<Cluster>,
}

/// Whether a database may be made where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    Make,
    Refuse,
}

impl ToolDatabase {
    /// Opens the database of these settings, and prepares it if it is new. The embedded PostgreSQL is used as it
    /// is while a server runs it, and started otherwise; a server that is starting is waited for.
    ///
    /// # Errors
    ///
    /// If it cannot be started, does not answer, does not meet the requirements, or is missing.
    pub async fn open(config: &DatabaseConfig, missing: IfMissing) -> Result<Self, ServeError> {
        let mut others = Others::new(config);
        let opened = Self::connected(config, missing, &mut others).await?;
        // What another relive is about to prepare gets the dimension that it is set to.
        let is_of_others = config.database_url.is_none() && opened.cluster.is_none();
        let dimension = (!is_of_others).then_some(config.embedding_dim);
        match opened.prepare(dimension, is_of_others.then_some(&mut others)).await {
            Ok(()) => Ok(opened),
            Err(error) => {
                // The first error is the one that helps.
                let _ = opened.close().await;
                Err(error)
            }
        }
    }

    /// As [`ToolDatabase::open`], and leaves the database as it is, new or not.
    ///
    /// # Errors
    ///
    /// If the embedded PostgreSQL cannot be started, or is missing.
    pub async fn connect(config: &DatabaseConfig, missing: IfMissing) -> Result<Self, ServeError> {
        Self::connected(config, missing, &mut Others::new(config)).await
    }

    async fn connected(
        config: &DatabaseConfig,
        missing: IfMissing,
        others: &mut Others<'_>,
    ) -> Result<Self, ServeError> {
        let (options, cluster, target) = if let Some(url) = &config.database_url {
            check_scheme(url)?;
            let options = connect_options(url).map_err(ServeError::DatabaseUrl)?;
            let target = Target::of_url(url).ok_or_else(|| ServeError::NotPostgres("it is no address".to_owned()))?;
            (options, None, target)
        } else {
            let (options, cluster) = embedded(config, missing, others).await?;
            let target = Target::of_socket(
                options.get_socket().map_or(Path::new(""), PathBuf::as_path),
                options.get_port(),
                options.get_username(),
                options.get_database().unwrap_or_default(),
            );
            (options, cluster, target)
        };
        Ok(Self { storage: Storage::new(options, CONNECTIONS), target, cluster })
    }

    async fn prepare(&self, dimension: Option<u32>, mut others: Option<&mut Others<'_>>) -> Result<(), ServeError> {
        loop {
            let outcome = self.storage.migrate_if_new(dimension).await;
            match (outcome, others.as_deref_mut()) {
                (Ok(true), _) => return Ok(()),
                (Err(error), Some(others)) if is_starting(&error) => others.wait().await?,
                (Ok(false), Some(others)) => others.wait().await?,
                (Err(error), _) => return Err(error.into()),
                (Ok(false), None) => return Err(ServeError::NotPrepared),
            }
        }
    }

    /// Closes it, and stops the PostgreSQL that was started for it.
    ///
    /// # Errors
    ///
    /// If that does not stop.
    pub async fn close(self) -> Result<(), ServeError> {
        self.storage.close().await;
        match self.cluster {
            Some(cluster) => Ok(cluster.stop().await?),
            None => Ok(()),
        }
    }
}

/// The PostgreSQL of the data directory: that of another relive, or one that is started.
async fn embedded(
    config: &DatabaseConfig,
    missing: IfMissing,
    others: &mut Others<'_>,
) -> Result<(PgConnectOptions, Option<Cluster>), ServeError> {
    if missing == IfMissing::Refuse && !Cluster::exists(&config.data_dir) {
        return Err(ServeError::NoDatabase(config.data_dir.clone()));
    }
    loop {
        if let Some(options) = Cluster::running(&config.data_dir) {
            return Ok((options, None));
        }
        let options = ClusterOptions {
            data_dir: config.data_dir.clone(),
            postgres_bin: config.postgres_bin.clone(),
            durable: true,
        };
        match Cluster::start(options).await {
            Ok(cluster) => return Ok((cluster.connect_options(), Some(cluster))),
            Err(ClusterError::InUse { .. }) => others.wait().await?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Its PostgreSQL does not take connections yet, or has no database yet.
fn is_starting(error: &StorageError) -> bool {
    error.is_worth_waiting() || matches!(error, StorageError::Unavailable(_))
}

/// Waits for another relive on the same data directory.
struct Others<'a> {
    config: &'a DatabaseConfig,
    deadline: Instant,
    is_told: bool,
}

impl<'a> Others<'a> {
    fn new(config: &'a DatabaseConfig) -> Self {
        Self { config, deadline: Instant::now() + OTHERS, is_told: false }
    }

    async fn wait(&mut self) -> Result<(), ServeError> {
        let dir = &self.config.data_dir;
        if Instant::now() >= self.deadline {
            return Err(ServeError::NotReady { dir: dir.clone(), seconds: OTHERS.as_secs() });
        }
        if !std::mem::replace(&mut self.is_told, true) {
            eprintln!("relive: another relive is starting or stopping on {}; waiting for it", dir.display());
        }
        sleep(LOOK_AGAIN).await;
        Ok(())
    }
}
