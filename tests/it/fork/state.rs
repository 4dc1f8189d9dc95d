//! What a fork begins with, and that it goes its own way.

use relive::engine::{LocalLink, SessionLink as _};
use relive::hub::{CreateOptions, Hub, HubOptions, Submission};
use relive_session::SessionId;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{fork, fork_with, id_of, output};
use crate::harness::{Database, TestServer, answer, chain, context, node, problem};
use crate::hub::submission;

/// A run with a bit of everything: 10 revisions.
async fn run(server: &TestServer) -> String {
    let (_, group) = server.post("/api/v1/groups", json!({"name": "G"})).await;
    let workflow = json!({"name": "W", "graph": chain(&["a", "b", "c"])});
    let (_, workflow) = server.post("/api/v1/workflows", workflow).await;
    let request =
        json!({"workflowId": workflow["id"], "groupId": group["id"], "inputs": {"q": [1, null]}, "proposal": {"p": 1}});
    let id = server.create(request).await;
    for command in [
        json!({"type": "start"}),
        node("a", "running"),
        json!({"type": "recordUsage", "nodeId": "a", "model": "m", "inputTokens": 10, "outputTokens": 5, "costUsd": 0.1}),
        json!({"type": "setNodeStatus", "nodeId": "a", "status": "completed", "output": {"rows": [1, 2]}}),
        context("k", json!({"n": null})),
        json!({"type": "setProposal", "proposal": null}),
        json!({"type": "setNodeStatus", "nodeId": "b", "status": "running", "progress": 0.25}),
        json!({"type": "recordUsage", "nodeId": "b", "agentId": "x", "inputTokens": 1, "outputTokens": 1, "costUsd": 0.2}),
        json!({"type": "pause"}),
    ] {
        server.command(&id, command).await;
    }
    id
}

/// A state without what necessarily differs between a session and its fork.
fn essence(mut session: Value) -> Value {
    let members = session.as_object_mut().expect("a session");
    for own in ["id", "revision", "createdAt", "updatedAt", "parentId", "forkedFromRevision"] {
        members.remove(own);
    }
    session
}

#[tokio::test]
async fn it_begins_with_exactly_the_state_of_each_revision() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    for revision in 1..=10 {
        let state = server.session(&format!("{id}?revision={revision}")).await;
        let made = fork(&server, &id, revision).await;
        assert_eq!(essence(made.clone()), essence(state), "revision {revision}");
        assert_eq!(
            (&made["revision"], &made["parentId"], &made["forkedFromRevision"]),
            (&json!(1), &json!(id), &json!(revision))
        );
        let fork_id = id_of(&made);
        assert_eq!(
            (&server.session(&fork_id).await, &server.session(&format!("{fork_id}?revision=1")).await),
            (&made, &made)
        );
        let events = server.events(&fork_id).await;
        assert_eq!(
            (events.len(), &events[0]["event"]["type"], &events[0]["at"]),
            (1, &json!("created"), &made["createdAt"])
        );
        // The stored row, the graph and the list say the same.
        let (_, entity) = server.get(&format!("/api/v1/sessions/{fork_id}/entity")).await;
        assert_eq!(entity["inputs"], json!({"q": [1, null]}));
        let proposal = if revision < 7 { json!({"p": 1}) } else { Value::Null };
        assert_eq!(entity.get("proposal"), Some(&proposal));
        let (_, graph) = server.get(&format!("/api/v1/sessions/{fork_id}/graph")).await;
        assert_eq!(graph["nodes"]["c"]["name"], "Node c");
        let (_, list) =
            server.get(&format!("/api/v1/sessions?groupId={}", made["groupId"].as_str().expect("a group"))).await;
        let listed = &list["sessions"][0];
        assert_eq!(
            (&listed["id"], &listed["status"], &listed["totalTokens"]),
            (&made["id"], &made["status"], &made["totalTokens"])
        );
    }
    // After a restart, too.
    let newest = fork(&server, &id, 10).await;
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    assert_eq!(server.session(&id_of(&newest)).await, newest);
}

#[tokio::test]
async fn parent_and_fork_go_on_without_each_other() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    let fork_id = id_of(&fork(&server, &id, 8).await);
    let mut states = Vec::new();
    for n in 0..300 {
        server.command(&id, context("parent", json!(n))).await;
        server.command(&fork_id, context("fork", json!(n))).await;
    }
    server
        .command(&fork_id, json!({"type": "setNodeStatus", "nodeId": "b", "status": "completed", "output": "b's"}))
        .await;
    server.command(&fork_id, node("c", "skipped")).await;
    server.command(&fork_id, json!({"type": "complete", "outputs": {"o": 1}})).await;
    let (parent, forked) = (server.session(&id).await, server.session(&fork_id).await);
    assert_eq!(
        (&parent["status"], &parent["contextData"]),
        (&json!("paused"), &json!({"k": {"n": null}, "parent": 299}))
    );
    assert_eq!(
        (&forked["status"], &forked["contextData"]),
        (&json!("completed"), &json!({"k": {"n": null}, "fork": 299}))
    );
    assert_eq!((&parent["revision"], &forked["revision"]), (&json!(310), &json!(304)));
    assert_eq!(output(&server, &fork_id, "a").await, json!({"rows": [1, 2]}), "from the parent's journal");
    assert_eq!(output(&server, &fork_id, "b").await, "b's");
    assert_eq!(output(&server, &id, "b").await, Value::Null);
    // The same output again says nothing new, in the fork as in its parent.
    for revision in [1, 2, 256, 257, 303, 304] {
        states.push(server.session(&format!("{fork_id}?revision={revision}")).await);
    }
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    for (revision, state) in [1, 2, 256, 257, 303, 304].iter().zip(&states) {
        assert_eq!(&server.session(&format!("{fork_id}?revision={revision}")).await, state);
    }
    assert_eq!(server.session(&fork_id).await, forked);
}

#[tokio::test]
async fn an_output_that_is_known_from_the_parent_is_nothing_new() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    let fork_id = id_of(&fork(&server, &id, 8).await);
    let again = json!({"type": "setNodeStatus", "nodeId": "a", "status": "completed", "output": {"rows": [1, 2]}});
    assert_eq!(server.command(&fork_id, again).await, 1);
    let other = json!({"type": "setNodeStatus", "nodeId": "a", "status": "completed", "output": [1]});
    assert_eq!(server.command(&fork_id, other).await, 2);
    assert_eq!(output(&server, &fork_id, "a").await, json!([1]));
    assert_eq!(output(&server, &id, "a").await, json!({"rows": [1, 2]}));
}

#[tokio::test]
async fn usage_is_that_of_the_parent_up_to_the_fork() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    for (revision, calls, cost) in [(1, 0, 0.0), (4, 1, 0.1), (8, 1, 0.1), (9, 2, 0.3), (10, 2, 0.3)] {
        let made = fork(&server, &id, revision).await;
        let fork_id = id_of(&made);
        let (_, usage) = server.get(&format!("/api/v1/sessions/{fork_id}/usage")).await;
        assert_eq!(
            (&usage["total"]["calls"], usage["total"]["costUsd"].as_f64()),
            (&json!(calls), Some(cost)),
            "{revision}"
        );
        assert_eq!(made["totalCostUsd"].as_f64(), Some(cost));
        // A fork of that fork has it too, and what was used in between.
        if revision == 8 {
            let more = json!({"type": "recordUsage", "nodeId": "a", "model": "m", "inputTokens": 7, "outputTokens": 0});
            server.command(&fork_id, more.clone()).await;
            server.command(&fork_id, more).await;
            let second = id_of(&fork(&server, &fork_id, 2).await);
            let (_, usage) = server.get(&format!("/api/v1/sessions/{second}/usage")).await;
            assert_eq!((&usage["total"]["calls"], &usage["byModel"]["m"]["inputTokens"]), (&json!(2), &json!(17)));
        }
    }
}

#[tokio::test]
async fn it_is_started_or_resumed_when_that_is_asked_for() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    for (revision, status, reached) in [(1, "running", 2), (2, "running", 1), (10, "running", 2)] {
        let made = fork_with(&server, &id, json!({"revision": revision, "start": true})).await;
        assert_eq!((&made["status"], &made["revision"]), (&json!(status), &json!(reached)));
        assert_eq!(server.session(&id_of(&made)).await, made);
    }
    server.command(&id, json!({"type": "cancel", "reason": "enough"})).await;
    let ended = fork_with(&server, &id, json!({"revision": 11, "start": true})).await;
    assert_eq!(
        (&ended["status"], &ended["revision"], &ended["error"]),
        (&json!("cancelled"), &json!(1), &json!("enough"))
    );
    let (_, list) = server.get("/api/v1/sessions?status=cancelled").await;
    assert_eq!(list["sessions"][0]["error"], "enough");
    let command = json!({"type": "start"});
    let path = format!("/api/v1/sessions/{}/commands", id_of(&ended));
    server.refused(Method::POST, &path, Some(command), "illegal_transition").await;
}

#[tokio::test]
async fn a_repeated_request_forks_once() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    let path = format!("/api/v1/sessions/{id}/fork");
    let request = |revision: u64| {
        let body = json!({"revision": revision, "start": true});
        server.request(Method::POST, &path).header("Idempotency-Key", "once").json(&body)
    };
    let (status, first) = answer(request(1)).await;
    assert_eq!((status.as_u16(), &first["revision"]), (201, &json!(2)));
    server.command(&id_of(&first), context("k", json!(1))).await;
    let (status, again) = answer(request(1)).await;
    assert_eq!((status.as_u16(), &again), (201, &first), "as the first time");
    problem(request(2), "idempotency_key_reused").await;
    let (_, list) = server.get("/api/v1/sessions").await;
    assert_eq!(list["sessions"].as_array().map(Vec::len), Some(2));
    // At the same time as well.
    let key = || server.request(Method::POST, &path).header("Idempotency-Key", "race").json(&json!({"revision": 5}));
    let answers = futures_util::future::join_all((0..8).map(|_| answer(key()))).await;
    assert!(answers.iter().all(|answer| answer == &answers[0] && answer.0 == 201), "{answers:?}");
}

#[tokio::test]
async fn what_does_not_exist_cannot_be_forked() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    let path = format!("/api/v1/sessions/{id}/fork");
    for beyond in [0u64, 11, u64::MAX] {
        server.refused(Method::POST, &path, Some(json!({"revision": beyond})), "not_found").await;
    }
    for malformed in [
        json!({}),
        json!({"revision": -1}),
        json!({"revision": "1"}),
        json!({"revision": 1, "start": "yes"}),
        json!([]),
    ] {
        server.refused(Method::POST, &path, Some(malformed), "bad_request").await;
    }
    let nobody = "/api/v1/sessions/0198c0de-0000-7000-8000-000000000001/fork";
    server.refused(Method::POST, nobody, Some(json!({"revision": 1})), "not_found").await;
}

#[tokio::test]
async fn live_lists_and_viewers_see_it() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    let mut list = server.socket("/ws/sessions").await;
    list.frame_of("sessions").await;
    let made = fork(&server, &id, 5).await;
    let added = list.frame_of("session").await;
    assert_eq!((&added["change"], &added["session"]["id"]), (&json!("added"), &made["id"]));
    let mut viewer = server.socket(&format!("/ws/sessions/{}", id_of(&made))).await;
    assert_eq!(viewer.frame().await["session"], made);
}

/// A signal that a suspended node had not yet taken when it was forked reaches both.
#[tokio::test]
async fn a_pending_signal_arrives_in_the_fork_too() {
    let database = Database::create().await;
    let hub = Hub::new(database.storage(), &HubOptions::default());
    let id = SessionId::generate();
    hub.create(id, relive_session::Created::default(), CreateOptions::default()).await.expect("created");
    let commands = [
        json!({"type": "start"}),
        node("n", "running"),
        node("other", "running"),
        node("n", "suspended"),
        json!({"type": "signal", "nodeId": "n", "payload": {"answer": 42}}),
    ];
    let commands = commands.map(|command| serde_json::from_value(command).expect("a command")).to_vec();
    hub.execute(Submission::new(id, commands)).await.expect("carried out");
    let first = hub.fork(id, 6, CreateOptions::default()).await.expect("a fork").id;
    let second = hub.fork(first, 1, CreateOptions::default()).await.expect("a fork of it").id;
    // As the hub that made it has it, and as one has it that had to load it.
    let loaded = Hub::new(database.storage(), &HubOptions::default());
    for hub in [&hub, &loaded] {
        for fork in [first, second] {
            let (link, _events) = LocalLink::open(hub.clone(), fork, CancellationToken::new()).await.expect("a link");
            let session = link.session();
            let signal = |node: &str| session.signals.get(node).map(|signal| Value::clone(&signal.payload));
            assert_eq!(signal("n"), Some(json!({"answer": 42})));
            assert_eq!(signal("other"), None, "it was for another node");
        }
    }
    let again = serde_json::from_value(json!({"type": "signal", "nodeId": "n", "payload": 1})).expect("a command");
    let refused = hub.execute(Submission::new(first, vec![again])).await;
    assert!(refused.is_err(), "it still holds the first");
    hub.execute(submission(first, node("n", "running"))).await.expect("resumed");
    let next = json!({"type": "signal", "nodeId": "n", "payload": "next"});
    hub.execute(submission(first, next)).await.expect("accepted once the first has arrived");
}
