//! What access control of a server holds, and what happens to it when something was revoked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::audit::Audit;
use super::cache::Cache;
use super::last_use::LastUse;
use super::limits::Limits;
use super::oidc::Oidc;
use super::settings::{AccessSettings, Requirement};
use super::tokens::SigningKeys;
use super::watches::{Watches, is_among, is_anonymous};
use super::{AuthError, Caller, CredentialId, TokenIssuer, person};
use crate::storage::{Revoked, Storage};

pub(super) struct Inner {
    pub storage: Storage,
    pub settings: AccessSettings,
    pub root: Option<[u8; 32]>,
    pub cache: Cache,
    pub watches: Watches,
    pub last_use: LastUse,
    pub signing: RwLock<Arc<SigningKeys>>,
    /// When the keys were last looked up because a token named one that is not known.
    pub signing_read_at: tokio::sync::Mutex<Option<Instant>>,
    pub oidc: Option<Oidc>,
    pub required: AtomicBool,
    pub limits: Limits,
    pub audit: Audit,
    pub stop: CancellationToken,
    pub tasks: parking_lot::Mutex<Vec<JoinHandle<()>>>,
}

impl Inner {
    /// Turns access control on because there is a key.
    pub fn require_for_keys(&self) {
        if self.settings.requirement != Requirement::WithKeys || self.required.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::info!("there is a key: from now on requests need one, or an access token");
        self.cache.forget(|credential, _| is_anonymous(credential));
        self.watches.cancel(|credential, _| is_anonymous(credential));
    }

    /// Whether keys have to be looked for.
    pub fn waits_for_keys(&self) -> bool {
        self.settings.requirement == Requirement::WithKeys && !self.required.load(Ordering::Acquire)
    }

    pub fn is_required(&self) -> bool {
        self.required.load(Ordering::Acquire)
    }

    /// Forgets what was revoked, and tells the sockets.
    pub fn end(&self, revoked: &Revoked) {
        self.cache.forget(|credential, project| is_among(credential, project, revoked));
        self.watches.cancel(|credential, project| is_among(credential, project, revoked));
    }

    /// As whom a caller gives a token.
    pub fn issuer(&self, caller: &Caller, signing: &SigningKeys) -> Result<TokenIssuer, AuthError> {
        Ok(match caller.credential {
            CredentialId::Key(id) => TokenIssuer::Key(id),
            CredentialId::SignIn { key: Some(key), .. } => TokenIssuer::Key(key),
            CredentialId::SignIn { is_root: true, .. } => self.giver_of_root(signing)?,
            CredentialId::OidcToken | CredentialId::SignIn { .. } => {
                TokenIssuer::User(person(&caller.project, caller.actor.as_deref().ok_or(AuthError::Invalid)?))
            }
            CredentialId::Anonymous => TokenIssuer::Anonymous,
            CredentialId::Root => self.giver_of_root(signing)?,
            CredentialId::Token { .. } => return Err(AuthError::Invalid),
        })
    }

    fn giver_of_root(&self, signing: &SigningKeys) -> Result<TokenIssuer, AuthError> {
        self.root_mark(signing, signing.signs_with()).map(TokenIssuer::Root).ok_or(AuthError::Invalid)
    }

    /// The mark of the root key in tokens that this key signs.
    pub fn root_mark(&self, signing: &SigningKeys, id: Option<&str>) -> Option<u64> {
        signing.mark(id?, self.settings.root_key.as_deref()?)
    }
}
