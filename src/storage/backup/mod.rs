//! Backups: a whole database as one file, while servers write, and back.
//!
//! The file is a tar archive with two members: `relive.dump`, which is `pg_dump`'s custom format and can be restored
//! without this program, and `manifest.json` ([`Manifest`]), which says what is in it. Both are of one snapshot of the
//! database. The file has its name only once it is whole and on the disk.

mod client;
mod count;
mod file;
mod restore;
mod verify;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;

pub use client::{ClientPrograms, Target};
use count::Counts;
pub use restore::IfUsed;
pub use verify::verify;

use super::diagnosis::schema_state;
use super::{Storage, StorageError};

/// The version of the file's form.
const FORMAT: u32 = 1;
/// The members of the archive.
const DUMP: &str = "relive.dump";
const MANIFEST: &str = "manifest.json";
/// No limit for statements, nor for the transaction that holds the snapshot while the database is dumped.
const UNLIMITED: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
    SET lock_timeout = '30s'; SET client_min_messages = warning";

/// What is in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub format: u32,
    /// The version of the program that made it.
    pub relive: String,
    /// When the snapshot was taken.
    pub made_at: String,
    /// The newest migration of the database.
    pub schema_version: i64,
    pub postgres: String,
    pub vector: String,
    /// The PostgreSQL schema with the tables, and that of pgvector.
    pub schema: String,
    pub vector_schema: String,
    /// Rows by table.
    pub rows: BTreeMap<String, i64>,
    /// Of every event with its revision, whatever their order.
    pub journal_checksum: String,
    pub dump_bytes: u64,
    pub dump_sha256: String,
}

impl Manifest {
    #[must_use]
    pub fn sessions(&self) -> i64 {
        self.rows.get("sessions").copied().unwrap_or_default()
    }

    #[must_use]
    pub fn events(&self) -> i64 {
        self.rows.get("session_events").copied().unwrap_or_default()
    }
}

/// Why a backup could not be made, checked or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("cannot {action} {}: {error}", path.display())]
    File { action: &'static str, path: PathBuf, error: std::io::Error },
    #[error("{} is not a backup of relive: {why}", path.display())]
    NotABackup { path: PathBuf, why: String },
    #[error("{} is damaged: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
    #[error(
        "there is no {program} of PostgreSQL {needed} or newer; install PostgreSQL's client programs (Debian and Ubuntu: \
         postgresql-client-{needed}), or name their directory with RELIVE_POSTGRES_BIN"
    )]
    NoProgram { program: &'static str, needed: u32 },
    #[error("cannot run {}: {error}", program.display())]
    Run { program: PathBuf, error: std::io::Error },
    #[error("{program} failed: {said}")]
    Failed { program: &'static str, said: String },
    #[error("no relive has prepared the database yet: there is nothing to back up")]
    Unprepared,
    #[error(
        "the backup has the schema {backup}, and this relive knows {known} at most; use the relive that made it, or a newer one"
    )]
    Newer { backup: i64, known: i64 },
    #[error(
        "the database is not empty ({sessions} sessions; {tables} tables, views and sequences); restore into an empty one, or say --replace to \
         remove what it has"
    )]
    NotEmpty { tables: i64, sessions: i64 },
    #[error(
        "the database has the schema {database}, which is newer than that of the backup, {backup}; restore into an empty \
         database"
    )]
    OlderThanDatabase { database: i64, backup: i64 },
    #[error("a server is running on the database; stop it first")]
    InUse,
    #[error(
        "the tables of the backup are in the schema {backup}, those of this database are to be in {database}; set the search_path of the role"
    )]
    OtherSchema { backup: String, database: String },
    #[error("after the restore the database does not have what the backup has: {0}")]
    Different(String),
}

/// A transaction that sees the database as it was at one moment, and lets `pg_dump` see the same.
struct Snapshot {
    connection: PgConnection,
    id: String,
}

impl Storage {
    /// Writes everything that is in the database into a file, whatever servers do meanwhile.
    ///
    /// # Errors
    ///
    /// If the database does not answer, `pg_dump` is missing or fails, or the file cannot be written. There is no file
    /// then, or the one that was there before.
    pub async fn back_up(
        &self,
        target: &Target,
        programs: &ClientPrograms,
        path: &Path,
    ) -> Result<Manifest, BackupError> {
        let mut snapshot = self.snapshot().await?;
        let about = about(&mut snapshot.connection).await?;
        let program = programs.find("pg_dump", about.postgres_major)?;
        let mut file = file::BackupWriter::create(path).await?;
        let dumping = client::dump(&program, target, &about.schema, &snapshot.id, &mut file);
        let counting = async { count::count(&mut snapshot.connection, &about.schema).await.map_err(BackupError::from) };
        // Both see the same snapshot. If one fails, the other is given up.
        let (written, counts) = futures_util::future::try_join(dumping, counting).await?;
        let Counts { rows, journal_checksum } = counts;
        let manifest = Manifest {
            format: FORMAT,
            relive: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: about.now,
            schema_version: about.schema_version,
            postgres: about.postgres,
            vector: about.vector,
            schema: about.schema,
            vector_schema: about.vector_schema,
            rows,
            journal_checksum,
            dump_bytes: written.bytes,
            dump_sha256: written.sha256,
        };
        file.finish(&manifest).await?;
        // Nothing was changed: closing is enough, and an error of it says nothing.
        let _ = sqlx::Connection::close(snapshot.connection).await;
        Ok(manifest)
    }

    async fn snapshot(&self) -> Result<Snapshot, BackupError> {
        let mut connection = self.pool.link().open(UNLIMITED).await.map_err(StorageError::from)?.connection;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        sqlx::raw_sql(begin).execute(&mut connection).await.map_err(StorageError::from)?;
        let sql = "SELECT pg_export_snapshot()";
        let id = sqlx::query_scalar(sql).fetch_one(&mut connection).await.map_err(StorageError::from)?;
        Ok(Snapshot { connection, id })
    }
}

/// What the manifest says beside counts.
struct About {
    now: String,
    postgres: String,
    postgres_major: u32,
    vector: String,
    vector_schema: String,
    schema: String,
    schema_version: i64,
}

async fn about(connection: &mut PgConnection) -> Result<About, BackupError> {
    type Row = (i32, String, String, Option<String>, Option<String>, Option<String>);
    const SQL: &str = "SELECT current_setting('server_version_num')::integer, current_setting('server_version'),
        to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), current_schema()::text, extversion, nspname::text
        FROM (VALUES (1)) AS one LEFT JOIN pg_extension ON extname = 'vector'
        LEFT JOIN pg_namespace AS n ON n.oid = extnamespace";
    let row: Row = sqlx::query_as(SQL).fetch_one(&mut *connection).await.map_err(StorageError::from)?;
    let (version, postgres, now, schema, vector, vector_schema) = row;
    let applied = schema_state(connection).await?.applied;
    let (Some(schema), Some(vector), Some(vector_schema), Some(schema_version)) =
        (schema, vector, vector_schema, applied)
    else {
        return Err(BackupError::Unprepared);
    };
    let postgres_major = version.unsigned_abs() / 10_000;
    Ok(About { now, postgres, postgres_major, vector, vector_schema, schema, schema_version })
}
