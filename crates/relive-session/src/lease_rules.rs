//! When a lease is renewed and when it has passed, and which commands are a driver's.

use super::{Command, Driver, DriverLease, Event, Refusal, Revision, Session, Timestamp, limits};

impl Session {
    /// Whether the lease of the driver has passed.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.lease.is_some_and(|lease| lease.is_stalled)
    }

    /// When the driver was last seen, as far as the history says.
    #[must_use]
    pub fn driver_seen_at(&self) -> Option<Timestamp> {
        self.lease.map(|lease| lease.seen_at)
    }

    /// Whether it can have a lease.
    ///
    /// # Errors
    ///
    /// [`Refusal::Invalid`] for a run of the built-in engine, whose leases are the server's own.
    pub fn check_leasable(&self) -> Result<(), Refusal> {
        match self.origin.driver {
            Driver::External => Ok(()),
            Driver::Builtin => Err(Refusal::Invalid {
                field: "leaseSeconds",
                problem: "is for sessions that an engine outside the server drives",
            }),
        }
    }

    pub(super) fn see_driver(&mut self, at: Timestamp) {
        if let Some(lease) = &mut self.lease {
            (lease.seen_at, lease.is_stalled) = (at, false);
        }
    }
}

/// Whether the history has to say of a renewal: of the first, of another length, of one after the lease had passed
/// (`is_late`), and of any other only some time after the last.
pub(super) fn renew(
    session: &Session,
    seconds: u32,
    is_late: bool,
    at: Option<Timestamp>,
) -> Result<Vec<Event>, Refusal> {
    session.check_leasable()?;
    if session.status.is_ended() {
        return Ok(Vec::new());
    }
    let is_known = session.lease.is_some_and(|lease| {
        let age = at.map_or(0, |at| at.as_millis().saturating_sub(lease.seen_at.as_millis()));
        lease.seconds == seconds && !lease.is_stalled && age < limits::SEEN_MILLIS
    });
    let event = Event::DriverSeen { lease_seconds: seconds };
    Ok(if is_known && !is_late { Vec::new() } else { vec![event] })
}

/// That the lease has passed; nothing if it was renewed since `granted`.
pub(super) fn stall(session: &Session, granted: Option<Revision>) -> Vec<Event> {
    let is_meant = |lease: &DriverLease| granted.is_none_or(|granted| granted == lease.revision);
    match session.lease.filter(is_meant) {
        Some(lease) if !lease.is_stalled && !session.status.is_ended() => vec![Event::Stalled],
        _ => Vec::new(),
    }
}

impl Command {
    /// Whether the command is one that engines send: then the driver is there. Reviews, signals, labels and most
    /// controls come from others as well.
    #[must_use]
    pub fn is_of_driver(&self) -> bool {
        match self {
            Self::Start
            | Self::Complete { .. }
            | Self::Fail { .. }
            | Self::SetNodeStatus { .. }
            | Self::RecordUsage { .. }
            | Self::SetContext { .. }
            | Self::AddNodes { .. }
            | Self::SetProposal { .. }
            | Self::AddMessage { .. }
            | Self::AddLog { .. }
            | Self::AddMemory { .. } => true,
            Self::Pause
            | Self::Hold
            | Self::Resume
            | Self::Stop { .. }
            | Self::Cancel { .. }
            | Self::SetLabels(_)
            | Self::Signal { .. }
            | Self::RenewLease { .. }
            | Self::Stall { .. }
            | Self::LeaveParent => false,
        }
    }
}

impl Event {
    /// Whether a command of the driver led to it.
    pub(super) fn is_of_driver(&self) -> bool {
        match self {
            Self::Started
            | Self::Completed { .. }
            | Self::Failed { stopped: false, .. }
            | Self::NodeStatusChanged { .. }
            | Self::UsageRecorded { .. }
            | Self::ContextSet { .. }
            | Self::NodesAdded { .. }
            | Self::ProposalSet { .. }
            | Self::MessageAdded(_)
            | Self::LogAdded(_)
            | Self::MemoryAdded(_) => true,
            Self::Created(_)
            | Self::Paused { .. }
            | Self::Resumed
            | Self::Failed { stopped: true, .. }
            | Self::Cancelled { .. }
            | Self::LabelsSet(_)
            | Self::Signalled { .. }
            | Self::DriverSeen { .. }
            | Self::Stalled
            | Self::ParentRemoved => false,
        }
    }
}
