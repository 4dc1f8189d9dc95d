//! Signing in: authorization code with PKCE.
//!
//! What has to be remembered between the two requests, [`Pending`], is signed and stays in the browser that
//! began, in a cookie of ten minutes. So it works whichever server the browser comes back to, an answer that
//! somebody else has begun is not accepted, and nobody can fill a table by beginning.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use relive_session::Timestamp;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::fetch::FetchError;
use super::token::{self, ProviderClaims};
use super::{Oidc, roles};
use crate::access::keys::secret_text;
use crate::access::tokens::{ISSUER, seconds};
use crate::access::{AuthError, Caller};

/// The `aud` of [`Pending`]: it is no access token.
pub(in crate::access) const PENDING_AUDIENCE: &str = "relive-sign-in";
/// How long signing in may take.
pub(in crate::access) const PENDING_SECONDS: u64 = 600;
/// Bytes of the address to go back to.
const RETURN_BYTES: usize = 1_024;
/// Bytes of what the provider sends back.
const ANSWER_BYTES: usize = 4 << 10;

/// Why somebody could not be signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The provider says so: `access_denied` if the person has declined. Its word is one of letters and `_`.
    #[error("the identity provider has refused: {0}")]
    Refused(String),
    /// The answer belongs to no sign-in that this browser has begun in the last ten minutes.
    #[error("this sign-in was not begun in this browser, or took too long; begin again")]
    NotBegun,
    /// There is no provider.
    #[error("this server has no identity provider")]
    NoProvider,
    #[error(transparent)]
    Auth(#[from] AuthError),
}

/// What comes back from the provider, as parameters of the address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ProviderAnswer {
    pub code: Option<String>,
    pub state: Option<String>,
    pub iss: Option<String>,
    pub error: Option<String>,
}

/// A sign-in that was begun, as the browser's cookie has it.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::access) struct Pending {
    iss: String,
    aud: String,
    exp: i64,
    state: String,
    nonce: String,
    verifier: String,
    redirect_uri: String,
    pub return_to: String,
}

impl Pending {
    fn new(redirect_uri: &str, return_to: &str) -> Self {
        let expires = Timestamp::now() + Duration::from_secs(PENDING_SECONDS);
        Self {
            iss: ISSUER.to_owned(),
            aud: PENDING_AUDIENCE.to_owned(),
            exp: seconds(expires),
            state: secret_text(),
            nonce: secret_text(),
            verifier: secret_text(),
            redirect_uri: redirect_uri.to_owned(),
            return_to: return_path(return_to).to_owned(),
        }
    }
}

/// The path to go back to: one of this server, or `/`. Everything that a browser could take for another server's
/// address is `/` too.
#[must_use]
pub fn return_path(text: &str) -> &str {
    let is_path = text.starts_with('/') && !text.starts_with("//") && text.len() <= RETURN_BYTES;
    let is_plain = text.chars().all(|c| c.is_ascii_graphic() && c != '\\');
    if is_path && is_plain { text } else { "/" }
}

#[derive(Deserialize)]
struct Exchanged {
    id_token: String,
    access_token: Option<String>,
}

impl Oidc {
    /// The address to send the browser to, and what to remember.
    pub(in crate::access) async fn begin(
        &self,
        redirect_uri: &str,
        return_to: &str,
    ) -> Result<(String, Pending), AuthError> {
        let known = self.0.provider.metadata().await?;
        let unable = AuthError::Unavailable("the identity provider has no page to sign in");
        let mut address = known.metadata.authorization_endpoint.clone().ok_or(unable)?;
        if !matches!(address.scheme(), "https" | "http") {
            return Err(AuthError::Unavailable("the identity provider's page to sign in has no web address"));
        }
        let pending = Pending::new(redirect_uri, return_to);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&pending.verifier));
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.0.settings.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", "openid profile email")
            .append_pair("state", &pending.state)
            .append_pair("nonce", &pending.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok((address.into(), pending))
    }

    /// Who has signed in.
    pub(in crate::access) async fn finish(
        &self,
        pending: &Pending,
        answer: &ProviderAnswer,
    ) -> Result<Caller, SignInError> {
        let parts = [&answer.code, &answer.state, &answer.iss, &answer.error];
        if parts.into_iter().flatten().any(|part| part.len() > ANSWER_BYTES) {
            return Err(SignInError::NotBegun);
        }
        // Compared by their digests, so that the time it takes says nothing.
        let digest = |text: &str| Sha256::digest(text);
        if answer.state.as_deref().map(digest) != Some(digest(&pending.state)) {
            return Err(SignInError::NotBegun);
        }
        let known = self.0.provider.metadata().await?;
        let metadata = &known.metadata;
        // The answer of another provider must not be taken for one of this (RFC 9207).
        let is_ours = match &answer.iss {
            Some(issuer) => issuer == self.issuer(),
            None => !metadata.authorization_response_iss_parameter_supported,
        };
        if !is_ours {
            return Err(SignInError::NotBegun);
        }
        if let Some(error) = &answer.error {
            let is_word = error.len() <= 64 && error.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
            return Err(SignInError::Refused(if is_word { error.clone() } else { "no reason".to_owned() }));
        }
        let code = answer.code.as_deref().ok_or(SignInError::NotBegun)?;
        let unable = AuthError::Unavailable("the identity provider exchanges no codes");
        let endpoint = metadata.token_endpoint.as_ref().ok_or(unable)?;
        let exchanged = self.exchange(endpoint, metadata.wants_secret_in_form(), pending, code).await?;
        let claims = self.identity(pending, &exchanged, metadata.userinfo_endpoint.as_ref()).await?;
        Ok(self.caller(&claims)?)
    }

    async fn exchange(
        &self,
        endpoint: &Url,
        is_secret_in_form: bool,
        pending: &Pending,
        code: &str,
    ) -> Result<Exchanged, SignInError> {
        let settings = &self.0.settings;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &*pending.redirect_uri),
            ("code_verifier", &*pending.verifier),
        ];
        let mut basic = None;
        match settings.client_secret.as_deref() {
            Some(secret) if !is_secret_in_form => basic = Some((&*settings.client_id, secret)),
            Some(secret) => form.extend([("client_id", &*settings.client_id), ("client_secret", secret)]),
            None => form.push(("client_id", &settings.client_id)),
        }
        self.0.fetch.post(endpoint, &form, basic).await.map_err(|error| match error {
            // A code that was used, made up or is too old.
            FetchError::Status(400) => SignInError::NotBegun,
            error => {
                tracing::warn!(issuer = self.issuer(), %error, "the identity provider does not exchange a code");
                AuthError::Unavailable("the identity provider does not answer as it should").into()
            }
        })
    }

    /// What the ID token says, completed by what the provider says of the person if it does not name their role.
    async fn identity(
        &self,
        pending: &Pending,
        exchanged: &Exchanged,
        userinfo: Option<&Url>,
    ) -> Result<ProviderClaims, SignInError> {
        let settings = &self.0.settings;
        let client = &settings.client_id;
        let mut claims = token::verify(&self.0.provider, self.issuer(), client, &exchanged.id_token).await?;
        let is_for_another = claims.text("azp").is_some_and(|party| party != client);
        if claims.text("nonce") != Some(&pending.nonce) || is_for_another {
            return Err(AuthError::Invalid.into());
        }
        let is_complete = roles::find(&claims, &settings.role_claim).is_some();
        if let (false, Some(address), Some(token)) = (is_complete, userinfo, &exchanged.access_token) {
            let person: Map<String, Value> = self.0.fetch.get(address, Some(token)).await.map_err(|error| {
                tracing::warn!(issuer = self.issuer(), %error, "the identity provider does not describe a person");
                AuthError::Unavailable("the identity provider does not answer as it should")
            })?;
            // It may be about somebody else (OpenID Connect Core 1.0, section 5.3.2).
            if person.get("sub").and_then(Value::as_str) != Some(claims.subject()?) {
                return Err(AuthError::Invalid.into());
            }
            claims.complete(person);
        }
        Ok(claims)
    }
}
