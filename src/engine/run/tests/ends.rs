//! Every run comes to an end that says why, or waits for something that can come.

use super::*;
use crate::engine::node_task::error_text;
use relive_session::limits;

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

/// Takes a session up as the `crashes`th after servers that went away.
fn after_crashes(local: &Local, crashes: u32) -> Running {
    Running::resume(local.clone(), RunOptions { parallel: 1, park_after: None, crashes, clock: WallClock::default() })
}

#[tokio::test]
async fn an_output_that_the_outputs_of_the_run_cannot_hold_is_left_out_of_them() {
    let deep = nested(limits::JSON_DEPTH);
    let graph = graph(&[
        ("a", "parallel", json!({}), &["deep", "flat"]),
        ("deep", "sequence", json!({ "output": deep }), &[]),
        ("flat", "sequence", json!({"output": 1}), &[]),
    ]);
    let (local, ended) = Running::start(graph, 1).end().await;
    assert_eq!(ended, Ok(Ended::Completed));
    assert_eq!(local.session().outputs.as_deref(), Some(&json!({"flat": 1})));
    assert_eq!(local.output("deep"), Some(deep));
}

#[tokio::test]
async fn what_cannot_be_recorded_fails_its_node_and_with_it_the_run() {
    let nul = r#"a{{ "\u0000" }}b"#;
    let context = json!({"assign": {"context": {"big": "x".repeat(limits::CONTEXT_BYTES)}}});
    for (properties, expected) in [
        (json!({"output": [[["{{nodes.deep.output}}"]]]}), "nested"),
        (json!({ "output": nul }), "NUL"),
        (context, "the context data goes beyond"),
        (json!({"remember": {"content": nul}}), "NUL"),
    ] {
        for retries in [0, 1] {
            let mut properties = properties.clone();
            properties["retries"] = json!(retries);
            let deep = json!({"output": nested(limits::JSON_DEPTH - 2)});
            let graph = graph(&[("deep", "sequence", deep, &["a"]), ("a", "sequence", properties, &[])]);
            let (local, ended) = Running::start(graph, 1).end().await;
            let Ok(Ended::Failed { error }) = ended else { panic!("{expected}: {ended:?}") };
            assert!(error.contains("'a'") && error.contains(expected), "{error}");
            assert_eq!(local.session().nodes["a"].snapshot.attempt, Some(1 + retries));
        }
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_read_any_more_fails_no_node() {
    let reading = json!({"output": "{{nodes.a.output}}", "retries": 1});
    let nodes = [("a", "sequence", json!({"output": 1}), &["b"][..]), ("b", "sequence", reading, &[])];
    let (stopping, broken) = ("the server is stopping".to_owned(), "the output is broken".to_owned());
    for (error, is_lost) in [(LinkError::Lost(stopping), true), (LinkError::Unacceptable(broken), false)] {
        let local = Local::new(&graph(&nodes));
        *local.unreadable.lock() = Some(error.clone());
        let (local, ended) = after_crashes(&local, 0).end().await;
        assert_eq!(matches!(ended, Err(RunError::Lost(_))), is_lost, "{error}: {ended:?}");
        assert_eq!(local.story("b").contains(&Failed), !is_lost, "{error}: {:?}", local.story("b"));
        assert_eq!(local.session().status == SessionStatus::Running, is_lost, "{error}");
    }
}

#[tokio::test]
async fn a_question_that_cannot_be_asked_fails_the_run() {
    let question = json!({"prompt": r#"a{{ "\u0000" }}"#});
    let (_, ended) = Running::start(graph(&[("r", "human_review", question, &[])]), 1).end().await;
    assert!(matches!(&ended, Ok(Ended::Failed { error }) if error.contains("NUL")), "{ended:?}");
}

#[test]
fn an_error_is_cut_to_what_the_session_can_hold() {
    for text in ["x".repeat(limits::ERROR_BYTES + 1), "é".repeat(limits::ERROR_BYTES)] {
        let cut = error_text(&text);
        assert!(cut.len() <= limits::ERROR_BYTES && cut.len() > limits::ERROR_BYTES - 20 && cut.ends_with("(cut off)"));
    }
    assert_eq!(error_text("a\u{0}b"), "a\u{fffd}b");
}

#[tokio::test]
async fn a_budget_that_cannot_be_noted_fails_the_run() {
    let mut graph = graph(&[("r", "human_review", json!({}), &["b"]), ("b", "end", json!({}), &[])]);
    graph.properties = json!({"budget": {"maxTokens": 1}}).as_object().cloned().expect("an object");
    let running = Running::start(graph, 1);
    running.local.until_node("r", Suspended).await;
    running.local.tell(Command::RecordUsage {
        node_id: "r".into(),
        agent_id: None,
        model: None,
        input_tokens: 2,
        output_tokens: 0,
        cached_input_tokens: None,
        reasoning_tokens: None,
        cost_usd: None,
    });
    let full = "x".repeat(limits::CONTEXT_BYTES - 10);
    running.local.tell(Command::set_context("full", json!(full)));
    running.local.tell(approve("r"));
    let (local, ended) = running.end().await;
    let Ok(Ended::Failed { error }) = ended else { panic!("{ended:?}") };
    assert!(error.contains("budget") && error.contains("the context data goes beyond"), "{error}");
    assert!(local.session().revision < 12, "without trying again and again");
}

#[tokio::test]
async fn a_round_that_cannot_be_noted_fails_the_run() {
    let graph = graph(&[
        ("r", "human_review", json!({}), &["l"]),
        ("l", "loop", json!({"max_rounds": 3, "onError": "continue"}), &["r", "e"]),
        ("e", "end", json!({}), &[]),
    ]);
    let running = Running::start(graph, 1);
    running.local.until_node("r", Suspended).await;
    let full = "x".repeat(limits::CONTEXT_BYTES - 10);
    running.local.tell(Command::set_context("full", json!(full)));
    running.local.tell(approve("r"));
    let (_, ended) = running.end().await;
    assert!(matches!(&ended, Ok(Ended::Failed { error }) if error.contains("'l'")), "{ended:?}");
}

#[tokio::test]
async fn an_attempt_that_takes_its_server_down_each_time_is_given_up() {
    let graph = graph(&[("a", "command", sh("sleep 300"), &[])]);
    let mut running = Running::start(graph, 1);
    let local = running.local.clone();
    local.until("it runs", |s| !s.active.is_empty()).await;
    for crashes in 1..=2 {
        running.ended.abort();
        // Each attempt brought the run further by its report.
        running = after_crashes(&local, 1);
        let was_cut_off = |s: &Session| {
            let retry = s.nodes["a"].snapshot.retry.unwrap_or_default();
            retry.cut_off == Some(crashes) && !s.active.is_empty()
        };
        local.until("it was cut off", was_cut_off).await;
    }
    running.ended.abort();
    let ended = after_crashes(&local, 1).end().await.1;
    let Ok(Ended::Failed { error }) = ended else { panic!("{ended:?}") };
    assert!(error.contains("'a'") && error.contains("3 times in a row"), "{error}");
}

/// A server that ends well, or that somebody else takes over from, is not the attempt's fault.
#[tokio::test]
async fn an_attempt_that_is_let_go_of_is_made_again_as_often_as_that_happens() {
    let mut running = Running::start(graph(&[("a", "command", sh("sleep 300"), &[])]), 1);
    for attempt in 1..=6 {
        let local = running.local.clone();
        local.until("it runs", |s| s.nodes["a"].snapshot.attempt == Some(attempt) && !s.active.is_empty()).await;
        running.detach.cancel();
        assert_eq!(running.end().await.1, Err(RunError::Detached));
        running = after_crashes(&local, 0);
    }
    running.local.until_node("a", Runs).await;
    running.interrupt.cancel();
    assert!(matches!(running.end().await.1, Ok(Ended::Cancelled { .. })));
}

/// What takes a server down without a report before leaves the session where it was.
#[tokio::test]
async fn a_run_that_takes_its_server_down_each_time_is_stopped_unless_it_only_waits() {
    let graph = || graph(&[("r", "human_review", json!({}), &["b"]), ("b", "end", json!({}), &[])]);
    let mut running = Running::start(graph(), 1);
    running.local.until_node("r", Suspended).await;
    running.ended.abort();
    // It waits for somebody, and is no more at fault than any other.
    running = after_crashes(&running.local, 9);
    running.local.tell(approve("r"));
    assert_eq!(running.end().await.1, Ok(Ended::Completed));

    for (crashes, stopped) in [(2, false), (3, true)] {
        let local = Local::new(&graph());
        local.tell(Command::Start);
        let running = after_crashes(&local, crashes);
        if stopped {
            let ended = running.end().await.1;
            assert!(matches!(&ended, Ok(Ended::Failed { error }) if error.contains("3 times in a row")), "{ended:?}");
        } else {
            running.local.until_node("r", Suspended).await;
            running.ended.abort();
        }
    }
}

#[tokio::test]
async fn only_a_decision_decides_a_review() {
    let properties = json!({"updatesProposal": true});
    let running = Running::start(graph(&[("r", "human_review", properties, &[])]), 1);
    for (number, payload) in [
        json!(null),
        json!("reject"),
        json!({}),
        json!({"action": "reject"}),
        json!({"review": {}}),
        json!({"review": "reject"}),
        json!({"review": ["approve"]}),
        json!({"review": {"action": 5}}),
        json!({"review": {"action": "Approve"}}),
        json!({"review": {"action": "skip"}}),
        json!({"review": {"action": "modify"}}),
        json!({"review": {"action": "modify", "data": null}}),
        json!({"review": {"action": "approve", "reviewer": 5}}),
        json!({"review": {"action": "approve", "rejected": true}}),
        json!({"review": {"action": "approve"}, "not": true}),
    ]
    .into_iter()
    .enumerate()
    {
        // It goes on waiting, and is ready for the next signal.
        let suspended = |s: &Session| s.node_status(&"r".into()) == Some(Suspended) && s.signals.is_empty();
        running.local.until(&format!("waits after {number}"), suspended).await;
        running.local.tell(Command::signal("r", payload));
    }
    running.local.until("waits", |s| s.node_status(&"r".into()) == Some(Suspended) && s.signals.is_empty()).await;
    let payload = json!({"review": {"action": "modify", "data": "better", "reviewer": "me"}});
    running.local.tell(Command::signal("r", payload));
    let (local, ended) = running.end().await;
    assert_eq!(ended, Ok(Ended::Completed));
    assert_eq!(local.session().proposal.as_deref(), Some(&json!("better")));
}

#[tokio::test]
async fn a_review_is_asked_again_as_often_as_its_retries_say() {
    let running = Running::start(graph(&[("r", "human_review", json!({"retries": 1}), &[])]), 1);
    for attempt in 1..=2 {
        let asked = |s: &Session| {
            let node = &s.nodes["r"].snapshot;
            (node.status, node.attempt) == (Suspended, Some(attempt))
        };
        running.local.until(&format!("asked {attempt} times"), asked).await;
        let payload = json!({"review": {"action": "reject"}});
        running.local.tell(Command::signal("r", payload));
    }
    let ended = running.end().await.1;
    assert_eq!(ended, Ok(Ended::Failed { error: "node 'r' failed: rejected".to_owned() }));
}

#[tokio::test(start_paused = true)]
async fn nodes_that_wait_have_a_time_limit() {
    for (kind, properties, expected) in [
        ("delay", json!({"seconds": 3600, "timeoutSeconds": 10, "retries": 1}), Some(20)),
        ("delay", json!({"seconds": 10, "timeoutSeconds": 10}), None),
        ("human_review", json!({"timeoutSeconds": 10}), Some(10)),
        ("human_review", json!({"timeoutSeconds": 10, "allowSkip": true, "timeoutMinutes": 5}), Some(10)),
        ("human_review", json!({"timeoutSeconds": 600, "allowSkip": true, "timeoutMinutes": 5}), None),
    ] {
        let began = Instant::now();
        let running = Running::start(graph(&[("a", kind, properties.clone(), &[])]), 1);
        let (_, ended) = running.end_within(Duration::from_secs(10_000)).await;
        match expected {
            None => assert_eq!(ended, Ok(Ended::Completed), "{properties}"),
            Some(seconds) => {
                let timed_out = "node 'a' failed: timed out after 10 s".to_owned();
                assert_eq!(ended, Ok(Ended::Failed { error: timed_out }), "{properties}");
                assert_eq!(began.elapsed().as_secs(), seconds);
            }
        }
    }
}

/// Two branches fail at the same time, and the one that would be tried again is heard of last.
#[tokio::test]
async fn an_attempt_that_fails_beside_the_last_failure_is_not_waited_for() {
    let graph = graph(&[
        ("a", "parallel", json!({}), &["b", "c"]),
        ("b", "command", sh("false"), &[]),
        ("c", "command", json!({"command": "false", "retries": 1}), &[]),
    ]);
    let plan = Plan::new(Arc::new(graph.clone()), &LocalKinds { server: "http://test".to_owned(), printer: None })
        .expect("a plan");
    let options = RunOptions { parallel: 2, park_after: None, crashes: 0, clock: WallClock::default() };
    let mut run = Run::begin(Arc::new(plan), options, Arc::new(Local::new(&graph)));
    while !run.started {
        let done = run.tasks.join_next().await.expect("the start is on its way").expect("no panic");
        run.done(done);
    }
    run.settle(&"a".into(), NodeOutcome::Completed);
    run.ready.clear();
    run.node_ended(&"b".into(), NodeEnd::Failed("it failed".to_owned()));
    assert_eq!(run.schedule.verdict(), None, "c still works");
    run.node_ended(&"c".into(), NodeEnd::Retry(Duration::from_secs(1)));
    assert_eq!(run.schedule.verdict(), Some(crate::engine::schedule::RunEnd::Failed { node: "b".into() }));
    assert_eq!(run.timers.next(), None);
}
