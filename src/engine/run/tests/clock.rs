//! Under a clock that only moves when nothing else does: times, retries, and whole runs of any graph.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use tokio::time::Instant;

use std::rc::Rc;

use super::*;
use relive_session::ambient::{self, Ambient};

/// The operating system's clock and numbers, supplied as a simulation's are: templates are filled on
/// this thread then, and the paused clock does not run ahead while another one is at it.
#[derive(Debug)]
struct OnThisThread;

impl Ambient for OnThisThread {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        chrono::Utc::now()
    }

    fn random(&self) -> u64 {
        rand::random()
    }
}

async fn runs_for(
    nodes: &[(&str, &str, Value, &[&str])],
    properties: Value,
) -> (Local, Result<Ended, RunError>, Duration) {
    ambient::supply(Some(Rc::new(OnThisThread)));
    let mut graph = graph(nodes);
    graph.properties = properties.as_object().cloned().unwrap_or_default();
    let began = Instant::now();
    let (local, ended) = Running::start(graph, 4).end_within(Duration::from_secs(1_000_000)).await;
    (local, ended, began.elapsed())
}

/// Times pass a little late; early only by what the real clock, which stamps the start of a session,
/// went on before this one was looked at.
fn about(time: Duration, expected: f64) {
    let seconds = time.as_secs_f64();
    assert!(seconds > expected - 0.5 && seconds < expected + 0.5, "{seconds} instead of {expected}");
}

#[tokio::test(start_paused = true)]
async fn delays_side_by_side_take_as_long_as_the_longest() {
    let nodes: &[(&str, &str, Value, &[&str])] = &[
        ("a", "parallel", json!({}), &["b", "c"]),
        ("b", "delay", json!({"seconds": 3600}), &["d"]),
        ("c", "delay", json!({"seconds": 60}), &["d"]),
        ("d", "delay", json!({"seconds": 1.5}), &[]),
    ];
    let (local, ended, time) = runs_for(nodes, json!({})).await;
    assert_eq!(ended, Ok(Ended::Completed));
    about(time, 3_601.5);
    assert_eq!(local.story("b"), [Runs, Completed]);
}

#[tokio::test(start_paused = true)]
async fn attempts_lie_further_and_further_apart() {
    let broken = json!({"output": "{{inputs.nowhere}}", "onError": {"count": 4, "backoffSeconds": 2}});
    let (local, ended, time) = runs_for(&[("a", "sequence", broken, &[])], json!({})).await;
    assert!(matches!(ended, Ok(Ended::Failed { .. })), "{ended:?}");
    about(time, 2.0 + 4.0 + 8.0 + 16.0);
    assert_eq!(local.session().nodes["a"].snapshot.attempt, Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_run_and_a_review_have_their_time() {
    let (_, ended, time) = runs_for(&[("r", "human_review", json!({"timeout_minutes": 2}), &[])], json!({})).await;
    assert!(matches!(&ended, Ok(Ended::Failed { error }) if error.contains("within 2 minutes")), "{ended:?}");
    about(time, 120.0);
    let nodes: &[(&str, &str, Value, &[&str])] = &[("d", "delay", json!({"seconds": 9000}), &[])];
    let (_, ended, time) = runs_for(nodes, json!({"timeoutSeconds": 30})).await;
    assert_eq!(ended, Ok(Ended::Failed { error: "the run took longer than 30 s".to_owned() }));
    about(time, 30.0);
}

#[tokio::test(start_paused = true)]
async fn a_run_with_nothing_to_do_for_long_is_parked() {
    for (kind, properties, parked) in [
        ("human_review", json!({}), true),
        ("delay", json!({"seconds": 3600}), true),
        ("delay", json!({"seconds": 3}), false),
    ] {
        let mut running = Running::start_with(graph(&[("a", kind, properties, &[])]), 4, Some(Duration::from_secs(10)));
        let ended = (&mut running.ended).await.expect("no panic");
        assert_eq!(matches!(ended, Ok(Ended::Parked { .. })), parked, "{kind}: {ended:?}");
        if let Ok(Ended::Parked { revision, wake_after }) = ended {
            assert_eq!(revision, running.local.session().revision);
            assert_eq!(wake_after.is_some(), kind == "delay");
            assert!(!running.local.session().status.is_ended());
        }
    }
}

/// What a run leaves behind, apart from times and from the order of what runs side by side.
pub(super) fn outcome(
    session: &Session,
    story: impl Fn(&str) -> Vec<NodeStatus>,
) -> BTreeMap<String, (Vec<NodeStatus>, Option<u32>)> {
    let of = |id: &NodeId| (story(id.as_str()), session.nodes[id].snapshot.attempt);
    session.nodes.keys().map(|id| (id.to_string(), of(id))).collect()
}

/// Every node but the first follows one or more earlier ones; some lead back, some take their time, and
/// some put out a score.
pub(super) fn any_graph() -> impl Strategy<Value = GraphDefinition> {
    let node =
        (prop::collection::vec(any::<prop::sample::Index>(), 1..3), any::<prop::sample::Index>(), 0..6_u8, 0..4_u32);
    prop::collection::vec(node, 1..12).prop_map(|nodes| {
        let mut next: Vec<Vec<usize>> = vec![Vec::new(); nodes.len() + 1];
        let mut kinds = vec![("start", json!({}))];
        for (at, (sources, again, kind, number)) in nodes.iter().enumerate().map(|(at, node)| (at + 1, node)) {
            let mut from: Vec<usize> = sources.iter().map(|source| source.index(at)).collect();
            from.sort_unstable();
            from.dedup();
            from.into_iter().for_each(|from| next[from].push(at));
            kinds.push(match kind {
                0 => {
                    next[at].push(again.index(at + 1));
                    ("loop", json!({"max_rounds": number}))
                }
                1 | 2 => ("delay", json!({"seconds": number})),
                _ => ("sequence", json!({"output": {"score": number}})),
            });
        }
        let node = |(at, (kind, properties)): (usize, (&str, Value))| {
            let next: Vec<String> = next[at].iter().map(|to| format!("n{to:02}")).collect();
            let id = format!("n{at:02}");
            let node = json!({"id": id, "type": kind, "name": id, "nextIds": next, "properties": properties});
            (id, node)
        };
        let nodes: serde_json::Map<String, Value> = kinds.into_iter().enumerate().map(node).collect();
        serde_json::from_value(json!({"name": "g", "nodes": nodes, "startNodeId": "n00"})).expect("a graph")
    })
}

/// Runs to the end. At each of these revisions the session is paused, and resumed a while later.
fn play(graph: &GraphDefinition, pauses: &[u64]) -> (Local, Result<Ended, RunError>) {
    ambient::supply(Some(Rc::new(OnThisThread)));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let running = Running::start(graph.clone(), 3);
        let (local, pauses) = (running.local.clone(), pauses.to_vec());
        let pausing = tokio::spawn(async move {
            for revision in pauses {
                local.until("a moment to pause", |s| s.revision >= revision || s.status.is_ended()).await;
                if local.try_tell(Command::Pause) {
                    tokio::time::sleep(Duration::from_secs(100)).await;
                    local.try_tell(Command::Resume);
                }
            }
        });
        let ended = running.end_within(Duration::from_secs(1_000_000)).await;
        pausing.abort();
        ended
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn pausing_at_any_moment_changes_nothing_but_times(
        graph in any_graph(), mut pauses in prop::collection::vec(2_u64..80, 1..4)
    ) {
        prop_assume!(graph.validate_for_builtin().is_ok());
        prop_assume!(crate::engine::schedule::Schedule::new(&graph).is_ok());
        pauses.sort_unstable();
        let (undisturbed, ended) = play(&graph, &[]);
        prop_assert_eq!(ended, Ok(Ended::Completed));
        let (paused, ended) = play(&graph, &pauses);
        prop_assert_eq!(ended, Ok(Ended::Completed));
        let (one, other) = (undisturbed.session(), paused.session());
        prop_assert_eq!(outcome(&one, |id| undisturbed.story(id)), outcome(&other, |id| paused.story(id)));
        prop_assert_eq!(loops(&one), loops(&other));
        for (id, (story, attempts)) in outcome(&one, |id| undisturbed.story(id)) {
            // Every attempt ends in exactly one final state. What was skipped before it ever ran has made
            // none; afterwards, a round of a loop that passes a node over is an attempt that is skipped.
            let ends = story.iter().skip_while(|status| **status != Runs).filter(|status| status.is_final()).count();
            prop_assert_eq!(ends, attempts.unwrap_or_default() as usize, "{}: {:?}", id, story);
        }
        started_after_inputs(&undisturbed)?;
        started_after_inputs(&paused)?;
    }
}

/// What loops have decided, apart from when.
fn loops(session: &Session) -> Option<Value> {
    let mut loops = session.context.get("loops")?.value().as_ref().clone();
    for decided in loops.as_object_mut()?.values_mut() {
        decided["scored"]["timestamp"].take();
    }
    Some(loops)
}

/// No node starts before one that leads to it has ended.
fn started_after_inputs(local: &Local) -> Result<(), TestCaseError> {
    let memory = local.memory.lock();
    let graph = memory.session.origin.graph.clone().expect("a graph");
    let mut ended = HashSet::new();
    for recorded in &memory.history {
        match &recorded.event {
            Event::NodeStatusChanged { node_id, status: Runs, .. } => {
                let is_first = *node_id == graph.start_node_id;
                let led = graph.nodes.values().any(|node| node.next_ids.contains(node_id) && ended.contains(&node.id));
                prop_assert!(is_first || led, "{} started before its inputs", node_id);
            }
            Event::NodeStatusChanged { node_id, status, .. } if status.is_final() => {
                ended.insert(node_id.clone());
            }
            _ => {}
        }
    }
    Ok(())
}
