//! Limits of imports.

use std::time::Duration;

/// Limits of imports, each with its default.
#[derive(Clone, Copy, Debug)]
pub struct ImportLimits {
    /// Bytes of a file (4 GiB).
    pub bytes: u64,
    /// How long a client may take for [`ImportLimits::pace`] bytes (30 s).
    pub stall: Duration,
    /// Bytes that must arrive within each [`ImportLimits::stall`] (4 KiB), except at the end of a file.
    pub pace: u64,
    /// How long receiving a file may take in all (an hour).
    pub whole: Duration,
    /// The number of dimensions of an embedding (1,536). Others are left out, and made again.
    pub embedding_dimension: u32,
}

impl Default for ImportLimits {
    fn default() -> Self {
        Self {
            bytes: 4 << 30,
            stall: Duration::from_secs(30),
            pace: 4 * 1024,
            whole: Duration::from_hours(1),
            embedding_dimension: 1_536,
        }
    }
}
