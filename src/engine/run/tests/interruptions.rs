//! Whatever interrupts a run, it makes the attempts that it would have made: parked, paused, killed,
//! taken over, forked from any of its moments.

use std::rc::Rc;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use tokio::time::Instant;

use super::clock::any_graph;
use super::*;
use relive_session::ambient::{self, Ambient};
use relive_session::{Created, Keyframe, SessionId, Timestamp};

/// A wall clock that goes as the paused one does.
#[derive(Debug)]
struct Wall {
    began: DateTime<Utc>,
    at: Instant,
}

impl Ambient for Wall {
    fn now(&self) -> DateTime<Utc> {
        self.began + self.at.elapsed()
    }

    fn random(&self) -> u64 {
        rand::random()
    }
}

const HOUR: Duration = Duration::from_hours(1);

/// Runs a future on one thread, under a clock that only moves when nothing else does.
fn under_one_clock<T>(future: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        ambient::supply(Some(Rc::new(Wall { began: Utc::now(), at: Instant::now() })));
        let result = future.await;
        ambient::supply(None);
        result
    })
}

#[derive(Clone, Copy, Debug)]
enum Interruption {
    /// Paused, and resumed so many seconds later.
    Pause(u64),
    /// Let go of by an engine that ends well.
    Detach,
    /// Gone without a word; the next engine has only what is stored.
    Kill,
    /// As killed, and the next engine's clock is an hour behind.
    SetBack,
    /// Forked from the moment at this fraction of its history, and gone on with from there.
    Fork(f64),
}

fn any_interruption() -> impl Strategy<Value = (u64, Interruption)> {
    let kind = prop_oneof![
        (1_u64..40).prop_map(Interruption::Pause),
        Just(Interruption::Detach),
        Just(Interruption::Kill),
        Just(Interruption::SetBack),
        (0.0..1.0).prop_map(Interruption::Fork),
    ];
    (1_u64..12, kind)
}

fn options() -> RunOptions {
    RunOptions { parallel: 3, park_after: Some(Duration::from_secs(2)), crashes: 0, clock: WallClock::default() }
}

/// A run that is driven again whenever it is parked.
struct Driven {
    local: Local,
    /// What happened in the sessions that this one descends from, up to the forks.
    before: Vec<Recorded>,
    running: Running,
    /// While nobody drives it: at which revision, and until when.
    parked: Option<(u64, Option<Instant>)>,
    ended: Option<Ended>,
}

impl Driven {
    fn start(graph: &GraphDefinition) -> Self {
        let local = Local::new(graph);
        let running = Running::resume(local.clone(), options());
        Self { running, before: Vec::new(), local, parked: None, ended: None }
    }

    fn again(&mut self) {
        (self.parked, self.ended) = (None, None);
        self.running = Running::resume(self.local.clone(), options());
    }

    /// Drives until the session has come to a revision, or has ended; returns its end.
    async fn until(&mut self, revision: u64) -> Option<Ended> {
        while self.ended.is_none() {
            let local = self.local.clone();
            let is_there = move |session: &Session| session.revision >= revision && !session.status.is_ended();
            let there = local.until("as far", is_there);
            if let Some((parked_at, wake_at)) = self.parked {
                let moved = local.until("a change", |session| session.revision > parked_at);
                tokio::select! {
                    biased;
                    () = there => return None,
                    () = moved => self.again(),
                    () = crate::engine::run::timers::at(wake_at) => self.again(),
                }
                continue;
            }
            tokio::select! {
                biased;
                () = there => return None,
                ended = &mut self.running.ended => match ended.expect("no panic").expect("an end") {
                    Ended::Parked { revision, wake_after } => {
                        self.parked = Some((revision, wake_after.map(|time| Instant::now() + time)));
                    }
                    ended => self.ended = Some(ended),
                },
            }
        }
        self.ended.clone()
    }

    /// Ends the run, one way or the other, and goes on with a new one unless the session has ended.
    async fn go_on(&mut self, change: impl FnOnce(&mut Self)) {
        self.is_gone().await;
        change(self);
        if self.local.session().status.is_ended() {
            self.ended = Some(Ended::Completed);
        } else {
            self.again();
        }
    }

    async fn is_gone(&mut self) {
        if self.parked.is_none() && self.ended.is_none() {
            let _ = (&mut self.running.ended).await;
        }
    }

    async fn interrupt(&mut self, interruption: Interruption) {
        match interruption {
            Interruption::Pause(seconds) => {
                if self.local.try_tell(Command::Pause) {
                    let _ = tokio::time::timeout(Duration::from_secs(seconds), self.until(u64::MAX)).await;
                    self.local.try_tell(Command::Resume);
                }
            }
            Interruption::Detach => {
                self.running.detach.cancel();
                self.go_on(|_| ()).await;
            }
            Interruption::Kill => {
                self.running.ended.abort();
                self.go_on(|driven| driven.restore()).await;
            }
            Interruption::SetBack => {
                self.running.ended.abort();
                let began = ambient::now() - HOUR;
                ambient::supply(Some(Rc::new(Wall { began, at: Instant::now() })));
                self.go_on(|driven| driven.restore()).await;
            }
            Interruption::Fork(part) => {
                self.running.ended.abort();
                self.is_gone().await;
                let moments = self.moments();
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
                let at = (moments.len() as f64 * part) as usize;
                *self = self.fork_of(&moments[at.min(moments.len() - 1)]);
            }
        }
    }

    /// From its stored keyframe, as after a restart.
    fn restore(&self) {
        let mut memory = self.local.memory.lock();
        let first = Session::create(&memory.history[0]).expect("a beginning");
        let stored = Keyframe::of(&memory.session).to_json().expect("JSON");
        let restored =
            Keyframe::from_json(&stored).expect("a keyframe").restore_stored(&first, memory.session.revision);
        assert_eq!(restored, memory.session);
        memory.session = restored;
    }

    /// The states that the session went through before it ended.
    fn moments(&self) -> Vec<Session> {
        let history = self.local.memory.lock().history.clone();
        let mut states = vec![Session::create(&history[0]).expect("a beginning")];
        for recorded in &history[1..] {
            let mut next = states[states.len() - 1].clone();
            next.apply(recorded).expect("a history");
            states.push(next);
        }
        states.retain(|state| !state.status.is_ended());
        states
    }

    /// A fork of one of these moments, started.
    fn fork_of(&self, moment: &Session) -> Self {
        let history = self.local.memory.lock().history.clone();
        let shared = usize::try_from(moment.revision).expect("a short history");
        let before = self.before.iter().chain(&history[1..shared]).cloned().collect();
        let event = Event::Created(Box::new(Created::fork_of(moment)));
        let recorded =
            Recorded { session_id: SessionId::generate(), revision: 1, at: Timestamp::now(), by: None, event };
        let local = self.local.fork(&recorded);
        local.try_tell(Command::Resume);
        Self { running: Running::resume(local.clone(), options()), before, local, parked: None, ended: None }
    }

    /// Round and score of each round that was scored, of all loops together.
    fn scores(&self) -> Vec<(Option<u64>, Option<f64>)> {
        let session = self.local.session();
        let scores = session.context.get("score_history").and_then(|entry| entry.value().as_array().cloned());
        let shown = |score: Value| (score["round"].as_u64(), score["score"].as_f64());
        let mut scores: Vec<_> = scores.unwrap_or_default().into_iter().map(shown).collect();
        scores.sort_by(|one, other| one.partial_cmp(other).expect("numbers"));
        scores
    }

    /// The statuses that each node went through, apart from attempts that were cut off.
    fn story(&self, node: &NodeId) -> Vec<NodeStatus> {
        let memory = self.local.memory.lock();
        let mut story = Vec::new();
        for recorded in self.before.iter().chain(&memory.history) {
            let Event::NodeStatusChanged { node_id, status, error, .. } = &recorded.event else { continue };
            if node_id != node {
                continue;
            }
            let is_cut_off = error.as_deref().is_some_and(|error| error.starts_with("interrupted"));
            match status {
                Failed if is_cut_off => drop(story.pop()),
                Pending if is_cut_off => {}
                // Reported again, with another time at which it is due.
                status if story.last() == Some(status) => {}
                status => story.push(*status),
            }
        }
        // The event that ends a session skips what is left, and says so of none.
        let is_skipped = memory.session.node_status(node) == Some(Skipped) && story.last() != Some(&Skipped);
        story.extend(is_skipped.then_some(Skipped));
        story
    }
}

/// Some nodes that fail, are tried again, and are passed over then.
fn with_failures(graph: &mut GraphDefinition, failing: &[bool]) {
    let failing = failing.iter().copied().chain(std::iter::repeat(false));
    for (node, fails) in graph.nodes.values_mut().zip(failing) {
        let property = match node.kind.as_str() {
            "sequence" if fails => "output",
            "loop" if fails => "score",
            _ => continue,
        };
        let on_error = json!({"count": 2, "backoffSeconds": 3, "then": "continue"});
        node.properties.insert(property.to_owned(), json!("{{inputs.nowhere}}"));
        node.properties.insert("onError".to_owned(), on_error);
    }
}

/// Some nodes that choose: always the same, or in a loop's body by how many rounds are behind it.
fn with_choices(graph: &mut GraphDefinition, choosing: &[Option<u8>]) {
    let Ok(layout) = crate::engine::regions::LoopLayout::new(graph) else { return };
    for (at, (node, choice)) in graph.nodes.values_mut().zip(choosing).enumerate() {
        let (Some(choice), "sequence", 1..=2) = (choice, node.kind.as_str(), node.next_ids.len()) else { continue };
        let around = layout.loops.iter().find(|held| held.body.contains(at)).map(|held| &layout.ids[held.node]);
        let condition = match (choice, around) {
            (0, _) => "true".to_owned(),
            (1, _) | (_, None) => "false".to_owned(),
            (rounds, Some(around)) => {
                format!("{{{{ (context.loops.{around}.round | default(0)) >= {} }}}}", rounds - 1)
            }
        };
        node.kind = "if".to_owned();
        node.properties = serde_json::Map::from_iter([("condition".to_owned(), json!(condition))]);
    }
}

fn play(graph: &GraphDefinition, interruptions: &[(u64, Interruption)]) -> (Driven, Option<Ended>, Duration) {
    under_one_clock(async {
        let began = Instant::now();
        let mut driven = Driven::start(graph);
        for (after, interruption) in interruptions {
            let revision = driven.local.session().revision + after;
            let has_ended = driven.until(revision).await.is_some();
            // Only a fork can go on with what has ended.
            if !has_ended || matches!(interruption, Interruption::Fork(_)) {
                driven.interrupt(*interruption).await;
            }
        }
        let ended = driven.until(u64::MAX).await;
        (driven, ended, began.elapsed())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_interrupts_a_run_its_attempts_stay_the_same(
        graph in any_graph(),
        failing in prop::collection::vec(any::<bool>(), 0..12),
        choosing in prop::collection::vec(prop::option::of(0..4_u8), 0..12),
        interruptions in prop::collection::vec(any_interruption(), 1..5),
    ) {
        let mut graph = graph;
        with_choices(&mut graph, &choosing);
        with_failures(&mut graph, &failing);
        prop_assume!(graph.validate().is_ok());
        prop_assume!(crate::engine::schedule::Schedule::new(&graph).is_ok());
        let (calm, ended, time) = play(&graph, &[]);
        prop_assert_eq!(ended, Some(Ended::Completed));
        let (disturbed, ended, other_time) = play(&graph, &interruptions);
        prop_assert_eq!(ended, Some(Ended::Completed));
        for id in graph.nodes.keys() {
            prop_assert_eq!(calm.story(id), disturbed.story(id), "{}", id);
        }
        prop_assert_eq!(calm.scores(), disturbed.scores());
        let keeps_time = interruptions.iter().all(|(_, kind)| matches!(kind, Interruption::Detach | Interruption::Kill));
        if keeps_time {
            // Times are stored in whole milliseconds.
            let late = other_time.abs_diff(time);
            prop_assert!(late < Duration::from_millis(100), "{:?} instead of {:?}", other_time, time);
        }
    }
}

/// Killed in the pause before the last attempt: the pause is kept, and no further attempt made.
#[test]
fn a_pause_before_a_retry_is_kept_by_whoever_goes_on() {
    let broken = json!({"output": "{{inputs.nowhere}}", "retries": 2, "backoffSeconds": 10});
    let graph = graph(&[("a", "sequence", broken, &[])]);
    let node = NodeId::from("a");
    under_one_clock(async {
        let began = Instant::now();
        let mut driven = Driven::start(&graph);
        driven.until(4).await;
        let held = driven.local.session().nodes[&node].snapshot.clone();
        let retry = held.retry.expect("it is to be tried again");
        assert_eq!((held.status, retry.tries, retry.due_at.is_some()), (Pending, 1, true));
        assert!(held.error.is_some_and(|error| error.contains("inputs.nowhere")), "why is known meanwhile");
        driven.interrupt(Interruption::Kill).await;
        driven.local.tell(Command::set_context("k", json!(1)));
        driven.interrupt(Interruption::Pause(2)).await;
        let ended = driven.until(u64::MAX).await;
        assert!(matches!(ended, Some(Ended::Failed { .. })), "{ended:?}");
        assert_eq!(driven.story(&node), [Runs, Failed, Pending, Runs, Failed, Pending, Runs, Failed]);
        let seconds = began.elapsed().as_secs_f64();
        assert!((29.0..31.0).contains(&seconds), "10 s and 20 s, not {seconds}");
    });
}

/// While a run is paused its next attempt becomes due, and is made when it is resumed.
#[test]
fn a_retry_that_is_due_in_a_pause_waits_for_its_end() {
    let broken = json!({"output": "{{inputs.nowhere}}", "retries": 1, "backoffSeconds": 10});
    let graph = graph(&[("a", "sequence", broken, &[])]);
    under_one_clock(async {
        let began = Instant::now();
        let mut driven = Driven::start(&graph);
        driven.until(4).await;
        driven.interrupt(Interruption::Pause(60)).await;
        assert_eq!(driven.story(&"a".into()), [Runs, Failed, Pending]);
        assert!(matches!(driven.until(u64::MAX).await, Some(Ended::Failed { .. })));
        let seconds = began.elapsed().as_secs_f64();
        assert!((59.0..61.0).contains(&seconds), "at once, not after {seconds}");
    });
}

/// Neither a retry nor a delay takes longer than twice, whatever the clock of whoever goes on says.
#[test]
fn a_clock_that_is_set_back_an_hour_does_not_delay_a_run_by_it() {
    let broken = json!({"output": "{{inputs.nowhere}}", "retries": 1, "backoffSeconds": 10});
    for (node, most) in [(("a", "sequence", broken), 21.0), (("a", "delay", json!({"seconds": 20})), 41.0)] {
        let graph = graph(&[(node.0, node.1, node.2, &[])]);
        under_one_clock(async {
            let began = Instant::now();
            let mut driven = Driven::start(&graph);
            driven.until(4).await;
            driven.interrupt(Interruption::SetBack).await;
            driven.until(u64::MAX).await.expect("an end");
            let seconds = began.elapsed().as_secs_f64();
            assert!(seconds < most, "{}: {seconds} s", node.1);
        });
    }
}

/// Forks a run that has ended at each of its revisions, those in the middle of what was written at once
/// included, and lets each fork go to its end.
fn fork_everywhere(graph: &GraphDefinition) -> Result<(), TestCaseError> {
    under_one_clock(async {
        let mut calm = Driven::start(graph);
        prop_assert_eq!(calm.until(u64::MAX).await, Some(Ended::Completed));
        for moment in calm.moments() {
            let at = moment.revision;
            let mut fork = calm.fork_of(&moment);
            prop_assert_eq!(fork.until(u64::MAX).await, Some(Ended::Completed), "forked at revision {}", at);
            for id in graph.nodes.keys() {
                prop_assert_eq!(calm.story(id), fork.story(id), "{}, forked at revision {}", id, at);
            }
            prop_assert_eq!(calm.scores(), fork.scores(), "forked at revision {}", at);
            let outputs = |driven: &Driven| driven.local.session().outputs;
            prop_assert_eq!(outputs(&calm), outputs(&fork), "forked at revision {}", at);
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_fork_of_any_moment_goes_on_as_its_parent_did(
        graph in any_graph(),
        failing in prop::collection::vec(any::<bool>(), 0..12),
        choosing in prop::collection::vec(prop::option::of(0..4_u8), 0..12),
    ) {
        let mut graph = graph;
        with_choices(&mut graph, &choosing);
        with_failures(&mut graph, &failing);
        prop_assume!(graph.validate().is_ok());
        prop_assume!(crate::engine::schedule::Schedule::new(&graph).is_ok());
        fork_everywhere(&graph)?;
    }
}

/// Loops that are entered by their bodies, and one in another.
#[test]
fn a_fork_of_any_moment_scores_each_round_once() -> Result<(), TestCaseError> {
    let score = |score: u32| json!({"output": {"score": score}});
    fork_everywhere(&graph(&[
        ("b", "sequence", score(3), &["l"]),
        ("l", "loop", json!({"maxRounds": 3}), &["b", "e"]),
        ("e", "end", json!({}), &[]),
    ]))?;
    fork_everywhere(&graph(&[
        ("a", "sequence", score(1), &["b"]),
        ("b", "sequence", score(2), &["inner"]),
        ("inner", "loop", json!({"maxRounds": 2}), &["b", "c"]),
        ("c", "sequence", score(4), &["outer"]),
        ("outer", "loop", json!({"maxRounds": 2}), &["a", "e"]),
        ("e", "end", json!({}), &[]),
    ]))
}

/// Parked before each further attempt of the loop node, the run knows how many rounds are behind it.
#[test]
fn a_loop_whose_failure_is_passed_over_ends_after_its_rounds() {
    let on_error = json!({"count": 2, "backoffSeconds": 3, "then": "continue"});
    let graph = graph(&[
        ("b", "sequence", json!({}), &["l"]),
        ("l", "loop", json!({"maxRounds": 3, "score": "{{inputs.nowhere}}", "onError": on_error}), &["b", "e"]),
        ("e", "end", json!({}), &[]),
    ]);
    under_one_clock(async {
        let mut driven = Driven::start(&graph);
        assert_eq!(driven.until(150).await, Some(Ended::Completed));
        let session = driven.local.session();
        let attempts = |node: &str| session.nodes[node].snapshot.attempt;
        assert_eq!((attempts("b"), attempts("l"), attempts("e")), (Some(3), Some(9), Some(1)));
        assert_eq!(session.node_status(&"l".into()), Some(Failed));
    });
}
