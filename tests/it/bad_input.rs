//! Requests that no well-behaved client sends: each is refused, says nothing of the inside, and
//! leaves the server serving.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{TestServer, assert_no_internals, chain, context, merge, node, problem};

/// Every address that takes a body, with one it accepts.
fn bodies(id: &str) -> Vec<(Method, String, Value)> {
    let session = |below: &str| format!("/api/v1/sessions/{id}/{below}");
    vec![
        (Method::POST, "/api/v1/sessions".into(), json!({})),
        (Method::POST, "/api/v1/groups".into(), json!({"name": "g"})),
        (Method::POST, "/api/v1/agents".into(), json!({"name": "a", "personaPrompt": "p"})),
        (Method::POST, "/api/v1/workflows".into(), json!({"name": "w", "graph": chain(&["a"])})),
        (Method::POST, session("commands"), context("k", json!(1))),
        (Method::POST, session("control"), json!({"action": "pause"})),
        (Method::POST, session("signal"), json!({"nodeId": "a", "payload": 1})),
        (Method::POST, session("review"), json!({"nodeId": "a", "action": "approve"})),
        (Method::PUT, session("nodes/a"), json!({"status": "running"})),
    ]
}

async fn raw(server: &TestServer, method: &Method, path: &str, body: impl Into<reqwest::Body>, code: &str) -> Value {
    problem(server.request(method.clone(), path).body(body), code).await
}

#[tokio::test]
async fn bodies_that_are_packed_are_refused_by_that_name() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let all = bodies(&id).into_iter().chain([(Method::POST, "/api/v1/sessions/import".to_owned(), json!({}))]);
    for (method, path, body) in all {
        for encoding in ["gzip", "identity, br", "GZIP"] {
            let request = server.request(method.clone(), &path).json(&body).header("Content-Encoding", encoding);
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.status(), 415, "{method} {path} {encoding}");
            let problem: Value = answer.json().await.expect("JSON");
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("Content-Encoding")), "{problem}");
        }
    }
    let plain = server.request(Method::POST, "/api/v1/groups").json(&json!({"name": "g"}));
    assert_eq!(plain.header("Content-Encoding", "Identity").send().await.expect("an answer").status(), 201);
}

#[tokio::test]
async fn bodies_that_are_no_json_or_of_another_shape() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for (method, path, _) in bodies(&id) {
        for body in [
            "",
            " ",
            "{",
            "}",
            "{\"inputs\":}",
            "nul",
            "'x'",
            "{} {}",
            "[",
            "\u{feff}{}",
            "{\"inputs\":NaN}",
            "{\"inputs\":Infinity}",
            "{\"inputs\":-Infinity}",
            "{\"inputs\":1e999}",
            "{\"inputs\":01}",
            "{\"inputs\":\"\\ud800\"}",
            "\"\\u0000\"",
            "7",
            "true",
        ] {
            raw(&server, &method, &path, body, "bad_request").await;
        }
        for body in [&b"\xff\xfe"[..], b"{\"inputs\":\"\xc3\x28\"}", b"\x1f\x8b\x08\x00"] {
            raw(&server, &method, &path, body, "bad_request").await;
        }
    }
    assert_eq!(server.session(&id).await["revision"], 2);
}

/// The parser takes an object's values in an array as that object, and `{"name": null}` as a name.
#[tokio::test]
async fn arrays_of_values_are_no_objects() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let refused = async |path: &str, body: Value, place: &str| {
        let problem = server.refused(Method::POST, path, Some(body), "bad_request").await;
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.starts_with(place) && detail.contains("is expected here, not a"), "{problem}");
    };
    let session = |below: &str| format!("/api/v1/sessions/{id}/{below}");
    refused("/api/v1/groups", json!(["g"]), "an object").await;
    refused("/api/v1/agents", json!(["a", null, null, "p", null, null]), "an object").await;
    refused(&session("commands"), json!([["pause"]]), "[0]: ").await;
    refused(&session("control"), json!(["pause"]), "an object").await;
    refused(&session("control"), json!({"action": {"pause": null}}), "action: ").await;
    refused(&session("fork"), json!([1]), "an object").await;
    refused(&session("lease"), json!([30]), "an object").await;
    refused(&session("tokens"), json!([["a", "m", "t"]]), "[0]: ").await;
    let graph = json!({"name": "g", "startNodeId": "a", "nodes": {"a": ["a", "task", "A"]}});
    refused("/api/v1/sessions", json!({"graph": graph}), "graph.nodes.a: ").await;
    refused("/api/v1/sessions", json!({"driver": {"external": null}}), "driver: ").await;
    assert_eq!(server.session(&id).await["revision"], 2);
}

#[tokio::test]
async fn fields_of_wrong_types() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for (method, path, accepted) in bodies(&id) {
        for field in accepted
            .as_object()
            .expect("an object")
            .keys()
            .filter(|field| !["payload", "value"].contains(&field.as_str()))
        {
            for wrong in [json!(7.5), json!([]), json!({}), json!([[]])] {
                let mut body = accepted.clone();
                body[field] = wrong;
                let refused = raw(&server, &method, &path, body.to_string(), "bad_request").await;
                assert!(refused["detail"].as_str().is_some_and(|detail| detail.len() < 500), "{refused}");
            }
        }
    }
    for wrong in [
        json!({"id": 7}),
        json!({"id": "x"}),
        json!({"workflowId": "x"}),
        json!({"groupId": []}),
        json!({"graph": 7}),
        json!({"graph": {"name": "g"}}),
        json!({"driver": "magic"}),
        json!({"driver": "builtin"}),
    ] {
        raw(&server, &Method::POST, "/api/v1/sessions", wrong.to_string(), "bad_request").await;
    }
    assert_eq!(server.session(&id).await["revision"], 2);
}

#[tokio::test]
async fn unknown_fields_are_refused_and_the_nearest_named() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for (method, path, accepted) in bodies(&id) {
        for field in accepted.as_object().expect("an object").keys().filter(|field| *field != "type") {
            // A letter too many, beside the right name and in its place.
            let wrong = format!("{field}x");
            let mut body = accepted.clone();
            body[&wrong] = accepted[field].clone();
            let mut misspelled = body.clone();
            misspelled.as_object_mut().expect("an object").remove(field);
            for body in [body, misspelled] {
                let refused = raw(&server, &method, &path, body.to_string(), "bad_request").await;
                let expected = format!("{wrong}: unknown field; did you mean {field}?");
                assert_eq!(refused["detail"], expected, "{path}");
            }
        }
    }
    let commands = format!("/api/v1/sessions/{id}/commands");
    for (path, body, expected) in [
        (
            &*commands,
            json!([node("a", "running"), {"type": "addMessage", "nodeId": "a", "content": "c", "is_thinking": true}]),
            "[1].is_thinking: unknown field; did you mean isThinking?",
        ),
        (
            &commands,
            json!({"type": "recordUsage", "nodeId": "a", "modle": "m", "inputTokens": 1, "outputTokens": 1}),
            "modle: unknown field; did you mean model?",
        ),
        (&commands, json!({"type": "start", "metadata": {}}), "metadata: unknown field; known are leaseSeconds, type"),
        (
            "/api/v1/sessions",
            json!({"graph": {"name": "g", "startNodeId": "a", "nodes": {"a": {"id": "a", "type": "t", "name": "A", "nextId": []}}}}),
            "graph.nodes.a.nextId: unknown field; did you mean nextIds?",
        ),
        (
            "/api/v1/groups",
            json!({"name": "g", "id": "x"}),
            "id: unknown field; known are defaultAgentIds, icon, name, systemPrompt",
        ),
    ] {
        let refused = raw(&server, &Method::POST, path, body.to_string(), "bad_request").await;
        assert_eq!(refused["detail"], expected);
    }
    assert_eq!(server.session(&id).await["revision"], 2);
}

#[tokio::test]
async fn unknown_query_parameters_are_refused_and_the_nearest_named() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for (path, expected) in [
        ("/api/v1/sessions?stats=running", "stats: unknown query parameter; did you mean status?"),
        ("/api/v1/sessions?limit=1&group_id=x", "group_id: unknown query parameter; did you mean groupId?"),
        ("/api/v1/groups?page=2", "page: unknown query parameter; known are limit, cursor"),
        (&format!("/api/v1/sessions/{id}?revison=1"), "revison: unknown query parameter; did you mean revision?"),
        (&format!("/api/v1/sessions/{id}/entity?x"), "x: unknown query parameter; this address takes none"),
    ] {
        assert_eq!(server.refused(Method::GET, path, None, "bad_request").await["detail"], expected);
    }
    let path = format!("/api/v1/sessions/{id}/commands?dryRun=true");
    server.refused(Method::POST, &path, Some(json!({"type": "pause"})), "bad_request").await;
    assert_eq!(server.session(&id).await["status"], "running");
}

#[tokio::test]
async fn what_was_read_can_be_changed_and_written_back() {
    let server = TestServer::start().await;
    let (_, mut group) = server.post("/api/v1/groups", json!({"name": "g"})).await;
    group["name"] = json!("h");
    let path = format!("/api/v1/groups/{}", group["id"].as_str().expect("an id"));
    let (status, replaced) = server.call(Method::PUT, &path, Some(group.clone())).await;
    assert_eq!((status.as_u16(), &replaced["name"]), (200, &json!("h")));
    group["nam"] = json!("i");
    server.refused(Method::PUT, &path, Some(group), "bad_request").await;
}

#[tokio::test]
async fn commands_with_values_out_of_range() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let path = format!("/api/v1/sessions/{id}/commands");
    let usage = json!({"type": "recordUsage", "nodeId": "a", "inputTokens": 1, "outputTokens": 1});
    let message = json!({"type": "addMessage", "nodeId": "a", "content": "c"});
    let running = node("a", "running");
    for (command, code) in [
        (json!([]), "bad_request"),
        (json!({"type": "dance"}), "bad_request"),
        (json!({"Type": "start"}), "bad_request"),
        (json!([[{"type": "pause"}]]), "bad_request"),
        (json!([{"type": "pause"}, null]), "bad_request"),
        (merge(usage.clone(), &json!({"inputTokens": -1})), "bad_request"),
        (merge(usage.clone(), &json!({"inputTokens": 1.5})), "bad_request"),
        (merge(usage.clone(), &json!({"inputTokens": 1_000_000_000_001_u64})), "bad_request"),
        (merge(usage.clone(), &json!({"outputTokens": u64::MAX})), "bad_request"),
        (merge(message.clone(), &json!({"tokenCount": 1_000_000_000_001_u64})), "bad_request"),
        (merge(message, &json!({"tokenCount": u64::MAX})), "bad_request"),
        (merge(usage.clone(), &json!({"costUsd": -0.01})), "bad_request"),
        (merge(usage.clone(), &json!({"costUsd": 1e10})), "bad_request"),
        (merge(usage.clone(), &json!({"costUsd": "1"})), "bad_request"),
        (merge(running.clone(), &json!({"progress": 1.01})), "bad_request"),
        (merge(running.clone(), &json!({"progress": -1e-9})), "bad_request"),
        (merge(running.clone(), &json!({"nodeId": ""})), "bad_request"),
        (merge(running.clone(), &json!({"nodeId": "x".repeat(257)})), "too_large"),
        (merge(running.clone(), &json!({"name": "x".repeat(1_025)})), "too_large"),
        (merge(running.clone(), &json!({"error": "x".repeat(16 * 1024 + 1)})), "too_large"),
        (context("", json!(1)), "bad_request"),
        (context(&"x".repeat(1_025), json!(1)), "too_large"),
        (json!(vec![context("k", json!(1)); 1_001]), "too_large"),
    ] {
        server.refused(Method::POST, &path, Some(command), code).await;
    }
    for number in ["1e999", "-1e999", "NaN"] {
        let body = format!("{{\"type\": \"setContext\", \"key\": \"k\", \"value\": {number}}}");
        raw(&server, &Method::POST, &path, body, "bad_request").await;
    }
    assert_eq!(server.session(&id).await["revision"], 2);
    // At the limits themselves all is well, and comes back as it was.
    let numbers = json!([1e308, -1e-308, 0.1, i64::MIN, u64::MAX, 1e15]);
    server
        .command(
            &id,
            json!([context("k", numbers.clone()), merge(running, &json!({"nodeId": "ü".repeat(128), "progress": 1}))]),
        )
        .await;
    assert_eq!(server.session(&id).await["contextData"]["k"], numbers);
    assert_eq!(server.session(&format!("{id}?revision=4")).await, server.session(&id).await);
}

#[tokio::test]
async fn the_character_nul_is_refused_wherever_a_text_can_stand() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let nul = "a\u{0}b";
    let path = format!("/api/v1/sessions/{id}/commands");
    let running = node("a", "running");
    for command in [
        node(nul, "running"),
        merge(running.clone(), &json!({"name": nul})),
        merge(running.clone(), &json!({"nodeType": nul})),
        merge(running.clone(), &json!({"error": nul})),
        merge(running.clone(), &json!({"output": nul})),
        merge(running.clone(), &json!({"output": {"deep": [{nul: 1}]}})),
        context(nul, json!(1)),
        context("k", json!(nul)),
        context("k", json!({"a": [nul]})),
        context("k", json!({nul: null})),
        json!({"type": "setProposal", "proposal": nul}),
        json!({"type": "fail", "error": nul}),
        json!({"type": "stop", "reason": nul}),
        json!({"type": "cancel", "reason": nul}),
        json!({"type": "complete", "outputs": [nul]}),
        json!({"type": "signal", "nodeId": nul, "payload": 1}),
        json!({"type": "signal", "nodeId": "a", "payload": {nul: nul}}),
        json!({"type": "recordUsage", "nodeId": "a", "inputTokens": 1, "outputTokens": 1, "model": nul}),
        json!({"type": "recordUsage", "nodeId": "a", "inputTokens": 1, "outputTokens": 1, "agentId": nul}),
        json!({"type": "addMessage", "nodeId": "a", "content": nul}),
        json!({"type": "addMemory", "content": "c", "metadata": {nul: 1}}),
    ] {
        server.refused(Method::POST, &path, Some(command), "bad_request").await;
    }
    let session = format!("/api/v1/sessions/{id}");
    for (method, below, body) in [
        (Method::PUT, "nodes/a%00b", json!({"status": "running"})),
        (Method::POST, "signal", json!({"nodeId": "a", "payload": nul})),
        (Method::POST, "review", json!({"nodeId": "a", "action": "approve", "reviewer": nul})),
        (Method::POST, "control", json!({"action": "stop", "reason": nul})),
    ] {
        server.refused(method, &format!("{session}/{below}"), Some(body), "bad_request").await;
    }
    server.refused(Method::GET, &format!("{session}/nodes/%00"), None, "not_found").await;
    for request in [json!({"proposal": nul}), json!({"inputs": {"a": [nul]}}), json!({"inputs": {nul: 1}})] {
        server.refused(Method::POST, "/api/v1/sessions", Some(request), "bad_request").await;
    }
    assert_eq!(server.session(&id).await["revision"], 2);
}

#[tokio::test]
async fn the_character_nul_is_refused_in_graphs() {
    let server = TestServer::start().await;
    let nul = "a\u{0}b";
    for change in [
        json!({"name": nul}),
        json!({"id": nul}),
        json!({"description": nul}),
        json!({"nodes": {"a": {"name": nul}}}),
        json!({"nodes": {"a": {"type": nul}}}),
        json!({"nodes": {"a": {"id": nul}}}),
        json!({"nodes": {"a": {"nextIds": [nul]}}}),
        json!({"nodes": {"a": {"properties": {"x": nul}}}}),
        json!({"nodes": {"a": {"properties": {nul: 1}}}}),
        json!({"nodes": {nul: {"id": nul, "type": "t", "name": "n"}}}),
        json!({"startNodeId": nul}),
    ] {
        let graph = merge(chain(&["a"]), &change);
        server.refused(Method::POST, "/api/v1/sessions", Some(json!({"graph": graph})), "invalid_graph").await;
        let workflow = json!({"name": "w", "graph": graph});
        server.refused(Method::POST, "/api/v1/workflows", Some(workflow), "invalid_graph").await;
    }
}

#[tokio::test]
async fn bodies_beyond_a_mebibyte() {
    const MEBIBYTE: usize = 1024 * 1024;
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for (method, path, accepted) in bodies(&id) {
        let text = accepted.to_string();
        let padded = |length: usize| format!("{text}{}", " ".repeat(length - text.len()));
        raw(&server, &method, &path, padded(MEBIBYTE + 1), "too_large").await;
    }
    let path = format!("/api/v1/sessions/{id}/commands");
    let empty = context("k", json!("")).to_string().len();
    let exact = context("k", json!("x".repeat(MEBIBYTE - empty))).to_string();
    assert_eq!(exact.len(), MEBIBYTE);
    let (status, body) = crate::harness::answer(server.request(Method::POST, &path).body(exact)).await;
    assert_eq!(status, 200, "{body}");
    // The context as a whole has the same bound.
    server.refused(Method::POST, &path, Some(context("l", json!("x".repeat(1_000)))), "too_large").await;
}

#[tokio::test]
async fn json_of_great_depth() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"inputs\":".repeat(depth), "}".repeat(depth));
    for (method, path, _) in bodies(&id) {
        for body in [deep(200), objects(200), deep(100_000), "[".repeat(500_000)] {
            raw(&server, &method, &path, body, "bad_request").await;
        }
    }
    let commands = format!("/api/v1/sessions/{id}/commands");
    for value in [deep(200), objects(200), deep(100_000)] {
        let command = format!("{{\"type\":\"setContext\",\"key\":\"k\",\"value\":{value}}}");
        raw(&server, &Method::POST, &commands, command, "bad_request").await;
    }
    server.refused(Method::POST, &commands, Some(context("k", nested(101))), "bad_request").await;
    let graph = merge(chain(&["a"]), &json!({"nodes": {"a": {"properties": {"x": nested(101)}}}}));
    server.refused(Method::POST, "/api/v1/sessions", Some(json!({"graph": graph})), "invalid_graph").await;
    assert_eq!(server.session(&id).await["revision"], 2);
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}

/// Whatever is accepted stays readable wherever it is put into: frames, pages, the journal and
/// stored states all wrap it further.
#[tokio::test]
async fn json_as_deep_as_is_accepted_can_be_read_everywhere() {
    let server = TestServer::start().await;
    let properties = json!({"nodes": {"a": {"properties": {"x": nested(100)}}}});
    let graph = merge(chain(&["a"]), &properties);
    let id = server.create(json!({"graph": graph, "inputs": nested(100), "proposal": nested(100)})).await;
    server.command(&id, json!([{"type": "start"}, context("k", nested(100))])).await;
    let output = merge(node("a", "running"), &json!({"output": nested(100)}));
    server.command(&id, json!([output, {"type": "signal", "nodeId": "a", "payload": nested(100)}])).await;
    for round in 0..6 {
        let commands: Vec<Value> = (0..100).map(|n| context("n", json!([round, n]))).collect();
        server.command(&id, json!(commands)).await;
    }
    let session = server.session(&id).await;
    assert_eq!(session["contextData"]["k"], nested(100));
    assert_eq!(server.get(&format!("/api/v1/sessions/{id}/nodes/a")).await.1["output"], nested(100));
    for mode in ["snapshot", "events"] {
        let mut viewer = server.socket(&format!("/ws/sessions/{id}?mode={mode}")).await;
        viewer.frame().await;
    }
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    assert_eq!(server.session(&id).await, session);
    assert_eq!(server.events(&id).await.len(), 605);
    assert_eq!(server.get(&format!("/api/v1/sessions/{id}/entity")).await.1["inputs"], nested(100));
}

#[tokio::test]
async fn addresses_and_methods_there_are_not() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    for path in
        ["/nothing", "/api", "/api/v1", "/api/v1/nothing", "/api/v2/sessions", "/ws/nothing", "/..%2f..%2fetc/passwd"]
    {
        let refused = server.refused(Method::GET, path, None, "not_found").await;
        assert_eq!(refused["detail"], "there is nothing at this address");
    }
    for (method, path) in [
        (Method::PATCH, "/api/v1/sessions".to_owned()),
        (Method::POST, "/healthz".to_owned()),
        (Method::GET, format!("/api/v1/sessions/{id}/commands")),
        (Method::DELETE, format!("/api/v1/sessions/{id}/events")),
    ] {
        let (status, body) = server.call(method, &path, None).await;
        assert_eq!((status.as_u16(), &body["code"], &body["status"]), (405, &json!("bad_request"), &json!(405)));
    }
    for malformed in ["x", "%FF", "%00", "0198c0de", "'%20or%201=1", &"9".repeat(4_000)] {
        for below in ["", "/graph", "/entity", "/events", "/nodes/a"] {
            server.refused(Method::GET, &format!("/api/v1/sessions/{malformed}{below}"), None, "bad_request").await;
        }
    }
}

#[tokio::test]
async fn idempotency_keys_are_checked() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let commands = format!("/api/v1/sessions/{id}/commands");
    for (path, body) in [("/api/v1/sessions", json!({})), (&*commands, context("k", json!(1)))] {
        for key in [&b""[..], &[b'x'; 257], b"\xc3\xbc"] {
            let request = server.request(Method::POST, path).header("idempotency-key", key).json(&body);
            problem(request, "bad_request").await;
        }
        let longest = server.request(Method::POST, path).header("idempotency-key", [b'x'; 256].as_slice()).json(&body);
        let (status, body) = crate::harness::answer(longest).await;
        assert!(status.is_success(), "{body}");
        assert_no_internals(&body.to_string());
    }
}
