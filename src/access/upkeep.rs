//! What is done in the background.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use relive_session::Timestamp;

use super::state::Inner;
use super::tokens::{SigningKeys, TOKEN_LONGEST};
use super::{AuthError, audit};
use crate::storage::{SigningKeyRow, Storage, StorageError};

/// How old the key that signs may become. Tokens of the one before are accepted, so it is longer than a token is
/// valid.
const SIGNING_KEY_AGE: Duration = Duration::from_hours(30 * 24);
/// The pause between two batches of what is deleted.
const PAUSE: Duration = Duration::from_millis(200);

/// The keys that sign are read again at each such look for revocations: by default every 30 s. Another server, or
/// the command line, may have exchanged them.
const SIGNING_KEYS_EVERY: u32 = 15;

/// Makes a new key that signs, whatever the age of the one before. Returns those that are accepted, the newest
/// first.
pub(super) async fn exchange_signing_key(storage: &Storage) -> Result<Vec<SigningKeyRow>, StorageError> {
    let (id, secret) = new_signing_key();
    storage.rotate_signing_keys(&id, &secret, None).await
}

/// A new key that signs, and its id.
fn new_signing_key() -> (String, [u8; 32]) {
    (Uuid::new_v4().simple().to_string(), rand::random())
}

/// Makes a key that signs if there is none, or if the newest is old.
pub(super) async fn make_signing_key(inner: &Inner) -> Result<(), AuthError> {
    debug_assert!(SIGNING_KEY_AGE > TOKEN_LONGEST);
    let known = inner.read_signing_keys().await?;
    let oldest = Timestamp::now().before(SIGNING_KEY_AGE);
    if known.newest().is_some_and(|made| Some(made) > oldest) {
        return Ok(());
    }
    let (id, secret) = new_signing_key();
    let rows = inner.storage.rotate_signing_keys(&id, &secret, oldest).await?;
    *inner.signing.write() = Arc::new(SigningKeys::new(rows));
    Ok(())
}

/// Looks for what was revoked among the credentials in use, and for the first key. No query is made if nothing is
/// in use and keys need not be looked for.
pub(super) async fn look(inner: &Inner) -> Result<(), StorageError> {
    let held = inner.watches.held();
    if held.is_empty() && !inner.waits_for_keys() {
        return Ok(());
    }
    let revoked = inner.storage.revoked(&held).await?;
    if revoked.has_keys {
        inner.require_for_keys();
    }
    if !revoked.is_empty() {
        inner.end(&revoked);
    }
    Ok(())
}

/// Looks every two seconds.
pub(super) async fn watch(inner: Arc<Inner>) {
    let pause = inner.settings.timing.fresh;
    let mut looks = 0;
    while inner.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        // What cannot be looked up now is looked up the next time; meanwhile the sockets stay open.
        if let Some(Err(error)) = inner.stop.run_until_cancelled(look(&inner)).await {
            tracing::debug!(%error, "revocations could not be looked up");
        }
        looks = (looks + 1) % SIGNING_KEYS_EVERY;
        if looks == 0
            && let Some(Err(error)) = inner.stop.run_until_cancelled(inner.read_signing_keys()).await
        {
            tracing::debug!(%error, "the keys that sign could not be read again");
        }
    }
}

/// Does the rest, until the server stops.
pub(super) async fn run(inner: Arc<Inner>) {
    tokio::join!(audit::summarise(&inner.audit, &inner.stop), write_last_use(&inner), remove_old(&inner));
}

async fn write_last_use(inner: &Inner) {
    while inner.stop.run_until_cancelled(tokio::time::sleep(inner.settings.timing.last_use)).await.is_some() {
        if let Err(error) = inner.last_use.write(&inner.storage).await {
            tracing::debug!(%error, "the last use of keys could not be written yet");
        }
    }
}

async fn remove_old(inner: &Inner) {
    let pause = inner.settings.timing.upkeep;
    while inner.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        inner.cache.sweep();
        let work = async {
            audit::prune(&inner.storage, inner.settings.audit).await;
            if let Err(error) = prune_credentials(inner).await {
                tracing::debug!(%error, "expired credentials could not be removed");
            }
            if let Err(error) = make_signing_key(inner).await {
                tracing::debug!(%error, "the key that signs could not be exchanged");
            }
        };
        let began = Instant::now();
        inner.stop.run_until_cancelled(work).await;
        tracing::trace!(took = ?began.elapsed(), "removed what is old");
    }
}

async fn prune_credentials(inner: &Inner) -> Result<(), StorageError> {
    while inner.storage.prune_credentials(Timestamp::now()).await? {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
