//! Leases of engines outside the server: shown, passed, renewed, and found by lists.

mod fleet;

use relive_session::SessionId;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::harness::{TestServer, chain, eventually, node};

pub async fn renew(server: &TestServer, id: &str, seconds: u32) -> Value {
    let (status, receipt) = server.post(&format!("/api/v1/sessions/{id}/lease"), json!({"seconds": seconds})).await;
    assert_eq!(status, 200, "{receipt}");
    receipt
}

pub async fn execute(server: &TestServer, sql: &str) {
    let storage = server.database.storage();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(storage.pool()).await.expect("carried out");
}

/// The leases of all sessions pass now, and not in some seconds.
pub async fn let_pass(server: &TestServer) {
    execute(server, "UPDATE driver_leases SET due_at = now()").await;
}

pub async fn until_stalled(server: &TestServer, id: &str) -> Value {
    let is_stalled = async || server.session(id).await["isStalled"] == true;
    eventually("the session is stalled", is_stalled).await;
    server.session(id).await
}

/// The kinds of a session's events.
pub async fn kinds(server: &TestServer, id: &str) -> Vec<String> {
    let kind = |event: &Value| event["event"]["type"].as_str().expect("a type").to_owned();
    server.events(id).await.iter().map(kind).collect()
}

async fn leases(server: &TestServer) -> i64 {
    let storage = server.database.storage();
    sqlx::query_scalar("SELECT count(*) FROM driver_leases").fetch_one(storage.pool()).await.expect("a count")
}

#[tokio::test]
async fn a_session_whose_engine_is_gone_is_shown_as_stalled_until_its_next_command() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut list = server.socket("/ws/sessions?stalled=true").await;
    assert_eq!(list.frame().await["sessions"], json!([]));
    let receipt = renew(&server, &id, 5).await;
    assert_eq!(receipt["revision"], 3);
    let leased = server.session(&id).await;
    assert_eq!((&leased["driverSeenAt"], leased.get("isStalled")), (&leased["updatedAt"], None));
    let mut deltas = server.socket(&format!("/ws/sessions/{id}?mode=delta")).await;
    deltas.frame().await;

    // Five seconds, in fact.
    let stalled = until_stalled(&server, &id).await;
    assert_eq!((&stalled["status"], &stalled["revision"]), (&json!("running"), &json!(4)));
    assert_eq!(stalled["driverSeenAt"], leased["driverSeenAt"]);
    assert_eq!(deltas.frame_of("delta").await["patch"]["isStalled"], true);
    let added = list.frame_of("session").await;
    assert_eq!((&added["change"], &added["session"]["isStalled"]), (&json!("added"), &json!(true)));
    let (_, page) = server.get("/api/v1/sessions?stalled=true").await;
    assert_eq!(page["sessions"][0]["id"], id);
    let other = server.running_session().await;
    let (_, page) = server.get("/api/v1/sessions?stalled=false").await;
    assert_eq!((&page["sessions"][0]["id"], page["sessions"].as_array().map(Vec::len)), (&json!(other), Some(1)));
    let mut others = server.socket("/ws/sessions?stalled=false").await;
    assert_eq!(others.frame().await["sessions"][0]["id"], other);
    assert_eq!(kinds(&server, &id).await, ["created", "started", "driverSeen", "stalled"]);

    // A person's command is not the engine's.
    server.command(&id, json!({"type": "pause"})).await;
    assert_eq!(server.session(&id).await["isStalled"], true);
    server.command(&id, node("a", "running")).await;
    let back = others.frame_of("session").await;
    assert_eq!((&back["change"], &back["session"]["id"]), (&json!("added"), &json!(id)));
    let cleared = server.session(&id).await;
    assert_eq!((cleared.get("isStalled"), &cleared["driverSeenAt"]), (None, &cleared["updatedAt"]));
    assert_eq!(deltas.until(|frame| frame["revision"] == cleared["revision"]).await["patch"]["isStalled"], Value::Null);
    list.until(|frame| frame["change"] == "removed").await;
    let (_, page) = server.get("/api/v1/sessions?stalled=true").await;
    assert_eq!(page["sessions"], json!([]));

    // It holds a lease of the same length again.
    let_pass(&server).await;
    until_stalled(&server, &id).await;
    server.command(&id, json!({"type": "cancel"})).await;
    assert_eq!(server.session(&id).await.get("isStalled"), None, "what has ended is not stalled");
    assert_eq!(server.session(&format!("{id}?revision=4")).await["isStalled"], true);
}

#[tokio::test]
async fn heartbeats_cost_no_revisions_and_hold_the_lease() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for _ in 0..20 {
        assert_eq!(renew(&server, &id, 60).await["revision"], 3);
    }
    assert_eq!(renew(&server, &id, 30).await["revision"], 4, "another length is said");
    server.command(&id, node("a", "running")).await;
    let seen = server.session(&id).await;
    assert_eq!(seen["driverSeenAt"], seen["updatedAt"]);
    let let_be = "UPDATE driver_leases SET due_at = now() + interval '1 second'";
    execute(&server, let_be).await;
    renew(&server, &id, 60).await;
    let storage = server.database.storage();
    let left: f64 = sqlx::query_scalar("SELECT extract(epoch FROM due_at - now())::float8 FROM driver_leases")
        .fetch_one(storage.pool())
        .await
        .expect("a time");
    assert!((59.0..70.0).contains(&left), "{left} s");
    // The history says so again when it is a minute old.
    let before = server.session(&id).await["revision"].as_u64();
    assert_eq!(renew(&server, &id, 60).await["revision"].as_u64(), before);
}

#[tokio::test]
async fn any_command_can_renew_the_lease() {
    let server = TestServer::start().await;
    let id = server.create(json!({"graph": chain(&["n", "m"])})).await;
    let path = |rest: &str| format!("/api/v1/sessions/{id}/{rest}");
    let mut socket = server.socket("/ws").await;
    let mut expected = 5;
    let mut seen = async |what: &str, revision: Option<u64>| {
        expected += 1;
        let (_, page) = server.get(&path("events?limit=1000")).await;
        let events = page["events"].as_array().expect("events");
        let said = events.iter().rev().find(|event| event["event"]["type"] == "driverSeen").expect(what);
        assert_eq!(said["event"]["leaseSeconds"], expected, "{what}");
        assert!(revision.is_none_or(|revision| said["revision"].as_u64() < Some(revision)), "{what}");
    };
    let post = async |rest: &str, body: Value| {
        let (status, receipt) = server.post(&path(rest), body).await;
        assert_eq!(status, 200, "{rest}: {receipt}");
        receipt["revision"].as_u64()
    };
    let receipt = post("control", json!({"action": "start", "leaseSeconds": 6})).await;
    seen("control", receipt).await;
    let receipt = post("commands", json!({"type": "setContext", "key": "k", "value": 1, "leaseSeconds": 7})).await;
    seen("one command", receipt).await;
    let several =
        json!([{"type": "pause", "leaseSeconds": 5}, {"type": "resume"}, {"type": "pause", "leaseSeconds": 8}]);
    let receipt = post("commands", several).await;
    seen("several commands", receipt).await;
    let update = json!({"status": "running", "leaseSeconds": 9});
    let (status, receipt) = server.call(Method::PUT, &path("nodes/n"), Some(update)).await;
    assert_eq!(status, 200, "{receipt}");
    seen("a node", receipt["revision"].as_u64()).await;
    let receipt = post("signal", json!({"nodeId": "n", "payload": 1, "leaseSeconds": 10})).await;
    seen("a signal", receipt).await;
    let receipt = post("review", json!({"nodeId": "n", "action": "approve", "leaseSeconds": 11})).await;
    seen("a review", receipt).await;
    for (frame, what) in [
        (json!({"command": {"type": "setContext", "key": "k", "value": 2}, "leaseSeconds": 12}), "a frame"),
        (json!({"command": {"type": "setContext", "key": "k", "value": 3, "leaseSeconds": 13}}), "its command"),
        (json!({"commands": [{"type": "pause"}, {"type": "resume", "leaseSeconds": 14}]}), "its commands"),
        (json!({"leaseSeconds": 15}), "a heartbeat"),
    ] {
        let mut frame = frame;
        (frame["type"], frame["id"], frame["sessionId"]) = (json!("command"), json!(what), json!(id));
        if what == "its commands" {
            server.command(&id, json!({"type": "resume"})).await;
        }
        socket.send(frame).await;
        let answer = socket.frame().await;
        assert_eq!((&answer["type"], &answer["id"]), (&json!("ack"), &json!(what)), "{answer}");
        seen(what, None).await;
    }
}

#[tokio::test]
async fn leases_that_cannot_be_are_refused() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let lease = format!("/api/v1/sessions/{id}/lease");
    for (body, code) in [
        (json!({"seconds": 4}), "bad_request"),
        (json!({"seconds": 3601}), "bad_request"),
        (json!({"seconds": -1}), "bad_request"),
        (json!({"seconds": "30"}), "bad_request"),
        (json!({"second": 30}), "bad_request"),
        (json!({}), "bad_request"),
    ] {
        server.refused(Method::POST, &lease, Some(body), code).await;
    }
    let short = server.refused(Method::POST, &lease, Some(json!({"seconds": 4})), "bad_request").await;
    assert_eq!(short["detail"], "seconds must lie between 5 and 3600");
    let commands = format!("/api/v1/sessions/{id}/commands");
    for seconds in [json!(4), json!("x"), json!(5.5)] {
        let command = json!({"type": "setContext", "key": "k", "value": 1, "leaseSeconds": seconds});
        server.refused(Method::POST, &commands, Some(command), "bad_request").await;
    }
    assert_eq!(server.session(&id).await["revision"], 2, "neither the command nor the lease");
    assert_eq!(leases(&server).await, 0);
    let nowhere = format!("/api/v1/sessions/{}/lease", SessionId::generate());
    server.refused(Method::POST, &nowhere, Some(json!({"seconds": 30})), "not_found").await;

    renew(&server, &id, 30).await;
    server.command(&id, json!({"type": "complete", "leaseSeconds": 30})).await;
    server.refused(Method::POST, &lease, Some(json!({"seconds": 30})), "illegal_transition").await;
    // What comes late is taken nevertheless.
    let (status, _) = server.post(&commands, json!({"type": "addMemory", "content": "c", "leaseSeconds": 30})).await;
    assert_eq!(status, 200);
    let_pass(&server).await;
    eventually("the lease is let go", async || leases(&server).await == 0).await;
    assert_eq!(kinds(&server, &id).await, ["created", "started", "driverSeen", "completed", "memoryAdded"]);

    let graph = json!({"name": "g", "startNodeId": "s", "nodes": {"s": {"id": "s", "type": "end", "name": "s"}}});
    let own = server.create(json!({"graph": graph, "driver": "builtin"})).await;
    let lease = format!("/api/v1/sessions/{own}/lease");
    server.refused(Method::POST, &lease, Some(json!({"seconds": 30})), "bad_request").await;
}

#[tokio::test]
async fn a_lease_stays_with_the_session_that_has_it() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    renew(&server, &id, 30).await;
    let_pass(&server).await;
    until_stalled(&server, &id).await;
    let (status, fork) = server.post(&format!("/api/v1/sessions/{id}/fork"), json!({"revision": 4})).await;
    assert_eq!((status.as_u16(), fork.get("isStalled"), fork.get("driverSeenAt")), (201, None, None));
    let export = server.request(Method::GET, &format!("/api/v1/sessions/{id}/export")).send().await.expect("a file");
    let file = export.bytes().await.expect("a file");
    assert_eq!(server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await.0, 204);
    assert_eq!(leases(&server).await, 0);
    let import = server.request(Method::POST, "/api/v1/sessions/import").body(file).send().await.expect("an answer");
    assert_eq!(import.status(), 201);
    assert_eq!(server.session(&id).await["isStalled"], true);
    let (_, page) = server.get("/api/v1/sessions?stalled=true").await;
    assert_eq!(page["sessions"][0]["id"], id);
    renew(&server, &id, 30).await;
    assert_eq!(server.session(&id).await.get("isStalled"), None);
}
