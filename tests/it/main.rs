//! Integration tests: real PostgreSQL, real sockets, the server as `main` starts it.

// A test that meets the unexpected should fail loudly, its helpers included.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
// What is pedantic about the product would be noise here.
#![allow(clippy::pedantic)]

mod access;
mod architecture;
mod archive;
mod bad_frames;
mod bad_input;
mod catalog;
mod chaos;
mod cluster;
mod command_line;
mod commands;
mod connections;
mod cross_site;
mod dashboard;
mod database_away;
mod database_network;
mod delta;
mod diff;
mod documents;
mod driver_leases;
mod engine;
mod events;
mod families;
mod fence;
mod fork;
mod frontend_types;
mod full_disk;
mod growth;
mod harness;
mod https;
mod hub;
mod idempotency;
mod inside;
mod instances;
mod keys;
mod kill;
mod labels;
mod lanes;
mod lists;
mod live;
mod live_list;
mod login;
mod mcp;
mod memories;
mod message_pages;
mod messages;
mod migrations;
mod notices;
mod openapi;
mod otlp;
mod probes;
mod proxies;
mod query_plans;
mod replay;
mod same_id;
mod sessions;
mod settings;
mod setup;
mod shutdown;
mod signals;
mod slow_viewer;
mod sockets;
mod sql_texts;
mod sse;
mod standards;
mod story;
mod time_travel;
mod timeline;
mod tls;
mod upgrades;
mod usage;
mod watch_screen;
