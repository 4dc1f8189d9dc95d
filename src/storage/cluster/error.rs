//! Errors of the embedded PostgreSQL, with texts that its user can act on.

use std::{fmt::Display, io, path::PathBuf};

/// Why the embedded PostgreSQL could not be started or stopped.
///
/// Each message is complete in itself: it names the files and versions involved, and ends with the last lines
/// of the server's own log if that has details.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error(
        "no PostgreSQL with pgvector was found. Any one of these gives you one:\n\
         - run `make` in the repository, which fetches it into ./.postgres;\n\
         - set RELIVE_POSTGRES_BIN to the bin directory of a PostgreSQL that has pgvector;\n\
         - install your distribution's packages, such as postgresql and postgresql-NN-pgvector;\n\
         - set DATABASE_URL to a PostgreSQL that is already running."
    )]
    NoBinaries,

    #[error("{dir} is not the bin directory of a PostgreSQL: {why}")]
    NotBinaries { dir: PathBuf, why: String },

    #[error(
        "the PostgreSQL in {dir} has no pgvector (vector.control is not among its extensions); \
         install the package postgresql-{major}-pgvector or its like, or choose another one"
    )]
    NoPgvector { dir: PathBuf, major: u32 },

    #[error("the PostgreSQL in {dir} is version {major}; relive needs {oldest} or newer")]
    TooOld { dir: PathBuf, major: u32, oldest: u32 },

    #[error(
        "the data in {pgdata} belongs to PostgreSQL {data}, but the one in {dir} is version \
         {binaries}; use binaries of version {data}, or move the data over with pg_upgrade or \
         with `relive export` and `relive import`"
    )]
    VersionMismatch { pgdata: PathBuf, data: String, dir: PathBuf, binaries: u32 },

    #[error("{dir} is in use by another relive; end that one, or give this one a data directory of its own")]
    InUse { dir: PathBuf },

    #[error(
        "{link} points to {target}, which is gone; bring it back, or remove the link to start \
         with an empty database"
    )]
    LostData { link: PathBuf, target: PathBuf },

    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor a user \
         `nobody` to run it as"
    )]
    NoAccount,

    #[error(
        "the user `{user}`, which PostgreSQL runs as because it refuses to run as root, cannot \
         reach {path}; open the directories above it (chmod a+x), or use another data directory"
    )]
    Unreachable { path: PathBuf, user: String },

    #[error("{path} should be a private directory of user {user}, but it is {found}; remove it")]
    NotPrivate { path: PathBuf, user: String, found: String },

    #[error("initdb could not make a database cluster in {pgdata}:\n{output}")]
    Initdb { pgdata: PathBuf, output: String },

    #[error("PostgreSQL ended while it was starting ({status}); the end of {log}:\n{tail}")]
    Ended { status: String, log: PathBuf, tail: String },

    #[error("PostgreSQL was not ready after {seconds} s; the end of {log}:\n{tail}")]
    NotReady { seconds: u64, log: PathBuf, tail: String },

    #[error("the PostgreSQL with process id {pid} on {pgdata} does not end, even after SIGQUIT")]
    Stuck { pid: i32, pgdata: PathBuf },

    #[error("cannot {action}")]
    Database { action: &'static str, source: sqlx::Error },

    #[error("cannot {action}")]
    Io { action: String, source: io::Error },
}

/// Adds to an I/O error what was being done.
pub(super) trait IoContext<T> {
    /// `action` completes the sentence "cannot …".
    fn context<D: Display>(self, action: impl FnOnce() -> D) -> Result<T, ClusterError>;
}

impl<T, E: Into<io::Error>> IoContext<T> for Result<T, E> {
    fn context<D: Display>(self, action: impl FnOnce() -> D) -> Result<T, ClusterError> {
        self.map_err(|source| ClusterError::Io { action: action().to_string(), source: source.into() })
    }
}
