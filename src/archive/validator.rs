//! Validates that the lines of a file are those of one whole session.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};

use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use super::checksum::RunningChecksum;
use super::error::ImportFault;
use crate::storage::Ancestor;
use relive_protocol::{ARCHIVE_FORMAT, ARCHIVE_VERSION, ArchiveCounts, ArchiveHeader, ArchiveLine, ArchiveUsage};
use relive_session::{
    Command, Event, Log, LogAdded, LogLevel, Memory, Message, MessageAdded, NodeId, OutputRef, Recorded, Refusal,
    Revision, Session, SessionId, Timestamp, check_command, check_created, check_embedding, check_log, check_message,
    limits,
};

/// Checks lines in order and reports the first fault.
///
/// It holds the state so far and, for each message and log line, eight bytes from its event to its own line.
#[derive(Debug)]
pub(super) struct ImportValidator {
    dimension: u32,
    section: Section,
    id: SessionId,
    header: Option<Box<ArchiveHeader>>,
    state: Option<Session>,
    counts: ArchiveCounts,
    /// Fingerprints of the messages whose events were seen, and the key that they are made with.
    announced: VecDeque<u64>,
    /// The same of log lines.
    announced_logs: VecDeque<u64>,
    fingerprints: RandomState,
    ancestors: Vec<Ancestor>,
    /// Outputs from before the fork that have not arrived yet.
    outputs: BTreeMap<(u32, Revision), OutputRef>,
    last_output: (u32, Revision),
    /// Tokens and cost before the fork, by the state and as the sum of the lines.
    inherited: (u64, Decimal),
    used: (u64, Decimal),
    last_usage: Option<(String, String, String)>,
    /// The depth and time of the last message: those of the most distant ancestor come first.
    last_message: Option<(u32, Revision, Timestamp)>,
    /// The depth and revision of the last log line, in the same order.
    last_log: Option<(u32, Revision)>,
    last_memory: Option<(Timestamp, Uuid)>,
}

/// The kinds of lines, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Header,
    Events,
    Ancestors,
    Outputs,
    Usage,
    Messages,
    Logs,
    Memories,
    End,
}

fn contradiction<T>(what: &'static str) -> Result<T, ImportFault> {
    Err(ImportFault::Contradiction(what))
}

impl ImportValidator {
    /// `dimension`: the number of dimensions of an embedding on this server.
    pub fn new(dimension: u32) -> Self {
        Self {
            dimension,
            section: Section::Header,
            id: SessionId(Uuid::nil()),
            header: None,
            state: None,
            counts: ArchiveCounts::default(),
            announced: VecDeque::new(),
            announced_logs: VecDeque::new(),
            fingerprints: RandomState::new(),
            ancestors: Vec::new(),
            outputs: BTreeMap::new(),
            last_output: (0, 0),
            inherited: (0, Decimal::ZERO),
            used: (0, Decimal::ZERO),
            last_usage: None,
            last_message: None,
            last_log: None,
            last_memory: None,
        }
    }

    /// The state after the events so far.
    pub fn state(&self) -> Option<&Session> {
        self.state.as_ref()
    }

    /// The session's id in the file.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The lines so far.
    pub fn counts(&self) -> ArchiveCounts {
        self.counts
    }

    pub fn is_done(&self) -> bool {
        self.section == Section::End
    }

    /// Checks the next line; `before` is the checksum of all lines before it. An embedding of another dimension
    /// than this server's is not checked.
    pub fn check_line(&mut self, line: &ArchiveLine, before: &RunningChecksum) -> Result<(), ImportFault> {
        self.enter(section_of(line))?;
        match line {
            ArchiveLine::Header(header) => self.header(header),
            ArchiveLine::Event(recorded) => self.event(recorded),
            ArchiveLine::Ancestor { depth, session_id, revision } => {
                self.ancestor(Ancestor { depth: *depth, session_id: *session_id, revision: *revision })
            }
            ArchiveLine::Output { depth, revision, output } => self.output((*depth, *revision), output),
            ArchiveLine::Usage(usage) => self.usage(usage),
            ArchiveLine::Message { depth, revision, message } => self.message(*depth, *revision, message),
            ArchiveLine::Log { depth, log } => self.log(*depth, log),
            ArchiveLine::Memory { memory } => self.memory(memory),
            ArchiveLine::End { counts, sha256: written } => {
                if *counts != self.counts || *written != before.sha256() {
                    return contradiction("the counts or the checksum are not those of the lines before");
                }
                Ok(())
            }
        }
    }

    /// Advances to the section of the next line, if the sections in between are complete.
    fn enter(&mut self, next: Section) -> Result<(), ImportFault> {
        let is_first = self.header.is_none();
        if is_first != (next == Section::Header) {
            return Err(if is_first { ImportFault::NoHeader } else { ImportFault::Misplaced });
        }
        if next < self.section || self.section == Section::End {
            return Err(ImportFault::Misplaced);
        }
        let here = self.section;
        let leaves = |section| here <= section && section < next;
        if leaves(Section::Events) {
            self.check_state()?;
        }
        if leaves(Section::Ancestors) && self.is_fork() == self.ancestors.is_empty() {
            return contradiction("a fork, and only a fork, has ancestors");
        }
        if leaves(Section::Outputs) && !self.outputs.is_empty() {
            return contradiction("an output from before the fork is missing");
        }
        if leaves(Section::Usage) && self.used != self.inherited {
            return contradiction("the usage before the fork is not what the state says");
        }
        if leaves(Section::Messages) && !self.announced.is_empty() {
            return contradiction("a message is missing");
        }
        if leaves(Section::Logs) && !self.announced_logs.is_empty() {
            return contradiction("a log line is missing");
        }
        self.section = next;
        Ok(())
    }

    fn is_fork(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.origin.parent_id.is_some())
    }

    fn header(&mut self, header: &ArchiveHeader) -> Result<(), ImportFault> {
        if header.format != ARCHIVE_FORMAT {
            return Err(ImportFault::NoHeader);
        }
        if header.version != ARCHIVE_VERSION {
            return Err(ImportFault::Version(header.version));
        }
        let id = header.session.get("id").and_then(Value::as_str).and_then(|id| id.parse().ok());
        let Some(id) = id else { return contradiction("the session has no id") };
        self.id = id;
        self.header = Some(Box::new(header.clone()));
        Ok(())
    }

    fn event(&mut self, recorded: &Recorded) -> Result<(), ImportFault> {
        match &mut self.state {
            Some(state) => state.apply_verified(recorded)?,
            None => self.first_event(recorded)?,
        }
        match &recorded.event {
            Event::MessageAdded(added) => {
                let fingerprint = self.fingerprint(recorded.revision, recorded.at, added);
                self.announced.push_back(fingerprint);
            }
            Event::LogAdded(LogAdded { node_id, level, at, row: _ }) => {
                let at = at.unwrap_or(recorded.at);
                self.announced_logs.push_back(self.log_fingerprint(recorded.revision, node_id, *level, at));
            }
            _ => {}
        }
        self.counts.events += 1;
        Ok(())
    }

    fn first_event(&mut self, recorded: &Recorded) -> Result<(), ImportFault> {
        if recorded.session_id != self.id {
            return contradiction("the event belongs to another session");
        }
        let state = Session::create(recorded)?;
        let Event::Created(created) = &recorded.event else { return Err(ImportFault::Misplaced) };
        check_created(created)?;
        if let Some(forked) = &created.forked {
            for place in forked.state.outputs() {
                if self.outputs.insert((place.depth, place.revision), place).is_some() {
                    return contradiction("two nodes have the same output");
                }
            }
            self.inherited = forked.state.totals();
        }
        self.state = Some(state);
        Ok(())
    }

    /// The header shows the state after all events. It may leave out members.
    fn check_state(&mut self) -> Result<(), ImportFault> {
        let (Some(header), Some(state)) = (&mut self.header, &self.state) else {
            return contradiction("there are no events");
        };
        let snapshot = serde_json::to_value(state.snapshot()).unwrap_or_default();
        let shown = header.session.take();
        if !says_no_more(&shown, &snapshot) || shown.get("revision") != snapshot.get("revision") {
            return contradiction("the events do not lead to the state in the header");
        }
        if header.graph.take().as_ref() != state.origin.graph.as_deref() {
            return contradiction("the graph in the header is not that of the first event");
        }
        Ok(())
    }

    fn ancestor(&mut self, ancestor: Ancestor) -> Result<(), ImportFault> {
        let Some(state) = &self.state else { return Err(ImportFault::Misplaced) };
        let origin = &state.origin;
        if ancestor.depth as usize != self.ancestors.len() + 1 {
            return contradiction("ancestors come by their depth, from 1 on");
        }
        let parent = (Some(ancestor.session_id), Some(ancestor.revision));
        if ancestor.depth == 1 && parent != (origin.parent_id, origin.forked_from_revision) {
            return contradiction("the first ancestor is the session that this one was forked from");
        }
        if ancestor.depth as usize > limits::FORKS {
            return Err(Refusal::TooLarge { what: "the number of forks in a line", limit: limits::FORKS }.into());
        }
        self.ancestors.push(ancestor);
        Ok(())
    }

    fn output(&mut self, place: (u32, Revision), output: &Value) -> Result<(), ImportFault> {
        if self.last_output >= place {
            return contradiction("outputs come by depth and revision");
        }
        self.last_output = place;
        relive_session::check_json("output", output)?;
        match self.outputs.remove(&place) {
            Some(known) if known.is_of(output) && known.depth as usize <= self.ancestors.len() => Ok(()),
            _ => contradiction("no node has this output"),
        }
    }

    fn usage(&mut self, usage: &ArchiveUsage) -> Result<(), ImportFault> {
        check_command(&Command::RecordUsage {
            node_id: usage.node_id.clone(),
            agent_id: usage.agent_id.clone(),
            model: usage.model.clone(),
            input_tokens: 0,
            output_tokens: 0,
            cached_input_tokens: None,
            reasoning_tokens: None,
            cost_usd: None,
        })?;
        let named = |name: &Option<String>| name.clone().unwrap_or_default();
        let key = (usage.node_id.to_string(), named(&usage.agent_id), named(&usage.model));
        if self.last_usage.as_ref().is_some_and(|last| *last >= key) {
            return contradiction("usage comes by node, agent and model");
        }
        self.last_usage = Some(key);
        self.used.0 = self.used.0.saturating_add(usage.input_tokens).saturating_add(usage.output_tokens);
        self.used.1 = self.used.1.saturating_add(usage.cost_usd);
        Ok(())
    }

    fn message(&mut self, depth: u32, revision: Revision, message: &Message) -> Result<(), ImportFault> {
        check_message(message)?;
        if let Some((last_depth, last_revision, at)) = self.last_message {
            let follows = depth < last_depth || (depth == last_depth && revision > last_revision);
            if !follows || message.created_at < at {
                return contradiction("messages come in the order in which they were said");
            }
        }
        self.last_message = Some((depth, revision, message.created_at));
        self.counts.messages += 1;
        let said_in = match depth.checked_sub(1) {
            None => {
                let added = added_by(message);
                let fingerprint = self.fingerprint(revision, message.created_at, &added);
                if self.announced.pop_front() != Some(fingerprint) {
                    return contradiction("the message is not the one that its event added");
                }
                Some(self.id)
            }
            Some(place) => self.ancestor_with(place, revision),
        };
        if said_in == Some(message.session_id) { Ok(()) } else { contradiction("the message was said elsewhere") }
    }

    /// The session in whose history this revision of an ancestor is.
    fn ancestor_with(&self, place: u32, revision: Revision) -> Option<SessionId> {
        let ancestor = self.ancestors.get(place as usize);
        ancestor.filter(|ancestor| revision <= ancestor.revision).map(|ancestor| ancestor.session_id)
    }

    fn fingerprint(&self, revision: Revision, at: Timestamp, added: &MessageAdded) -> u64 {
        let MessageAdded {
            message_id,
            node_id,
            agent_id,
            agent_name,
            role,
            is_thinking,
            token_count,
            tool_call_id,
            content_type,
            content: _,
            tool_calls: _,
        } = added;
        let said = (message_id, node_id, agent_id, agent_name, role.as_str(), is_thinking, token_count);
        self.fingerprints.hash_one((revision, at, said, tool_call_id, content_type))
    }

    fn log(&mut self, depth: u32, log: &Log) -> Result<(), ImportFault> {
        check_log(log)?;
        let revision = log.revision;
        let follows = |(last_depth, last_revision): (u32, Revision)| {
            depth < last_depth || (depth == last_depth && revision > last_revision)
        };
        if !self.last_log.is_none_or(follows) {
            return contradiction("log lines come in the order in which they were recorded");
        }
        self.last_log = Some((depth, revision));
        self.counts.logs += 1;
        let written_in = match depth.checked_sub(1) {
            None => {
                let fingerprint = self.log_fingerprint(revision, &log.node_id, log.level, log.at);
                if self.announced_logs.pop_front() != Some(fingerprint) {
                    return contradiction("the log line is not the one that its event added");
                }
                Some(self.id)
            }
            Some(place) => self.ancestor_with(place, revision),
        };
        if written_in == Some(log.session_id) { Ok(()) } else { contradiction("the log line was written elsewhere") }
    }

    fn log_fingerprint(&self, revision: Revision, node_id: &NodeId, level: LogLevel, at: Timestamp) -> u64 {
        self.fingerprints.hash_one((revision, node_id, level, at))
    }

    fn memory(&mut self, memory: &Memory) -> Result<(), ImportFault> {
        check_command(&Command::AddMemory {
            memory_id: None,
            agent_id: memory.agent_id.clone(),
            content: memory.content.clone(),
            embedding: None,
            metadata: memory.metadata.clone(),
        })?;
        if memory.session_id != Some(self.id) {
            return contradiction("the memory belongs to another session");
        }
        let place = (memory.created_at, memory.id);
        if self.last_memory.is_some_and(|last| last >= place) {
            return contradiction("memories come by time and id");
        }
        self.last_memory = Some(place);
        self.counts.memories += 1;
        let is_comparable = |numbers: &&[f32]| numbers.len() == self.dimension as usize;
        let comparable = memory.embedding.as_deref().filter(is_comparable);
        comparable.map_or(Ok(()), |numbers| check_embedding(numbers, self.dimension))?;
        Ok(())
    }
}

fn section_of(line: &ArchiveLine) -> Section {
    match line {
        ArchiveLine::Header(_) => Section::Header,
        ArchiveLine::Event(_) => Section::Events,
        ArchiveLine::Ancestor { .. } => Section::Ancestors,
        ArchiveLine::Output { .. } => Section::Outputs,
        ArchiveLine::Usage(_) => Section::Usage,
        ArchiveLine::Message { .. } => Section::Messages,
        ArchiveLine::Log { .. } => Section::Logs,
        ArchiveLine::Memory { .. } => Section::Memories,
        ArchiveLine::End { .. } => Section::End,
    }
}

/// The event that adds a message.
fn added_by(message: &Message) -> MessageAdded {
    MessageAdded {
        message_id: message.id.clone(),
        node_id: message.node_id.clone(),
        agent_id: message.agent_id.clone(),
        agent_name: message.agent_name.clone(),
        role: message.role,
        is_thinking: message.is_thinking,
        token_count: message.token_count,
        tool_call_id: message.tool_call_id.clone(),
        content_type: message.content_type,
        content: None,
        tool_calls: None,
    }
}

/// Whether everything in `shown` is in `whole` with the same value.
fn says_no_more(shown: &Value, whole: &Value) -> bool {
    match (shown, whole) {
        (Value::Object(shown), Value::Object(whole)) => {
            shown.iter().all(|(key, value)| whole.get(key).is_some_and(|held| says_no_more(value, held)))
        }
        (shown, whole) => shown == whole,
    }
}
