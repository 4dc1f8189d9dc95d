//! Groups, agents and workflows.

use relive::hub::{CreateOptions, Head, Hub, HubOptions};
use relive::storage::Storage;
use relive_session::{Created, SessionId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::archive;
use crate::harness::{Database, TestServer, chain, context, eventually, merge};

/// Each table with fields to create a row from, and others to replace them with.
fn tables() -> [(&'static str, Value, Value); 3] {
    [
        (
            "groups",
            json!({"name": "Council", "icon": "🦉", "systemPrompt": "Be kind.", "defaultAgentIds": [Uuid::now_v7()]}),
            json!({"name": "Other"}),
        ),
        (
            "agents",
            json!({
                "name": "Ada", "avatar": "a.png", "description": "counts", "personaPrompt": "You count.",
                "modelConfig": {"model": "m", "temperature": 0.5, "more": [1, null]}, "capabilities": ["sums"]
            }),
            json!({"name": "Bob", "personaPrompt": ""}),
        ),
        (
            "workflows",
            json!({"name": "Review", "graph": chain(&["a", "b"])}),
            json!({"name": "Shorter", "graph": chain(&["a"])}),
        ),
    ]
}

#[tokio::test]
async fn rows_are_created_read_replaced_and_deleted() {
    let server = TestServer::start().await;
    for (table, fields, others) in tables() {
        let (status, created) = server.post(&format!("/api/v1/{table}"), fields.clone()).await;
        assert_eq!(status, StatusCode::CREATED, "{created}");
        assert_eq!(merge(created.clone(), &fields), created, "every field given comes back");
        assert_eq!(created["createdAt"], created["updatedAt"]);
        let path = format!("/api/v1/{table}/{}", created["id"].as_str().expect("an id"));
        assert_eq!(server.get(&path).await, (StatusCode::OK, created.clone()));
        let (status, replaced) = server.call(Method::PUT, &path, Some(others.clone())).await;
        assert_eq!(
            (status, &replaced["id"], &replaced["createdAt"]),
            (StatusCode::OK, &created["id"], &created["createdAt"])
        );
        for field in fields.as_object().expect("fields").keys().filter(|field| *field != "graph") {
            assert_eq!(replaced.get(field), others.get(field), "{table}: PUT replaces the whole");
        }
        assert_eq!(server.get(&path).await.1, replaced);
        assert_eq!(server.call(Method::DELETE, &path, None).await, (StatusCode::NO_CONTENT, Value::Null));
        for method in [Method::GET, Method::DELETE] {
            server.refused(method, &path, None, "not_found").await;
        }
        server.refused(Method::PUT, &path, Some(others), "not_found").await;
    }
}

#[tokio::test]
async fn lists_are_newest_first_in_pages() {
    let server = TestServer::start().await;
    for (table, fields, _) in tables() {
        let mut made = Vec::new();
        for _ in 0..7 {
            made.push(server.post(&format!("/api/v1/{table}"), fields.clone()).await.1);
        }
        made.reverse();
        let (mut listed, mut cursor) = (Vec::new(), String::new());
        loop {
            let (_, mut page) = server.get(&format!("/api/v1/{table}?limit=3{cursor}")).await;
            listed.append(page[table].as_array_mut().expect("rows"));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(listed, made);
        for query in ["limit=0", "limit=201", "limit=x", "cursor=x"] {
            server.refused(Method::GET, &format!("/api/v1/{table}?{query}"), None, "bad_request").await;
        }
    }
}

#[tokio::test]
async fn fields_are_checked() {
    let server = TestServer::start().await;
    for (table, fields, _) in tables() {
        let path = format!("/api/v1/{table}");
        for wrong in [
            json!({"name": null}),
            json!({"name": ""}),
            json!({"name": " \t "}),
            json!({"name": 7}),
            json!({"name": "a\u{0}b"}),
        ] {
            server.refused(Method::POST, &path, Some(merge(fields.clone(), &wrong)), "bad_request").await;
        }
        let long = merge(fields, &json!({"name": "x".repeat(1_025)}));
        server.refused(Method::POST, &path, Some(long), "too_large").await;
        server.refused(Method::GET, &format!("{path}/no-uuid"), None, "bad_request").await;
    }
    for wrong in [json!({"defaultAgentIds": ["x"]}), json!({"icon": "\u{0}"}), json!({"systemPrompt": "\u{0}"})] {
        server.refused(Method::POST, "/api/v1/groups", Some(merge(json!({"name": "g"}), &wrong)), "bad_request").await;
    }
    for wrong in [
        json!({"personaPrompt": null}),
        json!({"personaPrompt": "\u{0}"}),
        json!({"modelConfig": []}),
        json!({"modelConfig": {"a\u{0}": 1}}),
        json!({"capabilities": ["\u{0}"]}),
    ] {
        let agent = merge(json!({"name": "a", "personaPrompt": "p"}), &wrong);
        server.refused(Method::POST, "/api/v1/agents", Some(agent), "bad_request").await;
    }
    server.refused(Method::POST, "/api/v1/workflows", Some(json!({"name": "w"})), "bad_request").await;
    let of_no_group = json!({"name": "w", "graph": chain(&["a"]), "groupId": Uuid::now_v7()});
    server.refused(Method::POST, "/api/v1/workflows", Some(of_no_group), "not_found").await;
}

#[tokio::test]
async fn a_workflow_is_checked_without_being_stored() {
    let server = TestServer::start().await;
    let path = "/api/v1/workflows/validate";
    let (status, _) = server.post(path, json!({"name": "w", "graph": chain(&["a"])})).await;
    assert_eq!(status, StatusCode::NO_CONTENT);

    let mut nowhere = chain(&["a"]);
    nowhere["startNodeId"] = json!("b");
    let mut builtin = chain(&["a"]);
    builtin["properties"] = json!({"driver": "builtin"});
    builtin["nodes"]["a"] = json!({"id": "a", "type": "delay", "name": "a", "nextIds": []});
    for (graph, code) in [(nowhere, "invalid_graph"), (builtin, "invalid_graph"), (json!({}), "bad_request")] {
        let workflow = json!({"name": "w", "graph": graph});
        let asked = server.refused(Method::POST, path, Some(workflow.clone()), code).await;
        let stored = server.refused(Method::POST, "/api/v1/workflows", Some(workflow), code).await;
        assert_eq!(asked["detail"], stored["detail"]);
    }
    assert_eq!(server.get("/api/v1/workflows").await.1["workflows"], json!([]));
}

#[tokio::test]
async fn a_group_takes_its_sessions_and_workflows_along() {
    let server = TestServer::start().await;
    let group = server.post("/api/v1/groups", json!({"name": "g"})).await.1["id"].clone();
    let workflow = json!({"name": "w", "graph": chain(&["a"]), "groupId": group});
    let workflow = server.post("/api/v1/workflows", workflow).await.1["id"].clone();
    let inside = server.create(json!({"groupId": group, "workflowId": workflow})).await;
    let outside = server.running_session().await;
    let mut viewer = server.socket(&format!("/ws/sessions/{inside}")).await;
    viewer.frame().await;
    let path = format!("/api/v1/groups/{}", group.as_str().expect("an id"));
    assert_eq!(server.call(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(viewer.close_code().await, 4504);
    server.refused(Method::GET, &format!("/api/v1/sessions/{inside}"), None, "not_found").await;
    let workflow = format!("/api/v1/workflows/{}", workflow.as_str().expect("an id"));
    server.refused(Method::GET, &workflow, None, "not_found").await;
    assert_eq!(server.session(&outside).await["status"], "running");
}

#[tokio::test]
async fn of_a_session_that_is_deleted_alone_or_with_its_group_no_row_remains() {
    let server = TestServer::start().await;
    let empty = archive::rows(&server).await;
    for is_group in [false, true] {
        let id = archive::run(&server).await;
        let mut socket = server.socket("/ws").await;
        let named = json!({"type": "command", "id": "1", "sessionId": id, "commandId": "once", "command": context("n", json!(1))});
        socket.send(named).await;
        let answer = socket.frame().await;
        assert_eq!(answer["type"], "ack", "{answer}");
        let held = archive::rows(&server).await;
        assert!(held[..3].iter().all(|rows| *rows > 0), "sessions, events, command ids: {held:?}");
        let group = server.session(&id).await["groupId"].as_str().expect("a group").to_owned();
        let path = if is_group { format!("groups/{group}") } else { format!("sessions/{id}") };
        let (status, _) = server.call(Method::DELETE, &format!("/api/v1/{path}"), None).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
        assert_eq!(archive::rows(&server).await, empty, "{path}");
    }
}

/// Holds a group's deletion up after it has looked which sessions there are, until `made` has happened.
async fn while_a_deletion_waits<T>(
    storage: &Storage,
    first: &str,
    deletion: impl Future,
    made: impl Future<Output = T>,
) -> T {
    let mut holder = storage.pool().acquire().await.expect("a connection");
    let hold = format!("BEGIN; SELECT FROM sessions WHERE id = '{first}' FOR UPDATE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(hold)).execute(&mut *holder).await.expect("held");
    let made = async {
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        eventually("it waits", async || {
            sqlx::query_scalar::<_, i64>(waits).fetch_one(storage.pool()).await.expect("a number") > 0
        })
        .await;
        let made = made.await;
        sqlx::raw_sql("COMMIT").execute(&mut *holder).await.expect("let go");
        made
    };
    tokio::join!(deletion, made).1
}

#[tokio::test]
async fn a_session_made_while_its_group_is_being_deleted_is_removed_for_everybody() {
    let server = TestServer::start().await;
    let group = server.post("/api/v1/groups", json!({"name": "g"})).await.1["id"].clone();
    let first = server.create(json!({"groupId": group})).await;
    let path = format!("/api/v1/groups/{}", group.as_str().expect("an id"));
    let deletion = async {
        let answer = server.request(Method::DELETE, &path).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    };
    let made = async {
        let late = server.create(json!({"groupId": group})).await;
        let mut viewer = server.socket(&format!("/ws/sessions/{late}")).await;
        viewer.frame().await;
        let mut list = server.socket(&format!("/ws/sessions?groupId={}", group.as_str().expect("an id"))).await;
        assert_eq!(list.frame().await["sessions"].as_array().map(Vec::len), Some(2));
        (late, viewer, list)
    };
    let (late, mut viewer, mut list) = while_a_deletion_waits(&server.database.storage(), &first, deletion, made).await;
    assert_eq!(viewer.close_code().await, 4504);
    let removed = [list.frame().await, list.frame().await];
    assert!(removed.iter().all(|frame| frame["change"] == "removed"), "{removed:?}");
    assert!(removed.iter().any(|frame| frame["session"]["id"] == json!(late)), "{removed:?}");
    server.refused(Method::GET, &format!("/api/v1/sessions/{late}"), None, "not_found").await;
}

/// By the deletion itself: the hub's next look at what is stored would find it much later.
#[tokio::test]
async fn who_watches_a_session_that_goes_with_its_group_is_told_by_the_deletion() {
    let storage = Database::create().await.storage();
    let options = HubOptions { check_every: std::time::Duration::from_hours(1), ..HubOptions::default() };
    let hub = Hub::new(storage.clone(), &options);
    let group = Uuid::now_v7();
    let sql = "INSERT INTO groups (id, name, created_at, updated_at) VALUES ($1, 'group', now(), now())";
    sqlx::query(sql).bind(group).execute(storage.pool()).await.expect("a group");
    let create = async || {
        let (id, created) = (SessionId::generate(), Created { group_id: Some(group), ..Created::default() });
        hub.create(id, created, CreateOptions::default()).await.expect("created");
        id
    };
    let first = create().await.to_string();
    let deletion = async { assert_eq!(hub.delete_group(&relive_session::ProjectId::default(), group).await, Ok(true)) };
    let made = async { hub.subscribe(create().await).await.expect("a subscription") };
    let mut late = while_a_deletion_waits(&storage, &first, deletion, made).await;
    assert!(matches!(late.head(), Head::Deleted(_)));
}

#[tokio::test]
async fn a_workflow_in_use_stays_and_its_sessions_keep_the_graph_they_began_with() {
    let server = TestServer::start().await;
    let workflow = json!({"name": "w", "graph": chain(&["a", "b"])});
    let id = server.post("/api/v1/workflows", workflow).await.1["id"].clone();
    let path = format!("/api/v1/workflows/{}", id.as_str().expect("an id"));
    let session = server.create(json!({"workflowId": id})).await;
    server.refused(Method::DELETE, &path, None, "conflict").await;
    let (status, _) = server.call(Method::PUT, &path, Some(json!({"name": "w2", "graph": chain(&["z"])}))).await;
    assert_eq!(status, StatusCode::OK);
    let (_, graph) = server.get(&format!("/api/v1/sessions/{session}/graph")).await;
    assert_eq!(graph["nodes"].as_object().map(serde_json::Map::len), Some(2));
    assert_eq!(server.session(&session).await["nodes"]["b"]["status"], "pending");
    server.call(Method::DELETE, &format!("/api/v1/sessions/{session}"), None).await;
    assert_eq!(server.call(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
}
