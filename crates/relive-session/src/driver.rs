//! Who runs a session.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// Who runs the session's graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "session.ts")]
pub enum Driver {
    /// An engine outside the server, by commands.
    #[default]
    External,
    /// The server's own engine.
    Builtin,
}

impl Driver {
    /// The name on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Builtin => "builtin",
        }
    }
}
