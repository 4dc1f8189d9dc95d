//! The body of an answer as it is written.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Error;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use super::connections::ConnectionSlot;

/// A body that tells when all of it has been handed over to be written. Until then its connection is not idle,
/// however long the client takes.
pub(super) struct AnswerBody {
    body: Body,
    slot: Arc<ConnectionSlot>,
}

impl AnswerBody {
    /// One whose length is known is handed over at once.
    pub fn watched(body: Body, slot: &Arc<ConnectionSlot>) -> Body {
        if body.size_hint().exact().is_some() {
            slot.end();
            return body;
        }
        Body::new(Self { body, slot: slot.clone() })
    }
}

impl HttpBody for AnswerBody {
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

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.slot.end();
    }
}
