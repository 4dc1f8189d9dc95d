//! The embedded PostgreSQL: it starts, comes back, and goes away with its owner.

mod life;
mod setup;
mod support;
