//! The built-in engine, by the protocol: a session is created and started, and the server does the rest.

mod choices;
mod control;
mod forks;
mod models;
mod scale;
mod support;
mod survival;
mod tools;
