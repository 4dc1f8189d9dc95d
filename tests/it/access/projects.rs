//! What belongs to another project does not exist.

use std::sync::Arc;

use relive::access::{Access, AccessSettings, Action, Caller, Denied, Grant, Role, Scope, Scopes};
use relive::hub::{Hub, HubError, HubOptions};
use relive::scoped::{Refused, Scoped};
use relive_session::{Command, Created, SessionId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{ROOT, call, get, id_of, key, make, post, server, socket};
use crate::harness::{TestServer, answer};

/// A server with the projects `default` and `other`, and the keys of their admins.
async fn two_projects() -> (TestServer, String, String) {
    let server = server().await;
    let made = make(&server, ROOT, "/api/v1/projects", json!({"name": "Other"})).await;
    assert_eq!(made["id"], "other");
    let (one, other) = (key(&server, "admin", "default").await, key(&server, "admin", "other").await);
    (server, one, other)
}

fn count(page: &Value, member: &str) -> usize {
    page[member].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn lists_searches_and_reads_know_only_the_own_project() {
    let (server, one, other) = two_projects().await;
    let group = id_of(&make(&server, &one, "/api/v1/groups", json!({"name": "g"})).await);
    let session = id_of(&make(&server, &one, "/api/v1/sessions", json!({"groupId": group})).await);
    let memory = json!({"content": "the singular word", "sessionId": session});
    let memory = id_of(&make(&server, &one, "/api/v1/memories", memory).await);

    for (path, member) in [("sessions", "sessions"), ("groups", "groups"), ("keys", "keys")] {
        let (_, own) = get(&server, &one, &format!("/api/v1/{path}")).await;
        let (status, page) = get(&server, &other, &format!("/api/v1/{path}")).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert_eq!(count(&own, member), 1, "{path}: {own}");
        assert_eq!(count(&page, member), usize::from(path == "keys"), "{path}: {page}");
    }
    let (_, none) = get(&server, &other, &format!("/api/v1/sessions?groupId={group}")).await;
    assert_eq!(count(&none, "sessions"), 0);
    for path in [
        format!("sessions/{session}"),
        format!("sessions/{session}/events"),
        format!("sessions/{session}/messages"),
        format!("sessions/{session}/logs"),
        format!("sessions/{session}/memories"),
        format!("sessions/{session}/usage"),
        format!("sessions/{session}/timeline"),
        format!("sessions/{session}/diff?from=1"),
        format!("sessions/{session}/export"),
        format!("sessions/{session}?revision=1"),
        format!("groups/{group}"),
        format!("memories/{memory}"),
        "projects/default".to_owned(),
    ] {
        let (status, found) = get(&server, &other, &format!("/api/v1/{path}")).await;
        let unknown = path.replace(&session, &uuid::Uuid::now_v7().to_string());
        let (_, missing) = get(&server, &other, &format!("/api/v1/{unknown}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {found}");
        assert_eq!(found["detail"], missing["detail"], "the text tells that it exists");
        assert!(get(&server, &one, &format!("/api/v1/{path}")).await.0.is_success(), "{path}");
    }
    let search = json!({"text": "singular"});
    let (_, found) = post(&server, &other, "/api/v1/memories/search", search.clone()).await;
    assert_eq!(count(&found, "memories"), 0);
    assert_eq!(count(&post(&server, &one, "/api/v1/memories/search", search).await.1, "memories"), 1);
    let scoped = json!({"text": "singular", "sessionId": session});
    assert_eq!(post(&server, &other, "/api/v1/memories/search", scoped).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nothing_of_another_project_is_changed_or_referred_to() {
    let (server, one, other) = two_projects().await;
    let group = id_of(&make(&server, &one, "/api/v1/groups", json!({"name": "g"})).await);
    let graph = json!({"id": "g", "name": "g", "startNodeId": "n",
        "nodes": {"n": {"id": "n", "type": "task", "name": "n", "nextIds": []}}});
    let workflow = id_of(&make(&server, &one, "/api/v1/workflows", json!({"name": "w", "graph": graph})).await);
    let session = id_of(&make(&server, &one, "/api/v1/sessions", json!({})).await);
    let path = |rest: &str| format!("/api/v1/sessions/{session}{rest}");
    for (method, path, body) in [
        (Method::POST, path("/commands"), Some(json!({"type": "start"}))),
        (Method::POST, path("/control"), Some(json!({"action": "start"}))),
        (Method::POST, path("/fork"), Some(json!({"revision": 1}))),
        (Method::POST, path("/tokens"), Some(json!([]))),
        (Method::DELETE, path(""), None),
        (Method::DELETE, format!("/api/v1/groups/{group}"), None),
        (Method::PUT, format!("/api/v1/groups/{group}"), Some(json!({"name": "x"}))),
        (Method::DELETE, format!("/api/v1/workflows/{workflow}"), None),
        (Method::POST, "/api/v1/sessions".to_owned(), Some(json!({"groupId": group}))),
        (Method::POST, "/api/v1/sessions".to_owned(), Some(json!({"workflowId": workflow}))),
        // Its id cannot be used, and it is not said why.
        (Method::POST, "/api/v1/sessions".to_owned(), Some(json!({"id": session}))),
        (Method::POST, "/api/v1/memories".to_owned(), Some(json!({"content": "c", "groupId": group}))),
        (Method::POST, "/api/v1/memories".to_owned(), Some(json!({"content": "c", "sessionId": session}))),
        (Method::POST, "/api/v1/keys".to_owned(), Some(json!({"name": "k", "role": "viewer", "project": "default"}))),
    ] {
        let (status, answer) = call(&server, &other, method.clone(), &path, body).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}: {answer}");
    }
    let (_, session) = get(&server, &one, &path("")).await;
    assert_eq!((&session["status"], &session["revision"]), (&json!("pending"), &json!(1)));
    assert_eq!(get(&server, &one, &format!("/api/v1/groups/{group}")).await.1["name"], "g");
}

/// As if it did not exist, which it may not know: its id can be neither used nor asked for.
#[tokio::test]
async fn the_id_of_a_memory_of_another_project_is_that_of_none() {
    let (server, one, other) = two_projects().await;
    let session = id_of(&make(&server, &one, "/api/v1/sessions", json!({})).await);
    let path = format!("/api/v1/sessions/{session}");
    let memory = uuid::Uuid::now_v7().to_string();
    let commands = json!([{"type": "start"}, {"type": "addMemory", "memoryId": memory, "content": "exported"}]);
    assert_eq!(post(&server, &one, &format!("{path}/commands"), commands).await.0, StatusCode::OK);
    let export = server.request(Method::GET, &format!("{path}/export")).bearer_auth(&one).send().await;
    let export = export.expect("an answer").text().await.expect("a file");
    assert_eq!(call(&server, &one, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    let body = json!({"id": memory, "content": "stored anew"});
    make(&server, &one, "/api/v1/memories", body.clone()).await;
    let (status, refused) = post(&server, &other, "/api/v1/memories", body.clone()).await;
    assert_eq!((status, &refused["code"]), (StatusCode::NOT_FOUND, &json!("not_found")), "{refused}");
    assert_eq!(post(&server, &one, "/api/v1/memories", body).await.0, StatusCode::CONFLICT);

    let import = async |key: &str| {
        let request = server.request(Method::POST, "/api/v1/sessions/import").bearer_auth(key);
        answer(request.header("content-type", "application/x-ndjson").body(export.clone())).await
    };
    let (status, refused) = import(&one).await;
    assert_eq!(status, StatusCode::CONFLICT, "its own: {refused}");
    // As with the id of a session of another project, it gets others.
    let (status, imported) = import(&other).await;
    assert_eq!(status, StatusCode::CREATED, "{imported}");
    assert_ne!(imported["id"], json!(session));
    let (_, page) = get(&server, &other, &format!("/api/v1/sessions/{}/memories", id_of(&imported))).await;
    assert_eq!(page["memories"][0]["content"], "exported", "{page}");
    assert_ne!(page["memories"][0]["id"], json!(memory));
    let (_, kept) = get(&server, &one, &format!("/api/v1/memories/{memory}")).await;
    assert_eq!(kept["content"], "stored anew");
}

/// What a command is checked against before it is staged says nothing either.
#[tokio::test]
async fn no_check_of_a_command_tells_of_a_session_of_another_project() {
    let (server, one, other) = two_projects().await;
    let graph = json!({"name": "g", "startNodeId": "r", "nodes": {
        "r": {"id": "r", "type": "human_review", "name": "r", "nextIds": ["e"]},
        "e": {"id": "e", "type": "end", "name": "e"}}});
    let session = id_of(&make(&server, &one, "/api/v1/sessions", json!({"driver": "builtin", "graph": graph})).await);
    let unknown = uuid::Uuid::now_v7().to_string();
    let nonsense = json!({"review": {"action": "nonsense"}});
    for command in [
        json!({"type": "signal", "nodeId": "r", "payload": nonsense}),
        json!({"type": "start"}),
        json!({"type": "addMessage", "nodeId": "r", "agentId": session, "content": "c"}),
    ] {
        let path = |id: &str| format!("/api/v1/sessions/{id}/commands");
        let (status, told) = post(&server, &other, &path(&session), command.clone()).await;
        assert_eq!((status, &told["code"]), (StatusCode::NOT_FOUND, &json!("not_found")), "{command}: {told}");
        assert_eq!(told, post(&server, &other, &path(&unknown), command).await.1);
    }
    let signal = json!({"type": "signal", "nodeId": "r", "payload": nonsense});
    let (status, told) = post(&server, &one, &format!("/api/v1/sessions/{session}/commands"), signal).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{told}");
}

/// How long that takes would tell of them, and would let others fill the memory.
#[tokio::test]
async fn sessions_of_another_project_are_not_loaded() {
    let (server, one, _) = two_projects().await;
    let id = id_of(&make(&server, &one, "/api/v1/sessions", json!({})).await);
    let id = SessionId(id.parse().expect("an id"));
    let storage = server.database.storage();
    let hub = Hub::new(storage.clone(), &HubOptions::default());
    let access = Access::start(storage.clone(), AccessSettings::default()).await.expect("access control");
    let as_caller = |project: &str, grant: Grant| {
        let caller = Caller { grant, ..Caller::anonymous(project.parse().expect("an id")) };
        Scoped::new(hub.clone(), storage.clone(), access.clone(), Arc::new(caller), None)
    };
    let guest = Grant::Scopes(Scopes::parse(&["read:tags:public"]).expect("scopes"));
    for (scoped, expected) in [
        (as_caller("other", Grant::Role(Role::Admin)), Refused::from(HubError::NotFound)),
        (as_caller("default", guest), Denied::Scope(Scope::ReadSession(id)).into()),
    ] {
        assert_eq!(scoped.session(id).await.expect_err("refused"), expected);
        assert_eq!(scoped.readable(id).await.expect_err("refused"), expected);
    }
    let other = as_caller("other", Grant::Role(Role::Admin));
    let start = other.submission(id, vec![Command::Start]).expect("allowed");
    assert_eq!(other.execute(start).await, Err(HubError::NotFound));
    let taken = other.create(id, Created::default(), None, Action::CreateSession).await;
    assert_eq!(taken.expect_err("taken"), HubError::NotFound.into());
    assert_eq!(hub.live_sessions(), 0);
    let own = as_caller("default", Grant::Role(Role::Admin));
    let start = own.submission(id, vec![Command::Start]).expect("allowed");
    assert!(own.execute(start).await.is_ok() && own.session(id).await.is_ok());
    assert_eq!(hub.live_sessions(), 1);
}

#[tokio::test]
async fn keys_of_idempotency_and_live_lists_are_apart() {
    let (server, one, other) = two_projects().await;
    let mut ids = Vec::new();
    for admin in [&one, &other, &one] {
        let request = server.request(Method::POST, "/api/v1/sessions").bearer_auth(admin).json(&json!({}));
        let (status, made) = crate::harness::answer(request.header("idempotency-key", "same")).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        ids.push(id_of(&made));
    }
    assert_eq!(ids[0], ids[2]);
    assert_ne!(ids[0], ids[1]);
    let mut list = socket(&server, &other, "/ws/sessions").await;
    let first = list.frame_of("sessions").await;
    assert_eq!((count(&first, "sessions"), &first["sessions"][0]["id"]), (1, &json!(ids[1])));
    // A change there, a deletion there, and then one here: only that is shown.
    call(&server, &one, Method::DELETE, &format!("/api/v1/sessions/{}", ids[0]), None).await;
    make(&server, &one, "/api/v1/sessions", json!({})).await;
    let last = id_of(&make(&server, &other, "/api/v1/sessions", json!({})).await);
    let shown = list.frame().await;
    assert_eq!((&shown["change"], &shown["session"]["id"]), (&json!("added"), &json!(last)), "{shown}");
    for path in [format!("/ws/sessions/{}", ids[2]), format!("/ws/sessions/{}/replay", ids[2])] {
        assert_eq!(socket(&server, &other, &path).await.close_code().await, 4504, "{path}");
    }
}

#[tokio::test]
async fn root_acts_in_the_project_it_names_and_deletes_what_is_empty() {
    let (server, _, other) = two_projects().await;
    make(&server, &other, "/api/v1/sessions", json!({})).await;
    let list = |project: &str| {
        let request = server.request(Method::GET, "/api/v1/sessions").bearer_auth(ROOT);
        crate::harness::answer(request.header("relive-project", project))
    };
    assert_eq!(count(&list("other").await.1, "sessions"), 1);
    assert_eq!(count(&list("default").await.1, "sessions"), 0);
    assert_eq!(list("nowhere").await.0, StatusCode::NOT_FOUND);
    let own = server.request(Method::GET, "/api/v1/sessions").bearer_auth(&other).header("relive-project", "default");
    assert_eq!(crate::harness::answer(own).await.0, StatusCode::FORBIDDEN);
    for id in ["other", "default"] {
        let path = format!("/api/v1/projects/{id}");
        assert_eq!(call(&server, ROOT, Method::DELETE, &path, None).await.0, StatusCode::CONFLICT, "{id}");
    }
    make(&server, ROOT, "/api/v1/projects", json!({"name": "Empty"})).await;
    assert_eq!(post(&server, ROOT, "/api/v1/projects", json!({"name": "empty"})).await.0, StatusCode::CONFLICT);
    let empty = "/api/v1/projects/empty";
    assert_eq!(call(&server, ROOT, Method::DELETE, empty, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(get(&server, ROOT, empty).await.0, StatusCode::NOT_FOUND);
}
