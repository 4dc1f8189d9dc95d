//! Counts everything in a database, and the checksum of its journal.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use crate::storage::StorageError;

/// What two databases with the same contents have in common.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// By table.
    pub rows: BTreeMap<String, i64>,
    pub journal_checksum: String,
}

const TABLES: &str = "SELECT relname::text, format('SELECT count(*) FROM %I.%I', nspname, relname)
    FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
    WHERE nspname = $1 AND relkind = 'r'
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND classid = 'pg_class'::regclass AND deptype = 'e')
    ORDER BY 1";
/// The sum of 64 bits of each event's hash: it depends on every byte of the journal, and not on the order of its rows.
const JOURNAL: &str = "SELECT coalesce(sum(('x' || left(encode(sha256(convert_to(
        concat_ws(' ', session_id, revision, extract(epoch FROM at), actor, event), 'UTF8')), 'hex'), 16))::bit(64)::bigint), 0)::text
    FROM session_events";
/// Before its migration, an event had no actor.
const JOURNAL_BEFORE_ACTORS: &str = "SELECT coalesce(sum(('x' || left(encode(sha256(convert_to(
        concat_ws(' ', session_id, revision, extract(epoch FROM at), event), 'UTF8')), 'hex'), 16))::bit(64)::bigint), 0)::text
    FROM session_events";
const HAS_ACTORS: &str = "SELECT EXISTS (SELECT FROM pg_attribute
    WHERE attrelid = 'session_events'::regclass AND attname = 'actor' AND NOT attisdropped)";

/// Counts the rows of every table of a schema, in the transaction of this connection.
pub(super) async fn count(connection: &mut PgConnection, schema: &str) -> Result<Counts, StorageError> {
    let tables: Vec<(String, String)> = sqlx::query_as(TABLES).bind(schema).fetch_all(&mut *connection).await?;
    let mut rows = BTreeMap::new();
    for (table, sql) in tables {
        let counted: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *connection).await?;
        rows.insert(table, counted);
    }
    let has_actors: bool = sqlx::query_scalar(HAS_ACTORS).fetch_one(&mut *connection).await?;
    let sql = if has_actors { JOURNAL } else { JOURNAL_BEFORE_ACTORS };
    let journal_checksum = sqlx::query_scalar(sql).fetch_one(connection).await?;
    Ok(Counts { rows, journal_checksum })
}
