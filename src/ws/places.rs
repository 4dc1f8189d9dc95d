//! What a connection takes up among those that there may be.

use tokio::sync::OwnedSemaphorePermit;

use crate::access::limits::SocketPermit;

/// Given back when it is dropped.
pub(super) struct Places {
    _among_all: OwnedSemaphorePermit,
    _of_caller: Option<SocketPermit>,
}

impl Places {
    pub fn new(among_all: OwnedSemaphorePermit, of_caller: Option<SocketPermit>) -> Self {
        Self { _among_all: among_all, _of_caller: of_caller }
    }
}
