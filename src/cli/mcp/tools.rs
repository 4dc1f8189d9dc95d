//! The tools: each a request of the HTTP API, or a few.

use std::sync::Arc;

use rmcp::handler::server::tool::schema_for_input;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::failure;
use relive_client::{Api, ClientError};

/// Sessions, events or messages by default, and at most.
const LIMIT: (u32, u32) = (20, 200);

#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("there is no tool {0}")]
    NoSuchTool(String),
    #[error("invalid arguments: {0}")]
    Arguments(#[from] serde_json::Error),
    #[error(transparent)]
    Server(#[from] ClientError),
}

/// What a tool does to runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Reads,
    Adds,
    /// It may end a run.
    Ends,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListSessions {
    /// One status or several, separated by commas: pending, running, paused, completed, failed, cancelled
    status: Option<String>,
    /// Part of the name, a tag, or the beginning of the id
    text: Option<String>,
    /// A tag, or several separated by commas: all of them
    tag: Option<String>,
    /// The id of a workflow
    workflow_id: Option<String>,
    /// The id of a group
    group_id: Option<String>,
    /// 1 to 200, by default 20
    limit: Option<u32>,
    /// nextCursor of the page before
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReadSession {
    /// The session's id
    session_id: String,
    /// As it was at this revision
    revision: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReadNode {
    /// The session's id
    session_id: String,
    /// The node's id
    node_id: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReadEvents {
    /// The session's id
    session_id: String,
    /// Only events after this revision
    after: Option<u64>,
    /// 1 to 200, by default 20
    limit: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReadMessages {
    /// The session's id
    session_id: String,
    /// Only messages of this node
    node_id: Option<String>,
    /// Whether the newest come first
    newest_first: Option<bool>,
    /// nextAfter of the page before
    after: Option<String>,
    /// 1 to 200, by default 20
    limit: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Search {
    /// What to search for
    text: String,
    /// Sessions and memories each: 1 to 100, by default 20
    limit: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExplainFailure {
    /// The session's id
    session_id: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StartRun {
    /// The id of a stored workflow for the built-in engine
    workflow_id: String,
    /// The inputs of the run
    inputs: Option<Map<String, Value>>,
    /// A name for people
    name: Option<String>,
    /// Tags by which it can be found
    tags: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ControlSession {
    /// The session's id
    session_id: String,
    action: ControlAction,
    /// Why; shown to whoever watches
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ControlAction {
    Start,
    Pause,
    Resume,
    Stop,
    Cancel,
}

impl ControlAction {
    fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Cancel => "cancel",
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReviewNode {
    /// The session's id
    session_id: String,
    /// The id of a node that waits for a review
    node_id: String,
    action: ReviewAction,
    /// Of modify: what to go on with
    data: Option<Value>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ReviewAction {
    Approve,
    Reject,
    Modify,
}

impl ReviewAction {
    fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Modify => "modify",
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SendSignal {
    /// The session's id
    session_id: String,
    /// The id of a node that runs or waits
    node_id: String,
    /// What it is sent
    payload: Value,
}

/// All tools.
pub fn all() -> Vec<Tool> {
    use Effect::{Adds, Ends, Reads};
    vec![
        tool::<ListSessions>(
            "list_sessions",
            "List sessions, newest first, with status, times, tokens and cost.",
            Reads,
        ),
        tool::<Search>("search", "Find sessions by name, tag or id, and memories by what they are about.", Reads),
        tool::<ReadSession>(
            "read_session",
            "Read the state of a session: status, nodes, context, tokens, cost.",
            Reads,
        ),
        tool::<ReadNode>(
            "read_node",
            "Read a node of a session: status, attempt, error, last input and output.",
            Reads,
        ),
        tool::<ReadEvents>("read_events", "Read what happened in a session, in order.", Reads),
        tool::<ReadMessages>("read_messages", "Read what agents, people and the system said in a session.", Reads),
        tool::<ExplainFailure>(
            "explain_failure",
            "Gather why a session failed or does not go on: its error, the nodes at fault with their attempts, inputs, \
             outputs and last messages, and the last events.",
            Reads,
        ),
        tool::<StartRun>("start_run", "Start a run of a stored workflow by the built-in engine.", Adds),
        tool::<ControlSession>("control_session", "Start, pause, resume, stop or cancel a session.", Ends),
        tool::<ReviewNode>("review_node", "Approve, reject or modify what a node waits for a review of.", Ends),
        tool::<SendSignal>("send_signal", "Send a payload to a node that runs or waits.", Adds),
    ]
}

fn tool<T: JsonSchema + 'static>(name: &'static str, description: &'static str, effect: Effect) -> Tool {
    // An empty schema accepts anything; the arguments are checked when the tool is called.
    let schema = schema_for_input::<T>().unwrap_or_else(|_| Arc::new(JsonObject::new()));
    let annotations = ToolAnnotations::new()
        .read_only(effect == Effect::Reads)
        .destructive(effect == Effect::Ends)
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
    Ok(match name {
        "list_sessions" => list(api, read(arguments)?).await?,
        "search" => search(api, read(arguments)?).await?,
        "read_session" => {
            let ReadSession { session_id, revision } = read(arguments)?;
            api.get(&["sessions", &session_id], &given([("revision", revision.map(text))])).await?
        }
        "read_node" => {
            let ReadNode { session_id, node_id } = read(arguments)?;
            api.get(&["sessions", &session_id, "nodes", &node_id], &[]).await?
        }
        "read_events" => {
            let ReadEvents { session_id, after, limit } = read(arguments)?;
            let query = given([("after", after.map(text)), ("limit", Some(bounded(limit, LIMIT.1)))]);
            api.get(&["sessions", &session_id, "events"], &query).await?
        }
        "read_messages" => {
            let ReadMessages { session_id, node_id, newest_first, after, limit } = read(arguments)?;
            let order = newest_first.unwrap_or(false).then(|| "desc".to_owned());
            let limit = Some(bounded(limit, LIMIT.1));
            let query = given([("nodeId", node_id), ("order", order), ("after", after), ("limit", limit)]);
            api.get(&["sessions", &session_id, "messages"], &query).await?
        }
        "explain_failure" => {
            let ExplainFailure { session_id } = read(arguments)?;
            failure::explain(api, &session_id).await?
        }
        "start_run" => start(api, read(arguments)?).await?,
        "control_session" => {
            let ControlSession { session_id, action, reason } = read(arguments)?;
            let body = json!({"action": action.as_str(), "reason": reason});
            api.post(&["sessions", &session_id, "control"], &without_nulls(body)).await?
        }
        "review_node" => {
            let ReviewNode { session_id, node_id, action, data } = read(arguments)?;
            let body = json!({"nodeId": node_id, "action": action.as_str(), "data": data});
            api.post(&["sessions", &session_id, "review"], &without_nulls(body)).await?
        }
        "send_signal" => {
            let SendSignal { session_id, node_id, payload } = read(arguments)?;
            let body = json!({"nodeId": node_id, "payload": payload});
            api.post(&["sessions", &session_id, "signal"], &body).await?
        }
        other => return Err(ToolError::NoSuchTool(other.chars().take(80).collect())),
    })
}

fn read<T: DeserializeOwned>(arguments: Value) -> Result<T, ToolError> {
    Ok(serde_json::from_value(arguments)?)
}

fn text(number: u64) -> String {
    number.to_string()
}

fn bounded(limit: Option<u32>, most: u32) -> String {
    limit.unwrap_or(LIMIT.0).clamp(1, most).to_string()
}

/// The parameters that have a value.
fn given<const N: usize>(parameters: [(&'static str, Option<String>); N]) -> Vec<(&'static str, String)> {
    parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn without_nulls(mut body: Value) -> Value {
    if let Some(members) = body.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    body
}

async fn list(api: &Api, asked: ListSessions) -> Result<Value, ClientError> {
    let ListSessions { status, text, tag, workflow_id, group_id, limit, cursor } = asked;
    let query = given([
        ("status", status),
        ("text", text),
        ("tag", tag),
        ("workflowId", workflow_id),
        ("groupId", group_id),
        ("cursor", cursor),
        ("limit", Some(bounded(limit, LIMIT.1))),
    ]);
    api.get(&["sessions"], &query).await
}

async fn search(api: &Api, Search { text, limit }: Search) -> Result<Value, ClientError> {
    let limit = limit.unwrap_or(LIMIT.0).clamp(1, 100);
    let query = given([("text", Some(text.clone())), ("limit", Some(limit.to_string()))]);
    let sessions = api.get(&["sessions"], &query).await?;
    let memories = api.post(&["memories", "search"], &json!({"text": text, "limit": limit})).await;
    Ok(match memories {
        Ok(found) => json!({"sessions": sessions["sessions"], "memories": found["memories"]}),
        // Not everybody who may read sessions may read memories.
        Err(error) => json!({"sessions": sessions["sessions"], "memoriesNotSearched": error.to_string()}),
    })
}

async fn start(api: &Api, asked: StartRun) -> Result<Value, ClientError> {
    let StartRun { workflow_id, inputs, name, tags } = asked;
    let body = json!({"workflowId": workflow_id, "driver": "builtin", "inputs": inputs, "name": name, "tags": tags});
    let created = api.post(&["sessions"], &without_nulls(body)).await?;
    let id = created["id"].as_str().unwrap_or_default();
    let started = api.post(&["sessions", id, "control"], &json!({"action": "start"})).await?;
    Ok(json!({"sessionId": id, "revision": started["revision"]}))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_tool_describes_what_it_takes() {
        let tools = all();
        let names: BTreeSet<&str> = tools.iter().map(|tool| &*tool.name).collect();
        assert_eq!(names.len(), tools.len());
        for tool in &tools {
            let schema = serde_json::to_value(&tool.input_schema).expect("JSON");
            assert_eq!(schema["type"], "object", "{}", tool.name);
            assert!(schema["properties"].as_object().is_some_and(|members| !members.is_empty()), "{schema}");
            let annotations = tool.annotations.as_ref().expect("annotations");
            let reads = ["list", "read", "search", "explain"].iter().any(|word| tool.name.starts_with(word));
            assert_eq!(annotations.read_only_hint, Some(reads), "{}", tool.name);
        }
    }

    #[tokio::test]
    async fn what_is_unknown_is_refused_before_the_server_is_asked() {
        let api = Api::new("http://127.0.0.1:1").expect("an address");
        let unknown = call(&api, "delete_everything", json!({})).await;
        assert!(matches!(unknown, Err(ToolError::NoSuchTool(_))), "{unknown:?}");
        let misspelt = call(&api, "read_node", json!({"sessionId": "x", "nodId": "y"})).await;
        assert!(matches!(misspelt, Err(ToolError::Arguments(_))), "{misspelt:?}");
        let unreachable = call(&api, "read_node", json!({"sessionId": "x", "nodeId": "y"})).await;
        assert!(matches!(unreachable, Err(ToolError::Server(_))), "{unreachable:?}");
    }
}
