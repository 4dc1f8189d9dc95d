//! From a credential to a caller.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use relive_session::{Actor, ActorKind, ProjectId, Timestamp};

use super::cache::{Digest, Found};
use super::keys::{KeyText, sha256};
use super::oidc::Oidc;
use super::state::Inner;
use super::tokens::{AUDIENCE, Claims, ISSUER, SigningKeys, issuer, kid, timestamp};
use super::{AuthError, Caller, CredentialId, Grant, Role, Scopes, TokenIssuer};
use crate::storage::SignInRow;

/// Bytes of a credential at most, which a header can hold. No longer token is given, nor looked at.
pub(super) const CREDENTIAL_BYTES: usize = 16 << 10;

/// The name of the root key among actors.
pub(super) const ROOT: &str = "root";

/// What a request or a socket comes with.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// Of `Authorization: Bearer`: a key, an access token, or a token of the OpenID provider.
    Bearer(&'a str),
    /// Of the dashboard's cookie.
    Cookie(&'a str),
}

impl Credential<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Bearer(text) | Self::Cookie(text) => text,
        }
    }

    fn digest(&self) -> Digest {
        let kind: &[u8] = match self {
            Self::Bearer(_) => b"bearer ",
            Self::Cookie(_) => b"cookie ",
        };
        Sha256::new().chain_update(kind).chain_update(self.text()).finalize().into()
    }
}

impl Inner {
    /// Whether a credential was valid lately.
    pub fn is_known(&self, credential: Credential<'_>) -> bool {
        !matches!(self.cache.find(&credential.digest()), Found::Unknown)
    }

    pub async fn authenticate(&self, credential: Credential<'_>) -> Result<Caller, AuthError> {
        if credential.text().is_empty() || credential.text().len() > CREDENTIAL_BYTES {
            return Err(AuthError::Invalid);
        }
        let digest = credential.digest();
        let caller = match self.cache.find(&digest) {
            Found::Fresh(caller) => caller,
            Found::Unknown => self.verify(credential, digest).await?,
            Found::Stale => {
                let _turn = self.cache.turn(&digest).await;
                match self.cache.find(&digest) {
                    Found::Fresh(caller) => caller,
                    _ => self.verify(credential, digest).await?,
                }
            }
        };
        let now = Timestamp::now();
        if caller.has_expired(now) {
            self.cache.remove(&digest);
            return Err(AuthError::Expired);
        }
        if let CredentialId::Key(id) = caller.credential {
            self.last_use.note(id, now);
        }
        Ok(caller)
    }

    /// The caller of several credentials. The order in which they were sent says nothing (RFC 6265, section 4.2.2).
    pub async fn authenticate_any(&self, credentials: &[Credential<'_>]) -> Result<Caller, AuthError> {
        let mut found = Err(AuthError::Missing);
        for credential in credentials {
            match (self.authenticate(*credential).await, &found) {
                (Ok(caller), Ok(known)) if !caller.is_same_as(known) => return Err(AuthError::Ambiguous),
                (Ok(caller), Err(_)) => found = Ok(caller),
                (Err(error), Err(AuthError::Missing)) if error.is_failure() => found = Err(error),
                (Err(error), _) if !error.is_failure() => return Err(error),
                _ => {}
            }
        }
        found
    }

    async fn verify(&self, credential: Credential<'_>, digest: Digest) -> Result<Caller, AuthError> {
        let asked = self.cache.asked();
        let verified = match credential {
            Credential::Bearer(text) => self.verify_bearer(text).await,
            Credential::Cookie(text) => self.verify_cookie(text).await,
        };
        match &verified {
            Ok(caller) => self.cache.put(digest, caller.clone(), asked),
            Err(error) if error.is_failure() => self.cache.remove(&digest),
            Err(_) => {}
        }
        verified
    }

    async fn verify_bearer(&self, text: &str) -> Result<Caller, AuthError> {
        // Hashes are compared, so that the time it takes says nothing about the key.
        if self.root.is_some_and(|root| root == sha256(text)) {
            return Ok(root_caller());
        }
        if let Some(key) = KeyText::parse(text) {
            return self.verify_key(&key).await;
        }
        match (issuer(text), &self.oidc) {
            (Some(issuer), _) if issuer == ISSUER => self.verify_token(text).await,
            (Some(issuer), Some(oidc)) if issuer == oidc.issuer() => {
                self.in_existing_project(oidc, oidc.verify_bearer(text).await?).await
            }
            _ => Err(AuthError::Invalid),
        }
    }

    /// A caller of the identity provider, unless its claims name a project that does not exist, or not any more.
    pub async fn in_existing_project(&self, oidc: &Oidc, caller: Caller) -> Result<Caller, AuthError> {
        if caller.project.is_default() || self.storage.project(&caller.project).await?.is_some() {
            return Ok(caller);
        }
        Err(AuthError::NoProject(oidc.project_claim().to_owned()))
    }

    async fn verify_key(&self, key: &KeyText) -> Result<Caller, AuthError> {
        let row = self.storage.key_by_hash(&key.hash()).await?.ok_or(AuthError::Invalid)?;
        if row.revoked_at.is_some() {
            return Err(AuthError::Invalid);
        }
        // A role of a newer version grants nothing here.
        let role: Role = row.role.parse().map_err(|_| AuthError::Invalid)?;
        Ok(Caller {
            project: row.project,
            actor: Some(Arc::new(Actor::new(ActorKind::Key, &row.id.to_string(), &row.name))),
            grant: Grant::Role(role),
            expires_at: row.expires_at,
            credential: CredentialId::Key(row.id),
        })
    }

    async fn verify_token(&self, text: &str) -> Result<Caller, AuthError> {
        let signing = self.signing_keys_for(text).await?;
        let claims: Claims = signing.read(text, AUDIENCE)?;
        let issuer = TokenIssuer::parse(&claims.sub).ok_or(AuthError::Invalid)?;
        let issuing_key = match issuer {
            TokenIssuer::Key(id) => Some(id),
            TokenIssuer::Root(mark) if self.root_mark(&signing, kid(text).as_deref()) == Some(mark) => None,
            TokenIssuer::Anonymous if !self.is_required() => None,
            TokenIssuer::User(_) => None,
            TokenIssuer::Root(_) | TokenIssuer::Anonymous => return Err(AuthError::Invalid),
        };
        let state = self.storage.token_state(&claims.project, claims.jti, issuing_key).await?;
        if state.is_revoked || !state.has_giver || !state.has_project {
            return Err(AuthError::Invalid);
        }
        let actor = Actor::new(ActorKind::Token, &claims.jti.to_string(), &claims.holder());
        Ok(Caller {
            project: claims.project,
            actor: Some(Arc::new(actor)),
            grant: Grant::Scopes(claims.scopes),
            expires_at: Some(timestamp(claims.exp).ok_or(AuthError::Invalid)?),
            credential: CredentialId::Token { id: claims.jti, issuer },
        })
    }

    async fn verify_cookie(&self, text: &str) -> Result<Caller, AuthError> {
        let mut found = self.storage.sign_in_by_hash(&sha256(text)).await?;
        let mut is_root = false;
        if found.is_none() && self.root.is_some() {
            found = self.storage.sign_in_by_hash(&self.cookie_hash(text, true)).await?;
            is_root = true;
        }
        sign_in_caller(found.ok_or(AuthError::Invalid)?, is_root)
    }

    /// What is stored of a cookie. That of a sign-in with the root key is bound to that key, and ends with it.
    pub fn cookie_hash(&self, text: &str, is_root: bool) -> [u8; 32] {
        match self.root {
            Some(root) if is_root => Sha256::new().chain_update(text).chain_update(root).finalize().into(),
            _ => sha256(text),
        }
    }

    /// The keys that sign tokens, looked up if this server has none yet.
    pub async fn signing_keys(&self) -> Result<Arc<SigningKeys>, AuthError> {
        let known = Arc::clone(&self.signing.read());
        if known.signs_with().is_some() { Ok(known) } else { self.read_signing_keys().await }
    }

    /// The keys, looked up again if the token names one that is not known; at most once in two seconds, since
    /// anybody can make up names.
    pub async fn signing_keys_for(&self, token: &str) -> Result<Arc<SigningKeys>, AuthError> {
        let known = Arc::clone(&self.signing.read());
        let id = kid(token).ok_or(AuthError::Invalid)?;
        if known.has(&id) {
            return Ok(known);
        }
        let mut read_at = self.signing_read_at.lock().await;
        let is_recent = read_at.is_some_and(|at: Instant| at.elapsed() < AT_LEAST_APART);
        let known = Arc::clone(&self.signing.read());
        if is_recent || known.has(&id) {
            return Ok(known);
        }
        let read = self.read_signing_keys().await?;
        *read_at = Some(Instant::now());
        Ok(read)
    }

    pub async fn read_signing_keys(&self) -> Result<Arc<SigningKeys>, AuthError> {
        let keys = Arc::new(SigningKeys::new(self.storage.signing_keys().await?));
        *self.signing.write() = Arc::clone(&keys);
        Ok(keys)
    }
}

/// The time between two attempts to find a key that is not known.
const AT_LEAST_APART: Duration = Duration::from_secs(2);

fn root_caller() -> Caller {
    Caller {
        project: ProjectId::default_project(),
        actor: Some(Arc::new(Actor::new(ActorKind::Key, ROOT, ROOT))),
        grant: Grant::Role(Role::Root),
        expires_at: None,
        credential: CredentialId::Root,
    }
}

fn sign_in_caller(row: SignInRow, is_root: bool) -> Result<Caller, AuthError> {
    let grant = match (&row.role, &row.scopes) {
        (Some(role), None) => Grant::Role(role.parse().map_err(|_| AuthError::Invalid)?),
        (None, Some(scopes)) => Grant::Scopes(Scopes::parse(scopes).map_err(|_| AuthError::Invalid)?),
        _ => return Err(AuthError::Invalid),
    };
    let credential = CredentialId::SignIn { id: row.id, key: row.key_id, is_root };
    Ok(Caller {
        project: row.project,
        actor: Some(Arc::new(row.actor)),
        grant,
        expires_at: Some(row.expires_at),
        credential,
    })
}

/// The ids of what a sign-in is made with, and ends with: of a key, and of a token.
pub(super) fn origins(credential: CredentialId) -> (Option<Uuid>, Option<Uuid>) {
    match credential {
        CredentialId::Key(id) | CredentialId::SignIn { key: Some(id), .. } => (Some(id), None),
        CredentialId::Token { id, issuer: TokenIssuer::Key(key) } => (Some(key), Some(id)),
        CredentialId::Token { id, .. } => (None, Some(id)),
        CredentialId::Anonymous | CredentialId::Root | CredentialId::OidcToken | CredentialId::SignIn { .. } => {
            (None, None)
        }
    }
}
