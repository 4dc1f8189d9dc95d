//! The body of a request as it arrives.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use futures_util::StreamExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::runtime::Handle;

use super::connections::ConnectionSlot;

/// How long the rest of a body is read after its request has been answered.
const LINGER: Duration = Duration::from_secs(10);

/// A body that tells when all of it has arrived. What its handler leaves unread is read and discarded for a
/// moment: closing with unread input would reset the connection, and a client that is still sending would not see
/// the answer.
pub(super) struct RequestBody {
    /// `None` once the rest is discarded.
    incoming: Option<Incoming>,
    slot: Arc<ConnectionSlot>,
    /// Whether the client sends without waiting for `100 Continue`.
    is_sent: bool,
}

impl RequestBody {
    pub fn new(incoming: Incoming, slot: Arc<ConnectionSlot>, is_sent: bool) -> Self {
        Self { incoming: Some(incoming), slot, is_sent }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let frame = Pin::new(&mut *incoming).poll_frame(context);
        if frame.is_ready() && incoming.is_end_stream() {
            self.slot.received();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.slot.received();
        let rest = self.incoming.take().filter(|incoming| self.is_sent && !incoming.is_end_stream());
        let (Some(rest), Ok(runtime)) = (rest, Handle::try_current()) else { return };
        runtime.spawn(discard(rest));
    }
}

async fn discard(rest: Incoming) {
    let mut rest = Body::new(rest).into_data_stream();
    let reading = async { while let Some(Ok(_)) = rest.next().await {} };
    let _ = tokio::time::timeout(LINGER, reading).await;
}
