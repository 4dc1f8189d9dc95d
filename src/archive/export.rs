//! A session as a stream of lines.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::Serialize;
use tokio_util::task::AbortOnDropHandle;

use super::checksum::RunningChecksum;
use crate::storage::{
    Ancestor, MessageCursor, PageCursor, PageSize, PlacedLog, PlacedMessage, Storage, StorageError, StoredEvent,
    UsageRow,
};
use relive_protocol::{ARCHIVE_FORMAT, ARCHIVE_VERSION, ArchiveCounts, ArchiveHeader, ArchiveLine, ArchiveUsage};
use relive_session::{Keyframe, Revision, Session, SessionId, Timestamp};

/// The session up to this state, as lines, some at a time. The next are read on demand: a reader that stops
/// costs the lines it has not read yet, a page of events after them, and nothing in the database.
///
/// An error ends the stream before its last line, so the reader can detect it.
pub fn export(
    storage: Storage,
    session: Arc<Session>,
) -> impl Stream<Item = Result<Bytes, StorageError>> + Send + 'static {
    let export = Export {
        storage,
        session,
        checksum: RunningChecksum::default(),
        at: Timestamp::now(),
        counts: ArchiveCounts::default(),
        size: PageSize::default(),
        ahead: None,
    };
    stream::try_unfold((export, Step::Header), |(mut export, step)| async move {
        let mut out = Vec::new();
        let next = export.write(step, &mut out).await?;
        Ok(next.map(|next| (Bytes::from(out), (export, next))))
    })
}

struct Export {
    storage: Storage,
    session: Arc<Session>,
    checksum: RunningChecksum,
    at: Timestamp,
    /// Lines written so far.
    counts: ArchiveCounts,
    size: PageSize,
    /// The events after those that are being written.
    ahead: Option<AbortOnDropHandle<EventsRead>>,
}

/// A page of events, and the size of the next one.
type EventsRead = Result<(Vec<StoredEvent>, PageSize), StorageError>;

/// What to write next.
enum Step {
    Header,
    Events {
        after: Revision,
    },
    /// Ancestors, and usage and outputs from before the fork.
    Inherited,
    Messages {
        after: Option<MessageCursor>,
    },
    Logs {
        after: Option<MessageCursor>,
    },
    Memories {
        after: Option<PageCursor>,
    },
    End,
    Done,
}

impl Export {
    /// Writes a step, or a page of it; returns the next step, `None` at the end.
    async fn write(&mut self, step: Step, out: &mut Vec<u8>) -> Result<Option<Step>, StorageError> {
        Ok(Some(match step {
            Step::Header => {
                self.header(out).await?;
                Step::Events { after: 0 }
            }
            Step::Events { after } => self.events(after, out).await?,
            Step::Inherited => {
                self.inherited(out).await?;
                Step::Messages { after: None }
            }
            Step::Messages { after } => self.messages(after, out).await?,
            Step::Logs { after } => self.logs(after, out).await?,
            Step::Memories { after } => self.memories(after, out).await?,
            Step::End => {
                let sha256 = self.checksum.sha256();
                self.line(&ArchiveLine::End { counts: self.counts, sha256 }, out);
                Step::Done
            }
            Step::Done => return Ok(None),
        }))
    }

    fn line(&mut self, line: &impl Serialize, out: &mut Vec<u8>) {
        // The lines' keys are texts and their numbers finite: encoding cannot fail otherwise.
        self.checksum.write(&serde_json::to_vec(line).unwrap_or_default(), out);
    }

    async fn header(&mut self, out: &mut Vec<u8>) -> Result<(), StorageError> {
        let session = &self.session;
        let (messages, logs, memories) = self.storage.export_counts(session.id, session.revision).await?;
        let header = ArchiveHeader {
            format: ARCHIVE_FORMAT.to_owned(),
            version: ARCHIVE_VERSION,
            exported_at: self.at,
            session: serde_json::to_value(session.snapshot()).unwrap_or_default(),
            graph: session.origin.graph.as_deref().cloned(),
            counts: ArchiveCounts { events: session.revision, messages, logs, memories },
        };
        self.line(&ArchiveLine::Header(Box::new(header)), out);
        Ok(())
    }

    async fn events(&mut self, after: Revision, out: &mut Vec<u8>) -> Result<Step, StorageError> {
        let (id, up_to) = (self.session.id, self.session.revision);
        let begun = match self.ahead.take() {
            // If the task has failed, the page is read again.
            Some(page) => page.await.ok(),
            None => None,
        };
        let (page, size) = match begun {
            Some(page) => page?,
            None => self.events_after(after).await?,
        };
        self.size = size;
        // Deleted meanwhile, if there are none.
        let last = page.last().ok_or(StorageError::SessionGone)?.revision;
        if last < up_to {
            self.ahead = Some(AbortOnDropHandle::new(tokio::spawn(self.events_after(last))));
        }
        for event in &page {
            self.checksum.write(event_line(id, event).as_bytes(), out);
        }
        self.counts.events += page.len() as u64;
        Ok(if last < up_to { Step::Events { after: last } } else { Step::Inherited })
    }

    fn events_after(&self, after: Revision) -> impl Future<Output = EventsRead> + Send + 'static {
        let (storage, id, up_to, mut size) = (self.storage.clone(), self.session.id, self.session.revision, self.size);
        async move {
            let page = storage.export_events(id, after, up_to, &mut size).await?;
            Ok((page, size))
        }
    }

    async fn inherited(&mut self, out: &mut Vec<u8>) -> Result<(), StorageError> {
        let id = self.session.id;
        if self.session.origin.parent_id.is_none() {
            return Ok(());
        }
        for Ancestor { depth, session_id, revision } in self.storage.ancestors(id).await? {
            self.line(&ArchiveLine::Ancestor { depth, session_id, revision }, out);
        }
        let first = self.storage.session_at(id, 1).await?.ok_or(StorageError::SessionGone)?;
        let mut places: Vec<_> = Keyframe::of(&first).outputs().collect();
        places.sort_by_key(|place| (place.depth, place.revision));
        for place in places {
            let output = self.storage.output(id, place).await?.ok_or(StorageError::SessionGone)?;
            self.line(&ArchiveLine::Output { depth: place.depth, revision: place.revision, output }, out);
        }
        for row in self.storage.inherited_usage(id).await? {
            self.line(&ArchiveLine::Usage(usage_line(row)), out);
        }
        Ok(())
    }

    async fn messages(&mut self, after: Option<MessageCursor>, out: &mut Vec<u8>) -> Result<Step, StorageError> {
        let page = self.storage.export_messages(self.session.id, after, &mut self.size).await?;
        let next = page.last().map(PlacedMessage::cursor);
        for PlacedMessage { depth, revision, message } in page {
            // Added since the export began.
            if depth == 0 && revision > self.session.revision {
                return Ok(Step::Logs { after: None });
            }
            self.line(&ArchiveLine::Message { depth, revision, message }, out);
            self.counts.messages += 1;
        }
        Ok(if next.is_some() { Step::Messages { after: next } } else { Step::Logs { after: None } })
    }

    async fn logs(&mut self, after: Option<MessageCursor>, out: &mut Vec<u8>) -> Result<Step, StorageError> {
        let page = self.storage.export_logs(self.session.id, after, &mut self.size).await?;
        let next = page.last().map(PlacedLog::cursor);
        for PlacedLog { depth, log } in page {
            // Added since the export began.
            if depth == 0 && log.revision > self.session.revision {
                return Ok(Step::Memories { after: None });
            }
            self.line(&ArchiveLine::Log { depth, log }, out);
            self.counts.logs += 1;
        }
        Ok(if next.is_some() { Step::Logs { after: next } } else { Step::Memories { after: None } })
    }

    async fn memories(&mut self, after: Option<PageCursor>, out: &mut Vec<u8>) -> Result<Step, StorageError> {
        let page = self.storage.export_memories(self.session.id, after, self.at, &mut self.size).await?;
        let next = page.last().map(|memory| PageCursor { created_at: memory.created_at, id: memory.id });
        for memory in page {
            self.line(&ArchiveLine::Memory { memory }, out);
            self.counts.memories += 1;
        }
        Ok(if next.is_some() { Step::Memories { after: next } } else { Step::End })
    }
}

/// As [`ArchiveLine::Event`] is written, with the event's JSON as it is stored.
fn event_line(id: SessionId, StoredEvent { revision, at, by, event, .. }: &StoredEvent) -> String {
    // The texts of an actor are bounded, and JSON has a word for each.
    let by = by.as_deref().and_then(|by| serde_json::to_string(by).ok());
    let by = by.map(|by| format!(r#""by":{by},"#)).unwrap_or_default();
    format!(r#"{{"type":"event","sessionId":"{id}","revision":{revision},"at":"{at}",{by}"event":{event}}}"#)
}

fn usage_line(row: UsageRow) -> ArchiveUsage {
    let UsageRow { node_id, agent_id, model, calls, input_tokens, output_tokens, cost_usd } = row;
    ArchiveUsage { node_id, agent_id, model, calls, input_tokens, output_tokens, cost_usd }
}
