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

from .conftest import statuses, until
from .test_control import Later, when_suspended
from .test_langgraph import running, session_of

pytestmark = pytest.mark.usefixtures("reporter")

THREAD: RunnableConfig = {"configurable": {"thread_id": "1"}}


class State(TypedDict, total=False):
    text: str
    done: Annotated[list[str], operator.add]


class Done(TypedDict):
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


def around(part: Any, name: str) -> Any:
    """A watched graph with another one as its only node."""
    graph = StateGraph(State)
    graph.add_node("write", part)
    graph.add_edge(START, "write")
    return relive.langgraph.watch(graph.compile(checkpointer=InMemorySaver()), name=name)


def called(**options: Any) -> Any:
    """A node that calls a graph, with options of the call."""
    part = article().compile()

    def write(state: State) -> Any:
        return part.invoke(state, **options)

    return write


def waiting(client: relive.Client, session_id: str) -> dict[str, Any]:
    """The nodes that wait, by name."""
    nodes = client.session(session_id)["nodes"]
    return {one.get("name", key): {"id": key, **one} for key, one in nodes.items() if one["status"] == "suspended"}


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("compiled before", article().compile(interrupt_before=["publish"])),
        ("compiled after", article().compile(interrupt_after=["draft"])),
        ("called before", called(interrupt_before=["publish"])),
        ("called after", called(interrupt_after="*")),
    ],
)
def test_a_subgraph_that_stops_waits_in_its_node(kind: str, part: Any, client: relive.Client) -> None:
    app = around(part, kind)
    asked: list[Any] = []

    def approve() -> None:
        session_id = running(client, kind)
        asked.append(until(lambda: waiting(client, session_id), "the wait"))
        client.review(session_id, asked[0]["publish"]["id"], "approve")
        if kind == "called after":
            # After the last node, nothing would come next: the node around it waits.
            asked.append(until(lambda: waiting(client, session_id).get("write"), "the second wait"))
            client.review(session_id, "write", "approve")

    later = Later(approve)
    assert app.invoke({"done": []}, THREAD)["done"][-1] == "Less is more."
    later.done()
    session_id = session_of(client, kind)
    state = client.session(session_id)
    assert state["status"] == "completed" and set(statuses(state).values()) == {"completed"}
    [before] = asked[0].values()
    assert (before["parentNodeId"], before["type"]) == ("write", "human_review")
    # What waited is what ran then, once.
    assert [one.get("name") for one in state["nodes"].values()].count("publish") == 1
    kept = client.node(session_id, before["id"])
    assert kept["input"]["text"] == "Less is more." and kept["output"] == {"done": ["Less is more."]}


def test_what_somebody_changes_in_a_subgraph_becomes_its_state(client: relive.Client) -> None:
    async def run(app: Any) -> Any:
        return await app.ainvoke({"done": []}, THREAD)

    def result(app: Any, is_async: bool) -> Any:
        return asyncio.run(run(app)) if is_async else app.invoke({"done": []}, THREAD)

    for name, is_async in (("inner edit", False), ("async edit", True)):
        app = around(article().compile(interrupt_before=["publish"]), name)

        def edit(name: str = name) -> None:
            session_id = running(client, name)
            node = until(lambda: waiting(client, session_id), "the wait")["publish"]
            draft = client.node(session_id, node["id"])["output"]
            assert draft == {"text": "Less is more.", "done": ["draft"]}
            client.review(session_id, node["id"], "modify", data={**draft, "text": "More."})

        later = Later(edit)
        assert result(app, is_async)["done"][-1] == "More."
        later.done()


def test_a_subgraph_that_somebody_rejects_is_cancelled(client: relive.Client) -> None:
    part = StateGraph(State)
    part.add_node("inner", article().compile(interrupt_before=["publish"]))
    part.add_edge(START, "inner")
    app = around(part.compile(), "deep stop")

    def reject() -> None:
        session_id = running(client, "deep stop")
        client.review(session_id, until(lambda: waiting(client, session_id), "the wait")["publish"]["id"], "reject")

    later = Later(reject)
    assert "Less is more." not in app.invoke({"done": []}, THREAD)["done"]
    later.done()
    state = client.session(session_of(client, "deep stop"))
    by_name = {one.get("name", key): one for key, one in state["nodes"].items()}
    assert state["status"] == "cancelled" and by_name["publish"]["status"] == "skipped"
    inner = by_name["publish"]["parentNodeId"]
    assert state["nodes"][inner]["name"] == "inner" and state["nodes"][inner]["parentNodeId"] == "write"


def test_several_subgraphs_that_stop_wait_each(client: relive.Client) -> None:
    graph = StateGraph(Done)
    for name in ("left", "right"):
        part = StateGraph(State)
        part.add_node("say", lambda state, name=name: {"done": [f"{name} {state.get('text')}"]})
        part.add_edge(START, "say")
        graph.add_node(name, part.compile(interrupt_before="*"))
        graph.add_edge(START, name)
    app = relive.langgraph.watch(graph.compile(checkpointer=InMemorySaver()), name="two stops")

    def answer() -> None:
        session_id = running(client, "two stops")

        def both() -> Any:
            nodes = client.session(session_id)["nodes"]
            waits = {one["parentNodeId"]: key for key, one in nodes.items() if one["status"] == "suspended"}
            return waits if len(waits) == 2 else None

        waits = until(both, "both waits")
        for name, node_id in waits.items():
            client.review(session_id, node_id, "modify", data={"text": f"as {name}"})

    later = Later(answer)
    done = app.invoke({"done": []}, THREAD)["done"]
    later.done()
    assert {one for one in done if one} == {"left as left", "right as right"}
    assert set(statuses(client.session(session_of(client, "two stops"))).values()) == {"completed"}


def test_a_program_goes_on_by_itself_where_a_subgraph_stopped(client: relive.Client) -> None:
    app = relive.langgraph.watch(
        around(article().compile(interrupt_before=["publish"]), "x"), name="inner itself", reviews="return"
    )
    app.invoke({"done": []}, THREAD)
    session_id = session_of(client, "inner itself")
    assert set(waiting(client, session_id)) == {"publish"}
    assert app.invoke(None, THREAD)["done"][-1] == "Less is more."
    assert session_of(client, "inner itself") == session_id
    assert client.session(session_id)["status"] == "completed"


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
