//! Integration tests: real PostgreSQL, real sockets, the server as `main` starts it.

mod cluster;
mod harness;
mod live;
