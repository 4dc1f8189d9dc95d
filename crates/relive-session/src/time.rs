//! Points in time, as the protocol writes them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ts_rs::TS;
use utoipa::ToSchema;

/// A point in time with millisecond precision, written as RFC 3339 in UTC
/// (`2026-01-31T08:15:30.250Z`).
///
/// The wire has milliseconds, so no more is kept: a time that was stored and read again equals the one
/// that live viewers were sent. It is in the years 0 to 9999, since RFC 3339 can express no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, TS, ToSchema)]
#[ts(as = "String", export_to = "session.ts")]
#[schema(value_type = String, format = DateTime)]
pub struct Timestamp(DateTime<Utc>);

/// A text that is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an RFC 3339 time such as 2026-01-31T08:15:30.250Z")]
pub struct NotATime;

/// 0000-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z in milliseconds since the Unix epoch.
const EARLIEST: i64 = -62_167_219_200_000;
const LATEST: i64 = 253_402_300_799_999;

impl Timestamp {
    /// The current wall-clock time. The domain never calls this; its callers do.
    #[must_use]
    pub fn now() -> Self {
        Self::from(super::ambient::now())
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0.timestamp_millis()
    }

    /// `None` if the number is outside of the years 0 to 9999.
    #[must_use]
    pub fn from_millis(millis: i64) -> Option<Self> {
        let is_written = (EARLIEST..=LATEST).contains(&millis);
        DateTime::from_timestamp_millis(millis).filter(|_| is_written).map(Self)
    }

    fn nearest(millis: i64) -> Self {
        Self(DateTime::from_timestamp_millis(millis.clamp(EARLIEST, LATEST)).unwrap_or_default())
    }

    /// The time that has passed since `earlier`; zero if that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        (self.0 - earlier.0).to_std().unwrap_or_default()
    }

    /// This much earlier; `None` if that is before the year 0.
    #[must_use]
    pub fn before(self, time: Duration) -> Option<Self> {
        let millis = i64::try_from(time.as_millis()).ok()?;
        Self::from_millis(self.as_millis().checked_sub(millis)?)
    }

    #[must_use]
    pub fn as_datetime(self) -> DateTime<Utc> {
        self.0
    }
}

/// Saturates at the latest time.
impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Self::nearest(self.as_millis().saturating_add(millis))
    }
}

impl From<DateTime<Utc>> for Timestamp {
    /// Truncates to milliseconds; saturates at the earliest and the latest time.
    fn from(time: DateTime<Utc>) -> Self {
        Self::nearest(time.timestamp_millis())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        // With its offset, a time can be in another year than its text says.
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| NotATime)?;
        Self::from_millis(time.timestamp_millis()).ok_or(NotATime)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_written_so_that_it_is_read_again() {
        for text in ["9999-12-31T23:59:59.999-00:01", "0000-01-01T00:00:00+00:01", "+10000-01-01T00:00:00Z"] {
            assert_eq!(text.parse::<Timestamp>(), Err(NotATime), "{text}");
        }
        let [earliest, latest] = [EARLIEST, LATEST].map(|millis| Timestamp::from_millis(millis).expect("a time"));
        for (time, text) in [
            (earliest, "0000-01-01T00:00:00.000Z"),
            (latest, "9999-12-31T23:59:59.999Z"),
            (earliest + Duration::MAX, "9999-12-31T23:59:59.999Z"),
            (Timestamp::from(DateTime::<Utc>::MAX_UTC), "9999-12-31T23:59:59.999Z"),
            (Timestamp::from(DateTime::<Utc>::MIN_UTC), "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!((time.to_string().as_str(), text.parse()), (text, Ok(time)));
        }
        assert_eq!([EARLIEST - 1, LATEST + 1, i64::MIN].map(Timestamp::from_millis), [None; 3]);
    }
}
