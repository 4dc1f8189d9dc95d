//! The hub's own files, and what they need of the others.

#[path = "../../../src/hub/feed.rs"]
pub mod feed;
mod feed_cases;
mod live_cases;
#[path = "../../../src/hub/live_session.rs"]
pub mod live_session;
#[path = "../../../src/hub/memory_estimate.rs"]
mod memory_estimate;
#[path = "../../../src/hub/publication.rs"]
pub mod publication;
#[path = "../../../src/hub/registry.rs"]
pub mod registry;
mod registry_cases;

use std::sync::{Arc, LazyLock};

use uuid::Uuid;

pub use live_session::{Head, LiveSession, Subscription, Watched};
pub use publication::{Publication, RecordedFrame};
pub use relive::hub::{Chunk, ChunkOrigin, ChunkRelay, HubError};

use registry::Registry;
use relive_session::{Event, Recorded, Session, SessionId, Timestamp};

pub const ID: SessionId = SessionId(Uuid::from_u128(7));
/// The last revision of [`HISTORY`].
pub const LAST: u64 = 4;

/// A session's states and the events that lead to them: the first at index 0.
pub static HISTORY: LazyLock<Vec<(Arc<Session>, Recorded)>> = LazyLock::new(|| {
    let first = recorded(1, Event::Created(Box::default()));
    let mut session = Session::create(&first).expect("a session");
    let mut history = vec![(Arc::new(session.clone()), first)];
    for revision in 2..=LAST {
        let event = match revision {
            2 => Event::Started,
            even if even % 2 == 0 => Event::Resumed,
            _ => Event::Paused { held: false },
        };
        let next = recorded(revision, event);
        session.apply(&next).expect("the next event");
        history.push((Arc::new(session.clone()), next));
    }
    history
});

fn recorded(revision: u64, event: Event) -> Recorded {
    let at = i64::try_from(revision).expect("a small number");
    Recorded { session_id: ID, revision, at: Timestamp::from_millis(at).expect("a time"), by: None, event }
}

/// The state at a revision.
pub fn state(revision: u64) -> Arc<Session> {
    Arc::clone(&HISTORY[usize::try_from(revision).expect("a small number") - 1].0)
}

fn frame(revision: u64) -> Arc<RecordedFrame> {
    let (_, recorded) = &HISTORY[usize::try_from(revision).expect("a small number") - 1];
    Arc::new(RecordedFrame::new(recorded.clone()))
}

/// What a lane does after a commit.
pub fn publish(live: &LiveSession, revision: u64) {
    live.restage(&state(revision));
    live.publish(state(revision), std::iter::once(frame(revision)));
}

/// What the registry asks of the database.
pub mod store {
    use futures_util::future::BoxFuture;

    use super::*;

    pub trait Store: std::fmt::Debug + Send + Sync {
        fn session(&self, id: SessionId) -> BoxFuture<'_, Result<Option<Session>, HubError>>;
    }
}

/// As much of the hub as rooms need.
#[derive(Clone, Debug)]
pub struct Hub(Registry);

impl Hub {
    /// With one session in memory, just created.
    pub fn new() -> Self {
        let hub = Self(Registry::new(Arc::new(Nothing)));
        hub.0.insert_new(state(1), HISTORY[0].1.clone());
        hub
    }

    pub async fn subscribe(&self, id: SessionId) -> Result<Subscription, HubError> {
        self.0.subscribe(id).await
    }

    pub fn live(&self) -> Arc<LiveSession> {
        self.0.peek(ID).expect("a session in memory")
    }

    pub fn delete(&self) {
        self.0.remove_deleted(ID, HISTORY[0].0.identity());
    }

    /// Whether nobody holds a session.
    pub fn is_idle(&self) -> bool {
        self.0.release_idle(std::time::Duration::ZERO);
        self.0.len() == 0
    }
}

/// A database without sessions.
#[derive(Debug)]
struct Nothing;

impl store::Store for Nothing {
    fn session(&self, _: SessionId) -> futures_util::future::BoxFuture<'_, Result<Option<Session>, HubError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
