//! The settings of access control.

use super::audit::AuditSettings;
use super::limits::LimitSettings;
use super::oidc::OidcSettings;
use super::timing::Timing;

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
