//! Roles in a project.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What somebody may do in a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads, watches, replays, searches and exports.
    Viewer,
    /// A viewer who also answers reviews and sends signals.
    Reviewer,
    /// A reviewer who also controls, forks and labels sessions, and creates them from stored workflows.
    Operator,
    /// A viewer, usually a program, that also creates sessions, sends every command and chunks of messages, and
    /// stores memories.
    Engine,
    /// All of it; also deletes, imports, and manages the catalog, keys, webhooks and retention, and reads the
    /// audit log.
    Admin,
    /// Admin of every project, and the only role that makes projects. It belongs to no project.
    Root,
}

/// A text that names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a role: viewer, reviewer, operator, engine, admin or root")]
pub struct NotARole;

impl Role {
    pub const ALL: [Self; 6] = [Self::Viewer, Self::Reviewer, Self::Operator, Self::Engine, Self::Admin, Self::Root];

    /// The name on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Reviewer => "reviewer",
            Self::Operator => "operator",
            Self::Engine => "engine",
            Self::Admin => "admin",
            Self::Root => "root",
        }
    }

    /// Whether somebody with this role can do everything that `other` can.
    #[must_use]
    pub fn includes(self, other: Self) -> bool {
        match self {
            Self::Root => true,
            Self::Admin => other != Self::Root,
            Self::Operator => matches!(other, Self::Viewer | Self::Reviewer | Self::Operator),
            Self::Reviewer => matches!(other, Self::Viewer | Self::Reviewer),
            Self::Engine => matches!(other, Self::Viewer | Self::Engine),
            Self::Viewer => other == Self::Viewer,
        }
    }
}

impl FromStr for Role {
    type Err = NotARole;

    fn from_str(text: &str) -> Result<Self, NotARole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(NotARole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_by_the_names_they_are_written_with() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).expect("JSON"), role.as_str());
        }
        for wrong in ["", "Admin", "owner", "admin "] {
            assert_eq!(wrong.parse::<Role>(), Err(NotARole), "{wrong}");
        }
    }
}
