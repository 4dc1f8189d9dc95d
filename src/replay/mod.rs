//! Stored events as a paced stream, at any speed.
//!
//! ```text
//!  journal ── pages ──▶ Player ── folds ──▶ states and events, each when it is due
//!                         │
//!                      Playhead: the position, and what comes next              ┐ pure: the wall clock
//!                         │                                                     │ comes in as an
//!                       Pace: recorded time × speed = wall time                 ┘ argument
//! ```
//!
//! Nothing here sends anything: viewers, modes and the live edge are in [`crate::ws`].

mod idle_gaps;
mod pace;
mod player;
mod playhead;
mod range;

pub use idle_gaps::IdleGaps;
pub use pace::{Factor, Pace, Speed};
pub use player::{Next, Player, ReplayError, ReplayOptions};
pub use playhead::{Mark, Playhead};
pub use range::{Point, Range};
