//! The settings of access control.

use std::time::Duration;

use super::audit::AuditSettings;
use super::limits::LimitSettings;
use super::oidc::OidcSettings;

/// When a request needs a credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requirement {
    /// Never: everybody may do everything. A credential that is given has to be valid nevertheless.
    Never,
    /// As soon as a key exists.
    #[default]
    WithKeys,
    Always,
}

/// The settings of [`Access`](super::Access).
#[derive(Clone, Default)]
pub struct AccessSettings {
    pub requirement: Requirement,
    /// A key of the role root.
    pub root_key: Option<String>,
    /// What may read the metrics, besides root.
    pub metrics_token: Option<String>,
    pub oidc: Option<OidcSettings>,
    pub limits: LimitSettings,
    pub audit: AuditSettings,
    pub timing: Timing,
}

/// How long things take, which tests shorten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How old an answer of the database may be, and how often revocations are looked for: a revoked credential
    /// is refused, and its sockets are closed, within twice this time on every server.
    pub fresh: Duration,
    /// How often the last use of keys is written.
    pub last_use: Duration,
    /// How often old rows are removed.
    pub upkeep: Duration,
    /// The time between two attempts to read the identity provider's keys, whatever tokens name.
    pub provider: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { fresh: FRESH, last_use: LAST_USE, upkeep: UPKEEP, provider: PROVIDER }
    }
}

const FRESH: Duration = Duration::from_secs(2);
const LAST_USE: Duration = Duration::from_mins(1);
const UPKEEP: Duration = Duration::from_mins(10);
const PROVIDER: Duration = Duration::from_secs(10);

/// Secrets are not shown.
impl std::fmt::Debug for AccessSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessSettings")
            .field("requirement", &self.requirement)
            .field("has_root_key", &self.root_key.is_some())
            .field("oidc", &self.oidc)
            .field("limits", &self.limits)
            .field("audit", &self.audit)
            .finish_non_exhaustive()
    }
}
