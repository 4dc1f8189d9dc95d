//! Notices that are lost, and what finds what they would have told.

use std::time::Duration;

use relive::hub::{Head, Hub, HubOptions};
use relive::storage::Storage;
use reqwest::Method;
use serde_json::json;

use super::{promptly, two};
use crate::harness::{Database, context, eventually};
use crate::hub::running;

/// Ends the connections that notices are sent and heard on; returns how many there were.
async fn cut(storage: &Storage) -> usize {
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'relive notices'";
    sqlx::query(cut).fetch_all(storage.pool()).await.expect("cut").len()
}

#[tokio::test]
async fn what_was_committed_while_nobody_listened_is_shown_all_the_same() {
    let [here, there] = two().await;
    let id = there.running_session().await;
    let doomed = there.running_session().await;
    let mut viewer = here.socket(&format!("/ws/sessions/{id}?mode=events&after=2")).await;
    let mut lost = here.socket(&format!("/ws/sessions/{doomed}?mode=events&after=2")).await;
    let mut list = here.socket("/ws/sessions").await;
    let storage = here.database.storage();
    for round in 0..5 {
        // A notice that comes through shows that both listen.
        let revision = there.command(&id, context("before", json!(round))).await;
        promptly(viewer.until(|frame| frame["revision"] == revision)).await;
        eventually("two that send and two that listen", || async { cut(&storage).await > 0 }).await;
        // Into the dark.
        let revision = there.command(&id, context("after", json!(round))).await;
        let frame = promptly(viewer.frame()).await;
        assert_eq!((&frame["revision"], &frame["event"]["key"]), (&json!(revision), &json!("after")));
    }
    cut(&storage).await;
    let new = there.new_session().await;
    assert_eq!(there.call(Method::DELETE, &format!("/api/v1/sessions/{doomed}"), None).await.0, 204);
    assert_eq!(promptly(lost.close_code()).await, 4504);
    promptly(list.until(|frame| frame.to_string().contains(&new))).await;
}

#[tokio::test]
async fn a_look_now_and_then_finds_what_nobody_told_of() {
    let database = Database::create().await;
    let options = HubOptions { check_every: Duration::from_millis(50), ..HubOptions::default() };
    let hub = Hub::new(database.storage(), &options);
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
    .execute(hub.storage().pool())
    .await
    .expect("an event");
    sqlx::query("UPDATE sessions SET revision = 3 WHERE id = $1")
        .bind(id.0)
        .execute(hub.storage().pool())
        .await
        .unwrap();
    promptly(watched.changed()).await;
    assert_eq!(watched.head().session().revision, 3);
    sqlx::query("DELETE FROM sessions WHERE id = $1").bind(id.0).execute(hub.storage().pool()).await.unwrap();
    promptly(watched.changed()).await;
    assert!(matches!(watched.head(), Head::Deleted(_)));
}
