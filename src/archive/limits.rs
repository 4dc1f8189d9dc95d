//! What an import may take.

use std::time::Duration;

/// What an import may take.
#[derive(Clone, Copy, Debug)]
pub struct ImportLimits {
    /// Bytes of a file (4 GiB).
    pub bytes: u64,
    /// How long a client may take for [`ImportLimits::pace`] bytes (30 s).
    pub stall: Duration,
    /// Bytes that must come within each [`ImportLimits::stall`] (4 KiB), the last of a file excepted.
    pub pace: u64,
    /// How long a file may take to be received in all (an hour).
    pub whole: Duration,
    /// How many numbers an embedding has here (1,536). Others are left out, and made anew.
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
