//! The OpenAPI document: assembled from the handlers, so that it matches the routes.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::cross_site::SESSION_COOKIE;
use relive_protocol::LEASE_SECONDS;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Relive",
        description = "Live sessions of workflow runs: drive them, watch them, steer them, look back at them.\n\n\
            Errors are RFC 9457 problem documents with a stable `code` and whether the same request may \
            succeed later (`retryable`). Times are RFC 3339 in UTC with milliseconds. Bodies may have at most \
            1 MiB, with the texts of messages and memories 4 MiB; imported files may be larger. Requests with an `Origin` other than the server's own, or a configured one, are refused."
    ),
    tags(
        (name = "sessions", description = "Runs: create, read, list, delete"),
        (name = "archive", description = "Runs that were moved from the database to files"),
        (name = "commands", description = "Changing a run; an answer means the change is durable"),
        (name = "memories", description = "Texts that outlive a run, found again by likeness"),
        (name = "catalog", description = "Groups, agents and workflows"),
        (name = "sockets", description = "WebSocket: live runs, live lists"),
        (name = "streams", description = "Server-sent events: the same over HTTP"),
        (name = "webhooks", description = "Addresses that are told of events"),
        (name = "schedules", description = "Workflows that are run at times"),
        (name = "alerts", description = "Conditions on runs, of which somebody is told"),
        (name = "traces", description = "Traces of OpenTelemetry as sessions"),
        (name = "server", description = "Health, metrics, this document"),
    ),
    components(schemas(relive_protocol::Problem))
)]
struct Info;

pub fn document() -> utoipa::openapi::OpenApi {
    Info::openapi()
}

/// The document as it is served.
#[derive(Clone, Debug)]
pub struct OpenApiDocument(pub Bytes);

impl OpenApiDocument {
    pub fn new(document: &utoipa::openapi::OpenApi) -> Self {
        let mut document = serde_json::to_value(document).unwrap_or_default();
        complete(&mut document);
        Self(document.to_string().into())
    }

    /// The document for clients that know the server's addresses with `base` before them.
    pub fn below(&self, base: &str) -> Bytes {
        if base.is_empty() {
            return self.0.clone();
        }
        preceded(&self.0, "servers", &json!([{"url": base}]))
    }
}

/// A document that is JSON already, with one member more.
pub fn preceded(document: &Bytes, name: &str, value: &Value) -> Bytes {
    match document.strip_prefix(b"{") {
        Some(members) => [format!("{{\"{name}\":{value},").as_bytes(), members].concat().into(),
        None => document.clone(),
    }
}

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// Adds to every operation what is common to all: the form of errors, and the errors that can occur
/// everywhere.
fn complete(document: &mut Value) {
    open_free_objects(document);
    let schemas = document["components"]["schemas"].clone();
    merge_all_of(&mut document["components"]["schemas"], &schemas);
    add_lease(&mut document["components"]["schemas"]["Command"]);
    for union in ["Command", "Event"] {
        open_nodes(&mut document["components"]["schemas"][union]);
    }
    add_credentials(document);
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else { return };
    for (path, item) in paths {
        for method in ["get", "post", "put", "patch", "delete"] {
            if let Some(operation) = item.get_mut(method) {
                complete_operation(path, operation);
            }
        }
    }
}

/// How credentials travel. None is needed while access control is off.
fn add_credentials(document: &mut Value) {
    document["components"]["securitySchemes"] = json!({
        "bearer": {"type": "http", "scheme": "bearer",
            "description": "A key, an access token, or a token of the identity provider"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE, "description": "Of the dashboard"},
    });
    document["security"] = json!([{}, {"bearer": []}, {"cookie": []}]);
}

/// The nodes that are added to a graph: generators of clients cannot name maps within a union.
fn open_nodes(union: &mut Value) {
    for alternative in union["oneOf"].as_array_mut().into_iter().flatten() {
        if let Some(nodes) = alternative["properties"].get_mut("nodes") {
            *nodes = json!({"description": "`GraphNode`s by their ids."});
        }
    }
}

/// Every command may have `leaseSeconds`.
fn add_lease(command: &mut Value) {
    for alternative in command["oneOf"].as_array_mut().into_iter().flatten() {
        alternative["properties"][LEASE_SECONDS] = json!({
            "type": "integer", "format": "int32", "minimum": 5, "maximum": 3600,
            "description": "The sender drives the session, and renews its lease."
        });
    }
}

/// An object without named members may have any; generators otherwise take it for empty.
pub fn open_free_objects(part: &mut Value) {
    if part["type"] == "object" && part.get("properties").is_none() && part.get("additionalProperties").is_none() {
        part["additionalProperties"] = true.into();
    }
    match part {
        Value::Object(members) => members.values_mut().for_each(open_free_objects),
        Value::Array(items) => items.iter_mut().for_each(open_free_objects),
        _ => {}
    }
}

/// Composed objects (`allOf`) are flattened: not every generator supports them.
pub fn merge_all_of(part: &mut Value, schemas: &Value) {
    match part {
        Value::Object(members) => members.values_mut().for_each(|member| merge_all_of(member, schemas)),
        Value::Array(items) => items.iter_mut().for_each(|item| merge_all_of(item, schemas)),
        _ => {}
    }
    if let Some(merged) = merged_object(part, schemas) {
        *part = merged;
    }
}

/// `None` for a schema that is not composed of objects with named members.
fn merged_object(schema: &Value, schemas: &Value) -> Option<Value> {
    let parts = schema.get("allOf")?.as_array()?;
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for part in parts {
        let named = part["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
        let part = named.map_or(part, |name| &schemas[name]);
        let merged = merged_object(part, schemas);
        let part = merged.as_ref().unwrap_or(part);
        properties.extend(part["properties"].as_object()?.clone());
        required.extend(part["required"].as_array().into_iter().flatten().cloned());
    }
    let mut merged = json!({"type": "object", "properties": properties, "required": required});
    if let Some(description) = schema.get("description") {
        merged["description"] = description.clone();
    }
    Some(merged)
}

fn complete_operation(path: &str, operation: &mut Value) {
    let is_command = operation["tags"][0] == "commands";
    let has_body = operation.get("requestBody").is_some();
    let is_of_project = path.starts_with("/api/v1/") || path == "/v1/traces";
    if is_of_project {
        add_parameter(operation, "Relive-Project", "The project in which root acts; by default `default`");
    }
    if is_command {
        add_parameter(operation, "Idempotency-Key", "Makes a repetition harmless: it answers as the first time");
        add_parameter(operation, "If-Match", "Refuse unless the session is at this revision, such as `\"7\"`");
    }
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    if is_of_project {
        add_problem(responses, "400", "A field or parameter is unknown, missing, or not as it must be");
        add_problem(responses, "401", "No credential, or one that is not valid");
        add_problem(responses, "403", "The credential does not allow it, or a page of another origin asks");
        add_problem(responses, "429", "Too many requests, commands or failed attempts: try again");
        add_problem(responses, "500", "The server failed");
        add_problem(responses, "503", "The database is away, or too much is asked at a time: try again");
        if has_body {
            add_problem(responses, "413", "The body, or a part of it, is too large");
            add_problem(responses, "415", "The body has another content type than the one that is described here");
        }
        if is_command {
            add_problem(responses, "412", "The session is at another revision from the revision in `If-Match`");
        }
    }
    for (status, response) in responses {
        as_problem(response);
        if status == "503" || status == "429" {
            response["headers"]["Retry-After"] =
                json!({"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 0}});
        }
    }
}

fn add_parameter(operation: &mut Value, name: &str, description: &str) {
    if !operation["parameters"].is_array() {
        operation["parameters"] = json!([]);
    }
    if let Some(parameters) = operation["parameters"].as_array_mut()
        && parameters.iter().all(|parameter| parameter["name"] != name)
    {
        let schema = json!({"type": "string"});
        parameters.push(
            json!({"name": name, "in": "header", "description": description, "required": false, "schema": schema}),
        );
    }
}

fn add_problem(responses: &mut Map<String, Value>, status: &str, description: &str) {
    let schema = json!({"$ref": "#/components/schemas/Problem"});
    let problem = || json!({"description": description, "content": {JSON: {"schema": schema}}});
    responses.entry(status).or_insert_with(problem);
}

/// Problems have a content type of their own.
fn as_problem(response: &mut Value) {
    let is_problem = response["content"][JSON]["schema"]["$ref"] == "#/components/schemas/Problem";
    if let Some(content) = response.get_mut("content").and_then(Value::as_object_mut).filter(|_| is_problem)
        && let Some(body) = content.remove(JSON)
    {
        content.insert(PROBLEM.to_owned(), body);
    }
}
