//! Requirements that a database does not meet.

/// Why a database cannot be used, and how to correct it.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("PostgreSQL {found} is too old; version {needed} or newer is needed")]
    TooOld { found: String, needed: u32 },
    #[error(
        "the database's encoding is {0}, and only UTF8 can hold every text; make one with \
         CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
    )]
    Encoding(String),
    #[error("the database is read-only: {0}")]
    ReadOnly(&'static str),
    #[error(
        "this PostgreSQL has no pgvector, which relive keeps memories with; install it there (Debian and Ubuntu: \
         postgresql-{major}-pgvector; Docker: the image pgvector/pgvector:pg{major}; others: \
         https://github.com/pgvector/pgvector#installation), then start relive again, or run CREATE EXTENSION vector \
         in this database first. Nothing was changed"
    )]
    NoVector { major: u32 },
    #[error(
        "the role {role} may not create the extension vector; let a superuser run CREATE EXTENSION vector in this \
         database once. Nothing was changed"
    )]
    MayNotCreateVector { role: String },
    #[error(
        "pgvector {found} is too old; version {needed} or newer is needed: install it, and run \
         ALTER EXTENSION vector UPDATE in this database"
    )]
    VectorTooOld { found: String, needed: &'static str },
    #[error(
        "pgvector is in the schema {schema}, which is not on the search_path of the role {role}; run \
         ALTER ROLE {role} SET search_path = public, {schema}"
    )]
    VectorOutOfSight { schema: String, role: String },
    #[error("the role {role} may not make tables in {place}; let its owner run GRANT CREATE ON {place} TO {role}")]
    MayNotCreateTables { role: String, place: String },
    #[error(
        "a server that is running on this database has embeddings of {others} numbers, this one is set to {own} \
         (RELIVE_EMBEDDING_DIM); use {others} here, or stop the others first to change it"
    )]
    Dimension { own: u32, others: i64 },
    #[error(
        "this is a pooler in transaction mode that mixes up prepared statements (such as PgBouncer before 1.21, or \
         with max_prepared_statements = 0); connect to PostgreSQL itself, or use session mode. Nothing was changed"
    )]
    MixesStatements,
    #[error("LISTEN does not work through a pooler in transaction mode")]
    CannotListen,
    #[error("another server has been preparing the database for more than {minutes} minutes")]
    Busy { minutes: u64 },
}
