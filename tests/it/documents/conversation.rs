//! Plays the examples of `docs/protocol.md` against a server.

use std::collections::HashMap;
use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Value, json};

use super::markdown::{Block, Section};
use crate::harness::{Socket, TestServer};

/// Stands for any value; as a member, for further members.
const ANY: &str = "…";

/// One section's examples, in order.
pub struct Conversation<'a> {
    server: &'a TestServer,
    place: String,
    names: HashMap<String, Value>,
    socket: Option<Socket>,
}

impl<'a> Conversation<'a> {
    /// Plays a section; returns the frames that were sent each way.
    pub async fn play(server: &'a TestServer, section: &Section) -> Played {
        let mut conversation = Self { server, place: String::new(), names: HashMap::new(), socket: None };
        conversation.names.insert("session".to_owned(), json!(server.running_session().await));
        let mut played = Played::default();
        for block in section.blocks() {
            conversation.place = format!("docs/protocol.md:{} ({})", block.line, block.kind);
            conversation.block(&block, &mut played).await;
        }
        conversation.end().await;
        played
    }

    async fn block(&mut self, block: &Block, played: &mut Played) {
        match &*block.kind {
            "connect" => {
                let address = self.fill_text(block.text.trim());
                self.socket = Some(self.server.socket(&address).await);
            }
            "json client" => {
                for frame in self.frames(block) {
                    let frame = self.fill(frame);
                    self.socket().send(frame.clone()).await;
                    played.client.push(frame);
                }
            }
            "json server" => {
                for expected in self.frames(block) {
                    let frame = self.next(&expected).await;
                    self.expect(&expected, &frame);
                    played.server.push(frame);
                }
            }
            "json server any order" => {
                let mut expected = self.frames(block);
                while !expected.is_empty() {
                    let frame = self.socket().frame().await;
                    let place = expected.iter().position(|expected| expected["type"] == frame["type"]);
                    let place = place.unwrap_or_else(|| panic!("{}: not expected: {frame}", self.place));
                    self.expect(&expected.remove(place), &frame);
                    played.server.push(frame);
                }
            }
            "http" => self.request(&block.text).await,
            "close" => {
                let mut socket = self.socket.take().unwrap_or_else(|| panic!("{}: no socket", self.place));
                let expected: u16 = block.text.trim().parse().expect("a close code");
                assert_eq!(socket.close_code().await, expected, "{}", self.place);
            }
            "ts" => {}
            kind => panic!("{}: no such kind of block: {kind}", self.place),
        }
    }

    fn socket(&mut self) -> &mut Socket {
        self.socket.as_mut().unwrap_or_else(|| panic!("{}: no socket", self.place))
    }

    /// The next frame; a `replayState` that time alone has brought is passed over.
    async fn next(&mut self, expected: &Value) -> Value {
        loop {
            let frame = self.socket().frame().await;
            let mut names = self.names.clone();
            let is_report = frame["type"] == "replayState";
            if !is_report || matches(expected, &frame, &mut names).is_ok() {
                return frame;
            }
        }
    }

    fn expect(&mut self, expected: &Value, frame: &Value) {
        if let Err(problem) = matches(expected, frame, &mut self.names) {
            panic!("{}: {problem}\nexpected {expected}\nreceived {frame}", self.place);
        }
    }

    fn frames(&self, block: &Block) -> Vec<Value> {
        let values = serde_json::Deserializer::from_str(&block.text).into_iter();
        values.map(|value| value.unwrap_or_else(|error| panic!("{}: {error}", self.place))).collect()
    }

    async fn request(&mut self, text: &str) {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let (method, path) = head.trim().split_once(' ').unwrap_or_else(|| panic!("{}: no request", self.place));
        let body = (!body.trim().is_empty()).then(|| serde_json::from_str(body).expect("a JSON body"));
        let body = body.map(|body| self.fill(body));
        let method: Method = method.parse().expect("a method");
        let (status, answer) = self.server.call(method, &self.fill_text(path), body).await;
        assert!(status.is_success(), "{}: {status} {answer}", self.place);
    }

    /// Puts the values of names where the names are.
    fn fill(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill_text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.fill(item)).collect(),
            Value::Object(members) => members.into_iter().map(|(name, value)| (name, self.fill(value))).collect(),
            other => other,
        }
    }

    fn fill_text(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("<{name}>"), value.as_str().unwrap_or_default())
        })
    }

    /// Nothing more may have been sent than what the examples show. The session is deleted, so that it is in
    /// no list of another conversation.
    async fn end(&mut self) {
        if let Some(socket) = &mut self.socket {
            socket.send(json!({"type": "ping"})).await;
            loop {
                match socket.frame().await {
                    frame if frame["type"] == "pong" => break,
                    frame if frame["type"] == "replayState" => {}
                    frame => panic!("{}: the example does not show {frame}", self.place),
                }
            }
        }
        self.socket = None;
        self.server.call(Method::DELETE, &self.fill_text("/api/v1/sessions/<session>"), None).await;
    }
}

/// The frames of a conversation.
#[derive(Default)]
pub struct Played {
    pub client: Vec<Value>,
    pub server: Vec<Value>,
}

/// The name in `"<name>"`.
fn name_of(text: &str) -> Option<&str> {
    text.strip_prefix('<')?.strip_suffix('>')
}

/// Compares a frame with an example and learns the values of names.
fn matches(expected: &Value, value: &Value, names: &mut HashMap<String, Value>) -> Result<(), String> {
    let mut problems = String::new();
    compare("", expected, value, names, &mut problems);
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn compare(path: &str, expected: &Value, value: &Value, names: &mut HashMap<String, Value>, problems: &mut String) {
    match (expected, value) {
        (Value::String(text), _) if text == ANY => {}
        (Value::String(text), _) if name_of(text).is_some() => {
            let name = name_of(text).expect("a name").to_owned();
            let known = names.entry(name).or_insert_with(|| value.clone());
            if known != value {
                let _ = write!(problems, "{path} is {value}, not {known}; ");
            }
        }
        (Value::Object(expected), Value::Object(members)) => {
            for (name, expected) in expected.iter().filter(|(name, _)| *name != ANY) {
                match members.get(name) {
                    Some(value) => compare(&format!("{path}.{name}"), expected, value, names, problems),
                    None => drop(write!(problems, "{path}.{name} is missing; ")),
                }
            }
            let is_open = expected.contains_key(ANY);
            for name in members.keys().filter(|name| !is_open && !expected.contains_key(*name)) {
                let _ = write!(problems, "{path}.{name} is not in the example; ");
            }
        }
        (Value::Array(expected), Value::Array(items)) if expected.len() == items.len() => {
            for (index, (expected, value)) in expected.iter().zip(items).enumerate() {
                compare(&format!("{path}[{index}]"), expected, value, names, problems);
            }
        }
        (expected, value) if expected == value => {}
        (expected, value) if expected.is_number() && expected.as_f64() == value.as_f64() => {}
        (expected, value) => drop(write!(problems, "{path} is {value}, not {expected}; ")),
    }
}

#[test]
fn a_frame_that_differs_from_its_example_is_told_from_one_that_fits() {
    let fits = |expected: Value, value: Value| {
        let mut names = HashMap::from([("session".to_owned(), json!("s"))]);
        matches(&expected, &value, &mut names).is_ok()
    };
    assert!(fits(json!({"a": "…", "b": [1, "<x>", "<x>"]}), json!({"a": {"c": 1}, "b": [1, "y", "y"]})));
    assert!(fits(json!({"a": 1, "…": "…"}), json!({"a": 1.0, "b": 2})));
    assert!(!fits(json!({"a": 1}), json!({"a": 1, "b": 2})));
    assert!(!fits(json!({"a": 1, "b": "…"}), json!({"a": 1})));
    assert!(!fits(json!(["<x>", "<x>"]), json!(["y", "z"])));
    assert!(!fits(json!(["<session>"]), json!(["t"])));
    assert!(!fits(json!([1, 2]), json!([1])));
}
