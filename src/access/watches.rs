//! Credentials of open sockets, which are to be closed when those are revoked.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{Caller, CredentialId, TokenIssuer};
use crate::storage::{CredentialsInUse, Revoked};
use relive_session::ProjectId;

/// Says when a caller's credential is revoked, deleted or has ended, by whichever server. Cheap to clone; what
/// nobody holds is not looked at any more. Expiry is not said: [`Caller::expires_at`] is known beforehand.
#[derive(Clone, Debug)]
pub struct Watch(Arc<CancellationToken>);

impl Watch {
    /// Completes when the credential is no longer valid.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }

    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// The credentials that are watched, each once.
///
/// By project as well: those of the root key and of an identity provider's tokens are one each, whatever project they
/// are in.
#[derive(Default)]
pub(super) struct Watches(Mutex<HashMap<(CredentialId, ProjectId), Weak<CancellationToken>>>);

impl Watches {
    pub fn watch(&self, caller: &Caller) -> Watch {
        let mut entries = self.0.lock();
        let held = (caller.credential, caller.project.clone());
        if let Some(watch) = entries.get(&held).and_then(Weak::upgrade) {
            return Watch(watch);
        }
        let watch = Arc::new(CancellationToken::new());
        entries.insert(held, Arc::downgrade(&watch));
        Watch(watch)
    }

    /// The credentials that are held by somebody and that the database knows.
    pub fn held(&self) -> CredentialsInUse {
        let mut entries = self.0.lock();
        entries.retain(|_, watch| watch.strong_count() > 0);
        let mut held = CredentialsInUse::default();
        for (credential, project) in entries.keys() {
            if !project.is_default() {
                held.projects.push(project.clone());
            }
            match *credential {
                CredentialId::Key(id) => held.keys.push(id),
                CredentialId::Token { id, issuer } => {
                    held.tokens.push((project.clone(), id));
                    if let TokenIssuer::Key(key) = issuer {
                        held.keys.push(key);
                    }
                }
                CredentialId::SignIn { id, .. } => held.sign_ins.push(id),
                CredentialId::Anonymous | CredentialId::Root | CredentialId::OidcToken => {}
            }
        }
        held.keys.sort_unstable();
        held.keys.dedup();
        held.projects.sort_unstable();
        held.projects.dedup();
        held
    }

    /// Ends the watches of such credentials. A later watch of the same credential is another one.
    pub fn cancel(&self, is_revoked: impl Fn(&CredentialId, &ProjectId) -> bool) {
        self.0.lock().retain(|(credential, project), watch| {
            if !is_revoked(credential, project) {
                return true;
            }
            if let Some(watch) = watch.upgrade() {
                watch.cancel();
            }
            false
        });
    }
}

/// Whether a credential in a project is among those that were revoked.
pub(super) fn is_among(credential: &CredentialId, project: &ProjectId, revoked: &Revoked) -> bool {
    if revoked.projects.contains(project) {
        return true;
    }
    match credential {
        CredentialId::Key(id) => revoked.keys.contains(id),
        CredentialId::Token { id, issuer } => {
            revoked.tokens.iter().any(|(of, token)| token == id && of == project)
                || matches!(issuer, TokenIssuer::Key(key) if revoked.keys.contains(key))
        }
        CredentialId::SignIn { id, key, .. } => {
            revoked.sign_ins.contains(id) || key.is_some_and(|key| revoked.keys.contains(&key))
        }
        CredentialId::Anonymous | CredentialId::Root | CredentialId::OidcToken => false,
    }
}

/// Whether a credential is only valid while access control is off.
pub(super) fn is_anonymous(credential: &CredentialId) -> bool {
    matches!(credential, CredentialId::Anonymous | CredentialId::Token { issuer: TokenIssuer::Anonymous, .. })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn caller(credential: CredentialId) -> Caller {
        Caller { credential, ..Caller::anonymous(ProjectId::default_project()) }
    }

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[test]
    fn a_credential_is_watched_once_and_as_long_as_somebody_holds_it() {
        let watches = Watches::default();
        let key = caller(CredentialId::Key(id(1)));
        let token = caller(CredentialId::Token { id: id(2), issuer: TokenIssuer::Key(id(1)) });
        let (first, second) = (watches.watch(&key), watches.watch(&key));
        let third = watches.watch(&token);
        let held = watches.held();
        assert_eq!((held.keys, held.tokens.len()), (vec![id(1)], 1));
        drop((first, second, third));
        let held = watches.held();
        assert!(held.keys.is_empty() && held.tokens.is_empty() && watches.0.lock().is_empty());
    }

    #[test]
    fn what_is_revoked_is_said_with_all_that_was_given_by_it() {
        let key = CredentialId::Key(id(1));
        let token = CredentialId::Token { id: id(2), issuer: TokenIssuer::Key(id(1)) };
        let other = CredentialId::Token { id: id(3), issuer: TokenIssuer::User(7) };
        let sign_in = CredentialId::SignIn { id: id(4), key: None, is_root: false };
        let blue: ProjectId = "blue".parse().expect("an id");
        let tokens = |project: ProjectId, n| Revoked { tokens: vec![(project, id(n))], ..Revoked::default() };
        let cases = [
            (Revoked { keys: vec![id(1)], ..Revoked::default() }, [true, true, false, false]),
            (tokens(ProjectId::default(), 2), [false, true, false, false]),
            (tokens(ProjectId::default(), 1), [false; 4]),
            (tokens(blue.clone(), 2), [false; 4]),
            (Revoked { projects: vec![blue], ..Revoked::default() }, [false; 4]),
            (Revoked { projects: vec![ProjectId::default()], ..Revoked::default() }, [true; 4]),
            (Revoked { sign_ins: vec![id(4), id(1)], ..Revoked::default() }, [false, false, false, true]),
        ];
        for (revoked, expected) in cases {
            let watches = Watches::default();
            let held = [key, token, other, sign_in].map(|credential| watches.watch(&caller(credential)));
            watches.cancel(|credential, project| is_among(credential, project, &revoked));
            assert_eq!(held.map(|watch| watch.is_cancelled()), expected, "{revoked:?}");
        }
    }

    #[test]
    fn root_is_watched_in_each_project_by_itself() {
        let watches = Watches::default();
        let root = |project: &str| {
            let project = project.parse().expect("an id");
            watches.watch(&Caller { project, ..caller(CredentialId::Root) })
        };
        let (default, blue, red) = (root("default"), root("blue"), root("red"));
        assert_eq!(watches.held().projects.iter().map(ProjectId::as_str).collect::<Vec<_>>(), ["blue", "red"]);
        let revoked = Revoked { projects: vec!["blue".parse().expect("an id")], ..Revoked::default() };
        watches.cancel(|credential, project| is_among(credential, project, &revoked));
        assert_eq!([default, blue, red].map(|watch| watch.is_cancelled()), [false, true, false]);
    }

    #[test]
    fn a_watch_after_the_revocation_is_another_one() {
        let watches = Watches::default();
        let anonymous = caller(CredentialId::Anonymous);
        let watch = watches.watch(&anonymous);
        watches.cancel(|credential, _| is_anonymous(credential));
        assert!(watch.is_cancelled() && !watches.watch(&anonymous).is_cancelled());
    }
}
