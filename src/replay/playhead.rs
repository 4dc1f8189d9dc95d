//! The position of a replay and what comes next. Pure: items and the wall clock are arguments.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Pace, Speed};
use relive_session::{Revision, Timestamp};

/// A revision on the line of played time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub revision: Revision,
    /// When it was recorded. Clocks jump; here time never decreases along revisions.
    pub at: Timestamp,
    /// The played time at which it is due, counted from the beginning of the replay or the last seek.
    pub due: Duration,
}

/// The shown revision, those that were read ahead, and the clock that decides when each of them is due.
#[derive(Debug)]
pub struct Playhead<Item> {
    pace: Pace,
    skip_idle: Option<Duration>,
    shown: Mark,
    /// The recorded time of the last seek: at or after that of the shown revision.
    sought: Timestamp,
    upcoming: VecDeque<(Mark, Item)>,
}

impl<Item> Playhead<Item> {
    /// Positioned at a revision. Idle gaps longer than `skip_idle` are shortened to it.
    #[must_use]
    pub fn new(speed: Speed, skip_idle: Option<Duration>, revision: Revision, at: Timestamp) -> Self {
        let shown = Mark { revision, at, due: Duration::ZERO };
        Self { pace: Pace::new(speed), skip_idle, shown, sought: at, upcoming: VecDeque::new() }
    }

    #[must_use]
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// The revision that was reached by the last advance or seek.
    #[must_use]
    pub fn shown(&self) -> Mark {
        self.shown
    }

    /// The newest revision that was read ahead, or else the shown one.
    #[must_use]
    pub fn newest(&self) -> Mark {
        self.upcoming.back().map_or(self.shown, |(mark, _)| *mark)
    }

    /// The next revision, if it was read already.
    #[must_use]
    pub fn next(&self) -> Option<Mark> {
        self.upcoming.front().map(|(mark, _)| *mark)
    }

    /// Adds the revision after the newest one.
    pub fn push(&mut self, revision: Revision, at: Timestamp, item: Item) {
        let newest = self.newest();
        let silence = distance(newest.at, at);
        let played = self.skip_idle.map_or(silence, |longest| silence.min(longest));
        let mark = Mark { revision, at: at.max(newest.at), due: newest.due.saturating_add(played) };
        self.upcoming.push_back((mark, item));
    }

    /// Advances to the next revision, due or not.
    pub fn pop(&mut self) -> Option<Item> {
        let (mark, item) = self.upcoming.pop_front()?;
        self.shown = mark;
        self.sought = mark.at;
        Some(item)
    }

    /// Whether the next revision is due.
    #[must_use]
    pub fn is_next_due(&self, wall: Duration) -> bool {
        self.pace.is_playing() && self.next().is_some_and(|next| next.due <= self.pace.played(wall))
    }

    /// The recorded time of the position: at the shown revision, or between it and the next one.
    /// `end` is its upper bound while the next one is not known.
    #[must_use]
    pub fn at(&self, wall: Duration, end: Timestamp) -> Timestamp {
        let Mark { at, due, .. } = self.shown;
        let limit = self.next().map_or(end, |next| next.at);
        let way = match self.pace.speed() {
            Speed::Max => Duration::ZERO,
            Speed::Times(_) => self.pace.played(wall).saturating_sub(due),
        };
        let on_the_way = at.as_millis().saturating_add(i64::try_from(way.as_millis()).unwrap_or(i64::MAX));
        let on_the_way = Timestamp::from_millis(on_the_way.min(limit.as_millis())).unwrap_or(limit);
        on_the_way.max(self.sought).min(limit).max(at)
    }

    /// Seeks to a revision and drops what was read ahead; `sought` is the recorded time that was
    /// asked for, if any.
    pub fn jump(&mut self, wall: Duration, revision: Revision, at: Timestamp, sought: Option<Timestamp>) {
        self.upcoming.clear();
        self.shown = Mark { revision, at, due: Duration::ZERO };
        self.sought = sought.unwrap_or(at).max(at);
        // Within a shortened gap, the remaining time is shortened too.
        let way = distance(at, self.sought);
        self.pace.set(wall, self.skip_idle.map_or(way, |longest| way.min(longest)));
    }

    pub fn play(&mut self, wall: Duration) {
        self.pace.play(wall);
    }

    pub fn pause(&mut self, wall: Duration) {
        self.sync_clock(wall);
        self.pace.pause(wall);
    }

    pub fn set_speed(&mut self, wall: Duration, speed: Speed) {
        self.sync_clock(wall);
        self.pace.set_speed(wall, speed);
    }

    /// Pauses and advances to the next revision.
    pub fn step(&mut self, wall: Duration) -> Option<Item> {
        self.pause(wall);
        let item = self.pop()?;
        self.pace.set(wall, self.shown.due);
        Some(item)
    }

    /// Sets the clock to the shown revision, so that a client that was too slow continues from what it sees. A
    /// clock between two revisions is unchanged.
    fn sync_clock(&mut self, wall: Duration) {
        let played = match self.pace.speed() {
            Speed::Max => self.pace.set_to(),
            Speed::Times(_) => self.next().map_or(Duration::MAX, |next| next.due).min(self.pace.played(wall)),
        };
        self.pace.set(wall, played.max(self.shown.due));
    }
}

/// From one recorded time to a later one; zero if clocks were set back.
fn distance(from: Timestamp, to: Timestamp) -> Duration {
    let millis = to.as_millis().saturating_sub(from.as_millis());
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

#[cfg(test)]
#[path = "playhead/tests.rs"]
mod tests;
