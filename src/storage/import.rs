//! Writing a whole session in one transaction.

use std::sync::Arc;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use tokio::sync::Notify;
use uuid::Uuid;

use super::batch::{Batch, EventRow, ProjectionRow};
use super::bigint::bigint;
use super::columns::json;
use super::event_copy::copy_events;
use super::export::Ancestor;
use super::families::lock_parent;
use super::logs::LogArrays;
use super::memories::{NewMemory, insert};
use super::pool::Transaction;
use super::sessions::insert_row;
use super::texts::tool_calls_text;
use super::usage::{UsageRow, write_usage};
use super::writer::write_rows;
use super::{Storage, StorageError};
use relive_session::{ContentType, Log, Memory, Message, OutputRef, ProjectId, Recorded, Revision, Session, SessionId};

/// A message to be stored, with the revision that added it.
#[derive(Clone, Debug)]
pub struct ImportedMessage {
    pub revision: Revision,
    pub message: Message,
}

/// A session that is being written. Dropping it rolls back.
#[derive(Debug)]
pub struct Import {
    transaction: Transaction,
    project: ProjectId,
    unembedded: Arc<Notify>,
    lacks_embedding: bool,
}

impl Storage {
    /// Starts to write a session of a project.
    pub async fn begin_import(&self, project: ProjectId) -> Result<Import, StorageError> {
        let transaction = self.pool.begin().await?;
        Ok(Import { transaction, project, unembedded: Arc::clone(&self.unembedded), lacks_embedding: false })
    }
}

impl Import {
    async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.transaction.run(work).await
    }

    /// Takes the record of an archived session away, if it is still there with this file; the file is to be removed
    /// then, once this is committed.
    pub async fn take_archived(&mut self, id: SessionId, file_name: &str) -> Result<bool, StorageError> {
        let query = sqlx::query("DELETE FROM archived_sessions WHERE id = $1 AND project_id = $2 AND file_name = $3")
            .bind(id.0)
            .bind(self.project.as_str().to_owned())
            .bind(file_name);
        self.run(async |connection| Ok(query.execute(connection).await?.rows_affected() > 0)).await
    }

    /// Notes that the session came back from the archive.
    pub async fn note_restored(&mut self, id: SessionId) -> Result<(), StorageError> {
        let query = sqlx::query("INSERT INTO restored_sessions (session_id) VALUES ($1)").bind(id.0);
        self.run(async |connection| Ok(query.execute(connection).await?)).await?;
        Ok(())
    }

    /// Whether there is a session with this id.
    pub async fn has_session(&mut self, id: SessionId) -> Result<bool, StorageError> {
        let sql = "SELECT EXISTS (SELECT FROM sessions WHERE id = $1)";
        self.run(async |connection| Ok(sqlx::query_scalar(sql).bind(id.0).fetch_one(connection).await?)).await
    }

    /// Whether the project has a group with this id; if so, it is locked until the commit.
    pub async fn has_group(&mut self, id: Uuid) -> Result<bool, StorageError> {
        let query = sqlx::query("SELECT id FROM groups WHERE id = $1 AND project_id = $2 FOR KEY SHARE")
            .bind(id)
            .bind(self.project.as_str().to_owned());
        self.run(async |connection| Ok(query.fetch_optional(connection).await?.is_some())).await
    }

    /// Whether the project has a workflow with this id; if so, it is locked until the commit.
    pub async fn has_workflow(&mut self, id: Uuid) -> Result<bool, StorageError> {
        let query = sqlx::query("SELECT id FROM workflows WHERE id = $1 AND project_id = $2 FOR KEY SHARE")
            .bind(id)
            .bind(self.project.as_str().to_owned());
        self.run(async |connection| Ok(query.fetch_optional(connection).await?.is_some())).await
    }

    /// Whether the project has a session with this id that can have one more child; if so, it is locked until the
    /// commit.
    pub async fn has_room_below(&mut self, id: SessionId) -> Result<bool, StorageError> {
        let project = self.project.clone();
        match self.run(async |connection| lock_parent(connection, &project, id).await).await {
            Ok(()) => Ok(true),
            Err(StorageError::Constraint(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Stores the session's row in its first state; returns that as one of the project. Everything else refers to
    /// it.
    ///
    /// # Errors
    ///
    /// [`StorageError::Constraint`] if the id was taken meanwhile, or a session was created under the same
    /// idempotency key.
    pub async fn add_session(&mut self, first: Session, key: Option<&str>) -> Result<Session, StorageError> {
        let first = first.in_project(self.project.clone());
        self.run(async |connection| insert_row(connection, &first, key).await).await?;
        Ok(first)
    }

    /// Stores events, with the usage they record.
    pub async fn add_events(&mut self, events: &[Recorded]) -> Result<(), StorageError> {
        let batch = Batch { events: events.iter().map(EventRow::from).collect(), ..Batch::default() };
        self.run(async |connection| {
            copy_events(connection, events).await?;
            write_usage(connection, &batch).await
        })
        .await
    }

    /// Stores a keyframe (as JSON), so that reading an earlier revision does not fold the whole history.
    pub async fn add_keyframe(&mut self, id: SessionId, revision: Revision, state: &str) -> Result<(), StorageError> {
        let query =
            sqlx::query("INSERT INTO session_keyframes (session_id, revision, state) VALUES ($1, $2, $3::json)")
                .bind(id.0)
                .bind(bigint(revision))
                .bind(state);
        self.run(async |connection| Ok(query.execute(connection).await?)).await?;
        Ok(())
    }

    /// Stores an ancestor as a deleted session; returns its id.
    pub async fn add_ancestor(&mut self, session_id: SessionId, ancestor: Ancestor) -> Result<Uuid, StorageError> {
        let id = Uuid::now_v7();
        let query =
            sqlx::query("INSERT INTO ancestors (id, session_id) VALUES ($1, $2)").bind(id).bind(ancestor.session_id.0);
        self.run(async |connection| Ok(query.execute(connection).await?)).await?;
        let query = sqlx::query(
            "INSERT INTO session_lineage (session_id, depth, ancestor_id, revision) VALUES ($1, $2, $3, $4)",
        )
        .bind(session_id.0)
        .bind(i32::try_from(ancestor.depth).unwrap_or(i32::MAX))
        .bind(id)
        .bind(bigint(ancestor.revision));
        self.run(async |connection| Ok(query.execute(connection).await?)).await?;
        Ok(id)
    }

    /// Stores an output from before the fork.
    pub async fn add_output(
        &mut self,
        ancestor_id: Uuid,
        place: OutputRef,
        output: &serde_json::Value,
    ) -> Result<(), StorageError> {
        let query =
            sqlx::query("INSERT INTO ancestor_outputs (ancestor_id, revision, output) VALUES ($1, $2, $3::json)")
                .bind(ancestor_id)
                .bind(bigint(place.revision))
                .bind(json(output)?);
        self.run(async |connection| Ok(query.execute(connection).await?)).await?;
        Ok(())
    }

    /// Stores usage from before the fork.
    pub async fn add_usage(&mut self, session_id: SessionId, usage: &UsageRow) -> Result<(), StorageError> {
        let query = sqlx::query(
            "INSERT INTO session_usage AS held
                (session_id, node_id, agent_id, model, calls, input_tokens, output_tokens, cost_usd)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (session_id, node_id, agent_id, model) DO UPDATE SET
                calls = held.calls + excluded.calls,
                input_tokens = held.input_tokens + excluded.input_tokens,
                output_tokens = held.output_tokens + excluded.output_tokens,
                cost_usd = held.cost_usd + excluded.cost_usd",
        )
        .bind(session_id.0)
        .bind(usage.node_id.as_str())
        .bind(usage.agent_id.as_deref().unwrap_or_default())
        .bind(usage.model.as_deref().unwrap_or_default())
        .bind(bigint(usage.calls))
        .bind(bigint(usage.input_tokens))
        .bind(bigint(usage.output_tokens))
        .bind(usage.cost_usd);
        self.run(async |connection| Ok(query.execute(connection).await?)).await?;
        Ok(())
    }

    /// Which of these message ids are used in a session.
    pub async fn taken_messages(
        &mut self,
        id: SessionId,
        rows: &[ImportedMessage],
    ) -> Result<Vec<String>, StorageError> {
        let ids: Vec<&str> = rows.iter().map(|row| row.message.id.as_str()).collect();
        let sql = "SELECT id FROM session_messages WHERE session_id = $1 AND id = ANY($2)";
        let query = sqlx::query_scalar(sql).bind(id.0).bind(ids);
        self.run(async |connection| Ok(query.fetch_all(connection).await?)).await
    }

    /// Stores messages of the session itself.
    pub async fn add_messages(&mut self, id: SessionId, messages: &[ImportedMessage]) -> Result<(), StorageError> {
        self.insert_messages("session_messages (session_id", id.0, messages).await
    }

    /// Stores messages of an ancestor.
    pub async fn add_inherited_messages(&mut self, id: Uuid, messages: &[ImportedMessage]) -> Result<(), StorageError> {
        self.insert_messages("ancestor_messages (ancestor_id", id, messages).await
    }

    async fn insert_messages(&mut self, into: &str, owner: Uuid, rows: &[ImportedMessage]) -> Result<(), StorageError> {
        let sql = format!(
            "INSERT INTO {into}, revision, id, node_id, agent_id, agent_name, role, content, token_count,
                 is_thinking, created_at, tool_calls, tool_call_id, content_type)
             SELECT $1, revision, id, node_id, agent_id, agent_name, role, content, token_count, is_thinking,
                 created_at, tool_calls::json, tool_call_id, content_type
             FROM UNNEST($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                 $8::text[], $9::bigint[], $10::boolean[], $11::timestamptz[], $12::text[], $13::text[], $14::text[])
                 AS m (revision, id, node_id, agent_id, agent_name, role, content, token_count, is_thinking,
                 created_at, tool_calls, tool_call_id, content_type)"
        );
        let messages = || rows.iter().map(|row| &row.message);
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(owner)
            .bind(rows.iter().map(|row| bigint(row.revision)).collect::<Vec<_>>())
            .bind(messages().map(|message| message.id.as_str()).collect::<Vec<_>>())
            .bind(messages().map(|message| message.node_id.as_str()).collect::<Vec<_>>())
            .bind(messages().map(|message| message.agent_id.as_deref()).collect::<Vec<_>>())
            .bind(messages().map(|message| message.agent_name.as_deref()).collect::<Vec<_>>())
            .bind(messages().map(|message| message.role.as_str()).collect::<Vec<_>>())
            .bind(messages().map(|message| &*message.content).collect::<Vec<_>>())
            .bind(messages().map(|message| bigint(message.token_count)).collect::<Vec<_>>())
            .bind(messages().map(|message| message.is_thinking).collect::<Vec<_>>())
            .bind(messages().map(|message| message.created_at.as_datetime()).collect::<Vec<_>>())
            .bind(messages().map(|message| message.tool_calls.as_deref().and_then(tool_calls_text)).collect::<Vec<_>>())
            .bind(messages().map(|message| message.tool_call_id.as_deref()).collect::<Vec<_>>())
            .bind(messages().map(|message| message.content_type.map(ContentType::as_str)).collect::<Vec<_>>());
        self.run(async |connection| Ok(query.execute(connection).await?)).await?;
        Ok(())
    }

    /// Stores log lines of the session itself.
    pub async fn add_logs(&mut self, id: SessionId, logs: &[Log]) -> Result<(), StorageError> {
        self.insert_logs("session_logs (session_id", id.0, logs).await
    }

    /// Stores log lines of an ancestor.
    pub async fn add_inherited_logs(&mut self, id: Uuid, logs: &[Log]) -> Result<(), StorageError> {
        self.insert_logs("ancestor_logs (ancestor_id", id, logs).await
    }

    async fn insert_logs(&mut self, logs_into: &str, owner: Uuid, rows: &[Log]) -> Result<(), StorageError> {
        let sql = format!(
            "INSERT INTO {logs_into}, revision, node_id, level, text, at, attributes)
             SELECT $1, revision, node_id, level, text, at, attributes::json
             FROM UNNEST($2::bigint[], $3::text[], $4::smallint[], $5::text[], $6::timestamptz[], $7::text[])
                 AS l (revision, node_id, level, text, at, attributes)"
        );
        let mut logs = LogArrays::default();
        rows.iter().for_each(|log| logs.push(log));
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(owner)
            .bind(logs.revisions)
            .bind(logs.node_ids)
            .bind(logs.levels)
            .bind(logs.texts)
            .bind(logs.times)
            .bind(logs.attributes);
        self.run(async |connection| Ok(query.execute(connection).await?)).await?;
        Ok(())
    }

    /// Whether a memory id is used in the project (true) or in another (false); `None` if it is free.
    pub async fn owns_memory(&mut self, id: Uuid) -> Result<Option<bool>, StorageError> {
        let sql = "SELECT project_id = $2 FROM memories WHERE id = $1";
        let query = sqlx::query_scalar(sql).bind(id).bind(self.project.as_str().to_owned());
        self.run(async |connection| Ok(query.fetch_optional(connection).await?)).await
    }

    /// Stores a memory of the session, in the group that `memory` says.
    pub async fn add_memory(&mut self, id: Uuid, session_id: SessionId, memory: &Memory) -> Result<(), StorageError> {
        self.lacks_embedding |= memory.embedding.is_none();
        let project = self.project.clone();
        let new = NewMemory {
            project_id: &project,
            id,
            group_id: memory.group_id,
            agent_id: memory.agent_id.as_deref(),
            session_id: Some(session_id),
            content: &memory.content,
            embedding: memory.embedding.as_deref(),
            metadata: memory.metadata.as_ref(),
            at: memory.created_at,
        };
        self.run(async |connection| insert(connection, &new).await).await
    }

    /// Updates the session's row to its newest state, and commits.
    pub async fn commit(mut self, first: &Session, last: &Session) -> Result<(), StorageError> {
        if last.revision > first.revision {
            let projections = vec![ProjectionRow { before: first, after: last }];
            let batch = Batch { projections, ..Batch::default() };
            self.run(async |connection| write_rows(connection, &batch).await).await?;
        }
        self.transaction.commit().await?;
        if self.lacks_embedding {
            self.unembedded.notify_one();
        }
        Ok(())
    }
}
