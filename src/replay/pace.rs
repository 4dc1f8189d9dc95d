//! The arithmetic of pace: how wall time and played time belong together.
//!
//! *Played time* is recorded time with idle gaps shortened: what a replay at speed 1 takes. *Wall
//! time* comes in as an argument, counted from any moment that stays the same.

use std::time::Duration;

/// How fast a replay goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many times the recorded pace.
    Times(Factor),
    /// Everything is due at once; whoever watches sets the pace.
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

    /// `None` when the factor is out of bounds.
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

    /// The wall time in which this much played time has passed for certain: a microsecond more than
    /// the quotient, so that what was computed to be due is due when the time has come.
    fn wall(self, played: Duration) -> Duration {
        let quotient = Duration::try_from_secs_f64(played.as_secs_f64() / self.0).unwrap_or(Duration::MAX);
        quotient.saturating_add(Duration::from_micros(1))
    }
}

/// A clock of played time, which runs at a speed or stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    speed: Speed,
    /// The played time at the anchor.
    played: Duration,
    /// The wall time of the anchor; `None` while the clock stands.
    since: Option<Duration>,
}

impl Pace {
    /// A clock that stands at zero.
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

    /// The played time that the clock was set to last, or stopped at.
    #[must_use]
    pub fn set_to(&self) -> Duration {
        self.played
    }

    /// The wall time at which `played` is reached; `None` when the clock stands.
    #[must_use]
    pub fn reaches(&self, played: Duration) -> Option<Duration> {
        let since = self.since?;
        Some(match self.speed {
            Speed::Max => since,
            Speed::Times(factor) => since.saturating_add(factor.wall(played.saturating_sub(self.played))),
        })
    }

    /// Sets the clock to `played`. It goes on, or stands, as before.
    pub fn set(&mut self, wall: Duration, played: Duration) {
        self.played = played;
        self.since = self.since.map(|_| wall);
    }

    /// Lets the clock run from where it stands.
    pub fn play(&mut self, wall: Duration) {
        self.since.get_or_insert(wall);
    }

    /// Stops the clock where it is. At [`Speed::Max`] that is where it was set last.
    pub fn pause(&mut self, wall: Duration) {
        self.anchor(wall);
        self.since = None;
    }

    /// Changes the speed from here on; what has been played stays as it is.
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
