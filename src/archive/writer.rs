//! Writes the checked lines of a file to the database.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::error::{ImportError, ImportFault};
use super::rows::ImportRow;
use crate::storage::{Ancestor, Constraint, Import, ImportedMessage, Storage, StorageError, UsageRow};
use relive_protocol::{ArchiveLine, ArchiveUsage};
use relive_session::{
    Created, Driver, Event, Log, Memory, Origin, OutputRef, ProjectId, Recorded, Revision, Session, SessionId,
    Timestamp,
};

/// Rows that are written at once, and bytes of their lines.
const ROWS: usize = 1_000;
const BYTES: usize = 1024 * 1024;

/// A session that is being written, with its ids on this server.
pub(super) struct ImportWriter {
    import: Import,
    dimension: u32,
    id: SessionId,
    /// Everything gets a new id: the session's own is taken, or new ones were requested.
    renames: bool,
    first: Option<Session>,
    /// The history ends without a parent.
    is_released: bool,
    /// The idempotency key: no two sessions are created under one.
    key: Option<String>,
    /// It comes back from the archive.
    is_restored: bool,
    /// The ids of its ancestors on this server, the nearest first.
    ancestors: Vec<Uuid>,
    events: Vec<Recorded>,
    messages: Messages,
    logs: Logs,
    /// Bytes of the lines of rows that wait to be written.
    bytes: usize,
}

/// What the session becomes.
#[derive(Clone, Copy)]
pub(super) enum Destination<'a> {
    /// A new one, with the id in the file if that is free, and `new_id` does not ask for another.
    New { new_id: bool, key: Option<&'a str> },
    /// The one that was archived, in place of its record with this file.
    Restored { file_name: &'a str },
}

/// Messages that wait to be written, of one session.
#[derive(Default)]
struct Messages {
    depth: u32,
    rows: Vec<ImportedMessage>,
    first_line: u64,
}

/// Log lines that wait to be written, of one session.
#[derive(Default)]
struct Logs {
    depth: u32,
    rows: Vec<Log>,
}

impl ImportWriter {
    /// `dimension`: the number of dimensions of an embedding here; `in_file`: the session's id in the file.
    pub async fn new(
        storage: &Storage,
        project: ProjectId,
        dimension: u32,
        in_file: SessionId,
        to: Destination<'_>,
        is_released: bool,
    ) -> Result<Self, ImportError> {
        let mut import = storage.begin_import(project).await?;
        let (renames, key) = match to {
            Destination::New { new_id, key } => (new_id || import.has_session(in_file).await?, key),
            Destination::Restored { file_name } => {
                if !import.take_archived(in_file, file_name).await? {
                    return Err(ImportError::Gone);
                }
                (false, None)
            }
        };
        let id = if renames { SessionId::generate() } else { in_file };
        Ok(Self {
            import,
            dimension,
            id,
            renames,
            is_released,
            key: key.map(str::to_owned),
            is_restored: matches!(to, Destination::Restored { .. }),
            first: None,
            ancestors: Vec::new(),
            events: Vec::new(),
            messages: Messages::default(),
            logs: Logs::default(),
            bytes: 0,
        })
    }

    /// Adds checked records, in the order of the file.
    pub async fn put(&mut self, row: ImportRow) -> Result<(), ImportError> {
        match row {
            ImportRow::Line { number, bytes, line } => self.line(*line, number, bytes).await,
            ImportRow::Keyframe { revision, state } => Ok(self.import.add_keyframe(self.id, revision, &state).await?),
        }
    }

    async fn line(&mut self, line: ArchiveLine, number: u64, bytes: usize) -> Result<(), ImportError> {
        self.bytes += bytes;
        match line {
            ArchiveLine::Header(_) | ArchiveLine::End { .. } => {}
            ArchiveLine::Event(recorded) => self.event(recorded).await?,
            ArchiveLine::Ancestor { depth, session_id, revision } => {
                let ancestor = Ancestor { depth, session_id, revision };
                self.ancestors.push(self.import.add_ancestor(self.id, ancestor).await?);
            }
            ArchiveLine::Output { depth, revision, output } => self.output(depth, revision, &output).await?,
            ArchiveLine::Usage(usage) => self.import.add_usage(self.id, &usage_row(usage)).await?,
            ArchiveLine::Message { depth, revision, message } => {
                if self.messages.depth != depth {
                    self.flush().await?;
                    self.messages.depth = depth;
                }
                if self.messages.rows.is_empty() {
                    self.messages.first_line = number;
                }
                self.messages.rows.push(ImportedMessage { revision, message });
            }
            ArchiveLine::Log { depth, log } => {
                if self.logs.depth != depth {
                    self.flush().await?;
                    self.logs.depth = depth;
                }
                self.logs.rows.push(log);
            }
            ArchiveLine::Memory { memory } => {
                if !self.messages.rows.is_empty() || !self.logs.rows.is_empty() {
                    self.flush().await?;
                }
                self.memory(memory, number).await?;
            }
        }
        let rows = self.events.len().max(self.messages.rows.len()).max(self.logs.rows.len());
        if self.bytes >= BYTES || rows >= ROWS {
            self.flush().await?;
        }
        Ok(())
    }

    /// Commits the session in the state after its events.
    pub async fn commit(mut self, state: &Session) -> Result<Session, ImportError> {
        let mut last = state.clone();
        self.hold_run(&mut last).await?;
        self.flush().await?;
        let first = self.first.ok_or(StorageError::SessionGone)?;
        last.id = first.id;
        // Nodes may have been added to the graph of the first state.
        if self.is_restored {
            self.import.note_restored(first.id).await?;
        }
        let graph = last.origin.graph.clone();
        last.origin = Arc::new(Origin { graph, ..Origin::clone(&first.origin) });
        self.import.commit(&first, &last).await?;
        Ok(last)
    }

    /// A run that this server's engine would continue at once is held until it is resumed.
    async fn hold_run(&mut self, last: &mut Session) -> Result<(), ImportError> {
        if last.origin.driver != Driver::Builtin || !last.status.is_live() || last.is_held() {
            return Ok(());
        }
        let at = Timestamp::now().max(last.updated_at);
        let event = Event::Paused { held: true };
        let recorded = Recorded { session_id: last.id, revision: last.revision + 1, at, by: None, event };
        last.apply(&recorded).map_err(StorageError::from)?;
        self.event(recorded).await
    }

    async fn event(&mut self, mut recorded: Recorded) -> Result<(), ImportError> {
        recorded.session_id = self.id;
        match &mut recorded.event {
            Event::Created(created) => {
                self.keep_what_exists(created).await?;
                let first = Session::create_new(&recorded).map_err(StorageError::from)?;
                let row = Session { is_released: self.is_released, ..first };
                let stored = self.import.add_session(row, self.key.as_deref()).await?;
                self.first = Some(Session { is_released: false, ..stored });
            }
            Event::MemoryAdded(added) => added.memory_id = self.renamed(added.memory_id),
            _ => {}
        }
        self.events.push(recorded);
        Ok(())
    }

    /// References to groups, workflows and a parent that are not on this server are removed.
    async fn keep_what_exists(&mut self, created: &mut Created) -> Result<(), StorageError> {
        if let Some(id) = created.group_id
            && !self.import.has_group(id).await?
        {
            created.group_id = None;
        }
        if let Some(id) = created.workflow_id
            && !self.import.has_workflow(id).await?
        {
            created.workflow_id = None;
        }
        if let Some(id) = created.parent_session_id
            && !self.is_released
            && !self.import.has_room_below(id).await?
        {
            (created.parent_session_id, created.parent_node_id) = (None, None);
        }
        Ok(())
    }

    async fn output(&mut self, depth: u32, revision: Revision, output: &serde_json::Value) -> Result<(), ImportError> {
        let ancestor = depth.checked_sub(1).and_then(|place| self.ancestors.get(place as usize));
        let Some(ancestor) = ancestor else { return Ok(()) };
        let place = OutputRef { revision, digest: 0, depth };
        Ok(self.import.add_output(*ancestor, place, output).await?)
    }

    async fn memory(&mut self, mut memory: Memory, line: u64) -> Result<(), ImportError> {
        let id = self.renamed(memory.id);
        match self.import.owns_memory(id).await? {
            None => {}
            Some(true) => return Err(ImportFault::Taken(Constraint::TextExists).at(line)),
            Some(false) => return Err(ImportError::ForeignId),
        }
        if let Some(group_id) = memory.group_id
            && !self.import.has_group(group_id).await?
        {
            memory.group_id = None;
        }
        memory.embedding = memory.embedding.filter(|numbers| numbers.len() == self.dimension as usize);
        Ok(self.import.add_memory(id, self.id, &memory).await?)
    }

    async fn flush(&mut self) -> Result<(), ImportError> {
        self.bytes = 0;
        if !self.events.is_empty() {
            self.import.add_events(&self.events).await?;
            self.events.clear();
        }
        self.flush_messages().await?;
        self.flush_logs().await
    }

    async fn flush_logs(&mut self) -> Result<(), ImportError> {
        let rows = std::mem::take(&mut self.logs.rows);
        if rows.is_empty() {
            return Ok(());
        }
        let Some(place) = self.logs.depth.checked_sub(1) else {
            return Ok(self.import.add_logs(self.id, &rows).await?);
        };
        let Some(ancestor) = self.ancestors.get(place as usize) else { return Ok(()) };
        Ok(self.import.add_inherited_logs(*ancestor, &rows).await?)
    }

    async fn flush_messages(&mut self) -> Result<(), ImportError> {
        let Messages { depth, rows, first_line } = std::mem::take(&mut self.messages);
        self.messages.depth = depth;
        if rows.is_empty() {
            return Ok(());
        }
        if let Some(place) = depth.checked_sub(1) {
            let Some(ancestor) = self.ancestors.get(place as usize) else { return Ok(()) };
            return Ok(self.import.add_inherited_messages(*ancestor, &rows).await?);
        }
        // Ids of messages are unique within a session, so a duplicate can only come from the file itself.
        let taken = self.import.taken_messages(self.id, &rows).await?;
        if let Some(place) = rows.iter().position(|row| taken.iter().any(|id| id == row.message.id.as_str())) {
            return Err(ImportFault::Taken(Constraint::TextExists).at(first_line + place as u64));
        }
        Ok(self.import.add_messages(self.id, &rows).await?)
    }

    /// The id on this server for an id in the file: the same wherever it occurs.
    fn renamed(&self, id: Uuid) -> Uuid {
        if !self.renames {
            return id;
        }
        let mut hash = Sha256::new();
        hash.update(self.id.0.as_bytes());
        hash.update(id.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

fn usage_row(usage: ArchiveUsage) -> UsageRow {
    let ArchiveUsage { node_id, agent_id, model, calls, input_tokens, output_tokens, cost_usd } = usage;
    UsageRow { node_id, agent_id, model, calls, input_tokens, output_tokens, cost_usd }
}
