//! The relation of wall time and played time.
//!
//! *Played time* is recorded time with idle gaps shortened: the duration of a replay at speed 1. *Wall
//! time* is an argument, counted from any fixed moment.

use std::time::Duration;

/// The speed of a replay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// A multiple of the recorded pace.
    Times(Factor),
    /// Everything is due at once; the client sets the pace.
    Max,
}

/// A factor within [`Speed::SLOWEST`] and [`Speed::FASTEST`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factor(f64);

impl Speed {
    pub const SLOWEST: f64 = 0.1;
    pub const FASTEST: f64 = 1_000.0;
    /// The recorded pace.
    pub const RECORDED: Self = Self::Times(Factor(1.0));

    /// `None` if the factor is out of bounds.
    #[must_use]
    pub fn times(factor: f64) -> Option<Self> {
        (Self::SLOWEST..=Self::FASTEST).contains(&factor).then_some(Self::Times(Factor(factor)))
    }
}

impl Factor {
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// The played time that passes in this much wall time.
    fn played(self, wall: Duration) -> Duration {
        Duration::try_from_secs_f64(wall.as_secs_f64() * self.0).unwrap_or(Duration::MAX)
    }

    /// The wall time after which this much played time has certainly passed: a microsecond more than
    /// the quotient, so that rounding never makes it too early.
    fn wall(self, played: Duration) -> Duration {
        let quotient = Duration::try_from_secs_f64(played.as_secs_f64() / self.0).unwrap_or(Duration::MAX);
        quotient.saturating_add(Duration::from_micros(1))
    }
}

/// A clock of played time, which runs at a speed or is stopped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    speed: Speed,
    /// The played time at the anchor.
    played: Duration,
    /// The wall time of the anchor; `None` while the clock is stopped.
    since: Option<Duration>,
}

impl Pace {
    /// A stopped clock at zero.
    #[must_use]
    pub fn new(speed: Speed) -> Self {
        Self { speed, played: Duration::ZERO, since: None }
    }

    #[must_use]
    pub fn speed(&self) -> Speed {
        self.speed
    }

    #[must_use]
    pub fn is_playing(&self) -> bool {
        self.since.is_some()
    }

    /// The played time at wall time `wall`. At [`Speed::Max`] a running clock is past everything.
    #[must_use]
    pub fn played(&self, wall: Duration) -> Duration {
        match (self.since, self.speed) {
            (None, _) => self.played,
            (Some(since), Speed::Times(factor)) => {
                self.played.saturating_add(factor.played(wall.saturating_sub(since)))
            }
            (Some(_), Speed::Max) => Duration::MAX,
        }
    }

    /// The played time that the clock was last set to, or stopped at.
    #[must_use]
    pub fn set_to(&self) -> Duration {
        self.played
    }

    /// The wall time at which `played` is reached; `None` while the clock is stopped.
    #[must_use]
    pub fn reaches(&self, played: Duration) -> Option<Duration> {
        let since = self.since?;
        Some(match self.speed {
            Speed::Max => since,
            Speed::Times(factor) => since.saturating_add(factor.wall(played.saturating_sub(self.played))),
        })
    }

    /// Sets the clock to `played`. It keeps running, or stays stopped.
    pub fn set(&mut self, wall: Duration, played: Duration) {
        self.played = played;
        self.since = self.since.map(|_| wall);
    }

    /// Starts the clock.
    pub fn play(&mut self, wall: Duration) {
        self.since.get_or_insert(wall);
    }

    /// Stops the clock. At [`Speed::Max`] its time is the one it was last set to.
    pub fn pause(&mut self, wall: Duration) {
        self.anchor(wall);
        self.since = None;
    }

    /// Changes the speed from here on; the played time so far is unchanged.
    pub fn set_speed(&mut self, wall: Duration, speed: Speed) {
        self.anchor(wall);
        self.speed = speed;
    }

    fn anchor(&mut self, wall: Duration) {
        if self.speed != Speed::Max {
            self.played = self.played(wall);
        }
        self.since = self.since.map(|_| wall);
    }
}

#[cfg(test)]
#[path = "pace/tests.rs"]
mod tests;
