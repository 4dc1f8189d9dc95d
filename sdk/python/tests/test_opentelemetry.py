"""Spans as nodes, with the real SDK."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context

import relive
import relive.opentelemetry

from .conftest import flushed, settle, statuses

pytestmark = pytest.mark.usefixtures("reporter")


@pytest.fixture
def provider(reporter: relive.Reporter) -> Iterator[TracerProvider]:
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(relive.opentelemetry.SpanProcessor(reporter, tags=("traced",)))
    yield provider
    provider.shutdown()


@pytest.fixture
def tracer(provider: TracerProvider) -> Tracer:
    return provider.get_tracer("tests")


def session_of(span: Span) -> str:
    settle()
    return str(uuid.UUID(int=span.get_span_context().trace_id))


def node_of(span: Span) -> str:
    return f"{span.get_span_context().span_id:016x}"


def test_spans_are_shown_when_they_start(client: relive.Client, tracer: Tracer) -> None:
    with tracer.start_as_current_span("order", attributes={"user": "ada"}) as root:
        with tracer.start_as_current_span("pay") as child:
            state = client.session(session_of(root))
            assert (state["status"], state["name"], state["tags"]) == ("running", "order", ["traced"])
            assert state["metadata"]["service.name"] == "shop"
            assert statuses(state) == {node_of(root): "running", node_of(child): "running"}
            node = state["nodes"][node_of(child)]
            assert (node["name"], node["parentNodeId"]) == ("pay", node_of(root))
            assert state["nodes"][node_of(root)]["attributes"] == {"user": "ada"}
            child.set_attribute("amount", 3)
            child.add_event("charged", {"text": "x", "level": "y"})
    state = client.session(session_of(root))
    assert state["status"] == "completed"
    assert state["nodes"][node_of(child)]["attributes"] == {"amount": 3}
    lines = list(client.logs(state["id"]))
    assert [(one["text"], one["attributes"]) for one in lines] == [("charged", {"text": "x", "level": "y"})]


def test_errors_of_spans(client: relive.Client, tracer: Tracer) -> None:
    with pytest.raises(ValueError):
        with tracer.start_as_current_span("root") as root:
            with tracer.start_as_current_span("said") as said:
                said.set_status(Status(StatusCode.ERROR, "no stock"))
            raise ValueError("bad order")
    state = client.session(session_of(root))
    assert state["status"] == "failed" and state["error"].startswith("ValueError: bad order\n\nTraceback")
    assert state["nodes"][node_of(said)]["error"] == "no stock"


def test_the_times_are_those_of_the_spans(client: relive.Client, tracer: Tracer) -> None:
    second = 1_000_000_000
    root = tracer.start_span("root", start_time=1_700_000_000 * second)
    root.end(1_700_000_002 * second)
    node = client.session(session_of(root))["nodes"][node_of(root)]
    assert node["startedAt"] == "2023-11-14T22:13:20.000Z" and node["completedAt"] == "2023-11-14T22:13:22.000Z"


@pytest.mark.parametrize("convention", ["gen_ai", "openinference"])
def test_calls_of_models(client: relive.Client, tracer: Tracer, convention: str) -> None:
    call = {"id": "1", "name": "add", "arguments": {"a": 1}}
    parts = [{"type": "reasoning", "content": "Hm."}, {"type": "text", "content": "Hi."}, {"type": "tool_call", **call}]
    genai = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "tiny-1",
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}]),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": parts}]),
    }
    message = "llm.output_messages.0.message."
    inference = {
        "openinference.span.kind": "LLM",
        "llm.model_name": "tiny-1",
        "llm.token_count.prompt": 12,
        "llm.token_count.completion": 5,
        "input.value": "Hello",
        f"{message}role": "assistant",
        f"{message}content": "Hi.",
        f"{message}tool_calls.0.tool_call.id": "1",
        f"{message}tool_calls.0.tool_call.function.name": "add",
        f"{message}tool_calls.0.tool_call.function.arguments": '{"a": 1}',
    }
    with tracer.start_as_current_span("chat tiny-1") as span:
        span.set_attributes(genai if convention == "gen_ai" else inference)
    session_id = session_of(span)
    node = client.node(session_id, node_of(span))
    assert node["kind"] == "llm" and node["tokenUsage"] == {"inputTokens": 12, "outputTokens": 5}
    assert "Hello" in json.dumps(node["input"])
    assert set(client.usage(session_id)["byModel"]) == {"tiny-1"}
    said = [one for one in client.messages(session_id) if not one["isThinking"]]
    assert (said[0]["content"], said[0]["role"], said[0]["toolCalls"][0]["name"]) == ("Hi.", "agent", "add")


def test_spans_within_a_run_belong_to_it(client: relive.Client, tracer: Tracer) -> None:
    with relive.run("around") as run, run.node("step"):
        with tracer.start_as_current_span("traced") as span:
            pass
    nodes = client.session(flushed(run))["nodes"]
    assert set(nodes) == {"step", node_of(span)} and nodes[node_of(span)]["parentNodeId"] == "step"


def test_spans_that_end_after_their_root(client: relive.Client, tracer: Tracer) -> None:
    root = tracer.start_span("root")
    late = tracer.start_span("late", context=set_span_in_context(root))
    root.end()
    assert client.session(session_of(root))["status"] == "running"
    late.end()
    state = client.session(session_of(root))
    assert state["status"] == "completed" and set(statuses(state).values()) == {"completed"}


def test_two_processes_of_one_trace(client: relive.Client, tracer: Tracer, reporter: relive.Reporter) -> None:
    other = TracerProvider()
    other.add_span_processor(relive.opentelemetry.SpanProcessor(reporter))
    with tracer.start_as_current_span("here") as here:
        context = set_span_in_context(here)
        for _ in range(2):
            with other.get_tracer("there").start_as_current_span("there", context=context):
                pass
        assert client.session(session_of(here))["status"] == "running"
    other.shutdown()
    state = client.session(session_of(here))
    assert state["status"] == "completed" and len(state["nodes"]) == 3 and reporter.stats().refused == 0


def test_shutting_down_ends_what_is_open(client: relive.Client, provider: TracerProvider, tracer: Tracer) -> None:
    root = tracer.start_span("forgotten")
    provider.shutdown()
    state = client.session(session_of(root))
    assert state["status"] == "failed" and statuses(state) == {node_of(root): "failed"}
