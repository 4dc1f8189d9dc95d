//! The queue between the spans that have ended and their export.

use opentelemetry_sdk::trace::SpanData;
use tokio::sync::mpsc;

/// Spans that wait to be exported.
const QUEUE: usize = 4_096;

/// Where spans wait to be exported. What finds no room is dropped.
#[derive(Clone, Debug)]
pub(super) struct SpanQueue(mpsc::Sender<SpanData>);

impl SpanQueue {
    pub fn new() -> (Self, mpsc::Receiver<SpanData>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    pub fn push(&self, span: SpanData) {
        if self.0.try_send(span).is_err() {
            count("dropped", 1);
        }
    }
}

/// Counts spans by what has become of them.
pub(super) fn count(outcome: &'static str, spans: usize) {
    metrics::counter!("relive_trace_spans_total", "outcome" => outcome).increment(spans as u64);
}
