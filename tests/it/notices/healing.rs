//! Notices that are lost, and what finds what they would have told.

use std::collections::HashSet;
use std::time::Duration;

use relive::hub::{Head, Hub, HubOptions};
use relive::storage::Storage;
use reqwest::Method;
use serde_json::{Value, json};

use super::{promptly, two};
use crate::harness::{Database, context, eventually};
use crate::hub::{running, submission};

/// Ends the connections that notices are heard on; returns how many there were. Those that they are
/// sent on stay, so what is told now is told in vain.
async fn cut(storage: &Storage) -> usize {
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'relive notices' AND query LIKE 'LISTEN%'";
    sqlx::query(cut).fetch_all(storage.pool()).await.expect("cut").len()
}

#[tokio::test]
async fn what_was_committed_while_nobody_listened_is_shown_all_the_same() {
    let [here, there] = two().await;
    let (id, doomed) = (there.running_session().await, there.running_session().await);
    let mut viewer = here.socket(&format!("/ws/sessions/{id}?mode=events&after=2")).await;
    let mut lost = here.socket(&format!("/ws/sessions/{doomed}?mode=events&after=1")).await;
    lost.frame().await;
    let mut list = here.socket("/ws/sessions").await;
    let storage = here.database.storage();
    for round in 0..5 {
        // A notice that comes through shows that both listen.
        let revision = there.command(&id, context("before", json!(round))).await;
        promptly(viewer.until(|frame| frame["revision"] == revision)).await;
        eventually("one that listens", || async { cut(&storage).await > 0 }).await;
        // Into the dark.
        let revision = there.command(&id, context("after", json!(round))).await;
        let frame = promptly(viewer.frame()).await;
        assert_eq!((&frame["revision"], &frame["event"]["key"]), (&json!(revision), &json!("after")));
    }
    // Lists and deletions, too.
    let revision = there.command(&id, context("last", json!(0))).await;
    promptly(viewer.until(|frame| frame["revision"] == revision)).await;
    eventually("one that listens", || async { cut(&storage).await > 0 }).await;
    let new = there.new_session().await;
    assert_eq!(there.call(Method::DELETE, &format!("/api/v1/sessions/{doomed}"), None).await.0, 204);
    assert_eq!(promptly(lost.close_code()).await, 4504);
    // Whichever of the two it hears of and whichever it finds when it looks again.
    let mut listed = HashSet::new();
    promptly(async {
        while !listed.contains(&new) || listed.contains(&doomed) {
            follow(&mut listed, &list.frame().await);
        }
    })
    .await;
}

fn follow(listed: &mut HashSet<String>, frame: &Value) {
    let id = |session: &Value| session["id"].as_str().expect("an id").to_owned();
    match (frame["type"].as_str().expect("a type"), frame["change"].as_str()) {
        ("sessions", _) => *listed = frame["sessions"].as_array().expect("sessions").iter().map(id).collect(),
        (_, Some("removed")) => drop(listed.remove(&id(&frame["session"]))),
        _ => drop(listed.insert(id(&frame["session"]))),
    }
}

/// The connections that notices are sent on: what could not be told is told later.
#[tokio::test]
async fn what_could_not_be_told_is_told_later() {
    let [here, there] = two().await;
    let id = there.running_session().await;
    let mut viewer = here.socket(&format!("/ws/sessions/{id}?mode=events&after=2")).await;
    let storage = here.database.storage();
    for round in 0..5 {
        let revision = there.command(&id, context("k", json!(round))).await;
        promptly(viewer.until(|frame| frame["revision"] == revision)).await;
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
                   AND application_name = 'relive notices' AND query LIKE '%pg_notify%' AND pid <> pg_backend_pid()";
        assert!(!sqlx::query(cut).fetch_all(storage.pool()).await.expect("cut").is_empty());
    }
}

#[tokio::test]
async fn a_look_now_and_then_finds_what_nobody_told_of() {
    let database = Database::create().await;
    let options = HubOptions { check_every: Duration::from_millis(50), ..HubOptions::default() };
    let (storage, hub) = (database.storage(), Hub::new(database.storage(), &options));
    let id = running(&hub).await;
    let mut watched = hub.subscribe(id).await.expect("a subscription");
    watched.head();
    // As a server does that was killed between its commit and its notice.
    let event = json!({"type": "contextSet", "key": "k", "value": 1}).to_string();
    sqlx::query(
        "INSERT INTO session_events (session_id, revision, at, batch, event) VALUES ($1, 3, now(), 9, $2::json)",
    )
    .bind(id.0)
    .bind(event)
    .execute(storage.pool())
    .await
    .expect("an event");
    sqlx::query("UPDATE sessions SET revision = 3 WHERE id = $1").bind(id.0).execute(storage.pool()).await.unwrap();
    promptly(watched.changed()).await;
    assert_eq!(watched.head().session().revision, 3);
    sqlx::query("DELETE FROM sessions WHERE id = $1").bind(id.0).execute(storage.pool()).await.unwrap();
    promptly(watched.changed()).await;
    assert!(matches!(watched.head(), Head::Deleted(_)));
}

/// A session that is being read while another server commits to it: what was read may be too old. On two
/// threads, so that the one goes on while the other reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_during_the_first_read_is_not_missed() {
    let database = Database::create().await;
    let options = HubOptions { idle_after: Duration::from_millis(40), ..HubOptions::default() };
    let (here, there) = (Hub::new(database.storage(), &options), Hub::new(database.storage(), &HubOptions::default()));
    let id = running(&there).await;
    // A history that takes a while to read, without a keyframe that would shorten it.
    let large = json!({"type": "setContext", "key": "k", "value": "x".repeat(40_000)});
    there.execute(submission(id, json!(vec![large; 100]))).await.expect("a history");
    for round in 0..12u64 {
        eventually("it has left memory", || async { here.held(id).is_none() }).await;
        let writer = there.clone();
        let committing = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(round * 12)).await;
            writer.execute(submission(id, json!({"type": "setContext", "key": "n", "value": round}))).await
        });
        let mut subscription = here.subscribe(id).await.expect("watched");
        let revision = committing.await.expect("no panic").expect("committed").revision;
        promptly(async {
            while subscription.head().session().revision < revision {
                subscription.changed().await;
            }
        })
        .await;
    }
}
