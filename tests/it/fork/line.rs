//! Messages and outputs along a line of forks.

use reqwest::Method;
use serde_json::{Value, json};

use super::{contents, count, fork, id_of, messages, output, said};
use crate::harness::TestServer;

/// Three sessions, each forked from the one before in the middle of what it said.
async fn line(server: &TestServer) -> [String; 3] {
    let first = server.running_session().await;
    for n in 0..4 {
        server.command(&first, said(if n % 2 == 0 { "even" } else { "odd" }, &format!("first {n}"))).await;
    }
    // Revision 4 has "first 1".
    let second = id_of(&fork(server, &first, 4).await);
    for n in 0..4 {
        server.command(&second, said(if n % 2 == 0 { "even" } else { "odd" }, &format!("second {n}"))).await;
        server.command(&first, said("late", "in the parent, after the fork")).await;
    }
    let third = id_of(&fork(server, &second, 3).await);
    server.command(&third, said("odd", "third 0")).await;
    [first, second, third]
}

#[tokio::test]
async fn what_was_said_before_is_said_in_the_fork_without_a_copy() {
    let server = TestServer::start().await;
    let [first, second, third] = line(&server).await;
    let expected = ["first 0", "first 1", "second 0", "second 1", "third 0"];
    for limit in [1, 2, 3, 4, 5, 1000] {
        assert_eq!(contents(&server, &third, "", limit).await, expected, "in pages of {limit}");
    }
    assert_eq!(
        contents(&server, &second, "", 3).await,
        ["first 0", "first 1", "second 0", "second 1", "second 2", "second 3"]
    );
    assert_eq!(contents(&server, &first, "", 100).await.len(), 8);
    assert_eq!(contents(&server, &third, "&nodeId=odd", 2).await, ["first 1", "second 1", "third 0"]);
    assert_eq!(contents(&server, &third, "&nodeId=late", 2).await, [""; 0]);
    assert_eq!(contents(&server, &third, "&agentId=nobody", 2).await, [""; 0]);
    let sessions: Vec<Value> =
        messages(&server, &third, "", 10).await.into_iter().map(|said| said["sessionId"].clone()).collect();
    assert_eq!(sessions, [&first, &first, &second, &second, &third].map(|id| json!(id)));
    let times: Vec<Value> =
        messages(&server, &third, "", 10).await.into_iter().map(|said| said["createdAt"].clone()).collect();
    assert!(times.is_sorted_by(|one, next| one.as_str() <= next.as_str()));
    assert_eq!(count(&server, "session_messages").await, 4 + 4 + 4 + 1, "nothing is stored twice");
}

#[tokio::test]
async fn a_viewer_of_the_fork_is_sent_the_forks_own_messages() {
    let server = TestServer::start().await;
    let [.., third] = line(&server).await;
    let mut viewer = server.socket(&format!("/ws/sessions/{third}?mode=events&messages=true")).await;
    assert_eq!(viewer.frame().await["event"]["type"], "created");
    let frame = viewer.frame().await;
    assert_eq!((&frame["type"], &frame["message"]["content"]), (&json!("message"), &json!("third 0")));
}

#[tokio::test]
async fn outputs_come_from_wherever_in_the_line_they_stand() {
    let server = TestServer::start().await;
    let put_out = |node: &str, output: Value| json!({"type": "setNodeStatus", "nodeId": node, "status": "completed", "output": output});
    let first = server.running_session().await;
    server.command(&first, put_out("a", json!(1))).await;
    server.command(&first, put_out("a", json!(2))).await;
    server.command(&first, put_out("b", json!({}))).await;
    server.command(&first, put_out("a", json!(3))).await;
    let second = id_of(&fork(&server, &first, 5).await);
    // The same revisions again, with other outputs.
    for n in 10..14 {
        server.command(&second, put_out("c", json!(n))).await;
    }
    let third = id_of(&fork(&server, &second, 3).await);
    server.command(&third, put_out("d", json!("d"))).await;
    for (id, expected) in
        [(&first, [3.into(), Value::Null]), (&second, [2.into(), 13.into()]), (&third, [2.into(), 11.into()])]
    {
        assert_eq!(output(&server, id, "a").await, expected[0]);
        if id != &first {
            assert_eq!(output(&server, id, "c").await, expected[1]);
        }
    }
    assert_eq!(output(&server, &third, "b").await, json!({}));
    assert_eq!(output(&server, &third, "d").await, "d");
    server.command(&third, put_out("a", json!(4))).await;
    // As it was when the fork began, and later; also when the sessions it comes from are no more.
    for deleted in [None, Some(&second), Some(&first)] {
        if let Some(deleted) = deleted {
            server.call(Method::DELETE, &format!("/api/v1/sessions/{deleted}"), None).await;
        }
        for (place, expected) in [("a?revision=1", 2.into()), ("a?revision=3", json!(4)), ("c?revision=1", 11.into())] {
            assert_eq!(output(&server, &third, place).await, expected, "{place}");
        }
        server.refused(Method::GET, &format!("/api/v1/sessions/{third}/nodes/d?revision=1"), None, "not_found").await;
    }
}

#[tokio::test]
async fn a_line_has_an_end() {
    let server = TestServer::start().await;
    let mut id = server.running_session().await;
    server.command(&id, said("n", "at the very beginning")).await;
    for _ in 0..100 {
        let revision = server.session(&id).await["revision"].as_u64().expect("a revision");
        id = id_of(&fork(&server, &id, revision).await);
    }
    assert_eq!(contents(&server, &id, "", 1).await, ["at the very beginning"]);
    server
        .refused(Method::POST, &format!("/api/v1/sessions/{id}/fork"), Some(json!({"revision": 1})), "too_large")
        .await;
}
