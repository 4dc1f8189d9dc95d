//! What engines that plan as they go need: nodes that are added, labels on edges, several values, several interrupts.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{TestServer, chain, node};

fn step(id: &str, next: Value) -> Value {
    json!({"id": id, "type": "step", "name": id, "nextIds": next})
}

async fn graph(server: &TestServer, id: &str, query: &str) -> Value {
    let (status, graph) = server.get(&format!("/api/v1/sessions/{id}/graph{query}")).await;
    assert_eq!(status, 200, "{graph}");
    graph
}

fn ids(graph: &Value) -> Vec<&str> {
    graph["nodes"].as_object().expect("nodes").keys().map(String::as_str).collect()
}

#[tokio::test]
async fn nodes_are_added_to_a_graph_that_runs() {
    let server = TestServer::start().await;
    let id = server.create(json!({"graph": chain(&["plan", "end"])})).await;
    server.command(&id, json!({"type": "start"})).await;
    let mut deltas = server.socket(&format!("/ws/sessions/{id}?mode=delta")).await;
    deltas.frame().await;
    let added = json!({"type": "addNodes", "nodes": {"s": step("s", json!([{"to": "end", "label": "done"}]))},
        "edges": [{"from": "plan", "to": "s", "label": "first"}]});
    assert_eq!(server.command(&id, added.clone()).await, 3);
    let patch = &deltas.frame().await["patch"];
    assert_eq!((&patch["graphRevision"], &patch["nodes"]["s"]["status"]), (&json!(3), &json!("pending")), "{patch}");
    let now = graph(&server, &id, "").await;
    assert_eq!(ids(&now), ["end", "plan", "s"]);
    assert_eq!(now["nodes"]["plan"]["nextIds"], json!(["end", "s"]));
    assert_eq!(now["nodes"]["plan"]["properties"]["edgeLabels"], json!({"s": "first"}));
    assert_eq!(now["nodes"]["s"]["nextIds"], json!(["end"]));
    assert_eq!(now["nodes"]["s"]["properties"]["edgeLabels"], json!({"end": "done"}));
    assert_eq!(ids(&graph(&server, &id, "?revision=2").await), ["end", "plan"], "as it was");
    let event = &server.events(&id).await[2]["event"];
    assert_eq!((&event["type"], &event["edges"]), (&json!("nodesAdded"), &added["edges"]));
    server.command(&id, json!([node("s", "running"), node("s#1", "running")])).await;
    let commands = format!("/api/v1/sessions/{id}/commands");
    server.refused(Method::POST, &commands, Some(added), "invalid_graph").await;
    let dangling = json!({"type": "addNodes", "nodes": {"t": step("t", json!(["nowhere"]))}});
    server.refused(Method::POST, &commands, Some(dangling), "invalid_graph").await;
    let misspelled = json!({"type": "addNodes", "edges": [{"from": "plan", "too": "s"}]});
    server.refused(Method::POST, &commands, Some(misspelled), "bad_request").await;

    // Kept over keyframes, restarts, forks and files.
    for round in 0..3 {
        let changes: Vec<Value> =
            (0..200).map(|n| json!({"type": "setContext", "key": "k", "value": [round, n]})).collect();
        server.command(&id, json!(changes)).await;
    }
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    assert_eq!(graph(&server, &id, "").await, now);
    assert_eq!(graph(&server, &id, "?revision=400").await, now);
    assert_eq!(server.session(&id).await["graphRevision"], 3);
    server.command(&id, node("s", "completed")).await;
    for (revision, expected) in [(2, &["end", "plan"][..]), (3, &["end", "plan", "s"])] {
        let (status, fork) = server.post(&format!("/api/v1/sessions/{id}/fork"), json!({"revision": revision})).await;
        assert_eq!(status, 201, "{fork}");
        let fork = fork["id"].as_str().expect("an id");
        assert_eq!(ids(&graph(&server, fork, "").await), expected);
        let more = json!({"type": "addNodes", "nodes": {"u": step("u", json!([]))}});
        server.command(fork, more).await;
    }
    let export = server.request(Method::GET, &format!("/api/v1/sessions/{id}/export")).send().await.expect("a file");
    let file = export.bytes().await.expect("a file");
    let state = server.session(&id).await;
    assert_eq!(server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await.0, 204);
    let import = server.request(Method::POST, "/api/v1/sessions/import").body(file).send().await.expect("an answer");
    assert_eq!(import.status(), 201);
    assert_eq!(graph(&server, &id, "").await, now);
    assert_eq!(server.session(&id).await, state);
    let more = json!({"type": "addNodes", "nodes": {"v": step("v", json!(["s"]))}});
    server.command(&id, more).await;
    assert_eq!(ids(&graph(&server, &id, "").await), ["end", "plan", "s", "v"]);
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    assert_eq!(ids(&graph(&server, &id, "").await), ["end", "plan", "s", "v"]);
}

#[tokio::test]
async fn edges_have_labels_in_either_notation() {
    let server = TestServer::start().await;
    let mut given = chain(&["a", "b"]);
    given["nodes"]["a"]["nextIds"] = json!([{"to": "b", "label": "yes"}]);
    let id = server.create(json!({"graph": given})).await;
    let stored = graph(&server, &id, "").await;
    assert_eq!(stored["nodes"]["a"]["nextIds"], json!(["b"]));
    assert_eq!(stored["nodes"]["a"]["properties"], json!({"edgeLabels": {"b": "yes"}}));
    let again = server.create(json!({"graph": stored})).await;
    assert_eq!(graph(&server, &again, "").await, stored);
    given["nodes"]["a"]["nextIds"] = json!([{"to": "b", "lable": "yes"}]);
    server.refused(Method::POST, "/api/v1/sessions", Some(json!({"graph": given})), "bad_request").await;
}

#[tokio::test]
async fn several_values_are_set_by_one_command() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let set = json!({"type": "setContext", "values": {"a": 1, "b": [2], "c": null}});
    assert_eq!(server.command(&id, set.clone()).await, 4);
    assert_eq!(server.session(&id).await["contextData"], json!({"a": 1, "b": [2]}));
    assert_eq!(server.command(&id, set).await, 4, "held already");
    assert_eq!(server.command(&id, json!({"type": "setContext", "key": "a", "value": 1})).await, 4);
    let commands = format!("/api/v1/sessions/{id}/commands");
    let many: serde_json::Map<String, Value> = (0..600).map(|n| (n.to_string(), json!(n))).collect();
    let two = json!([{"type": "setContext", "values": many}, {"type": "setContext", "values": many}]);
    server.refused(Method::POST, &commands, Some(two), "too_large").await;
    for wrong in [json!({"type": "setContext", "key": "a"}), json!({"type": "setContext", "value": 1})] {
        server.refused(Method::POST, &commands, Some(wrong), "bad_request").await;
    }
}

#[tokio::test]
async fn several_interrupts_of_a_node_wait_by_their_ids() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    server.command(&id, json!([node("n", "running"), node("n", "suspended")])).await;
    let post = async |what: &str, mut body: Value, interrupt: &str| {
        (body["nodeId"], body["interruptId"]) = (json!("n"), json!(interrupt));
        server.post(&format!("/api/v1/sessions/{id}/{what}"), body).await
    };
    let (status, answer) = post("signal", json!({"payload": 1}), "a").await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = post("review", json!({"action": "approve"}), "b").await;
    assert_eq!(status, 200, "{answer}");
    for (what, body) in [("signal", json!({"payload": 1})), ("review", json!({"action": "reject"}))] {
        let (status, problem) = post(what, body, "a").await;
        assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("signal_pending")));
    }
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    let path = format!("/api/v1/sessions/{id}/signal");
    let again = json!({"nodeId": "n", "payload": 1, "interruptId": "b"});
    server.refused(Method::POST, &path, Some(again), "signal_pending").await;
    let answers = server.events(&id).await.into_iter().filter(|event| event["event"]["type"] == "signalled");
    let answers: Vec<Value> = answers.map(|event| event["event"]["interruptId"].clone()).collect();
    assert_eq!(answers, [json!("a"), json!("b")]);
    let graph = json!({"name": "g", "startNodeId": "r", "nodes": {
        "r": {"id": "r", "type": "human_review", "name": "R", "nextIds": ["e"]}, "e": {"id": "e", "type": "end", "name": "E"}}});
    let own = server.create(json!({"graph": graph, "driver": "builtin"})).await;
    let path = format!("/api/v1/sessions/{own}/signal");
    let body = json!({"nodeId": "r", "payload": 1, "interruptId": "a"});
    server.refused(Method::POST, &path, Some(body), "bad_request").await;
}
