//! Spans of OpenTelemetry: what the server did for a command or a request, from its arrival to the last viewer.
//!
//! Whether a trace is recorded is decided once, at its beginning ([`Tracer::root`]). What is not recorded has no span,
//! and costs a branch. Spans that have ended wait in a bounded queue for the [`Exporter`]; where it is full they are
//! dropped and counted, so that an endpoint that is slow or away holds up nothing.

mod broadcast;
mod exporter;
mod queue;
mod sampler;
mod span;

pub use broadcast::Broadcast;
pub use exporter::{Exporter, ExporterError, ExporterOptions, RunningExporter};
pub use opentelemetry::trace::SpanKind;
pub use sampler::Sampler;
pub use span::{Span, SpanParent, Tracer};
