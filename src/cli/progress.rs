//! The progress of a file, on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error; nothing when that is not a terminal. A cheap handle.
#[derive(Clone, Debug)]
pub(super) struct TransferProgress(ProgressBar);

impl TransferProgress {
    /// Lines; their number is set later.
    pub fn of_lines() -> Self {
        Self::new(None, "{spinner} {human_pos} of {human_len} lines {wide_bar} {per_sec} {eta}")
    }

    /// Bytes, as many as there are.
    pub fn of_bytes(length: Option<u64>) -> Self {
        match length {
            Some(_) => Self::new(length, "{spinner} {bytes} of {total_bytes} {wide_bar} {bytes_per_sec} {eta}"),
            None => Self::new(None, "{spinner} {bytes} {bytes_per_sec}"),
        }
    }

    fn new(length: Option<u64>, template: &str) -> Self {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr()).with_style(style))
    }

    /// Sets the approximate total.
    pub fn expect(&self, length: u64) {
        self.0.set_length(length);
    }

    pub fn add(&self, count: u64) {
        self.0.inc(count);
    }

    /// Removes the bar from the terminal.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
