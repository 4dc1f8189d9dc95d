//! The live list: which sessions match, and what becomes of them.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Socket, TestServer, context, node};

/// The next change, which must be of this kind and about this session; returns its summary.
async fn change(list: &mut Socket, kind: &str, id: &str) -> Value {
    let mut frame = list.frame().await;
    let about = (frame["type"].as_str(), frame["change"].as_str(), frame["session"]["id"].as_str());
    assert_eq!(about, (Some("session"), Some(kind), Some(id)), "{frame}");
    frame["session"].take()
}

async fn delete(server: &TestServer, path: &str) {
    let (status, _) = server.call(Method::DELETE, path, None).await;
    assert_eq!(status, 204, "{path}");
}

#[tokio::test]
async fn the_list_comes_first_newest_first_and_then_its_changes() {
    let server = TestServer::start().await;
    let (first, second) = (server.new_session().await, server.running_session().await);
    let mut list = server.socket("/ws/sessions").await;
    let whole = list.frame().await;
    assert_eq!(whole["type"], "sessions");
    assert_eq!(whole["sessions"], server.get("/api/v1/sessions").await.1["sessions"]);
    let ids: Vec<_> = whole["sessions"].as_array().expect("sessions").iter().map(|session| &session["id"]).collect();
    assert_eq!(ids, [&json!(second), &json!(first)]);

    let third = server.new_session().await;
    assert_eq!(change(&mut list, "added", &third).await["status"], "pending");
    server.command(&third, json!([{"type": "start"}, node("a", "running"), context("k", json!(1))])).await;
    let summary = change(&mut list, "changed", &third).await;
    assert_eq!((&summary["revision"], &summary["nodeCounts"]["running"]), (&json!(4), &json!(1)));
    assert!(summary.get("nodes").is_none() && summary.get("contextData").is_none(), "{summary}");
    delete(&server, &format!("/api/v1/sessions/{first}")).await;
    change(&mut list, "removed", &first).await;
}

#[tokio::test]
async fn a_session_enters_and_leaves_a_filtered_list() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    let mut list = server.socket("/ws/sessions?status=running,paused").await;
    assert_eq!(list.frame().await, json!({"type": "sessions", "sessions": []}));
    server.command(&id, context("not yet", json!(1))).await;
    for (command, expected, status) in
        [("start", "added", "running"), ("pause", "changed", "paused"), ("stop", "removed", "failed")]
    {
        server.command(&id, json!({"type": command})).await;
        assert_eq!(change(&mut list, expected, &id).await["status"], status);
    }
    // What never matched is never mentioned: the next change is another session's.
    delete(&server, &format!("/api/v1/sessions/{id}")).await;
    let next = server.running_session().await;
    change(&mut list, "added", &next).await;
}

#[tokio::test]
async fn lists_filter_by_group_workflow_and_node() {
    let server = TestServer::start().await;
    let (_, group) = server.post("/api/v1/groups", json!({"name": "g"})).await;
    let graph = crate::harness::chain(&["a", "b"]);
    let (_, workflow) = server.post("/api/v1/workflows", json!({"name": "w", "graph": graph})).await;
    let [group, workflow] = [&group, &workflow].map(|row| row["id"].as_str().expect("an id").to_owned());
    let mut by_group = server.socket(&format!("/ws/sessions?groupId={group}")).await;
    let mut by_workflow = server.socket(&format!("/ws/sessions?workflowId={workflow}")).await;
    let mut by_node = server.socket("/ws/sessions?nodeId=a&nodeStatus=suspended").await;
    for list in [&mut by_group, &mut by_workflow, &mut by_node] {
        assert_eq!(list.frame().await["sessions"], json!([]));
    }
    server.running_session().await;
    let id = server.create(json!({"groupId": group, "workflowId": workflow})).await;
    change(&mut by_group, "added", &id).await;
    assert_eq!(change(&mut by_workflow, "added", &id).await["workflowName"], "w");
    server.command(&id, json!([{"type": "start"}, node("a", "running"), node("a", "suspended")])).await;
    assert_eq!(change(&mut by_node, "added", &id).await["nodeCounts"]["suspended"], 1);
    server.command(&id, node("a", "completed")).await;
    change(&mut by_node, "removed", &id).await;
    delete(&server, &format!("/api/v1/groups/{group}")).await;
    by_group.until(|frame| frame["change"] == "removed" && frame["session"]["id"] == json!(id)).await;
}

#[tokio::test]
async fn lists_filter_by_text() {
    let server = TestServer::start().await;
    let graph = crate::harness::chain(&["a"]);
    let (_, workflow) = server.post("/api/v1/workflows", json!({"name": "Nightly Räumung", "graph": graph})).await;
    let own = "abcdef01-0000-4000-8000-00000000ab10";
    let mut by_name = server.socket("/ws/sessions?text=rÄUM").await;
    let mut by_error = server.socket("/ws/sessions?text=refused").await;
    let mut by_id = server.socket("/ws/sessions?text=ABCDEF01-00").await;
    for list in [&mut by_name, &mut by_error, &mut by_id] {
        assert_eq!(list.frame().await["sessions"], json!([]));
    }
    let named = server.create(json!({"workflowId": workflow["id"]})).await;
    change(&mut by_name, "added", &named).await;
    let failed = server.running_session().await;
    server.command(&failed, json!({"type": "fail", "error": "Refused"})).await;
    change(&mut by_error, "added", &failed).await;
    server.create(json!({"id": own})).await;
    change(&mut by_id, "added", own).await;
    // Had one been shown what is not its own, that would come before this.
    for (list, id) in [(&mut by_name, named.as_str()), (&mut by_error, &failed), (&mut by_id, own)] {
        delete(&server, &format!("/api/v1/sessions/{id}")).await;
        change(list, "removed", id).await;
    }
}

#[tokio::test]
async fn changes_in_quick_succession_are_shown_as_one() {
    const CHANGES: u64 = 500;
    /// A list sends what has changed at most once in this time.
    const ROUND: Duration = Duration::from_millis(50);
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut list = server.socket("/ws/sessions").await;
    list.frame().await;
    let began = Instant::now();
    for n in 0..CHANGES / 2 {
        server.command(&id, json!([context("k", json!(n)), context("k", json!("-"))])).await;
    }
    let rounds = began.elapsed().as_millis() / ROUND.as_millis();
    let mut revisions = Vec::new();
    while revisions.last() != Some(&(CHANGES + 2)) {
        revisions.push(change(&mut list, "changed", &id).await["revision"].as_u64().expect("a revision"));
    }
    assert!(revisions.is_sorted_by(|earlier, later| earlier < later), "{revisions:?}");
    assert!(revisions.len() as u128 <= rounds + 3, "{} were shown in {rounds} rounds", revisions.len());
}

#[tokio::test]
async fn a_list_begins_with_as_many_as_it_was_asked_for() {
    let server = TestServer::start().await;
    for _ in 0..4 {
        server.new_session().await;
    }
    let newest = server.new_session().await;
    let mut list = server.socket("/ws/sessions?limit=2").await;
    let first = list.frame().await;
    assert_eq!((first["sessions"].as_array().map(Vec::len), &first["sessions"][0]["id"]), (Some(2), &json!(newest)));
}

#[tokio::test]
async fn a_filter_that_cannot_be_understood_is_not_to_be_tried_again() {
    let server = TestServer::start().await;
    for query in [
        "status=odd",
        "limit=0",
        "limit=201",
        "nodeId=a",
        "groupId=x",
        "startedAfter=noon",
        "nodeStatus=running",
        "text=",
    ] {
        let mut list = server.socket(&format!("/ws/sessions?{query}")).await;
        let error = list.frame().await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("bad_request")), "{query}");
        assert_eq!(list.close_code().await, 4501, "{query}");
    }
}

/// A client reads older rows by the cursor of the first frame, so a list also tells of rows that it never sent.
#[tokio::test]
async fn rows_beyond_the_first_page_are_removed_too() {
    let server = TestServer::start().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(server.running_session().await);
    }
    let mut list = server.socket("/ws/sessions?status=running&limit=2").await;
    let first = list.frame().await;
    let shown: Vec<_> = first["sessions"].as_array().expect("rows").iter().map(|row| row["id"].clone()).collect();
    assert_eq!(shown, [json!(ids[4]), json!(ids[3])]);
    let cursor = first["nextCursor"].as_str().expect("there are more");
    let (_, older) = server.get(&format!("/api/v1/sessions?status=running&limit=9&cursor={cursor}")).await;
    let read: Vec<_> = older["sessions"].as_array().expect("rows").iter().map(|row| row["id"].clone()).collect();
    assert_eq!(read, [json!(ids[2]), json!(ids[1]), json!(ids[0])]);

    server.command(&ids[1], json!({"type": "cancel"})).await;
    change(&mut list, "removed", &ids[1]).await;
    delete(&server, &format!("/api/v1/sessions/{}", ids[0])).await;
    change(&mut list, "removed", &ids[0]).await;
    server.command(&ids[2], context("k", json!(1))).await;
    change(&mut list, "added", &ids[2]).await;
    // Gone already, and newer than the list: neither is mentioned.
    delete(&server, &format!("/api/v1/sessions/{}", ids[1])).await;
    delete(&server, &format!("/api/v1/sessions/{}", server.new_session().await)).await;
    let next = server.running_session().await;
    change(&mut list, "added", &next).await;
}

#[tokio::test]
async fn lists_and_live_lists_ignore_case_alike() {
    let server = TestServer::start().await;
    // A sigma at the end of a word, and a letter whose lower case is two characters for some.
    for (name, text) in [("ΟΔΟΣ", "ΟΔΟΣ"), ("Η ΟΔΟΣ", "η οδοσ"), ("İstanbul", "İSTAN"), ("İstanbul", "istan")]
    {
        let text: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut list = server.socket(&format!("/ws/sessions?text={text}")).await;
        list.frame_of("sessions").await;
        let id = server.create(json!({"name": name})).await;
        let (_, page) = server.get(&format!("/api/v1/sessions?text={text}")).await;
        assert_eq!(page["sessions"][0]["id"], json!(id), "{text}: {page}");
        change(&mut list, "added", &id).await;
        delete(&server, &format!("/api/v1/sessions/{id}")).await;
    }
}
