//! Who makes a request, and what they may do.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use relive_session::{Actor, ProjectId, Timestamp};

use super::decision::{self, Action, Denied, Subject, Visibility};
use super::grant::Grant;
use super::role::Role;
use super::scope::Scope;

/// Who makes a request or has opened a socket, and what they may do. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The project that the request acts in. What belongs to another does not exist for it.
    pub project: ProjectId,
    /// `None` while access control is off.
    pub actor: Option<Arc<Actor>>,
    pub grant: Grant,
    /// When the credential expires: nothing is granted from then on.
    pub expires_at: Option<Timestamp>,
    /// What the request came with.
    pub credential: CredentialId,
}

/// Identifies the credential of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialId {
    /// None, for access control is off.
    Anonymous,
    /// `RELIVE_ROOT_KEY`.
    Root,
    Key(Uuid),
    /// An access token of this server.
    Token {
        id: Uuid,
        /// It ends with its issuer's key.
        issuer: TokenIssuer,
    },
    /// A bearer token of the OpenID provider. It cannot be revoked here; it expires.
    OidcToken,
    /// A sign-in of the dashboard.
    SignIn {
        id: Uuid,
        /// The key that it was made with.
        key: Option<Uuid>,
        /// Whether it was made with the root key.
        is_root: bool,
    },
}

/// Who issued an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenIssuer {
    Key(Uuid),
    /// Somebody who has signed in: see [`person`]. The token stays valid when they sign out.
    User(u64),
    /// Whoever had the root key: the token ends when the root key is rotated. A keyed hash of it, so that the token
    /// does not reveal it.
    Root(u64),
    /// Anybody, while access control was off. The token is valid as long as it stays off.
    Anonymous,
}

/// A number for somebody who signs in with the OpenID provider, the same whatever their tokens and sign-ins are.
#[must_use]
pub fn person(project: &ProjectId, actor: &Actor) -> u64 {
    let mut digest = Sha256::new();
    for part in [project.as_str(), &actor.id] {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    digest.finalize().first_chunk().map_or(0, |mark| u64::from_be_bytes(*mark))
}

impl Caller {
    /// Anybody, while access control is off.
    #[must_use]
    pub fn anonymous(project: ProjectId) -> Self {
        Self { project, actor: None, grant: Grant::Anonymous, expires_at: None, credential: CredentialId::Anonymous }
    }

    /// Somebody who may do nothing.
    #[must_use]
    pub fn nobody() -> Self {
        let anonymous = Self::anonymous(ProjectId::default_project());
        Self { grant: Grant::Scopes(super::Scopes::none()), ..anonymous }
    }

    /// Whether the caller may do this to `subject`; see [`allows`](super::allows).
    ///
    /// # Errors
    ///
    /// What the caller lacks.
    pub fn allows(&self, action: Action, subject: Option<&Subject<'_>>) -> Result<(), Denied> {
        decision::allows(&self.grant, action, subject)
    }

    /// Which sessions lists show to the caller.
    #[must_use]
    pub fn visibility(&self) -> Visibility {
        decision::visibility(&self.grant)
    }

    /// Whether what the caller may read depends on the tags of sessions.
    #[must_use]
    pub fn reads_by_tag(&self) -> bool {
        match &self.grant {
            Grant::Anonymous | Grant::Role(_) => false,
            Grant::Scopes(scopes) => {
                !scopes.contains(&Scope::ReadSessions) && scopes.iter().any(|scope| matches!(scope, Scope::ReadTag(_)))
            }
        }
    }

    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// When the credential expires, by the clock of timers. `None` if it does not, or at a time too far away to wait
    /// for.
    #[must_use]
    pub fn ends_at(&self) -> Option<Instant> {
        let at = self.expires_at?;
        let left = u64::try_from(at.as_millis() - Timestamp::now().as_millis()).unwrap_or(0);
        Instant::now().checked_add(Duration::from_millis(left))
    }

    /// Whether both are the same somebody, with the same rights in the same project, whatever they came with.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        (&self.project, &self.actor, &self.grant) == (&other.project, &other.actor, &other.grant)
    }

    /// The role, for those who have one.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        match &self.grant {
            Grant::Role(role) => Some(*role),
            Grant::Anonymous | Grant::Scopes(_) => None,
        }
    }
}
