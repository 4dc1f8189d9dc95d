//! Locks, channels and maps.
//!
//! The files whose interleavings are tested import their locks, channels and maps from here. The
//! tests compile the same files with replacements, which a scheduler controls: `docs/testing.md`.

pub(crate) use dashmap::DashMap;
pub(crate) use dashmap::mapref::entry::Entry;
pub(crate) use parking_lot::Mutex;
pub(crate) use tokio::spawn;
pub(crate) use tokio::sync::{Notify, OnceCell, watch};

pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
}
