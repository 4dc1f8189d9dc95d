//! Groups, agents and workflows: three tables with the same five operations.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Postgres, Row};
use uuid::Uuid;

use super::{Page, PageCursor, Storage, StorageError};
use relive_session::{
    Agent, AgentFields, GraphDefinition, Group, GroupFields, ProjectId, Timestamp, Workflow, WorkflowFields,
};

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// A table of the catalog: how its rows are read and its fields are bound.
pub trait Entity: Send + Sized {
    type Fields: Send + Sync;
    const TABLE: &'static str;
    /// The columns of [`Entity::Fields`], in the order in which [`Entity::bind`] binds them.
    const COLUMNS: &'static [&'static str];

    fn bind<'q>(statement: Statement<'q>, fields: &'q Self::Fields) -> Statement<'q>;
    fn cursor(&self) -> PageCursor;
    /// Reads a row with all columns of the table.
    fn read(row: &PgRow) -> sqlx::Result<Self>;
}

impl Storage {
    /// Stores a new row at time `at`.
    ///
    /// # Errors
    ///
    /// [`StorageError::Constraint`] if the fields refer to a group that does not exist.
    pub async fn create_entity<E: Entity>(
        &self,
        project: &ProjectId,
        id: Uuid,
        fields: &E::Fields,
        at: Timestamp,
    ) -> Result<E, StorageError> {
        let placeholders: Vec<String> = (4..4 + E::COLUMNS.len()).map(|n| format!("${n}")).collect();
        let sql = format!(
            "INSERT INTO {} (id, project_id, created_at, updated_at, {}) VALUES ($1, $2, $3, $3, {}) RETURNING *",
            E::TABLE,
            E::COLUMNS.join(", "),
            placeholders.join(", ")
        );
        let statement = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(project.as_str()).bind(at.as_datetime());
        Ok(E::read(&E::bind(statement, fields).fetch_one(&self.pool).await?)?)
    }

    /// Replaces a row's fields; `None` if there is no such row.
    ///
    /// # Errors
    ///
    /// As for [`Storage::create_entity`].
    pub async fn update_entity<E: Entity>(
        &self,
        project: &ProjectId,
        id: Uuid,
        fields: &E::Fields,
        at: Timestamp,
    ) -> Result<Option<E>, StorageError> {
        let assignments: Vec<String> =
            E::COLUMNS.iter().zip(4..).map(|(column, n)| format!("{column} = ${n}")).collect();
        let sql = format!(
            "UPDATE {} SET updated_at = $3, {} WHERE id = $1 AND project_id = $2 RETURNING *",
            E::TABLE,
            assignments.join(", ")
        );
        let statement = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(project.as_str()).bind(at.as_datetime());
        let row = E::bind(statement, fields).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(E::read).transpose()?)
    }

    /// The entity with this id in a project.
    pub async fn entity<E: Entity>(&self, project: &ProjectId, id: Uuid) -> Result<Option<E>, StorageError> {
        let sql = format!("SELECT * FROM {} WHERE id = $1 AND project_id = $2", E::TABLE);
        let row = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(project.as_str()).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(E::read).transpose()?)
    }

    /// A page of rows, newest first.
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

    /// Deletes a row with everything that belongs to it; false if there was none.
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

impl Entity for Group {
    type Fields = GroupFields;
    const TABLE: &'static str = "groups";
    const COLUMNS: &'static [&'static str] = &["name", "icon", "system_prompt", "default_agent_ids"];

    fn bind<'q>(statement: Statement<'q>, fields: &'q GroupFields) -> Statement<'q> {
        statement.bind(&fields.name).bind(&fields.icon).bind(&fields.system_prompt).bind(&fields.default_agent_ids)
    }

    fn cursor(&self) -> PageCursor {
        PageCursor { created_at: self.created_at, id: self.id }
    }

    fn read(row: &PgRow) -> sqlx::Result<Self> {
        let fields = GroupFields {
            name: row.try_get("name")?,
            icon: row.try_get("icon")?,
            system_prompt: row.try_get("system_prompt")?,
            default_agent_ids: row.try_get("default_agent_ids")?,
        };
        let (created_at, updated_at) = times(row)?;
        Ok(Self { id: row.try_get("id")?, fields, created_at, updated_at })
    }
}

impl Entity for Agent {
    type Fields = AgentFields;
    const TABLE: &'static str = "agents";
    const COLUMNS: &'static [&'static str] =
        &["name", "avatar", "description", "persona_prompt", "model_config", "capabilities"];

    fn bind<'q>(statement: Statement<'q>, fields: &'q AgentFields) -> Statement<'q> {
        statement
            .bind(&fields.name)
            .bind(&fields.avatar)
            .bind(&fields.description)
            .bind(&fields.persona_prompt)
            .bind(fields.model_config.as_ref().map(Json))
            .bind(fields.capabilities.as_ref().map(Json))
    }

    fn cursor(&self) -> PageCursor {
        PageCursor { created_at: self.created_at, id: self.id }
    }

    fn read(row: &PgRow) -> sqlx::Result<Self> {
        let fields = AgentFields {
            name: row.try_get("name")?,
            avatar: row.try_get("avatar")?,
            description: row.try_get("description")?,
            persona_prompt: row.try_get("persona_prompt")?,
            model_config: row.try_get::<Option<Json<_>>, _>("model_config")?.map(|Json(value)| value),
            capabilities: row.try_get::<Option<Json<_>>, _>("capabilities")?.map(|Json(value)| value),
        };
        let (created_at, updated_at) = times(row)?;
        Ok(Self { id: row.try_get("id")?, fields, created_at, updated_at })
    }
}

impl Entity for Workflow {
    type Fields = WorkflowFields;
    const TABLE: &'static str = "workflows";
    const COLUMNS: &'static [&'static str] = &["group_id", "name", "graph"];

    fn bind<'q>(statement: Statement<'q>, fields: &'q WorkflowFields) -> Statement<'q> {
        statement.bind(fields.group_id).bind(&fields.name).bind(Json(&fields.graph))
    }

    fn cursor(&self) -> PageCursor {
        PageCursor { created_at: self.created_at, id: self.id }
    }

    fn read(row: &PgRow) -> sqlx::Result<Self> {
        let Json(graph): Json<GraphDefinition> = row.try_get("graph")?;
        let fields = WorkflowFields { group_id: row.try_get("group_id")?, name: row.try_get("name")?, graph };
        let (created_at, updated_at) = times(row)?;
        Ok(Self { id: row.try_get("id")?, fields, created_at, updated_at })
    }
}

fn times(row: &PgRow) -> sqlx::Result<(Timestamp, Timestamp)> {
    let created_at: chrono::DateTime<chrono::Utc> = row.try_get("created_at")?;
    let updated_at: chrono::DateTime<chrono::Utc> = row.try_get("updated_at")?;
    Ok((created_at.into(), updated_at.into()))
}
