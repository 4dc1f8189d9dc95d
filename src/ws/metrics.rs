//! Counters of what is written to clients.

use std::sync::OnceLock;

use ::metrics::Counter;

/// Counters that are touched for every frame, looked up once.
pub(super) struct Metrics {
    frames: Counter,
    bytes: Counter,
    conflated: Counter,
}

pub(super) fn metrics() -> &'static Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(|| Metrics {
        frames: ::metrics::counter!("relive_writes_total"),
        bytes: ::metrics::counter!("relive_sent_bytes_total"),
        conflated: ::metrics::counter!("relive_conflated_revisions_total"),
    })
}

impl Metrics {
    pub fn sent(&self, bytes: usize) {
        self.frames.increment(1);
        self.bytes.increment(bytes as u64);
    }

    pub fn conflated(&self, revisions: u64) {
        if revisions > 0 {
            self.conflated.increment(revisions);
        }
    }
}
