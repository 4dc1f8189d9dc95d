//! Projects. A deleted one keeps its row, so that its id is not used again.

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use super::{project, time};
use crate::storage::{Constraint, Storage, StorageError};
use relive_session::{Project, ProjectId, Timestamp};

fn read(row: &PgRow) -> sqlx::Result<Project> {
    Ok(Project {
        id: project(row, "id")?,
        name: row.try_get("name")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
    })
}

/// Whether something is stored in a project. The statement has to begin after the lock was taken.
async fn is_used(connection: &mut PgConnection, id: &ProjectId) -> Result<bool, StorageError> {
    let sql = "SELECT EXISTS (SELECT FROM sessions WHERE project_id = $1)
        OR EXISTS (SELECT FROM memories WHERE project_id = $1) OR EXISTS (SELECT FROM groups WHERE project_id = $1)
        OR EXISTS (SELECT FROM agents WHERE project_id = $1) OR EXISTS (SELECT FROM workflows WHERE project_id = $1)";
    Ok(sqlx::query_scalar(sql).bind(id.as_str()).fetch_one(connection).await?)
}

/// Takes the lock that `relive_in_project` shares; false if somebody is writing into the project. Waiting would
/// stop all who begin to write meanwhile.
async fn lock(connection: &mut PgConnection, id: &ProjectId) -> Result<bool, StorageError> {
    let sql = "SELECT pg_try_advisory_xact_lock(1919249520, hashtext($1))";
    Ok(sqlx::query_scalar(sql).bind(id.as_str()).fetch_one(connection).await?)
}

async fn delete(
    connection: &mut PgConnection,
    id: &ProjectId,
    at: Timestamp,
) -> Result<Option<Vec<Uuid>>, StorageError> {
    // Keys before the lock, in the order of those who sign in: they hold their key's row when they share the lock.
    // What is added in between is not valid without its project.
    let keys = "UPDATE api_keys SET revoked_at = $2 WHERE project_id = $1 AND revoked_at IS NULL RETURNING id";
    let keys = sqlx::query_scalar(keys).bind(id.as_str()).bind(at.as_datetime()).fetch_all(&mut *connection).await?;
    // Keys of the role root have been in other projects too.
    let sign_ins = "DELETE FROM sign_ins
        WHERE project_id = $1 OR key_id IN (SELECT id FROM api_keys WHERE project_id = $1)";
    sqlx::query(sign_ins).bind(id.as_str()).execute(&mut *connection).await?;
    if !lock(connection, id).await? || is_used(connection, id).await? {
        return Err(StorageError::Constraint(Constraint::ProjectInUse));
    }
    // There are no schedules: they go with their workflows.
    sqlx::query("DELETE FROM webhooks WHERE project_id = $1").bind(id.as_str()).execute(&mut *connection).await?;
    sqlx::query("DELETE FROM alerts WHERE project_id = $1").bind(id.as_str()).execute(&mut *connection).await?;
    sqlx::query("DELETE FROM retention WHERE project_id = $1").bind(id.as_str()).execute(&mut *connection).await?;
    // Their files are removed afterwards.
    let archived = "DELETE FROM archived_sessions WHERE project_id = $1";
    sqlx::query(archived).bind(id.as_str()).execute(&mut *connection).await?;
    let sql = "UPDATE projects SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL";
    let deleted = sqlx::query(sql).bind(id.as_str()).bind(at.as_datetime()).execute(connection).await?;
    Ok((deleted.rows_affected() > 0).then_some(keys))
}

impl Storage {
    /// Makes a project.
    ///
    /// # Errors
    ///
    /// [`Constraint::ProjectExists`] if the id is taken, or was: ids of deleted projects are not used again.
    pub async fn create_project(&self, id: &ProjectId, name: &str, at: Timestamp) -> Result<Project, StorageError> {
        let sql = "INSERT INTO projects (id, name, created_at, updated_at) VALUES ($1, $2, $3, $3) RETURNING *";
        let row = sqlx::query(sql).bind(id.as_str()).bind(name).bind(at.as_datetime()).fetch_one(&self.pool).await?;
        Ok(read(&row)?)
    }

    /// The project with this id.
    pub async fn project(&self, id: &ProjectId) -> Result<Option<Project>, StorageError> {
        let sql = "SELECT * FROM projects WHERE id = $1 AND deleted_at IS NULL";
        let row = sqlx::query(sql).bind(id.as_str()).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// Whether there is a project with this id, or was.
    pub async fn has_had_project(&self, id: &ProjectId) -> Result<bool, StorageError> {
        let sql = "SELECT EXISTS (SELECT FROM projects WHERE id = $1)";
        Ok(sqlx::query_scalar(sql).bind(id.as_str()).fetch_one(&self.pool).await?)
    }

    /// Up to `limit` projects by id, from the one after `after` on.
    pub async fn projects(&self, after: Option<&ProjectId>, limit: u32) -> Result<Vec<Project>, StorageError> {
        let sql = "SELECT * FROM projects WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT $2";
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
        let sql = "UPDATE projects SET name = $2, updated_at = $3 WHERE id = $1 AND deleted_at IS NULL RETURNING *";
        let row = sqlx::query(sql).bind(id.as_str()).bind(name).bind(at.as_datetime()).fetch_optional(&self.pool);
        Ok(row.await?.as_ref().map(read).transpose()?)
    }

    /// Deletes a project in which there is nothing any more; `None` if there is no such project. Its keys, tokens and
    /// sign-ins are not valid any more, and nothing can be written into it, whoever is still doing so. Returns the
    /// keys that were revoked by it.
    ///
    /// # Errors
    ///
    /// [`Constraint::ProjectInUse`] if something is stored in it or is being written, or it is `default`.
    pub async fn delete_project(&self, id: &ProjectId, at: Timestamp) -> Result<Option<Vec<Uuid>>, StorageError> {
        if id.is_default() {
            return Err(StorageError::Constraint(Constraint::ProjectInUse));
        }
        let mut transaction = self.pool.begin().await?;
        let revoked = transaction.run(async |connection| delete(connection, id, at).await).await?;
        if revoked.is_some() {
            transaction.commit().await?;
        }
        Ok(revoked)
    }
}
