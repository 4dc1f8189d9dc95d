//! `relive mcp`: the Model Context Protocol over standard input and over HTTP.

use std::process::Stdio;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::access::support::{id_of, key, make, server, token};
use crate::harness::{DEADLINE, TestServer, node};

fn command(server: &TestServer, token: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
    command.arg("mcp").env("RELIVE_SERVER", server.url("")).env("RELIVE_TOKEN", token).env_remove("RELIVE_TOKEN_FILE");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// An assistant, over standard input and output.
struct Assistant {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    next: u64,
}

impl Assistant {
    async fn start(server: &TestServer, token: &str) -> Self {
        let mut child = command(server, token).spawn().expect("relive");
        let stdin = child.stdin.take().expect("stdin");
        let lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let mut assistant = Self { child, stdin, lines, next: 1 };
        let client = json!({"name": "test", "version": "1"});
        let parameters = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
        let server = assistant.ask("initialize", parameters).await;
        assert_eq!(server["result"]["serverInfo"]["name"], "relive", "{server}");
        assistant.say(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        assistant
    }

    async fn say(&mut self, message: Value) {
        self.stdin.write_all(format!("{message}\n").as_bytes()).await.expect("written");
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.next;
        self.next += 1;
        self.say(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        let answer = async {
            loop {
                let line = self.lines.next_line().await.expect("a line").expect("no end yet");
                // Nothing but the protocol may be on the standard output.
                let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if answer["id"] == id {
                    return answer;
                }
            }
        };
        tokio::time::timeout(DEADLINE, answer).await.expect("an answer in time")
    }

    async fn call(&mut self, tool: &str, arguments: Value) -> Result<Value, String> {
        outcome(&self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await)
    }
}

/// The answer of a tool, or what it complains of.
fn outcome(answer: &Value) -> Result<Value, String> {
    let result = &answer["result"];
    let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
    if result["isError"] == true { Err(text.to_owned()) } else { Ok(serde_json::from_str(text).expect("JSON")) }
}

/// A run that failed at a node which was asked something long.
async fn failed_run(server: &TestServer, admin: &str) -> String {
    let id = id_of(&make(server, admin, "/api/v1/sessions", json!({"name": "Nightly", "tags": ["etl"]})).await);
    let mut fetch = node("fetch", "failed");
    fetch["error"] = json!("no route to host");
    fetch["output"] = json!({"partial": "x".repeat(10_000)});
    let commands = json!([
        {"type": "start"},
        node("fetch", "running"),
        {"type": "addMessage", "messageId": "m", "nodeId": "fetch", "content": "Trying again"},
        fetch,
        {"type": "fail", "error": "fetch failed"},
    ]);
    let request = server.request(Method::POST, &format!("/api/v1/sessions/{id}/commands")).bearer_auth(admin);
    assert_eq!(request.json(&commands).send().await.expect("an answer").status(), StatusCode::OK);
    id
}

#[tokio::test]
async fn an_assistant_finds_reads_and_explains_a_failure() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let id = failed_run(&server, &admin).await;
    let viewer = key(&server, "viewer", "default").await;
    let mut assistant = Assistant::start(&server, &viewer).await;
    let tools = assistant.ask("tools/list", json!({})).await;
    let names: Vec<&str> =
        tools["result"]["tools"].as_array().expect("tools").iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    for name in ["list_sessions", "search", "read_session", "explain_failure", "control_session", "review_node"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let listed = assistant.call("list_sessions", json!({"status": "failed", "tag": "etl"})).await.expect("a list");
    assert_eq!(listed["sessions"][0]["id"], json!(id));
    let found = assistant.call("search", json!({"text": "Night"})).await.expect("found");
    assert_eq!(found["sessions"][0]["id"], json!(id), "{found}");
    let session = assistant.call("read_session", json!({"sessionId": id})).await.expect("a session");
    assert_eq!(session["error"], "fetch failed");
    let then = assistant.call("read_session", json!({"sessionId": id, "revision": 2})).await.expect("a session");
    assert_eq!(then["status"], "running");

    let explained = assistant.call("explain_failure", json!({"sessionId": id})).await.expect("an explanation");
    assert_eq!((&explained["status"], &explained["error"]), (&json!("failed"), &json!("fetch failed")));
    let summary = explained["summary"].as_str().expect("a text");
    assert!(summary.contains("fetch (no route to host)"), "{summary}");
    let node = &explained["nodes"][0];
    assert_eq!((&node["id"], &node["lastMessages"][0]["content"]), (&json!("fetch"), &json!("Trying again")));
    assert!(node["output"].as_str().is_some_and(|output| output.ends_with("(shortened)")), "{node}");
    let last = explained["lastEvents"].as_array().expect("events").last().expect("an event");
    assert_eq!(last["event"]["type"], "failed");

    // What is refused is said to the model.
    let nowhere = json!({"sessionId": uuid::Uuid::now_v7()});
    let problem = assistant.call("read_session", nowhere).await.expect_err("no such session");
    assert!(problem.contains("no such session"), "{problem}");
    let problem = assistant.call("read_session", json!({"id": id})).await.expect_err("unknown");
    assert!(problem.contains("unknown field"), "{problem}");
    let cancel = json!({"sessionId": id, "action": "cancel"});
    let problem = assistant.call("control_session", cancel).await.expect_err("a viewer");
    assert!(problem.contains("operator"), "{problem}");
    let unknown = assistant.ask("tools/call", json!({"name": "drop", "arguments": {}})).await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    drop(assistant.stdin);
    let ended = tokio::time::timeout(DEADLINE, assistant.child.wait()).await.expect("it ends with its client");
    assert_eq!(ended.expect("a status").code(), Some(0));
}

#[tokio::test]
async fn an_assistant_steers_a_run() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let review = json!({"id": "r", "type": "human_review", "name": "r", "nextIds": ["e"], "properties": {}});
    let end = json!({"id": "e", "type": "end", "name": "e", "nextIds": [], "properties": {}});
    let graph = json!({"name": "g", "startNodeId": "r", "nodes": {"r": review, "e": end}});
    let workflow = id_of(&make(&server, &admin, "/api/v1/workflows", json!({"name": "w", "graph": graph})).await);
    let operator = key(&server, "operator", "default").await;
    let mut assistant = Assistant::start(&server, &operator).await;
    let started = json!({"workflowId": workflow, "inputs": {"topic": "bees"}, "name": "By an assistant"});
    let started = assistant.call("start_run", started).await.expect("started");
    let id = started["sessionId"].as_str().expect("an id").to_owned();
    let until = async |assistant: &mut Assistant, wanted: &str| {
        let looking = async {
            loop {
                let session = assistant.call("read_session", json!({"sessionId": id})).await.expect("a session");
                if session["status"] == wanted || session["nodes"]["r"]["status"] == wanted {
                    return session;
                }
            }
        };
        tokio::time::timeout(DEADLINE, looking).await.unwrap_or_else(|_| panic!("never {wanted}"))
    };
    assert_eq!(until(&mut assistant, "suspended").await["name"], "By an assistant");
    let explained = assistant.call("explain_failure", json!({"sessionId": id})).await.expect("an explanation");
    assert!(explained["summary"].as_str().is_some_and(|text| text.contains("waits for: r")), "{explained}");
    let answer = json!({"sessionId": id, "nodeId": "r", "action": "approve"});
    assistant.call("review_node", answer).await.expect("approved");
    until(&mut assistant, "completed").await;
    let messages = assistant.call("read_messages", json!({"sessionId": id, "limit": 5})).await.expect("messages");
    assert!(messages["messages"].is_array(), "{messages}");
    let events = assistant.call("read_events", json!({"sessionId": id, "after": 1})).await.expect("events");
    assert_eq!(events["events"][0]["revision"], 2);
}

#[tokio::test]
async fn over_http_everybody_brings_a_token_of_their_own() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let id = failed_run(&server, &admin).await;
    let other = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    // The token of the process is not for those who ask.
    let mut child = command(&server, &admin).args(["--listen", "127.0.0.1:0"]).spawn().expect("relive");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let line = tokio::time::timeout(DEADLINE, lines.next_line()).await.expect("in time").expect("a line").expect("one");
    let url = line.strip_prefix("listening on ").expect("an address").to_owned();
    let http = reqwest::Client::new();
    let post = |token: Option<&str>, body: Value| {
        let request = http.post(&url).header("accept", "application/json, text/event-stream").json(&body);
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    };
    let read = |id: &str| {
        let params = json!({"name": "read_session", "arguments": {"sessionId": id}});
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    };
    let call = async |token: Option<&str>, id: &str| {
        let answer = post(token, read(id)).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        outcome(&answer.json().await.expect("JSON"))
    };
    let guest = token(&server, &admin, &[&format!("read:sessions:{id}")]).await;
    assert_eq!(call(Some(&guest), &id).await.expect("a session")["id"], json!(id));
    for (token, id) in [(None, &id), (Some("rlv_nonsense"), &id), (Some(&*guest), &other)] {
        let problem = call(token, id).await.expect_err("not allowed");
        assert!(problem.contains("unauthorized") || problem.contains("forbidden"), "{problem}");
    }
    for (name, value) in [("origin", "https://evil.example"), ("host", "evil.example")] {
        let answer = post(Some(&guest), read(&id)).header(name, value).send().await.expect("an answer");
        assert!(answer.status().is_client_error(), "{name}: {}", answer.status());
    }
}
