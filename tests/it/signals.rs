//! Nodes: reporting on them, and signals and reviews for those that wait.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{TestServer, chain, node};

struct Run {
    server: TestServer,
    id: String,
}

impl Run {
    async fn start(graph: Value) -> Self {
        let server = TestServer::start().await;
        let id = server.create(graph).await;
        server.command(&id, json!({"type": "start"})).await;
        Self { server, id }
    }

    fn path(&self, below: &str) -> String {
        format!("/api/v1/sessions/{}/{below}", self.id)
    }

    async fn set(&self, id: &str, statuses: &[&str]) {
        let commands: Vec<Value> = statuses.iter().map(|status| node(id, status)).collect();
        self.server.command(&self.id, json!(commands)).await;
    }

    async fn accepted(&self, below: &str, body: Value) {
        let (status, receipt) = self.server.post(&self.path(below), body).await;
        assert_eq!((status.as_u16(), receipt["revision"].is_u64()), (200, true), "{receipt}");
    }

    /// Returns the reason.
    async fn refused(&self, below: &str, body: Value, code: &str) -> String {
        let problem = self.server.refused(Method::POST, &self.path(below), Some(body), code).await;
        problem["detail"].as_str().unwrap_or_default().to_owned()
    }
}

fn signal(node: &str) -> Value {
    json!({"nodeId": node, "payload": {"answer": 42}})
}

fn approve(node: &str) -> Value {
    json!({"nodeId": node, "action": "approve"})
}

#[tokio::test]
async fn a_node_holds_one_signal_until_it_goes_on() {
    let run = Run::start(json!({})).await;
    run.refused("signal", signal("a"), "not_waiting").await;
    run.set("a", &["running", "suspended"]).await;
    run.accepted("signal", signal("a")).await;
    run.refused("signal", signal("a"), "signal_pending").await;
    run.refused("review", approve("a"), "signal_pending").await;
    run.set("a", &["running", "suspended"]).await;
    run.accepted("signal", signal("a")).await;
    run.set("a", &["running", "completed"]).await;
    run.refused("signal", signal("a"), "not_waiting").await;
    let events = run.server.events(&run.id).await;
    let payloads: Vec<_> = events.iter().filter(|event| event["event"]["type"] == "signalled").collect();
    assert_eq!((payloads.len(), &payloads[0]["event"]["payload"]), (2, &json!({"answer": 42})));
}

#[tokio::test]
async fn a_review_is_a_signal_and_counts_once() {
    let run = Run::start(json!({"graph": chain(&["draft", "check"])})).await;
    let detail = run.refused("review", approve("check"), "not_waiting").await;
    assert!(detail.contains("no review"), "{detail}");
    run.refused("review", approve("nowhere"), "unknown_node").await;
    run.refused("review", json!({"nodeId": "check", "action": "maybe"}), "bad_request").await;
    run.set("check", &["running", "suspended"]).await;
    let review = json!({"nodeId": "check", "action": "modify", "reviewer": "Ada", "data": {"text": "better"}});
    run.accepted("review", review).await;
    run.refused("review", approve("check"), "signal_pending").await;
    let events = run.server.events(&run.id).await;
    let payload = json!({"review": {"action": "modify", "reviewer": "Ada", "data": {"text": "better"}}});
    assert_eq!(events.last().map(|last| &last["event"]["payload"]), Some(&payload));
    run.server.command(&run.id, json!({"type": "cancel"})).await;
    run.refused("review", approve("check"), "illegal_transition").await;
}

#[tokio::test]
async fn an_undelivered_signal_survives_a_restart() {
    let Run { server, id } = Run::start(json!({})).await;
    server.command(&id, json!([node("a", "running"), node("a", "suspended")])).await;
    let before = Run { server, id: id.clone() };
    before.accepted("signal", signal("a")).await;
    let server = TestServer::start_on(before.server.stop().await, |_| {}).await;
    let after = Run { server, id };
    after.refused("signal", signal("a"), "signal_pending").await;
    after.set("a", &["running"]).await;
    after.accepted("signal", signal("a")).await;
    after.set("a", &["completed"]).await;
    after.refused("signal", signal("a"), "not_waiting").await;
}

#[tokio::test]
async fn a_nodes_report_and_its_last_output() {
    let run = Run::start(json!({})).await;
    let put = |id: &str, body: Value| {
        let (path, server) = (run.path(&format!("nodes/{id}")), &run.server);
        async move { server.call(Method::PUT, &path, Some(body)).await }
    };
    let report = json!({"status": "running", "name": "Draft", "nodeType": "agent", "progress": 0.25});
    assert_eq!(put("a%2Fb", report.clone()).await.1, json!({"revision": 3}));
    assert_eq!(put("a%2Fb", report).await.1, json!({"revision": 3}), "nothing new, no new revision");
    put("a%2Fb", json!({"status": "running", "progress": 0.5, "output": {"draft": [1, null]}})).await;
    put("a%2Fb", json!({"status": "completed"})).await;
    let (_, detail) = run.server.get(&run.path("nodes/a%2Fb")).await;
    let expected = json!({"id": "a/b", "name": "Draft", "type": "agent", "status": "completed", "attempt": 1});
    for (field, value) in expected.as_object().expect("an object") {
        assert_eq!(&detail[field], value, "{detail}");
    }
    assert_eq!(detail["output"], json!({"draft": [1, null]}));
    put("a%2Fb", json!({"status": "running"})).await;
    assert_eq!(run.server.get(&run.path("nodes/a%2Fb")).await.1["attempt"], 2);
    run.server.refused(Method::GET, &run.path("nodes/other"), None, "not_found").await;
    for body in [json!({}), json!({"status": "odd"}), json!({"status": "running", "progress": 1.5})] {
        run.server.refused(Method::PUT, &run.path("nodes/a%2Fb"), Some(body), "bad_request").await;
    }
    run.server
        .refused(Method::PUT, &run.path("nodes/c"), Some(json!({"status": "suspended"})), "illegal_transition")
        .await;
}

#[tokio::test]
async fn nodes_move_as_the_protocol_says() {
    const STATUSES: [&str; 6] = ["pending", "running", "completed", "failed", "skipped", "suspended"];
    let next = |from: &str| match from {
        "pending" => &["running", "completed", "failed", "skipped"][..],
        "running" => &["completed", "failed", "suspended", "skipped"],
        "suspended" => &["running", "completed", "failed", "skipped"],
        _ => &["running", "pending"],
    };
    let run = Run::start(json!({})).await;
    for from in STATUSES {
        for to in STATUSES {
            let id = format!("{from}-{to}");
            match from {
                "pending" => run.set(&id, &["completed", "pending"]).await,
                "suspended" => run.set(&id, &["running", "suspended"]).await,
                other => run.set(&id, &[other]).await,
            }
            let before = run.server.session(&run.id).await["revision"].clone();
            if from == to {
                run.set(&id, &[to]).await;
                assert_eq!(run.server.session(&run.id).await["revision"], before, "{id} changed something");
            } else if next(from).contains(&to) {
                run.set(&id, &[to]).await;
            } else {
                run.refused("commands", node(&id, to), "illegal_transition").await;
            }
        }
    }
}

#[tokio::test]
async fn what_there_is_not_is_not_found() {
    let server = TestServer::start().await;
    let unknown = Uuid::now_v7();
    for below in ["", "/graph", "/entity", "/events", "/nodes/a", "?revision=1", "?at=2026-01-01T00:00:00Z"] {
        server.refused(Method::GET, &format!("/api/v1/sessions/{unknown}{below}"), None, "not_found").await;
    }
    server.refused(Method::DELETE, &format!("/api/v1/sessions/{unknown}"), None, "not_found").await;
    for (below, body) in [
        ("commands", json!({"type": "start"})),
        ("control", json!({"action": "start"})),
        ("signal", signal("a")),
        ("review", approve("a")),
    ] {
        server.refused(Method::POST, &format!("/api/v1/sessions/{unknown}/{below}"), Some(body), "not_found").await;
    }
    let put = Some(json!({"status": "running"}));
    server.refused(Method::PUT, &format!("/api/v1/sessions/{unknown}/nodes/a"), put, "not_found").await;
    let id = server.new_session().await;
    server.refused(Method::GET, &format!("/api/v1/sessions/{id}/graph"), None, "not_found").await;
}
