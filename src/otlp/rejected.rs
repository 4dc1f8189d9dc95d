//! Spans that cannot be stored.

/// Spans that are not stored, and will not be if they are sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    pub spans: usize,
    /// Why, of the first.
    pub reason: String,
}

impl Rejected {
    pub(super) fn add(&mut self, spans: usize, reason: impl Into<String>) {
        if self.spans == 0 && spans > 0 {
            self.reason = reason.into();
        }
        self.spans += spans;
    }

    pub(super) fn reported(self) -> Option<Self> {
        (self.spans > 0).then_some(self)
    }
}
