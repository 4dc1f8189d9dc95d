//! Projects.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::access::Action;
use crate::http::catalog::{PageQuery, check_line};
use crate::http::error::ApiError;
use crate::http::extract::{Body, Path, Query, Replacement};
use crate::http::idempotency::{Keyed, StoredAnswer, once};
use crate::http::session_query::limit;
use crate::http::state::Api;
use relive_protocol::{CreateProject, Problem, ProjectPage, ReplaceProject};
use relive_session::{Project, ProjectId};

/// Projects on a page by default, and at most.
const LIMIT: (u32, u32) = (50, 200);

/// List projects, by id. For root.
#[utoipa::path(get, path = "/projects", operation_id = "list_projects", tag = "access", params(PageQuery),
    responses((status = 200, description = "A page", body = ProjectPage)))]
pub async fn list(api: Api, Query(query): Query<PageQuery>) -> Result<Json<ProjectPage>, ApiError> {
    let limit = limit(query.limit, LIMIT.0, LIMIT.1)?;
    let after = query.cursor.map(|cursor| cursor.parse::<ProjectId>()).transpose();
    let after = after.map_err(|_| ApiError::bad_request("cursor is not one from this server"))?;
    let mut projects = api.projects(after.as_ref(), limit + 1).await?;
    let has_more = projects.len() > limit as usize;
    projects.truncate(limit as usize);
    let next_cursor = projects.last().filter(|_| has_more).map(|last| last.id.to_string());
    Ok(Json(ProjectPage { projects, next_cursor }))
}

/// Create a project. For root.
#[utoipa::path(post, path = "/projects", operation_id = "create_project", tag = "access", request_body = CreateProject,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses(
        (status = 201, description = "Created", body = Project, headers(("Location" = String, description = "Its address"))),
        (status = 409, description = "The id is taken, or was that of a deleted project", body = Problem),
        (status = 422, description = "The key was used for something else", body = Problem),
    ))]
pub async fn create(api: Api, headers: HeaderMap, Body(request): Body<CreateProject>) -> Result<Response, ApiError> {
    check_line(&request.name)?;
    let id = request.id.clone().or_else(|| ProjectId::from_name(&request.name));
    let id = id.ok_or_else(|| ApiError::bad_request("the name has no letter or digit to make an id of; give an id"))?;
    let keyed = Keyed::read(&headers, "projects", &request)?;
    once(&api, keyed, uuid::Uuid::now_v7(), async |_, again| {
        let held = if again { api.project_named(&id).await? } else { None };
        let project = match held {
            Some(project) => project,
            None => api.create_project(&id, &request.name).await?,
        };
        StoredAnswer::new(format!("/api/v1/projects/{id}"), &project)
    })
    .await
}

/// Read a project: the own one, or any for root.
#[utoipa::path(get, path = "/projects/{id}", operation_id = "get_project", tag = "access",
    params(("id" = ProjectId, Path)), responses(
        (status = 200, description = "Found", body = Project),
        (status = 404, description = "Not found", body = Problem),
    ))]
pub async fn get(api: Api, Path(id): Path<ProjectId>) -> Result<Json<Project>, ApiError> {
    let project = api.project_named(&id).await?;
    project.map(Json).ok_or_else(|| ApiError::not_found("project"))
}

/// Rename a project; its id stays. For root.
#[utoipa::path(put, path = "/projects/{id}", operation_id = "replace_project", tag = "access",
    params(("id" = ProjectId, Path)), request_body = ReplaceProject, responses(
        (status = 200, description = "Renamed", body = Project),
        (status = 404, description = "Not found", body = Problem),
    ))]
pub async fn replace(
    api: Api,
    Path(id): Path<ProjectId>,
    Replacement(request): Replacement<ReplaceProject>,
) -> Result<Json<Project>, ApiError> {
    check_line(&request.name)?;
    let project = api.rename_project(&id, &request.name).await?;
    project.map(Json).ok_or_else(|| ApiError::not_found("project"))
}

/// Delete a project. It must have no sessions, memories and catalog any more, and not be `default`. Its keys, tokens
/// and sign-ins end, and its sockets are closed: here at once, on other servers within five seconds. Its id is not
/// used again. For root.
#[utoipa::path(delete, path = "/projects/{id}", operation_id = "delete_project", tag = "access",
    params(("id" = ProjectId, Path)), responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "Not found", body = Problem),
        (status = 409, description = "There is still something in it or being written, or it is `default`", body = Problem),
    ))]
pub async fn delete(api: Api, Path(id): Path<ProjectId>) -> Result<StatusCode, ApiError> {
    api.check(Action::ManageProjects)?;
    if api.services.access.delete_project(&id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found("project"))
    }
}
