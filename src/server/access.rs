//! The settings of access control, from those of the command line.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::access::limits::LimitSettings;
use crate::access::oidc::OidcSettings;
use crate::access::{AccessSettings, AuditSettings, Requirement};
use crate::config::{AccessConfig, Authentication, LimitConfig, OidcConfig, Secret};

/// A shorter root key may be guessed.
const ROOT_KEY_BYTES: usize = 24;

/// The settings of a server that listens on `address`.
#[must_use]
pub fn settings(config: &AccessConfig, address: SocketAddr) -> AccessSettings {
    let root_key = text(config.root_key.as_ref().map(Secret::reveal));
    let oidc = oidc(&config.oidc);
    let is_configured = config.auth == Some(Authentication::Required) || root_key.is_some() || oidc.is_some();
    let requirement = match (config.allow_anonymous, is_configured || !address.ip().is_loopback()) {
        (true, _) => Requirement::Never,
        (false, true) => Requirement::Always,
        (false, false) => Requirement::WithKeys,
    };
    if root_key.as_ref().is_some_and(|key| key.len() < ROOT_KEY_BYTES) {
        tracing::warn!("RELIVE_ROOT_KEY is short; use at least {ROOT_KEY_BYTES} random characters");
    }
    if config.allow_anonymous && is_configured {
        tracing::warn!("--allow-anonymous overrides the settings of access control: everybody may do everything");
    }
    AccessSettings {
        requirement,
        root_key,
        metrics_token: text(config.metrics_token.as_ref().map(Secret::reveal)),
        oidc,
        limits: limits(&config.limits),
        audit: AuditSettings {
            age: Duration::from_hours(24 * u64::from(config.audit.audit_days)),
            rows: i64::from(config.audit.audit_rows),
        },
        ..AccessSettings::default()
    }
}

fn oidc(config: &OidcConfig) -> Option<OidcSettings> {
    let issuer = text(config.oidc_issuer.as_deref())?;
    Some(OidcSettings {
        issuer,
        client_id: text(config.oidc_client_id.as_deref()).unwrap_or_default(),
        client_secret: text(config.oidc_client_secret.as_ref().map(Secret::reveal)),
        audience: text(config.oidc_audience.as_deref()),
        role_claim: config.oidc_role_claim.clone(),
        project_claim: text(config.oidc_project_claim.as_deref()),
    })
}

fn limits(config: &LimitConfig) -> LimitSettings {
    let number = |limit: Option<u32>| limit.and_then(NonZeroU32::new);
    LimitSettings {
        commands: number(config.limit_commands),
        requests: number(config.limit_requests),
        sockets: number(config.limit_sockets),
        live_sessions: number(config.limit_live_sessions),
        unauthorized: NonZeroU32::new(config.limit_unauthorized),
    }
}

/// An empty setting counts as not set.
fn text(value: Option<&str>) -> Option<String> {
    value.map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(change: impl FnOnce(&mut AccessConfig), address: &str) -> Requirement {
        let mut config = AccessConfig::default();
        change(&mut config);
        settings(&config, address.parse().expect("an address")).requirement
    }

    #[test]
    fn what_is_configured_and_the_address_say_whether_a_key_is_needed() {
        const LOOPBACK: &str = "127.0.0.1:7400";
        const OUTER: &str = "0.0.0.0:7400";
        let secret = || Some(Secret::from("secret".to_owned()));
        assert_eq!(requirement(|_| {}, LOOPBACK), Requirement::WithKeys);
        assert_eq!(requirement(|_| {}, "[::1]:1"), Requirement::WithKeys);
        assert_eq!(requirement(|_| {}, OUTER), Requirement::Always);
        assert_eq!(requirement(|config| config.auth = Some(Authentication::Required), LOOPBACK), Requirement::Always);
        assert_eq!(requirement(|config| config.root_key = secret(), LOOPBACK), Requirement::Always);
        let issuer = |config: &mut AccessConfig| config.oidc.oidc_issuer = Some("https://id.example".to_owned());
        assert_eq!(requirement(issuer, LOOPBACK), Requirement::Always);
        let empty = |config: &mut AccessConfig| config.root_key = Some(Secret::from(" ".to_owned()));
        assert_eq!(requirement(empty, LOOPBACK), Requirement::WithKeys);
        for address in [LOOPBACK, OUTER] {
            let anonymous = |config: &mut AccessConfig| {
                (config.allow_anonymous, config.root_key) = (true, secret());
                config.auth = Some(Authentication::Required);
            };
            assert_eq!(requirement(anonymous, address), Requirement::Never);
        }
    }
}
