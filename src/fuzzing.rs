//! Access to private parsers, for the fuzz targets in `tests/fuzz` only. Not part of the interface.

use axum::extract::Query;
use axum::http::{HeaderMap, HeaderName, Uri};
use bytes::Bytes;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::archive::{ImportError, ImportLimits, RunningChecksum};
use crate::endpoint::Secrets;
use crate::http::conditions::{self, Expected};
use crate::http::origin::{Authority, WebOrigin};
use crate::http::session_query::SessionQuery;
use crate::models::{BodyEnd, ChatError, ChatStream, ModelReply, Piece};
use crate::storage::{PageCursor, SessionFilter};
use crate::ws::{FrameIds, MESSAGE_BYTES, error_about, reader_config};
use relive_protocol::ErrorCode;
use relive_session::{Revision, Session};

pub use crate::engine::templates::{References, TemplateBudget, check, fill, with_stack};

/// The frame, with its WebSocket header, that answers an invalid frame of a client.
#[must_use]
pub fn complaint(frame: &str, problem: &str) -> Bytes {
    error_about(&FrameIds::read(frame), ErrorCode::BadRequest, problem)
}

/// How clients' frames are read.
#[must_use]
pub fn reader() -> WebSocketConfig {
    reader_config(MESSAGE_BYTES)
}

/// The parsed answer of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    pub text: String,
    pub thinking: String,
}

/// A model's answer in these pieces, up to where its reader would stop.
pub fn answer<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    secrets: &Secrets,
) -> (Heard, Result<ModelReply, ChatError>) {
    let mut heard = Heard::default();
    let mut sink = |piece: Piece<'_>| match piece {
        Piece::Text(more) => heard.text.push_str(more),
        Piece::Thinking(more) => heard.thinking.push_str(more),
        Piece::Again { .. } => {}
    };
    let mut stream = ChatStream::new(secrets);
    let mut taken = Ok(());
    for piece in pieces {
        if taken.is_ok() && !stream.is_done() {
            taken = stream.push(piece, &mut sink);
        }
    }
    let reply = taken.and_then(|()| stream.finish(BodyEnd::Closed, &mut sink));
    (heard, reply)
}

/// Writes JSON objects as the lines of an exported session, each with its check.
#[must_use]
pub fn signed<'a>(objects: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let (mut checksum, mut file) = (RunningChecksum::default(), Vec::new());
    for object in objects {
        checksum.write(object, &mut file);
    }
    file
}

/// Receives and checks an exported session in these pieces; returns its checksum and its state.
///
/// # Errors
///
/// As [`Imports::receive`](crate::archive::Imports::receive).
pub async fn import(pieces: Vec<Bytes>, limits: ImportLimits) -> Result<(String, Session), ImportError> {
    crate::archive::receive_only(pieces, limits).await
}

/// The revisions that `If-Match` allows: `None` for any.
///
/// # Errors
///
/// If it is malformed.
pub fn if_match(headers: &HeaderMap) -> Result<Option<Vec<Revision>>, String> {
    match conditions::if_match(headers) {
        Ok(Expected::Any) => Ok(None),
        Ok(Expected::OneOf(revisions)) => Ok(Some(revisions)),
        Err(error) => Err(format!("{error:?}")),
    }
}

/// Whether `If-None-Match` names this representation.
#[must_use]
pub fn is_held(headers: &HeaderMap, etag: &str) -> bool {
    conditions::is_held(headers, etag)
}

/// The name of a header with conditions.
pub const IF_MATCH: HeaderName = axum::http::header::IF_MATCH;
pub const IF_NONE_MATCH: HeaderName = axum::http::header::IF_NONE_MATCH;

/// An `Origin` header in its normal form, and whether it matches a host of this name.
#[must_use]
pub fn origin(header: &str, host: &str) -> Option<(String, bool)> {
    let origin = WebOrigin::of_header(header)?;
    let is_at = Authority::parse(host).is_ok_and(|authority| origin.is_at(None, &authority));
    Some((origin.to_string(), is_at))
}

/// A configured origin.
///
/// # Errors
///
/// Why it is invalid.
pub fn allowed_origin(text: &str) -> Result<String, String> {
    WebOrigin::of_setting("--allow-origin", text).map(|origin| origin.to_string()).map_err(|error| error.to_string())
}

/// The filters, the size and the cursor of a page of sessions, from an address.
///
/// # Errors
///
/// Why it is invalid.
pub fn session_query(uri: &Uri) -> Result<(SessionFilter, u32, Option<PageCursor>), String> {
    let Query(query) = Query::<SessionQuery>::try_from_uri(uri).map_err(|rejection| rejection.body_text())?;
    let shown = |error| format!("{error:?}");
    Ok((
        query.within(SessionFilter::default()).map_err(shown)?,
        query.limit().map_err(shown)?,
        query.cursor().map_err(shown)?,
    ))
}
