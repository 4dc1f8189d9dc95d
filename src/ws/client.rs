//! A client, as viewers and live lists write to it: a WebSocket or an event stream.

use std::ptr;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::socket::{Offer, Socket};
use super::sse_writer::EventWriter;
use relive_session::Revision;

/// The writing half of a client. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum Client {
    Socket(Arc<Socket>),
    Events(Arc<EventWriter>),
}

impl Client {
    /// Writes a shared frame if the client can take one now. Never waits. `resume` is the revision that the client
    /// holds completely once it has read the frame; `None` if the frame changes nothing about that.
    pub fn offer(&self, frame: &Bytes, resume: Option<Revision>) -> Offer {
        match self {
            Self::Socket(socket) => socket.offer(frame),
            Self::Events(events) => events.offer(frame, resume),
        }
    }

    /// Writes or queues a frame for this client only.
    pub fn send(&self, frame: Bytes, resume: Option<Revision>) {
        match self {
            Self::Socket(socket) => socket.send(frame),
            Self::Events(events) => events.send(&frame, resume),
        }
    }

    /// The client has been offered all there is.
    pub fn caught_up(&self) {
        if let Self::Events(events) = self {
            events.caught_up();
        }
    }

    /// Wakes the task of the client's connection.
    pub fn wake(&self) {
        match self {
            Self::Socket(socket) => socket.wake.notify_one(),
            Self::Events(events) => events.wake.notify_one(),
        }
    }

    pub fn is_socket(&self, socket: &Weak<Socket>) -> bool {
        matches!(self, Self::Socket(own) if ptr::eq(Arc::as_ptr(own), socket.as_ptr()))
    }
}
