//! The wall clock and random numbers.
//!
//! What decides, names or delays something on the way of a command takes both from here, so that the
//! deterministic simulation (`docs/simulation.md`) can supply them: clocks that jump, and numbers that
//! come again with the same seed. Nothing else does; the cost elsewhere is a look at a thread-local.
//! Passing time is not measured with this clock but with Tokio's, which can be paused.

use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;

use chrono::{DateTime, Utc};
use uuid::{Builder, Uuid};

/// Where a thread takes the time and random numbers from.
pub trait Ambient: Debug {
    /// The wall clock. It may jump in either direction.
    fn now(&self) -> DateTime<Utc>;

    fn random(&self) -> u64;
}

thread_local! {
    static SUPPLIED: RefCell<Option<Rc<dyn Ambient>>> = const { RefCell::new(None) };
}

/// From now on this thread takes the time and random numbers from `ambient`, or from the operating
/// system again; returns what it took them from before.
pub fn supply(ambient: Option<Rc<dyn Ambient>>) -> Option<Rc<dyn Ambient>> {
    SUPPLIED.with(|supplied| supplied.replace(ambient))
}

/// Whether this thread takes them from somewhere else than the operating system.
#[must_use]
pub fn is_supplied() -> bool {
    supplied(|_| ()).is_some()
}

fn supplied<T>(read: impl FnOnce(&(dyn Ambient + 'static)) -> T) -> Option<T> {
    SUPPLIED.with(|supplied| supplied.borrow().as_deref().map(read))
}

/// The wall clock's time.
#[must_use]
pub fn now() -> DateTime<Utc> {
    supplied(Ambient::now).unwrap_or_else(Utc::now)
}

/// 64 random bits.
#[must_use]
pub fn random() -> u64 {
    supplied(Ambient::random).unwrap_or_else(rand::random)
}

/// A new UUID of version 7: it sorts by the time it was made.
#[must_use]
pub fn uuid() -> Uuid {
    let made = supplied(|ambient| {
        let millis = ambient.now().timestamp_millis().unsigned_abs();
        let bits = u128::from(ambient.random()) << 64 | u128::from(ambient.random());
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&bits.to_be_bytes()[6..]);
        Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    });
    made.unwrap_or_else(Uuid::now_v7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Fixed(DateTime<Utc>);

    impl Ambient for Fixed {
        fn now(&self) -> DateTime<Utc> {
            self.0
        }

        fn random(&self) -> u64 {
            7
        }
    }

    #[test]
    fn what_is_supplied_is_used_until_it_is_taken_back() {
        let time = DateTime::from_timestamp_millis(1_000_000).expect("a time");
        assert!(supply(Some(Rc::new(Fixed(time)))).is_none());
        assert_eq!((now(), random()), (time, 7));
        assert_eq!((uuid(), uuid().get_version_num()), (uuid(), 7));
        assert!(supply(None).is_some());
        assert!(now() > time);
        assert_ne!(uuid(), uuid());
    }
}
