//! A run as AG-UI shows it: the frames of a viewer, in mode `events` with messages, translated one by one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;

use relive_protocol::ServerFrame;
use relive_session::{
    Event, Message, MessageId, MessageRole, NodeId, NodeStatus, Recorded, Session, SessionStatus, Timestamp, ToolCall,
    patch_between,
};
use serde_json::{Value, json};

use super::calls::CallIds;
use super::events::{AgUiEvent, AgUiOutcome, AgUiUsage, Interrupt, InterruptId, VERSION};
use super::state;
use crate::engine::Prospects;
use crate::ws::{Translate, Translated};

/// Characters of a message that an interrupt repeats.
const QUESTION_CHARACTERS: usize = 4_000;

/// The translation of one stream.
#[derive(Debug)]
#[allow(clippy::struct_field_names, reason = "the names of AG-UI")]
pub struct Run {
    thread_id: String,
    run_id: String,
    /// The state that the client has been shown; `None` before the first event.
    session: Option<Session>,
    /// Its snapshot.
    state: Value,
    /// Of a run of the built-in engine.
    prospects: Option<Prospects>,
    has_begun: bool,
    /// Nodes whose step is not finished.
    steps: BTreeSet<NodeId>,
    /// Messages that are not finished, with the text so far.
    messages: HashMap<MessageId, Open>,
    calls: CallIds,
    /// The newest message of each node: what it asks if it waits.
    questions: HashMap<NodeId, String>,
    /// Tokens of this run by model.
    usage: BTreeMap<Option<String>, (u64, u64)>,
    events: Vec<String>,
    is_last: bool,
}

#[derive(Debug)]
struct Open {
    is_thinking: bool,
    text: String,
}

/// The ids by which the client knows the run.
#[derive(Clone, Debug)]
pub struct RunIds {
    pub thread_id: String,
    pub run_id: String,
}

impl Run {
    /// A run from its first event on.
    pub fn whole(RunIds { thread_id, run_id }: RunIds) -> Self {
        Self {
            thread_id,
            run_id,
            session: None,
            state: Value::Null,
            prospects: None,
            has_begun: false,
            steps: BTreeSet::new(),
            messages: HashMap::new(),
            calls: CallIds::default(),
            questions: HashMap::new(),
            usage: BTreeMap::new(),
            events: Vec::new(),
            is_last: false,
        }
    }

    /// A run that continues from a state, after these calls of tools.
    pub fn from(ids: RunIds, session: Session, calls: &[String]) -> Self {
        let mut run = Self::whole(ids);
        run.calls.note_conversation(&session);
        for id in calls {
            run.calls.begin(id);
        }
        Self { session: Some(session), ..run }
    }

    pub fn with_prospects(self, prospects: Option<Prospects>) -> Self {
        Self { prospects, ..self }
    }

    fn push(&mut self, event: &AgUiEvent<'_>, at: Option<Timestamp>) {
        self.events.push(event.encode(at));
    }

    fn take(&mut self) -> Translated {
        Translated { events: mem::take(&mut self.events), is_last: self.is_last }
    }

    /// The first events, from the state that is known.
    fn begin(&mut self) {
        if mem::replace(&mut self.has_begun, true) {
            return;
        }
        let Some(session) = &self.session else { return };
        let at = Some(session.updated_at);
        self.state = snapshot(session);
        let is_running = |id: &&NodeId| session.node_status(id) == Some(NodeStatus::Running);
        let running: Vec<NodeId> = session.active.iter().filter(is_running).cloned().collect();
        let (thread_id, run_id) = (&*self.thread_id, &*self.run_id);
        let started = AgUiEvent::RunStarted { thread_id, run_id, protocol_version: VERSION }.encode(at);
        let state = AgUiEvent::StateSnapshot { snapshot: &self.state }.encode(at);
        self.events.extend([started, state]);
        running.into_iter().for_each(|node| self.start_step(node, at));
    }

    fn start_step(&mut self, node: NodeId, at: Option<Timestamp>) {
        if !self.steps.contains(&node) {
            self.push(&AgUiEvent::StepStarted { step_name: node.as_str() }, at);
            self.steps.insert(node);
        }
    }

    fn finish_step(&mut self, node: &NodeId, at: Option<Timestamp>) {
        if self.steps.remove(node) {
            self.push(&AgUiEvent::StepFinished { step_name: node.as_str() }, at);
        }
    }

    /// What a change of a node's status is as a step.
    fn step(&mut self, before: &Session, after: &Session, node: &NodeId, at: Option<Timestamp>) {
        let status = |session: &Session| session.reported(node).map(|node| node.status);
        let had_begun = status(before).is_some_and(|status| status != NodeStatus::Pending);
        match status(after) {
            Some(NodeStatus::Running) => self.start_step(node.clone(), at),
            // Engines may report a node only when it has ended.
            Some(NodeStatus::Completed | NodeStatus::Failed) if !had_begun => {
                self.start_step(node.clone(), at);
                self.finish_step(node, at);
            }
            _ => self.finish_step(node, at),
        }
    }

    fn event(&mut self, recorded: &Recorded) -> Result<(), relive_session::ApplyError> {
        let at = Some(recorded.at);
        let Some(before) = self.session.take() else {
            let session = Session::create(recorded)?;
            self.calls.note_conversation(&session);
            self.session = Some(session);
            self.begin();
            return Ok(());
        };
        self.begin_with(before.clone());
        let mut after = before.clone();
        after.apply(recorded)?;
        match &recorded.event {
            Event::NodeStatusChanged { node_id, .. } => self.step(&before, &after, node_id, at),
            Event::UsageRecorded { model, input_tokens, output_tokens, .. } => {
                let (input, output) = self.usage.entry(model.clone()).or_default();
                *input = input.saturating_add(*input_tokens);
                *output = output.saturating_add(*output_tokens);
            }
            _ => {}
        }
        self.show_state(&before, &after, recorded.at);
        self.session = Some(after);
        Ok(())
    }

    fn begin_with(&mut self, session: Session) {
        self.session = Some(session);
        self.begin();
    }

    fn show_state(&mut self, before: &Session, after: &Session, at: Timestamp) {
        if let Ok(patch) = patch_between(before, after) {
            let delta = state::apply(&mut self.state, patch);
            if !delta.is_empty() {
                self.push(&AgUiEvent::StateDelta { delta: &delta }, Some(at));
            }
            return;
        }
        self.state = snapshot(after);
        self.events.push(AgUiEvent::StateSnapshot { snapshot: &self.state }.encode(Some(at)));
    }

    /// A chunk of a message that is being written.
    fn token(&mut self, id: MessageId, is_thinking: bool, text: &str) {
        if !self.messages.contains_key(&id) {
            self.start_message(&id, is_thinking, "assistant", None, None);
        }
        self.write(&id, is_thinking, text, None);
        let open = self.messages.entry(id).or_insert_with(|| Open { is_thinking, text: String::new() });
        open.text.push_str(text);
    }

    /// A message that is complete: what is missing of it, and its end.
    fn message(&mut self, message: &Message) {
        let (id, at) = (&message.id, Some(message.created_at));
        let content: &str = &message.content;
        if let (MessageRole::Tool, Some(call)) = (message.role, &message.tool_call_id) {
            let (message_id, role, tool_call_id) = (id.as_str(), "tool", &*self.calls.newest(call).to_owned());
            return self.push(&AgUiEvent::ToolCallResult { message_id, tool_call_id, content, role }, at);
        }
        match self.messages.remove(id) {
            Some(open) => {
                // A text that does not begin as it was written word by word cannot be taken back.
                let missing = content.strip_prefix(&*open.text).unwrap_or_default();
                self.write(id, open.is_thinking, missing, at);
                self.end_message(id, open.is_thinking, at);
            }
            // It only calls tools.
            None if content.is_empty() && message.tool_calls.is_some() => {}
            None => {
                let role = match message.role {
                    MessageRole::User => "user",
                    MessageRole::Agent | MessageRole::Tool => "assistant",
                    MessageRole::System => "system",
                };
                self.start_message(id, message.is_thinking, role, message.agent_name.as_deref(), at);
                self.write(id, message.is_thinking, content, at);
                self.end_message(id, message.is_thinking, at);
            }
        }
        self.tool_calls(message);
        if !message.is_thinking && !content.is_empty() {
            let question = content.chars().take(QUESTION_CHARACTERS).collect();
            self.questions.insert(message.node_id.clone(), question);
        }
    }

    /// The calls that a message asks for; their results are messages of their own.
    fn tool_calls(&mut self, message: &Message) {
        let at = Some(message.created_at);
        // Calls belong to messages of the assistant only, and thinking is not one.
        let is_assistant = message.role == MessageRole::Agent && !message.is_thinking;
        let parent = is_assistant.then_some(message.id.as_str());
        for ToolCall { id, name, arguments } in message.tool_calls.as_deref().unwrap_or_default() {
            let id = &*self.calls.begin(id);
            let arguments = arguments.as_str().map_or_else(|| arguments.to_string(), str::to_owned);
            let start = AgUiEvent::ToolCallStart { tool_call_id: id, tool_call_name: name, parent_message_id: parent };
            self.push(&start, at);
            self.push(&AgUiEvent::ToolCallArgs { tool_call_id: id, delta: &arguments }, at);
            self.push(&AgUiEvent::ToolCallEnd { tool_call_id: id }, at);
        }
    }

    fn start_message(
        &mut self,
        id: &MessageId,
        is_thinking: bool,
        role: &'static str,
        name: Option<&str>,
        at: Option<Timestamp>,
    ) {
        if is_thinking {
            self.push(&AgUiEvent::ReasoningStart { message_id: id.as_str() }, at);
            self.push(&AgUiEvent::ReasoningMessageStart { message_id: id.as_str(), role: "reasoning" }, at);
        } else {
            self.push(&AgUiEvent::TextMessageStart { message_id: id.as_str(), role, name }, at);
        }
    }

    fn write(&mut self, id: &MessageId, is_thinking: bool, delta: &str, at: Option<Timestamp>) {
        if delta.is_empty() {
            return;
        }
        let event = if is_thinking {
            AgUiEvent::ReasoningMessageContent { message_id: id.as_str(), delta }
        } else {
            AgUiEvent::TextMessageContent { message_id: id.as_str(), delta }
        };
        self.push(&event, at);
    }

    fn end_message(&mut self, id: &MessageId, is_thinking: bool, at: Option<Timestamp>) {
        if is_thinking {
            self.push(&AgUiEvent::ReasoningMessageEnd { message_id: id.as_str() }, at);
            self.push(&AgUiEvent::ReasoningEnd { message_id: id.as_str() }, at);
        } else {
            self.push(&AgUiEvent::TextMessageEnd { message_id: id.as_str() }, at);
        }
    }

    /// Ends what has begun: a run finishes only then.
    fn end_all(&mut self, at: Option<Timestamp>) {
        for (id, open) in mem::take(&mut self.messages) {
            self.end_message(&id, open.is_thinking, at);
        }
        for node in mem::take(&mut self.steps) {
            self.push(&AgUiEvent::StepFinished { step_name: node.as_str() }, at);
        }
    }

    fn finish(&mut self, outcome: Option<AgUiOutcome>) {
        let (at, result) = match &self.session {
            Some(session) => (Some(session.updated_at), session.outputs.clone()),
            None => (None, None),
        };
        self.end_all(at);
        let usage = self.usage.iter().map(|(model, (input_tokens, output_tokens))| AgUiUsage {
            model: model.as_deref(),
            input_tokens: *input_tokens,
            output_tokens: *output_tokens,
        });
        let finished = AgUiEvent::RunFinished {
            thread_id: &self.thread_id,
            run_id: &self.run_id,
            result: result.as_deref().filter(|result| !result.is_null()),
            outcome,
            usage: usage.collect(),
        };
        let finished = finished.encode(at);
        self.events.push(finished);
        self.is_last = true;
    }

    fn fail(&mut self, message: &str, code: &str) {
        self.push(&AgUiEvent::RunError { message, code }, None);
        self.is_last = true;
    }

    fn end(&mut self, status: SessionStatus) {
        match status {
            SessionStatus::Failed => {
                let error = self.session.as_ref().and_then(|session| session.error.clone());
                self.end_all(None);
                self.fail(error.as_deref().unwrap_or("the run failed"), "failed");
            }
            SessionStatus::Cancelled => self.finish(Some(AgUiOutcome::Cancelled)),
            _ => self.finish(None),
        }
    }

    /// The nodes that wait for an answer, unless the run continues without one.
    fn interrupts(&self) -> Vec<Interrupt> {
        let Some(session) = self.session.as_ref().filter(|session| session.status.is_live()) else {
            return Vec::new();
        };
        let waiting = session.active.iter().filter(|id| !session.signals.contains_key(*id));
        let interrupts: Vec<Interrupt> = waiting.filter_map(|id| self.interrupt(session, id)).collect();
        if interrupts.is_empty() || self.continues(session) { Vec::new() } else { interrupts }
    }

    /// What other engines do next is not known here, unless a node runs.
    fn continues(&self, session: &Session) -> bool {
        match &self.prospects {
            Some(prospects) => prospects.continues(session),
            None => session.node_counts.running > 0,
        }
    }

    fn interrupt(&self, session: &Session, node_id: &NodeId) -> Option<Interrupt> {
        let node = &session.nodes.get(node_id)?.snapshot;
        if node.status != NodeStatus::Suspended {
            return None;
        }
        let attempt = node.attempt.unwrap_or(1);
        let (session_id, revision) = (session.id, session.revision);
        let id = InterruptId { session_id, node_id: node_id.clone(), attempt, revision };
        Some(Interrupt {
            id: id.to_string(),
            reason: "confirmation",
            message: self.questions.get(node_id).cloned(),
            response_schema: json!({
                "type": "object",
                "required": ["action"],
                "properties": {
                    "action": {"enum": ["approve", "reject", "modify"]},
                    "comment": {"type": "string"},
                    "data": {"description": "Of `modify`: what to go on with"},
                },
            }),
            metadata: json!({"sessionId": session.id, "nodeId": node_id, "name": node.name, "type": node.node_type}),
        })
    }

    fn translate(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Event { session_id, revision, at, by, event } => {
                if let Err(error) = self.event(&Recorded { session_id, revision, at, by, event }) {
                    tracing::error!(%error, "a run could not be followed");
                    self.fail("the run could not be followed", "internal");
                }
            }
            ServerFrame::Message { message, .. } => {
                self.begin();
                self.message(&message);
            }
            ServerFrame::Token { message_id, text, is_thinking, .. } => {
                self.begin();
                self.token(message_id, is_thinking.unwrap_or(false), &text);
            }
            ServerFrame::End { status, .. } => {
                self.begin();
                self.end(status);
            }
            ServerFrame::Error { code, message, .. } => self.fail(&message, code.as_str()),
            // Others are not sent in this mode, or say nothing of the run.
            _ => {}
        }
    }
}

impl Translate for Run {
    fn frame(&mut self, frame: &[u8]) -> Translated {
        match serde_json::from_slice(frame) {
            Ok(frame) => self.translate(frame),
            Err(error) => {
                tracing::error!(%error, "a frame could not be read");
                self.fail("the run could not be followed", "internal");
            }
        }
        self.take()
    }

    fn caught_up(&mut self) -> Translated {
        self.begin();
        let interrupts = self.interrupts();
        if !interrupts.is_empty() {
            self.finish(Some(AgUiOutcome::Interrupt { interrupts }));
        }
        self.take()
    }
}

fn snapshot(session: &Session) -> Value {
    serde_json::to_value(session.snapshot()).unwrap_or_default()
}
