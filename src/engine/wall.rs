//! The wall clock of an engine.

use tokio::time::Instant;

use relive_session::Timestamp;

/// Decides when the next attempt of a node is due, and how long a node has waited.
///
/// The wall clock of a server can be wrong, and can be stepped. So a server reads the database's clock when
/// it resumes a session, and from then on adds the time that has passed: all servers of a database use the
/// same clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock(Option<(Timestamp, Instant)>);

impl WallClock {
    /// A clock that shows this time now.
    #[must_use]
    pub fn showing(time: Timestamp) -> Self {
        Self(Some((time, Instant::now())))
    }

    /// The time it shows; that of this process if it was never set.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.map_or_else(Timestamp::now, |(time, at)| time + at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_from_the_time_that_it_was_set_to() {
        let long_ago = Timestamp::from_millis(1_000_000).expect("a time");
        let clock = WallClock::showing(long_ago);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.now(), long_ago + Duration::from_secs(5));
        assert!(WallClock::default().now() > clock.now());
    }
}
