//! Who may do what, as the server carries it out.

mod frames;
mod limits;
mod matrix;
mod projects;
mod sign_in;
mod sockets;
pub mod support;
mod tokens;
