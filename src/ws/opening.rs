//! What a socket is for.

use super::replay::ReplayRequest;
use crate::storage::SessionFilter;
use relive_protocol::{CloseCode, Subscribe};

/// What a socket is for; decides what happens before its first frame.
#[derive(Clone, Debug)]
pub enum Opening {
    /// `/ws`: many sessions, as the client asks.
    Many,
    /// `/ws/sessions/{id}`: subscribed already.
    One(Subscribe),
    /// `/ws/sessions`: a live list.
    List(SessionFilter, u32),
    /// `/ws/sessions/{id}/replay`: a stored session, at its own pace.
    Replay(ReplayRequest),
    /// The request cannot be served; a browser only learns why over the socket.
    Refused(CloseCode, String),
}
