//! Schedules: runs of workflows at times.
//!
//! Every server looks for schedules that are due. One claims a schedule, starts the run, and notes when it is due again;
//! if it dies in between, another server does the same after a while. The id of a run follows from its schedule and its
//! time, so it is created and started once, however often that is tried.

mod firing;
mod scheduler;
mod timetable;

pub use scheduler::Scheduler;
pub use timetable::{Timetable, TimetableError};
