"""The span processor."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Mapping
from typing import Any

from opentelemetry import context as context_api
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context
from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.sdk.trace import SpanProcessor as Processor
from opentelemetry.trace import StatusCode

from .. import _context
from .._clock import timestamp
from .._node import Node, NodeOptions
from .._reporting.reporter import Reporter, default_reporter
from .._run import Run
from .._settings import is_disabled
from ._attributes import kind_of, messages_of, short_of, text_of, usage_of, value_of

logger = logging.getLogger("relive")

#: Traces that are open at once; further ones are not shown.
TRACES = 10_000
#: Events of one span that become log lines.
EVENTS = 1_000


class Trace:
    """The part of a trace that this process makes."""

    def __init__(self, run: Run, parent: Node | None, *, is_own: bool, ends: bool) -> None:
        self.run = run
        self.parent = parent
        #: The session is that of the trace, and not of a `relive.run` around it.
        self.is_own = is_own
        #: Its root is in this process, which therefore ends the session.
        self.ends = ends
        self.nodes: dict[int, Node] = {}
        self.root: int | None = None
        self.error: str | None = None


class SpanProcessor(Processor):
    """Reports spans as nodes, when they start and when they end."""

    def __init__(self, reporter: Reporter | None = None, *, tags: tuple[str, ...] = ()) -> None:
        """`reporter` is by default that of `RELIVE_URL` and `RELIVE_TOKEN`. `tags` are given to every session."""
        self._reporter = reporter
        self._tags = tags
        self._lock = threading.Lock()
        self._traces: dict[int, Trace] = {}
        self._is_off = is_disabled()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if self._is_off or context_api.get_value(_SUPPRESS_INSTRUMENTATION_KEY):
            return
        try:
            self._started(span)
        except Exception:
            logger.debug("a span was not reported", exc_info=True)

    def on_end(self, span: ReadableSpan) -> None:
        if self._is_off:
            return
        try:
            self._ended(span)
        except Exception:
            logger.debug("a span was not reported", exc_info=True)

    def shutdown(self) -> None:
        self._is_off = True
        with self._lock:
            traces, self._traces = list(self._traces.values()), {}
        for trace in traces:
            for node in trace.nodes.values():
                node.fail("the program ended before the span")
            if trace.is_own and trace.ends:
                trace.run.fail("the program ended before the trace")
        self.force_flush()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        if is_disabled():
            return True
        return (self._reporter or default_reporter()).flush(timeout_millis / 1000)

    def _started(self, span: Span) -> None:
        context, parent = span.get_span_context(), span.parent
        with self._lock:
            trace = self._traces.get(context.trace_id)
            if trace is None:
                if len(self._traces) >= TRACES:
                    return
                trace = self._traces[context.trace_id] = self._trace(span)
                trace.root = context.span_id
            above = trace.nodes.get(parent.span_id) if parent is not None else None
            attributes = dict(span.attributes or {})
            options = NodeOptions(
                id=f"{context.span_id:016x}",
                kind=kind_of(attributes),
                attributes=short_of(attributes),
                began=_seconds(span.start_time),
            )
            node = trace.nodes[context.span_id] = Node(trace.run, span.name, above or trace.parent, options)
        node.start()

    def _trace(self, span: Span) -> Trace:
        place = _context.current.get()
        if place is not None:
            return Trace(place.run, place if isinstance(place, Node) else None, is_own=False, ends=False)
        context = span.get_span_context()
        metadata: dict[str, Any] = {"trace_id": f"{context.trace_id:032x}"}
        service = span.resource.attributes.get("service.name") if span.resource else None
        if service is not None:
            metadata["service.name"] = str(service)
        labels = {"tags": self._tags, "metadata": metadata}
        session_id = str(uuid.UUID(int=context.trace_id))
        run = Run(span.name, labels, {}, {}, id=session_id, reporter=self._reporter, is_shared=True)
        run.start()
        return Trace(run, None, is_own=True, ends=span.parent is None)

    def _ended(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context is None:
            return
        with self._lock:
            trace = self._traces.get(context.trace_id)
            node = None if trace is None else trace.nodes.get(context.span_id)
        if trace is None or node is None:
            return
        error = _report(node, span)
        with self._lock:
            trace.nodes.pop(context.span_id, None)
            if context.span_id == trace.root:
                trace.root, trace.error = None, error
            # Spans may end after their root.
            is_over = trace.root is None and not trace.nodes
            if is_over:
                self._traces.pop(context.trace_id, None)
        if is_over and trace.is_own:
            _end(trace)


def _end(trace: Trace) -> None:
    if not trace.ends:
        # The process with the root ends the session.
        trace.run.leave()
    elif trace.error is None:
        trace.run.complete()
    else:
        trace.run.fail(trace.error)


def _report(node: Node, span: ReadableSpan) -> str | None:
    """Everything that is known of a span that has ended. Its error."""
    attributes: Mapping[str, Any] = span.attributes or {}
    facts: dict[str, Any] = {"kind": kind_of(attributes), "attributes": short_of(attributes) or None}
    if span.name != node.name:
        facts["name"] = span.name
    node.facts(facts, input=value_of(attributes, "input"))
    agent = text_of(attributes, "agent")
    usage = usage_of(attributes)
    if usage:
        node.usage(model=text_of(attributes, "model"), agent=agent, **usage)
    for index, message in enumerate(messages_of(attributes)):
        node.message(id=f"{node.id}-{index}", agent=agent, **message)
    exception: str | None = None
    for event in list(span.events)[:EVENTS]:
        if event.name == "exception":
            exception = _exception(event.attributes or {})
        else:
            node.log_at(timestamp(event.timestamp / 1e9), event.name, "info", event.attributes)
    node.ended(_seconds(span.end_time))
    if span.status.status_code is StatusCode.ERROR:
        error = exception or span.status.description or "failed"
        node.fail(error)
        return error
    node.complete(value_of(attributes, "output"))
    return None


def _exception(attributes: Mapping[str, Any]) -> str:
    first = f"{attributes.get('exception.type', 'Error')}: {attributes.get('exception.message', '')}"
    trace = str(attributes.get("exception.stacktrace") or "").strip()
    return f"{first}\n\n{trace}" if trace else first


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e9
