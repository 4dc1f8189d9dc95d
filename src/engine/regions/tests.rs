//! Back edges against their definition, and the cost of deep nesting.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn graph(nodes: usize, edges: &[(usize, usize)], loops: &[usize]) -> GraphDefinition {
    let entries = (0..nodes).map(|node| {
        let next: Vec<String> =
            edges.iter().filter(|(from, _)| *from == node).map(|(_, to)| format!("n{to}")).collect();
        let kind = if loops.contains(&node) { "loop" } else { "start" };
        let id = format!("n{node}");
        (id.clone(), json!({"id": id, "type": kind, "name": "N", "nextIds": next}))
    });
    let nodes: serde_json::Map<String, serde_json::Value> = entries.collect();
    serde_json::from_value(json!({"name": "g", "nodes": nodes, "startNodeId": "n0"})).expect("a graph")
}

/// By the definition: without the target, no way leads from the root to the source.
fn leads_back(layout: &LoopLayout, frame: PassStart, edge: usize) -> bool {
    let LoopEdge { from, to, .. } = layout.edges[edge];
    let root = frame.checked_sub(1).map_or(layout.start, |at| layout.edges[layout.loops[at].again].to);
    let (mut seen, mut frontier) = (HashSet::new(), vec![root]);
    while let Some(node) = frontier.pop() {
        if node != to && seen.insert(node) {
            let inside = layout.outs[node].iter().filter(|edge| layout.within(frame, **edge));
            frontier.extend(inside.map(|edge| layout.edges[*edge].to));
        }
    }
    layout.within(frame, edge) && !seen.contains(&from)
}

proptest! {
    #[test]
    fn an_edge_leads_back_if_every_way_to_its_source_passes_its_target(
        edges in prop::collection::vec((0..9_usize, 0..9_usize), 0..24), loops in prop::collection::vec(0..9_usize, 0..3)
    ) {
        let Ok(layout) = LoopLayout::new(&graph(9, &edges, &loops)) else { return Ok(()) };
        for frame in 0..=layout.loops.len() {
            for edge in 0..layout.edges.len() {
                let found = layout.back[frame].contains(&small(edge));
                prop_assert_eq!(found, leads_back(&layout, frame, edge), "frame {} edge {}", frame, edge);
            }
        }
    }
}

/// `depth` loops, each the body of the one before.
fn nested(depth: usize) -> GraphDefinition {
    // Loop n goes to loop n + 1 and, once that is over, gets back to itself.
    let mut edges = Vec::new();
    for node in 0..depth {
        let inner = node + 1;
        edges.push((node, inner));
        if node > 0 {
            edges.push((node, node - 1));
        }
    }
    edges.push((depth, depth - 1));
    graph(depth + 1, &edges, &(0..depth).collect::<Vec<_>>())
}

#[test]
fn deep_nesting_is_read_quickly_or_refused() {
    let began = Instant::now();
    let layout = LoopLayout::new(&nested(1_500)).expect("a layout");
    assert_eq!(layout.loops.len(), 1_500);
    assert_eq!(layout.loops[0].body.len(), 1_500);
    // What looks at each edge again for each loop takes minutes.
    assert!(began.elapsed() < Duration::from_secs(40), "took {:?}", began.elapsed());
    assert!(matches!(LoopLayout::new(&nested(6_000)), Err(LoopError::TooDeep(_))));
}
