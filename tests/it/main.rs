//! Integration tests: real PostgreSQL, real sockets, the server as `main` starts it.

mod cluster;
mod database_away;
mod fence;
mod handle;
mod harness;
mod hub;
mod kill;
mod live;
mod migrations;
mod slow_viewer;
mod story;
