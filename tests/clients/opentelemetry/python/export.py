"""Traces by the SDK of Python, with the OpenInference conventions and those of OpenTelemetry.

To the server, or to a collector at EXPORT_TO that sends them on.
"""

import json
import os
import time
import urllib.error
import urllib.request
import uuid

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

SERVER = os.environ["RELIVE_URL"]
EXPORT_TO = os.environ.get("EXPORT_TO", f"{SERVER}/v1/traces")
#: Seconds until a collector has sent everything on.
DEADLINE = 30


def get(path: str) -> dict:
    with urllib.request.urlopen(SERVER + path) as answer:
        return json.load(answer)


def arrived(session_id: uuid.UUID, nodes: int) -> dict:
    """The session once it has as many nodes; whatever there is at the deadline."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            session = get(f"/api/v1/sessions/{session_id}")
        except urllib.error.HTTPError:
            session = None
        if session is not None and len(session["nodes"]) >= nodes or time.monotonic() > deadline:
            return session
        time.sleep(0.05)


def run(compression: Compression, spans: int) -> None:
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    exporter = OTLPSpanExporter(endpoint=EXPORT_TO, compression=compression)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=spans + 1_000, max_export_batch_size=512))
    tracer = provider.get_tracer("tests")
    with tracer.start_as_current_span("nightly") as root:
        with tracer.start_as_current_span("ask", attributes={
            "openinference.span.kind": "LLM",
            "llm.model_name": "gpt-4o",
            "llm.token_count.prompt": 3,
            "llm.token_count.completion": 4,
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": "Why?",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": "Because.",
        }):
            pass
        try:
            with tracer.start_as_current_span("fails"):
                raise ValueError("on purpose")
        except ValueError:
            pass
        for number in range(spans):
            with tracer.start_as_current_span(f"step {number}"):
                pass
    provider.shutdown()

    session_id = uuid.UUID(int=root.get_span_context().trace_id)
    session = arrived(session_id, spans + 3)
    nodes = {node["name"]: node for node in session["nodes"].values()}
    assert session["name"] == "nightly", session
    assert session["totalTokens"] == 7, session["totalTokens"]
    assert len(nodes) == spans + 3, len(nodes)
    assert all(node["status"] == "completed" for name, node in nodes.items() if name != "fails")
    assert nodes["fails"]["status"] == "failed" and "Traceback" in nodes["fails"]["error"], nodes["fails"]
    assert nodes["ask"]["kind"] == "llm", nodes["ask"]
    messages = get(f"/api/v1/sessions/{session_id}/messages")["messages"]
    assert [message["content"] for message in messages] == ["Why?", "Because."], messages


run(Compression.NoCompression, 10)
run(Compression.Gzip, 2_000)
print(f"Python: two traces, one of 2,003 spans in parts, to {EXPORT_TO}")
