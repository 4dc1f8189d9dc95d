//! Groups, agents and workflows.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::error::ApiError;
use super::extract::{Body, Path, Query, Replacement};
use super::idempotency::{Keyed, StoredAnswer, once};
use super::session_query::{cursor, limit};
use super::state::{Api, App};
use crate::hub::HubError;
use crate::storage::{CatalogEntity, Page};
use relive_protocol::{AgentPage, GroupPage, Problem, WorkflowPage};
use relive_session::{
    Agent, AgentFields, Driver, Group, GroupFields, Refusal, Workflow, WorkflowFields, check_json, limits,
};

/// Rows on a page by default, and at most.
const LIMIT: (u32, u32) = (50, 200);

/// The page of a list.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Rows at most: 1 to 200, by default 50.
    pub limit: Option<u32>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
}

/// Checks of fields beyond their types.
trait Checked {
    fn check(&self, api: &Api) -> impl Future<Output = Result<(), ApiError>> + Send;
}

async fn create_one<E: CatalogEntity + Serialize>(
    api: &Api,
    path: &'static str,
    fields: &E::Fields,
    headers: &HeaderMap,
) -> Result<Response, ApiError>
where
    E::Fields: Checked + Serialize,
{
    let keyed = Keyed::read(headers, path, fields)?;
    once(api, keyed, Uuid::now_v7(), async |id, again| {
        fields.check(api).await?;
        let held: Option<E> = if again { api.entity(id).await? } else { None };
        let entity = match held {
            Some(entity) => entity,
            None => api.create_entity(id, fields).await?,
        };
        StoredAnswer::new(format!("/api/v1/{path}/{id}"), &entity)
    })
    .await
}

async fn replace_one<E: CatalogEntity>(api: &Api, id: Uuid, fields: &E::Fields, what: &str) -> Result<Json<E>, ApiError>
where
    E::Fields: Checked,
{
    fields.check(api).await?;
    let updated = api.update_entity(id, fields).await?;
    updated.map(Json).ok_or_else(|| ApiError::not_found(what))
}

async fn get_one<E: CatalogEntity>(api: &Api, id: Uuid, what: &str) -> Result<Json<E>, ApiError> {
    api.entity(id).await?.map(Json).ok_or_else(|| ApiError::not_found(what))
}

async fn page<E: CatalogEntity>(api: &Api, query: &PageQuery) -> Result<(Vec<E>, Option<String>), ApiError> {
    let after = cursor(query.cursor.as_deref())?;
    let Page { items, next } = api.entities(after, limit(query.limit, LIMIT.0, LIMIT.1)?).await?;
    Ok((items, next.map(|cursor| cursor.encode())))
}

fn deleted(deleted: bool, what: &str) -> Result<StatusCode, ApiError> {
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::not_found(what)) }
}

pub(super) fn check_name(name: &str) -> Result<(), ApiError> {
    if name.trim().is_empty() {
        return Err(ApiError::bad_request("name must not be empty"));
    }
    if name.len() > limits::NAME_BYTES {
        return Err(HubError::from(Refusal::TooLarge { what: "name", limit: limits::NAME_BYTES }).into());
    }
    check_text("name", name)
}

/// As [`check_name`], for a name that stands in logs, in the audit log and in terminals.
pub(super) fn check_line(name: &str) -> Result<(), ApiError> {
    check_name(name)?;
    if name.chars().any(char::is_control) {
        return Err(ApiError::bad_request("name must not contain control characters"));
    }
    Ok(())
}

fn check_text(field: &'static str, text: &str) -> Result<(), ApiError> {
    if text.contains('\0') {
        return Err(ApiError::bad_request(format!("{field} must not contain the character NUL")));
    }
    Ok(())
}

impl Checked for GroupFields {
    async fn check(&self, _: &Api) -> Result<(), ApiError> {
        check_name(&self.name)?;
        check_text("icon", self.icon.as_deref().unwrap_or_default())?;
        check_text("systemPrompt", self.system_prompt.as_deref().unwrap_or_default())
    }
}

impl Checked for AgentFields {
    async fn check(&self, _: &Api) -> Result<(), ApiError> {
        check_name(&self.name)?;
        check_text("avatar", self.avatar.as_deref().unwrap_or_default())?;
        check_text("description", self.description.as_deref().unwrap_or_default())?;
        check_text("personaPrompt", &self.persona_prompt)?;
        let config = self.model_config.clone().map(serde_json::Value::Object);
        for (field, value) in [("modelConfig", &config), ("capabilities", &self.capabilities)] {
            if let Some(value) = value {
                check_json(field, value).map_err(HubError::from)?;
            }
        }
        Ok(())
    }
}

impl Checked for WorkflowFields {
    async fn check(&self, api: &Api) -> Result<(), ApiError> {
        check_name(&self.name)?;
        self.graph.validate()?;
        // External engines have node types of their own; a workflow can say that it is for the built-in engine.
        if self.graph.properties.get("driver").and_then(serde_json::Value::as_str) == Some(Driver::Builtin.as_str()) {
            api.services.engine.check(&self.graph).await?;
        }
        Ok(())
    }
}

/// The five operations of one table; the paths and bodies differ.
macro_rules! catalog_routes {
    ($module:ident, $path:literal, $what:literal, $one:literal, $entity:ident, $fields:ident, $page:ident, $list:ident, $delete:expr) => {
        mod $module {
            use super::*;

            #[utoipa::path(get, summary = concat!("List ", stringify!($list), ", newest first."),
                                path = concat!("/", $path), operation_id = concat!("list_", $path), tag = "catalog",
                                params(PageQuery), responses((status = 200, description = "A page", body = $page)))]
            pub async fn list(api: Api, Query(query): Query<PageQuery>) -> Result<Json<$page>, ApiError> {
                let ($list, next_cursor) = page::<$entity>(&api, &query).await?;
                Ok(Json($page { $list, next_cursor }))
            }

            #[utoipa::path(post, summary = concat!("Create ", $one, "."),
                                path = concat!("/", $path), operation_id = concat!("create_", $what), tag = "catalog",
                                params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
                                request_body = $fields, responses(
                                    (status = 201, description = "Created", body = $entity,
                                        headers(("Location" = String, description = "Its address"))),
                                    (status = 422, description = "A graph that cannot be run, or the key was used for something else", body = Problem),
                                ))]
            pub async fn create(
                api: Api,
                headers: HeaderMap,
                Body(fields): Body<$fields>,
            ) -> Result<Response, ApiError> {
                create_one::<$entity>(&api, $path, &fields, &headers).await
            }

            #[utoipa::path(get, summary = concat!("Read ", $one, "."),
                                path = concat!("/", $path, "/{id}"), operation_id = concat!("get_", $what),
                                tag = "catalog", params(("id" = Uuid, Path)), responses(
                                    (status = 200, description = "Found", body = $entity),
                                    (status = 404, description = "Not found", body = Problem),
                                ))]
            pub async fn get(api: Api, Path(id): Path<Uuid>) -> Result<Json<$entity>, ApiError> {
                get_one::<$entity>(&api, id, $what).await
            }

            #[utoipa::path(put, summary = concat!("Replace ", $one, "'s fields."),
                                path = concat!("/", $path, "/{id}"), operation_id = concat!("replace_", $what),
                                tag = "catalog", params(("id" = Uuid, Path)), request_body = $fields, responses(
                                    (status = 200, description = "Replaced", body = $entity),
                                    (status = 404, description = "Not found", body = Problem),
                                ))]
            pub async fn replace(
                api: Api,
                Path(id): Path<Uuid>,
                Replacement(fields): Replacement<$fields>,
            ) -> Result<Json<$entity>, ApiError> {
                replace_one::<$entity>(&api, id, &fields, $what).await
            }

            #[utoipa::path(delete, summary = concat!("Delete ", $one, "."),
                                path = concat!("/", $path, "/{id}"), operation_id = concat!("delete_", $what),
                                tag = "catalog", params(("id" = Uuid, Path)), responses(
                                    (status = 204, description = "Deleted, with everything below it"),
                                    (status = 404, description = "Not found", body = Problem),
                                    (status = 409, description = "Still in use", body = Problem),
                                ))]
            pub async fn delete(api: Api, Path(id): Path<Uuid>) -> Result<StatusCode, ApiError> {
                let delete = $delete;
                deleted(delete(api, id).await?, $what)
            }
        }
    };
}

catalog_routes!(groups, "groups", "group", "a group", Group, GroupFields, GroupPage, groups, async |api: Api, id| {
    api.delete_group(id).await.map_err(ApiError::from)
});
catalog_routes!(agents, "agents", "agent", "an agent", Agent, AgentFields, AgentPage, agents, async |api: Api, id| {
    api.delete_entity::<Agent>(id).await.map_err(ApiError::from)
});
catalog_routes!(
    workflows,
    "workflows",
    "workflow",
    "a workflow",
    Workflow,
    WorkflowFields,
    WorkflowPage,
    workflows,
    async |api: Api, id| { api.delete_entity::<Workflow>(id).await.map_err(ApiError::from) }
);

/// For editors, which ask while a graph is written: an answer stores nothing, and a refusal is that of `POST /workflows`.
#[utoipa::path(post, summary = "Check a workflow without storing it.",
    path = "/workflows/validate", operation_id = "validate_workflow", tag = "catalog",
    request_body = WorkflowFields, responses(
        (status = 204, description = "It can be stored, and be run if it is for the built-in engine"),
        (status = 422, description = "A graph that cannot be run", body = Problem),
    ))]
async fn validate_workflow(api: Api, Body(fields): Body<WorkflowFields>) -> Result<StatusCode, ApiError> {
    fields.check(&api).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(groups::list, groups::create))
        .routes(routes!(groups::get, groups::replace, groups::delete))
        .routes(routes!(agents::list, agents::create))
        .routes(routes!(agents::get, agents::replace, agents::delete))
        .routes(routes!(workflows::list, workflows::create))
        .routes(routes!(validate_workflow))
        .routes(routes!(workflows::get, workflows::replace, workflows::delete))
}
