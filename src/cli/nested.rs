//! Nodes as rows, steps below the nodes that they are steps of. Pure.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use relive_client::{NodeId, NodeStateSnapshot, NodeStatus, WorkflowSession};

/// Steps of one node that are shown, unless it is unfolded.
pub(super) const SHOWN: usize = 8;
/// The deepest indentation.
pub(super) const DEEPEST: usize = 12;

/// A row of a node, or of the steps of one that are not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub id: NodeId,
    pub depth: usize,
    /// If not 0, the row stands for so many steps of the node `id`.
    pub folded: usize,
}

impl Row {
    pub(super) fn new(id: NodeId, depth: usize) -> Self {
        Self { id, depth: depth.min(DEEPEST), folded: 0 }
    }
}

/// The rows of a graph, each with its steps below it, and then those of nodes that are in no graph.
///
/// Steps are in the order of their beginning. Of a node with more than [`SHOWN`] steps, those are shown that failed,
/// wait or run, and the newest; `unfolded` are the nodes of which all are.
pub(super) fn rows(graph: &[Row], session: &WorkflowSession, unfolded: &HashSet<NodeId>) -> Vec<Row> {
    let steps = Steps::of(graph, session);
    let mut rows = Vec::with_capacity(session.nodes.len().max(graph.len()));
    for row in graph {
        rows.push(row.clone());
        steps.add(&mut rows, vec![], &row.id, row.depth + 1, unfolded);
    }
    for node in &steps.roots {
        rows.push(Row::new(node.id.clone(), 0));
        steps.add(&mut rows, vec![], &node.id, 1, unfolded);
    }
    rows
}

/// The nodes that have no row in the graph.
struct Steps<'a> {
    below: HashMap<NodeId, Vec<&'a NodeStateSnapshot>>,
    roots: Vec<&'a NodeStateSnapshot>,
}

impl<'a> Steps<'a> {
    fn of(graph: &[Row], session: &'a WorkflowSession) -> Self {
        let in_graph: HashSet<&NodeId> = graph.iter().map(|row| &row.id).collect();
        let (mut below, mut roots): (HashMap<_, Vec<_>>, Vec<_>) = (HashMap::new(), Vec::new());
        for node in session.nodes.values().map(|node| &node.snapshot).filter(|node| !in_graph.contains(&node.id)) {
            let parent = node.parent_node_id.clone().filter(|parent| session.nodes.contains_key(parent));
            match parent.or_else(|| node_of_instance(&node.id, |id| in_graph.contains(id))) {
                Some(parent) => below.entry(parent).or_default().push(node),
                None => roots.push(node),
            }
        }
        let in_order = |nodes: &mut Vec<&NodeStateSnapshot>| {
            nodes.sort_by_key(|node| (node.started_at.is_none(), node.started_at));
        };
        below.values_mut().for_each(in_order);
        in_order(&mut roots);
        Self { below, roots }
    }

    /// Adds the rows below a node, without recursion: nodes may be nested deeply.
    fn add(&self, rows: &mut Vec<Row>, mut waiting: Vec<Row>, id: &NodeId, depth: usize, unfolded: &HashSet<NodeId>) {
        self.push_below(&mut waiting, id, depth, unfolded);
        while let Some(row) = waiting.pop() {
            if row.folded == 0 {
                self.push_below(&mut waiting, &row.id, row.depth + 1, unfolded);
            }
            rows.push(row);
        }
    }

    fn push_below(&self, waiting: &mut Vec<Row>, parent: &NodeId, depth: usize, unfolded: &HashSet<NodeId>) {
        let Some(steps) = self.below.get(parent) else { return };
        let shown = if unfolded.contains(parent) { steps.clone() } else { important(steps) };
        waiting.extend(shown.iter().rev().map(|node| Row::new(node.id.clone(), depth)));
        let folded = steps.len() - shown.len();
        if folded > 0 {
            waiting.push(Row { folded, ..Row::new(parent.clone(), depth) });
        }
    }
}

fn important<'a>(steps: &[&'a NodeStateSnapshot]) -> Vec<&'a NodeStateSnapshot> {
    let mut places: Vec<usize> = (0..steps.len()).collect();
    places.sort_by_key(|place| (steps.get(*place).map_or(u8::MAX, |node| urgency(node.status)), Reverse(*place)));
    places.truncate(SHOWN);
    places.sort_unstable();
    places.into_iter().filter_map(|place| steps.get(place).copied()).collect()
}

fn urgency(status: NodeStatus) -> u8 {
    match status {
        NodeStatus::Failed => 0,
        NodeStatus::Suspended => 1,
        NodeStatus::Running => 2,
        NodeStatus::Pending | NodeStatus::Completed | NodeStatus::Skipped => 3,
    }
}

/// The node that an id such as `fetch#3` names an instance of.
pub(super) fn node_of_instance(id: &NodeId, is_node: impl Fn(&NodeId) -> bool) -> Option<NodeId> {
    let text = id.as_str();
    text.rmatch_indices('#').filter_map(|(at, _)| text.get(..at)).map(NodeId::from).find(|id| is_node(id))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    fn session(nodes: &[(&str, Option<&str>, &str)]) -> WorkflowSession {
        let node = |(place, (id, parent, status)): (usize, &(&str, Option<&str>, &str))| {
            let mut node =
                json!({"id": id, "status": status, "startedAt": format!("2026-01-01T00:00:{:02}Z", place % 60)});
            if let Some(parent) = parent {
                node["parentNodeId"] = json!(parent);
            }
            ((*id).to_owned(), node)
        };
        let nodes: Map<String, Value> = nodes.iter().enumerate().map(node).collect();
        let at = "2026-01-01T00:00:00Z";
        let session = json!({"id": "01890000-0000-7000-8000-000000000001", "status": "running", "nodes": nodes,
            "activeNodeIds": [], "totalTokens": 0, "totalCostUsd": 0, "revision": 2, "createdAt": at, "updatedAt": at});
        serde_json::from_value(session).expect("a session")
    }

    fn drawn(rows: &[Row]) -> Vec<String> {
        let text = |row: &Row| match row.folded {
            0 => row.id.to_string(),
            folded => format!("{folded} more of {}", row.id),
        };
        rows.iter().map(|row| format!("{}{}", "  ".repeat(row.depth), text(row))).collect()
    }

    #[test]
    fn steps_stand_below_their_nodes_in_the_order_of_their_beginning() {
        let session = session(&[
            ("z", None, "running"),
            ("b", Some("z"), "completed"),
            ("a", Some("z"), "running"),
            ("deep", Some("b"), "completed"),
            ("fetch", None, "running"),
            ("fetch#1", None, "running"),
            ("lost", Some("nowhere"), "running"),
        ]);
        let nothing = HashSet::new();
        let plain = rows(&[], &session, &nothing);
        assert_eq!(drawn(&plain), ["z", "  b", "    deep", "  a", "fetch", "fetch#1", "lost"]);
        let graph = [Row::new("fetch".into(), 0), Row::new("z".into(), 1)];
        let below = rows(&graph, &session, &nothing);
        assert_eq!(drawn(&below), ["fetch", "  fetch#1", "  z", "    b", "      deep", "    a", "lost"]);
    }

    #[test]
    fn of_many_steps_the_important_and_the_newest_are_shown() {
        let ids: Vec<String> = (0..20).map(|n| format!("s{n:02}")).collect();
        let status = |place: usize| match place {
            1 => "failed",
            2 => "running",
            _ => "completed",
        };
        let mut nodes = vec![("p", None, "running")];
        nodes.extend(ids.iter().enumerate().map(|(place, id)| (id.as_str(), Some("p"), status(place))));
        let session = session(&nodes);
        let folded = rows(&[], &session, &HashSet::new());
        let expected = ["p", "  12 more of p", "  s01", "  s02", "  s14", "  s15", "  s16", "  s17", "  s18", "  s19"];
        assert_eq!(drawn(&folded), expected);
        let all = rows(&[], &session, &HashSet::from(["p".into()]));
        assert_eq!(all.len(), 21);
    }

    #[test]
    fn nodes_that_are_nested_in_a_circle_or_deeply_end() {
        let circle = session(&[("a", Some("b"), "running"), ("b", Some("a"), "running"), ("c", None, "running")]);
        assert_eq!(drawn(&rows(&[], &circle, &HashSet::new())), ["c"]);
        let ids: Vec<String> = (0..2_000).map(|n| format!("n{n}")).collect();
        let parent = |place: usize| place.checked_sub(1).map(|parent| ids[parent].as_str());
        let nodes: Vec<_> = ids.iter().enumerate().map(|(place, id)| (id.as_str(), parent(place), "running")).collect();
        let deep = rows(&[], &session(&nodes), &HashSet::new());
        assert_eq!((deep.len(), deep.last().map(|row| row.depth)), (2_000, Some(DEEPEST)));
    }
}
