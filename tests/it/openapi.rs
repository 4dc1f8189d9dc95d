//! The OpenAPI document and the addresses outside `/api/v1`.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::TestServer;

/// What clients rely on.
const ROUTES: &[&str] = &[
    "GET /api/v1/groups",
    "POST /api/v1/groups",
    "GET /api/v1/groups/{id}",
    "PUT /api/v1/groups/{id}",
    "DELETE /api/v1/groups/{id}",
    "GET /api/v1/agents",
    "POST /api/v1/agents",
    "GET /api/v1/agents/{id}",
    "PUT /api/v1/agents/{id}",
    "DELETE /api/v1/agents/{id}",
    "GET /api/v1/workflows",
    "POST /api/v1/workflows",
    "GET /api/v1/workflows/{id}",
    "PUT /api/v1/workflows/{id}",
    "DELETE /api/v1/workflows/{id}",
    "POST /api/v1/sessions",
    "GET /api/v1/sessions",
    "GET /api/v1/sessions/{id}",
    "DELETE /api/v1/sessions/{id}",
    "GET /api/v1/sessions/{id}/graph",
    "GET /api/v1/sessions/{id}/entity",
    "POST /api/v1/sessions/{id}/commands",
    "POST /api/v1/sessions/{id}/control",
    "PUT /api/v1/sessions/{id}/nodes/{nodeId}",
    "GET /api/v1/sessions/{id}/nodes/{nodeId}",
    "POST /api/v1/sessions/{id}/signal",
    "POST /api/v1/sessions/{id}/review",
    "GET /api/v1/sessions/{id}/events",
    "GET /api/v1/sessions/{id}/logs",
    "GET /api/v1/sessions/{id}/messages",
    "GET /api/v1/sessions/{id}/diff",
    "GET /api/v1/sessions/{id}/timeline",
    "POST /api/v1/sessions/{id}/fork",
    "GET /api/v1/sessions/{id}/export",
    "GET /api/v1/sessions/{id}/stream",
    "GET /api/v1/sessions/stream",
    "GET /api/v1/sessions/{id}/ag-ui",
    "POST /api/v1/ag-ui/{workflowId}",
    "POST /api/v1/sessions/import",
    "GET /api/v1/webhooks",
    "POST /api/v1/webhooks",
    "GET /api/v1/webhooks/{id}",
    "PUT /api/v1/webhooks/{id}",
    "DELETE /api/v1/webhooks/{id}",
    "GET /api/v1/webhooks/{id}/deliveries",
    "POST /api/v1/webhooks/{id}/deliveries/{deliveryId}/retry",
    "POST /api/v1/webhooks/{id}/secret/rotate",
    "POST /api/v1/webhooks/{id}/test",
    "GET /api/v1/schedules",
    "POST /api/v1/schedules",
    "GET /api/v1/schedules/{id}",
    "PUT /api/v1/schedules/{id}",
    "DELETE /api/v1/schedules/{id}",
    "GET /api/v1/alerts",
    "POST /api/v1/alerts",
    "GET /api/v1/alerts/{id}",
    "PATCH /api/v1/alerts/{id}",
    "DELETE /api/v1/alerts/{id}",
    "GET /api/v1/alerts/{id}/events",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /api/openapi.json",
    "GET /api/asyncapi.json",
    "GET /ws",
    "GET /ws/sessions",
    "GET /ws/sessions/{id}",
    "GET /ws/sessions/{id}/replay",
];

async fn document(server: &TestServer) -> Value {
    let (status, document) = server.get("/api/openapi.json").await;
    assert_eq!(status, 200);
    document
}

/// Each operation as its method, path and description.
fn operations(document: &Value) -> Vec<(Method, String, &Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("a path") {
            if let Ok(method) = method.to_uppercase().parse::<Method>() {
                operations.push((method, path.clone(), operation));
            }
        }
    }
    operations
}

#[tokio::test]
async fn every_operation_of_the_document_exists() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    let operations = operations(&document);
    assert!(operations.len() >= ROUTES.len());
    for (method, path, _) in operations {
        let address = path
            .replace("{id}", "0198c0de-0000-7000-8000-000000000001")
            .replace("{nodeId}", "a")
            .replace("{workflowId}", "0198c0de-0000-7000-8000-000000000001")
            .replace("{deliveryId}", "0198c0de-0000-7000-8000-000000000001")
            .replace("{name}", "a");
        assert!(!address.contains('{'), "a parameter this test does not know: {path}");
        let response = server.request(method.clone(), &address).send().await.expect("an answer");
        assert_ne!(response.status(), 405, "{method} {path}");
        if response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream") {
            continue;
        }
        let body = response.text().await.expect("a text");
        assert!(!body.contains("there is nothing at this address"), "{method} {path}");
    }
}

#[tokio::test]
async fn every_promised_route_is_in_the_document() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    let found: BTreeSet<String> =
        operations(&document).into_iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    let missing: Vec<&&str> = ROUTES.iter().filter(|route| !found.contains(**route)).collect();
    assert!(missing.is_empty(), "not in the document: {missing:?}");
}

#[tokio::test]
async fn every_operation_is_described_and_every_reference_leads_somewhere() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().expect("an operation id");
        assert!(ids.insert(id.to_owned()), "{id} twice");
        assert!(operation["summary"].is_string() && operation["tags"].is_array(), "{method} {path}");
        let in_path = |parameter: &&Value| parameter["in"] == "path";
        let parameters = operation["parameters"].as_array().into_iter().flatten().filter(in_path).count();
        assert_eq!(parameters, path.matches('{').count(), "{method} {path}");
    }
    let text = document.to_string();
    for (_, rest) in text.match_indices("\"#/").map(|(at, _)| text.split_at(at + 2)) {
        let pointer = rest.split('"').next().expect("a pointer");
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => resolved(document, document.pointer(&reference[1..]).expect("a schema")),
        None => schema,
    }
}

/// The objects that a body may be: one, or those told apart by `type`.
fn objects<'a>(document: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let schema = resolved(document, schema);
    match schema["oneOf"].as_array() {
        Some(alternatives) => alternatives.iter().flat_map(|one| objects(document, one)).collect(),
        None if schema["properties"].is_object() => vec![schema],
        None => Vec::new(),
    }
}

/// A value that fits a schema; `None` where anything does.
fn sample(document: &Value, schema: &Value) -> Option<Value> {
    let schema = resolved(document, schema);
    if let Some(alternatives) = schema["oneOf"].as_array() {
        return alternatives.iter().find_map(|one| sample(document, one));
    }
    if let Some(allowed) = schema["enum"].as_array() {
        return Some(allowed[0].clone());
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str())?;
    Some(match kind {
        "string" if schema["format"] == "uuid" => json!("0198c0de-0000-7000-8000-000000000001"),
        "string" => json!("a"),
        "integer" | "number" => json!(1),
        "boolean" => json!(true),
        "array" => json!([]),
        "object" if schema["properties"].is_object() => required_of(document, schema),
        "object" if schema["additionalProperties"].is_object() => json!({}),
        _ => return None,
    })
}

fn required_of(document: &Value, object: &Value) -> Value {
    let required = object["required"].as_array().into_iter().flatten().map(|name| name.as_str().expect("a name"));
    let member = |name: &str| sample(document, &object["properties"][name]).unwrap_or_else(|| json!({}));
    required.map(|name| (name.to_owned(), member(name))).collect::<serde_json::Map<_, _>>().into()
}

/// Each field is sent with a value that it cannot have. If the server read it under another name, it would
/// be unknown; if it did not read it, the value would do no harm.
#[tokio::test]
async fn every_documented_field_is_one_that_the_server_reads() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    let mut fields = 0;
    for (method, path, operation) in operations(&document) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let address = path.replace("{id}", "0198c0de-0000-7000-8000-000000000001").replace("{nodeId}", "a");
        let address = address.replace("{workflowId}", "0198c0de-0000-7000-8000-000000000001");
        for object in objects(&document, schema) {
            for (name, property) in object["properties"].as_object().expect("properties") {
                let Some(fitting) = sample(&document, property) else { continue };
                if property["enum"].as_array().is_some_and(|allowed| allowed.len() == 1) {
                    continue;
                }
                let mut body = required_of(&document, object);
                body[name] = if fitting.is_array() { json!({"no": 1}) } else { json!([["no"]]) };
                let refused = server.refused(method.clone(), &address, Some(body.clone()), "bad_request").await;
                let detail = refused["detail"].as_str().expect("a detail");
                assert!(!detail.contains("unknown field"), "{method} {path} {body}: {detail}");
                fields += 1;
            }
        }
    }
    assert!(fields > 60, "only {fields} fields were looked at");
}

#[tokio::test]
async fn errors_and_headers_are_documented_as_they_travel() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    for (method, path, operation) in
        operations(&document).into_iter().filter(|(_, path, _)| path.starts_with("/api/v1/"))
    {
        let responses = operation["responses"].as_object().expect("responses");
        for status in ["400", "401", "403", "429", "500", "503"] {
            assert!(responses.contains_key(status), "{method} {path}: no {status}");
        }
        for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
            assert!(response["content"]["application/problem+json"].is_object(), "{method} {path} {status}");
        }
        assert!(responses["503"]["headers"]["Retry-After"].is_object(), "{method} {path}");
        let named = |name: &str| {
            operation["parameters"].as_array().is_some_and(|all| all.iter().any(|parameter| parameter["name"] == name))
        };
        let makes = responses.contains_key("201");
        // A test of a webhook makes a delivery, and answers with it.
        let is_keyed = makes || operation["tags"][0] == "commands" || path.ends_with("/test");
        assert_eq!(named("Idempotency-Key"), is_keyed, "{method} {path}");
        assert!(named("Relive-Project"), "{method} {path}");
        assert_eq!(
            makes,
            responses.get("201").is_some_and(|made| made["headers"]["Location"].is_object()),
            "{method} {path}"
        );
    }
    let schemes = document["components"]["securitySchemes"].as_object().expect("schemes");
    for scheme in
        document["security"].as_array().expect("alternatives").iter().flat_map(|one| one.as_object()).flatten()
    {
        assert!(schemes.contains_key(scheme.0), "{scheme:?}");
    }
    assert_eq!(schemes["bearer"]["scheme"], "bearer");
    let text = document.to_string();
    for internal in ["node_id", "input_tokens", "cost_usd", "is_thinking", "agent_name"] {
        assert!(!text.contains(&format!("\"{internal}\":")), "{internal}");
    }
}

#[tokio::test]
async fn probes_and_metrics_answer() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut viewer = server.socket(&format!("/ws/sessions/{id}")).await;
    viewer.frame().await;
    for (path, content_type, part) in [
        ("/healthz", "text/plain", "ok"),
        ("/readyz", "text/plain", "ready"),
        ("/metrics", "text/plain", "relive_http_requests_total"),
        ("/api/openapi.json", "application/json", "/api/v1/sessions"),
        ("/", "text/html", "<html"),
    ] {
        let response = server.request(Method::GET, path).send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{path}");
        let headers = response.headers().clone();
        assert!(headers["content-type"].to_str().is_ok_and(|value| value.starts_with(content_type)), "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert!(response.text().await.expect("a text").contains(part), "{path}");
    }
}
