//! The built-in engine, by the protocol: a session is created and started, and the server does the rest.

mod behind;
mod choices;
mod control;
mod durable;
mod forks;
mod leases;
mod local;
mod models;
mod parked;
mod scale;
pub mod support;
mod survival;
mod templates;
mod tools;
