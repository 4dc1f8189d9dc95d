//! Projects: what everything belongs to.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use serde::de;
use serde::{Deserialize, Deserializer, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use super::Timestamp;

/// Identifies a project: 1 to 63 lower-case letters, digits and `-`, not beginning
/// with `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, TS, ToSchema)]
#[serde(transparent)]
#[ts(as = "String", export_to = "access.ts")]
#[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
pub struct ProjectId(Arc<str>);

/// A text that is not the id of a project. It is not repeated: it may come from anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a project has 1 to 63 lower-case letters, digits and `-`, and does not begin with `-`")]
pub struct NotAProjectId;

impl ProjectId {
    pub const CHARACTERS: usize = 63;
    /// The project of everything that names none, and that is there from the start.
    pub const DEFAULT: &'static str = "default";

    /// The project `default`.
    #[must_use]
    pub fn default_project() -> Self {
        static DEFAULT: LazyLock<ProjectId> = LazyLock::new(|| ProjectId(ProjectId::DEFAULT.into()));
        DEFAULT.clone()
    }

    /// The id that is derived from a name: in lower case, with each run of other characters as one `-`. `None` if
    /// nothing is left of it, as of a name in another script.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let mut id = String::new();
        for c in name.chars().flat_map(char::to_lowercase) {
            if id.len() == Self::CHARACTERS {
                break;
            }
            match c {
                'a'..='z' | '0'..='9' => id.push(c),
                _ if id.is_empty() || id.ends_with('-') => {}
                _ => id.push('-'),
            }
        }
        id.trim_end_matches('-').parse().ok()
    }

    /// Whether it is the project `default`.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.as_str() == Self::DEFAULT
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ProjectId {
    fn default() -> Self {
        Self::default_project()
    }
}

impl FromStr for ProjectId {
    type Err = NotAProjectId;

    fn from_str(text: &str) -> Result<Self, NotAProjectId> {
        let is_valid = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-');
        let fits = (1..=Self::CHARACTERS).contains(&text.len()) && !text.starts_with('-') && text.chars().all(is_valid);
        if fits { Ok(Self(text.into())) } else { Err(NotAProjectId) }
    }
}

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// A map keyed by `ProjectId` can be searched with a plain `&str`.
impl Borrow<str> for ProjectId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for ProjectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A project, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "access.ts")]
pub struct Project {
    pub id: ProjectId,
    pub name: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_and_plain() {
        let longest = "a".repeat(ProjectId::CHARACTERS);
        for id in ["default", "a", "7", "a-b", "a-", "team-7-eu", &longest] {
            assert_eq!(id.parse::<ProjectId>().expect(id).as_str(), id);
            assert_eq!(serde_json::from_value::<ProjectId>(id.into()).expect(id).to_string(), id);
        }
        for wrong in ["", "-a", "A", "a b", "a_b", "ä", "a/b", "a\0", &format!("{longest}a")] {
            assert_eq!(wrong.parse::<ProjectId>(), Err(NotAProjectId), "{wrong}");
            assert!(serde_json::from_value::<ProjectId>(wrong.into()).is_err(), "{wrong}");
        }
        assert_eq!(ProjectId::default_project().as_str(), "default");
    }

    #[test]
    fn a_name_becomes_an_id() {
        let long = format!("{} end", "word".repeat(20));
        for (name, id) in [
            ("Research", Some("research")),
            ("  Team 7 / EU (West)  ", Some("team-7-eu-west")),
            ("--x--", Some("x")),
            ("Größe 3", Some("gr-e-3")),
            ("検索", None),
            ("", None),
            (" - ", None),
            (&long, Some(&long[..63])),
        ] {
            assert_eq!(ProjectId::from_name(name).as_ref().map(ProjectId::as_str), id, "{name}");
        }
    }
}
