//! The state of one session's page, and how frames and keys change it. Pure.

use std::collections::{HashSet, VecDeque};

use super::super::nested::{self, Row};
use super::tree;
use relive_client::{
    GraphDefinition, Log, Message, MessageId, NodeId, NodeStateSnapshot, NodeStatus, ReplaySpeed, ReplayState,
    Revision, ServerFrame, SessionId, Timestamp, WorkflowSession,
};

/// Messages kept; older ones are dropped.
pub(super) const MESSAGES: u32 = 1_000;
/// Log lines kept; older ones are dropped.
pub(super) const LOGS: u32 = 200;
/// Messages being written at once; further ones are shown when they are stored.
const WRITING: usize = 64;
/// Bytes kept of a message; a longer one is cut.
const CONTENT: usize = 64 * 1024;
/// Bytes kept of a log line.
const LINE: usize = 1_000;

/// A message, finished or still being written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Said {
    pub id: MessageId,
    pub node_id: NodeId,
    pub by: Option<String>,
    pub text: String,
    pub is_thinking: bool,
    /// When it was stored; `None` while it is being written.
    pub at: Option<Timestamp>,
}

/// Which pane the arrow keys move in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Focus {
    #[default]
    Nodes,
    Messages,
}

/// An earlier revision that is shown instead of the newest.
#[derive(Debug, Default)]
struct Relived {
    session: Option<WorkflowSession>,
    position: Option<ReplayState>,
}

/// One session, live or as a replay.
#[derive(Debug)]
pub(super) struct SessionScreen {
    pub id: SessionId,
    pub name: String,
    /// The newest state, even while an earlier one is shown.
    live: Option<WorkflowSession>,
    relived: Option<Relived>,
    pub focus: Focus,
    pub selected: usize,
    /// Messages hidden below the last one shown.
    pub scrolled: usize,
    /// Only the selected node's messages.
    pub only_selected: bool,
    rows: Vec<Row>,
    /// The rows of the graph, without steps below them.
    graph: Vec<Row>,
    /// Nodes of which all steps are shown.
    unfolded: HashSet<NodeId>,
    messages: VecDeque<Said>,
    logs: VecDeque<Log>,
}

impl SessionScreen {
    pub(super) fn new(id: SessionId) -> Self {
        Self {
            id,
            name: id.to_string(),
            live: None,
            relived: None,
            focus: Focus::default(),
            selected: 0,
            scrolled: 0,
            only_selected: false,
            rows: Vec::new(),
            graph: Vec::new(),
            unfolded: HashSet::new(),
            messages: VecDeque::new(),
            logs: VecDeque::new(),
        }
    }

    pub(super) fn learn_graph(&mut self, graph: &GraphDefinition) {
        if !graph.name.is_empty() {
            self.name.clone_from(&graph.name);
        }
        self.graph = tree::rows(graph);
        self.arrange();
    }

    /// The state to show.
    pub(super) fn session(&self) -> Option<&WorkflowSession> {
        let relived = self.relived.as_ref().and_then(|relived| relived.session.as_ref());
        relived.or(self.live.as_ref())
    }

    /// The newest state, whatever is shown: it decides which commands are possible.
    pub(super) fn newest(&self) -> Option<&WorkflowSession> {
        self.live.as_ref()
    }

    pub(super) fn is_relived(&self) -> bool {
        self.relived.is_some()
    }

    /// The position of the replay; `None` while watching live, and until the replay has reported it.
    pub(super) fn position(&self) -> Option<&ReplayState> {
        self.relived.as_ref()?.position.as_ref()
    }

    pub(super) fn relive(&mut self) {
        self.relived = Some(Relived::default());
    }

    pub(super) fn go_live(&mut self) {
        self.relived = None;
        self.arrange();
    }

    /// Handles a frame of the live session. Frames of other pages are ignored.
    pub(super) fn take_live(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Snapshot { session, .. } => self.show(*session),
            ServerFrame::Message { message, .. } => self.add_message(message),
            ServerFrame::Log { log, .. } => self.add_log(log),
            ServerFrame::Token { node_id, message_id, text, agent_id, is_thinking, .. } => {
                self.hear_chunk(node_id, message_id, &text, agent_id, is_thinking == Some(true));
            }
            _ => {}
        }
    }

    /// Handles a frame of the replay. Its messages are known from the live session.
    pub(super) fn take_replay(&mut self, frame: ServerFrame) {
        let Some(relived) = &mut self.relived else { return };
        match frame {
            ServerFrame::Snapshot { session, .. } => relived.session = Some(*session),
            ServerFrame::ReplayState(position) => relived.position = Some(*position),
            _ => return,
        }
        self.arrange();
    }

    /// Shows the newest state, unless a newer one is known.
    pub(super) fn show(&mut self, session: WorkflowSession) {
        if self.live.as_ref().is_none_or(|known| known.revision <= session.revision) {
            self.live = Some(session);
            self.arrange();
        }
    }

    /// Lays out the rows anew; the selected one stays selected. Sessions without a graph get nodes when they are first
    /// named, and which steps are worth a row changes with their states.
    fn arrange(&mut self) {
        let selected = self.rows.get(self.selected).cloned();
        self.rows = match self.session() {
            Some(session) => nested::rows(&self.graph, session, &self.unfolded),
            None => self.graph.clone(),
        };
        let is_selected =
            |row: &Row| selected.as_ref().is_some_and(|old| old.id == row.id && (old.folded > 0) == (row.folded > 0));
        let place = self.rows.iter().position(is_selected).unwrap_or(self.selected);
        self.selected = place.min(self.rows.len().saturating_sub(1));
    }

    /// Shows all steps of the selected node, or the important ones again.
    pub(super) fn unfold_or_fold(&mut self) {
        let Some(row) = self.rows.get(self.selected) else { return };
        let id = row.id.clone();
        if !self.unfolded.remove(&id) {
            self.unfolded.insert(id);
        }
        self.arrange();
    }

    fn add_message(&mut self, message: Message) {
        let said = Said {
            id: message.id,
            node_id: message.node_id,
            by: message.agent_name.or(message.agent_id),
            text: beginning(&message.content, CONTENT).to_owned(),
            is_thinking: message.is_thinking,
            at: Some(message.created_at),
        };
        match self.messages.iter_mut().rev().find(|known| known.id == said.id) {
            Some(known) => *known = said,
            None => self.messages.push_back(said),
        }
        while self.messages.len() > MESSAGES as usize {
            self.messages.pop_front();
        }
    }

    fn add_log(&mut self, log: Log) {
        // Lines that were added while the newest ones were read come twice.
        if self.logs.iter().any(|known| (known.session_id, known.revision) == (log.session_id, log.revision)) {
            return;
        }
        self.logs.push_back(Log { text: beginning(&log.text, LINE).into(), ..log });
        while self.logs.len() > LOGS as usize {
            self.logs.pop_front();
        }
    }

    fn hear_chunk(&mut self, node_id: NodeId, id: MessageId, text: &str, by: Option<String>, is_thinking: bool) {
        if let Some(known) = self.messages.iter_mut().rev().find(|known| known.id == id) {
            let room = CONTENT.saturating_sub(known.text.len());
            if known.at.is_none() {
                known.text.push_str(beginning(text, room));
            }
            return;
        }
        if self.messages.iter().filter(|said| said.at.is_none()).count() < WRITING {
            let text = beginning(text, CONTENT).to_owned();
            self.messages.push_back(Said { id, node_id, by, text, is_thinking, at: None });
        }
    }

    /// The tree, with each node's state; `None` for a node that does not exist in the shown state yet, and for steps
    /// that are folded.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&Row, Option<&NodeStateSnapshot>)> {
        let session = self.session();
        let state = move |row: &Row| Some(&session?.nodes.get(&row.id)?.snapshot).filter(|_| row.folded == 0);
        self.rows.iter().map(move |row| (row, state(row)))
    }

    pub(super) fn selected_node(&self) -> Option<(&Row, Option<&NodeStateSnapshot>)> {
        self.nodes().nth(self.selected)
    }

    /// The node that a review is given to: the selected one if it waits, or else the first that does.
    pub(super) fn reviewed(&self) -> Option<(NodeId, String)> {
        let waits = |id: &NodeId| {
            let node = self.newest().and_then(|session| session.nodes.get(id));
            node.is_some_and(|node| node.snapshot.status == NodeStatus::Suspended)
        };
        let selected = self.rows.get(self.selected).map(|row| &row.id).filter(|id| waits(id));
        let first = || self.newest()?.nodes.keys().find(|id| waits(id));
        let id = selected.or_else(first)?;
        Some((id.clone(), self.node_name(id)))
    }

    /// The messages up to the shown state, oldest first.
    pub(super) fn messages(&self) -> impl DoubleEndedIterator<Item = &Said> {
        let until = self.position().filter(|position| !position.live).map(|position| position.at);
        let only = self.only_selected.then(|| self.rows.get(self.selected).map(|row| &row.id)).flatten();
        self.messages.iter().filter(move |said| {
            only.is_none_or(|node| *node == said.node_id)
                && until.is_none_or(|until| said.at.is_some_and(|at| at <= until))
        })
    }

    /// The newest log lines up to the shown state, at most so many, oldest first.
    pub(super) fn logs(&self, most: usize) -> Vec<&Log> {
        let until = if self.is_relived() { self.session().map(|session| session.revision) } else { None };
        let only = self.only_selected.then(|| self.rows.get(self.selected).map(|row| &row.id)).flatten();
        let is_shown = |log: &&Log| {
            only.is_none_or(|node| *node == log.node_id) && until.is_none_or(|until| log.revision <= until)
        };
        let mut logs: Vec<&Log> = self.logs.iter().rev().filter(is_shown).take(most).collect();
        logs.reverse();
        logs
    }

    /// The names of nodes in rows and messages.
    pub(super) fn node_name(&self, id: &NodeId) -> String {
        let node = self.session().and_then(|session| session.nodes.get(id));
        let name = node.and_then(|node| node.snapshot.name.clone());
        name.filter(|name| !name.is_empty()).unwrap_or_else(|| id.to_string())
    }

    pub(super) fn move_by(&mut self, rows: isize) {
        match self.focus {
            Focus::Nodes => {
                let last = self.rows.len().saturating_sub(1);
                self.selected = self.selected.saturating_add_signed(rows).min(last);
            }
            Focus::Messages => {
                self.scrolled = self.scrolled.saturating_add_signed(-rows).min(MESSAGES as usize * 100);
            }
        }
    }

    /// The time up to which durations are counted.
    pub(super) fn now(&self, clock: Timestamp) -> Timestamp {
        self.position().filter(|position| !position.live).map_or(clock, |position| position.at)
    }
}

/// The speeds that `+` and `-` go through.
const SPEEDS: [f64; 8] = [0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0];

/// The next speed up or down, within the bounds.
pub(super) fn other_speed(now: ReplaySpeed, faster: bool) -> ReplaySpeed {
    let times = match now {
        ReplaySpeed::Times(times) => times,
        ReplaySpeed::Max => f64::INFINITY,
    };
    let next = if faster {
        SPEEDS.iter().find(|speed| **speed > times)
    } else {
        SPEEDS.iter().rev().find(|speed| **speed < times)
    };
    next.map_or(now, |speed| ReplaySpeed::Times(*speed))
}

/// A tenth of the replay.
pub(super) fn far_revision(replay: &ReplayState, forward: bool) -> Revision {
    let tenth = (replay.last_revision.saturating_sub(replay.first_revision) / 10).max(1);
    let to = if forward { replay.revision.saturating_add(tenth) } else { replay.revision.saturating_sub(tenth) };
    to.clamp(replay.first_revision, replay.last_revision)
}

/// At most this many bytes from the beginning, without cutting a character.
fn beginning(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
