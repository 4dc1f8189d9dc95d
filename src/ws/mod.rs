//! WebSocket and server-sent events: parse, call, encode. No domain logic and no SQL.
//!
//! ```text
//!  hub: head of a session moves
//!        │ wakes
//!        ▼
//!  rooms: one task per watched session ── offers the shared frame to each viewer's socket
//!        │ a socket is full, the viewer asked for a slower pace, or needs the journal
//!        ▼
//!  connection: one task per client ── flushes, catches up, reads commands, answers, pings
//! ```
//!
//! A viewer is a cursor, not a queue: nothing is stored for a busy socket. When it can take something again,
//! its viewer is offered what its mode prescribes, from its cursor to the head.
//!
//! The server writes frames itself instead of through a task per viewer: the same bytes serve
//! every viewer, a `write` that would not block needs no other task to be woken, and an idle viewer
//! needs no buffer. Reading (masks, fragments, UTF-8, control frames) is done by tungstenite.

mod backfill;
mod client;
mod client_stream;
mod closing;
mod commands;
mod connection;
#[doc(hidden)]
pub mod echo;
mod frame_ids;
mod frames;
mod gateway;
mod list;
mod listed;
mod message_boundary;
mod message_chunks;
mod metrics;
mod places;
mod reader;
mod refusals;
mod replay;
mod rooms;
mod socket;
mod socket_kind;
mod sse;
mod sse_writer;
mod transport;
mod upgrade;
mod viewer;

pub(crate) use frame_ids::FrameIds;
pub(crate) use frames::error_about;
pub(crate) use reader::{MESSAGE_BYTES, config as reader_config};

pub use client_stream::{Backpressure, ClientStream};
pub use frames::error_code;
pub use gateway::{Gateway, GatewayOptions};
pub use refusals::refused_code;
pub use replay::ReplayRequest;
pub use socket_kind::SocketKind;
pub use sse::{EventStream, StreamError, Streamed};
pub use sse_writer::{Translate, Translated};
pub use upgrade::{ClientIp, UpgradeError, upgrade};
