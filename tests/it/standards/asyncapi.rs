//! `/api/asyncapi.json`: a sound document, whose examples are what is sent.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::access::support::{ROOT, call, id_of, key, make, server, socket};
use crate::harness::{Script, Socket, TestServer};

const SESSION: &str = "0198c0de-0000-7000-8000-000000000001";

async fn document(server: &TestServer) -> Value {
    // Without a credential, as `/api/openapi.json`.
    let (status, document) = call(server, "", Method::GET, "/api/asyncapi.json", None).await;
    assert_eq!(status, 200);
    document
}

/// The examples of all messages from the client or from the server.
fn examples(document: &Value, from: &str) -> Vec<Value> {
    let messages = document["components"]["messages"].as_object().expect("messages");
    let of = messages.iter().filter(|(name, _)| name.starts_with(from));
    let examples = of.flat_map(|(name, message)| {
        let examples = message["examples"].as_array().filter(|examples| !examples.is_empty());
        examples.unwrap_or_else(|| panic!("{name} has no example"))
    });
    examples.map(|example| example["payload"].clone()).collect()
}

/// The same members, with values of the same types.
fn is_like(example: &Value, frame: &Value) -> bool {
    match (example, frame) {
        (Value::Object(example), Value::Object(frame)) => {
            example.keys().eq(frame.keys()) && example.iter().all(|(key, value)| is_like(value, &frame[key]))
        }
        (Value::Array(example), Value::Array(frame)) => {
            example.iter().zip(frame).all(|(example, frame)| is_like(example, frame))
        }
        (Value::String(example), Value::String(frame)) => {
            // A time is as long as another, an id too; words are the same ones.
            let is_word = |text: &str| text.chars().all(|c| c.is_ascii_alphabetic() || c == '_' || c == ' ');
            if is_word(example) { example == frame } else { example.len() == frame.len() }
        }
        (Value::Number(_), Value::Number(_)) => true,
        (example, frame) => example == frame,
    }
}

/// A conversation with the examples of the client.
struct Stage {
    sent: Vec<Value>,
    seen: Vec<Value>,
    client: Vec<Value>,
    session: String,
    engine: String,
}

impl Stage {
    async fn play(&mut self, socket: &mut Socket, kind: &str) {
        let example = self.client.iter().find(|example| example["type"] == kind).expect("an example");
        let mut frame: Value =
            serde_json::from_str(&example.to_string().replace(SESSION, &self.session)).expect("JSON");
        if kind == "auth" {
            frame["token"] = json!(self.engine);
        }
        self.sent.push(frame.clone());
        socket.send(frame).await;
    }

    async fn see(&mut self, socket: &mut Socket, kind: &str) {
        let seen = &mut self.seen;
        socket
            .until(|frame| {
                seen.push(frame.clone());
                frame["type"] == kind
            })
            .await;
    }
}

#[tokio::test]
async fn the_examples_are_what_is_sent_and_all_fit_the_document() {
    let server = server().await;
    let document = document(&server).await;
    let admin = key(&server, "admin", "default").await;
    let engine = key(&server, "engine", "default").await;
    let mut list = socket(&server, &engine, "/ws/sessions").await;
    let mut stage = Stage {
        sent: Vec::new(),
        seen: Vec::new(),
        client: examples(&document, "client"),
        session: String::new(),
        engine,
    };
    stage.see(&mut list, "sessions").await;
    let session = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    stage.session.clone_from(&session);
    let commands = format!("/api/v1/sessions/{session}/commands");
    let command = async |command: Value| {
        let (status, answer) = call(&server, &stage.engine, Method::POST, &commands, Some(command)).await;
        assert_eq!(status, 200, "{answer}");
    };
    command(json!({"type": "start"})).await;
    let mut many = socket(&server, &stage.engine, "/ws").await;
    let mut events =
        socket(&server, &stage.engine, &format!("/ws/sessions/{session}?mode=events&messages=true&logs=true")).await;
    stage.play(&mut many, "subscribe").await;
    stage.see(&mut many, "snapshot").await;
    stage.play(&mut many, "command").await;
    stage.see(&mut many, "delta").await;
    stage.play(&mut many, "token").await;
    stage.see(&mut events, "token").await;
    let message = json!({"type": "addMessage", "messageId": "m1", "nodeId": "draft", "content": "Hello"});
    let completed = json!({"type": "setNodeStatus", "nodeId": "draft", "status": "completed"});
    let log = json!({"type": "addLog", "nodeId": "draft", "level": "info", "text": "half way"});
    for one in [message, log, completed, json!({"type": "complete"})] {
        let (status, answer) = call(&server, &stage.engine, Method::POST, &commands, Some(one)).await;
        assert_eq!(status, 200, "{answer}");
    }
    stage.see(&mut events, "end").await;
    stage.see(&mut list, "session").await;
    for (kind, answer) in [("auth", "authenticated"), ("ping", "pong")] {
        stage.play(&mut many, kind).await;
        stage.see(&mut many, answer).await;
    }
    stage.play(&mut many, "unsubscribe").await;
    many.send(json!({"type": "subscribe", "sessionId": "0198c0de-0000-7000-8000-000000000009"})).await;
    stage.see(&mut many, "error").await;
    let mut replay =
        socket(&server, &stage.engine, &format!("/ws/sessions/{session}/replay?paused=true&mode=events")).await;
    stage.see(&mut replay, "replayState").await;
    stage.play(&mut replay, "replay").await;
    stage.see(&mut replay, "replayState").await;
    let body = json!({"scopes": ["read:sessions"], "expiresInSeconds": 19});
    let short = make(&server, ROOT, "/api/v1/tokens", body).await;
    let mut short = socket(&server, short["token"].as_str().expect("a token"), "/ws").await;
    stage.see(&mut short, "expiring").await;

    let kinds = |frames: &[Value]| -> BTreeSet<String> {
        frames.iter().map(|frame| frame["type"].as_str().expect("a type").to_owned()).collect()
    };
    assert_eq!(kinds(&stage.sent), kinds(&stage.client), "frames of the client that were not played");
    for example in examples(&document, "server") {
        let seen: Vec<&Value> = stage.seen.iter().filter(|frame| frame["type"] == example["type"]).collect();
        assert!(seen.iter().any(|frame| is_like(&example, frame)), "{example}\nis like none of\n{seen:#?}");
    }
    let Some(script) = Script::find("asyncapi.mjs").await else { return };
    let frame = |from: &str, frame: &Value| json!({"from": from, "frame": frame});
    let frames: Vec<Value> = stage.sent.iter().map(|sent| frame("client", sent)).collect();
    let seen = stage.seen.iter().map(|seen| frame("server", seen));
    let frames: Vec<Value> = frames.into_iter().chain(seen).collect();
    let checked = script.run(&json!({"document": document.to_string(), "frames": frames})).await;
    assert_eq!((&checked["errors"], &checked["invalid"]), (&json!([]), &json!([])), "{checked:#}");
    assert_eq!(checked["messages"].as_array().map(Vec::len), Some(23), "{checked:#}");
    assert_eq!(checked["operations"].as_array().map(Vec::len), Some(8), "{checked:#}");
}

#[tokio::test]
async fn the_document_says_where_the_server_is() {
    let server = TestServer::start_with(|config| config.proxy.base_path = "/relive".to_owned()).await;
    let (status, document) = server.get("/relive/api/asyncapi.json").await;
    assert_eq!((status.as_u16(), &document["asyncapi"]), (200, &json!("3.0.0")));
    let described = &document["servers"]["relive"];
    assert_eq!(described["host"], server.address().to_string());
    assert_eq!((&described["protocol"], &described["pathname"]), (&json!("ws"), &json!("/relive")));
    let (_, openapi) = server.get("/relive/api/openapi.json").await;
    for channel in document["channels"].as_object().expect("channels").values() {
        let address = channel["address"].as_str().expect("an address");
        let parameters = openapi["paths"][address]["get"]["parameters"].as_array();
        let query = parameters.into_iter().flatten().filter(|parameter| parameter["in"] == "query");
        let query: BTreeSet<&str> = query.map(|parameter| parameter["name"].as_str().expect("a name")).collect();
        let known = channel["bindings"]["ws"]["query"]["properties"].as_object().expect("a query");
        assert_eq!(known.keys().map(String::as_str).collect::<BTreeSet<_>>(), query, "{address}");
    }
}
