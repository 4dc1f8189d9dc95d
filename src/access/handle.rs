//! The handle that transports use.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use relive_session::{ProjectId, Timestamp, ambient};

use super::audit::{self, Audit, AuditEntry};
use super::cache::Cache;
use super::keys::{KeyText, MadeKey};
use super::last_use::LastUse;
use super::limits::Limits;
use super::oidc::{Oidc, OidcError};
use super::settings::{AccessSettings, Requirement};
use super::state::Inner;
use super::tokens::{
    AUDIENCE, Claims, ISSUER, IssuedToken, SigningKeys, TOKEN_DEFAULT, TOKEN_LONGEST, seconds, timestamp,
};
use super::verify::{CREDENTIAL_BYTES, Credential};
use super::watches::{Watch, Watches};
use super::{ApiKey, AuthError, Caller, CredentialId, Grant, IssueError, Role, Scopes, may_issue, upkeep};
use crate::storage::{AuditFilter, NewKey, Page, PageCursor, Revoked, Storage, StorageError};

/// A key to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewKeyOptions<'a> {
    pub project: &'a ProjectId,
    pub name: &'a str,
    pub role: Role,
    pub expires_at: Option<Timestamp>,
}

/// Why access control cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(transparent)]
    Oidc(#[from] OidcError),
    #[error("cannot prepare access control: {0}")]
    Auth(#[from] AuthError),
}

/// Access control. Cheap to clone.
#[derive(Clone)]
pub struct Access(pub(super) Arc<Inner>);

/// Nothing of it is shown.
impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

impl Access {
    /// Starts access control on a migrated database. The first server on it makes the key that signs tokens.
    ///
    /// # Errors
    ///
    /// If the database does not answer, or the OpenID provider's address makes no sense.
    pub async fn start(storage: Storage, settings: AccessSettings) -> Result<Self, AccessError> {
        let (audit, rows) = Audit::new();
        let oidc = settings.oidc.clone().map(|oidc| Oidc::new(oidc, settings.timing)).transpose()?;
        let inner = Inner {
            root: settings.root_key.as_deref().map(super::keys::sha256),
            cache: Cache::new(settings.timing.fresh),
            watches: Watches::default(),
            last_use: LastUse::default(),
            signing: RwLock::default(),
            signing_read_at: tokio::sync::Mutex::default(),
            oidc,
            required: AtomicBool::new(settings.requirement == Requirement::Always),
            limits: Limits::new(settings.limits),
            audit,
            stop: CancellationToken::new(),
            tasks: parking_lot::Mutex::default(),
            storage,
            settings,
        };
        let access = Self(Arc::new(inner));
        upkeep::make_signing_key(&access.0).await?;
        upkeep::look(&access.0).await.map_err(AuthError::from)?;
        access.0.tasks.lock().extend([
            tokio::spawn(audit::write(access.0.storage.clone(), rows, access.0.stop.clone())),
            tokio::spawn(upkeep::run(Arc::clone(&access.0))),
            tokio::spawn(upkeep::watch(Arc::clone(&access.0))),
        ]);
        Ok(access)
    }

    /// Writes what has gathered, and ends the background work. What is recorded afterwards is lost.
    pub async fn shutdown(&self) {
        self.0.audit.summarise();
        self.0.stop.cancel();
        let tasks: Vec<_> = std::mem::take(&mut *self.0.tasks.lock());
        for task in tasks {
            // A task that panicked has said so itself.
            let _ = task.await;
        }
        if let Err(error) = self.0.last_use.write(&self.0.storage).await {
            tracing::debug!(%error, "the last use of keys could not be written");
        }
    }

    /// Whether a request needs a credential. It may change from false to true while the server runs, when the
    /// first key is made; never back.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.0.is_required()
    }

    /// Whether somebody can get in: there is a root key, an identity provider or a key.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn has_way_in(&self) -> Result<bool, AuthError> {
        if self.0.root.is_some() || self.0.oidc.is_some() {
            return Ok(true);
        }
        Ok(!self.0.storage.keys(None, None, 1).await?.items.is_empty())
    }

    /// Who makes a request. Without a credential, while none is required, that is anybody. Failures are counted by
    /// address; after too many, only credentials that were valid lately are looked at.
    ///
    /// # Errors
    ///
    /// Why the request has no caller: [`AuthError::Missing`], [`Invalid`](AuthError::Invalid) and
    /// [`Expired`](AuthError::Expired) are 401, [`NoRole`](AuthError::NoRole) 403, [`Limited`](AuthError::Limited)
    /// 429, the others 503.
    pub async fn identify(
        &self,
        credential: Option<Credential<'_>>,
        from: Option<IpAddr>,
    ) -> Result<Caller, AuthError> {
        let Some(credential) = credential else {
            let project = ProjectId::default_project();
            return if self.is_required() { Err(AuthError::Missing) } else { Ok(Caller::anonymous(project)) };
        };
        self.identify_by_any(&[credential], from).await
    }

    /// The same for a request that has one or several credentials of a kind, such as cookies of the same name. One
    /// of them has to be valid: the others may belong to other servers of the same host.
    ///
    /// # Errors
    ///
    /// As for [`Access::identify`]; [`AuthError::Ambiguous`] if several are valid and belong to different callers.
    pub async fn identify_by_any(
        &self,
        credentials: &[Credential<'_>],
        from: Option<IpAddr>,
    ) -> Result<Caller, AuthError> {
        let outcome = match self.0.limits.may_try(from) {
            Ok(()) => self.0.authenticate_any(credentials).await,
            Err(limited) if credentials.iter().any(|credential| self.0.is_known(*credential)) => {
                let limited = AuthError::Limited { retry_after: limited.retry_after };
                let outcome = self.0.authenticate_any(credentials).await;
                outcome.map_err(|error| if error.is_failure() { limited } else { error })
            }
            Err(limited) => return Err(AuthError::Limited { retry_after: limited.retry_after }),
        };
        if outcome.as_ref().is_err_and(AuthError::is_failure) {
            // Whether it is one too many is said the next time.
            let _ = self.0.limits.failed(from);
        }
        outcome
    }

    /// Who a credential belongs to; see [`Access::identify`], which also counts failures.
    ///
    /// # Errors
    ///
    /// Why it is not valid, or that it cannot be told now.
    pub async fn authenticate(&self, credential: Credential<'_>) -> Result<Caller, AuthError> {
        self.0.authenticate(credential).await
    }

    /// The same caller in another project, as root may have it (`Relive-Project`). Whoever is not root, and while
    /// access control is on, can only name the project they are in.
    ///
    /// # Errors
    ///
    /// [`IssueError::Denied`], or [`AuthError::Storage`] if the project cannot be looked up. `None` if there is no
    /// such project.
    pub async fn in_project(&self, caller: Caller, project: ProjectId) -> Result<Option<Caller>, IssueError> {
        if caller.project == project {
            return Ok(Some(caller));
        }
        if !matches!(caller.grant, Grant::Anonymous | Grant::Role(Role::Root)) {
            return Err(super::Denied::Role(Role::Root).into());
        }
        let found = self.0.storage.project(&project).await?;
        Ok(found.map(|_| Caller { project, ..caller }))
    }

    /// Deletes a project in which there is nothing any more; false if there is no such one. Its credentials end, and
    /// the sockets that were opened in it: here at once, on other servers within five seconds.
    ///
    /// # Errors
    ///
    /// If something is in it, or it is `default`, or the database does not answer.
    pub async fn delete_project(&self, id: &ProjectId) -> Result<bool, StorageError> {
        let Some(keys) = self.0.storage.delete_project(id, Timestamp::now()).await? else { return Ok(false) };
        self.0.end(&Revoked { projects: vec![id.clone()], keys, ..Revoked::default() });
        Ok(true)
    }

    /// Says when the caller's credential is revoked.
    #[must_use]
    pub fn watch(&self, caller: &Caller) -> Watch {
        self.0.watches.watch(caller)
    }

    /// Completes when the caller's credential is no longer valid, with the error of a request that comes with it then.
    pub fn ended(&self, caller: &Caller) -> impl Future<Output = AuthError> + Send + use<> {
        let (watch, ends_at) = (self.watch(caller), caller.ends_at());
        async move {
            let expired = async {
                match ends_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = watch.cancelled() => AuthError::Invalid,
                () = expired => AuthError::Expired,
            }
        }
    }

    /// Whether this is the token that may read the metrics (`RELIVE_METRICS_TOKEN`).
    #[must_use]
    pub fn is_metrics_token(&self, bearer: &str) -> bool {
        let hash = super::keys::sha256;
        self.0.settings.metrics_token.as_deref().is_some_and(|token| hash(token) == hash(bearer))
    }

    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.0.audit
    }

    /// Up to `limit` entries of a project's audit log, in the order of writing; of `default` with the requests
    /// that were refused before their project was known. `None` if the filter's `after` is none of them.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn audit_entries(
        &self,
        project: &ProjectId,
        filter: AuditFilter,
        limit: u32,
    ) -> Result<Option<Vec<AuditEntry>>, StorageError> {
        let with_unknown = *project == ProjectId::default_project();
        let filter = AuditFilter { with_unknown, ..filter };
        let records = self.0.storage.audit(project, &filter, limit).await?;
        Ok(records.map(|records| records.into_iter().map(AuditEntry::of).collect()))
    }

    /// The OpenID provider, if there is one: for signing in.
    #[must_use]
    pub fn oidc(&self) -> Option<&Oidc> {
        self.0.oidc.as_ref()
    }
}

/// Keys and tokens.
impl Access {
    /// Makes a key. From then on access control is on, unless it never is.
    ///
    /// # Errors
    ///
    /// If there is no such project, or the database does not answer.
    pub async fn create_key(&self, options: NewKeyOptions<'_>) -> Result<MadeKey, StorageError> {
        let made = create_key(&self.0.storage, options).await?;
        self.0.require_for_keys();
        Ok(made)
    }

    /// A page of a project's keys, newest first, those included that are not valid any more.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn keys(
        &self,
        project: &ProjectId,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Page<ApiKey>, StorageError> {
        let Page { items, next } = self.0.storage.keys(Some(project), after, limit).await?;
        let mut items: Vec<ApiKey> = items.into_iter().filter_map(ApiKey::of).collect();
        for key in &mut items {
            key.last_used_at = key.last_used_at.max(self.0.last_use.of(key.id));
        }
        Ok(Page { items, next })
    }

    /// The role of a key of a project, valid or not. One that this version does not know counts as root's.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn role_of_key(&self, project: &ProjectId, id: Uuid) -> Result<Option<Role>, StorageError> {
        let row = self.0.storage.key(Some(project), id).await?;
        Ok(row.map(|row| row.role.parse().unwrap_or(Role::Root)))
    }

    /// When the key expires that a caller has come or signed in with: what is made with it lasts no longer.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn expiry_of_key(&self, caller: &Caller) -> Result<Option<Timestamp>, StorageError> {
        match caller.credential {
            CredentialId::Key(_) => Ok(caller.expires_at),
            CredentialId::SignIn { key: Some(key), .. } => {
                Ok(self.0.storage.key(None, key).await?.and_then(|row| row.expires_at))
            }
            _ => Ok(None),
        }
    }

    /// Revokes a key of a project; one that is revoked stays so. `None` if there is no such key. Here it takes
    /// effect at once, on other servers within five seconds.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn revoke_key(&self, project: &ProjectId, id: Uuid) -> Result<Option<ApiKey>, StorageError> {
        let Some(row) = self.0.storage.revoke_key(Some(project), id, Timestamp::now()).await? else { return Ok(None) };
        self.0.end(&Revoked { keys: vec![id], ..Revoked::default() });
        // The sign-ins that were made with it are found to be gone by the next look.
        Ok(ApiKey::of(row))
    }

    /// Gives an access token with these scopes, valid for `expires_in` ([`TOKEN_DEFAULT`], at most
    /// [`TOKEN_LONGEST`]), but no longer than the issuer's own credential.
    ///
    /// # Errors
    ///
    /// [`IssueError::Denied`] if the issuer does not have what the scopes grant, or holds a token;
    /// [`IssueError::TooLong`] if it would have more than 16 KiB.
    pub async fn issue_token(
        &self,
        issuer: &Caller,
        scopes: Scopes,
        expires_in: Option<Duration>,
    ) -> Result<IssuedToken, IssueError> {
        may_issue(&issuer.grant, &scopes)?;
        let now = Timestamp::now();
        let wanted = now + expires_in.unwrap_or(TOKEN_DEFAULT).min(TOKEN_LONGEST);
        let expires = seconds(issuer.expires_at.map_or(wanted, |own| own.min(wanted)));
        let (id, expires_at) =
            (ambient::uuid(), timestamp(expires).ok_or(AuthError::Unavailable("the clock is wrong"))?);
        let token = self.sign_token(issuer, scopes, id, expires_at).await?;
        Ok(IssuedToken { id, token, expires_at })
    }

    /// Signs a token again that this issuer was given before, with the same id and the same end: if it was revoked
    /// meanwhile, it still is.
    ///
    /// # Errors
    ///
    /// As for [`Access::issue_token`].
    pub async fn reissue_token(
        &self,
        issuer: &Caller,
        scopes: Scopes,
        id: Uuid,
        expires_at: Timestamp,
    ) -> Result<String, IssueError> {
        may_issue(&issuer.grant, &scopes)?;
        self.sign_token(issuer, scopes, id, expires_at).await
    }

    async fn sign_token(
        &self,
        issuer: &Caller,
        scopes: Scopes,
        id: Uuid,
        expires_at: Timestamp,
    ) -> Result<String, IssueError> {
        let signing = self.0.signing_keys().await?;
        let token = signing.sign(&Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: self.0.issuer(issuer, &signing)?.subject(),
            name: issuer.actor.as_ref().map(|actor| actor.name.clone()),
            iat: seconds(Timestamp::now()),
            exp: seconds(expires_at),
            jti: id,
            project: issuer.project.clone(),
            scopes,
        })?;
        if token.len() > CREDENTIAL_BYTES { Err(IssueError::TooLong) } else { Ok(token) }
    }

    /// Revokes a token of a project, by its id (`jti`), whether it exists or not, with the sign-ins that were made
    /// with it. Here it takes effect at once, on other servers within five seconds.
    ///
    /// # Errors
    ///
    /// If too many were revoked lately, or the database does not answer.
    pub async fn revoke_token(&self, project: &ProjectId, id: Uuid) -> Result<(), StorageError> {
        let sign_ins = self.0.storage.revoke_token(project, id, Timestamp::now() + TOKEN_LONGEST).await?;
        self.0.end(&Revoked { tokens: vec![(project.clone(), id)], sign_ins, ..Revoked::default() });
        Ok(())
    }

    /// Makes a new key that signs tokens. Tokens signed by the one before stay valid; older ones do not.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn rotate_signing_key(&self) -> Result<(), StorageError> {
        let rows = upkeep::exchange_signing_key(&self.0.storage).await?;
        *self.0.signing.write() = Arc::new(SigningKeys::new(rows));
        Ok(())
    }
}

/// Makes a new key that signs tokens, on a database, with or without a server on it: servers sign with it within
/// half a minute. Tokens signed by the one before stay valid; older ones do not. Returns when that one was made.
///
/// # Errors
///
/// If the database does not answer.
pub async fn rotate_signing_key(storage: &Storage) -> Result<Option<Timestamp>, StorageError> {
    let rows = upkeep::exchange_signing_key(storage).await?;
    Ok(rows.get(1).map(|row| row.created_at))
}

/// Makes a key on a database, with or without a server on it.
///
/// # Errors
///
/// If there is no such project, or the database does not answer.
pub async fn create_key(storage: &Storage, options: NewKeyOptions<'_>) -> Result<MadeKey, StorageError> {
    let text = KeyText::new(rand::random());
    let hash = text.hash();
    let row = storage
        .create_key(NewKey {
            id: ambient::uuid(),
            project: options.project,
            name: options.name,
            role: options.role.as_str(),
            prefix: text.prefix(),
            hash: &hash,
            created_at: Timestamp::now(),
            expires_at: options.expires_at,
        })
        .await?;
    Ok(MadeKey {
        key: ApiKey {
            id: row.id,
            project: row.project,
            name: row.name,
            role: options.role,
            prefix: row.prefix,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        },
        text,
    })
}
