//! Integration tests: real PostgreSQL, real sockets, the server as `main` starts it.

mod access;
mod architecture;
mod bad_frames;
mod bad_input;
mod catalog;
mod cluster;
mod commands;
mod delta;
mod events;
mod frontend_types;
mod harness;
mod lists;
mod live;
mod live_list;
mod openapi;
mod sessions;
mod shutdown;
mod signals;
mod sockets;
mod time_travel;
