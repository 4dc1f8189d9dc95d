//! Who may do what: projects, roles, keys, tokens, sign-ins, limits and the audit log.
//!
//! A request becomes a [`Caller`] once, at the transport, by [`Access::identify`]. Everything it asks for is
//! decided by [`allows`], a pure function of what the caller was granted, the [`Action`], and the session it
//! concerns. What belongs to another project is not decided here: it is not found.
//!
//! A credential that was verified is remembered for two seconds, so most requests cost no query. Revocations are
//! looked for every two seconds, with one query for all open sockets. So a revoked key is refused, and its sockets
//! are closed, within five seconds on every server.

mod audit;
mod cache;
mod caller;
mod decision;
mod error;
mod grant;
mod handle;
mod keys;
mod last_use;
pub mod limits;
pub mod oidc;
mod role;
mod scope;
mod settings;
mod sign_in;
mod state;
mod timing;
mod tokens;
mod upkeep;
mod verify;
mod watches;

pub use audit::{Audit, AuditEntry, AuditFull, AuditSettings, AuditSlot, AuditedAction, Outcome, record};
pub use caller::{Caller, CredentialId, TokenIssuer, person};
pub use decision::{Action, Denied, Subject, Visibility, allows, command_action, may_issue, visibility};
pub use error::{AuthError, IssueError};
pub use grant::Grant;
pub use handle::{Access, AccessError, NewKeyOptions, create_key, rotate_signing_key};
pub use keys::{ApiKey, KEY_PREFIX, KeyText, MadeKey};
pub use role::{NotARole, Role};
pub use scope::{Scope, ScopeError, Scopes};
pub use settings::{AccessSettings, Requirement};
pub use sign_in::{BegunSignIn, SIGN_IN, SignedIn};
pub use timing::Timing;
pub use tokens::{IssuedToken, TOKEN_DEFAULT, TOKEN_LONGEST};
pub use verify::Credential;
pub use watches::Watch;
