//! Access tokens of browsers and guests.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use uuid::Uuid;

use crate::access::{Scopes, may_issue};
use crate::http::error::ApiError;
use crate::http::extract::{Body, Path};
use crate::http::idempotency::{Keyed, StoredAnswer, credential_owner, once_stored};
use crate::http::state::Api;
use crate::scoped::Refused;
use relive_protocol::{CreateToken, CreatedToken, Problem};

/// Seconds that a token may last.
const LONGEST: u64 = 604_800;

/// Give an access token: for a browser, or for a guest. It is a JWT, signed by this server.
///
/// Nobody can give more than they have. A token ends when its time is over, when it is revoked, and when the key
/// with which it was given is revoked. Tokens give no further ones.
#[utoipa::path(post, path = "/tokens", operation_id = "create_token", tag = "access", request_body = CreateToken,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless: its answer has the same token, with the same id and end")),
    responses(
        (status = 201, description = "Given", body = CreatedToken, headers(("Location" = String, description = "Where it can be revoked"))),
        (status = 422, description = "The key was used for something else", body = Problem),
        (status = 400, description = "A scope is not one, or they are too long for a token", body = Problem),
    ))]
pub async fn create(api: Api, headers: HeaderMap, Body(request): Body<CreateToken>) -> Result<Response, ApiError> {
    let scopes = Scopes::parse(&request.scopes).map_err(|error| ApiError::bad_request(format!("scopes: {error}")))?;
    let expires_in = match request.expires_in_seconds {
        None => None,
        Some(seconds @ 1..=LONGEST) => Some(Duration::from_secs(seconds)),
        Some(_) => return Err(ApiError::bad_request(format!("expiresInSeconds must lie between 1 and {LONGEST}"))),
    };
    // Before anything is said of an earlier request under the same Idempotency-Key.
    may_issue(&api.caller().grant, &scopes).map_err(Refused::from)?;
    let keyed = Keyed::read(&headers, "tokens", &(&request, credential_owner(&api)))?;
    let mut secret = None;
    let (caller, again) = (api.caller(), scopes.clone());
    let answer = once_stored(&api, keyed, Uuid::now_v7(), async |_, _| {
        let given = api.services.access.issue_token(caller, scopes, expires_in).await?;
        // What is kept for a repetition has no secret in it.
        let created = CreatedToken { id: given.id, token: String::new(), expires_at: given.expires_at };
        secret = Some(given.token);
        StoredAnswer::new(address(given.id), &created)
    })
    .await?;
    let created: CreatedToken = answer.read()?;
    let token = match secret {
        Some(token) => token,
        // The caller is the same, so it is given what it was given before.
        None => api.services.access.reissue_token(caller, again, created.id, created.expires_at).await?,
    };
    Ok(StoredAnswer::new(address(created.id), &CreatedToken { token, ..created })?.into_response())
}

fn address(id: Uuid) -> String {
    format!("/api/v1/tokens/{id}")
}

/// Revoke an access token by its id (`jti`), with the cookies that it was exchanged for. Requests with it are refused
/// at once on this server, and its sockets closed; on others within five seconds.
#[utoipa::path(delete, path = "/tokens/{id}", operation_id = "revoke_token", tag = "access", params(("id" = Uuid, Path)),
    responses(
        (status = 204, description = "Revoked, or it was none"),
        (status = 409, description = "100,000 tokens of the project were revoked in the last week", body = Problem),
    ))]
pub async fn revoke(api: Api, Path(id): Path<Uuid>) -> Result<StatusCode, ApiError> {
    api.services.access.revoke_token(api.project(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
