//! What a caller was granted.

use super::{Role, Scopes};

/// What a caller may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Everything, for access control is off.
    Anonymous,
    Role(Role),
    /// What a token says, and nothing else.
    Scopes(Scopes),
}
