//! Database errors, classified by what a caller can do about them.

use super::setup::SetupError;
use relive_session::{ApplyError, KeyframeError};

/// Why a database operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Transient: the connection broke, or the server is restarting or out of space. Whether a write took
    /// effect is unknown.
    #[error("the database is unavailable: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// No answer in time. Whether a write took effect is unknown.
    #[error("the database did not answer in time")]
    TimedOut,
    /// The database cancelled it: it waited too long for a lock, or took too long. Nothing was written.
    #[error("the database cancelled a statement")]
    Cancelled,
    /// Another writer was first: it used the revision, or carried out the command id.
    #[error("another writer has changed a session")]
    Fenced,
    /// The batch reached the database after its deadline, and nothing was written.
    #[error("the batch reached the database after its deadline")]
    TooLate,
    /// The session that the write belongs to does not exist any more.
    #[error("the session no longer exists")]
    SessionGone,
    /// A reference to a row that does not exist, or an id that already does.
    #[error("{0}")]
    Constraint(Constraint),
    /// The stored data cannot be parsed.
    #[error("the stored history is damaged: {0}")]
    Damaged(#[from] ApplyError),
    #[error("unreadable event: {0}")]
    Event(#[source] serde_json::Error),
    #[error("{0}")]
    Keyframe(#[from] KeyframeError),
    /// The database does not meet the server's requirements.
    #[error("{0}")]
    Setup(#[from] SetupError),
    #[error("cannot migrate the database: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("database error: {0}")]
    Database(#[source] sqlx::Error),
}

/// The database constraints that a client's request can violate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Constraint {
    #[error("there is no such group")]
    NoSuchGroup,
    #[error("there is no such workflow")]
    NoSuchWorkflow,
    #[error("there is no such parent session")]
    NoSuchParent,
    #[error("the parent session has too many ancestors")]
    TooManyGenerations,
    #[error("the parent session has too many children")]
    TooManyChildren,
    #[error("there are sessions that were made from this workflow")]
    WorkflowInUse,
    #[error("a session with this id exists already")]
    SessionExists,
    #[error("a session with this id is in the archive")]
    SessionArchived,
    /// In the archive of another project, which the caller is not told.
    #[error("there is no such session")]
    SessionElsewhere,
    #[error("the id of the message or memory cannot be used: it is taken")]
    TextExists,
    #[error("this idempotency key was used before")]
    CreationKeyUsed,
    #[error("there is no such project")]
    NoSuchProject,
    #[error("a project with this id exists, or did: the id of a deleted one is not used again")]
    ProjectExists,
    #[error("there is still something in this project, or it is `default`")]
    ProjectInUse,
    #[error("too many tokens of this project were revoked lately; revoke the key that this one was given with")]
    TooManyRevoked,
    #[error("the project has as many webhooks as it may have: 100")]
    TooManyWebhooks,
    #[error(
        "5 secrets from before sign for this webhook besides the newest: wait until one ends, or rotate with overlapSeconds 0"
    )]
    TooManySecrets,
    #[error("the project has as many alerts as it may have: 100")]
    TooManyAlerts,
    #[error("there is no such webhook")]
    NoSuchWebhook,
    #[error("the project has as many schedules as it may have: 1000")]
    TooManySchedules,
    #[error("too many are signed in with this key or token; sign out, or wait until others have expired")]
    TooManySignIns,
}

impl From<Constraint> for StorageError {
    fn from(constraint: Constraint) -> Self {
        Self::Constraint(constraint)
    }
}

/// SQLSTATEs of `relive_fence`.
const FENCED: &str = "RL001";
const TOO_LATE: &str = "RL002";
/// That of `relive_in_project`.
const NO_PROJECT: &str = "RL004";
/// A statement was cancelled, usually because of its time limit.
const CANCELLED: &str = "57014";
/// A lock was not available in time.
const LOCKED: &str = "55P03";

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        metrics::counter!("relive_database_errors_total").increment(1);
        let Some(database) = error.as_database_error() else {
            return if is_connection_error(&error) { Self::Unavailable(error) } else { Self::Database(error) };
        };
        let state = database.code().unwrap_or_default();
        if matches!(&*state, CANCELLED | LOCKED) {
            return Self::Cancelled;
        }
        if is_transient(&state) {
            return Self::Unavailable(error);
        }
        match (database.constraint(), &*state) {
            (_, TOO_LATE) => Self::TooLate,
            (_, NO_PROJECT) => Self::Constraint(Constraint::NoSuchProject),
            (_, FENCED) | (Some("session_events_pkey" | "session_commands_pkey"), _) => Self::Fenced,
            (
                Some(
                    "session_messages_session"
                    | "session_logs_session"
                    | "memories_session"
                    | "session_usage_session"
                    | "session_leases_session"
                    | "driver_leases_session",
                ),
                _,
            ) => Self::SessionGone,
            (Some("sessions_pkey"), _) => Self::Constraint(Constraint::SessionExists),
            (Some("archived_sessions_id"), _) => Self::Constraint(Constraint::SessionArchived),
            (Some("archived_sessions_elsewhere"), _) => Self::Constraint(Constraint::SessionElsewhere),
            (Some("session_messages_pkey" | "memories_pkey"), _) => Self::Constraint(Constraint::TextExists),
            (Some("sessions_creation_key"), _) => Self::Constraint(Constraint::CreationKeyUsed),
            (Some("sessions_group" | "workflows_group" | "memories_group"), _) => {
                Self::Constraint(Constraint::NoSuchGroup)
            }
            (Some("projects_pkey"), _) => Self::Constraint(Constraint::ProjectExists),
            (Some("api_keys_project" | "sign_ins_project" | "revoked_tokens_project"), _) => {
                Self::Constraint(Constraint::NoSuchProject)
            }
            (Some("sessions_workflow"), _) if database.message().contains("update or delete") => {
                Self::Constraint(Constraint::WorkflowInUse)
            }
            (Some("sessions_workflow" | "schedules_workflow"), _) => Self::Constraint(Constraint::NoSuchWorkflow),
            _ => Self::Database(error),
        }
    }
}

fn is_connection_error(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
    )
}

/// Whether TLS negotiation failed, or the certificate was rejected.
fn is_refusal(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => {
            let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
            code.is_some_and(|code| code.starts_with("28") || matches!(&*code, "3D000" | "42501"))
        }
    }
}

/// Whether the operation may succeed once the database has recovered or was reconfigured: connection
/// exceptions (08), refused authentication (28), serialisation failures (40), insufficient resources (53), objects
/// in use (55), operator intervention such as a restart (57), system errors (58), a server that has become
/// read-only in a failover, a missing database, missing privileges.
///
/// A protocol violation, such as a message beyond the limit of 1 GiB, fails every time.
fn is_transient(sqlstate: &str) -> bool {
    match sqlstate {
        "08P01" => false,
        "25006" | "3D000" | "42501" => true,
        _ => matches!(sqlstate.get(..2), Some("08" | "28" | "40" | "53" | "55" | "57" | "58")),
    }
}

impl StorageError {
    /// Whether a retry may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::TimedOut | Self::Cancelled | Self::TooLate)
    }

    /// Whether there was no connection, or it broke: the log says once that the database is away, and once that it is
    /// back.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        let Self::Unavailable(error) = self else { return false };
        match error.as_database_error().and_then(sqlx::error::DatabaseError::code) {
            Some(code) => code.starts_with("08") || code.starts_with("57P"),
            None => is_connection_error(error),
        }
    }

    /// Logs that something failed, for good or until the next attempt. During an outage every attempt fails, and these
    /// lines are for `debug`.
    pub fn log(&self, what: &'static str) {
        if self.is_outage() {
            tracing::debug!(error = %self, "{what}");
        } else {
            tracing::warn!(error = %self, "{what}");
        }
    }

    /// Whether a server that is starting may wait for recovery from this. A wrong password or certificate does
    /// not pass by itself.
    #[must_use]
    pub fn is_worth_waiting(&self) -> bool {
        match self {
            Self::Setup(error) => matches!(error, SetupError::ReadOnly(_)),
            Self::Unavailable(error) => !is_refusal(error),
            _ => self.is_transient(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{StorageError, is_transient};

    #[test]
    fn a_lost_connection_is_an_outage_and_a_slow_statement_is_none() {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert!(StorageError::Unavailable(broken.into()).is_outage());
        assert!(StorageError::Unavailable(sqlx::Error::PoolTimedOut).is_outage());
        assert!(!StorageError::TimedOut.is_outage() && !StorageError::Fenced.is_outage());
    }

    #[test]
    fn what_somebody_can_put_right_is_no_failure_of_the_server() {
        for state in ["08006", "28P01", "28000", "42501", "53100", "53300", "57P01", "57P03", "25006", "3D000"] {
            assert!(is_transient(state), "{state}");
        }
        for state in ["08P01", "22P02", "23505", "42P01", "54000", "XX001", ""] {
            assert!(!is_transient(state), "{state}");
        }
    }
}
