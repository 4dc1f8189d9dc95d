//! The tools: each a request of the HTTP API, or a few.

mod arguments;
mod bounds;
mod failure;

use std::sync::{Arc, LazyLock};

use rmcp::handler::server::tool::schema_for_input;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use rmcp::schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use arguments::{
    ControlSession, ExplainFailure, ForkSession, Id, ListSessions, ReadEvents, ReadLogs, ReadMessages, ReadNode,
    ReadSession, ReviewNode, Search, SendSignal, StartRun,
};
use relive_client::{Api, ClientError};

/// Sessions, events, messages or log lines by default, and at most.
const USUAL: u32 = 20;
const MOST: u32 = 200;
/// Sessions and memories that a search finds at most.
const FOUND: u32 = 100;
/// Nodes of a session by default, and at most.
const USUAL_NODES: u32 = 100;
const MOST_NODES: u32 = 1_000;
/// Characters of one text in an answer by default, and at least and at most as asked.
const CHARACTERS: u32 = 4_000;
const LEAST_CHARACTERS: u32 = 100;
const MOST_CHARACTERS: u32 = 100_000;

#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("there is no tool {0}")]
    NoSuchTool(String),
    #[error("invalid arguments: {0}")]
    Arguments(#[from] serde_json::Error),
    #[error("invalid arguments: {name} must be from {least} to {most}")]
    Range { name: &'static str, least: u32, most: u32 },
    #[error(transparent)]
    Server(#[from] ClientError),
    #[error("session {id} was created, but not started: {error}")]
    NotStarted { id: String, error: ClientError },
}

/// What a tool does to runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Reads,
    Adds,
    /// It may end a run, or decide how it goes on.
    Decides,
}

/// All tools.
pub static ALL: LazyLock<Vec<Tool>> = LazyLock::new(|| {
    use Effect::{Adds, Decides, Reads};
    vec![
        tool::<ListSessions>(
            "list_sessions",
            "List runs (sessions), newest first: status, name, tags, times, error, nodes by status, tokens, cost.",
            Reads,
        ),
        tool::<Search>(
            "search",
            "Find runs by name, tag, workflow, error or id, and memories by what they are about.",
            Reads,
        ),
        tool::<ReadSession>(
            "read_session",
            "Read the state of a run: status, error, nodes, context, tokens, cost. Of many nodes the important ones \
             are shown, and how many are in each status.",
            Reads,
        ),
        tool::<ReadNode>(
            "read_node",
            "Read a node of a run: status, attempt, error, and its last input and output.",
            Reads,
        ),
        tool::<ReadEvents>("read_events", "Read what happened in a run, in order of revision.", Reads),
        tool::<ReadMessages>("read_messages", "Read what agents, tools, people and the system said in a run.", Reads),
        tool::<ReadLogs>("read_logs", "Read the log lines of a run.", Reads),
        tool::<ExplainFailure>(
            "explain_failure",
            "Gather why a run failed or does not go on: its error, the nodes at fault with their attempts, inputs, \
             outputs, last messages and log lines, and the last events.",
            Reads,
        ),
        tool::<StartRun>("start_run", "Start a run of a stored workflow on the built-in engine.", Adds),
        tool::<ForkSession>(
            "fork_session",
            "Make a new run that begins with the state that another had at a revision, such as before it failed.",
            Adds,
        ),
        tool::<ControlSession>("control_session", "Start, pause, resume, stop or cancel a run.", Decides),
        tool::<ReviewNode>("review_node", "Approve, reject or modify what a node waits for a review of.", Decides),
        tool::<SendSignal>("send_signal", "Send a payload to a node that runs or waits.", Decides),
    ]
});

fn tool<T: JsonSchema + 'static>(name: &'static str, description: &'static str, effect: Effect) -> Tool {
    // An empty schema accepts anything; the arguments are checked when the tool is called.
    let schema = schema_for_input::<T>().unwrap_or_else(|_| Arc::new(JsonObject::new()));
    let annotations = ToolAnnotations::new()
        .read_only(effect == Effect::Reads)
        .destructive(effect == Effect::Decides)
        .idempotent(effect == Effect::Reads)
        .open_world(false);
    Tool::new(name, description, schema).with_annotations(annotations)
}

/// Calls a tool.
///
/// # Errors
///
/// Invalid arguments, and what the server refuses.
pub async fn call(api: &Api, name: &str, arguments: Value) -> Result<Value, ToolError> {
    match name {
        "list_sessions" => list(api, read(arguments)?).await,
        "search" => search(api, read(arguments)?).await,
        "read_session" => read_session(api, read(arguments)?).await,
        "read_node" => read_node(api, read(arguments)?).await,
        "read_events" => read_events(api, read(arguments)?).await,
        "read_messages" => read_messages(api, read(arguments)?).await,
        "read_logs" => read_logs(api, read(arguments)?).await,
        "explain_failure" => {
            let ExplainFailure { session_id } = read(arguments)?;
            Ok(failure::explain(api, &text(session_id.0)).await?)
        }
        "start_run" => start(api, read(arguments)?).await,
        "fork_session" => fork(api, read(arguments)?).await,
        "control_session" => {
            let ControlSession { session_id, action, reason } = read(arguments)?;
            steer(api, session_id, "control", json!({"action": action, "reason": reason})).await
        }
        "review_node" => {
            let ReviewNode { session_id, node_id, action, data, interrupt_id } = read(arguments)?;
            let review = json!({"nodeId": node_id, "action": action, "data": data, "interruptId": interrupt_id});
            steer(api, session_id, "review", review).await
        }
        "send_signal" => {
            let SendSignal { session_id, node_id, payload, interrupt_id } = read(arguments)?;
            let mut signal = without_nulls(json!({"nodeId": node_id, "interruptId": interrupt_id}));
            signal["payload"] = payload;
            Ok(api.post(&["sessions", &text(session_id.0), "signal"], &signal).await?)
        }
        other => Err(ToolError::NoSuchTool(other.chars().take(80).collect())),
    }
}

fn read<T: DeserializeOwned>(arguments: Value) -> Result<T, ToolError> {
    Ok(serde_json::from_value(arguments)?)
}

fn text(value: impl ToString) -> String {
    value.to_string()
}

fn limit(asked: Option<u32>, most: u32) -> Result<u32, ToolError> {
    in_range("limit", asked.unwrap_or(USUAL), 1, most)
}

fn characters(asked: Option<u32>) -> Result<usize, ToolError> {
    let asked = in_range("characters", asked.unwrap_or(CHARACTERS), LEAST_CHARACTERS, MOST_CHARACTERS)?;
    Ok(asked as usize)
}

fn in_range(name: &'static str, asked: u32, least: u32, most: u32) -> Result<u32, ToolError> {
    if (least..=most).contains(&asked) { Ok(asked) } else { Err(ToolError::Range { name, least, most }) }
}

/// The parameters that have a value.
fn given<const N: usize>(parameters: [(&'static str, Option<String>); N]) -> Vec<(&'static str, String)> {
    parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The names of these values, separated by commas.
fn joined<T: Serialize>(values: &[T]) -> String {
    let names = values.iter().filter_map(|value| Some(serde_json::to_value(value).ok()?.as_str()?.to_owned()));
    names.collect::<Vec<_>>().join(",")
}

fn without_nulls(mut body: Value) -> Value {
    if let Some(members) = body.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    body
}

async fn list(api: &Api, asked: ListSessions) -> Result<Value, ToolError> {
    let query = given([
        ("status", asked.status.map(|statuses| joined(&statuses))),
        ("text", asked.text),
        ("tag", asked.tags.map(|tags| tags.join(","))),
        ("workflowId", asked.workflow_id.map(|id| text(id.0))),
        ("groupId", asked.group_id.map(|id| text(id.0))),
        ("parentSessionId", asked.parent_session_id.map(|id| text(id.0))),
        ("stalled", asked.stalled.filter(|only| *only).map(text)),
        ("startedAfter", asked.started_after),
        ("startedBefore", asked.started_before),
        ("cursor", asked.cursor),
        ("limit", Some(text(limit(asked.limit, MOST)?))),
    ]);
    let mut page = api.get(&["sessions"], &query).await?;
    bounds::shorten_each(&mut page, "sessions", "error", CHARACTERS as usize);
    Ok(page)
}

async fn search(api: &Api, asked: Search) -> Result<Value, ToolError> {
    let limit = limit(asked.limit, FOUND)?;
    let query = given([("text", Some(asked.text.clone())), ("limit", Some(text(limit)))]);
    let mut sessions = api.get(&["sessions"], &query).await?;
    bounds::shorten_each(&mut sessions, "sessions", "error", CHARACTERS as usize);
    let memories = api.post(&["memories", "search"], &json!({"text": asked.text, "limit": limit})).await;
    Ok(match memories {
        Ok(mut found) => {
            bounds::shorten_each(&mut found, "memories", "content", CHARACTERS as usize);
            json!({"sessions": sessions["sessions"], "memories": found["memories"]})
        }
        // Not everybody who may read sessions may read memories.
        Err(error) => json!({"sessions": sessions["sessions"], "memoriesNotSearched": error.to_string()}),
    })
}

async fn read_session(api: &Api, asked: ReadSession) -> Result<Value, ToolError> {
    let nodes = in_range("nodes", asked.nodes.unwrap_or(USUAL_NODES), 1, MOST_NODES)?;
    let query = given([("revision", asked.revision.map(text))]);
    let session = api.get(&["sessions", &text(asked.session_id.0)], &query).await?;
    Ok(bounds::outline(session, &asked.node_status.unwrap_or_default(), nodes as usize))
}

async fn read_node(api: &Api, asked: ReadNode) -> Result<Value, ToolError> {
    let characters = characters(asked.characters)?;
    let mut node = api.get(&["sessions", &text(asked.session_id.0), "nodes", &asked.node_id], &[]).await?;
    bounds::shorten(&mut node, &["input", "output", "error", "attributes"], characters);
    Ok(node)
}

async fn read_events(api: &Api, asked: ReadEvents) -> Result<Value, ToolError> {
    let characters = characters(asked.characters)?;
    let query = given([("after", asked.after.map(text)), ("limit", Some(text(limit(asked.limit, MOST)?)))]);
    let mut page = api.get(&["sessions", &text(asked.session_id.0), "events"], &query).await?;
    bounds::shorten_each(&mut page, "events", "event", characters);
    Ok(page)
}

async fn read_messages(api: &Api, asked: ReadMessages) -> Result<Value, ToolError> {
    let characters = characters(asked.characters)?;
    let query = given([
        ("nodeId", asked.node_id),
        ("order", order(asked.newest_first)),
        ("after", asked.after),
        ("limit", Some(text(limit(asked.limit, MOST)?))),
    ]);
    let mut page = api.get(&["sessions", &text(asked.session_id.0), "messages"], &query).await?;
    for member in ["content", "toolCalls"] {
        bounds::shorten_each(&mut page, "messages", member, characters);
    }
    Ok(page)
}

async fn read_logs(api: &Api, asked: ReadLogs) -> Result<Value, ToolError> {
    let characters = characters(asked.characters)?;
    let query = given([
        ("nodeId", asked.node_id),
        ("level", asked.level.map(|level| joined(&[level]))),
        ("text", asked.text),
        ("order", order(asked.newest_first)),
        ("after", asked.after),
        ("limit", Some(text(limit(asked.limit, MOST)?))),
    ]);
    let mut page = api.get(&["sessions", &text(asked.session_id.0), "logs"], &query).await?;
    for member in ["text", "attributes"] {
        bounds::shorten_each(&mut page, "logs", member, characters);
    }
    Ok(page)
}

fn order(newest_first: Option<bool>) -> Option<String> {
    newest_first.unwrap_or(false).then(|| "desc".to_owned())
}

/// Posts what has been asked for to a session.
async fn steer(api: &Api, session: Id, what: &str, body: Value) -> Result<Value, ToolError> {
    Ok(api.post(&["sessions", &text(session.0), what], &without_nulls(body)).await?)
}

async fn start(api: &Api, asked: StartRun) -> Result<Value, ToolError> {
    let StartRun { workflow_id, inputs, name, tags } = asked;
    let body = json!({"workflowId": workflow_id, "driver": "builtin", "inputs": inputs, "name": name, "tags": tags});
    let created = api.post(&["sessions"], &without_nulls(body)).await?;
    let id = created["id"].as_str().unwrap_or_default().to_owned();
    match api.post(&["sessions", &id, "control"], &json!({"action": "start"})).await {
        Ok(started) => Ok(json!({"sessionId": id, "revision": started["revision"]})),
        Err(error) => Err(ToolError::NotStarted { id, error }),
    }
}

async fn fork(api: &Api, asked: ForkSession) -> Result<Value, ToolError> {
    let body = json!({"revision": asked.revision, "start": asked.start});
    let forked = api.post(&["sessions", &text(asked.session_id.0), "fork"], &without_nulls(body)).await?;
    Ok(json!({"sessionId": forked["id"], "status": forked["status"], "revision": forked["revision"]}))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ID: &str = "01890000-0000-7000-8000-000000000001";

    #[test]
    fn every_tool_describes_what_it_takes() {
        let names: BTreeSet<&str> = ALL.iter().map(|tool| &*tool.name).collect();
        assert_eq!(names.len(), ALL.len());
        for tool in ALL.iter() {
            let schema = serde_json::to_value(&tool.input_schema).expect("JSON");
            assert_eq!(
                (&schema["type"], &schema["additionalProperties"]),
                (&json!("object"), &json!(false)),
                "{schema}"
            );
            assert!(schema["$defs"].is_null(), "not all assistants follow references: {schema}");
            for (name, property) in schema["properties"].as_object().expect("properties") {
                let described = property["description"].as_str().is_some_and(|text| text.len() > 5);
                assert!(described, "{}: {name}: {property}", tool.name);
            }
            let annotations = tool.annotations.as_ref().expect("annotations");
            let reads = ["list", "read", "search", "explain"].iter().any(|word| tool.name.starts_with(word));
            assert_eq!(annotations.read_only_hint, Some(reads), "{}", tool.name);
        }
    }

    /// What a schema says must be what is checked.
    #[test]
    fn schemas_say_what_is_allowed() {
        let property = |tool: &str, name: &str| {
            let tool = ALL.iter().find(|known| known.name == tool).expect("a tool");
            tool.input_schema["properties"][name].clone()
        };
        for (tool, name, least, most) in [
            ("list_sessions", "limit", 1, MOST),
            ("read_events", "limit", 1, MOST),
            ("read_messages", "limit", 1, MOST),
            ("read_logs", "limit", 1, MOST),
            ("search", "limit", 1, FOUND),
            ("read_session", "nodes", 1, MOST_NODES),
            ("read_node", "characters", LEAST_CHARACTERS, MOST_CHARACTERS),
            ("read_events", "characters", LEAST_CHARACTERS, MOST_CHARACTERS),
            ("read_messages", "characters", LEAST_CHARACTERS, MOST_CHARACTERS),
            ("read_logs", "characters", LEAST_CHARACTERS, MOST_CHARACTERS),
        ] {
            let schema = property(tool, name);
            assert_eq!((&schema["minimum"], &schema["maximum"]), (&json!(least), &json!(most)), "{tool}: {schema}");
        }
        assert_eq!(property("read_node", "sessionId")["format"], "uuid");
        let actions = property("control_session", "action");
        assert_eq!(actions["enum"], json!(["start", "pause", "resume", "stop", "cancel"]), "{actions}");
    }

    #[tokio::test]
    async fn what_is_wrong_is_refused_before_the_server_is_asked() {
        let api = Api::new("http://127.0.0.1:1").expect("an address");
        let unknown = call(&api, "delete_everything", json!({})).await;
        assert!(matches!(unknown, Err(ToolError::NoSuchTool(_))), "{unknown:?}");
        for (tool, arguments) in [
            ("read_node", json!({"sessionId": ID, "nodId": "y"})),
            ("read_node", json!({"sessionId": "../projects", "nodeId": "y"})),
            ("list_sessions", json!({"status": ["lost"]})),
            ("list_sessions", json!({"limit": 201})),
            ("read_logs", json!({"sessionId": ID, "limit": 0})),
            ("read_events", json!({"sessionId": ID, "characters": 99})),
            ("read_session", json!({"sessionId": ID, "nodes": 1_001})),
            ("search", json!({"text": "x", "limit": 101})),
            ("send_signal", json!({"sessionId": ID, "nodeId": "n"})),
        ] {
            let refused = call(&api, tool, arguments.clone()).await;
            let is_refused = matches!(refused, Err(ToolError::Arguments(_) | ToolError::Range { .. }));
            assert!(is_refused, "{tool} {arguments}: {refused:?}");
        }
        // Segments that an address would swallow would make it another one.
        let nodes = ["..", ".", ""].map(|node| json!({"sessionId": ID, "nodeId": node}));
        for arguments in nodes {
            let refused = call(&api, "read_node", arguments).await;
            assert!(matches!(refused, Err(ToolError::Server(ClientError::Protocol(_)))), "{refused:?}");
        }
        let unreachable = call(&api, "read_node", json!({"sessionId": ID, "nodeId": "y"})).await;
        assert!(matches!(unreachable, Err(ToolError::Server(ClientError::Unreachable { .. }))), "{unreachable:?}");
    }
}
