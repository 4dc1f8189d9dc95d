//! Who did something.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// What an actor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "access.ts")]
pub enum ActorKind {
    /// A key, used by a program.
    Key,
    /// A person who has signed in.
    User,
    /// An access token, as given to a browser or a guest.
    Token,
    /// The built-in engine.
    Engine,
}

impl ActorKind {
    pub const ALL: [Self; 4] = [Self::Key, Self::User, Self::Token, Self::Engine];

    /// The name on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::User => "user",
            Self::Token => "token",
            Self::Engine => "engine",
        }
    }

    /// The inverse of [`Self::as_str`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Who did something, as recorded events and the audit log say it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "access.ts")]
pub struct Actor {
    pub kind: ActorKind,
    /// Of a key and a token its id, of a user the subject that the issuer names; at most 255 bytes.
    pub id: String,
    /// For people; at most 255 bytes.
    pub name: String,
}

impl Actor {
    /// Bytes of an id, and of a name.
    pub const BYTES: usize = 255;

    /// An actor whose id and name are cut to their limits, without control characters: they may be an
    /// issuer's.
    #[must_use]
    pub fn new(kind: ActorKind, id: &str, name: &str) -> Self {
        Self { kind, id: bounded(id), name: bounded(name) }
    }
}

fn bounded(text: &str) -> String {
    let clean: String = text.chars().take(Actor::BYTES).map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean[..clean.floor_char_boundary(Actor::BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_are_bounded() {
        let actor = Actor::new(ActorKind::User, &"ü".repeat(1_000), "a\nb\0");
        assert_eq!((actor.id.len(), actor.name.as_str()), (254, "a b "));
        assert_eq!(
            serde_json::to_value(Actor::new(ActorKind::Key, "1", "ci")).expect("JSON"),
            serde_json::json!({"kind": "key", "id": "1", "name": "ci"})
        );
        for kind in ActorKind::ALL {
            assert_eq!(ActorKind::parse(kind.as_str()), Some(kind));
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.as_str());
        }
    }
}
