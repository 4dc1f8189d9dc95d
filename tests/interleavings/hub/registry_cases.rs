use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use shuttle::future::{block_on, spawn, yield_now};

use super::registry::Registry;
use super::store::Store;
use super::{HISTORY, Head, HubError, ID, LAST, LiveSession, state};
use crate::sync::{Mutex, Notify, turn};
use crate::{explore, join};
use relive_session::{Session, SessionId};

/// Turns in which whoever has something to do has done it.
const TURNS: usize = 300;

/// A database with at most one session.
#[derive(Debug, Default)]
struct Database {
    /// The revision of the session, if there is one.
    row: Mutex<Option<u64>>,
    reads: AtomicU64,
    /// Reads that fail before one succeeds.
    failures: AtomicU64,
    /// Reads wait until told.
    is_slow: AtomicBool,
    goes_on: Notify,
}

impl Store for Database {
    fn session(&self, _: SessionId) -> BoxFuture<'_, Result<Option<Session>, HubError>> {
        Box::pin(async {
            self.reads.fetch_add(1, Ordering::SeqCst);
            turn();
            if self.is_slow.load(Ordering::SeqCst) {
                self.goes_on.notified().await;
            }
            let fails = |left: u64| left.checked_sub(1);
            if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok() {
                return Err(HubError::Unavailable);
            }
            let row = *self.row.lock();
            // The answer is on its way.
            turn();
            Ok(row.map(|revision| (*state(revision)).clone()))
        })
    }
}

fn database(revision: impl Into<Option<u64>>) -> (Arc<Database>, Registry) {
    let database = Arc::new(Database { row: Mutex::new(revision.into()), ..Database::default() });
    (Arc::clone(&database), Registry::new(database))
}

type Look = shuttle::future::JoinHandle<Result<Arc<LiveSession>, HubError>>;

fn look(registry: &Registry) -> Look {
    let registry = registry.clone();
    spawn(async move { registry.get(ID).await })
}

#[test]
fn however_many_ask_a_session_is_loaded_once() {
    explore(|| {
        let (database, registry) = database(LAST);
        let found = join([0, 1, 2].map(|_| look(&registry)));
        let found: Vec<Arc<LiveSession>> = found.into_iter().map(|live| live.expect("a session")).collect();
        assert!(found.iter().all(|live| Arc::ptr_eq(live, &found[0])));
        assert_eq!(database.reads.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn why_a_session_could_not_be_loaded_is_told_to_all_who_wait() {
    explore(|| {
        let (database, registry) = database(LAST);
        database.failures.store(u64::MAX, Ordering::SeqCst);
        database.is_slow.store(true, Ordering::SeqCst);
        let callers = [0, 1, 2].map(|_| look(&registry));
        // By then they all wait: they have nothing else to do.
        block_on(async {
            for _ in 0..TURNS {
                yield_now().await;
            }
        });
        database.goes_on.notify_one();
        for found in join(callers) {
            assert_eq!(found.err(), Some(HubError::Unavailable));
        }
        assert_eq!(database.reads.load(Ordering::SeqCst), 1);
        assert_eq!(registry.len(), 0);
    });
}

#[test]
fn a_session_that_could_not_be_loaded_is_loaded_by_who_comes_later() {
    explore(|| {
        let (database, registry) = database(LAST);
        database.failures.store(1, Ordering::SeqCst);
        let found = join([0, 1, 2].map(|_| look(&registry)));
        let failed = found.iter().filter(|found| matches!(found, Err(HubError::Unavailable))).count();
        assert!(failed > 0);
        // Whoever came after the place was given up loads it anew, once.
        assert_eq!(database.reads.load(Ordering::SeqCst), if failed < 3 { 2 } else { 1 });
        assert_eq!(registry.len(), usize::from(failed < 3));
    });
}

#[test]
fn no_place_is_kept_for_what_is_not_there() {
    explore(|| {
        let (_, registry) = database(None);
        for found in join([0, 1, 2].map(|_| look(&registry))) {
            assert_eq!(found.err(), Some(HubError::NotFound));
        }
        assert_eq!(registry.len(), 0);
    });
}

#[test]
fn a_session_that_was_created_is_found() {
    explore(|| {
        let (database, registry) = database(None);
        let others = [0, 1].map(|_| look(&registry));
        *database.row.lock() = Some(1);
        registry.insert_new(state(1), HISTORY[0].1.clone());
        assert!(block_on(registry.get(ID)).is_ok(), "created and told of, and not found");
        join(others);
    });
}

/// Whoever follows a session of a registry is told that it was deleted, or never found it.
#[test]
fn a_deleted_session_is_nowhere() {
    explore(|| {
        let (database, registry) = database(LAST);
        let viewers = [0, 1].map(|_| {
            let registry = registry.clone();
            spawn(async move {
                match registry.subscribe(ID).await {
                    Ok(mut subscription) => {
                        while let Head::At(_) = subscription.head() {
                            subscription.changed().await;
                        }
                    }
                    Err(error) => assert_eq!(error, HubError::NotFound),
                }
            })
        });
        *database.row.lock() = None;
        registry.remove_deleted(ID, HISTORY[0].0.identity());
        join(viewers);
        assert_eq!(block_on(registry.get(ID)).err(), Some(HubError::NotFound));
        assert_eq!(registry.len(), 0);
    });
}

/// Two who follow a session follow the same one, though it is let go of meanwhile.
#[test]
fn letting_go_of_a_session_leaves_nobody_behind() {
    explore(|| {
        let (_, registry) = database(LAST);
        let viewers = [0, 1].map(|_| {
            let registry = registry.clone();
            spawn(async move { registry.subscribe(ID).await.expect("a session") })
        });
        let sweeper = {
            let registry = registry.clone();
            spawn(async move {
                registry.release_idle(Duration::ZERO);
                registry.release_idle(Duration::ZERO);
            })
        };
        let held = join(viewers);
        join([sweeper]);
        let in_memory = registry.peek(ID).expect("a session that is followed");
        assert!(held.iter().all(|subscription| Arc::ptr_eq(subscription.live(), &in_memory)));
        drop((held, in_memory));
        registry.release_idle(Duration::ZERO);
        assert_eq!(registry.len(), 0);
    });
}
