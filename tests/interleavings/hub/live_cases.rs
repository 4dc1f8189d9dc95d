use std::sync::Arc;
use std::time::Duration;

use shuttle::future::{JoinHandle, spawn};

use super::{HISTORY, Head, LAST, LiveSession, RecordedFrame, Subscription, publish, state};
use crate::{explore, join};

/// Follows a session until it is at its last revision or deleted; returns whether it was deleted.
async fn watch(mut subscription: Subscription) -> bool {
    let live = Arc::clone(subscription.live());
    let mut seen = 1;
    loop {
        let head = subscription.head();
        let revision = head.session().revision;
        assert!(revision >= seen, "{revision} after {seen}");
        let events = live.events_after(seen).unwrap_or_default();
        let revisions: Vec<u64> = events.iter().map(|event| event.recorded().revision).collect();
        let expected: Vec<u64> = (seen + 1..).take(revisions.len()).collect();
        assert_eq!(revisions, expected, "events after {seen}");
        assert!(seen + revisions.len() as u64 >= revision, "the head's own events are not there");
        seen = revision;
        match head {
            Head::Deleted(_) => return true,
            Head::At(_) if revision == LAST => return false,
            Head::At(_) => subscription.changed().await,
        }
    }
}

fn live() -> Arc<LiveSession> {
    let live = LiveSession::new(state(1));
    live.publish(state(1), std::iter::once(Arc::new(RecordedFrame::new(HISTORY[0].1.clone()))));
    live
}

fn follow(live: &Arc<LiveSession>) -> JoinHandle<bool> {
    let subscription = live.subscribe().expect("a session that is held");
    spawn(watch(subscription))
}

#[test]
fn a_viewer_sees_no_older_state_after_a_newer_and_never_misses_the_last() {
    explore(|| {
        let live = live();
        let viewers = [0, 1].map(|_| follow(&live));
        for revision in 2..=LAST {
            publish(&live, revision);
        }
        assert_eq!(join(viewers), [false, false]);
    });
}

#[test]
fn a_deleted_session_stays_deleted_whoever_is_last() {
    explore(|| {
        let live = live();
        let viewer = follow(&live);
        let lane = {
            let live = Arc::clone(&live);
            spawn(async move {
                publish(&live, 2);
                publish(&live, 3);
            })
        };
        live.retire_deleted();
        join([lane]);
        assert!(matches!(live.head(), Head::Deleted(_)));
        assert!(live.subscribe().is_none());
        assert_eq!(join([viewer]), [true]);
        // What was read of another server's commits may be published more than once, since the head stays.
        publish(&live, 3);
        let events = live.events_after(1).unwrap_or_default();
        let revisions: Vec<u64> = events.iter().map(|event| event.recorded().revision).collect();
        assert_eq!(revisions, (2..).take(revisions.len()).collect::<Vec<u64>>());
    });
}

#[test]
fn a_session_that_was_let_go_of_has_no_viewers() {
    explore(|| {
        let live = LiveSession::new(state(1));
        let viewer = {
            let live = Arc::clone(&live);
            spawn(async move { live.subscribe() })
        };
        let is_retired = live.retire_if_idle(Duration::ZERO);
        let subscription = join([viewer]).remove(0);
        assert_ne!(is_retired, subscription.is_some());
        assert_eq!(live.retire_if_idle(Duration::ZERO), is_retired);
    });
}
