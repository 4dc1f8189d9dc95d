//! A span, and what children of it are made from.

use std::borrow::Cow;
use std::num::{NonZeroU64, NonZeroU128};
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::queue::SpanQueue;
use super::sampler::Sampler;
use relive_session::{TraceContext, TraceParent};

/// Begins traces. Cheap to clone. By default nothing is recorded.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Recorder>>);

#[derive(Debug)]
pub(super) struct Recorder {
    pub sampler: Sampler,
    pub queue: SpanQueue,
    pub scope: InstrumentationScope,
}

impl Tracer {
    pub(super) fn new(recorder: Recorder) -> Self {
        Self(Some(Arc::new(recorder)))
    }

    /// Whether anything is recorded.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The first span that this server makes of a trace, which comes `from` outside or begins here; `None` if it is not
    /// recorded.
    pub fn root<N: Into<Cow<'static, str>>>(
        &self,
        kind: SpanKind,
        from: Option<&TraceContext>,
        name: impl FnOnce() -> N,
    ) -> Option<Span> {
        let recorder = self.0.as_ref()?;
        let trace_id = from.map_or_else(random_trace, |from| from.parent.trace_id);
        let is_recorded = recorder.sampler.records(trace_id, from.map(|from| from.parent.is_sampled()));
        if !is_recorded {
            return None;
        }
        let parent = from.map(|from| (from.parent.span_id, true));
        let state = from.and_then(|from| from.state.clone());
        let context = TraceContext { parent: TraceParent::new(trace_id, random_span(), true), state };
        Some(Span::begin(Arc::clone(recorder), context, parent, kind, name().into()))
    }
}

fn random_trace() -> NonZeroU128 {
    NonZeroU128::new(rand::random()).unwrap_or(NonZeroU128::MIN)
}

fn random_span() -> NonZeroU64 {
    NonZeroU64::new(rand::random()).unwrap_or(NonZeroU64::MIN)
}

/// What children of a span are made from, also after it has ended. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SpanParent(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    recorder: Arc<Recorder>,
    context: TraceContext,
}

impl SpanParent {
    /// Begins a child.
    #[must_use]
    pub fn child(&self, name: &'static str) -> Span {
        self.child_of_kind(SpanKind::Internal, name.into())
    }

    /// Begins a child of another kind.
    #[must_use]
    pub fn child_of_kind(&self, kind: SpanKind, name: Cow<'static, str>) -> Span {
        let Inner { recorder, context } = &*self.0;
        let own = TraceContext { parent: context.parent.with_span(random_span()), state: context.state.clone() };
        Span::begin(Arc::clone(recorder), own, Some((context.parent.span_id, false)), kind, name)
    }

    /// The span, as it is passed on in headers.
    #[must_use]
    pub fn context(&self) -> &TraceContext {
        &self.0.context
    }
}

/// A span that is recorded. It ends when it is dropped.
#[derive(Debug)]
pub struct Span {
    recorder: Arc<Recorder>,
    context: TraceContext,
    /// `None`: it is not to be exported.
    data: Option<Box<SpanData>>,
    /// When it has ended, if that is known before it is dropped.
    ended: Option<SystemTime>,
}

impl Span {
    fn begin(
        recorder: Arc<Recorder>,
        context: TraceContext,
        parent: Option<(NonZeroU64, bool)>,
        kind: SpanKind,
        name: Cow<'static, str>,
    ) -> Self {
        let now = SystemTime::now();
        let state = context.state.as_ref().and_then(|state| state.as_str().parse::<TraceState>().ok());
        let span_context = SpanContext::new(
            TraceId::from_bytes(context.parent.trace_id.get().to_be_bytes()),
            span_id(context.parent.span_id),
            TraceFlags::SAMPLED,
            false,
            state.unwrap_or_default(),
        );
        let data = SpanData {
            span_context,
            parent_span_id: parent.map_or(SpanId::INVALID, |(id, _)| span_id(id)),
            parent_span_is_remote: parent.is_some_and(|(_, is_remote)| is_remote),
            span_kind: kind,
            name,
            start_time: now,
            end_time: now,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: recorder.scope.clone(),
        };
        Self { recorder, context, data: Some(Box::new(data)), ended: None }
    }

    /// Adds an attribute.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(data) = &mut self.data {
            data.attributes.push(KeyValue::new(key, value));
        }
    }

    /// With an attribute.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.set(key, value);
        self
    }

    /// Marks it as failed. `kind` has few values.
    pub fn fail(&mut self, kind: impl Into<Cow<'static, str>>) {
        let kind = kind.into();
        if let Some(data) = &mut self.data {
            data.status = Status::error("");
            data.attributes.push(KeyValue::new("error.type", kind));
        }
    }

    #[must_use]
    pub fn parent(&self) -> SpanParent {
        SpanParent(Arc::new(Inner { recorder: Arc::clone(&self.recorder), context: self.context.clone() }))
    }

    /// The span, as it is passed on in headers.
    #[must_use]
    pub fn context(&self) -> &TraceContext {
        &self.context
    }

    /// Ends it at a time that has passed.
    pub(super) fn end_at(&mut self, time: SystemTime) {
        self.ended = Some(time);
    }

    /// It is not exported.
    pub(super) fn discard(&mut self) {
        self.data = None;
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(mut data) = self.data.take() {
            // The clock may have been set back.
            data.end_time = self.ended.unwrap_or_else(SystemTime::now).max(data.start_time);
            self.recorder.queue.push(*data);
        }
    }
}

fn span_id(id: NonZeroU64) -> SpanId {
    SpanId::from_bytes(id.get().to_be_bytes())
}
