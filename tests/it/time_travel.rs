//! A session as it was, and the events that led there.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{TestServer, context, node};

#[tokio::test]
async fn each_revision_can_be_read_as_it_was() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    let mut states = vec![server.session(&id).await];
    for command in [
        json!({"type": "start"}),
        node("a", "running"),
        context("k", json!({"n": 1})),
        node("a", "failed"),
        json!({"type": "pause"}),
        json!({"type": "cancel"}),
    ] {
        server.command(&id, command).await;
        states.push(server.session(&id).await);
    }
    for (index, state) in states.iter().enumerate() {
        let revision = index + 1;
        assert_eq!(state["revision"], revision);
        let path = format!("/api/v1/sessions/{id}?revision={revision}");
        let response = server.request(Method::GET, &path).send().await.expect("an answer");
        assert_eq!(response.headers()["etag"].to_str().ok(), Some(format!("\"{revision}\"").as_str()));
        assert_eq!(&response.json::<Value>().await.expect("JSON"), state);
    }
    for beyond in ["0", "8", "9223372036854775807", "9223372036854775808", "18446744073709551615"] {
        server.refused(Method::GET, &format!("/api/v1/sessions/{id}?revision={beyond}"), None, "not_found").await;
    }
    for malformed in [
        "revision=-1",
        "revision=x",
        "revision=18446744073709551616",
        "revision=",
        "at=noon",
        "revision=1&at=2026-01-01T00:00:00Z",
    ] {
        server.refused(Method::GET, &format!("/api/v1/sessions/{id}?{malformed}"), None, "bad_request").await;
    }
}

#[tokio::test]
async fn a_time_shows_the_newest_state_that_was_reached_by_then() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for n in 0..30 {
        server.command(&id, context("n", json!(n))).await;
    }
    let events = server.events(&id).await;
    for event in &events {
        let at = event["at"].as_str().expect("a time");
        // Several events may have the same time; the last of them counts.
        let newest = events.iter().rfind(|other| other["at"].as_str() <= Some(at)).map(|other| &other["revision"]);
        assert_eq!(Some(&server.session(&format!("{id}?at={at}")).await["revision"]), newest);
    }
    assert_eq!(server.session(&format!("{id}?at=9999-12-31T23:59:59Z")).await, server.session(&id).await);
    for before in ["1970-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "2020-02-29T23:59:60Z"] {
        server.refused(Method::GET, &format!("/api/v1/sessions/{id}?at={before}"), None, "not_found").await;
    }
    let offset = events[0]["at"].as_str().expect("a time").replace('Z', "%2B00:00");
    server.session(&format!("{id}?at={offset}")).await;
}

#[tokio::test]
async fn long_histories_are_read_from_the_middle_and_after_a_restart() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for round in 0..12 {
        let commands: Vec<Value> = (0..100).map(|n| context(&format!("k{}", n % 9), json!([round, n]))).collect();
        server.command(&id, json!(commands)).await;
    }
    let revisions = [1, 2, 3, 255, 256, 257, 499, 500, 501, 999, 1_000, 1_001, 1_201, 1_202];
    let mut states = Vec::new();
    for revision in revisions {
        states.push(server.session(&format!("{id}?revision={revision}")).await);
    }
    let last = states.last().expect("states");
    assert_eq!((last, &last["contextData"]["k0"]), (&server.session(&id).await, &json!([11, 99])));
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    for (revision, state) in revisions.iter().zip(states) {
        assert_eq!(server.session(&format!("{id}?revision={revision}")).await, state);
    }
}

#[tokio::test]
async fn events_are_read_in_pages_without_gaps() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let commands: Vec<Value> = (0..148).map(|n| context("n", json!(n))).collect();
    server.command(&id, json!(commands)).await;
    for (query, count, next) in [
        ("", 100, json!(100)),
        ("?limit=7", 7, json!(7)),
        ("?limit=1000", 150, Value::Null),
        ("?limit=50&after=100", 50, Value::Null),
        ("?limit=50&after=99", 50, json!(149)),
        ("?after=150", 0, Value::Null),
        ("?after=18446744073709551615", 0, Value::Null),
    ] {
        let (_, page) = server.get(&format!("/api/v1/sessions/{id}/events{query}")).await;
        assert_eq!((page["events"].as_array().map(Vec::len), &page["nextAfter"]), (Some(count), &next), "{query}");
    }
    let events = server.events(&id).await;
    for (index, event) in events.iter().enumerate() {
        assert_eq!((&event["revision"], &event["sessionId"]), (&json!(index + 1), &json!(id)));
    }
    assert!(events.is_sorted_by(|earlier, later| earlier["at"].as_str() <= later["at"].as_str()));
    assert_eq!((&events[0]["event"]["type"], &events[1]["event"]), (&json!("created"), &json!({"type": "started"})));
    for malformed in ["limit=0", "limit=1001", "limit=x", "after=-1", "after=x", "limit=18446744073709551616"] {
        server.refused(Method::GET, &format!("/api/v1/sessions/{id}/events?{malformed}"), None, "bad_request").await;
    }
}

#[tokio::test]
async fn a_deleted_session_is_gone_for_good() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let path = format!("/api/v1/sessions/{id}");
    let (status, body) = server.call(Method::DELETE, &path, None).await;
    assert_eq!((status.as_u16(), body), (204, Value::Null));
    server.refused(Method::GET, &path, None, "not_found").await;
    server.refused(Method::GET, &format!("{path}?revision=1"), None, "not_found").await;
    server.refused(Method::POST, &format!("{path}/commands"), Some(json!({"type": "pause"})), "not_found").await;
    server.refused(Method::DELETE, &path, None, "not_found").await;
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    server.refused(Method::GET, &path, None, "not_found").await;
    // Its id is free again, and the new session has nothing of the old one.
    assert_eq!(server.create(json!({"id": id})).await, id);
    assert_eq!((server.events(&id).await.len(), &server.session(&id).await["status"]), (1, &json!("pending")));
}

#[tokio::test]
async fn a_node_of_an_earlier_moment_comes_with_what_it_had_put_out_by_then() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let put_out = |status: &str, output: Value| json!({"type": "setNodeStatus", "nodeId": "n", "status": status, "output": output});
    // What stands at revision 3, 4, 5 and 6, and then a long time nothing of this node.
    server.command(&id, node("n", "running")).await;
    server.command(&id, put_out("completed", json!({"round": 1}))).await;
    server.command(&id, node("n", "running")).await;
    server.command(&id, put_out("failed", json!({"round": 2}))).await;
    for round in 0..12 {
        let commands: Vec<Value> = (0..100).map(|n| context(&format!("k{}", n % 9), json!([round, n]))).collect();
        server.command(&id, json!(commands)).await;
    }
    let last = server.command(&id, node("n", "running")).await;
    let last = server.command(&id, put_out("completed", Value::from("at last"))).await.max(last);
    let path = format!("/api/v1/sessions/{id}/nodes/n");
    let expected = [
        (3, "running", 1, Value::Null),
        (4, "completed", 1, json!({"round": 1})),
        (5, "running", 2, json!({"round": 1})),
        (6, "failed", 2, json!({"round": 2})),
        (1_206, "failed", 2, json!({"round": 2})),
        (last - 1, "running", 3, json!({"round": 2})),
        (last, "completed", 3, json!("at last")),
    ];
    let events = server.events(&id).await;
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    for (revision, status, attempt, output) in &expected {
        let (_, found) = server.get(&format!("{path}?revision={revision}")).await;
        let expected = (&json!(status), &json!(attempt), output);
        assert_eq!((&found["status"], &found["attempt"], &found["output"]), expected, "{revision}");
        let at = events[*revision as usize - 1]["at"].as_str().expect("a time");
        let newest = events.iter().rfind(|event| event["at"].as_str() <= Some(at)).map(|event| &event["revision"]);
        let (_, then) = server.get(&format!("{path}?at={at}")).await;
        assert_eq!(then, server.get(&format!("{path}?revision={}", newest.expect("one"))).await.1, "{at}");
    }
    assert_eq!(server.get(&path).await.1, server.get(&format!("{path}?revision={last}")).await.1);
    for missing in ["revision=1", "revision=2", "revision=0", "revision=9999", "at=2020-01-01T00:00:00Z"] {
        server.refused(Method::GET, &format!("{path}?{missing}"), None, "not_found").await;
    }
    server.refused(Method::GET, &format!("/api/v1/sessions/{id}/nodes/x?revision=3"), None, "not_found").await;
    for malformed in ["revision=x", "revision=-1", "at=yesterday", "revision=3&at=2020-01-01T00:00:00Z"] {
        server.refused(Method::GET, &format!("{path}?{malformed}"), None, "bad_request").await;
    }
}

#[tokio::test]
async fn what_an_attempt_works_on_is_kept_in_the_journal_and_shown_with_the_node() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let input = json!({"prompt": "Größe?", "n": null});
    let given = json!({"type": "setNodeStatus", "nodeId": "n", "status": "running", "input": input});
    let revision = server.command(&id, given.clone()).await;
    assert_eq!(server.command(&id, given).await, revision, "it says nothing new");
    let done = json!({"type": "setNodeStatus", "nodeId": "n", "status": "completed", "output": 7});
    let last = server.command(&id, done).await;
    // Enough for a keyframe, from which the state is read after the restart.
    let many: Vec<Value> = (0..300).map(|n| context("k", json!(n))).collect();
    server.command(&id, json!(many)).await;
    let update = json!({"status": "running", "input": ["put"]});
    server.call(Method::PUT, &format!("/api/v1/sessions/{id}/nodes/n"), Some(update)).await;
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    let path = format!("/api/v1/sessions/{id}/nodes/n");
    let shown = async |query: &str| {
        let node = server.get(&format!("{path}{query}")).await.1;
        (node["input"].clone(), node["output"].clone())
    };
    assert_eq!(shown(&format!("?revision={revision}")).await, (input.clone(), Value::Null));
    assert_eq!(shown(&format!("?revision={last}")).await, (input.clone(), json!(7)));
    assert_eq!(shown(&format!("?revision={}", last + 300)).await, (input.clone(), json!(7)));
    assert_eq!(shown("").await, (json!(["put"]), json!(7)));
    assert_eq!(server.session(&id).await["nodes"]["n"].get("input"), None, "no snapshot shows it");
    let nul = json!({"type": "setNodeStatus", "nodeId": "n", "status": "running", "input": "\0"});
    server.refused(Method::POST, &format!("/api/v1/sessions/{id}/commands"), Some(nul), "bad_request").await;
    // A fork has the outputs and begins without inputs.
    let forked = server.post(&format!("/api/v1/sessions/{id}/fork"), json!({"revision": last})).await.1;
    let forked = server.get(&format!("/api/v1/sessions/{}/nodes/n", forked["id"].as_str().expect("an id"))).await.1;
    assert_eq!((&forked["output"], forked.get("input")), (&json!(7), None));
}
