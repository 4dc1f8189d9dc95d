//! What a database says about itself, for people. Nothing is changed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::link::ACQUIRE;
use super::setup::{self, SetupError};
use super::{MIGRATOR, Storage, StorageError};

/// A database, as the first lines of the log name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseDescription {
    /// Where it is, without user and password.
    pub place: String,
    /// That of PostgreSQL.
    pub version: String,
    /// That of pgvector, if it is installed in this database.
    pub vector: Option<String>,
}

/// How far the schema of a database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaState {
    /// The newest migration that it has; `None` if it has none.
    pub applied: Option<i64>,
    /// One that was begun and not completed.
    pub incomplete: Option<i64>,
    /// The newest one that this program has.
    pub newest: i64,
}

/// Connections of a PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionUse {
    /// Those that ordinary roles may have together.
    pub allowed: i64,
    pub in_use: i64,
}

/// What was found on a database.
#[derive(Debug)]
pub struct Diagnosis {
    pub database: DatabaseDescription,
    pub role: String,
    /// A requirement that it does not meet.
    pub unmet: Option<SetupError>,
    pub schema: SchemaState,
    /// Tables that the role may not read and write.
    pub closed_tables: Vec<String>,
    pub connections: ConnectionUse,
    /// Statements of one connection may be carried out by different processes: a pooler in transaction mode.
    pub is_pooled: bool,
    /// Bytes.
    pub size: i64,
    /// By how much its clock is ahead of ours, in seconds, within half of `round_trip`.
    pub clock_ahead: f64,
    pub round_trip: Duration,
}

const DESCRIBE: &str = "SELECT current_setting('server_version') AS version, current_user::text AS role,
    (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS vector,
    pg_database_size(current_database()) AS size,
    current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint AS allowed,
    (SELECT coalesce(sum(numbackends), 0)::bigint FROM pg_stat_database) AS in_use";
const CLOCK: &str = "SELECT extract(epoch FROM clock_timestamp())::double precision";
const CLOSED: &str = "SELECT relname::text FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND NOT (
        has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
        AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))
    ORDER BY 1";

impl Storage {
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn describe(&self) -> Result<DatabaseDescription, StorageError> {
        let row = sqlx::query(DESCRIBE).fetch_one(&self.pool).await?;
        Ok(DatabaseDescription {
            place: self.pool.link().to_string(),
            version: row.try_get("version")?,
            vector: row.try_get("vector")?,
        })
    }

    /// Looks at everything that a server needs of its database.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn diagnose(&self) -> Result<Diagnosis, StorageError> {
        let link = self.pool.link();
        let mut connection = link.open("").await?.connection;
        let found = link.watched(ACQUIRE * 5, async { Ok(self.examine(&mut connection).await) }).await?;
        // An error on closing says nothing: the database has just answered.
        let _ = sqlx::Connection::close(connection).await;
        found
    }

    async fn examine(&self, connection: &mut PgConnection) -> Result<Diagnosis, StorageError> {
        let row = sqlx::query(DESCRIBE).fetch_one(&mut *connection).await?;
        let unmet = match setup::check(connection).await {
            Ok(()) => None,
            Err(StorageError::Setup(unmet)) => Some(unmet),
            Err(error) => return Err(error),
        };
        let schema = schema_state(connection).await?;
        let closed_tables = match schema.applied {
            Some(_) => sqlx::query_scalar(CLOSED).fetch_all(&mut *connection).await?,
            None => Vec::new(),
        };
        let (clock_ahead, round_trip) = clock(connection).await?;
        let is_pooled = setup::is_pooled(self.pool.link()).await;
        Ok(Diagnosis {
            database: DatabaseDescription {
                place: self.pool.link().to_string(),
                version: row.try_get("version")?,
                vector: row.try_get("vector")?,
            },
            role: row.try_get("role")?,
            unmet,
            schema,
            closed_tables,
            connections: ConnectionUse { allowed: row.try_get("allowed")?, in_use: row.try_get("in_use")? },
            is_pooled,
            size: row.try_get("size")?,
            clock_ahead,
            round_trip,
        })
    }
}

/// The newest migration that this program has.
pub(super) fn newest_migration() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default()
}

pub(super) async fn schema_state(connection: &mut PgConnection) -> Result<SchemaState, StorageError> {
    let newest = newest_migration();
    let has_any = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    if !sqlx::query_scalar::<_, bool>(has_any).fetch_one(&mut *connection).await? {
        return Ok(SchemaState { applied: None, incomplete: None, newest });
    }
    let sql =
        "SELECT max(version) FILTER (WHERE success) AS applied, min(version) FILTER (WHERE NOT success) AS incomplete
               FROM _sqlx_migrations";
    let row = sqlx::query(sql).fetch_one(connection).await?;
    Ok(SchemaState { applied: row.try_get("applied")?, incomplete: row.try_get("incomplete")?, newest })
}

async fn clock(connection: &mut PgConnection) -> Result<(f64, Duration), StorageError> {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // The first one waits for the statement to be prepared.
    sqlx::query_scalar::<_, f64>(CLOCK).fetch_one(&mut *connection).await?;
    let (began, before) = (Instant::now(), now());
    let theirs: f64 = sqlx::query_scalar(CLOCK).fetch_one(connection).await?;
    let round_trip = began.elapsed();
    Ok((theirs - (before + round_trip / 2).as_secs_f64(), round_trip))
}
