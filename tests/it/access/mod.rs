//! Who may do what, as the server carries it out.

mod deleted;
mod frames;
mod headers;
mod limits;
mod logs;
mod long;
mod matrix;
mod projects;
mod repeats;
mod revocation;
mod sign_in;
mod sockets;
pub mod support;
mod tokens;
