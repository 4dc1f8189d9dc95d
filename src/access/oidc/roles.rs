//! What the provider's claims mean here.

use serde_json::Value;

use relive_session::ProjectId;

use super::token::ProviderClaims;
use crate::access::{AuthError, Role};

/// From the most powerful on: of several roles the first counts.
const ROLES: [Role; 6] = [Role::Root, Role::Admin, Role::Engine, Role::Operator, Role::Reviewer, Role::Viewer];

/// The role that a claim names: by itself, or in a list beside others that mean nothing here.
pub(super) fn role(claims: &ProviderClaims, claim: &str) -> Option<Role> {
    let value = find(claims, claim)?;
    let names: Vec<&str> = match value {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    ROLES.into_iter().find(|role| names.contains(&role.as_str()))
}

/// The project that a claim names; without a claim `default`.
pub(super) fn project(claims: &ProviderClaims, claim: Option<&str>) -> Result<ProjectId, AuthError> {
    let Some(claim) = claim else { return Ok(ProjectId::default_project()) };
    let named = find(claims, claim).and_then(Value::as_str).and_then(|id| id.parse().ok());
    named.ok_or_else(|| AuthError::NoProject(claim.to_owned()))
}

/// The value of a claim, or if there is none by this name, what its parts lead to: `realm_access.roles`.
pub(super) fn find<'a>(claims: &'a ProviderClaims, claim: &str) -> Option<&'a Value> {
    claims.get(claim).or_else(|| {
        let (first, rest) = claim.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |value, part| value.get(part))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_role_is_a_name_or_in_a_list() {
        for (value, expected) in [
            (json!("operator"), Some(Role::Operator)),
            (json!(["staff", "viewer"]), Some(Role::Viewer)),
            (json!(["viewer", "admin", "reviewer"]), Some(Role::Admin)),
            (json!(["operator", "engine"]), Some(Role::Engine)),
            (json!("Operator"), None),
            (json!("operator admin"), None),
            (json!([]), None),
            (json!([["admin"]]), None),
            (json!({"admin": true}), None),
            (json!(true), None),
            (json!(null), None),
        ] {
            let claims = ProviderClaims::of(json!({ "role": value }));
            assert_eq!(role(&claims, "role"), expected, "{value}");
            let nested = ProviderClaims::of(json!({ "access": { "inner": { "role": value } } }));
            assert_eq!(role(&nested, "access.inner.role"), expected, "{value}");
            let url = ProviderClaims::of(json!({ "https://relive.example/role": value }));
            assert_eq!(role(&url, "https://relive.example/role"), expected, "{value}");
        }
        assert_eq!(role(&ProviderClaims::of(json!({})), "role"), None);
        assert_eq!(role(&ProviderClaims::of(json!({"a": "admin"})), "a.b"), None);
    }

    #[test]
    fn a_project_is_named_or_it_is_the_default_one() {
        let claims = ProviderClaims::of(json!({"team": "blue", "bad": "Blue!"}));
        assert_eq!(project(&claims, None).expect("a project"), ProjectId::default_project());
        assert_eq!(project(&claims, Some("team")).expect("a project").as_str(), "blue");
        assert!(project(&claims, Some("bad")).is_err() && project(&claims, Some("none")).is_err());
    }
}
