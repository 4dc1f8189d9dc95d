//! Every operation of the OpenAPI document by every kind of caller: `docs/access.md` has the expected answers, and
//! this test fails if one is another, or if an operation is missing there.
//!
//! `WRITE_ACCESS_TABLE=1` writes the document anew, to be read before it is committed.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{ROOT, call, get, id_of, key, make, server_with, socket, token};
use crate::harness::{TestServer, eventually};

const GROUP_NAME: &str = "group";
const TAG: &str = "tag";

/// What requests are about, in the project `default`.
struct World {
    server: TestServer,
    admin: String,
    group: String,
    workflow: String,
    webhook: String,
    /// One of that webhook.
    delivery: String,
    /// A session in the archive.
    archived: String,
    _archive: tempfile::TempDir,
}

/// A caller: a name, and what it sends.
struct Guest {
    name: &'static str,
    token: String,
}

fn graph() -> Value {
    json!({"id": "g", "name": "g", "startNodeId": "n", "nodes": {"n": {"id": "n", "type": "task", "name": "n", "nextIds": []}}})
}

/// It is contacted by tests of it alone, in vain.
fn webhook() -> Value {
    json!({"url": "http://localhost:9/", "types": ["node.failed"]})
}

fn alert() -> Value {
    json!({"name": "a", "condition": {"type": "failures", "count": 1, "withinMinutes": 1}, "enabled": false})
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_str().expect("a path").to_owned();
        let server = server_with(|config| {
            config.archive.archive = Some(path);
            // What was restored is archived again at once.
            config.archive.archive_restored_days = 0.0;
        })
        .await;
        let admin = key(&server, "admin", "default").await;
        let group = id_of(&make(&server, &admin, "/api/v1/groups", json!({"name": GROUP_NAME})).await);
        let workflow = json!({"name": "w", "graph": graph()});
        let workflow = id_of(&make(&server, &admin, "/api/v1/workflows", workflow).await);
        let webhook = id_of(&make(&server, &admin, "/api/v1/webhooks", webhook()).await);
        let test = format!("/api/v1/webhooks/{webhook}/test");
        let (status, sent) = call(&server, &admin, Method::POST, &test, None).await;
        assert!(status.is_success(), "{sent}");
        let (delivery, archived) = (id_of(&sent), uuid::Uuid::now_v7().to_string());
        let world = Self { server, admin, group, workflow, webhook, delivery, archived, _archive: directory };
        world.archive().await;
        world
    }

    /// Puts the archived session into the archive, if it is not there.
    async fn archive(&self) {
        let (server, admin, id) = (&self.server, &self.admin, &self.archived);
        if get(server, admin, &format!("/api/v1/archive/{id}")).await.0.is_success() {
            return;
        }
        if !get(server, admin, &format!("/api/v1/sessions/{id}")).await.0.is_success() {
            let body = json!({"id": id, "groupId": self.group, "graph": graph(), "tags": [TAG]});
            make(server, admin, "/api/v1/sessions", body).await;
            let path = format!("/api/v1/sessions/{id}/control");
            assert!(call(server, admin, Method::POST, &path, Some(json!({"action": "cancel"}))).await.0.is_success());
        }
        let request = json!({"olderThanDays": 0, "tag": TAG});
        let (_, answer) = call(server, admin, Method::POST, "/api/v1/archive", Some(request)).await;
        assert_eq!(answer["archived"], 1, "{answer}");
    }

    /// A session that runs, with a node that waits for a signal.
    async fn session(&self) -> String {
        let body = json!({"groupId": self.group, "graph": graph(), "tags": [TAG]});
        let id = id_of(&make(&self.server, &self.admin, "/api/v1/sessions", body).await);
        let commands = json!([
            {"type": "start"},
            {"type": "setNodeStatus", "nodeId": "n", "status": "running"},
            {"type": "setNodeStatus", "nodeId": "n", "status": "suspended"},
        ]);
        let path = format!("/api/v1/sessions/{id}/commands");
        let (status, answer) = call(&self.server, &self.admin, Method::POST, &path, Some(commands)).await;
        assert!(status.is_success(), "{answer}");
        id
    }

    /// The address of an operation, on things that this request may change or delete.
    async fn address(&self, path: &str, session: &str) -> String {
        let id = match path.split('/').nth(if path.starts_with("/api") { 3 } else { 2 }).unwrap_or_default() {
            "groups" if path.contains("{id}") => self.fresh("groups", json!({"name": "g"})).await,
            "agents" if path.contains("{id}") => self.fresh("agents", json!({"name": "a", "personaPrompt": "p"})).await,
            "workflows" if path.contains("{id}") => {
                self.fresh("workflows", json!({"name": "w", "graph": graph()})).await
            }
            "memories" if path.contains("{id}") => self.fresh("memories", json!({"content": "c"})).await,
            "projects" => "default".to_owned(),
            "keys" if path.contains("{id}") => self.fresh("keys", json!({"name": "k", "role": "viewer"})).await,
            "webhooks" if path.contains("{id}/") => self.webhook.clone(),
            "webhooks" if path.contains("{id}") => self.fresh("webhooks", webhook()).await,
            "schedules" if path.contains("{id}") => self.fresh("schedules", self.schedule()).await,
            "alerts" if path.contains("{id}") => self.fresh("alerts", alert()).await,
            "tokens" => uuid::Uuid::now_v7().to_string(),
            "archive" if path.contains("{id}") => {
                self.archive().await;
                self.archived.clone()
            }
            _ => session.to_owned(),
        };
        let query = if path.ends_with("/diff") { "?from=1" } else { "" };
        let path = format!("{path}{query}");
        let path = path.replace("{id}", &id).replace("{nodeId}", "n").replace("{name}", "index.js");
        path.replace("{workflowId}", &self.workflow).replace("{deliveryId}", &self.delivery)
    }

    fn schedule(&self) -> Value {
        json!({"workflowId": self.workflow, "cron": "@yearly"})
    }

    async fn fresh(&self, what: &str, body: Value) -> String {
        id_of(&make(&self.server, &self.admin, &format!("/api/v1/{what}"), body).await)
    }

    /// Callers on a session.
    async fn guests(&self, session: &str) -> Vec<Guest> {
        let server = &self.server;
        let mut guests = vec![Guest { name: "nobody", token: String::new() }];
        for name in ["viewer", "reviewer", "operator", "engine", "admin"] {
            guests.push(Guest { name, token: key(server, name, "default").await });
        }
        guests.push(Guest { name: "root", token: ROOT.to_owned() });
        let other = key(server, "admin", "other").await;
        guests.push(Guest { name: "admin of another project", token: other });
        for (name, scope) in [
            ("read:sessions", "read:sessions".to_owned()),
            ("read:sessions:{id}", format!("read:sessions:{session}")),
            ("read:tags:{tag}", format!("read:tags:{TAG}")),
            ("read:groups:{id}", format!("read:groups:{}", self.group)),
            ("review:sessions:{id}", format!("review:sessions:{session}")),
            ("control:sessions:{id}", format!("control:sessions:{session}")),
            ("write:sessions:{id}", format!("write:sessions:{session}")),
        ] {
            guests.push(Guest { name, token: token(server, &self.admin, &[&scope]).await });
        }
        let revoked = make(server, ROOT, "/api/v1/keys", json!({"name": "gone", "role": "admin"})).await;
        let path = format!("/api/v1/keys/{}", id_of(&revoked));
        assert!(call(server, ROOT, Method::DELETE, &path, None).await.0.is_success());
        guests.push(Guest { name: "revoked key", token: revoked["key"].as_str().expect("a key").to_owned() });
        guests.push(Guest { name: "expired key", token: self.expired("keys", "key").await });
        guests.push(Guest { name: "expired token", token: self.expired("tokens", "token").await });
        guests
    }

    /// A key or a token that was valid until it expired.
    async fn expired(&self, what: &str, member: &str) -> String {
        let soon = relive_session::Timestamp::now() + Duration::from_millis(1_500);
        let body = match what {
            "keys" => json!({"name": "k", "role": "admin", "expiresAt": soon}),
            _ => json!({"scopes": ["read:sessions"], "expiresInSeconds": 1}),
        };
        let made = make(&self.server, &self.admin, &format!("/api/v1/{what}"), body).await;
        let credential = made[member].as_str().expect("a credential").to_owned();
        let is_over = async || get(&self.server, &credential, "/api/v1/me").await.0 == StatusCode::UNAUTHORIZED;
        eventually("it expires", is_over).await;
        credential
    }
}

/// A body with which whoever is allowed succeeds.
fn body(world: &World, operation: &str) -> Option<Value> {
    Some(match operation {
        "create_session" => json!({"workflowId": world.workflow}),
        "fork_session" => json!({"revision": 1}),
        "commands" => json!({"type": "setContext", "key": "k", "value": 1}),
        "renew_lease" => json!({"seconds": 30}),
        "control" => json!({"action": "pause"}),
        "signal" => json!({"nodeId": "n", "payload": 1}),
        "review" => json!({"nodeId": "n", "action": "approve"}),
        "update_node" => json!({"status": "running"}),
        "show_tokens" => json!([{"nodeId": "n", "messageId": "m", "text": "t"}]),
        "create_memory" => json!({"content": "c"}),
        "search_memories" => json!({"text": "c"}),
        "create_group" | "replace_group" => json!({"name": "g"}),
        "create_agent" | "replace_agent" => json!({"name": "a", "personaPrompt": "p"}),
        "create_workflow" | "replace_workflow" | "validate_workflow" => json!({"name": "w", "graph": graph()}),
        "create_webhook" | "replace_webhook" => webhook(),
        "rotate_webhook_secret" => json!({"overlapSeconds": 0}),
        "create_schedule" | "replace_schedule" => world.schedule(),
        "create_alert" => alert(),
        "change_alert" => json!({"name": "b"}),
        "create_project" => json!({"name": uuid::Uuid::now_v7().to_string()}),
        "replace_project" => json!({"name": "Default"}),
        "create_key" => json!({"name": "k", "role": "viewer"}),
        "ag_ui_run" => json!({"threadId": "t", "runId": uuid::Uuid::now_v7().to_string(), "messages": []}),
        "delete_sessions" => json!({"filter": {"name": "nobody has this name"}}),
        "replace_retention" => json!({"rules": []}),
        "archive_sessions" => json!({"olderThanDays": 36_500}),
        "create_token" => json!({"scopes": ["read:sessions"]}),
        _ => return None,
    })
}

/// The answer, in a word: `ok`, `401`, `403`, or `404` for what does not exist for the caller.
async fn outcome(world: &World, guest: &Guest, operation: &str, method: &Method, path: &str) -> String {
    if path.starts_with("/ws") {
        return socket_outcome(world, guest, path).await;
    }
    let (status, answer) = call(&world.server, &guest.token, method.clone(), path, body(world, operation)).await;
    match status.as_u16() {
        401 | 403 | 404 => {
            let expected = match status.as_u16() {
                401 => "unauthorized",
                403 => "forbidden",
                _ => "not_found",
            };
            assert_eq!(answer["code"], expected, "{operation} by {}: {answer}", guest.name);
            status.as_u16().to_string()
        }
        500.. => panic!("{operation} by {}: {answer}", guest.name),
        // Allowed, whatever else is wrong with it.
        _ => "ok".to_owned(),
    }
}

/// A socket is opened, and then told why it is closed.
async fn socket_outcome(world: &World, guest: &Guest, path: &str) -> String {
    let mut socket = socket(&world.server, &guest.token, path).await;
    socket.send(json!({"type": "ping"})).await;
    let frame = socket.until(|frame| frame["type"] == "error" || frame["type"] == "pong").await;
    if frame["type"] == "pong" {
        return "ok".to_owned();
    }
    let (status, close) = match frame["code"].as_str().expect("a code") {
        "unauthorized" if guest.name.starts_with("expired") => ("401", 4401),
        "unauthorized" => ("401", 4500),
        "forbidden" => ("403", 4503),
        "not_found" => ("404", 4504),
        other => panic!("{path} by {}: {other}", guest.name),
    };
    assert_eq!(socket.close_code().await, close, "{path} by {}", guest.name);
    status.to_owned()
}

async fn operations(server: &TestServer) -> Vec<(String, Method, String)> {
    let (status, document) = server.get("/api/openapi.json").await;
    assert!(status.is_success());
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            if id.starts_with("dashboard") {
                continue;
            }
            let method: Method = method.to_uppercase().parse().expect("a method");
            found.push((id, method, path.clone()));
        }
    }
    found.sort_by(|(_, a, b), (_, c, d)| (b, a.as_str()).cmp(&(d, c.as_str())));
    found
}

fn document(names: &[&str], rows: &[(String, Vec<String>)]) -> String {
    let mut text = String::from(
        "# Who may do what\n\n\
         What the server answers to each operation, by who asks. The table is compared with the server in a test \
         (`tests/it/access/matrix.rs`), operation by operation of the OpenAPI document.\n\n\
         - `ok`: allowed. `401`: no valid credential. `403`: the role or the scopes do not allow it. `404`: it does \
         not exist for the caller, since it belongs to another project.\n\
         - Sockets are opened and then closed: 401 is the close code 4500, or 4401 for what has expired, 403 is \
         4503, 404 is 4504.\n\
         - Tokens have one scope each; `{id}` is the session, or its group, that the request is about, and `{tag}` a \
         tag that it has.\n\
         - The files of the dashboard are open; what its pages show they ask for by these operations.\n\
         - A list shows what the caller may see: for the admin of another project, that of the other project.\n\
         - `POST …/commands` stands for `setContext`; `start`, `pause`, `resume`, `stop` and `cancel` need what \
         `POST …/control` needs, `signal` what `POST …/signal` needs. `POST /sessions` stands for a stored workflow; \
         a graph in the request, or none, needs `engine` or `admin`.\n\n",
    );
    let _ = writeln!(text, "| operation | {} |", names.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(names.len()));
    for (operation, answers) in rows {
        let _ = writeln!(text, "| `{operation}` | {} |", answers.join(" | "));
    }
    text
}

#[tokio::test]
async fn every_operation_answers_every_caller_as_documented() {
    let world = World::new().await;
    make(&world.server, ROOT, "/api/v1/projects", json!({"name": "other"})).await;
    let session = world.session().await;
    let guests = world.guests(&session).await;
    // The session that their scopes name.
    let guests_of_archived = world.guests(&world.archived).await;
    let mut rows = Vec::new();
    for (operation, method, path) in operations(&world.server).await {
        let mut answers = Vec::new();
        for guest in if path.contains("/archive/") { &guests_of_archived } else { &guests } {
            let about = if operation == "delete_session" && guest.name != "root" {
                // Each deletes one of their own; scopes do not grant it for any.
                world.session().await
            } else {
                session.clone()
            };
            let path = world.address(&path, &about).await;
            if operation == "delete_session" && guest.name == "root" {
                answers.push("ok".to_owned());
                continue;
            }
            answers.push(outcome(&world, guest, &operation, &method, &path).await);
        }
        rows.push((format!("{method} {path}"), answers));
    }
    let names: Vec<&str> = guests.iter().map(|guest| guest.name).collect();
    let made = document(&names, &rows);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/access.md");
    if std::env::var_os("WRITE_ACCESS_TABLE").is_some() {
        std::fs::write(&file, &made).expect("written");
    }
    let held = std::fs::read_to_string(&file).unwrap_or_default();
    let differing: Vec<&str> = made.lines().filter(|line| !held.contains(line)).collect();
    assert!(held == made, "docs/access.md is not what the server does:\n{}", differing.join("\n"));
}

/// What the requests about one thing are, by operation: those with an id in their address.
async fn about_one(world: &World) -> Vec<(String, Method, String)> {
    let all = operations(&world.server).await;
    all.into_iter().filter(|(_, _, path)| path.contains("{id}") && !path.starts_with("/ws")).collect()
}

#[tokio::test]
async fn what_another_project_has_is_answered_like_what_does_not_exist() {
    let world = World::new().await;
    make(&world.server, ROOT, "/api/v1/projects", json!({"name": "other"})).await;
    let session = world.session().await;
    let other = key(&world.server, "admin", "other").await;
    for (operation, method, path) in about_one(&world).await {
        let there = world.address(&path, &session).await;
        let id = there.split('/').nth(4).unwrap_or_default().split('?').next().unwrap_or_default();
        let unknown = if path.contains("/projects/") { "unknown".to_owned() } else { uuid::Uuid::now_v7().to_string() };
        let nowhere = there.replace(id, &unknown);
        let mut answers = Vec::new();
        for path in [&there, &nowhere] {
            let body = body(&world, &operation);
            let (status, mut answer) = call(&world.server, &other, method.clone(), path, body).await;
            if let Some(answer) = answer.as_object_mut() {
                answer.remove("instance");
            }
            answers.push((status, answer));
        }
        assert_eq!(answers[0], answers[1], "{operation}: the answer tells that it exists");
    }
}
