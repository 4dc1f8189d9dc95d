//! What commands take up while they wait.

/// What entries take up: in a queue, or in a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub entries: usize,
    /// Rows to be written, roughly: one for each command.
    pub rows: usize,
    pub bytes: usize,
}

impl Load {
    pub fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.rows += other.rows;
        self.bytes += other.bytes;
    }

    pub fn subtract(&mut self, other: Self) {
        self.entries -= other.entries;
        self.rows -= other.rows;
        self.bytes -= other.bytes;
    }

    /// Whether `more` fits in beside this. Into what is empty everything fits.
    pub fn has_room(self, more: Self, limit: Self) -> bool {
        self.entries == 0
            || (self.entries + more.entries <= limit.entries
                && self.rows + more.rows <= limit.rows
                && self.bytes + more.bytes <= limit.bytes)
    }
}
