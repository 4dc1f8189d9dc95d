//! Sessions over HTTP: made, read, driven, deleted.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{TestServer, answer, chain, context, node, problem};

#[tokio::test]
async fn a_new_session_is_pending_at_revision_1() {
    let server = TestServer::start().await;
    let id = Uuid::now_v7().to_string();
    let request = json!({"id": id, "graph": chain(&["a", "b"]), "proposal": {"p": 1}, "inputs": [1, null]});
    let response = server.request(Method::POST, "/api/v1/sessions").json(&request).send().await.expect("an answer");
    assert_eq!(response.status(), 201);
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    assert_eq!((header("etag"), header("location")), (Some("\"1\"".into()), Some(format!("/api/v1/sessions/{id}"))));
    let session: Value = response.json().await.expect("JSON");
    assert_eq!(session, server.session(&id).await);
    assert_eq!((&session["id"], &session["status"], &session["revision"]), (&json!(id), &json!("pending"), &json!(1)));
    assert_eq!(session["nodes"]["b"], json!({"id": "b", "name": "Node b", "type": "task", "status": "pending"}));
    assert_eq!((&session["activeNodeIds"], &session["totalTokens"]), (&json!([]), &json!(0)));
    let (_, entity) = server.get(&format!("/api/v1/sessions/{id}/entity")).await;
    assert_eq!((&entity["proposal"], &entity["inputs"]), (&json!({"p": 1}), &json!([1, null])));
    assert_eq!(entity["nodeStatuses"], json!({"a": "pending", "b": "pending"}));
    assert_eq!(server.get(&format!("/api/v1/sessions/{id}/graph")).await.1["nodes"]["a"]["nextIds"], json!(["b"]));
}

#[tokio::test]
async fn a_session_is_not_made_twice_nor_from_what_does_not_exist() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    let create =
        |request: Value, code: &'static str| server.refused(Method::POST, "/api/v1/sessions", Some(request), code);
    create(json!({"id": id}), "conflict").await;
    create(json!({"groupId": Uuid::now_v7()}), "not_found").await;
    create(json!({"workflowId": Uuid::now_v7()}), "not_found").await;
    assert_eq!(server.get("/api/v1/sessions").await.1["sessions"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.session(&id).await["revision"], 1);
}

#[tokio::test]
async fn a_repeated_creation_answers_as_the_first_time() {
    let server = TestServer::start().await;
    let create = |key: &'static str| {
        answer(server.request(Method::POST, "/api/v1/sessions").header("idempotency-key", key).json(&json!({})))
    };
    let (status, first) = create("one").await;
    assert_eq!(status, 201);
    let id = first["id"].as_str().expect("an id");
    server.command(id, json!({"type": "start"})).await;
    assert_eq!(create("one").await, (status, first.clone()));
    assert_ne!(create("two").await.1["id"], first["id"]);
    let together = futures_util::future::join_all((0..8).map(|_| create("three"))).await;
    assert!(together.windows(2).all(|pair| pair[0] == pair[1]), "{together:?}");
    assert_eq!(server.get("/api/v1/sessions").await.1["sessions"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn graphs_that_cannot_be_run_are_refused_by_the_name_of_the_node() {
    let server = TestServer::start().await;
    let with = |change: Value| crate::harness::merge(chain(&["a", "b", "c"]), &change);
    for (graph, named) in [
        (with(json!({"startNodeId": "nowhere"})), "nowhere"),
        (with(json!({"nodes": {"b": {"nextIds": ["gone"]}}})), "gone"),
        (with(json!({"nodes": {"b": {"id": "other"}}})), "other"),
        (with(json!({"nodes": {"a": {"nextIds": []}}, "properties": {"driver": "builtin"}})), "'b'"),
        (with(json!({"nodes": {"c": {"nextIds": ["b"]}}, "properties": {"driver": "builtin"}})), "cycle"),
    ] {
        let driver = graph.pointer("/properties/driver").cloned().unwrap_or_else(|| json!("external"));
        let created = server
            .refused(Method::POST, "/api/v1/sessions", Some(json!({"graph": graph, "driver": driver})), "invalid_graph")
            .await;
        let workflow = json!({"name": "w", "graph": graph});
        let stored = server.refused(Method::POST, "/api/v1/workflows", Some(workflow), "invalid_graph").await;
        assert_eq!(created["detail"], stored["detail"]);
        assert!(created["detail"].as_str().is_some_and(|detail| detail.contains(named)), "{created}");
    }
}

#[tokio::test]
async fn graphs_of_other_engines_may_have_cycles_and_nodes_that_nothing_leads_to() {
    let server = TestServer::start().await;
    let with = |change: Value| crate::harness::merge(chain(&["agent", "tools", "answer"]), &change);
    for graph in [
        with(json!({"nodes": {"tools": {"nextIds": ["agent"]}}})),
        with(json!({"nodes": {"agent": {"nextIds": ["agent"]}}})),
        with(json!({"nodes": {"agent": {"nextIds": []}, "tools": {"nextIds": []}}})),
    ] {
        let (status, stored) = server.post("/api/v1/workflows", json!({"name": "w", "graph": graph})).await;
        assert_eq!(status, 201, "{stored}");
        for request in [json!({"graph": graph}), json!({"workflowId": stored["id"]})] {
            let id = server.create(request).await;
            server.command(&id, json!([{"type": "start"}, node("answer", "running")])).await;
            let (_, exported) = server.get(&format!("/api/v1/sessions/{id}/graph")).await;
            assert_eq!(exported["nodes"].as_object().map(serde_json::Map::len), Some(3));
        }
    }
}

#[tokio::test]
async fn older_workflow_files_are_understood() {
    let server = TestServer::start().await;
    let graph = json!({
        "workflow_uuid": "w-1", "name": "old", "start_node_id": "a",
        "nodes": {"a": {"node_id": "a", "type": "task", "name": "A", "next_ids": ["b"]},
                  "b": {"node_id": "b", "type": "end", "name": "B", "next_ids": []}}
    });
    let id = server.create(json!({"graph": graph})).await;
    let (_, graph) = server.get(&format!("/api/v1/sessions/{id}/graph")).await;
    assert_eq!(
        (&graph["id"], &graph["startNodeId"], &graph["nodes"]["a"]["nextIds"]),
        (&json!("w-1"), &json!("a"), &json!(["b"]))
    );
}

#[tokio::test]
async fn etags_make_reads_cheap_and_writes_conditional() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let path = format!("/api/v1/sessions/{id}");
    for (known, status) in
        [("\"2\"", 304), ("W/\"2\"", 304), ("\"1\", \"2\"", 304), ("*", 304), ("\"1\"", 200), ("2", 200)]
    {
        let request = server.request(Method::GET, &path).header("if-none-match", known);
        let response = request.send().await.expect("an answer");
        let etag = response.headers()["etag"].clone();
        assert_eq!((response.status().as_u16(), etag.to_str().ok()), (status, Some("\"2\"")), "{known}");
    }
    let command = |if_match: &str| {
        let request = server.request(Method::POST, &format!("{path}/commands")).header("if-match", if_match);
        // A value that is held already would change nothing.
        request.json(&context("k", json!(uuid::Uuid::now_v7())))
    };
    problem(command("\"1\""), "revision_conflict").await;
    problem(command("\"3\""), "revision_conflict").await;
    // Weak tags never match for a change, nor do tags that no session has.
    for other in ["W/\"2\"", "\"\"", "\"-1\"", "\"02\"", "\"two\"", "\"1\", \"3\""] {
        problem(command(other), "revision_conflict").await;
    }
    let none_named = "the session is at revision 2, and If-Match names none; a weak tag never matches";
    let delete = |if_match: &str| server.request(Method::DELETE, &path).header("if-match", if_match);
    for request in [command("W/\"2\""), delete("W/\"2\"")] {
        assert_eq!(problem(request, "revision_conflict").await["detail"], none_named);
    }
    for malformed in ["two", "2", "", "\"2", "*, \"2\""] {
        problem(command(malformed), "bad_request").await;
    }
    assert_eq!(answer(command("\"2\"")).await.1, json!({"revision": 3}));
    problem(command("\"2\""), "revision_conflict").await;
    assert_eq!(answer(command("*")).await.1, json!({"revision": 4}));
    for (one_of, revision) in [("\"4\", \"1\"", 5), ("\"1\",\"5\"", 6), (", W/\"6\", \"6\"", 7)] {
        assert_eq!(answer(command(one_of)).await.1, json!({"revision": revision}));
    }
    problem(delete("\"6\""), "revision_conflict").await;
    let control = server.request(Method::POST, &format!("{path}/control")).header("if-match", "\"3\"");
    problem(control.json(&json!({"action": "pause"})), "revision_conflict").await;
    assert_eq!(server.session(&id).await["revision"], 7);
    assert_eq!(answer(delete("\"6\", \"7\"")).await.0, 204);
}

#[tokio::test]
async fn control_moves_a_session_through_its_states_and_no_others() {
    let server = TestServer::start().await;
    const ACTIONS: [&str; 6] = ["start", "pause", "resume", "complete", "stop", "cancel"];
    let allowed = |status: &str| match status {
        "pending" => &["start", "cancel"][..],
        "running" => &["pause", "complete", "stop", "cancel"],
        "paused" => &["resume", "stop", "cancel"],
        _ => &[],
    };
    for walk in
        [&["start", "pause", "resume", "complete"][..], &["start", "stop"], &["start", "pause", "stop"], &["cancel"]]
    {
        let id = server.new_session().await;
        let path = format!("/api/v1/sessions/{id}/control");
        let mut revision = 1;
        for step in walk.iter().map(Some).chain([None]) {
            let session = server.session(&id).await;
            assert_eq!(session["revision"], revision);
            let status = session["status"].as_str().expect("a status");
            for action in ACTIONS.iter().filter(|action| !allowed(status).contains(action)) {
                server.refused(Method::POST, &path, Some(json!({"action": action})), "illegal_transition").await;
            }
            let Some(step) = step else { break };
            revision += 1;
            let receipt = server.post(&path, json!({"action": step, "reason": "because"})).await;
            assert_eq!(receipt, (reqwest::StatusCode::OK, json!({"revision": revision})), "{step} from {status}");
        }
        server.refused(Method::POST, &path, Some(json!({"action": "dance"})), "bad_request").await;
    }
}

#[tokio::test]
async fn an_ending_ends_the_nodes_too() {
    let server = TestServer::start().await;
    for (ending, node_of_a, status) in [
        (json!({"type": "fail", "error": "no"}), "failed", "failed"),
        (json!({"type": "stop"}), "failed", "failed"),
        (json!({"type": "cancel"}), "failed", "cancelled"),
        (
            json!([node("a", "completed"), node("b", "skipped"), {"type": "complete", "outputs": {"x": 1}}]),
            "completed",
            "completed",
        ),
    ] {
        let id = server.create(json!({"graph": chain(&["a", "b", "c"])})).await;
        let begin = json!([{"type": "start"}, node("a", "running"), node("b", "running"), node("b", "suspended")]);
        server.command(&id, begin).await;
        server
            .refused(
                Method::POST,
                &format!("/api/v1/sessions/{id}/control"),
                Some(json!({"action": "complete"})),
                "nodes_active",
            )
            .await;
        server.command(&id, ending).await;
        let session = server.session(&id).await;
        let statuses = ["a", "b", "c"].map(|id| session["nodes"][id]["status"].as_str().unwrap_or_default().to_owned());
        assert_eq!(statuses, [node_of_a, "skipped", "skipped"]);
        assert_eq!((&session["status"], &session["activeNodeIds"]), (&json!(status), &json!([])));
        assert!(session["completedAt"].is_string());
        for late in [context("k", json!(1)), node("a", "running"), json!({"type": "setProposal", "proposal": 1})] {
            server
                .refused(Method::POST, &format!("/api/v1/sessions/{id}/commands"), Some(late), "illegal_transition")
                .await;
        }
    }
}

#[tokio::test]
async fn a_repetition_is_answered_whatever_revision_it_expects() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let command = || {
        let request = server.request(Method::POST, &format!("/api/v1/sessions/{id}/commands"));
        request.header("if-match", "\"1\", \"2\"").header("idempotency-key", "once").json(&context("k", json!(1)))
    };
    assert_eq!(answer(command()).await.1, json!({"revision": 3}));
    assert_eq!(answer(command()).await.1, json!({"revision": 3, "duplicate": true}));
}

#[tokio::test]
async fn a_wrong_id_in_an_address_is_named() {
    let server = TestServer::start().await;
    for (path, words) in [
        ("/api/v1/sessions/x", "`x` is not a session id (a UUID)"),
        ("/api/v1/sessions/0198/nodes/a", "`0198` is not a session id (a UUID)"),
        ("/api/v1/groups/%1b%5b2J", "`\\u{1b}[2J` is not a group id (a UUID)"),
        ("/api/v1/memories/x", "`x` is not a memory id (a UUID)"),
    ] {
        let problem = server.refused(Method::GET, path, None, "bad_request").await;
        assert_eq!(problem["detail"], words, "{path}");
    }
    let problem = server.refused(Method::POST, "/api/v1/sessions", Some(json!({"id": "x"})), "bad_request").await;
    assert!(
        problem["detail"].as_str().is_some_and(|text| text.contains("`x` is not a session id (a UUID)")),
        "{problem}"
    );
}
