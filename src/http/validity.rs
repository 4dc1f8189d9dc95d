//! A request whose body is arriving, or whose answer is on its way, ends with the credential it came with.
//!
//! Credentials are checked before a request is routed, and a large file takes hours. So whatever outlasts that check
//! ends when the credential expires or is revoked: within five seconds, as sockets do.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Error;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::bodies::HangUp;
use super::error::ApiError;
use super::event_streams::Streaming;
use crate::access::{Access, AuthError, Caller};

/// Carries out a request for as long as the credential of its caller is valid. While its body arrives, it is then
/// answered with 401; while its answer is sent, the connection is closed before the end of that.
pub async fn run(access: &Access, caller: &Caller, request: Request, next: Next) -> Response {
    let hang_up = request.extensions().get::<HangUp>().cloned();
    let refusal = Refusal::default();
    let request = if request.body().is_end_stream() {
        request
    } else {
        let ended = Some(Box::pin(access.ended(caller)));
        request.map(|body| Body::new(Arriving { body, ended, refusal: refusal.clone() }))
    };
    let response = next.run(request).await;
    // The handler only sees that the body was interrupted.
    if let Some(error) = refusal.0.lock().take().filter(|_| !response.status().is_success()) {
        return ApiError::from(error).into_response();
    }
    match hang_up {
        Some(hang_up) if is_long(&response) => {
            let ended = access.ended(caller);
            response.map(|body| Body::new(Sending::new(body, ended, hang_up)))
        }
        _ => response,
    }
}

/// Whether an answer is made while it is sent, and does not look after its end itself.
fn is_long(response: &Response) -> bool {
    response.body().size_hint().exact().is_none() && response.extensions().get::<Streaming>().is_none()
}

/// Why no more of a body was read.
#[derive(Clone, Default)]
struct Refusal(Arc<Mutex<Option<AuthError>>>);

/// The body of a request.
struct Arriving<F> {
    body: Body,
    /// `None` once nothing of it is read any more.
    ended: Option<Pin<Box<F>>>,
    refusal: Refusal,
}

impl<F: Future<Output = AuthError>> HttpBody for Arriving<F> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(ended) = &mut self.ended else { return Poll::Ready(None) };
        // Before the body: a client that sends all the time may not go on either.
        if let Poll::Ready(error) = ended.as_mut().poll(context) {
            *self.refusal.0.lock() = Some(error);
            self.ended = None;
            return Poll::Ready(Some(Err(Error::new(std::io::Error::from(std::io::ErrorKind::PermissionDenied)))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.ended.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer.
struct Sending {
    body: Body,
    /// Closes the connection. The body cannot: it is not asked for more while the client reads nothing.
    _closing: AbortOnDropHandle<()>,
}

impl Sending {
    fn new(body: Body, ended: impl Future<Output = AuthError> + Send + 'static, hang_up: HangUp) -> Self {
        let closing = tokio::spawn(async move {
            let error = ended.await;
            tracing::info!(%error, "an answer was interrupted, since its credential is no longer valid");
            hang_up.request();
        });
        Self { body, _closing: AbortOnDropHandle::new(closing) }
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
