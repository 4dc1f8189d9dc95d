//! `relive mcp`: the Model Context Protocol over standard input and over HTTP, spoken by a client of that protocol.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Stdio;

use reqwest::{Method, RequestBuilder, StatusCode};
use rmcp::model::{CallToolRequestParams, CallToolResult, Tool};
use rmcp::service::{Peer, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{RoleClient, ServiceExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};

use crate::access::support::{id_of, key, make, server, token};
use crate::connections::is_given_up;
use crate::documents::markdown::Document;
use crate::harness::{DEADLINE, TestServer, eventually, node};

type Client = RunningService<RoleClient, ()>;

fn command(server: &TestServer) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
    command.arg("mcp").env("RELIVE_SERVER", server.url(""));
    for variable in ["RELIVE_TOKEN", "RELIVE_TOKEN_FILE", "RELIVE_MCP_LISTEN", "RELIVE_MCP_HOSTS"] {
        command.env_remove(variable);
    }
    // What somebody has stored on this machine is not for tests.
    command.env("XDG_CONFIG_HOME", "/nonexistent").env("HOME", "/nonexistent");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// An assistant, over standard input and output.
async fn assistant(command: &mut Command) -> (Client, Child) {
    let mut child = command.spawn().expect("relive");
    let pipes = (child.stdout.take().expect("stdout"), child.stdin.take().expect("stdin"));
    let client = tokio::time::timeout(DEADLINE, ().serve(pipes)).await.expect("in time").expect("a session");
    (client, child)
}

async fn assistant_with(server: &TestServer, token: &str) -> (Client, Child) {
    assistant(command(server).env("RELIVE_TOKEN", token)).await
}

async fn asked(
    client: &Peer<RoleClient>,
    tool: &'static str,
    arguments: Value,
) -> Result<CallToolResult, ServiceError> {
    let Value::Object(arguments) = arguments else { panic!("{arguments} are no arguments") };
    let request = CallToolRequestParams::new(tool).with_arguments(arguments);
    tokio::time::timeout(DEADLINE, client.call_tool(request)).await.expect("an answer in time")
}

/// The answer of a tool, or what it complains of.
async fn call(client: &Peer<RoleClient>, tool: &'static str, arguments: Value) -> Result<Value, String> {
    let result = asked(client, tool, arguments).await.expect("an answer");
    let text = result.content[0].as_text().expect("a text").text.clone();
    if result.is_error == Some(true) { Err(text) } else { Ok(serde_json::from_str(&text).expect("JSON")) }
}

async fn commands(server: &TestServer, admin: &str, id: &str, commands: Value) {
    let request = server.request(Method::POST, &format!("/api/v1/sessions/{id}/commands")).bearer_auth(admin);
    let answer = request.json(&commands).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text().await.unwrap_or_default());
}

/// A run that failed at a step of a node, which was asked something long.
async fn failed_run(server: &TestServer, admin: &str) -> String {
    let id = id_of(&make(server, admin, "/api/v1/sessions", json!({"name": "Nightly", "tags": ["etl"]})).await);
    let step = |status: &str| {
        let mut step = node("fetch", status);
        step["parentNodeId"] = json!("batch");
        step
    };
    let mut failed = step("failed");
    failed["error"] = json!("no route to host");
    failed["output"] = json!({"partial": "x".repeat(10_000)});
    let log = |level: &str, text: &str| json!({"type": "addLog", "nodeId": "fetch", "level": level, "text": text});
    let story = json!([
        {"type": "start"},
        node("batch", "running"),
        step("running"),
        {"type": "addMessage", "messageId": "m", "nodeId": "fetch", "content": "Trying again"},
        log("debug", "resolving"),
        log("warn", "3 of 3 attempts"),
        failed,
        node("batch", "failed"),
        {"type": "fail", "error": "fetch failed"},
    ]);
    commands(server, admin, &id, story).await;
    id
}

#[tokio::test]
async fn an_assistant_finds_reads_and_explains_a_failure() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let id = failed_run(&server, &admin).await;
    let viewer = key(&server, "viewer", "default").await;
    let (client, _child) = assistant_with(&server, &viewer).await;
    let about = client.peer_info().expect("who it is");
    let about = serde_json::to_value(&*about).expect("JSON").to_string();
    assert!(about.contains("explain_failure") && about.contains(env!("CARGO_PKG_VERSION")), "{about}");

    let listed = call(&client, "list_sessions", json!({"status": ["failed", "cancelled"], "tags": ["etl"]})).await;
    assert_eq!(listed.expect("a list")["sessions"][0]["id"], json!(id));
    let found = call(&client, "search", json!({"text": "Night"})).await.expect("found");
    assert_eq!((&found["sessions"][0]["id"], &found["memories"]), (&json!(id), &json!([])), "{found}");
    let session = call(&client, "read_session", json!({"sessionId": id})).await.expect("a session");
    assert_eq!((&session["error"], &session["nodeCounts"]), (&json!("fetch failed"), &json!({"failed": 2})));
    let then = call(&client, "read_session", json!({"sessionId": id, "revision": 2})).await.expect("a session");
    assert_eq!(then["status"], "running");
    let fetched = call(&client, "read_node", json!({"sessionId": id, "nodeId": "fetch"})).await.expect("a node");
    assert!(fetched["output"].as_str().is_some_and(|output| output.ends_with("(cut: 4000 of 10014 characters)")));
    let whole = json!({"sessionId": id, "nodeId": "fetch", "characters": 20_000});
    let fetched = call(&client, "read_node", whole).await.expect("a node");
    assert_eq!(fetched["output"]["partial"].as_str().map(str::len), Some(10_000));
    let warned = json!({"sessionId": id, "level": "warn", "nodeId": "fetch"});
    let logged = call(&client, "read_logs", warned).await.expect("log lines");
    assert_eq!((logged["logs"].as_array().map(Vec::len), &logged["logs"][0]["level"]), (Some(1), &json!("warn")));
    let said = json!({"sessionId": id, "nodeId": "fetch", "newestFirst": true});
    let said = call(&client, "read_messages", said).await.expect("messages");
    assert_eq!(said["messages"][0]["content"], "Trying again");
    let events = call(&client, "read_events", json!({"sessionId": id, "after": 1, "limit": 1})).await.expect("events");
    assert_eq!((&events["events"][0]["revision"], &events["nextAfter"]), (&json!(2), &json!(2)));

    let explained = call(&client, "explain_failure", json!({"sessionId": id})).await.expect("an explanation");
    assert_eq!((&explained["status"], &explained["error"]), (&json!("failed"), &json!("fetch failed")));
    let summary = explained["summary"].as_str().expect("a text");
    assert!(summary.contains("fetch (no route to host); batch"), "{summary}");
    let node = &explained["nodes"][0];
    assert_eq!((&node["id"], &node["lastMessages"][0]["content"]), (&json!("fetch"), &json!("Trying again")));
    assert_eq!(
        (node["lastLogs"].as_array().map(Vec::len), &node["lastLogs"][0]["text"]),
        (Some(1), &json!("3 of 3 attempts"))
    );
    assert!(node["output"].as_str().is_some_and(|output| output.contains("(cut: ")), "{node}");
    let last = explained["lastEvents"].as_array().expect("events").last().expect("an event");
    assert_eq!(last["event"]["type"], "failed");
}

#[tokio::test]
async fn what_is_refused_is_said_to_the_model() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let id = failed_run(&server, &admin).await;
    let viewer = key(&server, "viewer", "default").await;
    let (client, _child) = assistant_with(&server, &viewer).await;
    for (tool, arguments, expected) in [
        ("read_session", json!({"sessionId": uuid::Uuid::now_v7()}), "no such session"),
        ("read_session", json!({"id": id}), "unknown field"),
        ("read_session", json!({"sessionId": "../../projects"}), "invalid arguments"),
        ("read_logs", json!({"sessionId": id, "limit": 201}), "limit must be from 1 to 200"),
        ("read_node", json!({"sessionId": id, "nodeId": "none"}), "not_found"),
        ("read_node", json!({"sessionId": id, "nodeId": ".."}), "cannot be part of an address"),
        ("list_sessions", json!({"startedAfter": "yesterday"}), "bad_request"),
        ("control_session", json!({"sessionId": id, "action": "cancel"}), "operator"),
        ("start_run", json!({"workflowId": uuid::Uuid::now_v7()}), "operator"),
        ("send_signal", json!({"sessionId": id, "nodeId": "fetch", "payload": null}), "forbidden"),
    ] {
        let problem = call(&client, tool, arguments).await.expect_err(tool);
        assert!(problem.contains(expected), "{tool}: {problem}");
    }
    let unknown = asked(&client, "drop", json!({})).await;
    assert!(matches!(&unknown, Err(ServiceError::McpError(error)) if error.code.0 == -32602), "{unknown:?}");
    // Nor is anything else of the project that the key does not have.
    let (client, _child) = assistant(&mut command(&server)).await;
    let problem = call(&client, "list_sessions", json!({})).await.expect_err("without a token");
    assert!(problem.contains("unauthorized"), "{problem}");
}

#[tokio::test]
async fn a_large_run_is_read_in_parts() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let id = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    commands(&server, &admin, &id, json!([{"type": "start"}])).await;
    let mut story: Vec<Value> = (0..800).map(|n| node(&format!("n{n:04}"), "completed")).collect();
    story.push(node("z", "running"));
    commands(&server, &admin, &id, Value::Array(story)).await;
    let long = "x".repeat(60_000);
    let say = |_| json!({"type": "addMessage", "nodeId": "z", "content": long});
    commands(&server, &admin, &id, (0..5).map(say).collect()).await;
    let (client, _child) = assistant(command(&server).env("RELIVE_TOKEN", &admin)).await;
    let session = call(&client, "read_session", json!({"sessionId": id, "nodes": 5})).await.expect("a session");
    assert_eq!(session["nodes"].as_object().map(serde_json::Map::len), Some(5));
    assert_eq!((&session["nodes"]["z"]["status"], &session["nodesLeftOut"]), (&json!("running"), &json!(796)));
    let some = json!({"sessionId": id, "nodeStatus": ["running", "failed"]});
    let session = call(&client, "read_session", some).await.expect("a session");
    assert_eq!(session["nodes"].as_object().map(serde_json::Map::len), Some(1));
    let messages = call(&client, "read_messages", json!({"sessionId": id})).await.expect("messages");
    assert!(messages.to_string().len() < 25_000, "each is cut");
    let all = json!({"sessionId": id, "characters": 100_000});
    let problem = call(&client, "read_messages", all).await.expect_err("too much");
    assert!(problem.contains("ask for less"), "{problem}");
    let one = json!({"sessionId": id, "characters": 100_000, "limit": 1});
    let message = call(&client, "read_messages", one).await.expect("one message");
    assert_eq!(message["messages"][0]["content"].as_str().map(str::len), Some(60_000));
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
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "{operator}").expect("written");
    let (client, _child) = assistant(command(&server).arg("--token-file").arg(file.path())).await;
    let run = json!({"workflowId": workflow, "inputs": {"topic": "bees"}, "name": "By an assistant"});
    let started = call(&client, "start_run", run).await.expect("started");
    let id = started["sessionId"].as_str().expect("an id").to_owned();
    let until = async |id: &str, wanted: &str| {
        let looking = async {
            loop {
                let session = call(&client, "read_session", json!({"sessionId": id})).await.expect("a session");
                if session["status"] == wanted || session["nodes"]["r"]["status"] == wanted {
                    return session;
                }
            }
        };
        tokio::time::timeout(DEADLINE, looking).await.unwrap_or_else(|_| panic!("never {wanted}"))
    };
    assert_eq!(until(&id, "suspended").await["name"], "By an assistant");
    let explained = call(&client, "explain_failure", json!({"sessionId": id})).await.expect("an explanation");
    assert!(explained["summary"].as_str().is_some_and(|text| text.contains("waited for: r")), "{explained}");
    call(&client, "control_session", json!({"sessionId": id, "action": "pause"})).await.expect("paused");
    until(&id, "paused").await;
    call(&client, "control_session", json!({"sessionId": id, "action": "resume"})).await.expect("resumed");
    let answer = json!({"sessionId": id, "nodeId": "r", "action": "approve"});
    call(&client, "review_node", answer.clone()).await.expect("approved");
    until(&id, "completed").await;
    let problem = call(&client, "review_node", answer).await.expect_err("it has ended");
    assert!(problem.contains("not_waiting") || problem.contains("illegal_transition"), "{problem}");
    let fork = json!({"sessionId": id, "revision": 1, "start": true});
    let forked = call(&client, "fork_session", fork).await.expect("forked");
    let forked = forked["sessionId"].as_str().expect("an id").to_owned();
    assert_ne!(forked, id);
    until(&forked, "suspended").await;
    let cancel = json!({"sessionId": forked, "action": "cancel", "reason": "only tried"});
    call(&client, "control_session", cancel).await.expect("cancelled");
    until(&forked, "cancelled").await;
}

/// `docs/mcp.md` has every tool, and its configurations start what they say.
#[tokio::test]
async fn the_page_names_every_tool_and_its_configurations_hold() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let page = Document::read("docs/mcp.md");
    let configured = |section: &str| {
        let block = page.section(section).blocks().into_iter().next().expect("a configuration");
        let all: Value = serde_json::from_str(&block.text).expect("JSON");
        all["mcpServers"]["relive"].clone()
    };
    let own = configured("On your machine");
    assert_eq!((&own["command"], &own["args"]), (&json!("relive"), &json!(["mcp"])));
    let names: Vec<&str> = own["env"].as_object().expect("variables").keys().map(String::as_str).collect();
    assert_eq!(names, ["RELIVE_SERVER", "RELIVE_TOKEN"]);
    let (client, _child) = assistant_with(&server, &admin).await;
    let tools: Vec<Tool> = client.list_all_tools().await.expect("tools");
    let offered: BTreeSet<String> = tools.iter().map(|tool| tool.name.to_string()).collect();
    let rows = page.section("Tools").rows();
    let written: BTreeSet<String> = rows.iter().map(|cells| cells[0].trim_matches('`').to_owned()).collect();
    assert_eq!(written, offered);
    let http = configured("Over HTTP");
    assert_eq!((&http["type"], &http["url"]), (&json!("http"), &json!("http://127.0.0.1:7410/mcp")));
}

#[tokio::test]
async fn nothing_but_the_protocol_is_written_and_it_ends_with_its_client() {
    let server = server().await;
    let mut child = command(&server).spawn().expect("relive");
    let mut stdin = child.stdin.take().expect("stdin");
    let client = json!({"name": "test", "version": "1"});
    let begin = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
    for message in [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": begin}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}),
    ] {
        stdin.write_all(format!("{message}\n").as_bytes()).await.expect("written");
    }
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let reading = async {
        let mut answers = Vec::new();
        while answers.len() < 2 {
            let line = stdout.next_line().await.expect("a line").expect("no end yet");
            answers.push(serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{error}: {line}")));
        }
        drop(stdin);
        assert_eq!(stdout.next_line().await.expect("the end"), None);
        answers
    };
    let answers = tokio::time::timeout(DEADLINE, reading).await.expect("answers in time");
    assert_eq!(answers[0]["result"]["serverInfo"]["name"], "relive");
    let names = answers[1]["result"]["tools"].as_array().map(Vec::len);
    assert_eq!(names, Some(13), "{}", answers[1]);
    let ended = tokio::time::timeout(DEADLINE, child.wait()).await.expect("it ends with its client");
    assert_eq!(ended.expect("a status").code(), Some(0));
}

/// `relive mcp` over HTTP.
struct Served {
    url: String,
    _child: Child,
}

impl Served {
    async fn start(command: &mut Command) -> Self {
        let mut child = command.args(["--listen", "127.0.0.1:0"]).spawn().expect("relive");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let line = tokio::time::timeout(DEADLINE, lines.next_line()).await.expect("in time").expect("a line");
        let url = line.as_deref().and_then(|line| line.strip_prefix("listening on ")).expect("an address").to_owned();
        Self { url, _child: child }
    }

    async fn client(&self, token: Option<&str>) -> Client {
        let config = StreamableHttpClientTransportConfig::with_uri(self.url.clone());
        let config = token.into_iter().fold(config, |config, token| config.auth_header(token));
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let transport = StreamableHttpClientTransport::with_client(http, config);
        tokio::time::timeout(DEADLINE, ().serve(transport)).await.expect("in time").expect("a session")
    }

    /// A request for the list of sessions, as it stands on the wire.
    fn request(&self) -> RequestBuilder {
        let params = json!({"name": "list_sessions", "arguments": {}});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        http.post(&self.url).header("accept", "application/json, text/event-stream").json(&body)
    }
}

#[tokio::test]
async fn over_http_everybody_brings_a_token_of_their_own() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let id = failed_run(&server, &admin).await;
    let other = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    // The token of the process is not for those who ask.
    let served = Served::start(command(&server).env("RELIVE_TOKEN", &admin)).await;
    let guest = token(&server, &admin, &[&format!("read:sessions:{id}")]).await;
    let client = served.client(Some(&guest)).await;
    let tools: Vec<Tool> = client.list_all_tools().await.expect("tools");
    assert_eq!(tools.len(), 13);
    let read = async |client: &Client, id: &str| call(client, "read_session", json!({"sessionId": id})).await;
    assert_eq!(read(&client, &id).await.expect("a session")["id"], json!(id));
    let problem = read(&client, &other).await.expect_err("not allowed");
    assert!(problem.contains("forbidden") || problem.contains("not_found"), "{problem}");
    for token in [None, Some("rlv_nonsense")] {
        let problem = read(&served.client(token).await, &id).await.expect_err("not allowed");
        assert!(problem.contains("unauthorized"), "{problem}");
    }
    let all = served.client(Some(&admin)).await;
    assert_eq!(read(&all, &other).await.expect("a session")["id"], json!(other));
    // What cannot be passed on as it is, is not left out either.
    let basic = served.request().header("authorization", "Basic cmVsaXZlOng=");
    let two = served.request().bearer_auth(&guest).header("authorization", format!("Bearer {admin}"));
    for request in [basic, two] {
        let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        assert!(answer.to_string().contains("one header Authorization"), "{answer}");
    }
}

#[tokio::test]
async fn pages_of_other_sites_cannot_reach_it() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let served = Served::start(command(&server).args(["--hosts", "mcp.example.org, other.example.org"])).await;
    let port = reqwest::Url::parse(&served.url).expect("a URL").port().expect("a port");
    let status = async |name: &'static str, value: &str| {
        let request = served.request().bearer_auth(&admin).header(name, value);
        request.send().await.expect("an answer").status()
    };
    for host in ["mcp.example.org", "other.example.org:443", "localhost", "[::1]:7410", &format!("127.0.0.1:{port}")] {
        assert_eq!(status("host", host).await, StatusCode::OK, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "mcp.example.org.evil.example"] {
        assert_eq!(status("host", host).await, StatusCode::FORBIDDEN, "{host}");
    }
    for origin in ["https://evil.example", "null", "http://localhost:3000", &format!("http://127.0.0.1:{port}")] {
        assert_eq!(status("origin", origin).await, StatusCode::FORBIDDEN, "{origin}");
    }
    let large = served.request().bearer_auth(&admin).body("x".repeat((1 << 20) + 1));
    assert_eq!(large.send().await.expect("an answer").status(), StatusCode::PAYLOAD_TOO_LARGE);
}

/// A client that asks for something large, and reads nothing of it.
async fn stalled(address: &str, token: &str, body: &str) -> TcpStream {
    let reader = TcpSocket::new_v4().expect("a socket");
    reader.set_recv_buffer_size(4_096).expect("a small buffer");
    let mut tcp = reader.connect(address.parse().expect("an address")).await.expect("connected");
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    tcp.write_all((head + body).as_bytes()).await.expect("sent");
    tokio::time::timeout(DEADLINE, tcp.readable()).await.expect("an answer in time").expect("an answer begins");
    tcp
}

#[tokio::test]
async fn clients_that_read_nothing_neither_pile_up_nor_keep_others_out() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let id = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    let say = |_| json!({"type": "addMessage", "nodeId": "n", "content": "x".repeat(60_000)});
    let story = [json!({"type": "start"})].into_iter().chain((0..3).map(say));
    commands(&server, &admin, &id, story.collect()).await;
    let served = Served::start(&mut command(&server)).await;
    let address = reqwest::Url::parse(&served.url).expect("a URL").authority().to_owned();
    let arguments = json!({"sessionId": id, "characters": 100_000});
    let params = json!({"name": "read_messages", "arguments": arguments});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let mut waiting = Vec::new();
    for _ in 0..120 {
        waiting.push(stalled(&address, &admin, &body).await);
    }
    let read = json!({"sessionId": id, "nodes": 1});
    let client = served.client(Some(&admin)).await;
    assert_eq!(call(&client, "read_session", read).await.expect("a session")["id"], json!(id));
    let left = || waiting.iter().filter(|stalled| !is_given_up(stalled)).count();
    eventually("those that are too many are given up", async || left() <= 100).await;
    assert!(!is_given_up(waiting.last().expect("one")), "the newest is waited for");
}

#[tokio::test]
async fn nothing_is_kept_between_two_requests() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let served = Served::start(&mut command(&server)).await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let ask = |method: &str, params: Value| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = http.post(&served.url).bearer_auth(&admin);
        request.header("accept", "application/json, text/event-stream").json(&body)
    };
    let client = json!({"name": "test", "version": "1"});
    let begin = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
    let begun = ask("initialize", begin).send().await.expect("an answer");
    assert_eq!((begun.status(), begun.headers().get("mcp-session-id")), (StatusCode::OK, None));
    assert_eq!(begun.headers()["content-type"], "application/json");
    // A stream of notifications, as it is opened with a session and without one.
    for method in [Method::GET, Method::DELETE] {
        let request = http.request(method.clone(), &served.url).bearer_auth(&admin);
        let request = request.header("accept", "text/event-stream").header("mcp-session-id", "s");
        assert_eq!(request.send().await.expect("an answer").status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let listen = ask("subscriptions/listen", json!({"_meta": meta, "notifications": {"toolsListChanged": true}}));
    let listen = listen.header("mcp-protocol-version", "2026-07-28").header("mcp-method", "subscriptions/listen");
    let refused: Value = listen.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
}

#[tokio::test]
async fn an_address_for_all_needs_the_names_of_its_hosts() {
    let server = server().await;
    let mut child = command(&server).args(["--listen", "0.0.0.0:0"]).spawn().expect("relive");
    let ended = tokio::time::timeout(DEADLINE, child.wait()).await.expect("in time").expect("a status");
    let mut said = String::new();
    child.stderr.take().expect("stderr").read_to_string(&mut said).await.expect("read");
    assert_eq!(ended.code(), Some(1), "{said}");
    assert!(said.contains("--hosts"), "{said}");
}
