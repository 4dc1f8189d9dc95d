//! Projects, keys, sign-ins and the audit log.
//!
//! Roles, scopes and kinds of actors are texts here; what they mean is known to the module `access`.

mod audit;
mod keys;
mod projects;
mod sign_ins;
mod signing_keys;
mod tokens;

use sqlx::postgres::PgRow;
use sqlx::types::chrono::{DateTime, Utc};
use sqlx::{ColumnIndex, Row};

pub use audit::{AuditFilter, AuditRecord, AuditRow};
pub use keys::{KeyRow, NewKey};
use relive_session::{Actor, ActorKind, ProjectId, Timestamp};
pub use sign_ins::{NewSignIn, SignInRow};
pub use signing_keys::SigningKeyRow;
pub use tokens::{CredentialsInUse, REVOKED_LIMIT, Revoked, TokenState};

/// Rows deleted with one statement.
const PRUNED_AT_ONCE: i64 = 1_000;

/// A time as it is read again: with milliseconds.
pub(in crate::storage) fn time<'r>(row: &'r PgRow, column: &'r str) -> sqlx::Result<Timestamp> {
    row.try_get::<DateTime<Utc>, _>(column).map(Timestamp::from)
}

pub(in crate::storage) fn optional_time<'r>(row: &'r PgRow, column: &'r str) -> sqlx::Result<Option<Timestamp>> {
    Ok(row.try_get::<Option<DateTime<Utc>>, _>(column)?.map(Timestamp::from))
}

pub(in crate::storage) fn project<'r>(row: &'r PgRow, column: &'r str) -> sqlx::Result<ProjectId>
where
    &'r str: ColumnIndex<PgRow>,
{
    decoded(row.try_get::<&str, _>(column)?.parse())
}

/// The columns `actor_kind`, `actor_id` and `actor_name`; `None` if they are empty.
fn actor(row: &PgRow) -> sqlx::Result<Option<Actor>> {
    let Some(kind) = row.try_get::<Option<&str>, _>("actor_kind")? else { return Ok(None) };
    let kind = ActorKind::parse(kind).ok_or_else(|| sqlx::Error::Decode("an unknown kind of actor".into()))?;
    Ok(Some(Actor { kind, id: row.try_get("actor_id")?, name: row.try_get("actor_name")? }))
}

fn decoded<T, E: std::error::Error + Send + Sync + 'static>(read: Result<T, E>) -> sqlx::Result<T> {
    read.map_err(|error| sqlx::Error::Decode(error.into()))
}
