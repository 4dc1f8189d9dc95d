//! Indexes that the server keeps, rather than a migration: those that depend on a setting, and those over large
//! tables, which a migration would lock for minutes.
//!
//! If a table has few rows, its indexes are built together with the schema. Otherwise each is built concurrently
//! (`CONCURRENTLY`) under another name, and replaces the old one when it is complete.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::StorageError;

/// The name of an index until it is complete.
const BUILT: &str = "_next";
/// Building has no time limit. Exchanging two indexes waits for a lock no longer than this, since all other
/// statements would queue behind it.
pub(super) const SETTINGS: &str =
    "SET statement_timeout = 0; SET lock_timeout = '2s'; SET client_min_messages = warning";

/// An index by its name; what it must be.
pub(super) struct Index {
    pub table: &'static str,
    pub name: &'static str,
    /// The part of its definition after `ON table`; `None`: there must be none.
    pub definition: Option<String>,
    /// A part of the definition as PostgreSQL prints it, which distinguishes a current index from one of another
    /// setting, or of an earlier version.
    pub mark: String,
}

/// The indexes that are not as they must be. One that was left invalid counts as missing.
pub(super) async fn outdated(connection: &mut PgConnection, wanted: Vec<Index>) -> Result<Vec<Index>, StorageError> {
    let names: Vec<&str> = wanted.iter().map(|index| index.name).collect();
    let held: Vec<(String, String, bool)> = sqlx::query_as(
        "SELECT i.relname::text, pg_get_indexdef(i.oid), x.indisvalid FROM pg_index x
         JOIN pg_class i ON i.oid = x.indexrelid
         WHERE i.relname = ANY($1) AND x.indrelid IN ('memories'::regclass, 'sessions'::regclass)",
    )
    .bind(names)
    .fetch_all(connection)
    .await?;
    let is_outdated = |index: &Index| {
        let held = held.iter().find(|(held, ..)| held == index.name);
        match (&index.definition, held) {
            (None, None) => false,
            (Some(_), Some((_, definition, is_valid))) => !is_valid || !definition.contains(&index.mark),
            _ => true,
        }
    };
    Ok(wanted.into_iter().filter(is_outdated).collect())
}

/// Builds an index at once, in the caller's transaction. It locks the table.
pub(super) async fn build_at_once(connection: &mut PgConnection, index: &Index) -> Result<(), StorageError> {
    let Index { table, name, definition, .. } = index;
    let create = definition.as_ref().map(|definition| format!("CREATE INDEX {name} ON {table} {definition};"));
    let sql = format!("DROP INDEX IF EXISTS {name}{BUILT}, {name}; {}", create.unwrap_or_default());
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

/// Builds an index while the table is used, on a connection with [`SETTINGS`].
pub(super) async fn build_concurrently(connection: &mut PgConnection, index: &Index) -> Result<(), StorageError> {
    let Index { table, name, definition, .. } = index;
    // An index that an interrupted build has left behind is invalid.
    let mut statements = vec![format!("DROP INDEX CONCURRENTLY IF EXISTS {name}{BUILT}")];
    if let Some(definition) = definition {
        statements.push("SET lock_timeout = 0".to_owned());
        statements.push(format!("CREATE INDEX CONCURRENTLY {name}{BUILT} ON {table} {definition}"));
        statements.push("SET lock_timeout = '2s'".to_owned());
        // In one message, which is one transaction: readers see the one or the other.
        statements.push(format!("DROP INDEX IF EXISTS {name}; ALTER INDEX {name}{BUILT} RENAME TO {name}"));
    } else {
        statements.push(format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"));
    }
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await?;
    }
    Ok(())
}
