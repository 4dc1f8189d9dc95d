//! `Idempotency-Key`: a repeated request that creates something returns the first answer and creates nothing.
//!
//! The same key with another request is refused (422), as in draft-ietf-httpapi-idempotency-key-header. Unlike there
//! (409), of two at the same time the second waits for the answer of the first. Commands over WebSocket and in a
//! batch have a `commandId` instead, which the hub looks after.
//!
//! Keys are those of a project and not of a caller, since a repetition may come with another key or token: of another
//! instance of a program, or after it was rotated. So a caller's rights are checked before an answer is repeated;
//! for what belongs to a caller alone, [`credential_owner`] is part of the request.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::error::ApiError;
use super::extract::idempotency_key;
use super::responses::created;
use super::state::Api;
use crate::hub::HubError;
use crate::scoped::Refused;
use crate::storage::{KeyClaim, KeyedRequest};
use relive_protocol::ErrorCode;
use relive_session::{Revision, Session, SessionId};

/// The scope of all requests that create a session.
pub const SESSIONS: &str = "sessions";
/// How long a repetition waits for a running request. After that the request counts as dead, and the
/// repetition completes it.
const UNDER_WAY: Duration = Duration::from_secs(10);
/// How often the repetition checks.
const LOOK: Duration = Duration::from_millis(40);

/// The identity of a request: its scope, and its content.
pub struct Keyed<'a> {
    scope: &'static str,
    key: &'a str,
    digest: Vec<u8>,
}

impl<'a> Keyed<'a> {
    /// `None` without a key. `request` is the parsed content; its notation does not count.
    pub fn read(
        headers: &'a HeaderMap,
        scope: &'static str,
        request: &impl Serialize,
    ) -> Result<Option<Self>, ApiError> {
        let Some(key) = idempotency_key(headers)? else { return Ok(None) };
        let said = serde_json::to_vec(request).map_err(|_| ApiError::new(ErrorCode::Internal, "no digest"))?;
        Ok(Some(Self { scope, key, digest: Sha256::digest(said).to_vec() }))
    }

    fn request<'k>(&'k self, api: &'k Api) -> KeyedRequest<'k> {
        KeyedRequest { project: api.project(), scope: self.scope, key: self.key, request: &self.digest }
    }
}

/// Who a credential is made for: another's request is another request.
pub fn credential_owner(api: &Api) -> Option<(&'static str, &str)> {
    api.caller().actor.as_deref().map(|actor| (actor.kind.as_str(), &*actor.id))
}

/// An answer that can be repeated.
#[derive(Debug, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// The id of what was created.
    location: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
}

impl StoredAnswer {
    pub fn new(location: String, body: &impl Serialize) -> Result<Self, ApiError> {
        let body = serde_json::value::to_raw_value(body)
            .map_err(|_| ApiError::new(ErrorCode::Internal, "the answer could not be written"))?;
        Ok(Self { location, body: Some(body) })
    }

    /// What was answered.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let body = self.body.as_ref().map_or("null", |body| body.get());
        serde_json::from_str(body).map_err(|_| ApiError::new(ErrorCode::Internal, "the first answer cannot be read"))
    }
}

impl IntoResponse for StoredAnswer {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::CREATED, axum::Json(self.body)).into_response();
        if let Ok(location) = HeaderValue::from_str(&self.location) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }
}

/// The result of claiming a key.
enum Turn {
    /// Create the thing with this id; `again`: an earlier request may have created it.
    Make {
        id: Uuid,
        again: bool,
    },
    Answered(Box<RawValue>),
}

async fn take_turn(api: &Api, keyed: &Keyed<'_>, id: Uuid) -> Result<Turn, ApiError> {
    loop {
        match api.claim_key(keyed.request(api), id).await? {
            KeyClaim::Fresh => return Ok(Turn::Make { id, again: false }),
            KeyClaim::Answered { answer, .. } => return Ok(Turn::Answered(answer)),
            KeyClaim::OtherRequest => return Err(reused()),
            KeyClaim::Unanswered { made, age } if age >= UNDER_WAY => return Ok(Turn::Make { id: made, again: true }),
            KeyClaim::Unanswered { .. } => tokio::time::sleep(LOOK).await,
        }
    }
}

fn reused() -> ApiError {
    ApiError::new(ErrorCode::IdempotencyKeyReused, "this Idempotency-Key was used with another request")
}

/// Releases the key after a refusal, so that a corrected request may use it. If the outcome is unknown, the
/// key is kept.
async fn release_if_refused<T>(api: &Api, keyed: &Keyed<'_>, outcome: Result<T, ApiError>) -> Result<T, ApiError> {
    if let Err(error) = &outcome
        && error.is_refusal()
    {
        api.release_key(keyed.request(api)).await?;
    }
    outcome
}

/// Creates something that has a row of its own, once for each key. `make` is given the id to use, and
/// whether it may exist already.
pub async fn once(
    api: &Api,
    keyed: Option<Keyed<'_>>,
    id: Uuid,
    make: impl AsyncFnOnce(Uuid, bool) -> Result<StoredAnswer, ApiError>,
) -> Result<Response, ApiError> {
    Ok(once_stored(api, keyed, id, make).await?.into_response())
}

/// As [`once`], for an answer that is completed before it is sent.
pub async fn once_stored(
    api: &Api,
    keyed: Option<Keyed<'_>>,
    id: Uuid,
    make: impl AsyncFnOnce(Uuid, bool) -> Result<StoredAnswer, ApiError>,
) -> Result<StoredAnswer, ApiError> {
    let Some(keyed) = keyed else { return make(id, false).await };
    match take_turn(api, &keyed, id).await? {
        Turn::Answered(answer) => serde_json::from_str(answer.get())
            .map_err(|_| ApiError::new(ErrorCode::Internal, "the first answer cannot be read")),
        Turn::Make { id, again } => {
            let answer = release_if_refused(api, &keyed, make(id, again).await).await?;
            keep(api, &keyed, id, &answer).await;
            Ok(answer)
        }
    }
}

/// A session's state that was the answer. It is in the journal, and is not stored twice.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct StateAnswered {
    session_id: SessionId,
    revision: Revision,
}

/// As [`once`], for sessions. `make` itself finds what was created before under the same key.
pub async fn once_session(
    api: &Api,
    keyed: Option<Keyed<'_>>,
    make: impl AsyncFnOnce() -> Result<Arc<Session>, ApiError>,
) -> Result<Response, ApiError> {
    let Some(keyed) = keyed else { return Ok(created(&*make().await?)) };
    let id = Uuid::now_v7();
    match take_turn(api, &keyed, id).await? {
        Turn::Answered(answer) => {
            let StateAnswered { session_id, revision } = serde_json::from_str(answer.get())
                .map_err(|_| ApiError::new(ErrorCode::Internal, "the first answer cannot be read"))?;
            let gone = || ApiError::not_found("session: the one made under this Idempotency-Key was deleted");
            let of = match api.readable(session_id).await {
                Err(Refused::Hub(HubError::NotFound)) => return Err(gone()),
                of => of?,
            };
            let session = api.session_at(of, revision).await?;
            session.as_ref().map(created).ok_or_else(gone)
        }
        Turn::Make { .. } => {
            let session = release_if_refused(api, &keyed, make().await).await?;
            keep(api, &keyed, id, &StateAnswered { session_id: session.id, revision: session.revision }).await;
            Ok(created(&session))
        }
    }
}

/// It was created; if the answer cannot be stored, a repetition derives it again.
async fn keep(api: &Api, keyed: &Keyed<'_>, id: Uuid, answer: &impl Serialize) {
    let kept = match serde_json::value::to_raw_value(answer) {
        Ok(answer) => api.answer_key(keyed.request(api), id, &answer).await,
        Err(_) => return,
    };
    if let Err(error) = kept {
        tracing::warn!(%error, scope = keyed.scope, "an answer could not be stored for repetitions");
    }
}
