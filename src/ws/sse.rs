//! Server-sent events (SSE, `text/event-stream`): what a socket for one session or for a live list shows, as the body
//! of an answer over HTTP. A stream counts as a socket.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::client::Client;
use super::connection::{Expiring, Identity, refresh};
use super::gateway::Gateway;
use super::rooms::Membership;
use super::sse_writer::{EventWriter, Translate};
use super::viewer::{Viewer, ViewerStep};
use super::{backfill, frames, list, refusals};
use crate::access::limits::{Limited, SocketPermit};
use crate::hub::HubError;
use crate::scoped::{Refused, Scoped};
use crate::storage::SessionFilter;
use relive_protocol::{ErrorCode, Subscribe};
use relive_session::SessionId;

/// Time between two comments, which keep the connection open where nothing else is sent.
const COMMENT: Duration = Duration::from_secs(15);
/// When clients connect again after the server was stopped, up to as much later: not all at the same time.
const RETRY: Duration = Duration::from_secs(1);

/// What a stream shows.
#[derive(Debug)]
pub enum Streamed {
    Session(Subscribe),
    /// A session, as events of another protocol. The mode must be `events`.
    Translated(Subscribe, Box<dyn Translate>),
    List(Box<SessionFilter>, u32),
}

/// Why a stream is not opened.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("this server has too many sockets")]
    Full,
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl From<HubError> for StreamError {
    fn from(error: HubError) -> Self {
        Self::Refused(error.into())
    }
}

/// The body of an event stream.
#[derive(Debug)]
pub struct EventStream {
    writer: Arc<EventWriter>,
    _place: OwnedSemaphorePermit,
    _permit: SocketPermit,
}

impl EventStream {
    /// Opens a stream for a caller at an address.
    ///
    /// # Errors
    ///
    /// If there are too many sockets, or the caller may not read the session.
    pub async fn open(
        gateway: &Gateway,
        scoped: &Scoped,
        ip: Option<IpAddr>,
        streamed: Streamed,
    ) -> Result<Self, StreamError> {
        let place = gateway.place().ok_or(StreamError::Full)?;
        let permit = gateway.access.limits().socket(scoped.caller(), ip)?;
        let watch = gateway.access.watch(scoped.caller());
        let identity = Identity::new(Arc::new(scoped.clone()), watch, ip);
        let (writer, shown) = match streamed {
            Streamed::Session(subscribe) => Shown::session(gateway, &identity, &subscribe, None).await?,
            Streamed::Translated(subscribe, translation) => {
                Shown::session(gateway, &identity, &subscribe, Some(translation)).await?
            }
            Streamed::List(filter, limit) => Shown::list(gateway, *filter, limit),
        };
        let task = Stream { gateway: gateway.clone(), identity, writer: Arc::clone(&writer), shown };
        gateway.connections.spawn(task.run());
        metrics::gauge!("relive_sockets").increment(1);
        Ok(Self { writer, _place: place, _permit: permit })
    }

    /// The body of the answer.
    pub fn into_body(self) -> Body {
        Body::new(self)
    }
}

impl HttpBody for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.writer.poll_next(context).map(|bytes| Some(Ok(Frame::data(bytes?))))
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        metrics::gauge!("relive_sockets").decrement(1);
        self.writer.leave();
    }
}

/// What a stream's task keeps up to date.
enum Shown {
    Session {
        viewer: Arc<Viewer>,
        /// When to advance the viewer without a wake-up.
        due: Option<Instant>,
        _membership: Membership,
    },
    List {
        _task: AbortOnDropHandle<()>,
    },
}

impl Shown {
    async fn session(
        gateway: &Gateway,
        identity: &Identity,
        subscribe: &Subscribe,
        translation: Option<Box<dyn Translate>>,
    ) -> Result<(Arc<EventWriter>, Self), StreamError> {
        let id = subscribe.session_id;
        identity.scoped.session(id).await?;
        if let Some(after) = subscribe.after {
            refresh(gateway.hub.clone(), id, after).await?;
        }
        let writer = Arc::new(EventWriter::new(translation));
        let (client, may_read) = (Client::Events(Arc::clone(&writer)), identity.may_read());
        let joining = gateway.rooms.join(id, |live, streams| {
            let viewer = Viewer::new(client, live, streams, subscribe);
            viewer.restrict(may_read);
            viewer
        });
        let (viewer, membership) = joining.await?;
        // Due at once: the first state.
        Ok((writer, Self::Session { viewer, due: Some(Instant::now()), _membership: membership }))
    }

    fn list(gateway: &Gateway, filter: SessionFilter, limit: u32) -> (Arc<EventWriter>, Self) {
        let writer = Arc::new(EventWriter::new(None));
        let follow = list::follow(gateway.clone(), Client::Events(Arc::clone(&writer)), filter, limit);
        (writer, Self::List { _task: AbortOnDropHandle::new(tokio::spawn(follow)) })
    }

    fn due(&self) -> Option<Instant> {
        match self {
            Self::Session { due, .. } => *due,
            Self::List { .. } => None,
        }
    }

    fn session_id(&self) -> Option<SessionId> {
        match self {
            Self::Session { viewer, .. } => Some(viewer.session_id()),
            Self::List { .. } => None,
        }
    }
}

/// A stream, owned by its task.
struct Stream {
    gateway: Gateway,
    identity: Identity,
    writer: Arc<EventWriter>,
    shown: Shown,
}

/// Why a stream ends before the session does.
struct End {
    code: ErrorCode,
    message: String,
    retry: Option<Duration>,
}

impl End {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry: None }
    }

    fn refused(refused: &Refused) -> Self {
        Self::new(refusals::refused_code(refused), refused.to_string())
    }

    fn stopped() -> Self {
        let retry = Some(RETRY + RETRY.mul_f64(rand::random_range(0.0..1.0)));
        Self { retry, ..Self::new(ErrorCode::Unavailable, "the server is restarting") }
    }
}

impl Stream {
    async fn run(mut self) {
        let mut comment = Instant::now() + COMMENT;
        let end = loop {
            if let Some(end) = self.advance().await {
                break end;
            }
            if self.writer.is_over() {
                return;
            }
            let dues = [self.shown.due(), self.identity.due()].into_iter().flatten();
            let deadline = dues.fold(comment, Instant::min);
            tokio::select! {
                biased;
                () = self.gateway.stop.cancelled() => break End::stopped(),
                () = self.identity.revoked() => {
                    break End::new(ErrorCode::Unauthorized, "the credential was revoked");
                }
                () = self.writer.wake.notified() => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
            let now = Instant::now();
            match self.identity.check_expiry(now) {
                Expiring::Expired => break End::new(ErrorCode::Unauthorized, "the token has expired"),
                Expiring::Soon(notice) => self.writer.send(&notice, None),
                Expiring::NotYet => {}
            }
            if comment <= now {
                self.writer.keep_alive();
                comment = now + COMMENT;
            }
        };
        let error = frames::error_frame(None, self.shown.session_id().map(Into::into), end.code, &end.message);
        self.writer.finish(&error, end.retry);
    }

    /// Advances the viewer if it is due, or its room could not.
    async fn advance(&mut self) -> Option<End> {
        let Shown::Session { viewer, due, .. } = &mut self.shown else { return None };
        let is_due = due.is_some_and(|due| due <= Instant::now());
        if !(viewer.take_mark() || is_due) {
            return None;
        }
        *due = None;
        match backfill::advance(&self.gateway.hub, viewer).await {
            ViewerStep::UpToDate => None,
            ViewerStep::Blocked | ViewerStep::NeedsJournal(_) => {
                viewer.mark_again();
                None
            }
            ViewerStep::NotBefore(time) => {
                *due = Some(time);
                None
            }
            ViewerStep::Deleted => Some(End::refused(&HubError::NotFound.into())),
            ViewerStep::Forbidden => Some(End::refused(&self.identity.scoped.denied(viewer.session_id()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt as _;
    use relive_protocol::ServerFrame;

    use super::super::socket::Offer;
    use super::*;

    async fn next(writer: &EventWriter) -> Option<String> {
        let bytes = poll_fn(|context| writer.poll_next(context)).await?;
        Some(String::from_utf8(bytes.to_vec()).expect("a text"))
    }

    fn large() -> Bytes {
        frames::text(&serde_json::json!({"type": "x", "text": "x".repeat(5_000)}))
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_busy_until_it_has_read_all() {
        let writer = EventWriter::new(None);
        let mut taken = 0;
        while writer.offer(&large(), Some(taken)) == Offer::Taken {
            taken += 1;
        }
        assert!((2..6).contains(&taken), "{taken} were taken");
        let wakes = |writer: &EventWriter| writer.wake.notified().now_or_never().is_some();
        for _ in 1..taken {
            // A large frame is three pieces: its head, itself, and an empty line.
            for _ in 0..3 {
                next(&writer).await.expect("more");
                assert!(!wakes(&writer), "something waits yet");
            }
        }
        for _ in 0..3 {
            next(&writer).await.expect("more");
        }
        assert!(wakes(&writer), "who offers more");
        assert_eq!(writer.offer(&large(), None), Offer::Taken);
        assert!(writer.room().now_or_never().is_none(), "there is no room");
        writer.leave();
        writer.room().now_or_never().expect("whoever waits for room is not kept waiting by a client that has left");
        assert_eq!((writer.offer(&large(), None), writer.is_over()), (Offer::Gone, true));
    }

    #[tokio::test]
    async fn an_end_is_the_last() {
        let writer = EventWriter::new(None);
        writer.finish(&frames::text(&ServerFrame::Pong), Some(RETRY));
        writer.keep_alive();
        writer.send(&large(), None);
        assert_eq!(next(&writer).await.as_deref(), Some("retry: 1000\n\n"));
        assert_eq!(next(&writer).await.as_deref(), Some("event: pong\ndata: {\"type\":\"pong\"}\n\n"));
        assert_eq!(next(&writer).await, None);
    }
}
