//! Deleting a session takes nothing from its forks.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{contents, count, fork, id_of, messages, output, said};
use crate::harness::{TestServer, node};

const LEFT_BEHIND: [&str; 5] =
    ["session_lineage", "ancestors", "ancestor_messages", "ancestor_logs", "ancestor_outputs"];

async fn delete(server: &TestServer, id: &str) {
    let (status, body) = server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await;
    assert_eq!(status, 204, "{body}");
}

async fn talk(server: &TestServer, id: &str, text: &str) {
    let put_out = json!({"type": "setNodeStatus", "nodeId": text, "status": "completed", "output": text});
    server.command(id, json!([said("n", text), put_out])).await;
}

/// Three sessions in a line, each saying and putting out something before and after it is forked.
async fn line(server: &TestServer) -> [String; 3] {
    let first = server.running_session().await;
    talk(server, &first, "one").await;
    let second = id_of(&fork(server, &first, 4).await);
    talk(server, &first, "not for the fork").await;
    talk(server, &second, "two").await;
    let third = id_of(&fork(server, &second, 3).await);
    talk(server, &second, "not for the fork").await;
    talk(server, &third, "three").await;
    [first, second, third]
}

/// Everything that is shown of a session.
async fn shown(server: &TestServer, id: &str) -> Vec<Value> {
    let mut shown =
        vec![server.session(id).await, json!(messages(server, id, "", 2).await), json!(server.events(id).await)];
    for node in ["one", "two", "three"] {
        if !shown[0]["nodes"][node].is_null() {
            shown.push(output(server, id, node).await);
        }
    }
    let (_, usage) = server.get(&format!("/api/v1/sessions/{id}/usage")).await;
    shown.push(usage);
    shown
}

#[tokio::test]
async fn in_whatever_order_a_line_is_deleted_the_rest_stays_as_it_was() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let server = TestServer::start().await;
        let sessions = line(&server).await;
        let sibling = id_of(&fork(&server, &sessions[0], 3).await);
        let mut left: Vec<&String> = sessions.iter().chain([&sibling]).collect();
        let mut before = Vec::new();
        for id in &left {
            before.push(shown(&server, id).await);
        }
        for place in order {
            delete(&server, &sessions[place]).await;
            let at = left.iter().position(|id| *id == &sessions[place]).expect("not deleted yet");
            left.remove(at);
            before.remove(at);
            for (id, before) in left.iter().zip(&before) {
                assert_eq!(&shown(&server, id).await, before, "{order:?}, after {place}");
            }
        }
        // It can be forked again, and what it has of deleted sessions goes along.
        let grandchild = id_of(&fork(&server, &sibling, 1).await);
        assert_eq!(contents(&server, &grandchild, "", 5).await, ["one"]);
        delete(&server, &sibling).await;
        assert_eq!(contents(&server, &grandchild, "", 5).await, ["one"]);
        assert_eq!(messages(&server, &grandchild, "", 5).await[0]["sessionId"], json!(sessions[0]));
        delete(&server, &grandchild).await;
        for table in LEFT_BEHIND.iter().chain(&["session_messages", "session_events", "sessions"]) {
            assert_eq!(count(&server, table).await, 0, "{table}");
        }
    }
}

#[tokio::test]
async fn only_what_forks_show_stays_behind() {
    let server = TestServer::start().await;
    let [first, second, third] = line(&server).await;
    delete(&server, &first).await;
    assert_eq!((count(&server, "ancestor_messages").await, count(&server, "ancestor_outputs").await), (1, 1));
    // Its id is free, and a new session under it has nothing to do with the forks.
    assert_eq!(server.create(json!({"id": first})).await, first);
    server.command(&first, json!({"type": "start"})).await;
    talk(&server, &first, "somebody else").await;
    assert_eq!(contents(&server, &third, "", 9).await, ["one", "two", "three"]);
    delete(&server, &first).await;
    assert_eq!(contents(&server, &second, "", 9).await, ["one", "two", "not for the fork"]);
    delete(&server, &third).await;
    delete(&server, &second).await;
    for table in LEFT_BEHIND {
        assert_eq!(count(&server, table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_group_goes_with_all_its_forks() {
    let server = TestServer::start().await;
    let (_, group) = server.post("/api/v1/groups", json!({"name": "G"})).await;
    let first = server.create(json!({"groupId": group["id"]})).await;
    server.command(&first, json!([{"type": "start"}, said("n", "x"), node("n", "running")])).await;
    let second = id_of(&fork(&server, &first, 4).await);
    fork(&server, &second, 1).await;
    let path = format!("/api/v1/groups/{}", group["id"].as_str().expect("an id"));
    let (status, body) = server.call(Method::DELETE, &path, None).await;
    assert_eq!(status, 204, "{body}");
    for table in LEFT_BEHIND.iter().chain(&["session_messages", "session_events", "sessions"]) {
        assert_eq!(count(&server, table).await, 0, "{table}");
    }
}

/// In one statement, as somebody might who works on the tables directly.
#[tokio::test]
async fn deleting_rows_by_hand_keeps_the_same_promise() {
    let server = TestServer::start().await;
    let [_, second, third] = line(&server).await;
    let storage = server.database.storage();
    let sql = "DELETE FROM sessions WHERE id <> $1::uuid";
    sqlx::query(sql).bind(&third).execute(storage.pool()).await.expect("deleted");
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    server.refused(Method::GET, &format!("/api/v1/sessions/{second}"), None, "not_found").await;
    assert_eq!(contents(&server, &third, "", 9).await, ["one", "two", "three"]);
    assert_eq!(output(&server, &third, "one").await, "one");
    sqlx::query("DELETE FROM sessions").execute(storage.pool()).await.expect("deleted");
    for table in LEFT_BEHIND {
        assert_eq!(count(&server, table).await, 0, "{table}");
    }
}

/// A fork is made of a session that is being deleted: either there is no fork, or it is whole.
#[tokio::test]
async fn a_fork_and_a_deletion_at_the_same_time_lose_nothing() {
    let server = TestServer::start().await;
    for _ in 0..20 {
        let [first, second, third] = line(&server).await;
        let forks = (0..4).map(|_| {
            let path = format!("/api/v1/sessions/{third}/fork");
            let server = &server;
            async move { server.post(&path, json!({"revision": 3})).await }
        });
        let deletions = [&first, &second, &third].map(|id| delete(&server, id));
        let (forks, _) = tokio::join!(join_all(forks), join_all(deletions));
        for (status, fork) in forks {
            if status == 201 {
                let id = id_of(&fork);
                assert_eq!(contents(&server, &id, "", 9).await, ["one", "two", "three"]);
                for node in ["one", "two", "three"] {
                    assert_eq!(output(&server, &id, node).await, node);
                }
                delete(&server, &id).await;
            } else {
                assert_eq!(status, 404, "{fork}");
            }
        }
    }
    for table in LEFT_BEHIND {
        assert_eq!(count(&server, table).await, 0, "{table}");
    }
}
