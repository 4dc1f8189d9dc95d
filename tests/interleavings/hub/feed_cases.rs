use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::future::spawn;
use uuid::Uuid;

use super::feed::Feed;
use crate::{explore, join};
use relive_session::SessionId;

const CHANGES: u64 = 3;

/// What a list would read of the sessions, by id.
type Stored = Arc<[AtomicU64; 2]>;

fn id(session: usize) -> SessionId {
    SessionId(Uuid::from_u128(session as u128))
}

fn change(feed: &Feed, stored: &Stored, session: usize) {
    for newest in 1..=CHANGES {
        stored[session].store(newest, Ordering::SeqCst);
        feed.changed(id(session));
    }
}

/// Follows the feed as a live list does, until it has seen all sessions as they are in the end.
async fn follow(feed: Arc<Feed>, stored: Stored) {
    let read = || [0, 1].map(|session: usize| stored[session].load(Ordering::SeqCst));
    let mut cursor = Feed::follow(&feed);
    let mut shown = read();
    while shown != [CHANGES; 2] {
        let Some(changes) = cursor.next().await else {
            shown = read();
            continue;
        };
        assert!(!changes.is_empty(), "woken for nothing");
        let mut ids: Vec<_> = changes.iter().map(super::feed::FeedChange::id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), changes.len(), "a session twice");
        for session in [0, 1].into_iter().filter(|session| ids.contains(&id(*session))) {
            shown[session] = stored[session].load(Ordering::SeqCst);
        }
    }
}

#[test]
fn a_list_sees_every_session_as_it_is_in_the_end() {
    explore(|| {
        let (feed, stored) = (Arc::new(Feed::default()), Stored::default());
        let lists = [0, 1].map(|_| spawn(follow(Arc::clone(&feed), Arc::clone(&stored))));
        let writers = [0, 1].map(|session| {
            let (feed, stored) = (Arc::clone(&feed), Arc::clone(&stored));
            spawn(async move { change(&feed, &stored, session) })
        });
        join(lists.into_iter().chain(writers));
    });
}

#[test]
fn a_list_that_has_to_start_over_does() {
    explore(|| {
        let (feed, stored) = (Arc::new(Feed::default()), Stored::default());
        let list = spawn(follow(Arc::clone(&feed), Arc::clone(&stored)));
        let writer = {
            let (feed, stored) = (Arc::clone(&feed), Arc::clone(&stored));
            spawn(async move { change(&feed, &stored, 0) })
        };
        // Nobody tells which session it was: what a server that lost notices does.
        stored[1].store(CHANGES, Ordering::SeqCst);
        feed.start_over();
        join([list, writer]);
    });
}

#[test]
fn what_was_told_of_last_is_the_newest() {
    explore(|| {
        let feed = Arc::new(Feed::default());
        let _list = Feed::follow(&feed);
        join([0, 1, 2].map(|session| {
            let feed = Arc::clone(&feed);
            spawn(async move { feed.changed(id(session)) })
        }));
        let (told, newest) = feed.newest();
        assert_eq!(told, newest);
    });
}
