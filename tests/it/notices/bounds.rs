//! What notices cost, and whom.

use std::time::{Duration, Instant};

use relive::storage::{Listener, Storage};
use serde_json::{Value, json};

use super::{promptly, two};
use crate::harness::{TestServer, context};

const MARK: &str = "mark";

/// All notices so far. Whoever sends notices does so without delay, but not before the mark is set.
async fn heard(storage: &Storage, listener: &mut Listener) -> Vec<String> {
    storage.notifier().notify(&[MARK.to_owned()]).await.expect("a mark");
    let mut payloads = Vec::new();
    loop {
        let payload = promptly(listener.next()).await.expect("a notice");
        if payload == MARK {
            return payloads;
        }
        payloads.push(payload);
    }
}

async fn pipeline(server: &TestServer, ids: &[String], number: usize) {
    let mut socket = server.socket("/ws").await;
    let write = |n: usize| {
        let id = &ids[n % ids.len()];
        json!({"type": "command", "id": n.to_string(), "sessionId": id, "command": context("n", json!(n))})
    };
    for n in 0..number {
        socket.send(write(n)).await;
    }
    for _ in 0..number {
        assert_eq!(socket.frame().await["type"], "ack");
    }
}

#[tokio::test]
async fn a_server_alone_tells_nobody() {
    let server = TestServer::start().await;
    let storage = server.database.storage();
    let mut listener = storage.listen().await.expect("listening");
    let id = server.running_session().await;
    pipeline(&server, std::slice::from_ref(&id), 200).await;
    let alone = heard(&storage, &mut listener).await;
    assert!(alone.iter().all(|payload| !payload.contains(&id)), "{alone:?}");
    // With another one it does.
    let other = TestServer::start_on(server.database.clone(), |_| {}).await;
    promptly(async {
        while heard(&storage, &mut listener).await.iter().all(|payload| !payload.contains(&id)) {
            server.command(&id, context("k", json!(1))).await;
        }
    })
    .await;
    // And no longer when the other one has left.
    other.stop().await;
    promptly(async {
        loop {
            heard(&storage, &mut listener).await;
            server.command(&id, context("k", json!(2))).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            if heard(&storage, &mut listener).await.iter().all(|payload| !payload.contains(&id)) {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn many_commits_become_few_notices_and_the_newest_is_told() {
    let [here, there] = two().await;
    let mut ids = Vec::new();
    for _ in 0..150 {
        ids.push(there.running_session().await);
    }
    let mut viewer = here.socket(&format!("/ws/sessions/{}", ids[0])).await;
    // That it is told at all.
    there.command(&ids[0], context("n", json!("begin"))).await;
    promptly(viewer.until(|frame| frame["revision"] == 3)).await;
    let storage = here.database.storage();
    let mut listener = storage.listen().await.expect("listening");
    let began = Instant::now();
    pipeline(&there, &ids, 6_000).await;
    promptly(viewer.until(|frame| frame["revision"] == 43)).await;
    let payloads = heard(&storage, &mut listener).await;
    let elapsed = began.elapsed();
    let told: Vec<Value> = payloads.iter().filter_map(|payload| serde_json::from_str(&payload[36..]).ok()).collect();
    // A statement every 5 ms at most, and two notices for 150 sessions.
    let most = 2 * (elapsed.as_millis() / 5 + 2) as usize;
    assert!(told.len() <= most, "{} notices in {elapsed:?}", told.len());
    assert!(payloads.iter().all(|payload| payload.len() < 8_000));
    let newest = |id: &String| {
        let of = |notice: &Value| notice["changed"].as_array().cloned().unwrap_or_default();
        let changes = told.iter().flat_map(of).filter(|change| change[0] == **id);
        changes.map(|change| change[1].as_u64().expect("a revision")).max()
    };
    assert_eq!(newest(&ids[0]), Some(43));
}

#[tokio::test]
async fn commits_one_after_the_other_are_not_told_one_by_one() {
    let [here, there] = two().await;
    let id = there.running_session().await;
    let mut viewer = here.socket(&format!("/ws/sessions/{id}")).await;
    there.command(&id, context("n", json!("begin"))).await;
    promptly(viewer.until(|frame| frame["revision"] == 3)).await;
    let storage = here.database.storage();
    let mut listener = storage.listen().await.expect("listening");
    let began = Instant::now();
    let mut socket = there.socket("/ws").await;
    for n in 0..600 {
        socket.send(json!({"type": "command", "id": "c", "sessionId": id, "command": context("n", json!(n))})).await;
        assert_eq!(socket.frame().await["type"], "ack");
    }
    promptly(viewer.until(|frame| frame["revision"] == 603)).await;
    let told = heard(&storage, &mut listener).await.iter().filter(|payload| payload.contains(&id)).count();
    assert!(told <= began.elapsed().as_millis() as usize / 5 + 2, "{told} notices in {:?}", began.elapsed());
}

/// What others write into the channel does no harm.
#[tokio::test]
async fn notices_that_nobody_understands_are_passed_over() {
    let [here, there] = two().await;
    let id = there.running_session().await;
    let mut viewer = here.socket(&format!("/ws/sessions/{id}?after=2")).await;
    let nobody = uuid::Uuid::now_v7();
    let strange = ["", "x", "{}", "null", r#"{"changed":[["x",1]]}"#, r#"{"later":true}"#, "[]"];
    let mut payloads: Vec<String> = strange.iter().map(|body| format!("{nobody}{body}")).collect();
    payloads.extend(strange.map(str::to_owned));
    payloads.push("ü".repeat(3_000));
    // A revision that the session has not reached, and a session that is not there.
    payloads.push(format!(r#"{nobody}{{"changed":[["{id}",{}],["{nobody}",7]]}}"#, u64::MAX));
    here.database.storage().notifier().notify(&payloads).await.expect("sent");
    let revision = there.command(&id, context("k", json!(1))).await;
    assert_eq!(promptly(viewer.frame()).await["revision"], revision);
}
