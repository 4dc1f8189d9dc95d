//! The kinds of sockets.

use super::replay::ReplayRequest;
use crate::storage::SessionFilter;
use relive_protocol::{CloseCode, Subscribe};

/// The kind of a socket; it decides what happens before its first frame.
#[derive(Clone, Debug)]
pub enum Opening {
    /// `/ws`: subscriptions to many sessions.
    Many,
    /// `/ws/sessions/{id}`: one session, subscribed at once.
    One(Subscribe),
    /// `/ws/sessions`: a live list.
    List(Box<SessionFilter>, u32),
    /// `/ws/sessions/{id}/replay`: a replay of a stored session.
    Replay(ReplayRequest),
    /// The request is invalid; a browser only learns the reason over the socket.
    Refused(CloseCode, String),
}
