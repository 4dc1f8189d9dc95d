//! Traces of OpenTelemetry (OTLP/HTTP).

use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::ApiError;
use super::state::Api;
use crate::otlp::{DecodeError, Encoding, LIMIT};
use relive_protocol::{ErrorCode, Problem};

/// Exports decoded at once. Each may take tens of megabytes while it is.
const DECODED: usize = 4;
static DECODING: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(DECODED));

/// Bytes of bodies in memory at once. While there are more, exports are answered with `unavailable`.
const HELD: usize = 128 * 1024 * 1024;
/// Bytes that one permit stands for.
const UNIT: usize = 16 * 1024;
static ROOM: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(HELD / UNIT));

/// Take spans of traces. Each trace becomes a session, each span a node.
///
/// The body is an `ExportTraceServiceRequest` of OTLP, as protobuf or JSON, at most 16 MiB, optionally compressed by
/// gzip. Parts of a trace may come in any order, more than once, and to several servers. Spans that cannot be
/// stored are counted in `partialSuccess`. What was answered with 400 or 413 must not be sent again.
#[utoipa::path(post, path = "/v1/traces", operation_id = "export_traces", tag = "traces",
    request_body(content = Object, content_type = "application/json",
        description = "An `ExportTraceServiceRequest`; or the same as protobuf, with `application/x-protobuf`"),
    params(("Content-Encoding" = Option<String>, Header, description = "`gzip`, or none")),
    responses(
        (status = 200, description = "An `ExportTraceServiceResponse`, encoded as the request", body = Object),
        (status = 400, description = "The body is not an export of traces", body = Problem),
        (status = 413, description = "The body is too large", body = Problem),
        (status = 415, description = "The content type or encoding is not one of OTLP", body = Problem),
        (status = 429, description = "Too many requests", body = Problem),
        (status = 503, description = "The database is away, or too many exports come at once", body = Problem),
    ))]
pub async fn export(api: Api, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let encoding = headers.get(CONTENT_TYPE).and_then(|value| Encoding::of(value.to_str().ok()?));
    let encoding = encoding.ok_or_else(|| {
        ApiError::bad_request("the content type must be application/x-protobuf or application/json")
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    })?;
    let is_gzip = is_gzip(&headers)?;
    let (body, room) = read(body).await?;
    let permit = DECODING.acquire().await.map_err(|_| busy())?;
    let decoded = tokio::task::spawn_blocking(move || encoding.decode(&body, is_gzip)).await;
    drop(room);
    let export = decoded.map_err(|_| ApiError::new(ErrorCode::Internal, "the server failed; its log says why"))??;
    drop(permit);
    let rejected = api.services.traces.store(api.scoped(), export).await?;
    Ok((StatusCode::OK, [(CONTENT_TYPE, encoding.content_type())], encoding.answer(rejected)).into_response())
}

/// A whole body, and the room that it takes.
async fn read(body: Body) -> Result<(Bytes, Option<SemaphorePermit<'static>>), ApiError> {
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut room) = (BytesMut::new(), None::<SemaphorePermit<'static>>);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| ApiError::bad_request(format!("the body cannot be read: {error}")))?;
        if bytes.len() + chunk.len() > LIMIT {
            return Err(DecodeError::TooLarge.into());
        }
        bytes.extend_from_slice(&chunk);
        let held = room.as_ref().map_or(0, SemaphorePermit::num_permits);
        let needed = bytes.len().div_ceil(UNIT).saturating_sub(held);
        let more = ROOM.try_acquire_many(u32::try_from(needed).unwrap_or(u32::MAX)).map_err(|_| busy())?;
        match &mut room {
            Some(room) => room.merge(more),
            None => room = Some(more),
        }
    }
    Ok((bytes.freeze(), room))
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, ApiError> {
    let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok(false) };
    match value.to_str().map(|value| value.trim().to_ascii_lowercase()).as_deref() {
        Ok("gzip" | "x-gzip") => Ok(true),
        Ok("" | "identity") => Ok(false),
        _ => Err(ApiError::bad_request("the content encoding must be gzip, or none")
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
    }
}

fn busy() -> ApiError {
    ApiError::new(ErrorCode::Unavailable, "too many exports come at once; try again")
}

impl From<DecodeError> for ApiError {
    fn from(error: DecodeError) -> Self {
        let code = match error {
            DecodeError::TooLarge => ErrorCode::TooLarge,
            DecodeError::Gzip(_) | DecodeError::Body(_) => ErrorCode::BadRequest,
        };
        Self::new(code, error.to_string())
    }
}
