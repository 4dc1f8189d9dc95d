//! The hub by itself: loading, eviction, recovery, and what becomes of each command of a batch.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use relive::hub::{CommandResult, CreateOptions, Hub, HubError, HubOptions, ReplyTo, Submission};
use relive::storage::cluster::{Cluster, ClusterOptions};
use relive::storage::{Constraint, Storage};
use relive_session::{Command, Created, Refusal, Session, SessionId};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::harness::{DEADLINE, Database, eventually};

fn commands(json: Value) -> Vec<Command> {
    let list = if json.is_array() { json } else { json!([json]) };
    serde_json::from_value(list).expect("commands")
}

pub fn submission(id: SessionId, json: Value) -> Submission {
    Submission::new(id, commands(json))
}

fn note(value: usize) -> Value {
    json!({"type": "setContext", "key": format!("k{}", value % 5), "value": value})
}

/// A running session.
pub async fn running(hub: &Hub) -> SessionId {
    let id = SessionId::generate();
    hub.create(id, Created::default(), CreateOptions::default()).await.expect("created");
    hub.execute(submission(id, json!({"type": "start"}))).await.expect("started");
    id
}

/// Stages commands one after the other without letting the lane in between, so that it finds them
/// together. (On the test's one thread nothing here waits.)
async fn stage(hub: &Hub, submissions: Vec<Submission>) -> Vec<oneshot::Receiver<CommandResult>> {
    let mut answers = Vec::new();
    for submission in submissions {
        let (reply, answer) = ReplyTo::once();
        hub.submit(submission, reply).await.expect("staged");
        answers.push(answer);
    }
    answers
}

async fn outcomes(answers: Vec<oneshot::Receiver<CommandResult>>) -> Vec<CommandResult> {
    let all = tokio::time::timeout(DEADLINE, join_all(answers)).await.expect("answers in time");
    all.into_iter().map(|answer| answer.expect("an answer")).collect()
}

/// The fold of the whole journal, from its first event.
async fn fold(storage: &Storage, id: SessionId, up_to: u64) -> Session {
    let history = storage.journal(id).recorded(u32::try_from(up_to).unwrap()).await.expect("a journal");
    // Which session it is, the journal does not say.
    let stored = storage.versions(&[id]).await.expect("a version")[&id];
    let first = Session::create(&history[0]).expect("a beginning");
    let mut state = first.with_incarnation(stored.identity.incarnation);
    for recorded in &history[1..] {
        state.apply(recorded).expect("the next event");
    }
    assert_eq!(state.revision, up_to);
    state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_loaded_once_however_many_ask() {
    let database = Database::create().await;
    let id = running(&Hub::new(database.storage(), &HubOptions::default())).await;
    let hub = Hub::new(database.storage(), &HubOptions::default());
    let asking = (0..64).map(|_| {
        tokio::spawn({
            let hub = hub.clone();
            async move { hub.subscribe(id).await.expect("a session") }
        })
    });
    let subscriptions: Vec<_> = join_all(asking).await.into_iter().map(|asked| asked.expect("no panic")).collect();
    assert!(subscriptions.iter().all(|one| Arc::ptr_eq(one.live(), subscriptions[0].live())));
    assert_eq!(hub.live_sessions(), 1);
}

/// Whoever asks just before a session exists finds nothing; none of that leaves a second copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_look_ups_leave_no_second_copy() {
    let hub = Hub::new(Database::create().await.storage(), &HubOptions::default());
    for _ in 0..60 {
        let id = SessionId::generate();
        let asking: Vec<_> = (0..12)
            .map(|_| {
                tokio::spawn({
                    let hub = hub.clone();
                    async move {
                        loop {
                            match hub.subscribe(id).await {
                                Ok(subscription) => return subscription,
                                Err(error) => assert_eq!(error, HubError::NotFound),
                            }
                        }
                    }
                })
            })
            .collect();
        hub.create(id, Created::default(), CreateOptions::default()).await.expect("created");
        let found: Vec<_> = join_all(asking).await.into_iter().map(|asked| asked.expect("no panic")).collect();
        let now = hub.subscribe(id).await.expect("a session");
        assert!(found.iter().all(|one| Arc::ptr_eq(one.live(), now.live())), "two copies of one session");
    }
    assert_eq!(hub.session(SessionId::generate()).await.unwrap_err(), HubError::NotFound);
    assert_eq!(hub.live_sessions(), 60);
}

#[tokio::test]
async fn idle_sessions_leave_memory_and_come_back() {
    let options = HubOptions { idle_after: Duration::from_millis(5), ..HubOptions::default() };
    let storage = Database::create().await.storage();
    let hub = Hub::new(storage.clone(), &options);
    let (watched, idle) = (running(&hub).await, running(&hub).await);
    let subscription = hub.subscribe(watched).await.expect("a session");
    // Each of these is idle for a shorter time than the watched one, and leaves.
    for _ in 0..3 {
        running(&hub).await;
        eventually("the idle ones leave", || async { hub.live_sessions() <= 1 }).await;
    }
    assert_eq!(hub.session(idle).await.expect("loaded again").revision, 2);
    assert!(Arc::ptr_eq(hub.subscribe(watched).await.expect("still there").live(), subscription.live()));
    drop(subscription);
    // Commands that race with the eviction find the session, in memory or not.
    let mut revision = 2;
    for round in 0..40 {
        if round % 4 == 0 {
            eventually("nobody is there", || async { hub.live_sessions() == 0 }).await;
        }
        let answers = join_all((0..5).map(|number| hub.execute(submission(watched, note(round * 5 + number))))).await;
        for answer in answers {
            revision += 1;
            assert_eq!(answer.expect("carried out").revision, revision);
        }
    }
    eventually("nobody is there", || async { hub.live_sessions() == 0 }).await;
    assert_eq!(fold(&storage, watched, revision).await, *hub.session(watched).await.expect("a session"));
}

#[tokio::test]
async fn a_long_history_is_recovered_from_its_keyframes() {
    let storage = Database::create().await.storage();
    let hub = Hub::new(storage.clone(), &HubOptions::default());
    let id = running(&hub).await;
    let nodes = ["a", "b", "c"];
    for round in 0..40 {
        let batch: Vec<Value> = (0..50)
            .map(|number| match number % 5 {
                0 => json!({"type": "setNodeStatus", "nodeId": nodes[round % 3], "status": "running", "progress": f64::from(number) / 50.0, "output": {"round": round, "n": number}}),
                1 => json!({"type": "recordUsage", "nodeId": "u", "inputTokens": 3, "outputTokens": 1, "costUsd": 0.1}),
                2 => json!({"type": "setProposal", "proposal": if round % 7 == 0 { Value::Null } else { json!([round, 0.1]) }}),
                3 => json!({"type": "addMessage", "nodeId": "a", "content": "said"}),
                _ => note(round * 50 + number as usize),
            })
            .collect();
        hub.execute(submission(id, json!(batch))).await.expect("carried out");
    }
    let keyframes = || async {
        let sql = "SELECT revision FROM session_keyframes WHERE session_id = $1 ORDER BY revision";
        sqlx::query_scalar::<_, i64>(sql).bind(id.0).fetch_all(storage.pool()).await.expect("keyframes")
    };
    eventually("keyframes", || async { keyframes().await.len() >= 7 }).await;
    let head = hub.session(id).await.expect("a session");
    assert_eq!(head.revision, 2_002);
    assert_eq!(storage.session(id).await.expect("stored").as_ref(), Some(&*head));
    assert_eq!(fold(&storage, id, 2_002).await, *head);
    let around = keyframes().await.into_iter().flat_map(|at| [at - 1, at, at + 1]).map(i64::unsigned_abs);
    for revision in around.chain([1, 2, 100, 2_001, 2_002]) {
        let state = storage.session_at(id, revision).await.expect("stored").expect("a state");
        assert_eq!(state, fold(&storage, id, revision).await, "revision {revision}");
    }
    assert_eq!(storage.session_at(id, 2_003).await.expect("stored"), None);
}

#[tokio::test]
async fn one_command_that_cannot_be_written_takes_none_with_it() {
    let options = HubOptions { lanes: 1, ..HubOptions::default() };
    let storage = Database::create().await.storage();
    let hub = Hub::new(storage.clone(), &options);
    let (id, other) = (running(&hub).await, running(&hub).await);
    let message = json!({"type": "addMessage", "messageId": SessionId::generate(), "nodeId": "n", "content": "c"});
    let batch = (0..30).flat_map(|number| {
        let first = if number % 10 == 5 { message.clone() } else { note(number) };
        [submission(id, first), submission(other, note(number))]
    });
    let outcomes = outcomes(stage(&hub, batch.collect()).await).await;
    let refused: Vec<_> = outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_err()).collect();
    let conflict = Err(HubError::Constraint(Constraint::TextExists));
    assert_eq!(refused, [(30, &conflict), (50, &conflict)]);
    assert_eq!((hub.session(id).await.unwrap().revision, hub.session(other).await.unwrap().revision), (30, 32));
    assert_eq!(fold(&storage, id, 30).await, *hub.session(id).await.expect("a session"));
}

/// The second use of an id, after more others than the session remembers, in the same batch.
#[tokio::test]
async fn a_command_id_used_twice_in_one_batch_counts_once() {
    let hub = Hub::new(Database::create().await.storage(), &HubOptions::default());
    let id = running(&hub).await;
    let names = (0..602).map(|number| if number == 601 { "c0".to_owned() } else { format!("c{number}") });
    let batch = names
        .enumerate()
        .map(|(number, name)| Submission { command_id: Some(name.into()), ..submission(id, note(number)) });
    let outcomes = outcomes(stage(&hub, batch.collect()).await).await;
    let receipts: Vec<_> = outcomes.into_iter().map(|outcome| outcome.expect("carried out")).collect();
    assert_eq!((receipts[601].revision, receipts[601].duplicate), (receipts[0].revision, true));
    assert_eq!(receipts.iter().filter(|receipt| receipt.duplicate).count(), 1);
    assert_eq!(hub.session(id).await.expect("a session").revision, 603);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_ends_what_is_in_flight_and_nothing_else() {
    let options = HubOptions { lanes: 1, ..HubOptions::default() };
    let storage = Database::create().await.storage();
    let hub = Hub::new(storage.clone(), &options);
    let other = running(&hub).await;
    for round in 0..10 {
        let id = running(&hub).await;
        let mut subscription = hub.subscribe(id).await.expect("a session");
        let send = |id, number| {
            let hub = hub.clone();
            tokio::spawn(async move { hub.execute(submission(id, note(number))).await })
        };
        let both: Vec<_> = (0..40).map(|number| (send(id, number), send(other, round * 40 + number))).collect();
        hub.delete(id, None).await.expect("deleted");
        for (gone, kept) in both {
            let gone = tokio::time::timeout(DEADLINE, gone).await.expect("an answer in time").expect("no panic");
            assert!(matches!(gone, Ok(_) | Err(HubError::NotFound)), "{gone:?}");
            kept.await.expect("no panic").expect("the other session's commands are carried out");
        }
        assert!(matches!(subscription.head(), relive::hub::Head::Deleted(_)), "its viewers are told");
        assert_eq!(hub.execute(submission(id, note(0))).await, Err(HubError::NotFound));
        assert_eq!(hub.session(id).await.unwrap_err(), HubError::NotFound);
    }
    assert_eq!(hub.session(other).await.expect("there").revision, 402);
}

#[tokio::test]
async fn a_full_backlog_refuses_while_the_database_is_away() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).expect("permissions");
    let start = || Cluster::start(ClusterOptions { data_dir: dir.path().into(), postgres_bin: None, durable: false });
    let cluster = start().await.expect("PostgreSQL");
    let storage = Storage::new(cluster.connect_options(), 8);
    storage.migrate(8).await.expect("migrate");
    let options = HubOptions { lanes: 1, backlog: 8, answer_within: Duration::from_secs(60), ..HubOptions::default() };
    let hub = Hub::new(storage, &options);
    let id = running(&hub).await;
    cluster.stop().await.expect("stopped");

    let mut waiting = Vec::new();
    let refused = loop {
        let (reply, answer) = ReplyTo::once();
        let submitted = tokio::time::timeout(DEADLINE, hub.submit(submission(id, note(waiting.len())), reply)).await;
        match submitted.expect("taken or refused in time") {
            Ok(()) => waiting.push(answer),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, HubError::Unavailable);
    assert!((8..=24).contains(&waiting.len()), "{} wait", waiting.len());
    assert_eq!(hub.session(id).await.expect("the committed state").revision, 2);
    let cluster = start().await.expect("PostgreSQL again");
    for (outcome, revision) in outcomes(waiting).await.into_iter().zip(3..) {
        assert_eq!(outcome.expect("carried out").revision, revision);
    }
    hub.execute(submission(id, note(0))).await.expect("open again");
    cluster.stop().await.expect("stopped");
}

#[tokio::test]
async fn shutting_down_writes_what_was_accepted() {
    let database = Database::create().await;
    let hub = Hub::new(database.storage(), &HubOptions { lanes: 2, ..HubOptions::default() });
    let id = running(&hub).await;
    let answers = stage(&hub, (0..200).map(|number| submission(id, note(number))).collect()).await;
    hub.shutdown(DEADLINE).await;
    for (outcome, revision) in outcomes(answers).await.into_iter().zip(3..) {
        assert_eq!(outcome.expect("carried out").revision, revision);
    }
    assert_eq!(database.storage().session(id).await.expect("stored").expect("there").revision, 202);
    assert_eq!(hub.execute(submission(id, note(0))).await, Err(HubError::Unavailable));
    let refused = hub.execute(submission(id, json!({"type": "start"}))).await;
    assert!(matches!(refused, Err(HubError::Refused(Refusal::SessionTransition { .. }) | HubError::Unavailable)));
}
