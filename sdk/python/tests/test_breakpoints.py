"""Graphs of LangGraph that stop at static interrupts, and edges that only a run shows."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send

import relive
import relive.langgraph

from .conftest import statuses
from .test_control import Later, when_suspended
from .test_langgraph import running, session_of

pytestmark = pytest.mark.usefixtures("reporter")

THREAD: RunnableConfig = {"configurable": {"thread_id": "1"}}


class State(TypedDict, total=False):
    text: str
    done: Annotated[list[str], operator.add]


def article() -> StateGraph[Any, Any, Any, Any]:
    graph = StateGraph(State)
    graph.add_node("draft", lambda _: {"text": "Less is more.", "done": ["draft"]})
    graph.add_node("publish", lambda state: {"done": [state["text"]]})
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "publish")
    return graph


def compiled(**options: Any) -> Any:
    return article().compile(checkpointer=InMemorySaver(), **options)


def answered(client: relive.Client, name: str, node_id: str, action: str, **given: Any) -> Later:
    """Answers the run of that name when it waits there."""

    def answer() -> None:
        session_id = running(client, name)
        when_suspended(client, session_id, node_id)
        client.signal(session_id, node_id, {"review": {"action": action, **given}})

    return Later(answer)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("before", {"interrupt_before": ["publish"]}), ("after", {"interrupt_after": ["draft"]})],
)
def test_a_graph_that_stops_goes_on_when_somebody_approves(
    kind: str, options: dict[str, Any], client: relive.Client
) -> None:
    app = relive.langgraph.watch(compiled(**options), name=f"stops {kind}")
    later = answered(client, f"stops {kind}", "publish", "approve")
    assert app.invoke({"done": []}, THREAD)["done"] == ["draft", "Less is more."]
    later.done()
    session_id = session_of(client, f"stops {kind}")
    state = client.session(session_id)
    assert state["status"] == "completed" and statuses(state) == dict.fromkeys(("draft", "publish"), "completed")
    assert state["nodes"]["publish"]["attempt"] == 1
    kept = client.node(session_id, "publish")
    assert kept["input"]["text"] == "Less is more." and kept["output"] == {"done": ["Less is more."]}


def test_what_somebody_changes_becomes_the_state(client: relive.Client) -> None:
    app = relive.langgraph.watch(compiled(), name="changes")
    edited = {"text": "More.", "done": ["draft"]}
    later = answered(client, "changes", "publish", "modify", data=edited)
    assert app.invoke({"done": []}, THREAD, interrupt_before=["publish"])["done"] == ["draft", "More."]
    later.done()


def test_a_graph_that_stops_in_a_coroutine_or_a_stream(client: relive.Client) -> None:
    async def stream(app: Any) -> list[Any]:
        return [chunk async for chunk in app.astream({"done": []}, THREAD, stream_mode="updates")]

    app = relive.langgraph.watch(compiled(interrupt_before="*"), name="streams")

    def approve() -> None:
        session_id = running(client, "streams")
        for node_id in ("draft", "publish"):
            when_suspended(client, session_id, node_id)
            client.review(session_id, node_id, "approve")

    later = Later(approve)
    chunks = asyncio.run(stream(app))
    later.done()
    assert [key for chunk in chunks for key in chunk if key != "__interrupt__"] == ["draft", "publish"]
    assert client.session(session_of(client, "streams"))["status"] == "completed"


def test_a_graph_that_somebody_rejects_is_cancelled(client: relive.Client) -> None:
    app = relive.langgraph.watch(compiled(interrupt_before=["publish"]), name="rejects")
    later = answered(client, "rejects", "publish", "reject", comment="too short")
    assert app.invoke({"done": []}, THREAD)["done"] == ["draft"]
    later.done()
    state = client.session(session_of(client, "rejects"))
    assert (state["status"], statuses(state)) == ("cancelled", {"draft": "completed", "publish": "skipped"})
    events = [one["event"] for one in client.events(state["id"])]
    assert [one["reason"] for one in events if one["type"] == "cancelled"] == ["too short"]


def test_a_program_goes_on_by_itself_where_the_graph_stopped(client: relive.Client) -> None:
    app = relive.langgraph.watch(compiled(interrupt_before=["publish"]), name="itself", reviews="return")
    assert app.invoke({"done": []}, THREAD)["done"] == ["draft"]
    session_id = session_of(client, "itself")
    assert statuses(client.session(session_id)) == {"draft": "completed", "publish": "suspended"}
    assert app.invoke(None, THREAD)["done"] == ["draft", "Less is more."]
    assert session_of(client, "itself") == session_id
    assert client.session(session_id)["status"] == "completed"


def test_a_subgraph_that_stops_waits_too(client: relive.Client) -> None:
    graph = StateGraph(State)
    graph.add_node("write", article().compile(interrupt_before=["publish"]))
    graph.add_edge(START, "write")
    app = relive.langgraph.watch(graph.compile(checkpointer=InMemorySaver()), name="inner stop")
    later = answered(client, "inner stop", "write", "approve")
    assert app.invoke({"done": []}, THREAD)["done"][-1] == "Less is more."
    later.done()
    state = client.session(session_of(client, "inner stop"))
    assert state["status"] == "completed" and set(statuses(state).values()) == {"completed"}


def test_routes_are_drawn_with_all_their_answers(client: relive.Client) -> None:
    graph = StateGraph(State)
    for name in "abc":
        graph.add_node(name, lambda _: {})
    graph.add_edge(START, "a")
    graph.add_conditional_edges("a", lambda _: "yes", {"yes": "b", "surely": "b", "no": "c"})
    relive.langgraph.watch(graph.compile(), name="answers").invoke({})
    node = client.graph(session_of(client, "answers"))["nodes"]["a"]
    assert set(node["nextIds"]) == {"b", "c"}
    assert node["properties"]["edgeLabels"] == {"b": "yes, surely", "c": "no"}


def test_routes_without_declared_ends_are_drawn_as_they_are_taken(client: relive.Client) -> None:
    graph = StateGraph(State)
    graph.add_node("a", lambda _: {})
    graph.add_node("b", lambda _: Command(goto=["c", Send("d", {})]))
    for name in "cde":
        graph.add_node(name, lambda _: {})
    graph.add_conditional_edges(START, lambda _: "a")
    graph.add_conditional_edges("a", lambda _: [Send("b", {}), Send("b", {})])
    relive.langgraph.watch(graph.compile(), name="undeclared").invoke({})
    drawn = client.graph(session_of(client, "undeclared"))
    following = {key: node.get("nextIds", []) for key, node in drawn["nodes"].items()}
    assert drawn["startNodeId"] == "__start__"
    assert following == {"__start__": ["a"], "a": ["b"], "b": ["c", "d"], "c": [], "d": [], "e": []}
