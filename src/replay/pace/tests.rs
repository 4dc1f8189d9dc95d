use std::time::Duration;

use proptest::prelude::*;

use super::{Pace, Speed};

const SECOND: Duration = Duration::from_secs(1);

fn times(factor: f64) -> Speed {
    Speed::times(factor).expect("within bounds")
}

fn playing(speed: Speed) -> Pace {
    let mut pace = Pace::new(speed);
    pace.play(Duration::ZERO);
    pace
}

#[test]
fn played_time_is_wall_time_times_speed() {
    for (factor, played) in [(0.1, 1), (1.0, 10), (2.5, 25), (1_000.0, 10_000)] {
        assert_eq!(playing(times(factor)).played(10 * SECOND), played * SECOND, "{factor}");
    }
}

#[test]
fn a_clock_that_stands_goes_nowhere_and_reaches_nothing() {
    let mut pace = Pace::new(times(5.0));
    assert_eq!((pace.played(9 * SECOND), pace.reaches(SECOND)), (Duration::ZERO, None));
    pace.play(9 * SECOND);
    pace.pause(10 * SECOND);
    assert_eq!((pace.played(99 * SECOND), pace.reaches(6 * SECOND)), (5 * SECOND, None));
    pace.play(100 * SECOND);
    // Told again, it does not begin anew.
    pace.play(101 * SECOND);
    assert_eq!(pace.played(102 * SECOND), 15 * SECOND);
}

#[test]
fn at_full_speed_everything_is_due_and_stopping_stays_where_it_was_set() {
    let mut pace = playing(Speed::Max);
    assert_eq!((pace.played(Duration::ZERO), pace.reaches(9 * SECOND)), (Duration::MAX, Some(Duration::ZERO)));
    pace.set(SECOND, 7 * SECOND);
    pace.pause(2 * SECOND);
    assert_eq!(pace.played(3 * SECOND), 7 * SECOND);
    pace.play(3 * SECOND);
    pace.set_speed(4 * SECOND, times(2.0));
    assert_eq!(pace.played(5 * SECOND), 9 * SECOND);
}

#[test]
fn speeds_out_of_bounds_are_none() {
    for factor in [0.0, -1.0, 0.099, 1_000.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(Speed::times(factor), None, "{factor}");
    }
    assert_eq!(Speed::times(1.0), Some(Speed::RECORDED));
}

#[test]
fn the_longest_ways_do_not_overflow() {
    let pace = playing(times(1_000.0));
    assert_eq!(pace.played(Duration::MAX), Duration::MAX);
    assert_eq!(playing(times(0.1)).reaches(Duration::MAX), Some(Duration::MAX));
}

#[derive(Clone, Debug)]
enum Act {
    Play,
    Pause,
    Speed(f64),
}

fn act() -> impl Strategy<Value = (u64, Act)> {
    let acts = prop_oneof![Just(Act::Play), Just(Act::Pause), (0.1..1_000.0_f64).prop_map(Act::Speed)];
    (0..100_000_u64, acts)
}

proptest! {
    /// A change is never a jump, time never goes back, and however often the clock is stopped and
    /// changed, what it shows is the sum of what was played.
    #[test]
    fn changes_are_continuous_and_do_not_drift(acts in proptest::collection::vec(act(), 1..200)) {
        let mut pace = Pace::new(Speed::RECORDED);
        let (mut wall, mut expected, mut factor, mut is_playing) = (Duration::ZERO, 0.0, 1.0, false);
        for (millis, act) in acts {
            let before = pace.played(wall);
            wall += Duration::from_millis(millis);
            if is_playing {
                expected += millis as f64 / 1_000.0 * factor;
            }
            let reached = pace.played(wall);
            prop_assert!(reached >= before);
            match act {
                Act::Play => pace.play(wall),
                Act::Pause => pace.pause(wall),
                Act::Speed(new) => pace.set_speed(wall, times(new)),
            }
            match act {
                Act::Play => is_playing = true,
                Act::Pause => is_playing = false,
                Act::Speed(new) => factor = new,
            }
            prop_assert_eq!(pace.played(wall), reached, "a jump");
            prop_assert!((reached.as_secs_f64() - expected).abs() < 1e-5, "{} and not {}", reached.as_secs_f64(), expected);
        }
    }

    /// When the computed time has come, what was waited for is due; not much before.
    #[test]
    fn what_is_waited_for_is_due_when_the_time_has_come(factor in 0.1..1_000.0_f64, start in 0..10_u64.pow(12), way in 0..10_u64.pow(12)) {
        let mut pace = playing(times(factor));
        let wall = Duration::from_micros(start);
        pace.set(wall, Duration::from_micros(start));
        let target = Duration::from_micros(start + way);
        let reached = pace.reaches(target).expect("playing");
        prop_assert!(pace.played(reached) >= target);
        let early = reached.saturating_sub(Duration::from_micros(20));
        prop_assert!(early < wall || pace.played(early) <= target);
    }
}
