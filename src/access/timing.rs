//! How long things take.

use std::time::Duration;

/// How long things take, which tests shorten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How old an answer of the database may be, and how often revocations are looked for: a revoked credential
    /// is refused, and its sockets are closed, within twice this time on every server.
    pub fresh: Duration,
    /// How often the last use of keys is written.
    pub last_use: Duration,
    /// How often old rows are removed.
    pub upkeep: Duration,
    /// The time between two attempts to read the identity provider's keys, whatever tokens name.
    pub provider: Duration,
    /// How old the identity provider's keys may become before they are read again, so that those it has withdrawn
    /// are not accepted for ever.
    pub provider_keys: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { fresh: FRESH, last_use: LAST_USE, upkeep: UPKEEP, provider: PROVIDER, provider_keys: PROVIDER_KEYS }
    }
}

const FRESH: Duration = Duration::from_secs(2);
const LAST_USE: Duration = Duration::from_mins(1);
const UPKEEP: Duration = Duration::from_mins(10);
const PROVIDER: Duration = Duration::from_secs(10);
const PROVIDER_KEYS: Duration = Duration::from_mins(5);
