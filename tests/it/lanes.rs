//! Lanes under pressure: floods, locks, a database that does not answer, clients that leave.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use relive::hub::{CommandResult, CreateOptions, FeedChange, Head, Hub, HubError, HubOptions, ReplyTo};
use relive::storage::Storage;
use relive_session::{Created, SessionId, Timestamp};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::{PgPoolOptions, Postgres};
use tokio::sync::oneshot;

use crate::harness::{DEADLINE, Database, TestServer, eventually};
use crate::hub::{running, submission};

fn one_lane() -> HubOptions {
    HubOptions { lanes: 1, answer_within: Duration::from_secs(60), ..HubOptions::default() }
}

fn context(value: u64) -> Value {
    json!({"type": "setContext", "key": "k", "value": value})
}

/// Connections of the test's own, which hold locks.
async fn outside(database: &Database) -> PgPool {
    PgPoolOptions::new().connect_with(database.options()).await.expect("a connection")
}

async fn lock_row(pool: &PgPool, id: SessionId) -> sqlx::Transaction<'static, Postgres> {
    let mut transaction = pool.begin().await.expect("a transaction");
    sqlx::query("SELECT FROM sessions WHERE id = $1 FOR UPDATE")
        .bind(id.0)
        .execute(&mut *transaction)
        .await
        .expect("a lock");
    transaction
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("in time")
}

async fn submit(hub: &Hub, id: SessionId, commands: Value) -> oneshot::Receiver<CommandResult> {
    let (reply, answer) = ReplyTo::once();
    in_time(hub.submit(submission(id, commands), reply)).await.expect("a place");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_in_one_session_holds_up_no_other() {
    let database = Database::create().await;
    let hub = Hub::new(database.storage(), &one_lane());
    let (flooded, other) = (running(&hub).await, running(&hub).await);
    let message = json!({"type": "addMessage", "nodeId": "n", "content": "hello"});
    let frame = Value::Array(vec![message; 1_000]);
    let flood = tokio::spawn({
        let hub = hub.clone();
        async move {
            let mut answers = Vec::new();
            for _ in 0..40 {
                answers.push(submit(&hub, flooded, frame.clone()).await);
            }
            for answer in answers {
                in_time(answer).await.expect("an answer").expect("carried out");
            }
        }
    });
    eventually("the flood", || async { hub.session(flooded).await.expect("there").revision > 2 }).await;
    // As many of the other one get through as there are batches, and the flood needs one for each frame.
    for value in 0..5 {
        in_time(hub.execute(submission(other, context(value)))).await.expect("carried out");
    }
    assert!(!flood.is_finished(), "the flood was over before anything else got through");
    flood.await.expect("every frame is answered");
    let stored = database.storage().session(flooded).await.expect("stored").expect("there");
    assert_eq!(stored.revision, 40_002);
    let texts: i64 = sqlx::query_scalar("SELECT count(*) FROM session_messages")
        .fetch_one(database.storage().pool())
        .await
        .expect("a count");
    assert_eq!(texts, 40_000);
}

#[tokio::test]
async fn a_locked_session_holds_up_no_other_and_what_was_refused_stays_undone() {
    let database = Database::create().await;
    let options = HubOptions { answer_within: Duration::from_millis(2_500), ..one_lane() };
    let hub = Hub::new(database.storage(), &options);
    let (locked, other) = (running(&hub).await, running(&hub).await);
    let pool = outside(&database).await;
    let lock = lock_row(&pool, locked).await;
    let refused = [submit(&hub, locked, context(1)).await, submit(&hub, locked, context(2)).await];
    for value in 0..5 {
        in_time(hub.execute(submission(other, context(value)))).await.expect("carried out");
    }
    for answer in refused {
        assert_eq!(in_time(answer).await.expect("an answer"), Err(HubError::Unavailable));
    }
    lock.rollback().await.expect("given back");
    // Nothing of them comes later, and what comes next is decided without them.
    let receipt = in_time(hub.execute(submission(locked, context(3)))).await.expect("carried out");
    assert_eq!(receipt.revision, 3);
    assert_eq!(database.storage().session(locked).await.expect("stored").expect("there").revision, 3);
}

#[tokio::test]
async fn what_waits_is_bounded_by_the_memory_it_takes() {
    let database = Database::create().await;
    let hub = Hub::new(database.storage(), &HubOptions { backlog_bytes: 32 << 20, ..one_lane() });
    let id = running(&hub).await;
    let pool = outside(&database).await;
    let lock = lock_row(&pool, id).await;
    // 200 KB as a text, 13 MB as it stands in memory beside the event it leads to.
    let ones = Value::Array(vec![json!(1); 100_000]);
    let large =
        |node: u64| json!({"type": "setNodeStatus", "nodeId": node.to_string(), "status": "running", "output": ones});
    let mut answers = Vec::new();
    let mut waits = None;
    for node in 0..8 {
        let (reply, answer) = ReplyTo::once();
        let mut submitting = hub.submit(submission(id, large(node)), reply).boxed();
        match (&mut submitting).now_or_never() {
            Some(outcome) => outcome.expect("a place"),
            None => {
                drop(submitting);
                waits = Some(node);
                break;
            }
        }
        answers.push(answer);
    }
    assert!(waits.is_some_and(|node| node <= 3), "{waits:?} of them were let in");
    lock.rollback().await.expect("given back");
    for answer in answers {
        in_time(answer).await.expect("an answer").expect("carried out");
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_read_is_no_deleted_one() {
    let database = Database::create().await;
    let hub = Hub::new(database.storage(), &one_lane());
    let id = running(&hub).await;
    let mut subscription = hub.subscribe(id).await.expect("there");
    let pool = outside(&database).await;
    let rename = |from: &str, to: &str| format!("ALTER TABLE {from} RENAME TO {to}");
    let sql = rename("session_events", "elsewhere");
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await.expect("renamed");
    let outcome = in_time(hub.execute(submission(id, context(1)))).await;
    assert!(matches!(outcome, Err(HubError::Internal | HubError::Unavailable)), "{outcome:?}");
    assert!(matches!(subscription.head(), Head::At(_)), "its viewers were told that it is gone");
    let sql = rename("elsewhere", "session_events");
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await.expect("renamed back");
    let receipt = in_time(hub.execute(submission(id, context(2)))).await.expect("carried out");
    assert_eq!(receipt.revision, 3);
    assert_eq!(subscription.head().session().revision, 3, "its viewers go on");
}

#[tokio::test]
async fn a_shutdown_ends_in_time_and_answers_everybody() {
    let database = Database::create().await;
    let hub = Hub::new(database.storage(), &one_lane());
    let id = running(&hub).await;
    let pool = outside(&database).await;
    let lock = lock_row(&pool, id).await;
    let answers = [submit(&hub, id, context(1)).await, submit(&hub, id, context(2)).await];
    in_time(hub.shutdown(Duration::from_millis(300))).await;
    for answer in answers {
        let answer = in_time(answer).await;
        assert!(matches!(answer, Ok(Err(HubError::Unavailable)) | Err(_)), "{answer:?}");
    }
    drop(lock);
}

/// Polls once, as a handler is polled whose client leaves then.
fn begin_and_leave<T>(work: impl Future<Output = T>) {
    assert!(Box::pin(work).now_or_never().is_none(), "it was done at once");
}

#[tokio::test]
async fn what_was_done_is_told_though_its_client_has_left() {
    let database = Database::create().await;
    let hub = Hub::new(database.storage(), &one_lane());
    let parent = running(&hub).await;
    let mut feed = hub.feed();
    let new = SessionId::generate();
    begin_and_leave(hub.create(new, Created::default(), CreateOptions::default()));
    let changes = in_time(feed.next()).await.expect("changes");
    assert!(matches!(changes[..], [FeedChange::Changed(id)] if id == new), "{changes:?}");
    begin_and_leave(hub.fork(parent, 1, CreateOptions::default()));
    let changes = in_time(feed.next()).await.expect("changes");
    assert!(matches!(changes[..], [FeedChange::Changed(id)] if id != new && id != parent), "{changes:?}");
    let mut subscription = hub.subscribe(new).await.expect("there");
    begin_and_leave(hub.delete(new, None));
    let changes = in_time(feed.next()).await.expect("changes");
    assert!(matches!(&changes[..], [FeedChange::Deleted(summary)] if summary.id == new), "{changes:?}");
    assert!(matches!(subscription.head(), Head::Deleted(_)));
}

async fn keyframes(storage: &Storage, id: SessionId) -> i64 {
    let sql = "SELECT count(*) FROM session_keyframes WHERE session_id = $1";
    sqlx::query_scalar(sql).bind(id.0).fetch_one(storage.pool()).await.expect("a count")
}

#[tokio::test]
async fn a_keyframe_is_stored_only_into_its_own_history() {
    let database = Database::create().await;
    let storage = database.storage();
    let hub = Hub::new(storage.clone(), &one_lane());
    let id = running(&hub).await;
    let own = hub.session(id).await.expect("there");
    // As of a session that was deleted, with another of its id in its place.
    let mut former = (*own).clone();
    former.updated_at = Timestamp::from(own.updated_at.as_datetime() - Duration::from_secs(1));
    storage.store_keyframe(&former).await.expect("left out");
    let mut older = (*own).clone();
    let origin = Arc::make_mut(&mut older.origin);
    origin.created_at = Timestamp::from(origin.created_at.as_datetime() - Duration::from_secs(1));
    storage.store_keyframe(&older).await.expect("left out");
    assert_eq!(keyframes(&storage, id).await, 0);
    storage.store_keyframe(&own).await.expect("stored");
    assert_eq!(keyframes(&storage, id).await, 1);
}

#[tokio::test]
async fn no_chunk_is_relayed_before_a_session_runs_or_after_it_has_ended() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    let mut viewer = server.socket(&format!("/ws/sessions/{id}?messages=true")).await;
    viewer.frame_of("snapshot").await;
    let mut driver = server.socket("/ws").await;
    let token = |text: &str| {
        json!({"type": "token", "sessionId": id, "nodeId": "n", "messageId": "01890000-0000-7000-8000-000000000001",
               "text": text})
    };
    driver.send(token("too early")).await;
    driver.settle().await;
    server.command(&id, json!({"type": "start"})).await;
    viewer.frame_of("snapshot").await;
    driver.send(token("in time")).await;
    assert_eq!(viewer.frame_of("token").await["text"], "in time");
    server.command(&id, json!({"type": "complete"})).await;
    viewer.frame_of("end").await;
    driver.send(token("too late")).await;
    driver.settle().await;
    assert!(viewer.is_quiet(Duration::from_millis(200)).await, "something after the end");
}
