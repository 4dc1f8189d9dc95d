//! Background tasks, which end with the storage.

use parking_lot::Mutex;
use tokio::task::JoinSet;

/// Tasks that are stopped when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().spawn(work);
    }

    pub fn stop(&self) {
        self.0.lock().abort_all();
    }
}
