//! Who may do what: projects, roles and scopes.
//!
//! A request becomes a [`Caller`] once, at the transport. Everything it asks for is decided by [`allows`], a
//! pure function of what the caller was granted, the [`Action`], and the session it concerns. What belongs to
//! another project is not decided here: it is not found.

mod caller;
mod decision;
mod role;
mod scope;

pub use caller::{Caller, CredentialId, Giver, Grant};
pub use decision::{Action, Denied, Subject, Visibility, allows, command_action, may_give, visibility};
pub use role::{NotARole, Role};
pub use scope::{Scope, ScopeError, Scopes};
