//! Schedules.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::catalog::PageQuery;
use super::error::ApiError;
use super::extract::{Body, Path, Query, Replacement};
use super::idempotency::{Keyed, StoredAnswer, once};
use super::session_query::{cursor, limit};
use super::state::{Api, App};
use crate::hub::HubError;
use crate::schedules::{Timetable, TimetableError};
use crate::storage::Page;
use relive_protocol::{Problem, SchedulePage};
use relive_session::{LabelFields, Schedule, ScheduleFields, Timestamp, check_json};

/// Rows on a page by default, and at most.
const LIMIT: (u32, u32) = (50, 200);
/// Seconds for which a run that was missed may still be started, at most.
const LONGEST_CATCH_UP: u32 = 604_800;

/// Checks the fields; returns when the schedule is due next.
fn check(fields: &ScheduleFields) -> Result<Option<Timestamp>, ApiError> {
    let name = LabelFields { name: fields.name.clone(), tags: None, metadata: None };
    name.check().map_err(HubError::from)?;
    if let Some(inputs) = &fields.inputs {
        check_json("inputs", inputs).map_err(HubError::from)?;
    }
    if fields.catch_up_seconds > LONGEST_CATCH_UP {
        return Err(ApiError::bad_request("catchUpSeconds may be at most 604800"));
    }
    let refuse = |error: TimetableError| ApiError::bad_request(error.to_string());
    let timetable = Timetable::new(&fields.cron, &fields.timezone).map_err(refuse)?;
    let next = timetable.next_after(Timestamp::now()).ok_or_else(|| refuse(TimetableError::Never))?;
    Ok(fields.enabled.then_some(next))
}

/// List schedules, newest first.
#[utoipa::path(get, path = "/schedules", operation_id = "list_schedules", tag = "schedules", params(PageQuery),
    responses((status = 200, description = "A page", body = SchedulePage)))]
pub async fn list(api: Api, Query(query): Query<PageQuery>) -> Result<Json<SchedulePage>, ApiError> {
    let after = cursor(query.cursor.as_deref())?;
    let Page { items, next } = api.schedules(after, limit(query.limit, LIMIT.0, LIMIT.1)?).await?;
    Ok(Json(SchedulePage { schedules: items, next_cursor: next.map(|next| next.encode()) }))
}

/// Create a schedule: a workflow that is run at times. A project may have 1,000 schedules.
///
/// The metadata of its runs have `scheduleId` and `scheduledAt`, by which lists find them. A workflow that the built-in
/// engine cannot run, because it has other node types, is created and left pending, for an engine outside.
#[utoipa::path(post, path = "/schedules", operation_id = "create_schedule", tag = "schedules",
    request_body = ScheduleFields,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses(
        (status = 201, description = "Created", body = Schedule, headers(("Location" = String, description = "Its address"))),
        (status = 404, description = "No such workflow", body = Problem),
        (status = 409, description = "The project has too many schedules", body = Problem),
        (status = 422, description = "The key was used for something else", body = Problem),
    ))]
pub async fn create(api: Api, headers: HeaderMap, Body(fields): Body<ScheduleFields>) -> Result<Response, ApiError> {
    let next = check(&fields)?;
    let keyed = Keyed::read(&headers, "schedules", &fields)?;
    once(&api, keyed, Uuid::now_v7(), async |id, again| {
        let held = if again { api.schedule(id).await? } else { None };
        let schedule = match held {
            Some(schedule) => schedule,
            None => api.create_schedule(id, &fields, next).await?,
        };
        StoredAnswer::new(format!("/api/v1/schedules/{id}"), &schedule)
    })
    .await
}

/// Read a schedule, with when it is due next and what came of the last time.
#[utoipa::path(get, path = "/schedules/{id}", operation_id = "get_schedule", tag = "schedules",
    params(("id" = Uuid, Path)), responses(
        (status = 200, description = "Found", body = Schedule),
        (status = 404, description = "Not found", body = Problem),
    ))]
pub async fn get(api: Api, Path(id): Path<Uuid>) -> Result<Json<Schedule>, ApiError> {
    api.schedule(id).await?.map(Json).ok_or_else(|| ApiError::not_found("schedule"))
}

/// Replace a schedule's fields. When it is due next is computed anew, from now on.
#[utoipa::path(put, path = "/schedules/{id}", operation_id = "replace_schedule", tag = "schedules",
    params(("id" = Uuid, Path)), request_body = ScheduleFields, responses(
        (status = 200, description = "Replaced", body = Schedule),
        (status = 404, description = "No such schedule or workflow", body = Problem),
    ))]
pub async fn replace(
    api: Api,
    Path(id): Path<Uuid>,
    Replacement(fields): Replacement<ScheduleFields>,
) -> Result<Json<Schedule>, ApiError> {
    let next = check(&fields)?;
    let updated = api.update_schedule(id, &fields, next).await?;
    updated.map(Json).ok_or_else(|| ApiError::not_found("schedule"))
}

/// Delete a schedule. Its runs stay.
#[utoipa::path(delete, path = "/schedules/{id}", operation_id = "delete_schedule", tag = "schedules",
    params(("id" = Uuid, Path)), responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "Not found", body = Problem),
    ))]
pub async fn delete(api: Api, Path(id): Path<Uuid>) -> Result<StatusCode, ApiError> {
    if api.delete_schedule(id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::not_found("schedule")) }
}

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, replace, delete))
}
