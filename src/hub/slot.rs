//! The caller of a submission, and the time at which it expires.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::error::HubError;
use super::submission::{CommandResult, ReplyTo};

/// How long before a submission expires the database must have carried it out; later it may not.
const MARGIN: Duration = Duration::from_millis(500);

/// A caller. It is answered once: by the lane, or when it expires.
#[derive(Debug)]
pub(super) struct SessionSlot {
    reply: Mutex<Option<ReplyTo>>,
    /// When it expires.
    pub expires: Instant,
}

impl SessionSlot {
    pub fn new(reply: ReplyTo, answer_within: Duration) -> Self {
        Self { reply: Mutex::new(Some(reply)), expires: Instant::now() + answer_within }
    }

    /// After this the command must not be written any more.
    pub fn deadline(&self) -> Instant {
        self.expires.checked_sub(MARGIN).unwrap_or(self.expires)
    }

    /// Whether it is still unanswered.
    pub fn is_open(&self) -> bool {
        self.reply.lock().is_some()
    }

    pub fn answer(&self, outcome: CommandResult) {
        let reply = self.reply.lock().take();
        if let Some(reply) = reply {
            reply.send(outcome);
        }
    }

    /// Answers that the command was not carried out, and will not be.
    pub fn expire(&self) {
        self.answer(Err(HubError::Unavailable));
    }
}
