//! OpenID Connect: tokens of an identity provider, and signing in with it.
//!
//! The provider is found by its issuer (discovery). Its keys are kept and read again when a token names one that
//! is not known, at most once in ten seconds; while the provider is away, known keys go on being accepted. The
//! algorithms are fixed: those with a public key, never `none` and never a shared secret. The flow is written with
//! `jsonwebtoken`, which signs our own tokens too: the crates that have it whole bring a second implementation of
//! every algorithm with them, of RSA one with an open advisory.

mod discovery;
mod fetch;
mod flow;
mod keys;
mod roles;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

use relive_session::{Actor, ActorKind};
use reqwest::Url;

use self::fetch::Fetch;
pub(super) use self::flow::{PENDING_AUDIENCE, PENDING_SECONDS, Pending};
pub use self::flow::{ProviderAnswer, SignInError, return_path};
use self::keys::Provider;
use super::timing::Timing;
use super::tokens::timestamp;
use super::{AuthError, Caller, CredentialId, Grant};

/// The claim with the role unless another one is set.
pub const ROLE_CLAIM: &str = "relive_role";

/// The settings of the provider.
#[derive(Clone)]
pub struct OidcSettings {
    /// The address under which its configuration is found; the `iss` of its tokens.
    pub issuer: String,
    pub client_id: String,
    pub client_secret: Option<String>,
    /// The `aud` of bearer tokens; the client id if there is none.
    pub audience: Option<String>,
    /// The claim with the role: a name, or a list with it. A path with dots leads into objects.
    pub role_claim: String,
    /// The claim with the id of the project; without it everybody is in `default`.
    pub project_claim: Option<String>,
}

impl OidcSettings {
    /// The address of the issuer.
    ///
    /// # Errors
    ///
    /// If it is none that can be trusted.
    pub fn check(&self) -> Result<Url, OidcError> {
        let issuer = Url::parse(&self.issuer).ok().filter(fetch::is_safe);
        issuer.ok_or_else(|| OidcError::Issuer(self.issuer.clone()))
    }
}

/// The secret is not shown.
impl std::fmt::Debug for OidcSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OidcSettings")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("has_client_secret", &self.client_secret.is_some())
            .field("audience", &self.audience)
            .field("role_claim", &self.role_claim)
            .field("project_claim", &self.project_claim)
            .finish()
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    #[error("--oidc-issuer (RELIVE_OIDC_ISSUER): {0:?} is not an https address; http is for loopback addresses alone")]
    Issuer(String),
    #[error("cannot make HTTP requests: {0}")]
    Client(reqwest::Error),
}

/// The identity provider. Cheap to clone.
#[derive(Clone)]
pub struct Oidc(Arc<OidcState>);

pub(super) struct OidcState {
    settings: OidcSettings,
    provider: Arc<Provider>,
    fetch: Fetch,
}

impl Oidc {
    /// Nothing is asked of the provider yet.
    ///
    /// # Errors
    ///
    /// If the settings make no sense.
    pub(super) fn new(settings: OidcSettings, timing: Timing) -> Result<Self, OidcError> {
        let issuer = settings.check()?;
        let fetch = Fetch::new().map_err(OidcError::Client)?;
        let provider = Arc::new(Provider::new(settings.issuer.clone(), &issuer, fetch.clone(), timing));
        Ok(Self(Arc::new(OidcState { settings, provider, fetch })))
    }

    /// The `iss` of the provider's tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.settings.issuer
    }

    /// The claim with the project; empty if there is none.
    pub(super) fn project_claim(&self) -> &str {
        self.0.settings.project_claim.as_deref().unwrap_or_default()
    }

    /// Who a bearer token of the provider belongs to.
    pub(super) async fn verify_bearer(&self, token: &str) -> Result<Caller, AuthError> {
        let settings = &self.0.settings;
        let audience = settings.audience.as_deref().unwrap_or(&settings.client_id);
        let claims = token::verify(&self.0.provider, self.issuer(), audience, token).await?;
        self.caller(&claims)
    }

    /// The caller that claims are about.
    fn caller(&self, claims: &token::ProviderClaims) -> Result<Caller, AuthError> {
        let settings = &self.0.settings;
        let role = roles::role(claims, &settings.role_claim);
        let role = role.ok_or_else(|| AuthError::NoRole(settings.role_claim.clone()))?;
        let project = roles::project(claims, settings.project_claim.as_deref())?;
        let subject = claims.subject()?;
        let skew = i64::try_from(token::SKEW_SECONDS).unwrap_or_default();
        Ok(Caller {
            project,
            actor: Some(Arc::new(Actor::new(ActorKind::User, subject, claims.name().unwrap_or(subject)))),
            grant: Grant::Role(role),
            expires_at: Some(timestamp(claims.expires()?.saturating_add(skew)).ok_or(AuthError::Invalid)?),
            credential: CredentialId::OidcToken,
        })
    }
}
