//! Groups, agents and workflows: what is written of them.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Postgres, Row as _};
use uuid::Uuid;

use super::{Entity, PageCursor, Storage, StorageError};
use relive_session::{
    Agent, AgentFields, GraphDefinition, Group, GroupFields, ProjectId, Timestamp, Workflow, WorkflowFields,
};

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// A table of the catalog: how the fields of its rows are bound.
pub trait CatalogEntity: Entity {
    type Fields: Send + Sync;
    /// The columns of [`CatalogEntity::Fields`], in the order in which [`CatalogEntity::bind`] binds them.
    const COLUMNS: &'static [&'static str];

    fn bind<'q>(statement: Statement<'q>, fields: &'q Self::Fields) -> Statement<'q>;
}

impl Storage {
    /// Stores a new row at time `at`.
    ///
    /// # Errors
    ///
    /// [`StorageError::Constraint`] if the fields refer to a group that does not exist.
    pub async fn create_entity<E: CatalogEntity>(
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
    pub async fn update_entity<E: CatalogEntity>(
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
}

impl Entity for Group {
    const TABLE: &'static str = "groups";

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

impl CatalogEntity for Group {
    type Fields = GroupFields;
    const COLUMNS: &'static [&'static str] = &["name", "icon", "system_prompt", "default_agent_ids"];

    fn bind<'q>(statement: Statement<'q>, fields: &'q GroupFields) -> Statement<'q> {
        statement.bind(&fields.name).bind(&fields.icon).bind(&fields.system_prompt).bind(&fields.default_agent_ids)
    }
}

impl Entity for Agent {
    const TABLE: &'static str = "agents";

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

impl CatalogEntity for Agent {
    type Fields = AgentFields;
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
}

impl Entity for Workflow {
    const TABLE: &'static str = "workflows";

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

impl CatalogEntity for Workflow {
    type Fields = WorkflowFields;
    const COLUMNS: &'static [&'static str] = &["group_id", "name", "graph"];

    fn bind<'q>(statement: Statement<'q>, fields: &'q WorkflowFields) -> Statement<'q> {
        statement.bind(fields.group_id).bind(&fields.name).bind(Json(&fields.graph))
    }
}

fn times(row: &PgRow) -> sqlx::Result<(Timestamp, Timestamp)> {
    let created_at: chrono::DateTime<chrono::Utc> = row.try_get("created_at")?;
    let updated_at: chrono::DateTime<chrono::Utc> = row.try_get("updated_at")?;
    Ok((created_at.into(), updated_at.into()))
}
