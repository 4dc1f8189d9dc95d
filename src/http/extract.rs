//! Extractors for requests, with the protocol's errors.

use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Request};
use axum::http::header::CONTENT_ENCODING;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::parameters::UnknownParameter;
use relive_protocol::{ErrorCode, FromClient, ReadError};
use relive_session::ProjectId;

/// A JSON body. The content type is ignored: it is often forgotten with curl, and forms of other sites are
/// refused by their origin.
pub struct Body<T>(pub T);

/// Bytes of a request body at most.
pub const BODY_BYTES: usize = 1024 * 1024;
/// Bytes of a body with texts of messages or memories in it. One of these may have 1 MiB by itself, and
/// up to three times as much if every letter beyond ASCII is written as `\u` and four digits.
pub const TEXT_BODY_BYTES: usize = 4 * 1024 * 1024;

impl<T: FromClient, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Ok(Self(read(request, state, T::read).await?.0))
    }
}

/// A JSON body that replaces an entity. Read-only members are ignored, so that an entity can be read, changed
/// and written back.
pub struct Replacement<T>(pub T);

impl<T: FromClient, S: Send + Sync> FromRequest<S> for Replacement<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Ok(Self(read(request, state, T::read_replacement).await?.0))
    }
}

/// A JSON body of up to [`TEXT_BODY_BYTES`], for routes that allow it, and whether it is larger than other
/// bodies may be: then only texts may make it large.
pub struct TextBody<T> {
    pub value: T,
    pub is_large: bool,
}

impl<T: FromClient, S: Send + Sync> FromRequest<S> for TextBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (value, bytes) = read(request, state, T::read).await?;
        Ok(Self { value, is_large: bytes > BODY_BYTES })
    }
}

pub(super) async fn read<T, S: Send + Sync>(
    request: Request,
    state: &S,
    parse: impl FnOnce(&str) -> Result<T, ReadError>,
) -> Result<(T, usize), ApiError> {
    refuse_encoded(request.headers())?;
    let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => body_too_large(),
        _ => ApiError::bad_request("the body could not be read"),
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| ApiError::bad_request("the body is not UTF-8"))?;
    let value = parse(text).map_err(|error| ApiError::bad_request(plain(&error.to_string())))?;
    Ok((value, bytes.len()))
}

/// Refuses bodies with a content encoding, which would otherwise be reported as invalid UTF-8.
pub fn refuse_encoded(headers: &HeaderMap) -> Result<(), ApiError> {
    let encodings = headers.get_all(CONTENT_ENCODING).iter();
    if encodings.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).all(is_plain) {
        return Ok(());
    }
    let problem = "a body cannot be encoded (Content-Encoding); send it as it is";
    Err(ApiError::bad_request(problem).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

fn is_plain(encoding: &[u8]) -> bool {
    let encoding = encoding.trim_ascii();
    encoding.is_empty() || encoding.eq_ignore_ascii_case(b"identity")
}

pub fn body_too_large() -> ApiError {
    ApiError::new(
        ErrorCode::TooLarge,
        "a body may have at most 1 MiB, or 4 MiB with the texts of messages and memories",
    )
}

/// Path parameters.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => {
                let problem = wrong_id(parts, state).await;
                Err(ApiError::bad_request(problem.unwrap_or_else(|| rejection.body_text())))
            }
        }
    }
}

/// The error for an invalid id in the path: `/groups/x` has no group id.
async fn wrong_id<S: Send + Sync>(parts: &mut Parts, state: &S) -> Option<String> {
    let parameters = axum::extract::RawPathParams::from_request_parts(parts, state).await.ok()?;
    let (name, id) = parameters.iter().find(|(name, _)| ["id", "workflowId"].contains(name))?;
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let kind = route.split(&format!("/{{{name}}}")).next()?.rsplit('/').next()?;
    if kind == "projects" {
        return id.parse::<ProjectId>().err().map(|error| error.to_string());
    }
    if id.parse::<uuid::Uuid>().is_ok() {
        return None;
    }
    let kind = match kind {
        "sessions" | "archive" => "a session id",
        "groups" => "a group id",
        "agents" => "an agent id",
        "workflows" | "ag-ui" => "a workflow id",
        "memories" => "a memory id",
        "keys" => "the id of a key",
        "tokens" => "the id of a token",
        "webhooks" => "a webhook id",
        "schedules" => "a schedule id",
        "alerts" => "an alert id",
        _ => "an id",
    };
    let repeated: String = id.chars().take(64).collect();
    Some(format!("`{}` is not {kind} (a UUID)", repeated.escape_debug()))
}

/// The query string.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        if let Some(UnknownParameter(problem)) = parts.extensions.get() {
            return Err(ApiError::bad_request(problem.clone()));
        }
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiError::bad_request(plain(&rejection.body_text()))),
        }
    }
}

/// An error about an id; the library's texts count the characters of a UUID.
fn plain(problem: &str) -> String {
    let Some((before, detail)) = problem.split_once("UUID parsing failed") else { return problem.to_owned() };
    let place = detail.rfind(" at line ").map_or("", |at| &detail[at..]);
    format!("{before}expected an id (a UUID){place}")
}

/// The value of a header that may occur only once: of two, a proxy in between may have read the other.
///
/// # Errors
///
/// What is wrong, for people.
pub fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a HeaderValue>, String> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(format!("the request has two {name} headers")) } else { Ok(first) }
}

/// `Idempotency-Key`, if there is one.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = single(headers, "Idempotency-Key").map_err(ApiError::bad_request)? else { return Ok(None) };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= relive_session::limits::COMMAND_ID_BYTES => Ok(Some(key)),
        _ => Err(ApiError::bad_request("Idempotency-Key must have 1 to 256 ASCII characters")),
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn errors_about_ids_do_not_count_characters() {
        for (problem, words) in [
            ("groupId: UUID parsing failed: invalid character: found `x` at 0", "groupId: expected an id (a UUID)"),
            ("UUID parsing failed: invalid length at line 1 column 9", "expected an id (a UUID) at line 1 column 9"),
            ("missing field `name`", "missing field `name`"),
        ] {
            assert_eq!(plain(problem), words);
        }
    }
}
