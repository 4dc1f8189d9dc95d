//! Places for live sessions of a project: the limit is checked together with the creation, not before it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::{Limited, SOCKETS_RETRY};
use relive_session::ProjectId;

/// For how long a count of the database is relied on: other servers create sessions too, and sessions end.
const RECOUNT: Duration = Duration::from_secs(1);
/// How long a request waits for those before it, while the last places are given.
const LAST_PLACES: Duration = Duration::from_secs(5);

/// The places. What one server creates never exceeds the limit; several together may, by what they create within a
/// second.
///
/// The sessions of a project are counted in the database, and as many places given as the limit leaves, less the
/// places that are held meanwhile: their sessions may or may not be in the count. When that leaves none, the count
/// is repeated once nobody holds one.
pub struct LiveSessionQuota {
    limit: NonZeroU32,
    /// Bounded by the projects.
    projects: DashMap<ProjectId, Arc<Project>>,
}

struct Project {
    budget: Mutex<Budget>,
    /// The places that are held.
    held: watch::Sender<u32>,
}

#[derive(Default)]
struct Budget {
    left: u32,
    counted_at: Option<Instant>,
}

/// A place for a session. To be held until its creation is known to have succeeded or failed.
#[must_use]
pub struct LiveSessionPermit(Arc<Project>);

impl Drop for LiveSessionPermit {
    fn drop(&mut self) {
        self.0.held.send_modify(|held| *held = held.saturating_sub(1));
    }
}

/// Why there is no place.
#[derive(Debug)]
pub enum QuotaExceeded<E> {
    Limited(Limited),
    /// The sessions could not be counted.
    Count(E),
}

impl LiveSessionQuota {
    pub(super) fn new(limit: NonZeroU32) -> Self {
        Self { limit, projects: DashMap::new() }
    }

    /// A place for one more session of a project. `count` counts those that have not ended, up to a number.
    ///
    /// # Errors
    ///
    /// If there is no place, or `count` fails.
    pub async fn place<E, F>(
        &self,
        project: &ProjectId,
        count: impl Fn(u32) -> F,
    ) -> Result<LiveSessionPermit, QuotaExceeded<E>>
    where
        F: Future<Output = Result<u64, E>>,
    {
        let project = self.project(project);
        let deadline = Instant::now() + LAST_PLACES;
        let mut budget = project.budget.lock().await;
        loop {
            if budget.left > 0 && budget.counted_at.is_some_and(|at| at.elapsed() < RECOUNT) {
                budget.left -= 1;
                project.held.send_modify(|held| *held += 1);
                return Ok(LiveSessionPermit(Arc::clone(&project)));
            }
            // Before the count: who holds a place now may be counted, whoever gives it back meanwhile is.
            let held = *project.held.borrow();
            let live = u32::try_from(count(self.limit.get()).await.map_err(QuotaExceeded::Count)?).unwrap_or(u32::MAX);
            let left = self.limit.get().saturating_sub(live);
            *budget = Budget { left: left.saturating_sub(held), counted_at: Some(Instant::now()) };
            if left == 0 || (budget.left == 0 && held == 0) {
                return Err(QuotaExceeded::Limited(self.limited()));
            }
            if budget.left == 0 && !project.is_idle_by(deadline).await {
                return Err(QuotaExceeded::Limited(self.limited()));
            }
        }
    }

    fn project(&self, id: &ProjectId) -> Arc<Project> {
        let known = self.projects.get(id).map(|project| Arc::clone(&project));
        known.unwrap_or_else(|| {
            let new = || Arc::new(Project { budget: Mutex::default(), held: watch::Sender::new(0) });
            Arc::clone(&self.projects.entry(id.clone()).or_insert_with(new))
        })
    }

    fn limited(&self) -> Limited {
        let limit = self.limit.get();
        Limited { what: "live sessions", limit, per: "in a project", retry_after: SOCKETS_RETRY }
    }
}

impl Project {
    /// Waits until nobody holds a place.
    async fn is_idle_by(&self, deadline: Instant) -> bool {
        let mut held = self.held.subscribe();
        matches!(tokio::time::timeout_at(deadline, held.wait_for(|held| *held == 0)).await, Ok(Ok(_)))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn places(limit: u32) -> Arc<LiveSessionQuota> {
        Arc::new(LiveSessionQuota::new(NonZeroU32::new(limit).expect("a number")))
    }

    /// Creates a session as the database would, which counts what is committed.
    async fn create(places: &LiveSessionQuota, live: &Arc<AtomicU32>) -> bool {
        let project = ProjectId::default_project();
        let count = |most: u32| {
            let live = Arc::clone(live);
            async move {
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(u64::from(live.load(Ordering::SeqCst).min(most)))
            }
        };
        let Ok(_place) = places.place(&project, count).await else { return false };
        tokio::task::yield_now().await;
        live.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        true
    }

    #[tokio::test]
    async fn as_many_are_created_at_once_as_the_limit_allows() {
        for limit in [1, 10, 100, 1_000] {
            let (places, live) = (places(limit), Arc::new(AtomicU32::new(0)));
            let tasks: Vec<_> = (0..limit + 50)
                .map(|_| {
                    let (places, live) = (Arc::clone(&places), Arc::clone(&live));
                    tokio::spawn(async move { create(&places, &live).await })
                })
                .collect();
            let mut created = 0;
            for task in tasks {
                created += u32::from(task.await.expect("no panic"));
            }
            assert_eq!((created, live.load(Ordering::SeqCst)), (limit, limit));
            // One that ends makes room at once.
            live.fetch_sub(1, Ordering::SeqCst);
            assert!(create(&places, &live).await);
            assert!(!create(&places, &live).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_count_is_repeated_after_a_second() {
        let (places, live) = (places(10), Arc::new(AtomicU32::new(0)));
        assert!(create(&places, &live).await);
        // Another server creates the others.
        live.store(10, Ordering::SeqCst);
        tokio::time::advance(RECOUNT).await;
        assert!(!create(&places, &live).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_creation_that_does_not_end_is_refused() {
        let places = places(1);
        let none = |_| async { Ok::<_, Infallible>(0) };
        let place = places.place(&ProjectId::default_project(), none).await.expect("a place");
        assert!(matches!(places.place(&ProjectId::default_project(), none).await, Err(QuotaExceeded::Limited(_))));
        drop(place);
        assert!(places.place(&ProjectId::default_project(), none).await.is_ok());
    }
}
