//! Which database this is.

use super::{Storage, StorageError};

const IDENTITY: &str =
    "SELECT system_identifier::text || '-' || (SELECT oid::text FROM pg_database WHERE datname = current_database())
                        FROM pg_control_system()";

impl Storage {
    /// Tells this database apart from all others, in this PostgreSQL and in others: letters, digits and `-`.
    /// Servers that name it differently get the same answer.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn database_identity(&self) -> Result<String, StorageError> {
        Ok(sqlx::query_scalar(IDENTITY).fetch_one(&self.pool).await?)
    }
}
