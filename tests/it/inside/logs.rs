//! Log lines and tool calls: stored once, listed, and shown on sockets in order with the rest.

use relive::storage::MessageOrder;
use relive_session::{LogLevel, SessionId};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{log, logs, texts};
use crate::harness::{Database, Socket, TestServer};

async fn run(server: &TestServer) -> String {
    let id = server.running_session().await;
    let with_all = json!({"type": "addLog", "nodeId": "a", "level": "warn", "text": "100%_\\ sure", "at": "2020-02-29T12:00:00.125Z",
        "attributes": {"file": "x.py", "line": 12, "ok": false}});
    let commands = json!([
        log("a", "debug", "one"),
        log("b", "info", "Two 日本"),
        with_all,
        {"type": "addMessage", "nodeId": "a", "content": "between"},
        log("b", "error", "four"),
    ]);
    server.command(&id, commands).await;
    id
}

#[tokio::test]
async fn lines_are_listed_page_by_page_and_filtered() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    let all = ["one", "Two 日本", "100%_\\ sure", "four"];
    for limit in 1..=5 {
        assert_eq!(texts(&logs(&server, &id, "", limit).await), all);
        let mut reversed = all;
        reversed.reverse();
        assert_eq!(texts(&logs(&server, &id, "&order=desc", limit).await), reversed);
    }
    for (filter, expected) in [
        ("nodeId=b", &["Two 日本", "four"][..]),
        ("level=debug", &all),
        ("level=info", &["Two 日本", "100%_\\ sure", "four"]),
        ("level=warn", &["100%_\\ sure", "four"]),
        ("level=error&nodeId=a", &[]),
        ("text=TWO", &["Two 日本"]),
        ("text=%E6%97%A5", &["Two 日本"]),
        ("text=0%25_%5C", &["100%_\\ sure"]),
        ("text=%25", &["100%_\\ sure"]),
        ("text=absent", &[]),
        ("text=", &all),
        ("after=4", &["100%_\\ sure", "four"]),
    ] {
        for order in ["asc", "desc"] {
            if order == "desc" && filter.starts_with("after") {
                continue;
            }
            let mut expected = expected.to_vec();
            if order == "desc" {
                expected.reverse();
            }
            assert_eq!(texts(&logs(&server, &id, &format!("&{filter}&order={order}"), 2).await), expected, "{filter}");
        }
    }
    let found = logs(&server, &id, "&level=warn", 9).await;
    let expected = json!({"sessionId": id, "revision": 5, "nodeId": "a", "level": "warn", "text": "100%_\\ sure",
        "at": "2020-02-29T12:00:00.125Z", "attributes": {"file": "x.py", "line": 12, "ok": false}});
    assert_eq!(found[0], expected);
    assert!(found[1]["at"].is_string() && found[1]["attributes"].is_null(), "{}", found[1]);
    let path = format!("/api/v1/sessions/{id}/logs");
    for wrong in ["level=fatal", "limit=0", "after=x", "order=up", "nodeId=%00", "text=%00", "lvl=warn"] {
        server.refused(Method::GET, &format!("{path}?{wrong}"), None, "bad_request").await;
    }
    let long = "x".repeat(201);
    server.refused(Method::GET, &format!("{path}?text={long}"), None, "bad_request").await;
    let missing = format!("/api/v1/sessions/{}/logs", Uuid::now_v7());
    server.refused(Method::GET, &missing, None, "not_found").await;
}

/// The journal refers to a line, and the state does not hold it.
#[tokio::test]
async fn a_line_is_stored_once() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    server.command(&id, json!({"type": "setNodeStatus", "nodeId": "a", "status": "running"})).await;
    let long = "x".repeat(64 * 1024);
    server.command(&id, log("a", "info", &long)).await;
    let event = server.events(&id).await.last().expect("an event")["event"].clone();
    assert_eq!(event, json!({"type": "logAdded", "nodeId": "a", "level": "info"}));
    assert!(!server.session(&id).await.to_string().contains("xxx"));
    assert_eq!(texts(&logs(&server, &id, "", 9).await), [&long]);
    let path = format!("/api/v1/sessions/{id}/commands");
    for (command, code) in [
        (log("a", "info", &format!("{long}x")), "too_large"),
        (log("a", "fatal", "t"), "bad_request"),
        (log("", "info", "t"), "bad_request"),
        (
            json!({"type": "addLog", "nodeId": "a", "level": "info", "text": "t", "attributes": {"x": null}}),
            "bad_request",
        ),
        (json!({"type": "addLog", "nodeId": "a", "level": "info", "message": "t"}), "bad_request"),
    ] {
        server.refused(Method::POST, &path, Some(command), code).await;
    }
    // A body of many lines may be as large as one of messages.
    let many = Value::Array((0..40).map(|_| log("a", "info", &long)).collect());
    server.command(&id, many).await;
    assert_eq!(logs(&server, &id, "", 100).await.len(), 41);
}

async fn frames_to(socket: &mut Socket, revision: u64) -> Vec<(String, u64)> {
    let mut seen = Vec::new();
    loop {
        let frame = socket.frame().await;
        let kind = frame["type"].as_str().expect("a type").to_owned();
        if kind == "replayState" || kind == "subscribed" {
            continue;
        }
        let at = frame["revision"].as_u64().expect("a revision");
        let is_last = ["snapshot", "delta", "event"].contains(&&*kind) && at == revision;
        seen.push((kind, at));
        if is_last {
            return seen;
        }
    }
}

fn of(kind: &str, seen: &[(String, u64)]) -> Vec<u64> {
    seen.iter().filter(|(found, _)| found == kind).map(|(_, revision)| *revision).collect()
}

#[tokio::test]
async fn sockets_that_ask_are_sent_lines_before_the_state_that_follows_them() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    for mode in ["snapshot", "delta", "events"] {
        let mut live = server.socket(&format!("/ws/sessions/{id}?mode={mode}&logs=true&messages=true&after=2")).await;
        let seen = frames_to(&mut live, 7).await;
        assert_eq!((of("log", &seen), of("message", &seen)), (vec![3, 4, 5, 7], vec![6]), "{mode}: {seen:?}");
        let texts: Vec<u64> =
            seen.iter().filter(|(kind, _)| kind == "log" || kind == "message").map(|(_, at)| *at).collect();
        assert_eq!(texts, [3, 4, 5, 6, 7], "in order with each other");
        if mode == "events" {
            for revision in [3, 4, 5, 7] {
                let place = |kind: &str| seen.iter().position(|(found, at)| found == kind && *at == revision);
                assert!(place("log") < place("event"), "{seen:?}");
            }
        }
        let replay = format!("/ws/sessions/{id}/replay?mode={mode}&logs=true&speed=max&to=7");
        let seen = frames_to(&mut server.socket(&replay).await, 7).await;
        assert_eq!((of("log", &seen), of("message", &seen)), (vec![3, 4, 5, 7], vec![]), "{mode}: {seen:?}");
        let quiet = format!("/ws/sessions/{id}?mode={mode}&messages=true&after=2");
        let seen = frames_to(&mut server.socket(&quiet).await, 7).await;
        assert_eq!((of("log", &seen), of("message", &seen)), (vec![], vec![6]), "{mode}: {seen:?}");
    }
    let mut many = server.socket("/ws").await;
    many.send(json!({"type": "subscribe", "sessionId": id, "logs": true, "after": 7})).await;
    many.frame_of("subscribed").await;
    let revision = server.command(&id, log("a", "info", "live")).await;
    let frame = many.frame_of("log").await;
    assert_eq!((&frame["revision"], &frame["log"]["text"]), (&json!(revision), &json!("live")));
    assert_eq!(frame["log"], logs(&server, &id, "", 100).await[4]);
    assert_eq!(many.frame_of("snapshot").await["revision"], revision);
}

/// More than is kept in memory, so that it comes from the database.
#[tokio::test]
async fn no_line_is_missed_however_far_behind_a_viewer_is() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for n in 0..6 {
        let commands = (0..200).map(|m| {
            if m % 4 == 0 {
                json!({"type": "addMessage", "nodeId": "a", "content": "m"})
            } else {
                log("a", "info", &format!("{n}-{m}"))
            }
        });
        server.command(&id, Value::Array(commands.collect())).await;
    }
    let expected = |is_log: bool| (0..1_200_u64).filter(|n| (n % 4 != 0) == is_log).map(|n| n + 3).collect::<Vec<_>>();
    for mode in ["snapshot", "delta", "events"] {
        for messages in [false, true] {
            let path = format!("/ws/sessions/{id}?mode={mode}&logs=true&messages={messages}&after=2");
            let seen = frames_to(&mut server.socket(&path).await, 1_202).await;
            assert_eq!(of("log", &seen), expected(true), "{mode}");
            assert_eq!(of("message", &seen), if messages { expected(false) } else { vec![] }, "{mode}");
        }
    }
}

#[tokio::test]
async fn lines_and_messages_of_another_server_are_shown_too() {
    let database = Database::create().await;
    let here = TestServer::start_on(database.clone(), |_| {}).await;
    let there = TestServer::start_on(database, |_| {}).await;
    let id = here.running_session().await;
    let mut viewer = there.socket(&format!("/ws/sessions/{id}?logs=true&messages=true")).await;
    viewer.frame_of("snapshot").await;
    here.command(&id, log("a", "info", "from afar")).await;
    assert_eq!(viewer.frame_of("log").await["log"]["text"], "from afar");
    here.command(&id, tool_message()).await;
    assert_eq!(viewer.frame_of("message").await["message"]["toolCalls"][0]["name"], "search");
}

fn tool_message() -> Value {
    json!({"type": "addMessage", "messageId": "m", "nodeId": "a", "content": "", "contentType": "text/plain",
        "toolCalls": [{"id": "c1", "name": "search", "arguments": {"q": "bees", "n": 1.50}}, {"id": "c2", "name": "now", "arguments": "{}"}]})
}

#[tokio::test]
async fn messages_carry_tool_calls_and_their_results() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut viewer = server.socket(&format!("/ws/sessions/{id}?messages=true")).await;
    viewer.frame_of("snapshot").await;
    let result = json!({"type": "addMessage", "messageId": "r", "nodeId": "a", "role": "tool", "toolCallId": "c1",
        "contentType": "application/json", "content": "[1]"});
    server.command(&id, json!([tool_message(), result])).await;
    let listed = server.get(&format!("/api/v1/sessions/{id}/messages")).await.1["messages"].clone();
    assert_eq!(listed[0]["toolCalls"], tool_message()["toolCalls"]);
    assert_eq!((&listed[0]["contentType"], &listed[0]["role"]), (&json!("text/plain"), &json!("agent")));
    assert_eq!((&listed[1]["role"], &listed[1]["toolCallId"]), (&json!("tool"), &json!("c1")));
    assert_eq!(listed[1]["contentType"], "application/json");
    for message in listed.as_array().expect("messages") {
        assert_eq!(viewer.frame_of("message").await["message"], *message);
    }
    let event = server.events(&id).await[2]["event"].clone();
    assert!(event["toolCalls"].is_null() && event["contentType"] == "text/plain", "stored once: {event}");
    let mut replay = server.socket(&format!("/ws/sessions/{id}/replay?messages=true&speed=max&mode=events")).await;
    assert_eq!(replay.frame_of("message").await["message"], listed[0]);
    let path = format!("/api/v1/sessions/{id}/commands");
    let call = |call: Value| json!({"type": "addMessage", "nodeId": "a", "content": "", "toolCalls": [call]});
    for (command, code) in [
        (call(json!({"id": "c", "name": "n"})), "bad_request"),
        (call(json!({"id": "", "name": "n", "arguments": {}})), "bad_request"),
        (call(json!({"id": "c", "name": "n", "arguments": {}, "type": "function"})), "bad_request"),
        (call(json!({"id": "c", "name": "n", "arguments": "\u{0}"})), "bad_request"),
        (json!({"type": "addMessage", "nodeId": "a", "content": "", "contentType": "text/html"}), "bad_request"),
        (json!({"type": "addMessage", "nodeId": "a", "content": "", "role": "robot"}), "bad_request"),
    ] {
        server.refused(Method::POST, &path, Some(command), code).await;
    }
    let many = vec![json!({"id": "c", "name": "n", "arguments": {}}); 129];
    let many = json!({"type": "addMessage", "nodeId": "a", "content": "", "toolCalls": many});
    server.refused(Method::POST, &path, Some(many), "too_large").await;
}

#[tokio::test]
async fn what_arrives_late_is_taken_for_nodes_that_exist() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    server.command(&id, json!({"type": "setNodeStatus", "nodeId": "a", "status": "completed"})).await;
    let end = server.command(&id, json!({"type": "complete"})).await;
    let mut viewer = server.socket(&format!("/ws/sessions/{id}?logs=true&messages=true&after={end}")).await;
    viewer.frame_of("end").await;
    let late = json!([
        {"type": "recordUsage", "nodeId": "a", "inputTokens": 5, "outputTokens": 1},
        {"type": "addMessage", "nodeId": "a", "content": "late"},
        log("a", "info", "late"),
        {"type": "addMemory", "content": "late"},
    ]);
    server.command(&id, late).await;
    assert_eq!(viewer.frame_of("message").await["message"]["content"], "late");
    assert_eq!(viewer.frame_of("log").await["log"]["text"], "late");
    assert_eq!(server.session(&id).await["totalTokens"], 6);
    let path = format!("/api/v1/sessions/{id}/commands");
    let refused = server.refused(Method::POST, &path, Some(log("new", "info", "t")), "unknown_node").await;
    assert_eq!(refused["detail"], "the session has no node 'new'", "it has no graph either");
    let status = json!({"type": "setNodeStatus", "nodeId": "a", "status": "running"});
    server.refused(Method::POST, &path, Some(status), "illegal_transition").await;
    // A minute later, by the server's clock.
    let earlier =
        "UPDATE session_events SET at = at - interval '61 seconds' WHERE session_id = '{id}' AND revision > 1;
        DELETE FROM session_keyframes WHERE session_id = '{id}'";
    let storage = server.database.storage();
    sqlx::raw_sql(AssertSqlSafe(earlier.replace("{id}", &id))).execute(storage.pool()).await.expect("moved");
    let other = TestServer::start_on(server.database.clone(), |_| {}).await;
    for command in [log("a", "info", "t"), json!({"type": "addMessage", "nodeId": "a", "content": "c"})] {
        other.refused(Method::POST, &path, Some(command), "illegal_transition").await;
    }
}

/// A run of 100,000 lines among others, of which one node has few.
const FILL: &str = r#"
    SET session_replication_role = replica;
    INSERT INTO session_logs (session_id, revision, node_id, level, text, at)
    SELECT lpad(to_hex(session), 32, '0')::uuid, n, CASE WHEN n % 10000 = 0 THEN 'rare' ELSE 'n' END,
        CASE WHEN n % 50000 = 0 THEN 3 ELSE n % 3 END, 'line ' || n, timestamptz '2026-01-01Z' + n * interval '1 ms'
    FROM generate_series(1, 3) AS session, generate_series(1, 100000) AS n;
    SET session_replication_role = DEFAULT;
    ANALYZE session_logs;
"#;

#[tokio::test]
async fn a_page_of_a_hundred_thousand_lines_is_read_from_an_index() {
    let database = Database::create().await;
    let storage = database.storage();
    sqlx::raw_sql(AssertSqlSafe(FILL)).execute(storage.pool()).await.expect("filled");
    let id = SessionId(Uuid::from_u128(2));
    for order in [MessageOrder::OldestFirst, MessageOrder::NewestFirst] {
        for (node, level) in
            [(None, None), (Some("rare"), None), (Some("n"), None), (Some("rare"), Some(LogLevel::Error))]
        {
            let filter = relive::storage::LogFilter { node_id: node.map(Into::into), level, text: None };
            let plan = storage.explain_logs(id, &filter, order, 100).await.expect("a plan");
            let mut reads = crate::query_plans::Reads::default();
            reads.add(&plan[0]["Plan"]);
            assert!(reads.rows < 1_000, "{filter:?}, {order:?}: {reads:?}\n{plan:#}");
        }
    }
}
