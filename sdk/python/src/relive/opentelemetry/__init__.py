"""Spans of OpenTelemetry as nodes, shown when they start.

    provider.add_span_processor(relive.opentelemetry.SpanProcessor())

An exporter knows of a span only when it has ended; this processor reports it at both ends. Every trace is a session,
whose id is the trace's id written as a UUID; a trace within a `relive.run` is a part of that run. Programs that
cannot have it export to the server's `/v1/traces`.

Needs `pip install "relive[opentelemetry]"`.
"""

from ._processor import SpanProcessor

__all__ = ["SpanProcessor"]
