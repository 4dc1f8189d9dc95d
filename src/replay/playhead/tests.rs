use std::time::Duration;

use proptest::prelude::*;

use super::Playhead;
use crate::replay::Speed;
use relive_session::{Revision, Timestamp};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_769_846_400_000 + millis).expect("a time")
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Revision 1 is shown; the others were recorded at these times.
fn playhead(speed: Speed, skip_idle: Option<Duration>, times: &[i64]) -> Playhead<()> {
    let mut playhead = Playhead::new(speed, skip_idle, 1, at(times[0]));
    for (index, time) in times.iter().enumerate().skip(1) {
        playhead.push(index as Revision + 1, at(*time), ());
    }
    playhead.play(Duration::ZERO);
    playhead
}

/// Moves on as far as is due and returns the revision shown.
fn moved_on(playhead: &mut Playhead<()>, wall: Duration) -> Revision {
    while playhead.is_next_due(wall) {
        playhead.pop().expect("due");
    }
    playhead.shown().revision
}

#[test]
fn each_revision_comes_when_its_time_has_come() {
    let mut playhead = playhead(Speed::times(10.0).expect("in bounds"), None, &[0, 100, 100, 5_000, 5_001]);
    for (wall, revision) in [(9, 1), (10, 3), (499, 3), (500, 4), (501, 5)] {
        assert_eq!(moved_on(&mut playhead, ms(wall)), revision, "after {wall} ms");
    }
}

#[test]
fn between_two_revisions_time_goes_on_and_no_further() {
    let mut playhead = playhead(Speed::RECORDED, None, &[0, 1_000, 3_000]);
    let end = at(3_000);
    assert_eq!(playhead.at(ms(400), end), at(400));
    // Not taken though due: time does not run ahead of what is shown.
    assert_eq!(playhead.at(ms(2_000), end), at(1_000));
    moved_on(&mut playhead, ms(2_000));
    assert_eq!(playhead.at(ms(2_000), end), at(2_000));
    moved_on(&mut playhead, ms(9_000));
    assert_eq!(playhead.at(ms(9_000), end), end);
}

#[test]
fn a_silence_is_shortened_to_what_was_asked_for() {
    let mut playhead = playhead(Speed::RECORDED, Some(ms(500)), &[0, 400, 3_600_400, 3_600_900, 7_200_000]);
    for (wall, revision) in [(399, 1), (400, 2), (899, 2), (900, 3), (1_399, 3), (1_400, 4), (1_899, 4), (1_900, 5)] {
        assert_eq!(moved_on(&mut playhead, ms(wall)), revision, "after {wall} ms");
    }
}

#[test]
fn a_clock_that_was_set_back_is_no_distance_and_time_never_goes_back() {
    let mut playhead = playhead(Speed::RECORDED, None, &[1_000, 2_000, 500, 700, 2_100]);
    assert_eq!(moved_on(&mut playhead, ms(999)), 1);
    assert_eq!(moved_on(&mut playhead, ms(1_000)), 4);
    assert_eq!(playhead.shown().at, at(2_000));
    assert_eq!(moved_on(&mut playhead, ms(1_099)), 4);
    assert_eq!(moved_on(&mut playhead, ms(1_100)), 5);
}

#[test]
fn whoever_jumps_into_a_silence_has_only_the_rest_of_it_before_them() {
    for (skip_idle, sought, rest) in
        [(None, 4_000, 6_000), (Some(ms(5_000)), 4_000, 1_000), (Some(ms(1_000)), 4_000, 0)]
    {
        let mut playhead = playhead(Speed::RECORDED, skip_idle, &[0]);
        playhead.jump(ms(100), 1, at(0), Some(at(sought)));
        playhead.push(2, at(10_000), ());
        assert_eq!(playhead.at(ms(100), at(10_000)), at(sought));
        assert!(rest == 0 || !playhead.is_next_due(ms(100 + rest - 1)), "{skip_idle:?}");
        assert!(playhead.is_next_due(ms(100 + rest)), "{skip_idle:?}");
    }
}

#[test]
fn at_full_speed_all_is_due_and_slowing_down_goes_on_from_what_is_shown() {
    let mut playhead = playhead(Speed::Max, None, &[0, 1_000, 2_000, 3_000]);
    assert!(playhead.is_next_due(Duration::ZERO));
    playhead.pop();
    assert_eq!(playhead.at(ms(5), at(3_000)), at(1_000));
    playhead.set_speed(ms(5), Speed::RECORDED);
    assert_eq!(playhead.at(ms(5), at(3_000)), at(1_000));
    assert_eq!((moved_on(&mut playhead, ms(1_004)), moved_on(&mut playhead, ms(1_005))), (2, 3));
}

#[test]
fn who_was_too_slow_goes_on_from_what_they_see() {
    let mut playhead = playhead(Speed::RECORDED, None, &[0, 1_000, 2_000, 3_000]);
    // A minute late, and only now paused: revision 2 is next, and due, but not more.
    playhead.pause(ms(60_000));
    playhead.play(ms(70_000));
    assert_eq!((moved_on(&mut playhead, ms(70_999)), moved_on(&mut playhead, ms(71_000))), (2, 3));
}

#[test]
fn a_step_pauses_and_the_next_distance_is_whole() {
    let mut playhead = playhead(Speed::RECORDED, None, &[0, 1_000, 2_000]);
    assert_eq!(playhead.step(ms(300)), Some(()));
    assert_eq!((playhead.shown().revision, playhead.at(ms(900), at(2_000))), (2, at(1_000)));
    assert!(!playhead.is_next_due(ms(90_000)));
    playhead.play(ms(100_000));
    assert_eq!((moved_on(&mut playhead, ms(100_999)), moved_on(&mut playhead, ms(101_000))), (2, 3));
    assert_eq!((playhead.step(ms(101_000)), playhead.step(ms(101_000))), (None, None));
}

proptest! {
    /// However the speed changes on the way, each revision is due exactly when the distance before
    /// it, shortened where it is idle, has been played; and what is shown never goes back.
    #[test]
    fn revisions_are_due_when_their_distance_has_been_played(
        gaps in proptest::collection::vec(-50..5_000_i64, 1..50),
        skip_idle in proptest::option::of(0..3_000_u64),
        changes in proptest::collection::vec((1..2_000_u64, 0.1..20.0_f64), 1..50),
    ) {
        let mut times = vec![0];
        for gap in &gaps {
            times.push(times.last().expect("one") + gap);
        }
        let mut playhead = playhead(Speed::RECORDED, skip_idle.map(ms), &times);
        // When each is due: a sum nobody has to trust, since a clock that was set back makes the next
        // distance count from the latest time seen.
        let (mut latest, mut sum, mut due) = (times[0], 0, vec![0]);
        for time in &times[1..] {
            let distance = u64::try_from(time - latest).unwrap_or(0);
            sum += skip_idle.map_or(distance, |longest| distance.min(longest));
            due.push(sum);
            latest = latest.max(*time);
        }
        let (mut wall, mut played, mut factor, mut shown, mut time) = (Duration::ZERO, 0.0, 1.0, 1, at(0));
        let end = at(latest);
        for (millis, new) in changes {
            wall += ms(millis);
            played += millis as f64 * factor;
            let revision = moved_on(&mut playhead, wall);
            prop_assert!(revision >= shown);
            shown = revision;
            let index = usize::try_from(revision).expect("small") - 1;
            prop_assert!(due[index] as f64 <= played + 0.01, "{} ms too early", due[index] as f64 - played);
            if let Some(next) = due.get(index + 1) {
                prop_assert!(*next as f64 >= played - 0.01, "{} ms late", played - *next as f64);
            }
            let now = playhead.at(wall, end);
            prop_assert!(now >= time && now <= end);
            time = now;
            factor = new;
            playhead.set_speed(wall, Speed::times(new).expect("in bounds"));
            prop_assert_eq!(playhead.at(wall, end), now, "a jump");
        }
    }
}
