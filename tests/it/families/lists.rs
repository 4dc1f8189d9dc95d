//! Lists and live lists by family, and the number of children in them.

use serde_json::{Value, json};

use super::{child, delete, summary};
use crate::harness::{Socket, TestServer};

async fn listed(server: &TestServer, query: &str) -> Vec<String> {
    let (status, page) = server.get(&format!("/api/v1/sessions?{query}")).await;
    assert_eq!(status, 200, "{page}");
    let id = |session: &Value| session["id"].as_str().expect("an id").to_owned();
    page["sessions"].as_array().expect("sessions").iter().map(id).collect()
}

#[tokio::test]
async fn lists_filter_by_parent_and_by_having_none() {
    let server = TestServer::start().await;
    let (one, other) = (server.create(json!({"tags": ["t"]})).await, server.running_session().await);
    let (a, b) = (child(&server, &one).await, child(&server, &other).await);
    let c = server.create(json!({"parentSessionId": one, "tags": ["t"]})).await;
    let d = child(&server, &c).await;
    server.command(&b, json!({"type": "start"})).await;
    for (query, expected) in [
        (format!("parentSessionId={one}"), vec![&c, &a]),
        (format!("parentSessionId={one}&limit=1"), vec![&c]),
        (format!("parentSessionId={other}"), vec![&b]),
        (format!("parentSessionId={c}"), vec![&d]),
        (format!("parentSessionId={d}"), vec![]),
        (format!("parentSessionId={one}&tag=t"), vec![&c]),
        (format!("parentSessionId={one}&rootsOnly=true"), vec![]),
        ("rootsOnly=true".to_owned(), vec![&other, &one]),
        ("rootsOnly=true&tag=t".to_owned(), vec![&one]),
        ("rootsOnly=true&status=running".to_owned(), vec![&other]),
        ("rootsOnly=false&status=running".to_owned(), vec![&b, &other]),
    ] {
        assert_eq!(listed(&server, &query).await.iter().collect::<Vec<_>>(), expected, "{query}");
    }
}

async fn next(list: &mut Socket) -> (String, String, u64) {
    let frame = list.frame().await;
    let session = &frame["session"];
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    (text(&frame["change"]), text(&session["id"]), session["childCount"].as_u64().expect("a number"))
}

#[tokio::test]
async fn the_number_of_children_is_kept_up_to_date() {
    let server = TestServer::start().await;
    let root = server.running_session().await;
    let mut list = server.socket("/ws/sessions?rootsOnly=true").await;
    assert_eq!(list.frame().await["sessions"][0]["childCount"], 0);
    let mut children = server.socket(&format!("/ws/sessions?parentSessionId={root}")).await;
    children.frame().await;
    let changed = |count| ("changed".to_owned(), root.clone(), count);
    let mut ids = Vec::new();
    for count in 1..=3 {
        let id = child(&server, &root).await;
        assert_eq!(next(&mut list).await, changed(count));
        assert_eq!(next(&mut children).await, ("added".to_owned(), id.clone(), 0));
        ids.push(id);
    }
    // What else changes in the parent comes with it.
    server.command(&root, json!({"type": "pause"})).await;
    assert_eq!(next(&mut list).await, changed(3));
    delete(&server, &ids[0]).await;
    assert_eq!(next(&mut list).await, changed(2));
    assert_eq!(next(&mut children).await.0, "removed");
    assert_eq!(summary(&server, &root).await["childCount"], 2);
}
