//! Spans are written into their sessions.

use std::collections::HashSet;
use std::num::{NonZeroU64, NonZeroU128};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use uuid::Builder;

use super::decode::Export;
use super::mapping::{SpanCommands, TraceMapping};
use super::rejected::Rejected;
use super::span::{TraceId, TraceSpan};
use super::values::{cut, text};
use crate::access::Action;
use crate::hub::{HubError, Submission};
use crate::scoped::{Refused, Scoped};
use crate::storage::{Constraint, Storage};
use relive_session::{Command, Created, Driver, NodeId, ProjectId, Refusal, Session, SessionId, TraceParent, limits};

/// Commands in one array.
const ARRAY: usize = 900;
/// Bytes of one array, about.
const ARRAY_BYTES: usize = 1024 * 1024;
/// How often spans are planned again because another server was faster.
const ATTEMPTS: u32 = 20;

/// Takes traces. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Traces {
    storage: Storage,
    idle: Duration,
}

impl Traces {
    /// A trace is over when its root span has ended and nothing came for `idle`.
    #[must_use]
    pub fn new(storage: Storage, idle: Duration) -> Self {
        Self { storage, idle }
    }

    /// Stores the spans of an export, for the project of its caller. Returns the spans that cannot be stored.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the caller may not, or the database is away. The whole export may be sent again: what is
    /// stored is not stored twice.
    pub async fn store(&self, scoped: &Scoped, export: Export) -> Result<Option<Rejected>, Refused> {
        let sorted = export.sorted();
        let mut rejected = Rejected::default();
        rejected.add(sorted.invalid, "a span needs a trace id of 16 bytes and a span id of 8 bytes, not all zero");
        for (trace, spans) in sorted.traces {
            self.store_trace(scoped, trace, &spans, &mut rejected).await?;
        }
        Ok(rejected.reported())
    }

    async fn store_trace(
        &self,
        scoped: &Scoped,
        trace: TraceId,
        spans: &[TraceSpan],
        rejected: &mut Rejected,
    ) -> Result<(), Refused> {
        let id = session_id(scoped.project(), trace);
        let mut refused = HashSet::new();
        for _ in 0..ATTEMPTS {
            let session = match self.session(scoped, id, trace, spans).await {
                Err(Refused::Hub(HubError::Constraint(Constraint::SessionArchived))) => {
                    rejected.add(spans.len(), format!("the session of trace {} is in the archive", trace.0.simple()));
                    return Ok(());
                }
                found => found?,
            };
            if session.status.is_ended() {
                let late = spans.iter().filter(|span| !session.nodes.contains_key(&span.id)).count();
                rejected.add(late, format!("the session of trace {} has ended", trace.0.simple()));
                return Ok(());
            }
            let planned = TraceMapping::commands(&session, spans);
            match write(scoped, &session, planned, &mut refused, rejected).await {
                Err(Refused::Hub(HubError::Refused(Refusal::RevisionConflict { .. }))) => {}
                outcome => return outcome,
            }
        }
        Err(HubError::Unavailable.into())
    }

    /// The session of a trace. The first of its spans that come make it.
    async fn session(
        &self,
        scoped: &Scoped,
        id: SessionId,
        trace: TraceId,
        spans: &[TraceSpan],
    ) -> Result<Arc<Session>, Refused> {
        match scoped.session_for(id, Action::Command).await {
            Err(Refused::Hub(HubError::NotFound)) => {}
            found => return found,
        }
        // First, so that no crash leaves a session that nobody ends.
        self.storage.note_open_trace(scoped.project(), id, self.idle).await.map_err(HubError::from)?;
        match scoped.create(id, created(trace, spans), None, Action::CreateSession).await {
            Err(Refused::Hub(HubError::Constraint(Constraint::SessionExists))) => {
                scoped.session_for(id, Action::Command).await
            }
            made => made,
        }
    }
}

/// The session of a trace: of the default project the trace's id itself, of others one that is derived from both,
/// as parts of one trace may be sent to several projects.
fn session_id(project: &ProjectId, TraceId(trace): TraceId) -> SessionId {
    if *project == ProjectId::default_project() {
        SessionId(trace)
    } else {
        let digest = Sha256::new().chain_update(trace).chain_update(project.as_str()).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        SessionId(Builder::from_custom_bytes(bytes).into_uuid())
    }
}

fn created(trace: TraceId, spans: &[TraceSpan]) -> Created {
    let find = |name: &str| {
        let own = spans.iter().find_map(|span| span.attributes.get(name));
        own.or_else(|| spans.iter().find_map(|span| span.resource.get(name)))
    };
    let mut metadata = Map::new();
    metadata.insert("trace.id".to_owned(), trace.0.simple().to_string().into());
    for name in ["service.name", "session.id", "user.id", "gen_ai.conversation.id", "deployment.environment.name"] {
        if let Some(value) = find(name) {
            metadata.insert(name.to_owned(), cut(text(value), limits::NAME_BYTES).into());
        }
    }
    Created {
        driver: Driver::External,
        workflow_name: find("service.name").map(|name| cut(text(name), limits::NAME_BYTES)),
        tags: tags(find("tag.tags")),
        metadata: Some(metadata),
        traceparent: traceparent(trace, spans),
        ..Created::default()
    }
}

/// The root span, or the first one while the root is not known.
fn traceparent(trace: TraceId, spans: &[TraceSpan]) -> Option<TraceParent> {
    let first = spans.iter().find(|span| span.parent.is_none()).or_else(|| spans.first())?;
    let span_id = u64::from_str_radix(first.id.as_str(), 16).ok()?;
    Some(TraceParent::new(NonZeroU128::new(trace.0.as_u128())?, NonZeroU64::new(span_id)?, true))
}

fn tags(value: Option<&Value>) -> Option<Vec<String>> {
    let words = value?.as_array()?.iter().filter_map(Value::as_str);
    let is_tag = |word: &&str| {
        (1..=limits::TAG_CHARACTERS).contains(&word.chars().count()) && !word.chars().any(char::is_control)
    };
    let mut tags: Vec<String> = Vec::new();
    for word in words.filter(is_tag) {
        if tags.len() < limits::TAGS && !tags.iter().any(|tag| tag == word) {
            tags.push(word.to_owned());
        }
    }
    (!tags.is_empty()).then_some(tags)
}

/// Sends planned commands, in arrays, each on the condition that the session is as the last one left it.
async fn write(
    scoped: &Scoped,
    session: &Session,
    planned: Vec<SpanCommands>,
    refused: &mut HashSet<NodeId>,
    rejected: &mut Rejected,
) -> Result<(), Refused> {
    let mut writer = Writer { scoped, session, revision: session.revision };
    if session.status == relive_session::SessionStatus::Pending {
        writer.send(vec![Command::Start]).await?;
    }
    let planned = planned.into_iter().filter(|planned| planned.span.as_ref().is_none_or(|id| !refused.contains(id)));
    for array in arrays(session.id, planned) {
        let together = array.iter().flat_map(|span| span.commands.iter().cloned()).collect();
        match writer.send(together).await {
            Err(Refused::Hub(HubError::Refused(refusal))) if !matches!(refusal, Refusal::RevisionConflict { .. }) => {}
            outcome => {
                outcome?;
                continue;
            }
        }
        // One of them is beyond a limit of the session: each is sent alone.
        for SpanCommands { span, commands } in array {
            match writer.send_below_any(commands).await {
                Err(Refused::Hub(HubError::Refused(refusal)))
                    if !matches!(refusal, Refusal::RevisionConflict { .. }) =>
                {
                    // Not again, nor counted again, if another server is faster with the rest.
                    if let Some(span) = span {
                        rejected.add(1, refusal.to_string());
                        refused.insert(span);
                    }
                }
                outcome => outcome?,
            }
        }
    }
    Ok(())
}

struct Writer<'a> {
    scoped: &'a Scoped,
    session: &'a Session,
    revision: u64,
}

impl Writer<'_> {
    /// Sends the commands of a span, at the top if it cannot be where it says: too deep, or below itself.
    async fn send_below_any(&mut self, mut commands: Vec<Command>) -> Result<(), Refused> {
        match self.send(commands.clone()).await {
            Err(Refused::Hub(HubError::Refused(Refusal::Invalid { field: "parentNodeId", .. }))) => {}
            outcome => return outcome,
        }
        for command in &mut commands {
            if let Command::SetNodeStatus { parent_node_id, .. } = command {
                *parent_node_id = None;
            }
        }
        self.send(commands).await
    }

    async fn send(&mut self, commands: Vec<Command>) -> Result<(), Refused> {
        if commands.is_empty() {
            return Ok(());
        }
        let submission = Submission {
            expected_revision: Some(self.revision),
            expected_identity: Some(self.session.identity()),
            ..self.scoped.submission(self.session.id, commands)?
        };
        self.revision = self.scoped.execute(submission).await?.revision;
        Ok(())
    }
}

/// Spans together, as many as fit into one array, and at least one.
fn arrays(id: SessionId, planned: impl Iterator<Item = SpanCommands>) -> Vec<Vec<SpanCommands>> {
    let mut arrays: Vec<Vec<SpanCommands>> = Vec::new();
    let (mut commands, mut bytes) = (0, 0);
    for span in planned {
        let weight = Submission::new(id, span.commands.clone()).weight();
        let fits = commands + span.commands.len() <= ARRAY && bytes + weight <= ARRAY_BYTES;
        if let Some(array) = arrays.last_mut().filter(|_| fits) {
            (commands, bytes) = (commands + span.commands.len(), bytes + weight);
            array.push(span);
        } else {
            (commands, bytes) = (span.commands.len(), weight);
            arrays.push(vec![span]);
        }
    }
    arrays
}
