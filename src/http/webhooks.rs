//! Webhooks and their deliveries.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::catalog::PageQuery;
use super::error::ApiError;
use super::extract::{Body, Path, Query, Replacement};
use super::idempotency::{Keyed, StoredAnswer, once, once_stored};
use super::session_query::{cursor, limit};
use super::state::{Api, App};
use crate::storage::{Page, WebhookChange};
use crate::webhooks::WebhookSecret;
use relive_protocol::{DeliveryPage, Problem, WebhookPage};
use relive_session::{
    CreatedWebhook, Delivery, DeliveryStatus, RotateWebhookSecret, Webhook, WebhookFields, WriteWebhook, limits,
};

/// Rows on a page by default, and at most.
const LIMIT: (u32, u32) = (50, 200);
/// Seconds for which the secret from before signs too, by default and at most.
const OVERLAP: u32 = 86_400;
const LONGEST_OVERLAP: u32 = 604_800;

/// Which deliveries to list.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeliveryQuery {
    /// Only those of this status.
    #[param(inline)]
    status: Option<DeliveryStatus>,
    /// Rows at most: 1 to 200, by default 50.
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

fn check(api: &Api, fields: &WebhookFields) -> Result<(), ApiError> {
    api.services.webhooks.check(&fields.url).map_err(|error| ApiError::bad_request(error.to_string()))?;
    if fields.types.is_empty() {
        return Err(ApiError::bad_request("types must name at least one type"));
    }
    match &fields.filter.tag {
        Some(tag) if tag.is_empty() || tag.chars().count() > limits::TAG_CHARACTERS || tag.contains('\0') => {
            Err(ApiError::bad_request("filter.tag must be a tag, of 1 to 64 characters"))
        }
        _ => Ok(()),
    }
}

fn secret_of(given: Option<&str>) -> Result<Option<WebhookSecret>, ApiError> {
    let read = given.map(WebhookSecret::parse).transpose();
    read.map_err(|error| ApiError::bad_request(format!("secret: {error}")))
}

/// List webhooks, newest first.
#[utoipa::path(get, path = "/webhooks", operation_id = "list_webhooks", tag = "webhooks", params(PageQuery),
    responses((status = 200, description = "A page", body = WebhookPage)))]
pub async fn list(api: Api, Query(query): Query<PageQuery>) -> Result<Json<WebhookPage>, ApiError> {
    let after = cursor(query.cursor.as_deref())?;
    let Page { items, next } = api.webhooks(after, limit(query.limit, LIMIT.0, LIMIT.1)?).await?;
    Ok(Json(WebhookPage { webhooks: items, next_cursor: next.map(|next| next.encode()) }))
}

/// Create a webhook. Its secret is shown this once.
///
/// It is told of the events of the project that are committed from then on. A project may have 100 webhooks.
#[utoipa::path(post, path = "/webhooks", operation_id = "create_webhook", tag = "webhooks", request_body = WriteWebhook,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless: its answer has the id, and not the secret")),
    responses(
        (status = 201, description = "Created", body = CreatedWebhook, headers(("Location" = String, description = "Its address"))),
        (status = 409, description = "The project has too many webhooks", body = Problem),
        (status = 422, description = "The key was used for something else", body = Problem),
    ))]
pub async fn create(api: Api, headers: HeaderMap, Body(request): Body<WriteWebhook>) -> Result<Response, ApiError> {
    let fields = request.fields();
    check(&api, &fields)?;
    let given = secret_of(request.secret.as_deref())?;
    let keyed = Keyed::read(&headers, "webhooks", &request)?;
    let mut shown = None;
    let answer = once(&api, keyed, Uuid::now_v7(), async |id, again| {
        let secret = given.unwrap_or_else(WebhookSecret::generate);
        let held = if again { api.webhook(id).await? } else { None };
        let webhook = if let Some(webhook) = held {
            webhook
        } else {
            let change = WebhookChange { fields: &fields, secret: Some(secret.key()) };
            let webhook = api.create_webhook(id, change).await?;
            shown = Some(CreatedWebhook { webhook: webhook.clone(), secret: secret.reveal() });
            webhook
        };
        // What is kept for a repetition has no secret in it.
        StoredAnswer::new(address(id), &CreatedWebhook { webhook, secret: String::new() })
    })
    .await?;
    let Some(created) = shown else { return Ok(answer) };
    Ok(StoredAnswer::new(address(created.webhook.id), &created)?.into_response())
}

fn address(id: Uuid) -> String {
    format!("/api/v1/webhooks/{id}")
}

/// Read a webhook.
#[utoipa::path(get, path = "/webhooks/{id}", operation_id = "get_webhook", tag = "webhooks", params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "Found", body = Webhook),
        (status = 404, description = "Not found", body = Problem),
    ))]
pub async fn get(api: Api, Path(id): Path<Uuid>) -> Result<Json<Webhook>, ApiError> {
    api.webhook(id).await?.map(Json).ok_or_else(not_found)
}

/// Replace a webhook's fields. Without a secret, those there are stay. With one, it is the only one that signs from then
/// on: to keep the one before for a while, rotate it.
#[utoipa::path(put, path = "/webhooks/{id}", operation_id = "replace_webhook", tag = "webhooks",
    params(("id" = Uuid, Path)), request_body = WriteWebhook, responses(
        (status = 200, description = "Replaced", body = Webhook),
        (status = 404, description = "Not found", body = Problem),
    ))]
pub async fn replace(
    api: Api,
    Path(id): Path<Uuid>,
    Replacement(request): Replacement<WriteWebhook>,
) -> Result<Json<Webhook>, ApiError> {
    let fields = request.fields();
    check(&api, &fields)?;
    let secret = secret_of(request.secret.as_deref())?;
    let change = WebhookChange { fields: &fields, secret: secret.as_ref().map(WebhookSecret::key) };
    api.update_webhook(id, change).await?.map(Json).ok_or_else(not_found)
}

/// Rotate a webhook's secret. The new one is shown this once.
///
/// For `overlapSeconds`, deliveries are signed with the secrets before it too, so that the receiver can be given the new
/// one meanwhile. `webhook-signature` has several signatures then, separated by spaces. With 0, only the new secret signs
/// from then on. If the answer is lost, rotate again.
#[utoipa::path(post, path = "/webhooks/{id}/secret/rotate", operation_id = "rotate_webhook_secret", tag = "webhooks",
    params(("id" = Uuid, Path)), request_body = RotateWebhookSecret, responses(
        (status = 200, description = "Rotated", body = CreatedWebhook),
        (status = 404, description = "Not found", body = Problem),
        (status = 409, description = "Too many secrets from before sign already", body = Problem),
    ))]
pub async fn rotate(
    api: Api,
    Path(id): Path<Uuid>,
    Body(request): Body<RotateWebhookSecret>,
) -> Result<Json<CreatedWebhook>, ApiError> {
    let overlap = request.overlap_seconds.unwrap_or(OVERLAP);
    if overlap > LONGEST_OVERLAP {
        return Err(ApiError::bad_request(format!("overlapSeconds may be {LONGEST_OVERLAP} at most, which is a week")));
    }
    let secret = secret_of(request.secret.as_deref())?.unwrap_or_else(WebhookSecret::generate);
    let rotated = api.rotate_webhook_secret(id, secret.key(), Duration::from_secs(overlap.into())).await?;
    let webhook = rotated.ok_or_else(not_found)?;
    Ok(Json(CreatedWebhook { webhook, secret: secret.reveal() }))
}

/// Delete a webhook with its deliveries. What is in flight may still arrive.
#[utoipa::path(delete, path = "/webhooks/{id}", operation_id = "delete_webhook", tag = "webhooks",
    params(("id" = Uuid, Path)), responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "Not found", body = Problem),
    ))]
pub async fn delete(api: Api, Path(id): Path<Uuid>) -> Result<StatusCode, ApiError> {
    if api.delete_webhook(id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(not_found()) }
}

/// List a webhook's deliveries, newest first. They are kept for 14 days.
#[utoipa::path(get, path = "/webhooks/{id}/deliveries", operation_id = "list_deliveries", tag = "webhooks",
    params(("id" = Uuid, Path), DeliveryQuery), responses(
        (status = 200, description = "A page", body = DeliveryPage),
        (status = 404, description = "No such webhook", body = Problem),
    ))]
pub async fn deliveries(
    api: Api,
    Path(id): Path<Uuid>,
    Query(query): Query<DeliveryQuery>,
) -> Result<Json<DeliveryPage>, ApiError> {
    let after = cursor(query.cursor.as_deref())?;
    let page = api.deliveries(id, query.status, after, limit(query.limit, LIMIT.0, LIMIT.1)?).await?;
    let Page { items, next } = page.ok_or_else(not_found)?;
    Ok(Json(DeliveryPage { deliveries: items, next_cursor: next.map(|next| next.encode()) }))
}

/// Send a delivery again, whatever became of it, with the same `webhook-id`: at once, and then as if it were new.
///
/// It is sent when the webhook is enabled.
#[utoipa::path(post, path = "/webhooks/{id}/deliveries/{deliveryId}/retry", operation_id = "retry_delivery",
    tag = "webhooks", params(("id" = Uuid, Path), ("deliveryId" = Uuid, Path)), responses(
        (status = 202, description = "It is pending", body = Delivery),
        (status = 404, description = "No such webhook or delivery", body = Problem),
    ))]
pub async fn retry(
    api: Api,
    Path((id, delivery)): Path<(Uuid, Uuid)>,
) -> Result<(StatusCode, Json<Delivery>), ApiError> {
    let retried = api.retry_delivery(id, delivery).await?;
    let delivery = retried.ok_or_else(|| ApiError::not_found("delivery"))?;
    Ok((StatusCode::ACCEPTED, Json(delivery)))
}

/// Send a test, of the type `webhook.test`, and wait for the answer: at most 20 seconds. It is sent once, also to a
/// webhook that is not enabled.
#[utoipa::path(post, path = "/webhooks/{id}/test", operation_id = "test_webhook", tag = "webhooks",
    params(
        ("id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless: it answers as the first time"),
    ), responses(
        (status = 200, description = "It was sent: `delivered`, or `failed` with the reason", body = Delivery),
        (status = 404, description = "No such webhook", body = Problem),
        (status = 422, description = "The key was used for something else", body = Problem),
    ))]
pub async fn test(api: Api, Path(id): Path<Uuid>, headers: HeaderMap) -> Result<Json<Delivery>, ApiError> {
    let target = api.webhook_target(id).await?.ok_or_else(not_found)?;
    let keyed = Keyed::read(&headers, "webhook_tests", &id)?;
    let answer = once_stored(&api, keyed, Uuid::now_v7(), async |delivery, _| {
        let delivery = api.services.webhooks.test(api.project(), id, &target, delivery).await?.ok_or_else(not_found)?;
        StoredAnswer::new(address(id), &delivery)
    })
    .await?;
    Ok(Json(answer.read()?))
}

fn not_found() -> ApiError {
    ApiError::not_found("webhook")
}

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, replace, delete))
        .routes(routes!(rotate))
        .routes(routes!(deliveries))
        .routes(routes!(retry))
        .routes(routes!(test))
}
