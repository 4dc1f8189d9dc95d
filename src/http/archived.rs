//! The archive: sessions that were moved from the database to files.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::TryStreamExt as _;
use tokio::time::Instant;

use super::deletion::{RuleFields, rule_of};
use super::error::ApiError;
use super::extract::{Body as JsonBody, Path};
use super::idempotency::{Keyed, SESSIONS, once_session};
use super::responses::NDJSON;
use super::session_query::{ListQuery, SessionQuery};
use super::state::Api;
use crate::access::Action;
use crate::archive::ArchiveError;
use crate::storage::{ArchivedRow, Constraint, Page, RetentionAction, SessionFilter, StorageError, StoredFile};
use relive_protocol::{
    ArchiveCounts, ArchiveLine, ArchivePage, ArchiveSessions, ArchivedFile, ArchivedSession, ArchivedSessions,
    ErrorCode, Problem,
};
use relive_session::{SessionId, Timestamp, WorkflowSession};

/// Sessions that one request counts at most.
const COUNTED: u32 = 100_000;
/// Sessions that one request archives at most, and how long it does so.
const ARCHIVED: u64 = 1_000;
const ARCHIVING: Duration = Duration::from_secs(20);
/// Sessions that are read and then archived, one by one.
const BATCH: u32 = 20;

/// List archived sessions, in the order of the list of sessions: the newest first.
///
/// The filters are those of `GET /sessions`, on the sessions as they were.
#[utoipa::path(get, path = "/archive", operation_id = "list_archive", tag = "archive", params(SessionQuery), responses(
    (status = 200, description = "A page of archived sessions", body = ArchivePage),
    (status = 400, description = "A filter is invalid", body = Problem),
))]
pub async fn list(api: Api, ListQuery(query): ListQuery) -> Result<Json<ArchivePage>, ApiError> {
    let page = api.archived_page(&query.filter(&api)?, query.cursor()?, query.limit()?).await?;
    let sessions = page.items.into_iter().map(shown).collect();
    Ok(Json(ArchivePage { sessions, next_cursor: page.next.map(|cursor| cursor.encode()) }))
}

/// Archive sessions that have ended, as a rule of retention with `action: "archive"` does; with `dryRun`, only count
/// them.
///
/// A request archives up to 1,000 sessions in up to 20 s, one after the other, and says with `hasMore` that it should
/// be sent again. Sessions that came back from the archive lately are left alone.
#[utoipa::path(post, path = "/archive", operation_id = "archive_sessions", tag = "archive",
    request_body = ArchiveSessions, responses(
        (status = 200, description = "How many were found and archived", body = ArchivedSessions),
        (status = 400, description = "A condition is invalid", body = Problem),
        (status = 503, description = "The server has no archive, or it cannot be reached", body = Problem),
    ))]
pub async fn archive(
    api: Api,
    JsonBody(request): JsonBody<ArchiveSessions>,
) -> Result<Json<ArchivedSessions>, ApiError> {
    api.check(Action::ManageRetention)?;
    let dry_run = request.dry_run.unwrap_or_default();
    let rule = rule_of(RuleFields {
        status: request.status,
        workflow_id: request.workflow_id,
        group_id: request.group_id,
        tag: request.tag,
        action: RetentionAction::Archive(request.older_than_days),
    })?;
    if !api.services.archive.is_configured() {
        return Err(ArchiveError::None.into());
    }
    let filter = rule.filter(api.project().clone(), Timestamp::now(), api.services.archive.restored());
    // Nothing is as old as that.
    let Some(filter) = filter else { return Ok(Json(none(dry_run))) };
    if dry_run {
        let counted = api.count_ended(&filter, COUNTED + 1).await?;
        let matched = counted.min(u64::from(COUNTED));
        return Ok(Json(ArchivedSessions { matched, has_more: counted > matched, ..none(true) }));
    }
    Ok(Json(archive_all(&api, Arc::new(filter)).await?))
}

fn none(dry_run: bool) -> ArchivedSessions {
    ArchivedSessions { matched: 0, archived: 0, failed: 0, dry_run, has_more: false }
}

async fn archive_all(api: &Api, filter: Arc<SessionFilter>) -> Result<ArchivedSessions, ApiError> {
    let (began, mut done, mut after) = (Instant::now(), none(false), None);
    loop {
        let Page { items, next } = api.summaries(&filter, after, BATCH).await?;
        for summary in items {
            if done.matched == ARCHIVED || began.elapsed() > ARCHIVING {
                return Ok(ArchivedSessions { has_more: true, ..done });
            }
            done.matched += 1;
            let id = summary.id;
            match api.services.archive.archive_listed(summary, Arc::clone(&filter)).await {
                Ok(is_archived) => done.archived += u64::from(is_archived),
                Err(error) if error.is_about_the_session() => {
                    tracing::warn!(%error, session_id = %id, "a session could not be archived");
                    done.failed += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        after = next;
        if after.is_none() {
            return Ok(done);
        }
    }
}

/// Read what is known of an archived session, and of its file.
#[utoipa::path(get, path = "/archive/{id}", operation_id = "get_archived", tag = "archive",
    params(("id" = SessionId, Path)), responses(
        (status = 200, description = "The session as it was, and its file", body = ArchivedSession),
        (status = 404, description = "No such session in the archive", body = Problem),
    ))]
pub async fn get(api: Api, Path(id): Path<SessionId>) -> Result<Json<ArchivedSession>, ApiError> {
    Ok(Json(shown(api.archived(id, Action::ReadSessions).await?)))
}

/// Read the file of an archived session: the lines of its export, as they were when it was archived.
///
/// If the file turns out to be damaged on the way, the last line is missing.
#[utoipa::path(get, path = "/archive/{id}/export", operation_id = "export_archived", tag = "archive",
    params(("id" = SessionId, Path)), responses(
        (status = 200, description = "One `ArchiveLine` on each line", content_type = "application/x-ndjson", body = ArchiveLine),
        (status = 404, description = "No such session in the archive", body = Problem),
        (status = 500, description = "The file is missing or damaged", body = Problem),
        (status = 503, description = "The archive cannot be reached", body = Problem),
    ))]
pub async fn export(api: Api, Path(id): Path<SessionId>) -> Result<Response, ApiError> {
    let row = api.archived(id, Action::Export).await?;
    let lines = api.services.archive.export(&row).await?;
    let lines = lines.inspect_err(move |error| tracing::warn!(%error, session_id = %id, "an export was interrupted"));
    let mut response = ([(CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response();
    if let Ok(name) = HeaderValue::try_from(format!("attachment; filename=\"{id}.ndjson\"")) {
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// Bring an archived session back, under its own id; its file is removed then.
///
/// The file is checked as an imported one is, before anything becomes visible. The session is then as any other; rules
/// of retention leave it alone for some days. A group or a workflow that was deleted meanwhile is left out.
#[utoipa::path(post, path = "/archive/{id}/restore", operation_id = "restore_archived", tag = "archive",
    params(("id" = SessionId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses(
        (status = 201, description = "The session", body = WorkflowSession, headers(
            ("Location" = String, description = "Its address"), ("ETag" = String, description = "The revision in quotes"))),
        (status = 404, description = "No such session in the archive", body = Problem),
        (status = 409, description = "The id of one of its memories is taken", body = Problem),
        (status = 422, description = "The key was used for something else", body = Problem),
        (status = 500, description = "The file is missing or damaged", body = Problem),
        (status = 503, description = "The archive cannot be reached, or other files are being imported", body = Problem),
    ))]
pub async fn restore(api: Api, Path(id): Path<SessionId>, headers: HeaderMap) -> Result<Response, ApiError> {
    api.check(Action::Import)?;
    let keyed = Keyed::read(&headers, SESSIONS, &("restore", id))?;
    once_session(&api, keyed, async || {
        let row = api.archived(id, Action::Import).await?;
        let archive = api.services.archive.clone();
        // A client that goes away leaves nothing half done.
        let restoring = async move { Ok::<_, ApiError>(Box::pin(archive.restore(row)).await?) };
        Ok(Arc::new(api.run_to_completion(restoring).await?))
    })
    .await
}

/// Delete an archived session for good, with its file.
#[utoipa::path(delete, path = "/archive/{id}", operation_id = "delete_archived", tag = "archive",
    params(("id" = SessionId, Path)), responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "No such session in the archive", body = Problem),
    ))]
pub async fn delete(api: Api, Path(id): Path<SessionId>) -> Result<StatusCode, ApiError> {
    let row = api.archived(id, Action::DeleteSession).await?;
    if api.services.archive.delete(&row).await? { Ok(StatusCode::NO_CONTENT) } else { Err(gone()) }
}

/// What is said of a session that is not in the database: where it is, if it is in the archive and the caller may know.
pub async fn instead(api: &Api, id: SessionId, error: ApiError) -> ApiError {
    // Those who have scopes are told that a session is not theirs to read, whether it exists or not.
    if !matches!(error.code(), ErrorCode::NotFound | ErrorCode::Forbidden) {
        return error;
    }
    match api.archived(id, Action::ReadSessions).await {
        Ok(row) => {
            let detail = format!("this session is in the archive since {}; it can be restored", row.archived_at);
            ApiError::new(ErrorCode::NotFound, detail).in_archive(format!("/api/v1/archive/{id}"))
        }
        Err(_) => error,
    }
}

fn shown(row: ArchivedRow) -> ArchivedSession {
    let ArchivedRow { summary, archived_at, file } = row;
    let StoredFile { name, bytes, sha256, events, messages, logs, memories } = file;
    ArchivedSession {
        session: summary,
        archived_at,
        file: ArchivedFile { name, bytes, sha256 },
        counts: ArchiveCounts { events, messages, logs, memories },
    }
}

fn gone() -> ApiError {
    ApiError::not_found("session in the archive")
}

impl From<ArchiveError> for ApiError {
    fn from(error: ArchiveError) -> Self {
        let detail = error.to_string();
        match error {
            ArchiveError::None | ArchiveError::ClaimLost => Self::new(ErrorCode::Unavailable, detail),
            ArchiveError::Away(source) => {
                tracing::error!(error = %source, "the archive cannot be reached");
                Self::new(ErrorCode::Unavailable, detail)
            }
            ArchiveError::Write(source) => {
                tracing::error!(error = %source, "the archive cannot be written to");
                Self::new(ErrorCode::Unavailable, detail)
            }
            ArchiveError::Missing | ArchiveError::Damaged => Self::new(ErrorCode::Internal, detail),
            ArchiveError::Gone => gone(),
            ArchiveError::Import(crate::archive::ImportError::Storage(StorageError::Constraint(
                Constraint::TextExists,
            ))) => Self::new(ErrorCode::Conflict, detail),
            ArchiveError::Import(error) => error.into(),
            ArchiveError::Storage(error) => error.into(),
            ArchiveError::Hub(error) => error.into(),
        }
    }
}
