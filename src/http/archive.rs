//! Sessions as files.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use futures_util::TryStreamExt as _;
use serde::Deserialize;
use utoipa::IntoParams;

use super::archived::instead;
use super::error::ApiError;
use super::extract::{Path, Query, idempotency_key, refuse_encoded};
use super::forks::started;
use super::idempotency::{Keyed, SESSIONS, once_session};
use super::responses::NDJSON;
use super::state::Api;
use crate::access::Action;
use crate::archive::{self, ImportError, ImportFault, ReceivedFile};
use crate::storage::{Constraint, StorageError};
use relive_protocol::{ArchiveLine, ErrorCode, Problem};
use relive_session::{Implausible, Refusal, Session, SessionId, WorkflowSession};

/// Export a session: its history, messages and memories as lines of JSON (NDJSON).
///
/// The first line is a header, the last one has the counts and a checksum; a file without it is incomplete.
/// A session that is still running is exported in its current state. The export of a fork includes the
/// history that it shares with its ancestors. A slow client delays no other, and needs the memory of one
/// page of lines.
#[utoipa::path(get, path = "/sessions/{id}/export", operation_id = "export_session", tag = "sessions", params(("id" = SessionId, Path)), responses(
    (status = 200, description = "One `ArchiveLine` on each line", content_type = "application/x-ndjson", body = ArchiveLine),
    (status = 404, description = "No such session", body = Problem),
))]
pub async fn export(api: Api, Path(id): Path<SessionId>) -> Result<Response, ApiError> {
    let (storage, session) = match api.exported(id).await {
        Ok(found) => found,
        Err(refused) => return Err(instead(&api, id, refused.into()).await),
    };
    let lines = archive::export(storage, session);
    let lines = lines.inspect_err(move |error| tracing::warn!(%error, session_id = %id, "an export was interrupted"));
    let name = HeaderValue::try_from(format!("attachment; filename=\"{id}.ndjson\""));
    let mut response = ([(CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response();
    if let Ok(name) = name {
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// How to import.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct ImportQuery {
    /// Give the session and its memories new ids, even if theirs are free.
    new_id: Option<bool>,
    /// Start or resume the session at once, as its state allows.
    start: Option<bool>,
}

/// Import a session that was exported by this or another server.
///
/// The session keeps its id if that is free on this server, and gets a new one otherwise; the same holds for
/// its memories, of which all or none keep their ids; messages keep theirs. An unknown group or workflow is left out; `parentId` stays. An
/// embedding with another dimension than this server's is left out, and made again if the server can.
/// A run of the built-in engine that was under way when it was exported becomes `paused`, by one more event,
/// and its clocks (delays, time limits) stand still until it is resumed. With `start=true` it is started or
/// resumed at once.
///
/// Everything is checked before anything becomes visible: if one line is not as it was exported, nothing is
/// imported; `line` says which.
///
/// A line may have 16 MiB, a file as much as the server is set to (4 GiB). A client that sends less than 4 KiB
/// in 30 s is disconnected. Eight files are received at a time, each into a temporary file of the server;
/// nothing of the database is locked meanwhile.
#[utoipa::path(post, path = "/sessions/import", operation_id = "import_session", tag = "sessions",
    params(ImportQuery, ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    request_body(content = ArchiveLine, content_type = "application/x-ndjson", description = "The lines of an export"),
    responses(
        (status = 201, description = "The session", body = WorkflowSession, headers(
            ("Location" = String, description = "Its address"), ("ETag" = String, description = "The revision in quotes"))),
        (status = 422, description = "The key was used for something else", body = Problem),
        (status = 400, description = "The file was altered, is incomplete, or is not an export", body = Problem),
        (status = 409, description = "The session's id is free, but that of a memory is taken in the project: use `newId`", body = Problem),
        (status = 413, description = "A line or the file is too long, or the session beyond a limit", body = Problem),
        (status = 503, description = "Other files are being imported", body = Problem),
    ))]
pub async fn import(
    api: Api,
    Query(query): Query<ImportQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    refuse_encoded(&headers)?;
    api.check(Action::Import)?;
    let key = idempotency_key(&headers)?;
    let (new_id, starts) = (query.new_id == Some(true), query.start == Some(true));
    let received = api.services.imports.receive(body.into_data_stream()).await?;
    let keyed = Keyed::read(&headers, SESSIONS, &("import", new_id, starts, &received.sha256))?;
    once_session(&api, keyed, async || {
        let (owned, key) = (api.clone(), key.map(str::to_owned));
        let storing = Box::pin(async move { store(&owned, received, new_id, starts, key.as_deref()).await });
        // If the client disconnects after sending the whole file, the session is still announced.
        api.run_to_completion(storing).await
    })
    .await
}

async fn store(
    api: &Api,
    received: ReceivedFile,
    new_id: bool,
    starts: bool,
    key: Option<&str>,
) -> Result<Arc<Session>, ApiError> {
    let place = if received.is_live() { api.live_place(key).await? } else { None };
    let stored = api.services.imports.store(api.project(), received, new_id, key).await;
    drop(place);
    let session = match stored {
        Ok(session) => {
            api.appeared(&session);
            Arc::new(session)
        }
        // Stored, but not answered: the answer is the stored session.
        Err(ImportError::Storage(StorageError::Constraint(Constraint::CreationKeyUsed))) => {
            api.created_under(key.unwrap_or_default()).await?
        }
        Err(error) => return Err(error.into()),
    };
    if starts { started(api, session).await } else { Ok(session) }
}

impl From<ImportError> for ApiError {
    fn from(error: ImportError) -> Self {
        let detail = error.to_string();
        match error {
            ImportError::File { line, fault } => {
                let code = match fault {
                    ImportFault::TooLong
                    | ImportFault::Refused(Refusal::TooLarge { .. })
                    | ImportFault::Event(Implausible::Refused(Refusal::TooLarge { .. })) => ErrorCode::TooLarge,
                    ImportFault::Taken(_) => ErrorCode::Conflict,
                    _ => ErrorCode::BadRequest,
                };
                Self::new(code, detail).at_line(line)
            }
            ImportError::TooLarge(_) => Self::new(ErrorCode::TooLarge, detail),
            ImportError::Stalled | ImportError::Interrupted => Self::bad_request(detail),
            ImportError::ForeignId => Self::new(ErrorCode::Conflict, detail),
            ImportError::Gone => Self::new(ErrorCode::NotFound, detail),
            ImportError::Busy => Self::new(ErrorCode::Unavailable, detail),
            ImportError::Spool(error) => {
                tracing::error!(%error, "an imported file cannot be spooled");
                Self::new(ErrorCode::Unavailable, "the server has no room for the file".to_owned())
            }
            ImportError::Storage(error) => error.into(),
        }
    }
}
