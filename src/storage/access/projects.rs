//! Projects.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{project, time};
use crate::storage::{Storage, StorageError};
use relive_session::{Project, ProjectId, Timestamp};

fn read(row: &PgRow) -> sqlx::Result<Project> {
    Ok(Project {
        id: project(row, "id")?,
        name: row.try_get("name")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
    })
}

impl Storage {
    /// Makes a project.
    ///
    /// # Errors
    ///
    /// [`Constraint::ProjectExists`](crate::storage::Constraint::ProjectExists) if the id is taken.
    pub async fn create_project(&self, id: &ProjectId, name: &str, at: Timestamp) -> Result<Project, StorageError> {
        let sql = "INSERT INTO projects (id, name, created_at, updated_at) VALUES ($1, $2, $3, $3) RETURNING *";
        let row = sqlx::query(sql).bind(id.as_str()).bind(name).bind(at.as_datetime()).fetch_one(&self.pool).await?;
        Ok(read(&row)?)
    }

    /// The project with this id.
    pub async fn project(&self, id: &ProjectId) -> Result<Option<Project>, StorageError> {
        let sql = "SELECT * FROM projects WHERE id = $1";
        let row = sqlx::query(sql).bind(id.as_str()).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// Up to `limit` projects by id, from the one after `after` on.
    pub async fn projects(&self, after: Option<&ProjectId>, limit: u32) -> Result<Vec<Project>, StorageError> {
        let sql = "SELECT * FROM projects WHERE id > $1 ORDER BY id LIMIT $2";
        let after = after.map_or("", ProjectId::as_str);
        let rows = sqlx::query(sql).bind(after).bind(i64::from(limit)).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
    }

    /// Renames a project; its id stays. `None` if there is no such project.
    pub async fn rename_project(
        &self,
        id: &ProjectId,
        name: &str,
        at: Timestamp,
    ) -> Result<Option<Project>, StorageError> {
        let sql = "UPDATE projects SET name = $2, updated_at = $3 WHERE id = $1 RETURNING *";
        let row = sqlx::query(sql).bind(id.as_str()).bind(name).bind(at.as_datetime()).fetch_optional(&self.pool);
        Ok(row.await?.as_ref().map(read).transpose()?)
    }

    /// Whether something is stored in a project.
    pub async fn is_project_used(&self, id: &ProjectId) -> Result<bool, StorageError> {
        let sql = "SELECT EXISTS (SELECT FROM sessions WHERE project_id = $1)
            OR EXISTS (SELECT FROM memories WHERE project_id = $1) OR EXISTS (SELECT FROM groups WHERE project_id = $1)
            OR EXISTS (SELECT FROM agents WHERE project_id = $1) OR EXISTS (SELECT FROM workflows WHERE project_id = $1)";
        Ok(sqlx::query_scalar(sql).bind(id.as_str()).fetch_one(&self.pool).await?)
    }

    /// Deletes a project with its keys, revoked tokens and sign-ins; false if there is no such project. The caller
    /// has to check first that nothing else belongs to it.
    pub async fn delete_project(&self, id: &ProjectId) -> Result<bool, StorageError> {
        let sql = "DELETE FROM projects WHERE id = $1";
        Ok(sqlx::query(sql).bind(id.as_str()).execute(&self.pool).await?.rows_affected() > 0)
    }
}
