//! The times of a schedule: a cron expression in a time zone.
//!
//! When clocks are set forward, a time that is left out is replaced by the first one after the gap. When they are set
//! back, a time that occurs twice counts once, the first time. What is repeated within the hour (`*` or a step in minutes
//! or hours) goes on by the passing of time: it is neither left out nor added.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds};

use relive_session::Timestamp;

/// Bytes that an expression may have.
const CRON_BYTES: usize = 256;

/// Why there is no such timetable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimetableError {
    #[error("cron may have at most 256 bytes")]
    TooLong,
    #[error("cron: {0}")]
    Cron(String),
    #[error("timezone must be the name of an IANA time zone, such as Europe/Berlin or UTC")]
    Timezone,
    #[error("cron: there is no such time")]
    Never,
}

/// The times of a schedule.
#[derive(Clone, Debug)]
pub struct Timetable {
    cron: Cron,
    zone: Tz,
}

impl Timetable {
    /// # Errors
    ///
    /// [`TimetableError`], as a text for the client.
    pub fn new(cron: &str, timezone: &str) -> Result<Self, TimetableError> {
        if cron.len() > CRON_BYTES {
            return Err(TimetableError::TooLong);
        }
        let zone = timezone.parse().map_err(|_| TimetableError::Timezone)?;
        let parser = CronParser::builder().seconds(Seconds::Optional).build();
        let cron = parser.parse(cron).map_err(|error| TimetableError::Cron(error.to_string()))?;
        Ok(Self { cron, zone })
    }

    /// The first time after `time`; `None` if there is none.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let found = self.cron.find_next_occurrence(&self.local(time), false).ok()?;
        let found = Timestamp::from(found.with_timezone(&Utc));
        // Where clocks are set, whatever the expression means: never the same time again.
        (found > time).then_some(found)
    }

    /// The last time up to `time`; `None` if there is none.
    #[must_use]
    pub fn last_until(&self, time: Timestamp) -> Option<Timestamp> {
        let found = self.cron.find_previous_occurrence(&self.local(time), true).ok()?;
        let found = Timestamp::from(found.with_timezone(&Utc));
        (found <= time).then_some(found)
    }

    fn local(&self, time: Timestamp) -> DateTime<Tz> {
        time.as_datetime().with_timezone(&self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    /// The first times of an expression after `from`.
    fn times(cron: &str, zone: &str, from: &str, number: usize) -> Vec<String> {
        let timetable = Timetable::new(cron, zone).expect(cron);
        let first = timetable.next_after(at(from));
        let times = std::iter::successors(first, |time| timetable.next_after(*time));
        times.take(number).map(|time| time.to_string().replace(":00.000Z", "Z")).collect()
    }

    #[test]
    fn times_are_those_of_the_zone() {
        assert_eq!(
            times("30 8 * * MON-FRI", "UTC", "2026-01-02T09:00:00Z", 2),
            ["2026-01-05T08:30Z", "2026-01-06T08:30Z"]
        );
        assert_eq!(times("0 9 * * *", "Asia/Kolkata", "2026-01-02T00:00:00Z", 1), ["2026-01-02T03:30Z"]);
        assert_eq!(times("@daily", "America/New_York", "2026-01-02T00:00:00Z", 1), ["2026-01-02T05:00Z"]);
        assert_eq!(
            times("*/20 * * * * *", "UTC", "2026-01-02T00:00:41Z", 2),
            ["2026-01-02T00:01Z", "2026-01-02T00:01:20.000Z"]
        );
        assert_eq!(times("0 0 29 2 *", "UTC", "2026-01-02T00:00:00Z", 1), ["2028-02-29T00:00Z"]);
    }

    /// In Berlin, 29 March 2026 goes from 01:59:59 (UTC+1) to 03:00:00 (UTC+2).
    #[test]
    fn a_time_that_is_left_out_is_replaced_by_the_first_after_it() {
        let daily = times("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
        assert_eq!(daily, ["2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"]);
        let hourly = times("0 * * * *", "Europe/Berlin", "2026-03-28T23:30:00Z", 4);
        assert_eq!(hourly, ["2026-03-29T00:00Z", "2026-03-29T01:00Z", "2026-03-29T02:00Z", "2026-03-29T03:00Z"]);
        let quarters = times("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:10:00Z", 3);
        assert_eq!(quarters, ["2026-03-29T00:30Z", "2026-03-29T01:00Z", "2026-03-29T01:30Z"]);
    }

    /// In Berlin, 25 October 2026 has the hour from 02:00 twice: 00:00Z and 01:00Z.
    #[test]
    fn a_time_that_occurs_twice_counts_once() {
        let daily = times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(daily, ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]);
        let hourly = times("0 * * * *", "Europe/Berlin", "2026-10-24T22:30:00Z", 4);
        assert_eq!(hourly, ["2026-10-24T23:00Z", "2026-10-25T00:00Z", "2026-10-25T01:00Z", "2026-10-25T02:00Z"]);
        let quarters = times("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:10:00Z", 4);
        assert_eq!(quarters, ["2026-10-25T00:30Z", "2026-10-25T01:00Z", "2026-10-25T01:30Z", "2026-10-25T02:00Z"]);
    }

    #[test]
    fn the_last_time_is_one_that_came_next_before() {
        for (cron, zone) in [
            ("30 2 * * *", "Europe/Berlin"),
            ("*/30 * * * *", "Europe/Berlin"),
            ("0 * * * *", "America/New_York"),
            ("15 1,2 * * *", "America/New_York"),
            ("@daily", "America/Havana"),
            ("0 12 1 * *", "Pacific/Apia"),
        ] {
            let timetable = Timetable::new(cron, zone).expect(cron);
            for from in ["2026-03-07T00:00:00Z", "2026-03-28T00:00:00Z", "2026-10-24T00:00:00Z", "2026-10-31T00:00:00Z"]
            {
                let times = std::iter::successors(timetable.next_after(at(from)), |time| timetable.next_after(*time));
                for time in times.take(120) {
                    assert_eq!(timetable.last_until(time), Some(time), "{cron} in {zone}");
                    let later = time + std::time::Duration::from_secs(1);
                    assert_eq!(timetable.last_until(later), Some(time), "{cron} in {zone}, a second later");
                }
            }
        }
    }

    #[test]
    fn what_is_no_timetable_is_refused_in_short_time() {
        let long = "1,".repeat(200);
        for (cron, zone) in [
            ("", "UTC"),
            ("* * * *", "UTC"),
            ("61 * * * *", "UTC"),
            ("* * * * * * * *", "UTC"),
            ("soon", "UTC"),
            ("@reboot", "UTC"),
            ("0 0 * * *", "Mars/Olympus"),
            ("0 0 * * *", ""),
            (long.as_str(), "UTC"),
        ] {
            assert!(Timetable::new(cron, zone).is_err(), "{cron} in {zone}");
        }
        let began = std::time::Instant::now();
        let never = Timetable::new("0 0 30 2 *", "UTC").expect("an expression");
        assert_eq!(never.next_after(at("2026-01-01T00:00:00Z")), None);
        assert_eq!(never.last_until(at("2026-01-01T00:00:00Z")), None);
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    }
}
