//! File descriptors: every connection needs one, and many systems allow a process 1,024 by default.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors for everything that is not a client: files, logs, the runtime.
const OWN: u64 = 128;
/// Used if a system has no limit, or refuses to raise it.
const PLENTY: [u64; 2] = [1 << 20, 10_240];

/// The most clients at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capacity {
    /// HTTP connections.
    pub connections: usize,
    /// Those that were upgraded to a `WebSocket`.
    pub sockets: usize,
}

impl Capacity {
    /// Limits that the descriptors allow, after those that the server itself and its connections to the
    /// database need.
    pub fn within(self, descriptors: u64, database: u32) -> Self {
        let wanted = self.connections.saturating_add(self.sockets).max(1);
        let free = descriptors.saturating_sub(OWN + u64::from(database));
        let free = usize::try_from(free).unwrap_or(usize::MAX);
        if wanted <= free {
            return self;
        }
        // No product of the two: the requested limit can be any number.
        let sockets = if self.sockets > self.connections { free - free / 3 } else { free / 2 }.min(self.sockets);
        Self { connections: (free - sockets).min(self.connections).max(8), sockets }
    }
}

/// Raises the number of descriptors to what the system allows this process, and returns it.
pub(super) fn raise() -> nix::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    for goal in PLENTY.map(|plenty| hard.min(plenty)) {
        if goal <= soft {
            return Ok(soft);
        }
        if setrlimit(Resource::RLIMIT_NOFILE, goal, hard).is_ok() {
            return Ok(goal);
        }
    }
    Ok(soft)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_share_what_descriptors_there_are() {
        let wanted = Capacity { connections: 5_000, sockets: 10_000 };
        assert_eq!(wanted.within(1 << 20, 20), wanted);
        assert_eq!(wanted.within(1_024, 20), Capacity { connections: 292, sockets: 584 });
        let all = Capacity { connections: usize::MAX, sockets: usize::MAX };
        assert_eq!(all.within(1_024, 20), Capacity { connections: 438, sockets: 438 });
        assert_eq!(wanted.within(64, 20), Capacity { connections: 8, sockets: 0 });
    }
}
