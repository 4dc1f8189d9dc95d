//! The wall clock and random numbers.
//!
//! Everything on the path of a command that decides, names or delays something uses both from here, so that
//! the deterministic simulation (`docs/simulation.md`) can supply them: clocks that jump, and random numbers
//! that repeat with the same seed. In production the only cost is reading a thread-local.
//! Durations are not measured with this clock but with Tokio's, which can be paused.

use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;

use chrono::{DateTime, Utc};
use uuid::{Builder, Uuid};

/// A source of the time and of random numbers.
pub trait Ambient: Debug {
    /// The wall clock. It may jump in either direction.
    fn now(&self) -> DateTime<Utc>;

    fn random(&self) -> u64;
}

thread_local! {
    static SUPPLIED: RefCell<Option<Rc<dyn Ambient>>> = const { RefCell::new(None) };
}

/// Makes this thread use `ambient`, or with `None` the operating system; returns the previous source.
pub fn supply(ambient: Option<Rc<dyn Ambient>>) -> Option<Rc<dyn Ambient>> {
    SUPPLIED.with(|supplied| supplied.replace(ambient))
}

/// Whether this thread uses another source than the operating system.
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

/// A new UUID of version 7, which sorts by its time of creation.
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
