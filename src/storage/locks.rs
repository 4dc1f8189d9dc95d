//! Advisory locks of PostgreSQL.

use sqlx::PgConnection;

/// Takes an advisory lock for the session if it is free.
pub(super) async fn try_lock(connection: &mut PgConnection, lock: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(lock).fetch_one(connection).await
}
