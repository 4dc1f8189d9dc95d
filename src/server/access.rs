//! The settings of access control, from those of the command line.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::access::limits::LimitSettings;
use crate::access::oidc::{OidcError, OidcSettings};
use crate::access::{AccessSettings, AuditSettings, Requirement};
use crate::config::{AccessConfig, Authentication, LimitConfig, OidcConfig, Secret};

/// A shorter root key may be guessed.
const ROOT_KEY_BYTES: usize = 24;

/// Settings of access control that do not go together.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("--oidc-issuer (RELIVE_OIDC_ISSUER) is set, but not --oidc-client-id (RELIVE_OIDC_CLIENT_ID)")]
    NoClientId,
    #[error("{0} is set, but not --oidc-issuer (RELIVE_OIDC_ISSUER)")]
    NoIssuer(&'static str),
    #[error(transparent)]
    Oidc(#[from] OidcError),
}

/// The settings of a server that listens on `address`. One that `is_behind_proxy` is reached from elsewhere, whatever
/// its address is.
///
/// # Errors
///
/// If they do not go together.
pub fn settings(
    config: &AccessConfig,
    address: SocketAddr,
    is_behind_proxy: bool,
) -> Result<AccessSettings, SettingsError> {
    let root_key = text(config.root_key.as_ref().map(Secret::reveal));
    let oidc = oidc(&config.oidc)?;
    let is_configured = config.auth == Some(Authentication::Required) || root_key.is_some() || oidc.is_some();
    let is_reachable = is_behind_proxy || !address.ip().is_loopback();
    let requirement = match (config.allow_anonymous, is_configured || is_reachable) {
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
    Ok(AccessSettings {
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
    })
}

fn oidc(config: &OidcConfig) -> Result<Option<OidcSettings>, SettingsError> {
    let client_id = text(config.oidc_client_id.as_deref());
    let client_secret = text(config.oidc_client_secret.as_ref().map(Secret::reveal));
    let audience = text(config.oidc_audience.as_deref());
    let project_claim = text(config.oidc_project_claim.as_deref());
    let Some(issuer) = text(config.oidc_issuer.as_deref()) else {
        let without_effect = [
            (client_id.is_some(), "--oidc-client-id (RELIVE_OIDC_CLIENT_ID)"),
            (client_secret.is_some(), "--oidc-client-secret (RELIVE_OIDC_CLIENT_SECRET)"),
            (audience.is_some(), "--oidc-audience (RELIVE_OIDC_AUDIENCE)"),
            (project_claim.is_some(), "--oidc-project-claim (RELIVE_OIDC_PROJECT_CLAIM)"),
        ];
        let set = without_effect.into_iter().find_map(|(is_set, name)| is_set.then_some(name));
        return set.map_or(Ok(None), |name| Err(SettingsError::NoIssuer(name)));
    };
    let client_id = client_id.ok_or(SettingsError::NoClientId)?;
    let role_claim = config.oidc_role_claim.clone();
    let settings = OidcSettings { issuer, client_id, client_secret, audience, role_claim, project_claim };
    settings.check()?;
    Ok(Some(settings))
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
        settings(&config, address.parse().expect("an address"), false).expect("they go together").requirement
    }

    #[test]
    fn behind_a_proxy_a_key_is_needed_on_every_address() {
        let behind = |allow_anonymous: bool| {
            let config = AccessConfig { allow_anonymous, ..AccessConfig::default() };
            settings(&config, ([127, 0, 0, 1], 7400).into(), true).expect("they go together").requirement
        };
        assert_eq!(behind(false), Requirement::Always);
        assert_eq!(behind(true), Requirement::Never);
    }

    #[test]
    fn a_provider_has_an_issuer_and_a_client_id() {
        type Change = fn(&mut OidcConfig);
        let issuer: Change = |oidc| oidc.oidc_issuer = Some("https://id.example".to_owned());
        let client_id: Change = |oidc| oidc.oidc_client_id = Some("relive".to_owned());
        let said = |changes: &[Change]| {
            let mut config = AccessConfig::default();
            changes.iter().for_each(|change| change(&mut config.oidc));
            settings(&config, ([127, 0, 0, 1], 1).into(), false).map(|settings| settings.oidc.is_some())
        };
        assert!(matches!(said(&[]), Ok(false)));
        assert!(matches!(said(&[issuer, client_id]), Ok(true)));
        assert!(matches!(said(&[issuer]), Err(SettingsError::NoClientId)));
        assert!(matches!(
            said(&[issuer, |oidc| oidc.oidc_client_id = Some(" ".to_owned())]),
            Err(SettingsError::NoClientId)
        ));
        let away: Change = |oidc| oidc.oidc_issuer = Some("http://id.example".to_owned());
        assert!(matches!(said(&[away, client_id]), Err(SettingsError::Oidc(OidcError::Issuer(_)))));
        let others: [(&str, Change); 4] = [
            ("--oidc-client-id", client_id),
            ("--oidc-client-secret", |oidc| oidc.oidc_client_secret = Some("x".to_owned().into())),
            ("--oidc-audience", |oidc| oidc.oidc_audience = Some("x".to_owned())),
            ("--oidc-project-claim", |oidc| oidc.oidc_project_claim = Some("x".to_owned())),
        ];
        for (flag, change) in others {
            let error = said(&[change]).expect_err(flag).to_string();
            assert!(error.contains(flag) && error.contains("--oidc-issuer (RELIVE_OIDC_ISSUER)"), "{error}");
        }
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
        let issuer = |config: &mut AccessConfig| {
            config.oidc.oidc_issuer = Some("https://id.example".to_owned());
            config.oidc.oidc_client_id = Some("relive".to_owned());
        };
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
