//! Callers that were recognised a moment ago.

use std::time::Duration;

use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::{Caller, CredentialId};
use relive_session::ProjectId;

/// SHA-256 of a credential and of its kind.
pub(super) type Digest = [u8; 32];

/// The maximum number of cached callers.
const CACHED: usize = 10_000;
/// How long a caller is cached after it was last verified. As long it is accepted even while its address is rate
/// limited.
const REMEMBERED: Duration = Duration::from_mins(10);
const STRIPES: usize = 64;

/// Bounded by [`CACHED`]: when it is full, those that were not verified lately make room; if none did, further
/// ones are looked up each time.
pub(super) struct Cache {
    entries: DashMap<Digest, CachedCaller>,
    /// Whoever verifies a known credential again holds one of these, so that not all of its requests do.
    verifying: [Mutex<()>; STRIPES],
    fresh: Duration,
    /// How often something was forgotten. What the database said before is not remembered afterwards.
    forgotten: AtomicU64,
}

/// When the database was asked about a credential.
#[derive(Clone, Copy)]
pub(super) struct LookupTime {
    at: Instant,
    forgotten: u64,
}

#[derive(Clone)]
struct CachedCaller {
    verified: Instant,
    caller: Caller,
}

/// What is remembered of a credential.
pub(super) enum Found {
    Fresh(Caller),
    /// It was valid lately, and is to be verified again.
    Stale,
    Unknown,
}

impl Cache {
    pub fn new(fresh: Duration) -> Self {
        let verifying = std::array::from_fn(|_| Mutex::default());
        Self { entries: DashMap::new(), verifying, fresh, forgotten: AtomicU64::new(0) }
    }

    /// To be called before the database is asked.
    pub fn asked(&self) -> LookupTime {
        LookupTime { at: Instant::now(), forgotten: self.forgotten.load(Ordering::SeqCst) }
    }

    pub fn find(&self, digest: &Digest) -> Found {
        let Some(entry) = self.entries.get(digest) else { return Found::Unknown };
        let age = entry.verified.elapsed();
        if age < self.fresh {
            Found::Fresh(entry.caller.clone())
        } else if age < REMEMBERED {
            Found::Stale
        } else {
            Found::Unknown
        }
    }

    /// Waits until nobody else verifies the same credential.
    pub async fn turn(&self, digest: &Digest) -> MutexGuard<'_, ()> {
        self.verifying[usize::from(digest[0]) % STRIPES].lock().await
    }

    /// Remembers a caller that was verified by what the database said at `asked`.
    pub fn put(&self, digest: Digest, caller: Caller, asked: LookupTime) {
        if self.entries.len() >= CACHED && !self.entries.contains_key(&digest) {
            self.entries.retain(|_, entry| entry.verified.elapsed() < self.fresh);
            if self.entries.len() >= CACHED {
                return;
            }
        }
        self.entries.insert(digest, CachedCaller { verified: asked.at, caller });
        // It may have been revoked meanwhile. Looked at after it was inserted: what is forgotten from now on
        // concerns it too.
        if self.forgotten.load(Ordering::SeqCst) != asked.forgotten {
            self.entries.remove(&digest);
        }
    }

    pub fn remove(&self, digest: &Digest) {
        self.entries.remove(digest);
    }

    /// Forgets the callers that hold such a credential.
    pub fn forget(&self, is_revoked: impl Fn(&CredentialId, &ProjectId) -> bool) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.entries.retain(|_, entry| !is_revoked(&entry.caller.credential, &entry.caller.project));
    }

    /// Forgets what is too old to be of use.
    pub fn sweep(&self) {
        self.entries.retain(|_, entry| entry.verified.elapsed() < REMEMBERED);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn caller(n: u128) -> Caller {
        Caller { credential: CredentialId::Key(Uuid::from_u128(n)), ..Caller::anonymous(ProjectId::default_project()) }
    }

    fn digest(n: usize) -> Digest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&n.to_be_bytes());
        digest
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_fresh_then_stale_then_forgotten() {
        let cache = Cache::new(Duration::from_secs(2));
        assert!(matches!(cache.find(&digest(1)), Found::Unknown));
        cache.put(digest(1), caller(1), cache.asked());
        assert!(matches!(cache.find(&digest(1)), Found::Fresh(found) if found == caller(1)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(matches!(cache.find(&digest(1)), Found::Stale));
        tokio::time::advance(REMEMBERED).await;
        assert!(matches!(cache.find(&digest(1)), Found::Unknown));
        cache.sweep();
        assert!(cache.entries.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_bounded_and_makes_room() {
        let cache = Cache::new(Duration::from_secs(2));
        for n in 0..CACHED + 5 {
            cache.put(digest(n), caller(0), cache.asked());
        }
        assert_eq!(cache.entries.len(), CACHED);
        tokio::time::advance(Duration::from_secs(2)).await;
        cache.put(digest(CACHED + 9), caller(0), cache.asked());
        assert_eq!(cache.entries.len(), 1);
    }

    #[tokio::test]
    async fn revoked_ones_are_forgotten() {
        let cache = Cache::new(Duration::from_secs(2));
        cache.put(digest(1), caller(1), cache.asked());
        cache.put(digest(2), caller(2), cache.asked());
        cache.forget(|id, _| *id == CredentialId::Key(Uuid::from_u128(1)));
        assert!(matches!(cache.find(&digest(1)), Found::Unknown));
        assert!(matches!(cache.find(&digest(2)), Found::Fresh(_)));
    }

    #[tokio::test]
    async fn what_was_found_before_a_revocation_is_not_remembered_after_it() {
        let cache = Cache::new(Duration::from_secs(2));
        let asked = cache.asked();
        cache.forget(|id, _| *id == CredentialId::Key(Uuid::from_u128(1)));
        cache.put(digest(1), caller(1), asked);
        assert!(matches!(cache.find(&digest(1)), Found::Unknown));
    }
}
