//! Time limits on request bodies: a body that never ends would occupy a connection and memory.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Error;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::error::ApiError;

/// Time limits of request bodies, each with its default.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Without a single byte (30 s).
    pub silence: Duration,
    /// In all (60 s). Imported files have a limit of their own.
    pub whole: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { silence: Duration::from_secs(30), whole: Duration::from_mins(1) }
    }
}

/// Routes that limit their bodies themselves.
const OWN_LIMITS: [&str; 1] = ["/api/v1/sessions/import"];

/// Closes the connection of a request. If that is not possible, the request is answered.
#[derive(Clone, Debug, Default)]
pub struct HangUp(CancellationToken);

impl HangUp {
    /// Has the connection closed at once, whatever is under way on it.
    pub(super) fn request(&self) {
        self.0.cancel();
    }

    /// Completes when the connection has to be closed at once.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }
}

/// Closes the connection of a request whose body takes too long. A client that does not send is not waiting
/// for an answer.
pub async fn limit(State(limits): State<BodyLimits>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    if request.body().is_end_stream() || route.is_some_and(|route| OWN_LIMITS.contains(&route)) {
        return next.run(request).await;
    }
    let hang_up = request.extensions().get::<HangUp>().cloned();
    let late = Arc::new(AtomicBool::new(false));
    let timed = late.clone();
    let request = request.map(|body| Body::new(TimedBody::new(body, limits, timed)));
    let response = next.run(request).await;
    // The handler only sees that the body was interrupted.
    if !late.load(Ordering::Relaxed) {
        return response;
    }
    if let Some(hang_up) = hang_up {
        hang_up.request();
        // Dropped with the connection.
        std::future::pending::<()>().await;
    }
    let mut response = ApiError::bad_request("the body did not arrive in time")
        .with_status(StatusCode::REQUEST_TIMEOUT)
        .into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

struct TimedBody {
    body: Body,
    silence: Duration,
    /// The deadline of the whole body.
    end: Instant,
    alarm: Pin<Box<Sleep>>,
    late: Arc<AtomicBool>,
}

impl TimedBody {
    fn new(body: Body, limits: BodyLimits, late: Arc<AtomicBool>) -> Self {
        let now = Instant::now();
        let end = now + limits.whole;
        let alarm = Box::pin(sleep_until(end.min(now + limits.silence)));
        Self { body, silence: limits.silence, end, alarm, late }
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.late.load(Ordering::Relaxed) {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            let next = self.end.min(Instant::now() + self.silence);
            self.alarm.as_mut().reset(next);
            return Poll::Ready(frame);
        }
        if self.alarm.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.late.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err(Error::new(std::io::Error::from(std::io::ErrorKind::TimedOut)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};

    use super::*;

    /// A body of single bytes with these pauses before them, in seconds; and its result.
    async fn read(pauses: &'static [u64]) -> (usize, bool) {
        let bytes = stream::iter(pauses).then(|pause| async move {
            tokio::time::sleep(Duration::from_secs(*pause)).await;
            Ok::<_, Error>(Bytes::from_static(b"x"))
        });
        let late = Arc::new(AtomicBool::new(false));
        let timed = TimedBody::new(Body::from_stream(bytes), BodyLimits::default(), late.clone());
        let read = Body::new(timed).into_data_stream().filter(|chunk| std::future::ready(chunk.is_ok())).count().await;
        (read, late.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_pause_but_not_for_long_nor_for_ever() {
        assert_eq!(read(&[0, 29, 29]).await, (3, false));
        assert_eq!(read(&[29, 31]).await, (1, true), "silent for too long");
        assert_eq!(read(&[31]).await, (0, true), "silent from the beginning");
        assert_eq!(read(&[20, 20, 19, 20]).await, (3, true), "too long in all");
    }
}
