//! Idle gaps: long periods without events.

use std::time::Duration;

use super::Range;
use crate::storage::{Storage, StorageError};
use relive_session::{Revision, SessionId, Timestamp};

/// The maximum number of gaps kept; the longest ones are.
const STRETCHES: u32 = 256;
/// The shortest gap worth showing, unless the viewer says otherwise; in a long run a fiftieth of it.
const SHORTEST: Duration = Duration::from_secs(2);
const FRACTION: i64 = 50;

/// The idle gaps of a range, as far as they have been computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleGaps {
    threshold_ms: i64,
    /// In order of time.
    stretches: Vec<(Timestamp, Timestamp)>,
    /// Computed up to here.
    up_to: Revision,
}

impl IdleGaps {
    /// Nothing computed yet. Gaps shorter than `skip_idle` do not count.
    #[must_use]
    pub fn new(range: &Range, skip_idle: Option<Duration>) -> Self {
        let run = range.end_at.as_millis().saturating_sub(range.start_at.as_millis());
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let threshold_ms = skip_idle.map_or_else(|| millis(SHORTEST).max(run / FRACTION), millis);
        Self { threshold_ms, stretches: Vec::new(), up_to: range.first }
    }

    #[must_use]
    pub fn stretches(&self) -> &[(Timestamp, Timestamp)] {
        &self.stretches
    }

    #[must_use]
    pub fn up_to(&self) -> Revision {
        self.up_to
    }

    /// Computes the gaps up to `last`, from where it stopped. Reads every event there, once.
    pub async fn look_up(
        mut self,
        storage: Storage,
        session_id: SessionId,
        last: Revision,
    ) -> Result<Self, StorageError> {
        if last > self.up_to {
            let range = (self.up_to, last);
            self.stretches.extend(storage.idle_gaps(session_id, range, self.threshold_ms, STRETCHES).await?);
            self.keep_longest();
            self.up_to = last;
        }
        Ok(self)
    }

    fn keep_longest(&mut self) {
        self.stretches.sort_unstable_by_key(|(from, to)| from.as_millis() - to.as_millis());
        self.stretches.truncate(STRETCHES as usize);
        self.stretches.sort_unstable();
    }
}
