//! A database for a command that works on it directly, whether a server runs on it or not.

use super::{ServeError, check_scheme};
use crate::config::DatabaseConfig;
use crate::storage::cluster::{Cluster, ClusterOptions};
use crate::storage::{Storage, connect_options};

/// Connections of a command.
const CONNECTIONS: u32 = 2;

/// An open database, with the PostgreSQL that was started for it if none was running.
#[derive(Debug)]
pub struct ToolDatabase {
    pub storage: Storage,
    cluster: Option<Cluster>,
}

impl ToolDatabase {
    /// Opens the database of these settings, and prepares it if it is new. The embedded PostgreSQL is used as it
    /// is while a server runs it, and started otherwise.
    ///
    /// # Errors
    ///
    /// If it cannot be started, does not answer, or does not meet the requirements.
    pub async fn open(config: &DatabaseConfig) -> Result<Self, ServeError> {
        let (options, cluster) = match &config.database_url {
            Some(url) => {
                check_scheme(url)?;
                (connect_options(url).map_err(ServeError::DatabaseUrl)?, None)
            }
            None => {
                if let Some(options) = Cluster::running(&config.data_dir) {
                    (options, None)
                } else {
                    let options = ClusterOptions {
                        data_dir: config.data_dir.clone(),
                        postgres_bin: config.postgres_bin.clone(),
                        durable: true,
                    };
                    let cluster = Cluster::start(options).await?;
                    (cluster.connect_options(), Some(cluster))
                }
            }
        };
        let opened = Self { storage: Storage::new(options, CONNECTIONS), cluster };
        match opened.storage.migrate_if_new(config.embedding_dim).await {
            Ok(()) => Ok(opened),
            Err(error) => {
                // The first error is the one that helps.
                let _ = opened.close().await;
                Err(error.into())
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
