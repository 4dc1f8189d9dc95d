//! Locks on the tables that migrations change.
//!
//! Each change of a table takes a lock that stops everybody. Taken one after the other, these locks meet those of
//! writers that take them in another order, which is a deadlock; or one of them waits for a long query while writers
//! wait for those that are held. So all of them are taken before the first change, within half a second or not at all.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::storage::{MIGRATOR, StorageError};

/// How long it is tried. Whoever has the tables may be at something long, such as a backup.
const TRIED: Duration = Duration::from_secs(30);
/// The pause between two attempts, in which others go on.
const PAUSE: Duration = Duration::from_millis(200);

/// Locks the tables that the migrations left to do may change, until the end of the transaction.
///
/// # Errors
///
/// [`StorageError::Cancelled`] if others have had them for too long.
pub(super) async fn lock(transaction: &mut PgConnection) -> Result<(), StorageError> {
    let tables = changed(transaction).await?;
    if tables.is_empty() {
        return Ok(());
    }
    let statement = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", tables.join(", "));
    let began = Instant::now();
    sqlx::query("SET LOCAL statement_timeout = '500ms'").execute(&mut *transaction).await?;
    loop {
        let mut attempt = transaction.begin().await?;
        let outcome = sqlx::query(AssertSqlSafe(statement.clone())).execute(&mut *attempt).await;
        match outcome.map_err(StorageError::from) {
            Ok(_) => {
                attempt.commit().await?;
                break;
            }
            Err(StorageError::Cancelled) if began.elapsed() < TRIED => attempt.rollback().await?,
            Err(error) => return Err(error),
        }
        tokio::time::sleep(PAUSE).await;
    }
    sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *transaction).await?;
    Ok(())
}

/// The tables that are named by migrations that were not carried out yet, quoted.
async fn changed(connection: &mut PgConnection) -> Result<Vec<String>, StorageError> {
    const IS_NEW: &str = "SELECT to_regclass('_sqlx_migrations') IS NULL";
    const APPLIED: &str = "SELECT version FROM _sqlx_migrations";
    const TABLES: &str = "SELECT quote_ident(relname) FROM pg_class
        WHERE relkind = 'r' AND relname = ANY($1) AND relnamespace =
            (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('_sqlx_migrations'))
        ORDER BY relname";
    if sqlx::query_scalar(IS_NEW).fetch_one(&mut *connection).await? {
        return Ok(Vec::new());
    }
    let applied: Vec<i64> = sqlx::query_scalar(APPLIED).fetch_all(&mut *connection).await?;
    let left = MIGRATOR
        .iter()
        .filter(|migration| !migration.migration_type.is_down_migration() && !applied.contains(&migration.version));
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut words: Vec<&str> = left.flat_map(|migration| migration.sql.as_str().split(move |c| !is_word(c))).collect();
    words.sort_unstable();
    words.dedup();
    Ok(sqlx::query_scalar(TABLES).bind(words).fetch_all(connection).await?)
}
