//! When a delivery is tried again.

use std::time::Duration;

/// The waits between attempts: ten attempts within 75 h 35 min.
const WAITS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];

/// How long to wait after an attempt that failed; `None` after the last. `tries` are the attempts that failed before
/// it, `asked` is what the receiver asks for, which can only make it longer.
#[must_use]
pub fn wait_after(tries: u32, asked: Option<Duration>) -> Option<Duration> {
    let wait = WAITS.get(usize::try_from(tries).ok()?)?;
    Some((*wait).max(asked.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_ten_attempts_and_no_more() {
        let waits: Vec<u64> = (0..).map_while(|tries| wait_after(tries, None)).map(|wait| wait.as_secs()).collect();
        assert_eq!(waits, [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]);
    }

    #[test]
    fn a_receiver_can_ask_for_a_longer_wait_only() {
        let hour = Some(Duration::from_hours(1));
        assert_eq!(wait_after(0, hour), hour);
        assert_eq!(wait_after(3, hour), Some(Duration::from_hours(2)));
        assert_eq!(wait_after(9, hour), None);
    }
}
