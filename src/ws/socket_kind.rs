//! What a socket is for: many sessions, one session, a replay, or a live list.

use super::replay::ReplayRequest;
use crate::storage::SessionFilter;
use relive_protocol::{CloseCode, Subscribe};

/// The kind of a socket; it decides what happens before its first frame.
#[derive(Clone, Debug)]
pub enum SocketKind {
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
