//! Controls of a replay, and its position.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ts_rs::TS;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use relive_session::{Revision, SessionId, Timestamp};

/// A control of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "protocol.ts")]
pub enum ReplayAction {
    /// From the current position; at the end, from the beginning.
    Play,
    Pause,
    /// To `revision` or to the time `at`; beyond either end means to that end.
    Seek,
    /// One revision forward, or back with `by: -1`; pauses.
    Step,
    Speed,
}

/// The speed of a replay: a multiple of the recorded pace, or as fast as the client reads.
#[derive(Clone, Copy, Debug, PartialEq, TS)]
#[ts(type = "number | 'max'", export_to = "protocol.ts")]
pub enum ReplaySpeed {
    Times(f64),
    Max,
}

impl PartialSchema for ReplaySpeed {
    fn schema() -> RefOr<Schema> {
        let times = ObjectBuilder::new().schema_type(Type::Number);
        let max = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["max"]));
        OneOfBuilder::new().item(times).item(max).into()
    }
}

impl ToSchema for ReplaySpeed {}

impl Serialize for ReplaySpeed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // Whole numbers as clients write them: 2 rather than 2.0.
            Self::Times(times) => match times.to_string().parse() {
                Ok(whole) => serializer.serialize_u64(whole),
                Err(_) => serializer.serialize_f64(*times),
            },
            Self::Max => serializer.serialize_str("max"),
        }
    }
}

impl<'de> Deserialize<'de> for ReplaySpeed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpeedVisitor)
    }
}

struct SpeedVisitor;

impl Visitor<'_> for SpeedVisitor {
    type Value = ReplaySpeed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or \"max\"")
    }

    fn visit_f64<E: de::Error>(self, times: f64) -> Result<ReplaySpeed, E> {
        Ok(ReplaySpeed::Times(times))
    }

    fn visit_u64<E: de::Error>(self, times: u64) -> Result<ReplaySpeed, E> {
        Ok(ReplaySpeed::Times(times as f64))
    }

    fn visit_i64<E: de::Error>(self, times: i64) -> Result<ReplaySpeed, E> {
        Ok(ReplaySpeed::Times(times as f64))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ReplaySpeed, E> {
        match text {
            "max" => Ok(ReplaySpeed::Max),
            other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
        }
    }
}

/// A period of recorded time without events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[ts(export_to = "protocol.ts")]
pub struct IdleStretch {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// The position of a replay, in recorded time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct ReplayState {
    pub session_id: SessionId,
    /// The revision whose state is shown.
    #[ts(type = "number")]
    pub revision: Revision,
    /// The recorded time of the position: that of `revision`, or between it and the next.
    pub at: Timestamp,
    pub speed: ReplaySpeed,
    pub playing: bool,
    /// The replay has reached the newest revision of a session that has not ended, and continues live.
    pub live: bool,
    #[ts(type = "number")]
    pub first_revision: Revision,
    /// Grows while the session runs.
    #[ts(type = "number")]
    pub last_revision: Revision,
    pub start_at: Timestamp,
    pub end_at: Timestamp,
    /// Periods without events: longer than `skipIdleMs`, or without it than two seconds and
    /// than a fiftieth of the run. The longest 256, in order; empty until they have been computed.
    pub idle: Vec<IdleStretch>,
    /// Idle gaps longer than this are shortened to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub skip_idle_ms: Option<u64>,
}
