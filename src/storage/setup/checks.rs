//! Checks that a database meets the requirements. Nothing is changed, except that the extension is created.

use sqlx::postgres::PgConnection;
use sqlx::{Row as _, raw_sql};

use super::SetupError;
use crate::storage::StorageError;

/// The oldest PostgreSQL that is maintained and tested here.
const MAJOR: u32 = 14;
/// The oldest pgvector: iterative index scans.
const VECTOR: (u32, u32) = (0, 8);
const VECTOR_TEXT: &str = "0.8";

const QUERY: &str = "SELECT current_setting('server_version_num')::integer AS version,
    current_setting('server_version') AS version_text, current_setting('server_encoding') AS encoding,
    pg_is_in_recovery() AS is_standby, current_setting('transaction_read_only')::boolean AS is_read_only,
    (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS installed,
    (SELECT nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'vector')::text
        AS vector_schema,
    to_regtype('vector') IS NOT NULL AS is_in_sight,
    (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS available,
    to_regclass('_sqlx_migrations') IS NOT NULL AS has_tables, current_user::text AS role,
    current_schema()::text AS schema, coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create";

/// Checks all requirements.
pub(in crate::storage) async fn check(connection: &mut PgConnection) -> Result<(), StorageError> {
    let found = raw_sql(QUERY).fetch_one(connection).await?;
    let version: i32 = found.try_get("version")?;
    let major = version.unsigned_abs() / 10_000;
    if major < MAJOR {
        return Err(SetupError::TooOld { found: found.try_get("version_text")?, needed: MAJOR }.into());
    }
    let encoding: String = found.try_get("encoding")?;
    if encoding != "UTF8" {
        return Err(SetupError::Encoding(encoding).into());
    }
    if found.try_get("is_standby")? {
        return Err(SetupError::ReadOnly("it is a standby (in recovery); connect to the primary").into());
    }
    if found.try_get("is_read_only")? {
        return Err(SetupError::ReadOnly("default_transaction_read_only is on").into());
    }
    let role: String = found.try_get("role")?;
    let installed: Option<String> = found.try_get("installed")?;
    let available: Option<String> = found.try_get("available")?;
    let Some(vector) = installed.as_ref().or(available.as_ref()) else {
        return Err(SetupError::NoVector { major }.into());
    };
    if numbers(vector) < VECTOR {
        return Err(SetupError::VectorTooOld { found: vector.clone(), needed: VECTOR_TEXT }.into());
    }
    if installed.is_some() && !found.try_get::<bool, _>("is_in_sight")? {
        let schema = found.try_get::<Option<String>, _>("vector_schema")?.unwrap_or_default();
        return Err(SetupError::VectorOutOfSight { schema, role }.into());
    }
    if !found.try_get::<bool, _>("has_tables")? && !found.try_get::<bool, _>("may_create")? {
        let schema: Option<String> = found.try_get("schema")?;
        let place = schema.map_or_else(|| "the search_path".to_owned(), |schema| format!("SCHEMA {schema}"));
        return Err(SetupError::MayNotCreateTables { role, place }.into());
    }
    Ok(())
}

/// Creates the extension if it is missing.
pub(in crate::storage) async fn make_extension(connection: &mut PgConnection) -> Result<(), StorageError> {
    let made = raw_sql("CREATE EXTENSION IF NOT EXISTS vector").execute(&mut *connection).await;
    let Err(error) = made else { return Ok(()) };
    match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
        Some("42501") => {
            // The transaction has failed; only the role's name is queried after it.
            raw_sql("ROLLBACK").execute(&mut *connection).await?;
            let role = sqlx::query_scalar("SELECT current_user::text").fetch_one(connection).await?;
            Err(SetupError::MayNotCreateVector { role }.into())
        }
        _ => Err(error.into()),
    }
}

/// The first two numbers of a version.
fn numbers(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or_default());
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(numbers("0.10.1") > VECTOR && numbers("0.8.0") >= VECTOR && numbers("1.0") > VECTOR);
        assert!(numbers("0.7.4") < VECTOR && numbers("") < VECTOR);
    }
}
