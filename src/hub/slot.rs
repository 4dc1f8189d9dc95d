//! A caller who waits for an answer, and until when.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::error::HubError;
use super::submission::{Outcome, Reply};

/// The last moment at which the database may carry a command out is this long before its caller is told
/// that it is not.
const MARGIN: Duration = Duration::from_millis(500);

/// A caller. It is answered once: by the lane, or when its time is up.
#[derive(Debug)]
pub(super) struct Slot {
    reply: Mutex<Option<Reply>>,
    /// When it is answered in any case.
    pub expires: Instant,
}

impl Slot {
    pub fn new(reply: Reply, answer_within: Duration) -> Self {
        Self { reply: Mutex::new(Some(reply)), expires: Instant::now() + answer_within }
    }

    /// After this the command is not to be written any more.
    pub fn deadline(&self) -> Instant {
        self.expires.checked_sub(MARGIN).unwrap_or(self.expires)
    }

    /// Whether nobody has answered yet.
    pub fn is_open(&self) -> bool {
        self.reply.lock().is_some()
    }

    pub fn answer(&self, outcome: Outcome) {
        let reply = self.reply.lock().take();
        if let Some(reply) = reply {
            reply.send(outcome);
        }
    }

    /// Says that the command was not carried out, and it will not be.
    pub fn expire(&self) {
        self.answer(Err(HubError::Unavailable));
    }
}
