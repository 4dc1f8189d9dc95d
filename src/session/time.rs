//! Points in time, as the protocol writes them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ts_rs::TS;
use utoipa::ToSchema;

/// A point in time with millisecond precision, written as RFC 3339 in UTC
/// (`2026-01-31T08:15:30.250Z`).
///
/// Milliseconds are what the wire carries, so they are also what is kept: a time that was stored
/// and read again compares equal to the one a live viewer was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, TS, ToSchema)]
#[ts(as = "String", export_to = "session.ts")]
#[schema(value_type = String, format = DateTime)]
pub struct Timestamp(DateTime<Utc>);

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

    /// `None` when the number lies outside what a calendar can express.
    #[must_use]
    pub fn from_millis(millis: i64) -> Option<Self> {
        DateTime::from_timestamp_millis(millis).map(Self)
    }

    /// The time that has passed since `earlier`; none if that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        (self.0 - earlier.0).to_std().unwrap_or_default()
    }

    /// So much earlier; `None` when that lies outside what a calendar can express.
    #[must_use]
    pub fn before(self, time: Duration) -> Option<Self> {
        self.0.checked_sub_signed(TimeDelta::from_std(time).ok()?).map(Self::from)
    }

    #[must_use]
    pub fn as_datetime(self) -> DateTime<Utc> {
        self.0
    }
}

/// The latest there is, when the sum lies beyond the calendar.
impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        let sum = TimeDelta::from_std(time).ok().and_then(|time| self.0.checked_add_signed(time));
        sum.map_or(Self(DateTime::<Utc>::MAX_UTC), Self::from)
    }
}

impl From<DateTime<Utc>> for Timestamp {
    /// Cuts off what is finer than a millisecond.
    fn from(time: DateTime<Utc>) -> Self {
        Self(DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap_or(time))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl FromStr for Timestamp {
    type Err = chrono::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::from(DateTime::parse_from_rfc3339(text)?.to_utc()))
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
        text.parse().map_err(|_| de::Error::custom("expected an RFC 3339 time such as 2026-01-31T08:15:30.250Z"))
    }
}
