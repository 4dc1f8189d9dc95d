//! Tokens of the provider.

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::keys::Provider;
use crate::access::AuthError;

/// The algorithms that are accepted: those with a public key. With a shared secret, whoever can verify a token
/// could make one.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// How far the clocks of this server and of the provider may differ.
pub(super) const SKEW_SECONDS: u64 = 60;
/// Characters of a subject (OpenID Connect Core 1.0, section 2).
const SUBJECT: usize = 255;

/// What a token says, after it was verified.
#[derive(Clone, Debug)]
pub(super) struct ProviderClaims(Map<String, Value>);

impl ProviderClaims {
    #[cfg(test)]
    pub fn of(value: Value) -> Self {
        Self(value.as_object().cloned().unwrap_or_default())
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// Who it is about.
    pub fn subject(&self) -> Result<&str, AuthError> {
        self.text("sub").filter(|subject| (1..=SUBJECT).contains(&subject.len())).ok_or(AuthError::Invalid)
    }

    /// What they are called, for people.
    pub fn name(&self) -> Option<&str> {
        let names = ["name", "preferred_username", "email"].into_iter();
        names.filter_map(|claim| self.text(claim)).find(|name| !name.trim().is_empty())
    }

    /// Seconds since the epoch.
    pub fn expires(&self) -> Result<i64, AuthError> {
        #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and no time is that late")]
        let seconds = |time: &Value| time.as_i64().or_else(|| time.as_f64().map(|time| time as i64));
        self.get("exp").and_then(seconds).ok_or(AuthError::Invalid)
    }

    /// Takes over the claims of somebody that these lack.
    pub fn complete(&mut self, others: Map<String, Value>) {
        for (name, value) in others {
            self.0.entry(name).or_insert(value);
        }
    }
}

/// What a token says, if the provider has signed it for this audience, and it is valid now.
pub(super) async fn verify(
    provider: &Arc<Provider>,
    issuer: &str,
    audience: &str,
    token: &str,
) -> Result<ProviderClaims, AuthError> {
    let header = decode_header(token).map_err(|_| AuthError::Invalid)?;
    // Extensions that have to be understood, and are not.
    if !ALGORITHMS.contains(&header.alg) || header.crit.is_some() {
        return Err(AuthError::Invalid);
    }
    let mut validation = Validation::new(header.alg);
    validation.leeway = SKEW_SECONDS;
    validation.validate_nbf = true;
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let mut problem = AuthError::Invalid;
    for key in provider.keys(header.kid.as_deref(), header.alg).await? {
        match decode::<Map<String, Value>>(token, &key.key, &validation) {
            Ok(data) => return Ok(ProviderClaims(data.claims)),
            Err(error) if *error.kind() == ErrorKind::ExpiredSignature => problem = AuthError::Expired,
            Err(_) => {}
        }
    }
    Err(problem)
}
