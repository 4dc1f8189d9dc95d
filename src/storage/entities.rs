//! Tables of a project whose rows have an id and a time of creation: one row, a page of them, deletion.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{Page, PageCursor, Storage, StorageError};
use relive_session::ProjectId;

/// A row of such a table.
pub trait Entity: Send + Sized {
    const TABLE: &'static str;

    fn cursor(&self) -> PageCursor;
    /// Reads a row with all columns of the table.
    fn read(row: &PgRow) -> sqlx::Result<Self>;
}

impl Storage {
    /// The entity with this id in a project.
    pub async fn entity<E: Entity>(&self, project: &ProjectId, id: Uuid) -> Result<Option<E>, StorageError> {
        let sql = format!("SELECT * FROM {} WHERE id = $1 AND project_id = $2", E::TABLE);
        let row = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(project.as_str()).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(E::read).transpose()?)
    }

    /// A page of a project's rows, newest first.
    pub async fn entities<E: Entity>(
        &self,
        project: &ProjectId,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Page<E>, StorageError> {
        let sql = format!(
            "SELECT * FROM {} WHERE project_id = $4 AND ($1::timestamptz IS NULL OR (created_at, id) < ($1, $2))
             ORDER BY created_at DESC, id DESC LIMIT $3",
            E::TABLE
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(after.map(|cursor| cursor.created_at.as_datetime()))
            .bind(after.map(|cursor| cursor.id))
            .bind(i64::from(limit) + 1)
            .bind(project.as_str())
            .fetch_all(&self.pool)
            .await?;
        let entities = rows.iter().map(E::read).collect::<sqlx::Result<Vec<E>>>()?;
        Ok(Page::cut(entities, limit, E::cursor))
    }

    /// Deletes a row with everything that belongs to it; false if the project has no such one.
    ///
    /// # Errors
    ///
    /// [`StorageError::Constraint`] for a workflow that sessions were created from.
    pub async fn delete_entity<E: Entity>(&self, project: &ProjectId, id: Uuid) -> Result<bool, StorageError> {
        let sql = format!("DELETE FROM {} WHERE id = $1 AND project_id = $2", E::TABLE);
        let delete = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(project.as_str());
        Ok(delete.execute(&self.pool.long_running()).await?.rows_affected() > 0)
    }
}
