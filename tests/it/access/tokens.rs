//! Keys and tokens: what they are, who acted with them, and that nobody gives more than they have.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{ROOT, call, get, id_of, key, make, post, server, socket, token};
use crate::harness::{TestServer, eventually};

#[tokio::test]
async fn a_key_is_shown_once_and_its_use_is_recorded() {
    let server = server().await;
    let made = make(&server, ROOT, "/api/v1/keys", json!({"name": "ci", "role": "engine"})).await;
    let text = made["key"].as_str().expect("a key");
    assert!(text.starts_with("rlv_") && text.starts_with(made["prefix"].as_str().expect("a prefix")), "{made}");
    let (_, me) = get(&server, text, "/api/v1/me").await;
    assert_eq!((&me["role"], &me["project"], &me["required"]), (&json!("engine"), &json!("default"), &json!(true)));
    assert_eq!(me["actor"], json!({"kind": "key", "id": made["id"], "name": "ci"}));
    let (_, page) = get(&server, ROOT, "/api/v1/keys").await;
    let listed = &page["keys"][0];
    assert_eq!((&listed["id"], &listed["name"], &listed["role"]), (&made["id"], &json!("ci"), &json!("engine")));
    assert!(listed["lastUsedAt"].is_string() && listed.get("key").is_none(), "{listed}");
    let mut altered = text.to_owned();
    altered.replace_range(8..9, if &text[8..9] == "0" { "1" } else { "0" });
    for wrong in [&altered, &text[..text.len() - 1], "x", "a.b.c"] {
        let (status, answer) = get(&server, wrong, "/api/v1/me").await;
        assert_eq!((status, &answer["code"]), (StatusCode::UNAUTHORIZED, &json!("unauthorized")), "{wrong}");
    }
    let response = server.request(Method::GET, "/api/v1/sessions").send().await.expect("an answer");
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    for body in [
        json!({"name": "k", "role": "king"}),
        json!({"name": "", "role": "viewer"}),
        json!({"name": "a\u{1b}[31m", "role": "viewer"}),
        json!({"name": "k", "role": "viewer", "expiresAt": "2001-01-01T00:00:00Z"}),
    ] {
        assert_eq!(post(&server, ROOT, "/api/v1/keys", body).await.0, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_repeated_request_for_a_key_makes_no_second_one_and_shows_no_secret() {
    let server = server().await;
    let ask = || {
        let request = server.request(Method::POST, "/api/v1/keys").bearer_auth(ROOT).header("idempotency-key", "same");
        crate::harness::answer(request.json(&json!({"name": "ci", "role": "viewer"})))
    };
    let (first, again) = (ask().await.1, ask().await.1);
    assert_eq!((&first["id"], again.get("key")), (&again["id"], None));
    assert!(first["key"].as_str().is_some_and(|key| key.starts_with("rlv_")));
    assert_eq!(get(&server, ROOT, "/api/v1/keys").await.1["keys"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn nobody_gives_more_than_they_have() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let id = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    let give = async |issuer: &str, scope: &str| {
        post(&server, issuer, "/api/v1/tokens", json!({"scopes": [scope]})).await.0 == StatusCode::CREATED
    };
    for (role, read, review, control, write) in [
        ("viewer", true, false, false, false),
        ("reviewer", true, true, false, false),
        ("operator", true, true, true, false),
        ("engine", true, true, true, true),
        ("admin", true, true, true, true),
    ] {
        let issuer = key(&server, role, "default").await;
        let scope = |what: &str| format!("{what}:sessions:{id}");
        assert_eq!(give(&issuer, "read:sessions").await, read, "{role}");
        assert_eq!(give(&issuer, &scope("review")).await, review, "{role}");
        assert_eq!(give(&issuer, &scope("control")).await, control, "{role}");
        assert_eq!(give(&issuer, &scope("write")).await, write, "{role}");
    }
    let held = token(&server, &admin, &["read:sessions"]).await;
    assert!(!give(&held, "read:sessions").await, "a token gives no further ones");
    assert_eq!(
        post(&server, &admin, "/api/v1/keys", json!({"name": "k", "role": "root"})).await.0,
        StatusCode::FORBIDDEN
    );
    for body in [
        json!({"scopes": []}),
        json!({"scopes": ["read:everything"]}),
        json!({"scopes": ["read:sessions"], "expiresInSeconds": 604_801}),
        json!({"scopes": ["read:sessions"], "expiresInSeconds": 0}),
    ] {
        assert_eq!(post(&server, &admin, "/api/v1/tokens", body).await.0, StatusCode::BAD_REQUEST);
    }
    let made = make(&server, &admin, "/api/v1/tokens", json!({"scopes": ["read:sessions"]})).await;
    let guest = made["token"].as_str().expect("a token");
    assert_eq!(get(&server, guest, "/api/v1/sessions").await.0, StatusCode::OK);
    let path = format!("/api/v1/tokens/{}", id_of(&made));
    assert_eq!(call(&server, &admin, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(get(&server, guest, "/api/v1/sessions").await.0, StatusCode::UNAUTHORIZED);
}

async fn events(server: &TestServer, id: &str) -> Vec<Value> {
    let (_, page) = get(server, ROOT, &format!("/api/v1/sessions/{id}/events?limit=1000")).await;
    page["events"].as_array().expect("events").clone()
}

#[tokio::test]
async fn events_say_whose_command_led_to_them_and_reviews_who_gave_them() {
    let server = server().await;
    let engine = make(&server, ROOT, "/api/v1/keys", json!({"name": "runner", "role": "engine"})).await;
    let reviewer = make(&server, ROOT, "/api/v1/keys", json!({"name": "Rita", "role": "reviewer"})).await;
    let secret = |made: &Value| made["key"].as_str().expect("a key").to_owned();
    let by = |made: &Value| json!({"kind": "key", "id": made["id"], "name": made["name"]});
    let id = id_of(&make(&server, &secret(&engine), "/api/v1/sessions", json!({})).await);
    let commands = json!([
        {"type": "start"},
        {"type": "setNodeStatus", "nodeId": "n", "status": "running"},
        {"type": "setNodeStatus", "nodeId": "n", "status": "suspended"},
    ]);
    let path = format!("/api/v1/sessions/{id}");
    assert!(post(&server, &secret(&engine), &format!("{path}/commands"), commands).await.0.is_success());
    let review = json!({"nodeId": "n", "action": "approve", "reviewer": "somebody else"});
    let (status, answer) = post(&server, &secret(&reviewer), &format!("{path}/review"), review).await;
    assert!(status.is_success(), "{answer}");
    let events = events(&server, &id).await;
    assert_eq!((events[0]["event"]["type"].clone(), events[0]["by"].clone()), (json!("created"), by(&engine)));
    assert_eq!(events[1]["by"], by(&engine));
    let last = events.last().expect("an event");
    assert_eq!((last["event"]["type"].clone(), last["by"].clone()), (json!("signalled"), by(&reviewer)), "{last}");
    assert_eq!(last["event"]["payload"]["review"]["reviewer"], "Rita", "{last}");
    let export = server.request(Method::GET, &format!("{path}/export")).bearer_auth(ROOT);
    let file = export.send().await.expect("an answer").text().await.expect("a file");
    let line = file.lines().find(|line| line.contains("signalled")).expect("a line");
    assert_eq!(serde_json::from_str::<Value>(line).expect("JSON")["by"], by(&reviewer));

    // And in a copy.
    let import = server.request(Method::POST, "/api/v1/sessions/import?newId=true").bearer_auth(ROOT).body(file);
    let copy: Value = import.send().await.expect("an answer").json().await.expect("a session");
    let whose = |events: &[Value]| events.iter().map(|event| event["by"].clone()).collect::<Vec<_>>();
    assert_eq!(whose(&self::events(&server, &id_of(&copy)).await), whose(&events));
}

/// Commands of several keys are written in one batch, whose statement has each distinct actor once.
#[tokio::test]
async fn a_batch_of_several_keys_says_of_each_event_whose_it_is() {
    const EACH: usize = 15;
    const ROUNDS: usize = 20;
    let server = server().await;
    let mut engines = Vec::new();
    for name in ["first", "second", "third"] {
        let made = make(&server, ROOT, "/api/v1/keys", json!({"name": name, "role": "engine"})).await;
        let by = json!({"kind": "key", "id": made["id"], "name": made["name"]});
        engines.push((made["key"].as_str().expect("a key").to_owned(), by));
    }
    let id = id_of(&make(&server, ROOT, "/api/v1/sessions", json!({})).await);
    let mut sockets = Vec::new();
    for (key, _) in &engines {
        sockets.push(socket(&server, key, "/ws").await);
    }
    let is_mixed = "SELECT count(*) FROM (SELECT batch FROM session_events
        GROUP BY batch HAVING count(DISTINCT actor ->> 'id') > 1) AS mixed";
    let storage = server.database.storage();
    let mut mixed = 0;
    for round in 0..ROUNDS {
        for (engine, socket) in sockets.iter_mut().enumerate() {
            for n in 0..EACH {
                let command = json!({"type": "setContext", "key": format!("{engine}-{n}"), "value": round});
                let frame_id = format!("{round}-{engine}-{n}");
                socket.send(json!({"type": "command", "id": frame_id, "sessionId": id, "command": command})).await;
            }
        }
        for socket in &mut sockets {
            for _ in 0..EACH {
                assert_eq!(socket.frame().await["type"], "ack");
            }
        }
        mixed = sqlx::query_scalar::<_, i64>(is_mixed).fetch_one(storage.pool()).await.expect("a count");
        if mixed > 0 {
            break;
        }
    }
    assert!(mixed > 0, "no batch had several actors");
    for event in events(&server, &id).await {
        let Some(engine) = event["event"]["key"].as_str().and_then(|key| key.split('-').next()) else { continue };
        assert_eq!(event["by"], engines[engine.parse::<usize>().expect("a number")].1, "{event}");
    }
}

#[tokio::test]
async fn what_was_done_and_refused_is_in_the_audit_log() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let viewer = key(&server, "viewer", "default").await;
    let id = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    let path = format!("/api/v1/sessions/{id}");
    assert_eq!(call(&server, &viewer, Method::DELETE, &path, None).await.0, StatusCode::FORBIDDEN);
    assert_eq!(call(&server, "rlv_wrong", Method::DELETE, &path, None).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(call(&server, &admin, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    let read = async || {
        let (status, page) = get(&server, &admin, "/api/v1/audit?action=delete_session").await;
        assert_eq!(status, StatusCode::OK, "{page}");
        page["entries"].as_array().expect("entries").clone()
    };
    eventually("all three are in the log", async || read().await.len() == 3).await;
    let entries = read().await;
    let outcomes: Vec<&str> = entries.iter().map(|entry| entry["outcome"].as_str().expect("an outcome")).collect();
    assert_eq!(outcomes, ["refused", "refused", "allowed"]);
    assert_eq!(entries[0]["actor"]["name"], "viewer");
    assert!(entries[1].get("actor").is_none(), "{}", entries[1]);
    let last = &entries[2];
    assert_eq!(
        (&last["resource"], &last["ip"], &last["project"]),
        (&json!(path), &json!("127.0.0.1"), &json!("default"))
    );
    assert!(last["requestId"].is_string() && last["at"].is_string(), "{last}");
    assert!(!entries.iter().any(|entry| entry.to_string().contains("rlv_")), "a secret in the log");
}

/// What an operation needs can depend on the body, which is not read of those who may do none of it.
#[tokio::test]
async fn who_may_do_nothing_of_an_operation_is_told_every_role_that_helps() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let viewer = key(&server, "viewer", "default").await;
    let session = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    for (path, says) in [
        (
            format!("/api/v1/sessions/{session}/commands"),
            "this needs the role reviewer, operator or engine, by what it asks for",
        ),
        ("/api/v1/sessions".to_owned(), "this needs the role operator or engine, by what it asks for"),
        (format!("/api/v1/sessions/{session}/fork"), "this needs the role operator"),
        ("/api/v1/memories".to_owned(), "this needs the role engine"),
    ] {
        let (status, refused) =
            post(&server, &viewer, &path, json!({"type": "setContext", "key": "k", "value": 1})).await;
        assert_eq!((status, &refused["detail"]), (StatusCode::FORBIDDEN, &json!(says)), "{path}");
    }
    // Of whoever may do a part of it, the request says what is missing.
    let reviewer = key(&server, "reviewer", "default").await;
    let path = format!("/api/v1/sessions/{session}/commands");
    let (_, refused) = post(&server, &reviewer, &path, json!({"type": "setContext", "key": "k", "value": 1})).await;
    assert_eq!(refused["detail"], "this needs the role engine");
}
