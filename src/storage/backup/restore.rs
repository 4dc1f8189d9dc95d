//! Restores a backup into a database, and compares what is there then.

use std::path::Path;

use sqlx::postgres::PgConnection;

use super::client::{self, ClientPrograms, Target};
use super::count::{self, Counts};
use super::file::OpenBackup;
use super::{BackupError, Manifest, UNLIMITED, verify};
use crate::storage::diagnosis::{newest_migration, schema_state};
use crate::storage::{Storage, StorageError};

/// Whether what a database has may be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfUsed {
    Refuse,
    Replace,
}

/// Tables and sessions that are in the way.
const USED: &str = "SELECT count(*) FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND classid = 'pg_class'::regclass AND deptype = 'e')";
/// Servers hold a lock of this class, which names their dimension of embeddings.
const SERVERS: &str = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
    AND classid::bigint = $1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";

impl Storage {
    /// Restores a backup: all of it, or nothing. Afterwards rows and the journal's checksum are compared with those of
    /// the backup.
    ///
    /// # Errors
    ///
    /// If the backup is damaged or of a newer schema, the database is used, or not the same afterwards.
    pub async fn restore(
        &self,
        target: &Target,
        programs: &ClientPrograms,
        path: &Path,
        if_used: IfUsed,
    ) -> Result<Manifest, BackupError> {
        let backup = OpenBackup::open(path).await?;
        let manifest = backup.manifest.clone();
        let known = newest_migration();
        if manifest.schema_version > known {
            return Err(BackupError::Newer { backup: manifest.schema_version, known });
        }
        // Before anything is changed.
        backup.check().await?;
        let mut connection = self.pool.link().open(UNLIMITED).await.map_err(StorageError::from)?.connection;
        let replaces = prepare(&mut connection, &manifest, if_used).await?;
        let program = programs.find("pg_restore", verify::major(&manifest))?;
        client::restore(&program, target, &manifest.schema, replaces, &mut backup.dump().await?).await?;
        compare(&mut connection, &manifest).await?;
        let analyse = "ANALYZE";
        sqlx::raw_sql(analyse).execute(&mut connection).await.map_err(StorageError::from)?;
        let _ = sqlx::Connection::close(connection).await;
        Ok(manifest)
    }
}

/// Checks that the database may be restored into, and makes the extension. Whether something has to be removed.
async fn prepare(connection: &mut PgConnection, manifest: &Manifest, if_used: IfUsed) -> Result<bool, BackupError> {
    crate::storage::setup::check(connection).await?;
    let servers = crate::storage::setup::SERVER_LOCK;
    let is_served: bool = sqlx::query_scalar(SERVERS)
        .bind(i64::from(servers))
        .fetch_one(&mut *connection)
        .await
        .map_err(StorageError::from)?;
    if is_served {
        return Err(BackupError::InUse);
    }
    let schema: Option<String> = sqlx::query_scalar("SELECT current_schema()::text")
        .fetch_one(&mut *connection)
        .await
        .map_err(StorageError::from)?;
    let schema = schema.unwrap_or_default();
    if schema != manifest.schema {
        return Err(BackupError::OtherSchema { backup: manifest.schema.clone(), database: schema });
    }
    let tables: i64 = sqlx::query_scalar(USED).fetch_one(&mut *connection).await.map_err(StorageError::from)?;
    if tables > 0 {
        make_way(connection, manifest, if_used, tables).await?;
    }
    crate::storage::setup::make_extension(connection).await?;
    Ok(tables > 0)
}

async fn make_way(
    connection: &mut PgConnection,
    manifest: &Manifest,
    if_used: IfUsed,
    tables: i64,
) -> Result<(), BackupError> {
    let applied = schema_state(connection).await?.applied;
    if if_used == IfUsed::Refuse {
        let sessions = match applied {
            Some(_) => sqlx::query_scalar("SELECT count(*) FROM sessions")
                .fetch_one(&mut *connection)
                .await
                .map_err(StorageError::from)?,
            None => 0,
        };
        return Err(BackupError::NotEmpty { tables, sessions });
    }
    match applied {
        Some(database) if database > manifest.schema_version => {
            Err(BackupError::OlderThanDatabase { database, backup: manifest.schema_version })
        }
        _ => Ok(()),
    }
}

async fn compare(connection: &mut PgConnection, manifest: &Manifest) -> Result<(), BackupError> {
    let Counts { rows, journal_checksum } = count::count(connection, &manifest.schema).await?;
    for (table, expected) in &manifest.rows {
        let found = rows.get(table).copied().unwrap_or_default();
        if found != *expected {
            return Err(BackupError::Different(format!("{table} has {found} rows instead of {expected}")));
        }
    }
    if journal_checksum != manifest.journal_checksum {
        return Err(BackupError::Different("the checksum of the journal is another one".to_owned()));
    }
    Ok(())
}
