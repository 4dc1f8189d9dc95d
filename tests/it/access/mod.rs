//! Who may do what, as the server carries it out.

mod frames;
mod limits;
mod logs;
mod matrix;
mod projects;
mod repeats;
mod sign_in;
mod sockets;
mod support;
mod tokens;
