//! Changes of sessions as lines: `12:00:01.250  completed  Sort the numbers  1.2 s`.
//!
//! Names and errors come from authors of graphs and from runs, so control characters are removed
//! before they reach a terminal.

use std::collections::{BTreeMap, HashSet};
use std::io::{ErrorKind, IsTerminal, Stdout, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use super::nested::{self, DEEPEST, SHOWN};
use super::{OutputError, complain, exit};
use relive_client::{
    Event, GraphDefinition, Log, LogLevel, NodeId, NodeStatus, Recorded, SessionStatus, SessionSummary, Timestamp,
    WorkflowSession,
};

/// Characters of a log line that are shown.
const LOG_CHARACTERS: usize = 500;

/// Set once a line could not be written although the output has a reader. The output is that of the process.
static FAILED: AtomicBool = AtomicBool::new(false);

/// The exit status of a command that has written lines, and could not write all of them perhaps.
pub(super) fn exit_status(status: ExitCode) -> ExitCode {
    if FAILED.load(Ordering::Relaxed) { exit::code(exit::FAILED) } else { status }
}

/// The output for lines, and whether they are coloured.
pub(super) struct OutputLines {
    colour: bool,
    out: Stdout,
}

impl OutputLines {
    /// Colour only on a terminal, and not when `NO_COLOR` is set to anything.
    pub(super) fn stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let out = std::io::stdout();
        Self { colour: out.is_terminal() && !refused, out }
    }

    /// Writes a line; false if that is not possible any more. A reader that has left is no fault, anything else is.
    pub(super) fn print(&self, line: &str) -> bool {
        let mut out = self.out.lock();
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            Ok(()) => true,
            Err(error) => {
                if error.kind() != ErrorKind::BrokenPipe && !FAILED.swap(true, Ordering::Relaxed) {
                    complain(&OutputError(error));
                }
                false
            }
        }
    }

    fn at(&self, at: Timestamp) -> String {
        let time = at.as_datetime().format("%H:%M:%S%.3f").to_string();
        self.paint("2", &time)
    }

    fn node_status(&self, status: NodeStatus) -> String {
        let colour = match status {
            NodeStatus::Completed => "32",
            NodeStatus::Failed => "31",
            NodeStatus::Running => "36",
            NodeStatus::Suspended => "33",
            NodeStatus::Pending | NodeStatus::Skipped => "2",
        };
        self.paint(colour, &format!("{:<9}", status.as_str()))
    }

    pub(super) fn session_status(&self, status: SessionStatus) -> String {
        let colour = match status {
            SessionStatus::Completed => "32",
            SessionStatus::Failed => "31",
            SessionStatus::Running => "36",
            SessionStatus::Paused | SessionStatus::Cancelled => "33",
            SessionStatus::Pending => "2",
        };
        self.paint(colour, &format!("{:<9}", status.as_str()))
    }

    fn log_level(&self, level: LogLevel) -> String {
        let colour = match level {
            LogLevel::Debug => "2",
            LogLevel::Info => "0",
            LogLevel::Warn => "33",
            LogLevel::Error => "31",
        };
        self.paint(colour, &format!("{:<9}", level.as_str()))
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// One session of a list.
    pub(super) fn summary(&self, session: &SessionSummary, change: Option<&str>) -> String {
        let counts = session.node_counts;
        let ended = counts.completed + counts.failed + counts.skipped;
        let all = ended + counts.pending + counts.running + counts.suspended;
        let mut line =
            format!("{}  {}  {}", self.at(session.updated_at), self.session_status(session.status), session.id);
        if all > 0 {
            line += &format!("  {ended}/{all} nodes");
        }
        for text in [session.workflow_name.as_deref(), session.error.as_deref(), change].into_iter().flatten() {
            line += "  ";
            line += &clean(text);
        }
        line
    }
}

#[derive(Clone, Debug)]
struct Told {
    name: String,
    status: NodeStatus,
    began: Option<Timestamp>,
    attempt: u32,
    parent: Option<NodeId>,
    depth: usize,
    /// Steps of this node.
    steps: usize,
    /// Whether it is one of more steps than are shown. Then only its failure is.
    folded: bool,
}

impl Told {
    fn new(name: String) -> Self {
        let (status, began, parent) = (NodeStatus::Pending, None, None);
        Self { name, status, began, attempt: 0, parent, depth: 0, steps: 0, folded: false }
    }
}

/// One session's nodes, as last printed.
pub(super) struct Story {
    lines: OutputLines,
    nodes: BTreeMap<NodeId, Told>,
    pub(super) status: SessionStatus,
}

impl Story {
    pub(super) fn of_graph(lines: OutputLines, graph: &GraphDefinition) -> Self {
        let nodes = graph.nodes.values().map(|node| (node.id.clone(), Told::new(node.name.clone()))).collect();
        Self { lines, nodes, status: SessionStatus::Pending }
    }

    pub(super) fn of_session(lines: OutputLines, session: &WorkflowSession) -> Self {
        let nodes = session.nodes.iter().map(|(id, node)| {
            let node = &node.snapshot;
            let name = node.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| id.to_string());
            let (status, began, attempt) = (node.status, node.started_at, node.attempt.unwrap_or_default());
            (id.clone(), Told { status, began, attempt, ..Told::new(name) })
        });
        let mut story = Self { lines, nodes: nodes.collect(), status: session.status };
        // Those that are a step come after the nodes that they are a step of, so depths are known.
        for row in nested::rows(&[], session, &session.nodes.keys().cloned().collect()) {
            let parent = session.nodes.get(&row.id).and_then(|node| node.snapshot.parent_node_id.clone());
            story.place(&row.id, parent.as_ref());
        }
        story.nodes.values_mut().for_each(|told| told.folded = false);
        story
    }

    /// Notes of which node another one is a step.
    fn place(&mut self, id: &NodeId, parent: Option<&NodeId>) {
        let Some(parent) = parent.filter(|parent| *parent != id) else { return };
        if self.nodes.get(id).is_none_or(|told| told.parent.is_some()) {
            return;
        }
        let Some(above) = self.nodes.get_mut(parent) else { return };
        above.steps += 1;
        let (depth, folded) = ((above.depth + 1).min(DEEPEST), above.steps > SHOWN);
        if let Some(told) = self.nodes.get_mut(id) {
            (told.parent, told.depth, told.folded) = (Some(parent.clone()), depth, folded);
        }
    }

    pub(super) fn print(&self, line: &str) -> bool {
        self.lines.print(line)
    }

    /// The current state, a line for the session and one for each node.
    pub(super) fn state(&self, session: &WorkflowSession) -> Vec<String> {
        let mut lines = vec![self.session_line(session.updated_at, session.status, session.error.as_deref())];
        for row in nested::rows(&[], session, &HashSet::new()) {
            if row.folded > 0 {
                let indent = "  ".repeat(row.depth);
                lines.push(format!(
                    "{}  {:<9}  {indent}{} more steps",
                    self.lines.at(session.updated_at),
                    "",
                    row.folded
                ));
                continue;
            }
            let Some(node) = session.nodes.get(&row.id).map(|node| &node.snapshot) else { continue };
            let Some(told) = self.nodes.get(&row.id) else { continue };
            let at = node.completed_at.or(node.started_at).unwrap_or(session.updated_at);
            let took = node.started_at.zip(node.completed_at).map(|(began, ended)| seconds_between(began, ended));
            lines.push(self.node_line(at, told, took.as_deref(), node.error.as_deref()));
        }
        lines
    }

    /// The line for an event; `None` if neither the session nor a node has changed.
    pub(super) fn line_of(&mut self, recorded: &Recorded) -> Option<String> {
        let at = recorded.at;
        match &recorded.event {
            Event::Started | Event::Resumed => Some(self.become_status(at, SessionStatus::Running, None)),
            Event::Paused { .. } => Some(self.become_status(at, SessionStatus::Paused, None)),
            Event::Completed { .. } => Some(self.become_status(at, SessionStatus::Completed, None)),
            Event::Failed { error, .. } => Some(self.become_status(at, SessionStatus::Failed, Some(error))),
            Event::Cancelled { reason } => Some(self.become_status(at, SessionStatus::Cancelled, reason.as_deref())),
            Event::NodeStatusChanged { .. } => self.tell_node(recorded),
            Event::Signalled { node_id, .. } => {
                let name = self.nodes.get(node_id).map_or_else(|| node_id.to_string(), |told| told.name.clone());
                Some(format!("{}  signal     {}", self.lines.at(at), clean(&name)))
            }
            _ => None,
        }
    }

    /// The number of nodes in each status, by name.
    pub(super) fn counts(&self) -> String {
        let count = |status| (status, self.nodes.values().filter(|told| told.status == status).count());
        let counts = NodeStatus::ALL.map(count).into_iter().filter(|(_, count)| *count > 0);
        counts.map(|(status, count)| format!("{count} {}", status.as_str())).collect::<Vec<_>>().join(", ")
    }

    fn tell_node(&mut self, recorded: &Recorded) -> Option<String> {
        let Event::NodeStatusChanged { node_id, status, attempt, name, progress, error, parent_node_id, .. } =
            &recorded.event
        else {
            return None;
        };
        self.nodes.entry(node_id.clone()).or_insert_with(|| Told::new(node_id.to_string()));
        self.place(node_id, parent_node_id.as_ref());
        let told = self.nodes.get_mut(node_id)?;
        let same = told.status == *status && told.attempt == attempt.unwrap_or_default();
        if let Some(name) = name.as_ref().filter(|name| !name.is_empty()) {
            told.name.clone_from(name);
        }
        if *status == NodeStatus::Running && !same && told.status != NodeStatus::Suspended {
            told.began = Some(recorded.at);
        }
        (told.status, told.attempt) = (*status, attempt.unwrap_or_default());
        let told = told.clone();
        if told.folded && *status != NodeStatus::Failed {
            return None;
        }
        let mut detail = match progress {
            Some(progress) if same => Some(format!("{:.0} %", progress.get() * 100.0)),
            _ if status.is_final() => told.began.map(|began| seconds_between(began, recorded.at)),
            _ => None,
        };
        if status.is_final() && told.steps > SHOWN {
            let steps = format!("{} steps", told.steps);
            detail = Some(detail.map_or_else(|| steps.clone(), |detail| format!("{detail}  {steps}")));
        }
        Some(self.node_line(recorded.at, &told, detail.as_deref(), error.as_deref()))
    }

    /// The line for a log line.
    pub(super) fn log_line(&self, log: &Log) -> String {
        let name = self.nodes.get(&log.node_id).map_or(log.node_id.as_str(), |told| &told.name);
        let text = clean(&beginning(&log.text, LOG_CHARACTERS));
        format!("{}  {}  {}  {text}", self.lines.at(log.at), self.lines.log_level(log.level), clean(name))
    }

    fn node_line(&self, at: Timestamp, told: &Told, detail: Option<&str>, error: Option<&str>) -> String {
        let (indent, name) = ("  ".repeat(told.depth), clean(&told.name));
        let mut line = format!("{}  {}  {indent}{name}", self.lines.at(at), self.lines.node_status(told.status));
        if told.attempt > 1 {
            line += &format!(" (attempt {})", told.attempt);
        }
        for text in [detail, error].into_iter().flatten() {
            line += "  ";
            line += &clean(text);
        }
        line
    }

    fn become_status(&mut self, at: Timestamp, status: SessionStatus, why: Option<&str>) -> String {
        self.status = status;
        if status.is_ended() {
            // The ending event is also the end of every node it finds open.
            for told in self.nodes.values_mut().filter(|told| !told.status.is_final()) {
                let ran = told.status == NodeStatus::Running;
                told.status = if ran { NodeStatus::Failed } else { NodeStatus::Skipped };
            }
        }
        self.session_line(at, status, why)
    }

    fn session_line(&self, at: Timestamp, status: SessionStatus, why: Option<&str>) -> String {
        let why = why.map_or_else(String::new, |why| format!("  {}", clean(why)));
        format!("{}  {}  session{why}", self.lines.at(at), self.lines.session_status(status))
    }
}

/// The line for what a command of a node has written.
pub(super) fn command_line(lines: &OutputLines, name: &str, text: &str) -> String {
    let text = clean(&beginning(text, LOG_CHARACTERS));
    format!("{}  {}  {}  {text}", lines.at(Timestamp::now()), lines.log_level(LogLevel::Info), clean(name))
}

pub(super) fn seconds_between(began: Timestamp, ended: Timestamp) -> String {
    let millis = ended.as_millis().saturating_sub(began.as_millis()).max(0);
    format!("{}.{} s", millis / 1_000, millis % 1_000 / 100)
}

/// One line without what would steer a terminal or reorder what it shows, which names in graphs, log lines and texts of
/// models may contain: control characters, line separators, and marks of direction.
pub(super) fn clean(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

/// At most so many characters of a text.
fn beginning(text: &str, characters: usize) -> String {
    let mut kept: String = text.chars().take(characters).collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use relive_client::SessionId;
    use serde_json::json;

    fn story() -> Story {
        let graph = json!({"name": "g", "startNodeId": "a", "nodes": {
            "a": {"id": "a", "type": "command", "name": "Sort\u{1b}[2J", "nextIds": ["b"]},
            "b": {"id": "b", "type": "command", "name": "Count"}
        }});
        Story::of_graph(
            OutputLines { colour: false, out: std::io::stdout() },
            &serde_json::from_value(graph).expect("a graph"),
        )
    }

    fn recorded(millis: i64, event: serde_json::Value) -> Recorded {
        let at = Timestamp::from_millis(millis).expect("a time");
        let event = serde_json::from_value(event).expect("an event");
        Recorded { session_id: SessionId(uuid::Uuid::nil()), revision: 2, at, by: None, event }
    }

    #[test]
    fn a_run_reads_as_lines_with_durations_and_attempts() {
        let mut story = story();
        let mut line_of = |millis, event| story.line_of(&recorded(millis, event)).expect("a line");
        let node = |status: &str, attempt: u32| json!({"type": "nodeStatusChanged", "nodeId": "a", "status": status, "attempt": attempt});
        assert_eq!(line_of(0, json!({"type": "started"})), "00:00:00.000  running    session");
        assert_eq!(line_of(1_000, node("running", 1)), "00:00:01.000  running    Sort [2J");
        let mut progress = node("running", 1);
        progress["progress"] = json!(0.4);
        assert_eq!(line_of(1_500, progress), "00:00:01.500  running    Sort [2J  40 %");
        let mut failed = node("failed", 1);
        failed["error"] = json!("exit status 2: no");
        assert_eq!(line_of(2_250, failed), "00:00:02.250  failed     Sort [2J  1.2 s  exit status 2: no");
        assert_eq!(line_of(3_000, node("running", 2)), "00:00:03.000  running    Sort [2J (attempt 2)");
        assert_eq!(
            line_of(3_100, json!({"type": "cancelled", "reason": "enough"})),
            "00:00:03.100  cancelled  session  enough"
        );
        assert_eq!((story.status, story.counts().as_str()), (SessionStatus::Cancelled, "1 failed, 1 skipped"));
    }

    #[test]
    fn steps_stand_further_in_and_of_many_only_failures_are_told() {
        let mut story = story();
        let mut line_of = |id: &str, status: &str, parent: Option<&str>| {
            let mut event = json!({"type": "nodeStatusChanged", "nodeId": id, "status": status, "attempt": 1});
            if let Some(parent) = parent {
                event["parentNodeId"] = json!(parent);
            }
            story.line_of(&recorded(0, event))
        };
        line_of("b", "running", None);
        assert_eq!(line_of("s0", "running", Some("b")).as_deref(), Some("00:00:00.000  running      s0"));
        assert_eq!(line_of("deep", "running", Some("s0")).as_deref(), Some("00:00:00.000  running        deep"));
        for n in 1..SHOWN {
            assert!(line_of(&format!("s{n}"), "running", Some("b")).is_some());
        }
        assert_eq!(line_of("more", "running", Some("b")), None);
        assert_eq!(line_of("more", "completed", None), None, "a step stays one");
        assert!(line_of("wrong", "failed", Some("b")).is_some());
        assert_eq!(line_of("b", "completed", None).as_deref(), Some("00:00:00.000  completed  Count  0.0 s  10 steps"));
    }

    #[test]
    fn log_lines_have_their_level_and_nothing_that_steers() {
        let line = |text: &str| {
            let log = json!({"sessionId": uuid::Uuid::nil(), "revision": 2, "nodeId": "a", "level": "warn",
                "text": text, "at": "1970-01-01T00:00:01.500Z"});
            story().log_line(&serde_json::from_value(log).expect("a log line"))
        };
        assert_eq!(line("\u{1b}[31mhot\nnow"), "00:00:01.500  warn       Sort [2J   [31mhot now");
        assert!(line(&"x".repeat(600)).ends_with(&format!("{}…", "x".repeat(500))));
    }
}
