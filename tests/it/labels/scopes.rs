//! `read:tags:{tag}`: what a session's tags are decides who reads it, at the time of reading.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::set;
use crate::harness::{Socket, TestServer};

const ROOT: &str = "a root key of more than 24 characters";

async fn server() -> TestServer {
    TestServer::start_with(|config| config.access.root_key = Some(ROOT.to_owned().into())).await
}

async fn call(server: &TestServer, token: &str, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let request = server.request(method, path).bearer_auth(token);
    let request = if body.is_null() { request } else { request.json(&body) };
    crate::harness::answer(request).await
}

async fn get(server: &TestServer, token: &str, path: &str) -> (StatusCode, Value) {
    call(server, token, Method::GET, path, Value::Null).await
}

async fn create(server: &TestServer, body: Value) -> String {
    let (status, made) = call(server, ROOT, Method::POST, "/api/v1/sessions", body).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

async fn command(server: &TestServer, token: &str, id: &str, command: Value) -> StatusCode {
    call(server, token, Method::POST, &format!("/api/v1/sessions/{id}/commands"), command).await.0
}

async fn tag(server: &TestServer, id: &str, tags: &[&str]) {
    assert_eq!(command(server, ROOT, id, set(json!({"tags": tags, "name": "secret"}))).await, 200);
}

async fn token(server: &TestServer, scopes: &[&str]) -> String {
    let (status, made) = call(server, ROOT, Method::POST, "/api/v1/tokens", json!({"scopes": scopes})).await;
    assert_eq!(status, 201, "{made}");
    made["token"].as_str().expect("a token").to_owned()
}

async fn key(server: &TestServer, role: &str) -> String {
    let (status, made) = call(server, ROOT, Method::POST, "/api/v1/keys", json!({"name": role, "role": role})).await;
    assert_eq!(status, 201, "{made}");
    made["key"].as_str().expect("a key").to_owned()
}

async fn socket(server: &TestServer, token: &str, path: &str) -> Socket {
    let mut request = format!("ws://{}{path}", server.address()).into_client_request().expect("a request");
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    let (stream, _) = connect_async(request).await.expect("a WebSocket");
    Socket { stream }
}

#[tokio::test]
async fn a_tag_makes_a_session_readable_and_listed_while_it_has_it() {
    let server = server().await;
    let shown = create(&server, json!({"tags": ["public", "x"]})).await;
    let hidden = create(&server, json!({"tags": ["publicity"]})).await;
    let guest = token(&server, &["read:tags:public", "read:tags:other"]).await;
    let paths = |id: &str| ["", "/events", "/export", "/messages"].map(|rest| format!("/api/v1/sessions/{id}{rest}"));
    for path in paths(&shown) {
        let response = server.request(Method::GET, &path).bearer_auth(&guest).send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{path}");
    }
    for path in paths(&hidden) {
        assert_eq!(get(&server, &guest, &path).await.0, 403, "{path}");
    }
    let listed = async |query: &str| {
        let (_, page) = get(&server, &guest, &format!("/api/v1/sessions?{query}")).await;
        page["sessions"].as_array().expect("sessions").iter().map(|s| s["id"].clone()).collect::<Vec<_>>()
    };
    for query in ["", "tag=x", "status=pending,running", "startedAfter=2000-01-01T00:00:00Z&tag=no"] {
        let expected = if query.ends_with("no") { vec![] } else { vec![json!(shown)] };
        assert_eq!(listed(query).await, expected, "{query}");
    }
    tag(&server, &shown, &["x"]).await;
    tag(&server, &hidden, &["other"]).await;
    for path in paths(&shown) {
        assert_eq!(get(&server, &guest, &path).await.0, 403, "{path}");
    }
    assert_eq!(listed("").await, [json!(hidden)]);
    assert_eq!(listed("tag=x").await, [] as [Value; 0]);
}

#[tokio::test]
async fn open_sockets_are_shown_nothing_after_the_tag_is_gone() {
    let server = server().await;
    let id = create(&server, json!({"tags": ["public"]})).await;
    let other = create(&server, json!({"tags": ["public"]})).await;
    let guest = token(&server, &["read:tags:public"]).await;
    let by_id = token(&server, &["read:tags:public", &format!("read:sessions:{id}")]).await;
    let mut alone = Vec::new();
    for path in ["?mode=snapshot", "?mode=events", "/replay", "/replay?mode=events&paused=true"] {
        let mut socket = socket(&server, &guest, &format!("/ws/sessions/{id}{path}")).await;
        socket.frame().await;
        alone.push(socket);
    }
    let mut many = socket(&server, &guest, "/ws").await;
    for id in [&id, &other] {
        many.send(json!({"type": "subscribe", "sessionId": id, "mode": "events"})).await;
        many.until(|frame| frame["event"]["type"] == "created").await;
    }
    let mut may_stay = socket(&server, &by_id, &format!("/ws/sessions/{id}?mode=events")).await;
    may_stay.frame().await;

    tag(&server, &id, &["private"]).await;
    for socket in &mut alone {
        let error = socket.until(|frame| frame["type"] != "replayState").await;
        assert_eq!(
            (&error["type"], &error["code"], &error["sessionId"]),
            (&json!("error"), &json!("forbidden"), &json!(id))
        );
        assert_eq!(socket.close_code().await, 4503);
    }
    let error = many.frame().await;
    assert_eq!((&error["code"], &error["sessionId"]), (&json!("forbidden"), &json!(id)), "{error}");
    // It is unsubscribed: later changes are not shown, those of the other session are.
    tag(&server, &id, &["public"]).await;
    command(&server, ROOT, &other, json!({"type": "start"})).await;
    let next = many.frame().await;
    assert_eq!((&next["sessionId"], &next["event"]["type"]), (&json!(other), &json!("started")), "{next}");
    // A scope for the session itself does not depend on its tags.
    for tags in ["private", "public"] {
        assert_eq!(may_stay.frame().await["event"]["tags"], json!([tags]));
    }
    // It has the tag again, and can be subscribed to again.
    many.send(json!({"type": "subscribe", "sessionId": id})).await;
    assert_eq!(many.frame_of("snapshot").await["session"]["tags"], json!(["public"]));
}

#[tokio::test]
async fn live_lists_remove_what_has_lost_the_tag_and_say_nothing_of_it() {
    let server = server().await;
    let id = create(&server, json!({"tags": ["public"]})).await;
    let guest = token(&server, &["read:tags:public"]).await;
    let mut list = socket(&server, &guest, "/ws/sessions").await;
    assert_eq!(list.frame().await["sessions"][0]["id"], json!(id));
    tag(&server, &id, &["private"]).await;
    let removed = list.frame().await;
    assert_eq!((&removed["change"], &removed["session"]["id"]), (&json!("removed"), &json!(id)));
    assert!(!removed.to_string().contains("secret") && !removed.to_string().contains("private"), "{removed}");
    // What is hidden is not mentioned; what gets the tag is added.
    command(&server, ROOT, &id, json!({"type": "start"})).await;
    let next = create(&server, json!({})).await;
    tag(&server, &next, &["public"]).await;
    let added = list.frame().await;
    assert_eq!((&added["change"], &added["session"]["id"]), (&json!("added"), &json!(next)), "{added}");
}

#[tokio::test]
async fn an_exchanged_token_is_asked_for_from_then_on() {
    let server = server().await;
    let id = create(&server, json!({"tags": ["public"]})).await;
    let (all, guest) = (token(&server, &["read:sessions"]).await, token(&server, &["read:tags:public"]).await);
    let mut socket = socket(&server, &all, &format!("/ws/sessions/{id}?mode=events")).await;
    socket.frame().await;
    socket.send(json!({"type": "auth", "token": guest})).await;
    socket.frame_of("authenticated").await;
    tag(&server, &id, &[]).await;
    assert_eq!(socket.frame().await["code"], "forbidden");
    assert_eq!(socket.close_code().await, 4503);
}

#[tokio::test]
async fn labels_are_set_by_operators_and_engines_and_by_tokens_that_write() {
    let server = server().await;
    let id = create(&server, json!({})).await;
    let writes = token(&server, &[&format!("write:sessions:{id}")]).await;
    let controls = token(&server, &[&format!("control:sessions:{id}")]).await;
    let mut callers = vec![(writes, 200), (controls, 403)];
    for (role, status) in [("viewer", 403), ("reviewer", 403), ("operator", 200), ("engine", 200), ("admin", 200)] {
        callers.push((key(&server, role).await, status));
    }
    for (number, (caller, expected)) in callers.into_iter().enumerate() {
        let fields = set(json!({"name": number.to_string()}));
        assert_eq!(command(&server, &caller, &id, fields).await, expected, "{number}");
    }
}

/// Otherwise it could let itself and others see the session.
#[tokio::test]
async fn a_token_that_writes_changes_no_tags_of_what_it_may_not_read() {
    let server = server().await;
    let id = create(&server, json!({"tags": ["private"]})).await;
    let write = format!("write:sessions:{id}");
    let sly = token(&server, &[&write, "read:tags:public"]).await;
    for tags in [json!(["public"]), json!([])] {
        assert_eq!(command(&server, &sly, &id, set(json!({"tags": tags, "name": "n"}))).await, 403, "{tags}");
    }
    // Nor as one command of several, or on a socket.
    let several = json!([{"type": "setContext", "key": "k", "value": 1}, set(json!({"tags": ["public"]}))]);
    assert_eq!(command(&server, &sly, &id, several).await, 403);
    let mut socket = socket(&server, &sly, "/ws").await;
    let frame = json!({"type": "command", "id": "c", "sessionId": id, "command": set(json!({"tags": ["public"]}))});
    socket.send(frame).await;
    assert_eq!(socket.frame().await["code"], "forbidden");
    assert_eq!(get(&server, &sly, &format!("/api/v1/sessions/{id}")).await.0, 403);
    assert_eq!(command(&server, &sly, &id, set(json!({"name": "n", "metadata": {"k": 1}}))).await, 200);
    for read in ["read:sessions".to_owned(), format!("read:sessions:{id}")] {
        let reads = token(&server, &[&write, &read]).await;
        assert_eq!(command(&server, &reads, &id, set(json!({"tags": ["public"]}))).await, 200, "{read}");
    }
    assert_eq!(get(&server, &sly, &format!("/api/v1/sessions/{id}")).await.0, 200);
}

#[tokio::test]
async fn children_that_a_reader_may_not_see_are_not_counted() {
    let server = server().await;
    let parent = create(&server, json!({"tags": ["public"]})).await;
    let child = async |tags: Value| create(&server, json!({"parentSessionId": parent, "tags": tags})).await;
    let (shown, hidden) = (child(json!(["public"])).await, child(json!(["private"])).await);
    let guest = token(&server, &["read:tags:public"]).await;
    let all = token(&server, &["read:sessions"]).await;
    let count = async |token: &str| {
        let (_, page) = get(&server, token, "/api/v1/sessions").await;
        let sessions = page["sessions"].as_array().expect("sessions").clone();
        let found = sessions.into_iter().find(|session| session["id"] == parent).expect("the parent");
        found["childCount"].as_u64().expect("a number")
    };
    assert_eq!((count(&guest).await, count(&all).await), (1, 2));

    let (mut list, mut whole) =
        (socket(&server, &guest, "/ws/sessions").await, socket(&server, &all, "/ws/sessions?rootsOnly=true").await);
    let rows = list.frame().await["sessions"].clone();
    let row = rows.as_array().expect("sessions").iter().find(|session| session["id"] == parent).expect("the parent");
    assert_eq!(row["childCount"], 1);
    whole.frame().await;
    child(json!(["private"])).await;
    assert_eq!(whole.frame().await["session"]["childCount"], 3);
    child(json!(["public"])).await;
    assert_eq!(whole.frame().await["session"]["childCount"], 4);
    // Nothing was said of the hidden one: what comes is the public one, and the parent with it.
    let mut counts = Vec::new();
    while counts.len() < 2 {
        let frame = list.frame().await;
        counts.push((
            frame["change"].clone(),
            frame["session"]["id"] == parent,
            frame["session"]["childCount"].clone(),
        ));
    }
    counts.sort_by_key(|(_, is_parent, _)| *is_parent);
    let expected = [(json!("added"), false, json!(0)), (json!("changed"), true, json!(2))];
    assert_eq!(counts, expected);
    assert_eq!(call(&server, ROOT, Method::DELETE, &format!("/api/v1/sessions/{hidden}"), Value::Null).await.0, 204);
    assert_eq!((count(&guest).await, count(&all).await), (2, 3));
    tag(&server, &shown, &["private"]).await;
    assert_eq!((count(&guest).await, count(&all).await), (1, 3));
}
