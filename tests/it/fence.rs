//! Two servers on one database: the journal's key decides between them.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Database, TestServer, answer};
use crate::story::{context, journal, values};

async fn two() -> [TestServer; 2] {
    let database = Database::create().await;
    [TestServer::start_on(database.clone(), |_| {}).await, TestServer::start_on(database, |_| {}).await]
}

fn commands(id: &str) -> String {
    format!("/api/v1/sessions/{id}/commands")
}

#[tokio::test]
async fn both_write_one_session_and_every_command_is_there_once() {
    let servers = two().await;
    let id = servers[0].running_session().await;
    // Each over one socket, pipelined.
    let write = |place: usize| {
        let (server, id) = (&servers[place], id.clone());
        async move {
            let mut socket = server.socket("/ws").await;
            let numbers = (0..200u64).map(|number| number * 2 + place as u64);
            for number in numbers.clone() {
                socket
                    .send(json!({"type": "command", "id": number.to_string(), "sessionId": id,
                                 "command": context(number)}))
                    .await;
            }
            let mut acked = BTreeMap::new();
            for _ in numbers {
                let ack = socket.frame().await;
                assert_eq!(ack["type"], "ack", "{ack}");
                let number: u64 = ack["id"].as_str().unwrap().parse().unwrap();
                acked.insert(number, ack["revision"].as_u64().unwrap());
            }
            acked
        }
    };
    let (one, other) = tokio::join!(write(0), write(1));
    let journal = journal(servers[0].address(), &id).await;
    let expected = one.into_iter().chain(other).collect();
    assert_eq!(values(&journal), expected);
    assert_eq!(journal.len(), 402);
    // A write through either brings it up to date.
    for server in &servers {
        let revision = server.command(&id, json!({"type": "setContext", "key": "last", "value": 1})).await;
        assert_eq!(server.get(&format!("/api/v1/sessions/{id}")).await.1["revision"], revision);
    }
}

/// Many sessions in one batch on both sides, so that batches meet in more than one of them.
#[tokio::test]
async fn batches_that_meet_in_many_sessions_get_through() {
    let servers = two().await;
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(servers[0].running_session().await);
    }
    let write = |place: usize| {
        let (server, ids) = (&servers[place], &ids);
        async move {
            for round in 0..5u64 {
                let number = round * 2 + place as u64;
                join_all(ids.iter().map(|id| server.command(id, context(number)))).await;
            }
        }
    };
    tokio::join!(write(0), write(1));
    for id in &ids {
        assert_eq!(values(&journal(servers[1].address(), id).await).len(), 10);
    }
}

#[tokio::test]
async fn a_command_id_counts_on_both() {
    let servers = two().await;
    let id = servers[0].running_session().await;
    for round in 0..20u64 {
        let send = |server: &TestServer| {
            let request = server.request(reqwest::Method::POST, &commands(&id)).json(&context(round));
            answer(request.header("Idempotency-Key", format!("key-{round}")))
        };
        let (one, other) = tokio::join!(send(&servers[0]), send(&servers[1]));
        assert_eq!((one.0.as_u16(), other.0.as_u16()), (200, 200), "{one:?} {other:?}");
        assert_eq!(one.1["revision"], other.1["revision"]);
        let duplicates = [&one.1, &other.1].iter().filter(|receipt| receipt["duplicate"] == true).count();
        assert_eq!(duplicates, 1, "{one:?} {other:?}");
    }
    assert_eq!(values(&journal(servers[0].address(), &id).await).len(), 20);
}

#[tokio::test]
async fn one_wins_each_expected_revision() {
    let servers = two().await;
    let id = servers[0].running_session().await;
    for revision in 2..22u64 {
        let send = |number: u64| {
            let server = &servers[usize::try_from(number % 2).unwrap()];
            let request = server.request(reqwest::Method::POST, &commands(&id)).json(&context(revision * 8 + number));
            answer(request.header("If-Match", format!("\"{revision}\"")))
        };
        let answers = join_all((0..6).map(send)).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(status, _)| status.is_success());
        assert_eq!(won.len(), 1, "{won:?} {lost:?}");
        assert_eq!(won[0].1["revision"], revision + 1);
        for (status, problem) in lost {
            assert_eq!((status.as_u16(), &problem["code"]), (412, &Value::from("revision_conflict")));
        }
    }
    assert_eq!(journal(servers[1].address(), &id).await.len(), 22);
}

#[tokio::test]
async fn a_session_deleted_by_the_other_is_gone_here_too() {
    let servers = two().await;
    let id = servers[0].running_session().await;
    servers[1].command(&id, context(1)).await;
    let mut viewer = servers[1].socket(&format!("/ws/sessions/{id}")).await;
    viewer.frame().await;
    let path = format!("/api/v1/sessions/{id}");
    assert_eq!(servers[0].call(reqwest::Method::DELETE, &path, None).await.0.as_u16(), 204);
    let (status, problem) = servers[1].post(&commands(&id), context(2)).await;
    assert_eq!((status.as_u16(), &problem["code"]), (404, &json!("not_found")));
    assert_eq!(servers[1].get(&path).await.0.as_u16(), 404);
    assert_eq!(viewer.close_code().await, 4504);
}

/// A driver that goes on at another server as soon as it has its answer: what it may do follows from what is stored, and
/// not from what that server has heard of.
#[tokio::test]
async fn a_command_is_not_refused_for_what_its_server_has_not_heard() {
    let [here, there] = two().await;
    let id = here.running_session().await;
    // Both have it in memory.
    let _watched =
        [here.socket(&format!("/ws/sessions/{id}")).await, there.socket(&format!("/ws/sessions/{id}")).await];
    for _ in 0..50 {
        here.command(&id, json!({"type": "pause"})).await;
        there.command(&id, json!({"type": "resume"})).await;
    }
    // One that is not allowed is refused all the same.
    let (status, problem) = there.call(Method::POST, &commands(&id), Some(json!({"type": "resume"}))).await;
    assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("illegal_transition")));
    // So is one for a session that the other server has deleted.
    let gone = here.running_session().await;
    let _watched = there.socket(&format!("/ws/sessions/{gone}")).await;
    assert_eq!(here.call(Method::DELETE, &format!("/api/v1/sessions/{gone}"), None).await.0, 204);
    let (status, _) = there.call(Method::POST, &commands(&gone), Some(json!({"type": "resume"}))).await;
    assert_eq!(status, 404);
}
