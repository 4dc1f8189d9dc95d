//! When keys were last used: gathered in memory, and written together.

use std::collections::HashMap;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::storage::{Storage, StorageError};
use relive_session::Timestamp;

/// Bounded by the number of keys.
#[derive(Default)]
pub(super) struct LastUse(Mutex<HashMap<Uuid, Timestamp>>);

impl LastUse {
    pub fn note(&self, key: Uuid, at: Timestamp) {
        self.0.lock().insert(key, at);
    }

    /// The last use that is not written yet.
    pub fn of(&self, key: Uuid) -> Option<Timestamp> {
        self.0.lock().get(&key).copied()
    }

    /// Writes what has gathered, with one statement. What could not be written is written the next time.
    pub async fn write(&self, storage: &Storage) -> Result<(), StorageError> {
        let used: Vec<(Uuid, Timestamp)> = std::mem::take(&mut *self.0.lock()).into_iter().collect();
        if used.is_empty() {
            return Ok(());
        }
        let written = storage.touch_keys(&used).await;
        if written.is_err() {
            let mut gathered = self.0.lock();
            for (key, at) in used {
                gathered.entry(key).or_insert(at);
            }
        }
        written
    }
}
