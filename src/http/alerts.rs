//! Alerts, and when they were raised and resolved.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::catalog::PageQuery;
use super::error::ApiError;
use super::extract::{Body, Path, Query};
use super::idempotency::{Keyed, StoredAnswer, once};
use super::session_query::{cursor, limit};
use super::state::{Api, App};
use crate::storage::Page;
use relive_protocol::{AlertEventPage, AlertPage, ErrorCode, Problem};
use relive_session::{Alert, AlertFields, ChangeAlert};

/// Rows on a page by default, and at most.
const LIMIT: (u32, u32) = (50, 200);
/// How often a change is tried again that another one came before.
const TRIES: usize = 5;

fn check(api: &Api, fields: &mut AlertFields) -> Result<(), ApiError> {
    api.services.alerts.check(fields).map_err(|error| ApiError::bad_request(error.to_string()))
}

/// List alerts, newest first.
#[utoipa::path(get, path = "/alerts", operation_id = "list_alerts", tag = "alerts", params(PageQuery),
    responses((status = 200, description = "A page", body = AlertPage)))]
pub async fn list(api: Api, Query(query): Query<PageQuery>) -> Result<Json<AlertPage>, ApiError> {
    let after = cursor(query.cursor.as_deref())?;
    let Page { items, next } = api.alerts(after, limit(query.limit, LIMIT.0, LIMIT.1)?).await?;
    let alerts = items.into_iter().map(|stored| stored.alert).collect();
    Ok(Json(AlertPage { alerts, next_cursor: next.map(|next| next.encode()) }))
}

/// Create an alert: a condition on runs. Webhooks and addresses are told once when it begins to hold (`raised`), and once
/// when it no longer does (`resolved`). A project may have 100 alerts.
///
/// Webhooks are told by deliveries of the types `alert.raised` and `alert.resolved`.
#[utoipa::path(post, path = "/alerts", operation_id = "create_alert", tag = "alerts", request_body = AlertFields,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses(
        (status = 201, description = "Created", body = Alert, headers(("Location" = String, description = "Its address"))),
        (status = 404, description = "No such webhook", body = Problem),
        (status = 409, description = "The project has too many alerts", body = Problem),
        (status = 422, description = "The key was used for something else", body = Problem),
    ))]
pub async fn create(api: Api, headers: HeaderMap, Body(mut fields): Body<AlertFields>) -> Result<Response, ApiError> {
    check(&api, &mut fields)?;
    let keyed = Keyed::read(&headers, "alerts", &fields)?;
    once(&api, keyed, Uuid::now_v7(), async |id, again| {
        let held = if again { api.alert(id).await? } else { None };
        let alert = match held {
            Some(stored) => stored.alert,
            None => api.create_alert(id, &fields).await?,
        };
        StoredAnswer::new(format!("/api/v1/alerts/{id}"), &alert)
    })
    .await
}

/// Read an alert, with whether it is raised.
#[utoipa::path(get, path = "/alerts/{id}", operation_id = "get_alert", tag = "alerts", params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "Found", body = Alert),
        (status = 404, description = "Not found", body = Problem),
    ))]
pub async fn get(api: Api, Path(id): Path<Uuid>) -> Result<Json<Alert>, ApiError> {
    let stored = api.alert(id).await?.ok_or_else(not_found)?;
    Ok(Json(stored.alert))
}

/// Change an alert: fields that are not given stay as they are, and one that is given is replaced as a whole. It is
/// looked at at once.
#[utoipa::path(patch, path = "/alerts/{id}", operation_id = "change_alert", tag = "alerts",
    params(("id" = Uuid, Path)), request_body = ChangeAlert, responses(
        (status = 200, description = "Changed", body = Alert),
        (status = 404, description = "No such alert or webhook", body = Problem),
    ))]
pub async fn change(api: Api, Path(id): Path<Uuid>, Body(change): Body<ChangeAlert>) -> Result<Json<Alert>, ApiError> {
    for _ in 0..TRIES {
        let stored = api.alert(id).await?.ok_or_else(not_found)?;
        let mut fields = change.clone().apply(stored.alert.fields);
        check(&api, &mut fields)?;
        // Another change may have come in between.
        if let Some(changed) = api.update_alert(id, stored.version, &fields).await? {
            return Ok(Json(changed));
        }
    }
    Err(ApiError::new(ErrorCode::Unavailable, "the alert is being changed by others all the time"))
}

/// Delete an alert with its events, and with e-mails that are still to be sent. Nobody is told.
#[utoipa::path(delete, path = "/alerts/{id}", operation_id = "delete_alert", tag = "alerts",
    params(("id" = Uuid, Path)), responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "Not found", body = Problem),
    ))]
pub async fn delete(api: Api, Path(id): Path<Uuid>) -> Result<StatusCode, ApiError> {
    if api.delete_alert(id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(not_found()) }
}

/// List when an alert was raised and resolved, newest first. The last 1,000 times are kept.
#[utoipa::path(get, path = "/alerts/{id}/events", operation_id = "list_alert_events", tag = "alerts",
    params(("id" = Uuid, Path), PageQuery), responses(
        (status = 200, description = "A page", body = AlertEventPage),
        (status = 404, description = "No such alert", body = Problem),
    ))]
pub async fn events(
    api: Api,
    Path(id): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> Result<Json<AlertEventPage>, ApiError> {
    let after = cursor(query.cursor.as_deref())?;
    let page = api.alert_events(id, after, limit(query.limit, LIMIT.0, LIMIT.1)?).await?;
    let Page { items, next } = page.ok_or_else(not_found)?;
    Ok(Json(AlertEventPage { events: items, next_cursor: next.map(|next| next.encode()) }))
}

fn not_found() -> ApiError {
    ApiError::not_found("alert")
}

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, change, delete)).routes(routes!(events))
}
