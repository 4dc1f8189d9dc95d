//! A graph as rows from top to bottom: in the order of running, with branches and the bodies of loops
//! indented. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::nested::Row;
use relive_client::{GraphDefinition, NodeId};

/// The rows of a graph, each node once, none before a node that leads to it.
///
/// Edges that lead back to a loop's beginning are left out. A node where branches join has the
/// indentation of the node where they began.
pub(super) fn rows(graph: &GraphDefinition) -> Vec<Row> {
    let forward = forward_edges(graph);
    let mut waiting: HashMap<&NodeId, usize> = HashMap::new();
    forward.values().flatten().for_each(|next| *waiting.entry(*next).or_default() += 1);
    let joins: HashSet<&NodeId> = waiting.iter().filter(|(_, edges)| **edges > 1).map(|(id, _)| *id).collect();
    let mut depths = HashMap::from([(&graph.start_node_id, 0)]);
    let (mut rows, mut ready) = (Vec::with_capacity(graph.nodes.len()), vec![&graph.start_node_id]);
    while let Some(id) = ready.pop() {
        let reached: usize = depths.get(id).copied().unwrap_or_default();
        let depth = if joins.contains(id) { reached.saturating_sub(1) } else { reached };
        rows.push(Row::new(id.clone(), depth));
        let next = forward.get(id).map_or(&[][..], Vec::as_slice);
        let (branches, exit) = (next.len() > 1, loop_exit(graph, id));
        // The last one pushed is the next one shown, so branches keep the order they are given in.
        for next in next.iter().rev() {
            let deeper = usize::from(branches && Some(*next) != exit);
            let known = depths.entry(next).or_insert(depth + deeper);
            *known = (*known).min(depth + deeper);
            let edges = waiting.entry(next).or_default();
            *edges = edges.saturating_sub(1);
            if *edges == 0 {
                ready.push(next);
            }
        }
    }
    // Nodes without a predecessor, in graphs of engines that decide while they run.
    let reached: HashSet<NodeId> = rows.iter().map(|row| row.id.clone()).collect();
    let others = graph.nodes.keys().filter(|id| !reached.contains(*id));
    rows.extend(others.map(|id| Row::new(id.clone(), 0)));
    rows
}

/// The edges that are no back edges, found by a search from the start without recursion.
fn forward_edges(graph: &GraphDefinition) -> BTreeMap<&NodeId, Vec<&NodeId>> {
    let mut forward: BTreeMap<&NodeId, Vec<&NodeId>> = BTreeMap::new();
    let mut seen = HashSet::from([&graph.start_node_id]);
    let mut on_path = HashSet::from([&graph.start_node_id]);
    let mut path = vec![(&graph.start_node_id, 0)];
    while let Some((id, edge)) = path.last_mut() {
        let (id, next) = (*id, graph.nodes.get(*id).and_then(|node| node.next_ids.get(*edge)));
        *edge += 1;
        match next {
            Some(next) if on_path.contains(next) => {}
            Some(next) => {
                let edges = forward.entry(id).or_default();
                if !edges.contains(&next) {
                    edges.push(next);
                }
                if seen.insert(next) {
                    on_path.insert(next);
                    path.push((next, 0));
                }
            }
            None => {
                on_path.remove(id);
                path.pop();
            }
        }
    }
    forward
}

/// The exit of a loop: its second next node.
fn loop_exit<'a>(graph: &'a GraphDefinition, id: &NodeId) -> Option<&'a NodeId> {
    graph.nodes.get(id).filter(|node| node.kind == GraphDefinition::LOOP).and_then(|node| node.next_ids.get(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn graph(nodes: &[(&str, &str, &[&str])]) -> GraphDefinition {
        let nodes: serde_json::Map<_, _> = nodes
            .iter()
            .map(|(id, kind, next)| ((*id).to_owned(), json!({"id": id, "type": kind, "name": id, "nextIds": next})))
            .collect();
        serde_json::from_value(json!({"name": "g", "startNodeId": "a", "nodes": nodes})).expect("a graph")
    }

    fn drawn(graph: &GraphDefinition) -> Vec<String> {
        rows(graph).iter().map(|row| format!("{}{}", "  ".repeat(row.depth), row.id)).collect()
    }

    #[test]
    fn branches_stand_further_in_and_meet_where_they_parted() {
        let graph = graph(&[
            ("a", "start", &["b"]),
            ("b", "parallel", &["c", "e"]),
            ("c", "agent", &["d"]),
            ("d", "agent", &["f"]),
            ("e", "agent", &["f"]),
            ("f", "vote", &["g"]),
            ("g", "end", &[]),
        ]);
        assert_eq!(drawn(&graph), ["a", "b", "  c", "  d", "  e", "f", "g"]);
    }

    #[test]
    fn the_body_of_a_loop_stands_further_in_and_its_exit_does_not() {
        let before =
            graph(&[("a", "start", &["l"]), ("l", "loop", &["b", "z"]), ("b", "x", &["l"]), ("z", "end", &[])]);
        assert_eq!(drawn(&before), ["a", "l", "  b", "z"]);
        let after = graph(&[("a", "start", &["b"]), ("b", "x", &["l"]), ("l", "loop", &["b", "z"]), ("z", "end", &[])]);
        assert_eq!(drawn(&after), ["a", "b", "l", "z"]);
    }

    #[test]
    fn a_short_cut_to_the_meeting_point_keeps_it_in_place() {
        let graph = graph(&[("a", "x", &["b", "c"]), ("b", "x", &["c"]), ("c", "x", &[])]);
        assert_eq!(drawn(&graph), ["a", "  b", "c"]);
    }

    #[test]
    fn cycles_of_any_kind_and_nodes_that_nothing_leads_to_have_their_rows() {
        let graph = graph(&[("a", "x", &["b", "a"]), ("b", "x", &["a", "c"]), ("c", "x", &[]), ("later", "x", &["b"])]);
        assert_eq!(drawn(&graph), ["a", "b", "c", "later"]);
    }

    proptest! {
        /// Every node has one row, and none is before one that leads to it.
        #[test]
        fn each_node_once_and_after_what_leads_to_it(edges in prop::collection::vec((0..30_usize, 0..30_usize), 0..90)) {
            let name = |number: usize| if number == 0 { "a".to_owned() } else { format!("n{number}") };
            let mut next: BTreeMap<usize, Vec<String>> = (0..30).map(|from| (from, Vec::new())).collect();
            for from in 0..29 { next.entry(from).or_default().push(name(from + 1)); }
            for (from, to) in &edges { next.entry(*from.min(to)).or_default().push(name(*from.max(to))); }
            next.values_mut().for_each(|next| next.sort());
            next.iter_mut().for_each(|(from, next)| next.retain(|to| *to != name(*from)));
            let nodes: Vec<(String, Vec<String>)> = next.into_iter().map(|(from, next)| (name(from), next)).collect();
            let borrowed: Vec<(&str, &str, Vec<&str>)> = nodes.iter()
                .map(|(id, next)| (&**id, "x", next.iter().map(String::as_str).collect())).collect();
            let slices: Vec<(&str, &str, &[&str])> = borrowed.iter().map(|(id, kind, next)| (*id, *kind, &**next)).collect();
            let graph = graph(&slices);
            let rows = rows(&graph);
            let place: HashMap<&NodeId, usize> = rows.iter().enumerate().map(|(place, row)| (&row.id, place)).collect();
            prop_assert_eq!((rows.len(), place.len()), (30, 30));
            for node in graph.nodes.values() {
                for next in &node.next_ids {
                    prop_assert!(place[&node.id] < place[next]);
                }
            }
        }
    }
}
