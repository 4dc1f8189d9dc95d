use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use super::super::error::LoopError;
use super::{LoopPast, NodeOutcome, Past, Restored, RunEnd, Schedule, Step};
use relive_session::{GraphDefinition, NodeId};

/// A graph from lines such as `a > b c`; a name in brackets, with its rounds, is a loop node:
/// `[again 2] > a out`.
fn graph(lines: &[&str]) -> GraphDefinition {
    let mut nodes = serde_json::Map::new();
    let mut start = None;
    for line in lines {
        let (head, next) = line.split_once('>').unwrap_or((line, ""));
        let words: Vec<&str> = head.trim().trim_matches(['[', ']']).split_whitespace().collect();
        let next: Vec<&str> = next.split_whitespace().collect();
        let looped = head.trim().starts_with('[');
        let rounds: u32 = words.get(1).map_or(1, |rounds| rounds.parse().expect("rounds"));
        let (kind, properties) = if looped { ("loop", json!({"max_rounds": rounds})) } else { ("command", json!({})) };
        start.get_or_insert(words[0]);
        let node = json!({"id": words[0], "type": kind, "name": words[0], "nextIds": next, "properties": properties});
        nodes.insert(words[0].to_owned(), node);
    }
    let graph: GraphDefinition =
        serde_json::from_value(json!({"name": "g", "nodes": nodes, "startNodeId": start})).expect("a graph");
    graph.validate_for_builtin().expect("a valid graph");
    graph
}

fn names(ids: &[NodeId]) -> Vec<&str> {
    let mut names: Vec<&str> = ids.iter().map(NodeId::as_str).collect();
    names.sort_unstable();
    names
}

/// Runs one node after the other, the first started first, and lists them in that order.
fn order(lines: &[&str]) -> String {
    let mut schedule = Schedule::new(&graph(lines)).expect("a schedule");
    let mut ready = std::collections::VecDeque::from(schedule.begin().start);
    let mut ran = Vec::new();
    while let Some(node) = ready.pop_front() {
        assert!(ran.len() < 1_000, "runs for ever: {ran:?}");
        ran.push(node.to_string());
        ready.extend(schedule.settle(&node, NodeOutcome::Completed).start);
    }
    assert_eq!(schedule.verdict(), Some(RunEnd::Completed));
    ran.join(" ")
}

#[test]
fn branches_run_side_by_side_and_a_join_waits_for_all_of_them() {
    let mut schedule = Schedule::new(&graph(&["a > b c", "b > d", "c > d", "d"])).expect("a schedule");
    let start = |step: Step| names(&step.start).join(" ");
    assert_eq!(start(schedule.begin()), "a");
    assert_eq!(start(schedule.settle(&"a".into(), NodeOutcome::Completed)), "b c");
    assert_eq!(start(schedule.settle(&"b".into(), NodeOutcome::Completed)), "");
    assert_eq!(schedule.settle(&"b".into(), NodeOutcome::Completed), Step::default(), "settled twice");
    assert_eq!(start(schedule.settle(&"c".into(), NodeOutcome::Completed)), "d");
    assert_eq!(schedule.verdict(), None);
    schedule.settle(&"d".into(), NodeOutcome::Completed);
    assert_eq!(schedule.verdict(), Some(RunEnd::Completed));
}

#[test]
fn a_failure_skips_what_depends_on_it_and_lets_the_rest_finish() {
    let lines = ["a > b c", "b > d", "c > e", "d > f", "e > f", "f"];
    let mut schedule = Schedule::new(&graph(&lines)).expect("a schedule");
    schedule.begin();
    schedule.settle(&"a".into(), NodeOutcome::Completed);
    let failed = schedule.settle(&"b".into(), NodeOutcome::Failed);
    assert_eq!((names(&failed.skip), failed.start.len()), (vec!["d", "f"], 0));
    assert_eq!(schedule.verdict(), None, "c is still running");
    let last = schedule.settle(&"c".into(), NodeOutcome::Completed);
    assert_eq!((names(&last.skip), last.start.len()), (vec!["e"], 0), "e was independent, but nothing new starts");
    assert_eq!(schedule.verdict(), Some(RunEnd::Failed { node: "b".into() }));
}

#[test]
fn a_skipped_input_does_not_hold_back_a_join_with_another_one() {
    let mut schedule = Schedule::new(&graph(&["a > b c", "b > d e", "c > d", "d", "e"])).expect("a schedule");
    schedule.begin();
    schedule.settle(&"a".into(), NodeOutcome::Completed);
    assert_eq!(names(&schedule.settle(&"b".into(), NodeOutcome::Skipped).skip), ["e"]);
    assert_eq!(names(&schedule.settle(&"c".into(), NodeOutcome::Completed).start), ["d"]);
}

#[test]
fn a_loop_runs_its_body_as_often_as_it_says() {
    // Entered through the body.
    assert_eq!(order(&["a > b", "b > l", "[l 1] > a out", "out"]), "a b l out");
    assert_eq!(order(&["a > b", "b > l", "[l 3] > a out", "out"]), "a b l a b l a b l out");
    // Entered through the loop node.
    assert_eq!(order(&["s > l", "[l 2] > a out", "a > l", "out"]), "s l a l a l out");
    assert_eq!(order(&["s > l", "[l 0] > a out", "a > l", "out"]), "s l out");
    // A loop node that is its own body, and one with no way out.
    assert_eq!(order(&["[l 3] > l out", "out"]), "l l l out");
    assert_eq!(order(&["a > l", "[l 2] > a"]), "a l a l");
}

#[test]
fn a_loop_does_not_wait_for_a_branch_beside_it() {
    for body in [&["s > p a", "p", "a > l", "[l 1] > a"][..], &["s > p l", "p", "[l 1] > a", "a > l"]] {
        let mut schedule = Schedule::new(&graph(body)).expect("a schedule");
        schedule.begin();
        let started = schedule.settle(&"s".into(), NodeOutcome::Completed).start;
        assert_eq!(started.len(), 2, "{body:?} started only {started:?}");
    }
}

#[test]
fn loops_nest_and_the_inner_one_counts_anew_in_each_round() {
    let tails = ["a > b", "b > in", "[in 2] > b out", "[out 2] > a end", "end"];
    assert_eq!(order(&tails), "a b in b in out a b in b in out end");
    let heads = ["s > out", "[out 2] > in end", "[in 2] > b out", "b > in", "end"];
    assert_eq!(order(&heads), "s out in b in b in out in b in b in out end");
}

#[test]
fn inside_a_loop_joins_wait_in_every_round() {
    let lines = ["a > b c", "b > d", "c > d", "d > l", "[l 2] > a out", "out"];
    assert_eq!(order(&lines), "a b c d l a b c d l out");
    // The run need not enter the cycle by the loop's first next node. Coming from `a` the first
    // time, the loop node has been reached through its body, so one round is behind it.
    assert_eq!(order(&["s > a", "a > l", "[l 2] > b out", "b > a", "out"]), "s a l b a l out");
}

#[test]
fn what_leaves_a_loop_by_the_side_waits_until_it_is_over() {
    assert_eq!(order(&["a > l side", "[l 2] > a out", "out", "side"]), "a l a l out side");
}

#[test]
fn a_cycle_entered_at_two_places_does_not_hang() {
    assert_eq!(order(&["s > a l", "a > l", "[l 2] > a out", "out"]), "s a l a l out");
}

#[test]
fn refuses_loops_that_are_none() {
    let refused = |lines: &[&str]| Schedule::new(&graph(lines)).err();
    assert_eq!(refused(&["[l]"]), Some(LoopError::NoBody("l".into())));
    assert_eq!(refused(&["[l] > a", "a"]), Some(LoopError::NotALoop("l".into())));
    let inside = LoopError::ExitInside { node: "l".into(), exit: "b".into() };
    assert_eq!(refused(&["a > b", "b > l", "[l] > a b"]), Some(inside));
    let crossing = LoopError::Crossing("k".into(), "l".into());
    assert_eq!(refused(&["a > l k", "[l] > a out", "[k] > a out", "out"]), Some(crossing));
}

#[test]
fn ten_thousand_nodes_in_a_row_are_scheduled_at_once() {
    let lines: Vec<String> = (0..9_999).map(|n| format!("n{n} > n{}", n + 1)).chain(["n9999".to_owned()]).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut schedule = Schedule::new(&graph(&lines)).expect("a schedule");
    let mut ready = schedule.begin().start;
    let mut ran = 0;
    while let Some(node) = ready.pop() {
        ran += 1;
        ready.extend(schedule.settle(&node, NodeOutcome::Completed).start);
    }
    assert_eq!(ran, 10_000);
}

/// Every node but the first follows one or more earlier ones; some are loop nodes that lead back.
/// As [`any_graph`], with nodes that decide which of the next ones follow.
fn any_graph_with_choices() -> impl Strategy<Value = GraphDefinition> {
    let seeds = prop::collection::vec(prop::option::weighted(0.5, any::<u64>()), 14);
    (any_graph(true), seeds).prop_map(|(mut graph, seeds)| {
        for (node, seed) in graph.nodes.values_mut().zip(seeds) {
            if let Some(seed) = seed.filter(|_| node.kind != GraphDefinition::LOOP) {
                node.properties.insert("choice".to_owned(), json!(seed));
            }
        }
        graph
    })
}

fn any_graph(loops: bool) -> impl Strategy<Value = GraphDefinition> {
    let node =
        (prop::collection::vec(any::<prop::sample::Index>(), 1..4), any::<prop::sample::Index>(), 0..4_u8, 0..4_u32);
    prop::collection::vec(node, 1..14).prop_map(move |nodes| {
        let mut next: BTreeMap<usize, Vec<usize>> = (0..=nodes.len()).map(|at| (at, Vec::new())).collect();
        let mut kinds = BTreeMap::new();
        for (at, (sources, again, is_loop, rounds)) in nodes.iter().enumerate().map(|(at, node)| (at + 1, node)) {
            for from in sources.iter().map(|source| source.index(at)).collect::<BTreeSet<_>>() {
                next.entry(from).or_default().push(at);
            }
            if loops && *is_loop == 0 {
                next.entry(at).or_default().push(again.index(at + 1));
                kinds.insert(at, *rounds);
            }
        }
        let json: serde_json::Map<String, serde_json::Value> = next
            .iter()
            .map(|(at, next)| {
                let id = format!("n{at:02}");
                let next: Vec<String> = next.iter().map(|to| format!("n{to:02}")).collect();
                let (kind, rounds) = kinds.get(at).map_or(("command", 1), |rounds| ("loop", *rounds));
                let node =
                    json!({"id": id, "type": kind, "name": id, "nextIds": next, "properties": {"max_rounds": rounds}});
                (id, node)
            })
            .collect();
        serde_json::from_value(json!({"name": "g", "nodes": json, "startNodeId": "n00"})).expect("a graph")
    })
}

/// What a run did: each node's attempts, and how the last one ended.
#[derive(Default)]
struct Played {
    ended: BTreeMap<NodeId, Vec<NodeOutcome>>,
    order: Vec<NodeId>,
}

/// What a node decides when it is entered for the so manieth time: of most nodes nothing, of some a part of what
/// is next, which can be none.
fn choice(graph: &GraphDefinition, node: &NodeId, entered: usize) -> Option<Vec<NodeId>> {
    let node = &graph.nodes[node];
    let seed = node.properties.get("choice")?.as_u64()?;
    let next = &node.next_ids;
    Some(
        next.iter()
            .enumerate()
            .filter(|(at, _)| seed.rotate_right(u32::try_from(at + entered).unwrap_or_default()) & 1 == 1)
            .map(|(_, id)| id.clone())
            .collect(),
    )
}

/// Plays a run in which `picks` chooses who ends next, and `fails` names the node that fails.
fn play(
    graph: &GraphDefinition,
    picks: &[prop::sample::Index],
    fails: Option<&NodeId>,
) -> Result<(Played, RunEnd), TestCaseError> {
    let mut schedule = Schedule::new(graph).map_err(|_| TestCaseError::reject("not loops"))?;
    let mut played = Played::default();
    let mut running: Vec<NodeId> = Vec::new();
    let mut failed = false;
    let mut step = schedule.begin();
    for turn in 0.. {
        prop_assert!(turn < 20_000, "the run does not end");
        prop_assert!(!failed || step.start.is_empty(), "started after a failure");
        for node in step.start.drain(..) {
            prop_assert!(!running.contains(&node), "{} runs twice at once", node);
            running.push(node);
        }
        for node in step.skip.drain(..) {
            prop_assert!(!running.contains(&node), "{} skipped while running", node);
            played.ended.entry(node).or_default().push(NodeOutcome::Skipped);
        }
        prop_assert_eq!(schedule.verdict().is_some(), running.is_empty());
        if running.is_empty() {
            break;
        }
        let node = running.remove(picks[turn % picks.len()].index(running.len()));
        let outcome = if fails == Some(&node) { NodeOutcome::Failed } else { NodeOutcome::Completed };
        failed |= outcome == NodeOutcome::Failed;
        let entered = played.ended.entry(node.clone()).or_default();
        entered.push(outcome);
        let chosen = choice(graph, &node, entered.len()).filter(|_| outcome == NodeOutcome::Completed);
        played.order.push(node.clone());
        step = match chosen {
            Some(chosen) => schedule.choose(&node, &chosen),
            None => schedule.settle(&node, outcome),
        };
    }
    let verdict = schedule.verdict().ok_or_else(|| TestCaseError::fail("no verdict"))?;
    Ok((played, verdict))
}

/// What a run leaves behind in its session, from which it can be restored.
struct Known {
    pasts: BTreeMap<NodeId, Past>,
    loops: BTreeMap<NodeId, LoopPast>,
    chosen: BTreeMap<NodeId, Vec<NodeId>>,
    played: Played,
}

impl Known {
    fn restore(&self, graph: &GraphDefinition) -> Result<Restored, TestCaseError> {
        let loops = |id: &NodeId| self.loops.get(id).copied();
        Schedule::restore(graph, |id| self.pasts[id], loops, |id| self.chosen.get(id).cloned())
            .map_err(|_| TestCaseError::reject("not loops"))
    }

    fn apply_step(&mut self, step: Step) {
        for node in step.start {
            self.pasts.insert(node, Past::Running);
        }
        for node in step.skip {
            self.end(node, NodeOutcome::Skipped);
        }
    }

    fn end(&mut self, node: NodeId, outcome: NodeOutcome) {
        self.pasts.insert(node.clone(), Past::Ended(outcome));
        self.played.ended.entry(node).or_default().push(outcome);
    }
}

/// Plays a run that is interrupted after every settled node, each time before (`picks` decide) or
/// after what follows from it has become known.
fn play_restored(
    graph: &GraphDefinition,
    picks: &[prop::sample::Index],
    fails: Option<&NodeId>,
) -> Result<(Played, RunEnd), TestCaseError> {
    let pasts = graph.nodes.keys().map(|id| (id.clone(), Past::Waiting)).collect();
    let mut known = Known { pasts, loops: BTreeMap::new(), chosen: BTreeMap::new(), played: Played::default() };
    let mut turn = 0;
    loop {
        turn += 1;
        prop_assert!(turn < 20_000, "the run does not end");
        let pick = picks[turn % picks.len()];
        let Restored { mut schedule, step, reset } = known.restore(graph)?;
        for node in reset {
            known.pasts.insert(node, Past::Waiting);
        }
        known.apply_step(step);
        let runs = |(id, past): (&NodeId, &Past)| (*past == Past::Running).then(|| id.clone());
        let running: Vec<NodeId> = known.pasts.iter().filter_map(runs).collect();
        if running.is_empty() {
            let verdict = schedule.verdict().ok_or_else(|| TestCaseError::fail("no verdict"))?;
            return Ok((known.played, verdict));
        }
        let node = running[pick.index(running.len())].clone();
        let outcome = if fails == Some(&node) { NodeOutcome::Failed } else { NodeOutcome::Completed };
        let round = schedule.round(&node, false).filter(|_| outcome == NodeOutcome::Completed);
        known.end(node.clone(), outcome);
        let entered = known.played.ended[&node].len();
        let chosen = choice(graph, &node, entered).filter(|_| outcome == NodeOutcome::Completed);
        let step = match &chosen {
            Some(chosen) => schedule.choose(&node, chosen),
            None => schedule.settle(&node, outcome),
        };
        if let Some(chosen) = chosen {
            known.chosen.insert(node.clone(), chosen);
        }
        known.played.order.push(node.clone());
        let cut_off = pick.index(2) == 0;
        if let Some(round) = round {
            known.loops.retain(|id, _| !round.reset.contains(id));
            known.loops.insert(node, LoopPast { rounds: round.rounds, again: round.again });
            for node in round.reset.into_iter().filter(|_| !cut_off) {
                known.pasts.insert(node, Past::Waiting);
            }
        }
        if !cut_off {
            known.apply_step(step);
        }
    }
}

fn any_picks() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 1..40)
}

proptest! {
    #[test]
    fn without_loops_every_node_runs_once_after_all_its_inputs(graph in any_graph(false), picks in any_picks()) {
        let (played, verdict) = play(&graph, &picks, None)?;
        prop_assert_eq!(verdict, RunEnd::Completed);
        prop_assert!(played.ended.len() == graph.nodes.len() && played.ended.values().all(|ends| ends == &[NodeOutcome::Completed]));
        let place = |id: &NodeId| played.order.iter().position(|ran| ran == id);
        for node in graph.nodes.values() {
            for next in &node.next_ids {
                prop_assert!(place(&node.id) < place(next), "{} ended after {}", node.id, next);
            }
        }
    }

    #[test]
    fn a_failure_ends_every_node_once_and_runs_nothing_behind_it(
        graph in any_graph(false), picks in any_picks(), which in any::<prop::sample::Index>()
    ) {
        let ids: Vec<&NodeId> = graph.nodes.keys().collect();
        let fails = ids[which.index(ids.len())];
        let (played, verdict) = play(&graph, &picks, Some(fails))?;
        prop_assert_eq!(verdict, RunEnd::Failed { node: fails.clone() });
        prop_assert!(played.ended.len() == graph.nodes.len() && played.ended.values().all(|ends| ends.len() == 1));
        for node in graph.nodes.values() {
            for next in &node.next_ids {
                let (from, to) = (played.ended[&node.id][0], played.ended[next][0]);
                prop_assert!(from == NodeOutcome::Completed || to == NodeOutcome::Skipped, "{} {:?} -> {} {:?}", node.id, from, next, to);
            }
        }
    }

    #[test]
    fn with_loops_a_run_ends_and_runs_each_node(
        graph in any_graph(true), picks in any_picks(), others in any_picks()
    ) {
        prop_assume!(graph.validate_for_builtin().is_ok());
        let (played, verdict) = play(&graph, &picks, None)?;
        prop_assert_eq!(verdict, RunEnd::Completed);
        prop_assert_eq!(played.ended.len(), graph.nodes.len(), "a node ended in no state");
        // The order of completion decides nothing: loops run as often whoever is fastest.
        let (again, _) = play(&graph, &others, None)?;
        prop_assert_eq!(played.ended, again.ended);
    }

    /// Whatever nodes decide, the run ends, every node ends in some state, and the order of completion
    /// decides nothing.
    #[test]
    fn with_choices_a_run_ends_and_settles_each_node(
        graph in any_graph_with_choices(), picks in any_picks(), others in any_picks()
    ) {
        prop_assume!(graph.validate().is_ok());
        let (played, verdict) = play(&graph, &picks, None)?;
        prop_assert_eq!(verdict, RunEnd::Completed);
        prop_assert_eq!(played.ended.len(), graph.nodes.len(), "a node ended in no state");
        let (again, _) = play(&graph, &others, None)?;
        prop_assert_eq!(played.ended, again.ended);
    }

    #[test]
    fn with_choices_a_run_restored_at_every_moment_ends_as_one_that_was_left_alone(
        graph in any_graph_with_choices(), picks in any_picks()
    ) {
        prop_assume!(graph.validate().is_ok());
        let (restored, verdict) = play_restored(&graph, &picks, None)?;
        let (whole, whole_verdict) = play(&graph, &picks, None)?;
        prop_assert_eq!(verdict, whole_verdict);
        prop_assert_eq!(restored.ended, whole.ended);
    }

    /// The same nodes end in the same ways as often, whether or not the run was interrupted after
    /// every one of them.
    #[test]
    fn a_run_restored_at_every_moment_ends_as_one_that_was_left_alone(
        graph in any_graph(true), picks in any_picks(), which in any::<prop::sample::Index>(), any_fails in any::<bool>()
    ) {
        prop_assume!(graph.validate_for_builtin().is_ok());
        let ids: Vec<&NodeId> = graph.nodes.keys().collect();
        let fails = Some(ids[which.index(ids.len())]).filter(|_| any_fails);
        let (restored, verdict) = play_restored(&graph, &picks, fails)?;
        if fails.is_none() {
            let (whole, whole_verdict) = play(&graph, &picks, None)?;
            prop_assert_eq!(verdict, whole_verdict);
            prop_assert_eq!(restored.ended, whole.ended);
        } else {
            let failed = restored.ended.values().flatten().any(|end| *end == NodeOutcome::Failed);
            prop_assert_eq!(failed, verdict != RunEnd::Completed);
            prop_assert!(restored.ended.len() == graph.nodes.len(), "a node ended in no state");
        }
    }
}

#[test]
fn a_loop_can_be_left_before_its_rounds_are_over() {
    let mut schedule = Schedule::new(&graph(&["a > l", "[l 9] > a out", "out"])).expect("a schedule");
    schedule.begin();
    schedule.settle(&"a".into(), NodeOutcome::Completed);
    let round = schedule.round(&"l".into(), false).expect("a loop node");
    assert_eq!((round.rounds, round.again, names(&round.reset)), (1, true, vec!["a", "l"]));
    assert_eq!(names(&schedule.settle(&"l".into(), NodeOutcome::Completed).start), ["a"]);
    schedule.settle(&"a".into(), NodeOutcome::Completed);
    let round = schedule.round(&"l".into(), true).expect("a loop node");
    assert_eq!((round.rounds, round.again, round.reset), (2, false, vec![]));
    assert_eq!(names(&schedule.settle(&"l".into(), NodeOutcome::Left).start), ["out"]);
    assert_eq!(schedule.round(&"a".into(), false), None);
}

#[test]
fn a_node_that_decides_leads_only_where_it_says() {
    let lines = ["s > a b", "a > c j", "b > j", "c", "j"];
    let mut schedule = Schedule::new(&graph(&lines)).expect("a schedule");
    schedule.begin();
    let step = schedule.choose(&"s".into(), &["b".into()]);
    assert_eq!((names(&step.start), names(&step.skip)), (vec!["b"], vec!["a", "c"]));
    let step = schedule.settle(&"b".into(), NodeOutcome::Completed);
    assert_eq!(names(&step.start), ["j"], "what is not chosen holds nothing back");
    schedule.settle(&"j".into(), NodeOutcome::Completed);
    assert_eq!(schedule.verdict(), Some(RunEnd::Completed));
    // Nowhere at all.
    let mut schedule = Schedule::new(&graph(&lines)).expect("a schedule");
    schedule.begin();
    let step = schedule.choose(&"s".into(), &[]);
    assert_eq!((step.start.len(), step.skip.len(), schedule.verdict()), (0, 4, Some(RunEnd::Completed)));
    // The way out of a loop: nothing comes round, so the loop is over.
    let mut schedule = Schedule::new(&graph(&["a > l out", "[l 5] > a", "out"])).expect("a schedule");
    schedule.begin();
    schedule.choose(&"a".into(), &["l".into()]);
    assert_eq!(names(&schedule.settle(&"l".into(), NodeOutcome::Completed).start), ["a"]);
    let step = schedule.choose(&"a".into(), &["out".into()]);
    assert_eq!((names(&step.start), names(&step.skip)), (vec!["out"], vec!["l"]));
}
