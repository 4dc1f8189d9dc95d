//! Sign-ins of the dashboard: sessions on the server, and a cookie in the browser.

use std::sync::Arc;
use std::time::Duration;

use relive_session::{Timestamp, ambient};

use super::keys::secret_text;
use super::oidc::{PENDING_AUDIENCE, PENDING_SECONDS, Pending, ProviderAnswer, SignInError};
use super::state::Inner;
use super::verify::origins;
use super::{Access, AuthError, Caller, CredentialId, Grant, IssueError, TokenIssuer};
use crate::storage::{NewSignIn, Revoked};

/// How long a sign-in lasts; less if what it was made with expires earlier.
pub const SIGN_IN: Duration = Duration::from_hours(12);

/// Somebody who has signed in. Printing it for debugging does not show the cookie.
#[derive(Clone)]
pub struct SignedIn {
    /// The value of the cookie: 43 letters and digits. It is shown once, and only its SHA-256 is stored.
    pub cookie: String,
    pub expires_at: Timestamp,
    /// Who they are. The requests that come with the cookie have another credential.
    pub caller: Caller,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn")
            .field("expires_at", &self.expires_at)
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}

/// A sign-in that was begun.
#[derive(Clone)]
pub struct BegunSignIn {
    /// Where to send the browser.
    pub location: String,
    /// The value of a cookie that the browser brings back: `HttpOnly`, `SameSite=Lax`, and `Secure` on TLS.
    pub pending: String,
    /// Its `Max-Age`.
    pub max_age: Duration,
}

impl Access {
    /// Whether people can sign in with an identity provider.
    #[must_use]
    pub fn has_provider(&self) -> bool {
        self.0.oidc.is_some()
    }

    /// Begins to sign in with the provider. `redirect_uri` is the address of this server that calls
    /// [`Access::finish_sign_in`], as it is registered with the provider; `return_to` the path to go to afterwards.
    ///
    /// # Errors
    ///
    /// [`SignInError::NoProvider`], or that the provider does not answer.
    pub async fn begin_sign_in(&self, redirect_uri: &str, return_to: &str) -> Result<BegunSignIn, SignInError> {
        let oidc = self.0.oidc.as_ref().ok_or(SignInError::NoProvider)?;
        let (location, pending) = oidc.begin(redirect_uri, return_to).await?;
        let pending = self.0.signing_keys().await?.sign(&pending)?;
        Ok(BegunSignIn { location, pending, max_age: Duration::from_secs(PENDING_SECONDS) })
    }

    /// Signs somebody in whom the provider has sent back, with the cookie of [`Access::begin_sign_in`]. Returns
    /// also the path to go to: always one of this server. The cookie is to be removed in any case.
    ///
    /// # Errors
    ///
    /// Why they are not signed in.
    pub async fn finish_sign_in(
        &self,
        pending: Option<&str>,
        answer: &ProviderAnswer,
    ) -> Result<(SignedIn, String), SignInError> {
        let oidc = self.0.oidc.as_ref().ok_or(SignInError::NoProvider)?;
        let pending = pending.ok_or(SignInError::NotBegun)?;
        let signing = self.0.signing_keys_for(pending).await.map_err(not_begun)?;
        let pending: Pending = signing.read(pending, PENDING_AUDIENCE).map_err(not_begun)?;
        let caller = self.0.in_existing_project(oidc, oidc.finish(&pending, answer).await?).await?;
        // How long the provider's token lasts says nothing about the sign-in, which is this server's.
        let caller = Caller { expires_at: None, ..caller };
        let signed_in = self.0.store_sign_in(caller).await?;
        Ok((signed_in, pending.return_to))
    }

    /// Exchanges a credential for a cookie, for pages: a key that somebody has entered, or the token of a link.
    /// It ends with the credential.
    ///
    /// # Errors
    ///
    /// [`AuthError::Invalid`] if the credential was revoked meanwhile, or is none.
    pub async fn sign_in_with(&self, caller: Caller) -> Result<SignedIn, IssueError> {
        Ok(self.0.store_sign_in(caller).await?)
    }

    /// Ends the sign-in that a caller came with, and closes its sockets. Of other credentials nothing is ended.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn sign_out(&self, caller: &Caller) -> Result<(), AuthError> {
        if let CredentialId::SignIn { id, .. } = caller.credential {
            self.0.storage.delete_sign_in(id).await?;
            self.0.end(&Revoked { sign_ins: vec![id], ..Revoked::default() });
        }
        Ok(())
    }
}

fn not_begun(error: AuthError) -> SignInError {
    if error.is_failure() { SignInError::NotBegun } else { error.into() }
}

impl Inner {
    async fn store_sign_in(&self, caller: Caller) -> Result<SignedIn, AuthError> {
        let is_root = match caller.credential {
            CredentialId::Root => true,
            CredentialId::SignIn { is_root, .. } => is_root,
            CredentialId::Token { issuer: TokenIssuer::Root(_), .. } => true,
            // It would outlast the time in which nobody needs a credential.
            CredentialId::Token { issuer: TokenIssuer::Anonymous, .. } => return Err(AuthError::Invalid),
            _ => false,
        };
        let (role, scopes) = match &caller.grant {
            Grant::Role(role) => (Some(role.as_str()), None),
            Grant::Scopes(scopes) => (None, Some(scopes.iter().map(ToString::to_string).collect::<Vec<_>>())),
            Grant::Anonymous => return Err(AuthError::Invalid),
        };
        let actor = caller.actor.as_deref().ok_or(AuthError::Invalid)?;
        let longest = Timestamp::now() + SIGN_IN;
        let expires_at = caller.expires_at.map_or(longest, |own| own.min(longest));
        let cookie = secret_text();
        let (key_id, token_id) = origins(caller.credential);
        let stored = self
            .storage
            .create_sign_in(NewSignIn {
                id: ambient::uuid(),
                hash: &self.cookie_hash(&cookie, is_root),
                project: &caller.project,
                actor,
                role,
                scopes: scopes.as_deref(),
                key_id,
                token_id,
                expires_at,
            })
            .await?;
        if !stored {
            return Err(AuthError::Invalid);
        }
        let caller = Caller { expires_at: Some(expires_at), actor: Some(Arc::new(actor.clone())), ..caller };
        Ok(SignedIn { cookie, expires_at, caller })
    }
}
