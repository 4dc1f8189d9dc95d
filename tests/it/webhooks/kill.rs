//! `kill -9` of the server in the middle of a thousand deliveries loses none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};

use super::ALL;
use crate::harness::{Answer, Database, Receiver, ServerProcess, eventually};

const SESSIONS: usize = 250;
/// Each session is created, started, has a node that fails, and ends.
const DELIVERIES: usize = SESSIONS * 4;

async fn start(database: &Database) -> ServerProcess {
    let url = database.url();
    let settings =
        [("DATABASE_URL", url.as_str()), ("RELIVE_EMBEDDING_DIM", "8"), ("RELIVE_WEBHOOK_ALLOW_PRIVATE", "true")];
    ServerProcess::start(&settings).await
}

async fn post(http: &Client, server: &ServerProcess, path: &str, body: Value) -> Value {
    let url = format!("http://{}/api/v1/{path}", server.address);
    let answer = http.post(url).json(&body).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.json().await.expect("JSON")
}

async fn run(http: &Client, server: &ServerProcess) -> String {
    let session = post(http, server, "sessions", json!({})).await["id"].as_str().expect("an id").to_owned();
    let commands = json!([
        {"type": "start"},
        {"type": "setNodeStatus", "nodeId": "n", "status": "failed"},
        {"type": "fail", "error": "it broke"},
    ]);
    post(http, server, &format!("sessions/{session}/commands"), commands).await;
    session
}

#[tokio::test]
async fn a_server_that_is_killed_loses_no_delivery() {
    let database = Database::create().await;
    let mut server = start(&database).await;
    // Slow enough that most of them wait.
    let receiver = Receiver::answering(|_| Answer::Late(Duration::from_millis(20), 200)).await;
    let http = Client::new();
    post(&http, &server, "webhooks", json!({"url": receiver.url(), "types": ALL})).await;
    let mut sessions = BTreeSet::new();
    for _ in 0..SESSIONS {
        sessions.insert(run(&http, &server).await);
    }
    for share in [DELIVERIES / 4, DELIVERIES / 2] {
        eventually("a part is told", async || receiver.count() >= share).await;
        server.kill().await;
        let told = receiver.count();
        assert!(told < DELIVERIES, "all were told before the server was killed");
        // The next one does not wait for the lease of the one that was killed.
        let sql = "UPDATE webhooks SET leased_until = now() - interval '1 second'";
        sqlx::query(sql).execute(database.storage().pool()).await.expect("expired");
        server = start(&database).await;
    }
    let distinct = || receiver.received().into_iter().map(|one| one.id).collect::<BTreeSet<_>>().len();
    let began = std::time::Instant::now();
    while distinct() < DELIVERIES {
        assert!(began.elapsed() < Duration::from_secs(60), "only {} of {DELIVERIES} were told", distinct());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let received = receiver.received();
    let mut by_session: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut bodies: BTreeMap<String, String> = BTreeMap::new();
    for one in &received {
        let revisions = by_session.entry(one.session()).or_default();
        // Again, but never an earlier one.
        assert!(revisions.last().is_none_or(|last| *last <= one.revision()), "out of order");
        if revisions.last() != Some(&one.revision()) {
            revisions.push(one.revision());
        }
        let body = bodies.entry(one.id.clone()).or_insert_with(|| one.body.clone());
        assert_eq!(*body, one.body, "the same id means the same");
    }
    assert_eq!(by_session.keys().cloned().collect::<BTreeSet<_>>(), sessions);
    assert!(by_session.values().all(|revisions| revisions == &[1, 2, 3, 4]));
    // At most those that were in flight are told again, for each time that the server was killed.
    assert!(received.len() <= DELIVERIES + 2 * 16, "{} requests for {DELIVERIES} deliveries", received.len());
    server.kill().await;
}
