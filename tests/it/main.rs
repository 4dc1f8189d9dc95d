//! Integration tests: real PostgreSQL, real sockets, the server as `main` starts it.

mod cluster;
mod command_line;
mod harness;
mod live;
mod memories;
