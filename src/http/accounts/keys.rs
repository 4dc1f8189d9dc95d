//! Keys of programs.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use uuid::Uuid;

use crate::access::{Action, ApiKey, Grant, NewKeyOptions, Role};
use crate::http::catalog::{PageQuery, check_line};
use crate::http::error::ApiError;
use crate::http::extract::{Body, Path, Query};
use crate::http::idempotency::{Keyed, StoredAnswer, credential_owner, once};
use crate::http::session_query::{cursor, limit};
use crate::http::state::Api;
use crate::storage::{Constraint, Page, StorageError};
use relive_protocol::{CreateKey, CreatedKey, ErrorCode, Key, KeyPage, Problem};
use relive_session::{ProjectId, Timestamp};

/// Keys on a page by default, and at most.
const LIMIT: (u32, u32) = (50, 200);

/// List keys, newest first, those included that were revoked or have expired.
#[utoipa::path(get, path = "/keys", operation_id = "list_keys", tag = "access", params(PageQuery),
    responses((status = 200, description = "A page", body = KeyPage)))]
pub async fn list(api: Api, Query(query): Query<PageQuery>) -> Result<Json<KeyPage>, ApiError> {
    let after = cursor(query.cursor.as_deref())?;
    let Page { items, next } =
        api.services.access.keys(api.project(), after, limit(query.limit, LIMIT.0, LIMIT.1)?).await?;
    Ok(Json(KeyPage { keys: items.into_iter().map(shown).collect(), next_cursor: next.map(|next| next.encode()) }))
}

/// Create a key. The key itself is shown this once; what is stored of it is a SHA-256.
///
/// Nobody can give a role that has more than their own, nor a key that expires later than the one it is made with.
/// The first key of a server turns access control on.
#[utoipa::path(post, path = "/keys", operation_id = "create_key", tag = "access", request_body = CreateKey,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless: its answer has the id, and not the key")),
    responses(
        (status = 201, description = "Created", body = CreatedKey, headers(("Location" = String, description = "Its address"))),
        (status = 404, description = "No such project", body = Problem),
        (status = 422, description = "The key was used for something else", body = Problem),
    ))]
pub async fn create(api: Api, headers: HeaderMap, Body(request): Body<CreateKey>) -> Result<Response, ApiError> {
    check_line(&request.name)?;
    let role: Role = request.role.parse().map_err(|error| ApiError::bad_request(format!("role: {error}")))?;
    if request.expires_at.is_some_and(|at| at <= Timestamp::now()) {
        return Err(ApiError::bad_request("expiresAt lies in the past"));
    }
    check_giver(&api, role)?;
    let project = project_of(&api, request.project.as_ref())?;
    let own = api.services.access.expiry_of_key(api.caller()).await?;
    let expires_at = own.into_iter().chain(request.expires_at).min();
    let options = NewKeyOptions { project, name: &request.name, role, expires_at };
    let keyed = Keyed::read(&headers, "keys", &(&request, credential_owner(&api)))?;
    let mut secret = None;
    let answer = once(&api, keyed, Uuid::now_v7(), async |_, _| {
        let made = api.services.access.create_key(options).await.map_err(|error| match error {
            StorageError::Constraint(Constraint::NoSuchProject) => ApiError::not_found("project"),
            error => error.into(),
        })?;
        let ApiKey { id, project, name, role, prefix, created_at, expires_at, .. } = made.key;
        let role = role.to_string();
        // What is kept for a repetition has no secret in it.
        let created = CreatedKey { id, project, name, role, prefix, key: String::new(), created_at, expires_at };
        let answer = StoredAnswer::new(format!("/api/v1/keys/{id}"), &created)?;
        secret = Some(CreatedKey { key: made.text.reveal().to_owned(), ..created });
        Ok(answer)
    })
    .await?;
    let Some(created) = secret else { return Ok(answer) };
    Ok(StoredAnswer::new(format!("/api/v1/keys/{}", created.id), &created)?.into_response())
}

fn check_giver(api: &Api, role: Role) -> Result<(), ApiError> {
    let problem = || format!("this needs the role {role}: nobody can give more than they have");
    if may_do_all_of(api, role) { Ok(()) } else { Err(ApiError::new(ErrorCode::Forbidden, problem())) }
}

fn check_revoker(api: &Api, role: Role) -> Result<(), ApiError> {
    let problem = || format!("this needs the role {role}: nobody can revoke a key that may do more than they");
    if may_do_all_of(api, role) { Ok(()) } else { Err(ApiError::new(ErrorCode::Forbidden, problem())) }
}

fn may_do_all_of(api: &Api, role: Role) -> bool {
    match &api.caller().grant {
        Grant::Anonymous => true,
        Grant::Role(own) => own.includes(role),
        Grant::Scopes(_) => false,
    }
}

/// Root may say another project.
fn project_of<'a>(api: &'a Api, named: Option<&'a ProjectId>) -> Result<&'a ProjectId, ApiError> {
    match named {
        Some(named) if named != api.project() => {
            let is_root = api.check(Action::ManageProjects).is_ok();
            if is_root { Ok(named) } else { Err(ApiError::not_found("project")) }
        }
        _ => Ok(api.project()),
    }
}

/// Revoke a key whose role has no more than one's own. Requests with it are refused at once on this server, and its
/// sockets closed; on others within five seconds. Access tokens that were given with it end too.
#[utoipa::path(delete, path = "/keys/{id}", operation_id = "revoke_key", tag = "access", params(("id" = Uuid, Path)),
    responses(
        (status = 204, description = "Revoked"),
        (status = 403, description = "It may do more than the caller", body = Problem),
        (status = 404, description = "No such key", body = Problem),
    ))]
pub async fn revoke(api: Api, Path(id): Path<Uuid>) -> Result<StatusCode, ApiError> {
    let role = api.services.access.role_of_key(api.project(), id).await?.ok_or_else(|| ApiError::not_found("key"))?;
    check_revoker(&api, role)?;
    match api.services.access.revoke_key(api.project(), id).await? {
        Some(_) => Ok(StatusCode::NO_CONTENT),
        None => Err(ApiError::not_found("key")),
    }
}

fn shown(key: ApiKey) -> Key {
    let ApiKey { id, project, name, role, prefix, created_at, expires_at, revoked_at, last_used_at } = key;
    let role = role.to_string();
    Key { id, project, name, role, prefix, created_at, expires_at, revoked_at, last_used_at }
}
