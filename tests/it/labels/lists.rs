//! Lists and live lists by label.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use super::set;
use crate::harness::{Socket, TestServer};

async fn assert_lists(server: &TestServer, query: &str, expected: &[&String]) {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, page) = server.get(&format!("/api/v1/sessions?limit=2&{query}{cursor}")).await;
        assert_eq!(status, 200, "{query}: {page}");
        let sessions = page["sessions"].as_array().expect("sessions");
        found.extend(sessions.iter().map(|session| session["id"].as_str().expect("an id").to_owned()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let newest_first: Vec<String> = expected.iter().rev().map(|id| (*id).clone()).collect();
    assert_eq!(found, newest_first, "{query}");
}

#[tokio::test]
async fn lists_filter_by_each_kind_of_label() {
    let server = TestServer::start().await;
    let a =
        server.create(json!({"name": "Nightly ETL", "tags": ["etl", "night"], "metadata": {"n": 5, "e": "x"}})).await;
    let b = server.create(json!({"tags": ["etl", "a, b\\c"], "metadata": {"n": "5", "ok": true, "a.b[c]": "d"}})).await;
    let c = server.create(json!({"name": "Räumung", "tags": ["Ünter"], "metadata": {"n": 5.5, "e": "x"}})).await;
    let d = server.new_session().await;
    server.command(&b, json!({"type": "start"})).await;
    for (query, expected) in [
        ("tag=etl", &[&a, &b][..]),
        ("tag=etl,night", &[&a]),
        ("tag=night,etl", &[&a]),
        ("tag=a%5C%2C%20b%5C%5Cc", &[&b]),
        ("tag=ETL", &[]),
        ("tag=%C3%9Cnter", &[&c]),
        ("tag=etl&status=running", &[&b]),
        ("name=Nightly%20ETL", &[&a]),
        ("name=nightly%20etl", &[]),
        ("metadata.n=5", &[&a, &b]),
        ("metadata.n=5.0", &[&a]),
        ("metadata.n=5.5", &[&c]),
        ("metadata%5Bn%5D=5.5", &[&c]),
        ("metadata.ok=true", &[&b]),
        ("metadata.e=x", &[&a, &c]),
        ("metadata.e=x&metadata.n=5", &[&a]),
        ("metadata.a.b%5Bc%5D=d", &[&b]),
        ("metadata.missing=x", &[]),
        ("tag=etl&metadata.ok=true&name=", &[]),
        ("text=nightly", &[&a]),
        ("text=NIGHT", &[&a]),
        ("text=r%C3%A4um", &[&c]),
        ("text=%C3%BCnt", &[&c]),
        ("text=etl&metadata.ok=true", &[&b]),
        ("", &[&a, &b, &c, &d]),
    ] {
        assert_lists(&server, query, expected).await;
    }
    server.command(&a, set(json!({"tags": ["other"], "metadata": {"n": 6}}))).await;
    for (query, expected) in [
        ("tag=etl", &[&b][..]),
        ("tag=other", &[&a]),
        ("metadata.n=5", &[&b]),
        ("metadata.n=6", &[&a]),
        ("metadata.e=x", &[&c]),
        ("text=night", &[&a]),
    ] {
        assert_lists(&server, query, expected).await;
    }
    for query in ["tag=", "tag=a,", "tag=%00", "name=%00", "metadata.k=%00", "metadata.=x", "metadata=x", "meta.k=x"] {
        server.refused(Method::GET, &format!("/api/v1/sessions?{query}"), None, "bad_request").await;
    }
    let many = (0..11).map(|n| format!("metadata.k{n}=x")).collect::<Vec<_>>().join("&");
    server.refused(Method::GET, &format!("/api/v1/sessions?{many}"), None, "bad_request").await;
}

async fn change(list: &mut Socket, kind: &str, id: &str) {
    let frame = list.frame().await;
    let about = (frame["type"].as_str(), frame["change"].as_str(), frame["session"]["id"].as_str());
    assert_eq!(about, (Some("session"), Some(kind), Some(id)), "{frame}");
}

#[tokio::test]
async fn live_lists_follow_the_labels() {
    let server = TestServer::start().await;
    let id = server.create(json!({"tags": ["a"]})).await;
    let queries = ["tag=a,b", "metadata.n=5", "metadata.n=true", "name=Run", "text=run"];
    let mut lists = Vec::new();
    for query in queries {
        let mut list = server.socket(&format!("/ws/sessions?{query}")).await;
        assert_eq!(list.frame().await["sessions"], json!([]));
        lists.push(list);
    }
    server.command(&id, set(json!({"name": "Run", "tags": ["b", "a"], "metadata": {"n": 5}}))).await;
    for at in [0, 1, 3, 4] {
        change(&mut lists[at], "added", &id).await;
    }
    server.command(&id, set(json!({"name": "other", "tags": ["b"], "metadata": {"n": true}}))).await;
    for at in [0, 1, 3, 4] {
        change(&mut lists[at], "removed", &id).await;
    }
    change(&mut lists[2], "added", &id).await;
}

#[tokio::test]
async fn the_filters_are_documented_by_the_names_they_travel_under() {
    let server = TestServer::start().await;
    let (_, document) = server.get("/api/openapi.json").await;
    let parameters = document["paths"]["/api/v1/sessions"]["get"]["parameters"].as_array().expect("parameters").clone();
    let names: BTreeSet<&str> = parameters.iter().filter_map(|parameter| parameter["name"].as_str()).collect();
    assert!(["name", "tag", "metadata"].iter().all(|name| names.contains(name)), "{names:?}");
    let metadata = parameters.iter().find(|parameter| parameter["name"] == "metadata").expect("metadata");
    assert_eq!((&metadata["style"], &metadata["explode"]), (&json!("deepObject"), &json!(true)), "{metadata}");
}

#[tokio::test]
async fn lists_and_live_lists_compare_the_same_numbers() {
    let server = TestServer::start().await;
    let cases = [
        ("12345678901234567891", &["12345678901234567890", "12345678901234567891.0"][..], "12345678901234567891"),
        ("9007199254740993", &["9007199254740992", "9007199254740992.0"], "9007199254740993"),
        ("12345678901234567890.0", &["12345678901234567890"], "12345678901234567000"),
        ("1", &["1.5", "-1"], "1.0"),
        ("0", &["1e-300"], "-0.0"),
    ];
    for (case, (value, others, equal)) in cases.into_iter().enumerate() {
        let key = format!("k{case}");
        let query = format!("metadata.{key}={value}");
        let mut list = server.socket(&format!("/ws/sessions?{query}")).await;
        list.frame_of("sessions").await;
        let create = async |text: &str| {
            let number: serde_json::Value = serde_json::from_str(text).expect("a number");
            server.create(json!({"metadata": {key.as_str(): number}})).await
        };
        for other in others {
            create(other).await;
        }
        let same = create(equal).await;
        change(&mut list, "added", &same).await;
        assert_lists(&server, &query, &[&same]).await;
    }
}
