//! Spans as they are worked with: checked, and without what nobody needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{self as proto, ResourceSpans};
use uuid::Uuid;

use relive_session::{NodeId, Timestamp};

use super::decode::Export;
use super::values::{Attributes, attributes, clean};

/// The id of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TraceId(pub Uuid);

/// A span that has ended, or one that only began: some exporters send both.
#[derive(Clone, Debug)]
pub(super) struct TraceSpan {
    pub id: NodeId,
    pub parent: Option<Parent>,
    pub name: String,
    pub started_at: Option<Timestamp>,
    /// `None`: it has not ended.
    pub ended_at: Option<Timestamp>,
    /// Its status is an error; with what the status says.
    pub error: Option<String>,
    pub attributes: Attributes,
    pub events: Vec<SpanEvent>,
    pub resource: Arc<Attributes>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub id: NodeId,
    /// It is in another process, whose spans may never come.
    pub is_remote: bool,
}

#[derive(Clone, Debug)]
pub(super) struct SpanEvent {
    pub name: String,
    pub at: Option<Timestamp>,
    pub attributes: Attributes,
}

/// The spans of an export by their traces, and how many cannot be stored.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub traces: BTreeMap<TraceId, Vec<TraceSpan>>,
    /// Spans without valid ids.
    pub invalid: usize,
}

/// The flags of a span that say whether its parent is remote.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

impl Export {
    pub(super) fn sorted(self) -> Sorted {
        let mut sorted = Sorted::default();
        for ResourceSpans { resource, scope_spans, .. } in self.0.resource_spans {
            let resource = Arc::new(resource.map(|resource| attributes(resource.attributes)).unwrap_or_default());
            for span in scope_spans.into_iter().flat_map(|scope| scope.spans) {
                match trace_id(&span.trace_id).zip(span_id(&span.span_id)) {
                    Some((trace, id)) => {
                        sorted.traces.entry(trace).or_default().push(TraceSpan::new(id, span, Arc::clone(&resource)));
                    }
                    None => sorted.invalid += 1,
                }
            }
        }
        // Parents begin before their children, in most cases: fewer nodes appear before they are known.
        sorted.traces.values_mut().for_each(|spans| spans.sort_by_key(|span| span.started_at));
        sorted
    }
}

impl TraceSpan {
    fn new(id: NodeId, span: proto::Span, resource: Arc<Attributes>) -> Self {
        let is_remote = span.flags & (HAS_IS_REMOTE | IS_REMOTE) == HAS_IS_REMOTE | IS_REMOTE;
        let parent = span_id(&span.parent_span_id).filter(|parent| *parent != id);
        let started_at = time(span.start_time_unix_nano);
        let ended_at = time(span.end_time_unix_nano);
        let status = span.status.unwrap_or_default();
        let is_error = status.code == StatusCode::Error as i32;
        Self {
            id,
            parent: parent.map(|id| Parent { id, is_remote }),
            name: clean(span.name),
            started_at,
            // Clocks that were set back between the two.
            ended_at: ended_at.map(|end| started_at.map_or(end, |start| end.max(start))),
            error: is_error.then(|| clean(status.message)),
            attributes: attributes(span.attributes),
            events: span.events.into_iter().map(SpanEvent::new).collect(),
            resource,
        }
    }
}

impl SpanEvent {
    fn new(event: proto::span::Event) -> Self {
        Self { name: clean(event.name), at: time(event.time_unix_nano), attributes: attributes(event.attributes) }
    }
}

/// 16 bytes, not all zero.
fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    let id = Uuid::from_slice(bytes).ok()?;
    (!id.is_nil()).then_some(TraceId(id))
}

/// 8 bytes, not all zero, as hexadecimal digits.
fn span_id(bytes: &[u8]) -> Option<NodeId> {
    let bytes: [u8; 8] = bytes.try_into().ok()?;
    let number = u64::from_be_bytes(bytes);
    (number != 0).then(|| format!("{number:016x}").into())
}

/// 0 means unknown.
fn time(nanos: u64) -> Option<Timestamp> {
    let millis = i64::try_from(nanos / 1_000_000).ok().filter(|millis| *millis > 0)?;
    Timestamp::from_millis(millis)
}
