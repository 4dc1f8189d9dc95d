//! A session is deleted, and another one is stored under its id, by a server that tells nobody. Who still
//! has the first one in memory must not take the second one for it.

use std::sync::Arc;
use std::time::Duration;

use relive::engine::{LinkError, LocalLink, SessionLink as _};
use relive::hub::{CreateOptions, Head, Hub, HubError, HubOptions, Submission, Subscription};
use relive::storage::{Batch, EventRow, NewSession, ProjectionRow, Storage};
use relive_session::{Event, Recorded, Session, SessionId, Timestamp};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::harness::{DEADLINE, Database};
use crate::hub::{running, submission};

/// Appends events to a session, as a server that sends no notices.
pub async fn write_silently(storage: &Storage, id: SessionId, events: Vec<Event>) {
    let before = storage.session(id).await.expect("a read").expect("a session");
    let mut after = before.clone();
    let mut recorded = Vec::new();
    for event in events {
        let next = Recorded { session_id: id, revision: after.revision + 1, at: after.updated_at, by: None, event };
        after.apply(&next).expect("the next event");
        recorded.push(next);
    }
    let batch = Batch {
        id: 1,
        events: recorded.iter().map(EventRow::from).collect(),
        projections: vec![ProjectionRow { before: &before, after: &after }],
        ..Batch::default()
    };
    storage.writer().await.expect("a writer").write(&batch).await.expect("written");
}

pub fn context_set(value: u64) -> Event {
    Event::ContextSet { key: "k".to_owned(), value: Arc::new(json!(value)) }
}

/// When the session that is put in the place of another one is created.
#[derive(Clone, Copy, Debug)]
enum When {
    Later,
    InTheSameMillisecond,
}

use When::{InTheSameMillisecond, Later};

/// Puts another session in the place of this one, with so many events.
async fn replace(storage: &Storage, id: SessionId, events: u64, when: When) {
    let former = storage.session(id).await.expect("a read").expect("a session");
    assert!(storage.delete_session(id, former.identity()).await.expect("deleted").is_some());
    let at = match when {
        Later => Timestamp::from(Timestamp::now().as_datetime() + Duration::from_secs(1)),
        InTheSameMillisecond => former.origin.created_at,
    };
    let event = Event::Created(Box::default());
    let recorded = Recorded { session_id: id, revision: 1, at, by: None, event };
    let session = Session::create_new(&recorded).expect("a session");
    storage
        .create_session(&NewSession { recorded: &recorded, session: &session, creation_key: None })
        .await
        .expect("stored");
    write_silently(storage, id, (1..events).map(context_set).collect()).await;
}

async fn until_deleted(subscription: &mut Subscription) {
    let deleted = async {
        while !matches!(subscription.head(), Head::Deleted(_)) {
            subscription.changed().await
        }
    };
    tokio::time::timeout(DEADLINE, deleted).await.expect("told in time that the session is deleted");
}

/// A hub that has this session in memory, at revision 3.
async fn held(hub: &Hub) -> (SessionId, Subscription) {
    let id = running(hub).await;
    hub.execute(submission(id, json!({"type": "setContext", "key": "of", "value": "the first"}))).await.expect("set");
    let subscription = hub.subscribe(id).await.expect("a subscription");
    (id, subscription)
}

/// One that was replaced, which the hub does not know. It looks at what is stored when it begins to hear
/// notices, and every so often: if that is just now, another session is tried.
async fn replaced_unnoticed(hub: &Hub, storage: &Storage, events: u64, when: When) -> (SessionId, Subscription) {
    for _ in 0..20 {
        let (id, mut subscription) = held(hub).await;
        replace(storage, id, events, when).await;
        if !matches!(subscription.head(), Head::Deleted(_)) {
            return (id, subscription);
        }
    }
    panic!("the hub looks at what is stored all the time");
}

async fn hub(options: &HubOptions) -> (Hub, Storage) {
    let storage = Database::create().await.storage();
    (Hub::new(storage.clone(), options), storage)
}

async fn assert_shows_the_second(hub: &Hub, id: SessionId, revision: u64) {
    let session = hub.session(id).await.expect("the second one");
    assert_eq!((session.revision, session.context.get("of").is_none()), (revision, true));
}

#[tokio::test]
async fn nothing_is_written_onto_another_session_of_the_same_id() {
    // As far as the first one, further, and not as far.
    for (events, when) in [3, 5, 2].into_iter().flat_map(|events| [(events, Later), (events, InTheSameMillisecond)]) {
        let (hub, storage) = hub(&HubOptions::default()).await;
        let (id, mut subscription) = replaced_unnoticed(&hub, &storage, events, when).await;
        let mark = || submission(id, json!({"type": "setContext", "key": "mark", "value": 1}));
        assert_eq!(hub.execute(mark()).await, Err(HubError::Unavailable), "{events} {when:?}");
        until_deleted(&mut subscription).await;
        assert_shows_the_second(&hub, id, events).await;
        assert_eq!(hub.execute(mark()).await.expect("carried out").revision, events + 1);
    }
}

/// An engine repeats what was answered with `unavailable`.
#[tokio::test]
async fn an_engine_reports_nothing_to_another_session_of_the_same_id() {
    for when in [Later, InTheSameMillisecond] {
        let (hub, storage) = hub(&HubOptions::default()).await;
        let (id, _subscription) = held(&hub).await;
        let (link, _events) = LocalLink::open(hub.clone(), id, CancellationToken::new()).await.expect("a link");
        replace(&storage, id, 3, when).await;
        let report = json!({"type": "setNodeStatus", "nodeId": "n", "status": "running"});
        let sent = link.send(vec![serde_json::from_value(report).expect("a command")]).await;
        assert!(matches!(sent, Err(LinkError::Lost(_))), "{when:?}: {sent:?}");
        assert_shows_the_second(&hub, id, 3).await;
    }
}

#[tokio::test]
async fn a_deletion_leaves_another_session_of_the_same_id() {
    for when in [Later, InTheSameMillisecond] {
        let (hub, storage) = hub(&HubOptions::default()).await;
        let id = running(&hub).await;
        let first = storage.summary(id).await.expect("a read").expect("a session").identity();
        replace(&storage, id, 3, when).await;
        assert_eq!(hub.delete(id, Some(first)).await, Err(HubError::NotFound));
        assert!(storage.delete_session(id, first).await.expect("a statement").is_none());
        let second = storage.summary(id).await.expect("a read").expect("the second one");
        assert_ne!(second.identity(), first);
        hub.delete(id, Some(second.identity())).await.expect("deleted");
    }
}

#[tokio::test]
async fn viewers_of_the_first_are_told_that_it_is_deleted() {
    for (events, when) in [(2, Later), (5, Later), (2, InTheSameMillisecond), (5, InTheSameMillisecond)] {
        let options = HubOptions { check_every: Duration::from_millis(50), ..HubOptions::default() };
        let (hub, storage) = hub(&options).await;
        let (id, mut subscription) = held(&hub).await;
        replace(&storage, id, events, when).await;
        until_deleted(&mut subscription).await;
        assert_shows_the_second(&hub, id, events).await;
    }
    // As far as the first one: only its next event tells.
    for when in [Later, InTheSameMillisecond] {
        let (hub, storage) = hub(&HubOptions::default()).await;
        let (id, mut subscription) = replaced_unnoticed(&hub, &storage, 3, when).await;
        write_silently(&storage, id, vec![context_set(9)]).await;
        hub.refresh(id, 4).await.expect("read");
        until_deleted(&mut subscription).await;
        assert_shows_the_second(&hub, id, 4).await;
    }
}

#[tokio::test]
async fn a_command_for_the_first_is_not_carried_out_on_the_second() {
    for when in [Later, InTheSameMillisecond] {
        let (hub, storage) = hub(&HubOptions::default()).await;
        let (id, _) = held(&hub).await;
        let first = hub.session(id).await.expect("the first one").identity();
        let command = |identity, value| Submission {
            expected_identity: Some(identity),
            ..submission(id, json!({"type": "setContext", "key": "mark", "value": value}))
        };
        assert_eq!(hub.execute(command(first, 1)).await.expect("carried out").revision, 4);
        replace(&storage, id, 4, when).await;
        // Its owner hears of that with the first command that is refused.
        let refused = hub.execute(command(first, 2)).await;
        assert!(matches!(refused, Err(HubError::Unavailable | HubError::NotFound)), "{refused:?}");
        assert_eq!(hub.execute(command(first, 3)).await, Err(HubError::NotFound));
        let second = hub.session(id).await.expect("the second one");
        assert_eq!(second.revision, 4);
        assert_eq!(hub.execute(command(second.identity(), 4)).await.expect("carried out").revision, 5);
    }
}

#[tokio::test]
async fn incarnations_are_stored_and_differ() {
    let (hub, storage) = hub(&HubOptions::default()).await;
    let id = running(&hub).await;
    let identity = hub.session(id).await.expect("there").identity();
    assert!(identity.incarnation > 0);
    assert_eq!(storage.session(id).await.expect("a read").expect("stored").identity(), identity);
    assert_eq!(storage.summary(id).await.expect("a read").expect("stored").identity(), identity);
    assert_eq!(storage.versions(&[id]).await.expect("a read")[&id].identity, identity);
    let fork = hub.fork(id, 2, CreateOptions::default()).await.expect("a fork").identity();
    assert_ne!(fork.incarnation, identity.incarnation);
}

/// With a command id and without one.
fn again(id: SessionId, value: &str, command_id: Option<&str>) -> Submission {
    let command = submission(id, json!({"type": "setContext", "key": "of", "value": value}));
    Submission { command_id: command_id.map(Arc::from), ..command }
}

#[tokio::test]
async fn a_command_that_changes_nothing_is_not_answered_for_another_session() {
    for (command_id, when) in [(None, Later), (Some("a"), Later), (Some("a"), InTheSameMillisecond)] {
        let (hub, storage) = hub(&HubOptions::default()).await;
        let (id, mut subscription) = replaced_unnoticed(&hub, &storage, 2, when).await;
        let answer = hub.execute(again(id, "the first", command_id)).await;
        assert_eq!(answer, Err(HubError::Unavailable), "{command_id:?} {when:?}");
        until_deleted(&mut subscription).await;
        assert_eq!(storage.command_revision(id, "a").await.expect("a read"), None, "stored with the second one");
        assert_eq!(hub.execute(again(id, "the first", command_id)).await.expect("carried out").revision, 3);
    }
}

#[tokio::test]
async fn a_command_that_changes_nothing_is_not_answered_for_a_deleted_session() {
    for command_id in [None, Some("a")] {
        let (hub, storage) = hub(&HubOptions::default()).await;
        let (id, _subscription) = held(&hub).await;
        let identity = hub.session(id).await.expect("there").identity();
        assert!(storage.delete_session(id, identity).await.expect("deleted").is_some());
        assert_eq!(hub.execute(again(id, "the first", command_id)).await, Err(HubError::NotFound), "{command_id:?}");
    }
}

#[tokio::test]
async fn what_another_server_has_changed_back_is_set_again() {
    for command_id in [None, Some("a")] {
        let (hub, storage) = hub(&HubOptions::default()).await;
        let (id, _subscription) = held(&hub).await;
        let other = Event::ContextSet { key: "of".to_owned(), value: Arc::new(json!("the other")) };
        write_silently(&storage, id, vec![other]).await;
        assert_eq!(hub.execute(again(id, "the first", command_id)).await.expect("carried out").revision, 5);
        let stored = storage.session(id).await.expect("a read").expect("a session");
        assert_eq!(*stored.context["of"].value().as_ref(), json!("the first"), "{command_id:?}");
        // Nothing has changed since: the row stays as it is.
        assert_eq!(hub.execute(again(id, "the first", Some("b"))).await.expect("carried out").revision, 5);
        assert_eq!(storage.session(id).await.expect("a read").expect("a session"), stored);
    }
}
