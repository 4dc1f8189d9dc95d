//! Identifiers.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;
use uuid::Uuid;

/// The position of an event in its session's history, and of the state that this event led to.
///
/// Dense, starting at 1, and the only ordering key of a session.
pub type Revision = u64;

/// Identifies one session: one run of a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, TS, ToSchema)]
#[serde(transparent)]
#[ts(as = "String", export_to = "session.ts")]
#[schema(value_type = String, format = Uuid)]
pub struct SessionId(pub Uuid);

impl SessionId {
    /// A new identifier (UUID version 7, which sorts by its time of creation).
    #[must_use]
    pub fn generate() -> Self {
        Self(super::ambient::uuid())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is not a session id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a session id (a UUID)")]
pub struct NotASessionId(String);

/// Characters of an invalid id that its error repeats.
const REPEATED: usize = 64;

impl FromStr for SessionId {
    type Err = NotASessionId;

    fn from_str(text: &str) -> Result<Self, NotASessionId> {
        text.parse().map(Self).map_err(|_| {
            let repeated: String = text.chars().take(REPEATED).collect();
            NotASessionId(repeated.escape_debug().to_string())
        })
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = SessionId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a session id (a UUID)")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SessionId, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Identifies a message within its session: free text of 1 to 128 characters, without
/// the character NUL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, TS, ToSchema)]
#[serde(transparent)]
#[ts(as = "String", export_to = "session.ts")]
#[schema(value_type = String, min_length = 1, max_length = 128)]
pub struct MessageId(Arc<str>);

impl MessageId {
    pub const CHARACTERS: usize = 128;

    /// `None` if the text is not valid.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && !text.contains('\0') && text.chars().count() <= Self::CHARACTERS;
        fits.then(|| Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Uuid> for MessageId {
    fn from(id: Uuid) -> Self {
        Self(id.to_string().into())
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let problem = "the id of a message has 1 to 128 characters, none of them NUL";
        Self::new(&text).ok_or_else(|| de::Error::custom(problem))
    }
}

/// Identifies a node within its session; chosen by the author of the graph.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(transparent)]
#[ts(as = "String", export_to = "session.ts")]
#[schema(value_type = String)]
pub struct NodeId(Arc<str>);

impl NodeId {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id in an error: shortened if it is too long for any node.
    #[must_use]
    pub(super) fn named(&self) -> Self {
        if self.0.len() <= super::limits::NODE_ID_BYTES {
            return self.clone();
        }
        let beginning: String = self.0.chars().take(REPEATED).collect();
        Self::from(beginning + "…")
    }
}

impl From<&str> for NodeId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for NodeId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

// A map keyed by `NodeId` can be searched with a plain `&str`.
impl Borrow<str> for NodeId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
