"""Graphs of LangGraph, with the real packages and a model that streams."""

from __future__ import annotations

import asyncio
import operator
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt
from pydantic import SecretStr

import relive
import relive.langgraph

from .conftest import DEADLINE, flushed, settle, statuses, until
from .model_server import ModelServer
from .test_control import Later, when_suspended

pytestmark = pytest.mark.usefixtures("reporter")


class State(TypedDict, total=False):
    values: Annotated[list[Any], operator.add]
    n: int


def thread(name: str) -> RunnableConfig:
    return {"configurable": {"thread_id": name}}


def chat(model: ModelServer, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(model="tiny-1", base_url=model.url, api_key=SecretStr("none"), max_retries=0, **options)


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def session_of(client: relive.Client, name: str) -> str:
    """The id of the newest session with that name."""
    settle()
    return next(iter(client.sessions(name=name, limit=1)))["id"]


def running(client: relive.Client, name: str) -> str:
    """The same while the program waits."""
    return until(lambda: next(iter(client.sessions(name=name, status="running", limit=1)), None))["id"]


def test_a_graph_is_drawn_and_its_nodes_are_reported(client: relive.Client) -> None:
    graph = StateGraph(State)
    graph.add_node("fan", lambda _: {"values": ["fan"]})
    graph.add_node("work", lambda state: {"values": [state["n"]]})
    graph.add_node("join", lambda state: {"values": [len(state["values"])]})
    graph.add_edge(START, "fan")
    graph.add_conditional_edges("fan", lambda _: [Send("work", {"n": n}) for n in range(3)], ["work"])
    graph.add_edge("work", "join")
    graph.add_edge("join", END)
    app = relive.langgraph.watch(graph.compile(), name="drawn", tags=["a"], metadata={"k": 1})
    assert app.invoke({"values": []}, {"tags": ["b"]}) == {"values": ["fan", 0, 1, 2, 4]}
    session_id = session_of(client, "drawn")
    state = client.session(session_id)
    assert (state["status"], state["tags"], state["metadata"]) == ("completed", ["a", "b"], {"k": 1})
    assert set(statuses(state)) == {"fan", "work", "work#1", "work#2", "work#3", "join"}
    drawing = client.graph(session_id)
    assert drawing["startNodeId"] == "fan" and drawing["nodes"]["work"]["nextIds"] == ["join"]
    assert client.node(session_id, "work#2")["input"] == {"n": 1}
    assert client.node(session_id, "work#2")["output"] == {"values": [1]}
    entity = client.entity(session_id)
    assert entity["inputs"] == {"values": []} and entity["outputs"] == {"values": ["fan", 0, 1, 2, 4]}


def test_loops_and_conditions_of_the_entry(client: relive.Client) -> None:
    graph = StateGraph(State)
    graph.add_node("a", lambda _: {"values": [1]})
    graph.add_node("b", lambda _: {"values": [2]})
    graph.add_conditional_edges(START, lambda _: "left", {"left": "a", "right": "b"})
    graph.add_conditional_edges("a", lambda state: END if len(state["values"]) > 2 else "a")
    app = relive.langgraph.watch(graph.compile(), name="loop")
    assert list(app.stream({"values": []}, stream_mode="updates")) == [{"a": {"values": [1]}}] * 3
    session_id = session_of(client, "loop")
    nodes = client.session(session_id)["nodes"]
    assert nodes["a"]["attempt"] == 3 and nodes["b"]["status"] == "skipped"
    start = client.graph(session_id)["nodes"]["__start__"]
    assert set(start["nextIds"]) == {"a", "b"} and start["properties"]["edgeLabels"]["a"] == "left"


def test_retries_and_errors(client: relive.Client) -> None:
    tries: list[int] = []

    def flaky(_: State) -> State:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError(f"try {len(tries)}")
        return {"values": ["ok"]}

    def broken(_: State) -> State:
        raise RuntimeError("beyond repair")

    policy = RetryPolicy(initial_interval=0.01, jitter=False, retry_on=ValueError)
    graph = StateGraph(State)
    graph.add_node("flaky", flaky, retry_policy=policy)
    graph.add_node("broken", broken)
    graph.add_edge(START, "flaky")
    graph.add_edge("flaky", "broken")
    app = relive.langgraph.watch(graph.compile(), name="errors")
    with pytest.raises(RuntimeError):
        app.invoke({"values": []})
    session_id = session_of(client, "errors")
    state = client.session(session_id)
    assert state["status"] == "failed" and state["error"].startswith("RuntimeError: beyond repair\n")
    assert state["nodes"]["flaky"]["attempt"] == 3 and state["nodes"]["flaky"]["status"] == "completed"
    assert "in broken" in state["nodes"]["broken"]["error"]
    events = [one["event"] for one in client.events(session_id)]
    failures = [one["error"].splitlines()[0] for one in events if one.get("status") == "failed"]
    assert failures == ["ValueError: try 1", "ValueError: try 2", "RuntimeError: beyond repair"]


def test_an_agent_streams_thinks_and_calls_tools(client: relive.Client, model: ModelServer) -> None:
    agent: Any = create_agent(chat(model, stream_usage=True), [get_weather])
    app = relive.langgraph.watch(agent, name="agent", stream_models=True)
    app.invoke({"messages": [HumanMessage("What is the weather?")]})
    session_id = session_of(client, "agent")
    assert model.requests[-1]["stream"]
    state = client.session(session_id)
    nodes = state["nodes"]
    assert nodes["model"]["attempt"] == 2 and nodes["tools"]["status"] == "completed"
    call = nodes["model/tiny-1"]
    assert (call["kind"], call["parentNodeId"], call["attempt"]) == ("llm", "model", 2)
    assert call["attributes"]["gen_ai.request.model"] == "tiny-1"
    used = next(node for key, node in nodes.items() if key.endswith("/get_weather"))
    assert used["kind"] == "tool" and used["parentNodeId"].startswith("tools")
    usage = client.usage(session_id)["byModel"]["tiny-1"]
    assert (usage["inputTokens"], usage["outputTokens"], usage["calls"]) == (24, 10, 2)
    said = list(client.messages(session_id))
    assert [one["role"] for one in said] == ["agent", "tool", "agent"]
    assert said[0]["toolCalls"] == [{"id": "call_1", "name": "get_weather", "arguments": {"city": "Paris"}}]
    assert (said[1]["content"], said[1]["toolCallId"]) == ("sunny in Paris", "call_1")
    assert said[2]["content"] == "It is sunny in Paris."


def test_words_are_shown_as_they_come_and_thinking_apart(client: relive.Client, model: ModelServer) -> None:
    thinker = chat(model, use_responses_api=True, reasoning={"effort": "low", "summary": "auto"})
    graph = StateGraph(State)
    graph.add_node("think", lambda _: {"values": [thinker.invoke("Think!").text]})
    graph.add_edge(START, "think")
    app = relive.langgraph.watch(graph.compile(), name="thinker", stream_models=True)
    assert app.invoke({"values": []})["values"] == ["Then I speak."]
    said = list(client.messages(session_of(client, "thinker")))
    assert [(one["content"], one["isThinking"]) for one in said] == [("First I think.", True), ("Then I speak.", False)]


def test_cancelling_reaches_a_model_that_speaks(client: relive.Client, model: ModelServer) -> None:
    model.released.clear()
    graph = StateGraph(State)
    graph.add_node("slow", lambda _: {"values": [chat(model).invoke("slow").text]})
    graph.add_edge(START, "slow")
    app = relive.langgraph.watch(graph.compile(), name="slow", stream_models=True)

    def cancel() -> None:
        session_id = running(client, "slow")
        until(lambda: statuses(client.session(session_id)).get("slow") == "running")
        client.control(session_id, "cancel")
        # The word after it is the one that is not taken any more.
        until(lambda: client.session(session_id)["status"] == "cancelled")
        model.released.set()

    later = Later(cancel)
    with pytest.raises(relive.Cancelled):
        app.invoke({"values": []})
    later.done()
    assert client.session(session_of(client, "slow"))["status"] == "cancelled"


def test_cancelling_reaches_a_graph_that_awaits(client: relive.Client) -> None:
    async def sleep(_: State) -> State:
        await asyncio.sleep(DEADLINE)
        return {}

    graph = StateGraph(State)
    graph.add_node("sleep", sleep)
    graph.add_edge(START, "sleep")
    app = relive.langgraph.watch(graph.compile(), name="asleep")

    async def invoke() -> None:
        await app.ainvoke({"values": []})

    async def stream() -> None:
        async for _ in app.astream({"values": []}):
            pass

    def cancel() -> None:
        session_id = running(client, "asleep")
        until(lambda: statuses(client.session(session_id)).get("sleep") == "running")
        client.control(session_id, "cancel")

    for run in (invoke, stream):
        later = Later(cancel)
        with pytest.raises(relive.Cancelled):
            asyncio.run(run())
        later.done()
        assert client.session(session_of(client, "asleep"))["status"] == "cancelled"


@pytest.mark.parametrize("is_async", [False, True])
def test_pausing_holds_the_next_node(client: relive.Client, is_async: bool) -> None:
    first, second = threading.Event(), threading.Event()

    def one(_: State) -> State:
        first.set()
        until(lambda: client.session(running_or_paused(client))["status"] == "paused")
        until(lambda: relive.current_run() and relive.current_run().control.is_paused)  # type: ignore[union-attr]
        return {}

    def two(_: State) -> State:
        second.set()
        return {}

    graph = StateGraph(State)
    graph.add_node("one", one)
    graph.add_node("two", two)
    graph.add_edge(START, "one")
    graph.add_edge("one", "two")
    name = f"paused {is_async}"
    app = relive.langgraph.watch(graph.compile(), name=name)

    def running_or_paused(client: relive.Client) -> str:
        return until(lambda: next(iter(client.sessions(name=name, limit=1)), None))["id"]

    def pause() -> None:
        assert first.wait(DEADLINE)
        session_id = until(lambda: next(iter(client.sessions(name=name, status="running", limit=1)), None))["id"]
        client.control(session_id, "pause")
        until(lambda: statuses(client.session(session_id)).get("one") == "completed")
        assert not second.wait(0.2) and statuses(client.session(session_id))["two"] == "pending"
        client.control(session_id, "resume")

    later = Later(pause)
    if is_async:
        asyncio.run(app.ainvoke({"values": []}))
    else:
        app.invoke({"values": []})
    later.done()
    assert second.is_set() and client.session(session_of(client, name))["status"] == "completed"


def asking() -> StateGraph[State, None, State, State]:
    def ask(_: State) -> State:
        return {"values": [interrupt({"draft": "Less is more."})]}

    graph = StateGraph(State)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    return graph


def answer(client: relive.Client, name: str, node_id: str, action: Any, data: Any = None) -> Later:
    def work() -> None:
        session_id = running(client, name)
        when_suspended(client, session_id, node_id)
        client.review(session_id, node_id, action, data=data, reviewer="Ada")

    return Later(work)


Call = Callable[[Any, Any, RunnableConfig], Any]


def _invoke(app: Any, given: Any, config: RunnableConfig) -> Any:
    return app.invoke(given, config)


def _ainvoke(app: Any, given: Any, config: RunnableConfig) -> Any:
    return asyncio.run(app.ainvoke(given, config))


def _stream(app: Any, given: Any, config: RunnableConfig) -> Any:
    return list(app.stream(given, config, stream_mode="values"))[-1]


def _astream(app: Any, given: Any, config: RunnableConfig) -> Any:
    async def collect() -> Any:
        return [chunk async for chunk in app.astream(given, config, stream_mode="values")][-1]

    return asyncio.run(collect())


#: `interrupt()` finds its node by what tasks inherit from Python 3.11 on only.
with_tasks = pytest.mark.skipif(sys.version_info < (3, 11), reason="LangGraph cannot interrupt coroutines here")


@pytest.mark.parametrize(
    "call",
    [_invoke, pytest.param(_ainvoke, marks=with_tasks), _stream, pytest.param(_astream, marks=with_tasks)],
)
@pytest.mark.parametrize(("action", "data", "value"), [("approve", None, True), ("modify", "Most.", "Most.")])
def test_an_interrupt_is_a_review_that_resumes_the_graph(
    client: relive.Client, call: Call, action: str, data: Any, value: Any
) -> None:
    app = relive.langgraph.watch(asking().compile(checkpointer=InMemorySaver()), name="asks")
    later = answer(client, "asks", "ask", action, data)
    assert call(app, {"values": []}, thread("1"))["values"] == [value]
    later.done()
    session_id = session_of(client, "asks")
    state = client.session(session_id)
    assert state["status"] == "completed" and state["nodes"]["ask"]["attempt"] == 1
    assert state["metadata"]["thread_id"] == "1"
    outputs = [one["event"]["output"] for one in client.events(session_id) if "output" in one["event"]]
    assert outputs == [{"draft": "Less is more."}, {"values": [value]}]


def test_several_interrupts_at_once_and_within_subgraphs(client: relive.Client) -> None:
    inner = asking().compile()
    graph = StateGraph(State)
    graph.add_node("left", inner)
    graph.add_node("right", inner)
    graph.add_edge(START, "left")
    graph.add_edge(START, "right")
    app = relive.langgraph.watch(graph.compile(checkpointer=InMemorySaver()), name="several")

    def work() -> None:
        session_id = running(client, "several")
        for side in ("right", "left"):
            when_suspended(client, session_id, f"{side}/ask")
            client.signal(session_id, f"{side}/ask", side)

    later = Later(work)
    assert sorted(app.invoke({"values": []}, thread("1"))["values"]) == ["left", "right"]
    later.done()
    state = client.session(session_of(client, "several"))
    nodes = ("__start__", "left", "right", "left/ask", "right/ask")
    assert statuses(state) == dict.fromkeys(nodes, "completed")
    assert state["nodes"]["left/ask"]["parentNodeId"] == "left"


def test_the_program_resumes_what_it_asks_to_be_returned(client: relive.Client) -> None:
    app = relive.langgraph.watch(asking().compile(checkpointer=InMemorySaver()), name="returns", reviews="return")
    assert app.invoke({"values": []}, thread("1"))["__interrupt__"][0].value == {"draft": "Less is more."}
    session_id = session_of(client, "returns")
    assert statuses(client.session(session_id)) == {"ask": "suspended"}
    assert app.invoke(Command(resume="mine"), thread("1"))["values"] == ["mine"]
    assert session_of(client, "returns") == session_id
    assert client.session(session_id)["status"] == "completed"


def test_an_interrupt_that_nobody_can_answer_returns() -> None:
    nowhere = relive.Reporter("http://127.0.0.1:9")
    app = relive.langgraph.watch(asking().compile(checkpointer=InMemorySaver()), name="nobody", reporter=nowhere)
    assert "__interrupt__" in app.invoke({"values": []}, thread("1"))
    assert not nowhere.close(0.0)
    late = relive.langgraph.watch(asking().compile(checkpointer=InMemorySaver()), name="late", review_timeout=0.05)
    assert "__interrupt__" in late.invoke({"values": []}, thread("1"))


def test_a_person_decides_on_calls_of_tools(client: relive.Client, model: ModelServer) -> None:
    middleware: Any = HumanInTheLoopMiddleware(interrupt_on={"get_weather": True})
    agent: Any = create_agent(chat(model), [get_weather], middleware=[middleware], checkpointer=InMemorySaver())
    app = relive.langgraph.watch(agent, name="decides")

    def decide() -> None:
        session_id = running(client, "decides")
        waiting = until(lambda: [k for k, v in statuses(client.session(session_id)).items() if v == "suspended"])
        client.review(session_id, waiting[0], "approve")

    later = Later(decide)
    result = app.invoke({"messages": [HumanMessage("What is the weather?")]}, thread("1"))
    later.done()
    assert result["messages"][-1].text == "It is sunny in Paris."


def test_nodes_of_ones_own_nest_in_those_of_the_graph(client: relive.Client) -> None:
    @relive.node
    def helper() -> str:
        return "helped"

    def work(_: State) -> State:
        return {"values": [helper()]}

    async def awork(_: State) -> State:
        return {"values": [helper()]}

    for kind, function in (("sync", work), ("async", awork)):
        graph = StateGraph(State)
        graph.add_node("work", RunnableLambda(function) if kind == "sync" else function)
        graph.add_edge(START, "work")
        app = relive.langgraph.watch(graph.compile(), name=f"nests {kind}")
        with relive.run("around") as run:
            assert _ainvoke(app, {"values": []}, {})["values"] == ["helped"] if kind == "async" else app.invoke({})
        state = client.session(session_of(client, f"nests {kind}"))
        assert set(statuses(state).items()) == {("work", "completed"), ("work/helper", "completed")}
        assert state["parentSessionId"] == run.id
        assert relive.current_node() is None


def test_tasks_of_the_functional_api(client: relive.Client) -> None:
    @task
    def double(n: int) -> int:
        return 2 * n

    @entrypoint()
    def flow(numbers: list[int]) -> list[int]:
        return [one.result() for one in [double(n) for n in numbers]]

    app: Any = relive.langgraph.watch(flow, name="functional")
    assert app.invoke([1, 2]) == [2, 4]
    state = client.session(session_of(client, "functional"))
    assert state["status"] == "completed" and set(statuses(state).values()) == {"completed"}
    assert {"flow", "flow/double"} <= set(state["nodes"])
    assert state["nodes"]["flow/double"]["parentNodeId"] == "flow"


def test_a_watched_graph_stays_what_it_was(client: relive.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = asking().compile(checkpointer=InMemorySaver())
    app = relive.langgraph.watch(compiled, name="same", reviews="return")
    assert isinstance(app, type(compiled)) and type(compiled).__name__ == "CompiledStateGraph"
    bound = app.with_config({"tags": ["bound"]})
    app.invoke({"values": []}, thread("1"))
    assert app.get_state(thread("1")).next == ("ask",)
    bound.invoke({"values": []}, thread("2"))
    assert client.session(session_of(client, "same"))["tags"] == ["bound"]
    monkeypatch.setenv("RELIVE_DISABLED", "1")
    assert "__interrupt__" in relive.langgraph.watch(compiled, name="off").invoke({"values": []}, thread("3"))
    assert list(client.sessions(name="off")) == []


def test_a_stream_that_is_left_is_cancelled(client: relive.Client) -> None:
    graph = StateGraph(State)
    graph.add_node("a", lambda _: {"values": [1]})
    graph.add_node("b", lambda _: {"values": [2]})
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    app = relive.langgraph.watch(graph.compile(), name="left")
    chunks: Iterator[Any] = iter(app.stream({"values": []}))
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    assert client.session(session_of(client, "left"))["status"] == "cancelled"


def test_other_runnables_report_into_a_run(client: relive.Client, model: ModelServer) -> None:
    chain = RunnableLambda(lambda text: f"Say: {text}") | chat(model)
    with relive.run("chain") as run, run.node("ask"):
        chain.invoke("hello", {"callbacks": [relive.langgraph.CallbackHandler()]})
    session_id = flushed(run)
    assert statuses(client.session(session_id)) == {"ask": "completed", "ask/tiny-1": "completed"}
    assert [one["content"] for one in client.messages(session_id)] == ["Hello from the model."]


def test_an_error_of_the_model_fails_its_node(client: relive.Client, model: ModelServer) -> None:
    with pytest.raises(Exception, match="the model is broken"), relive.run("model error") as run, run.node("ask"):
        chat(model).invoke("fail", {"callbacks": [relive.langgraph.CallbackHandler()]})
    nodes = client.session(flushed(run))["nodes"]
    assert nodes["ask/tiny-1"]["status"] == "failed" and "the model is broken" in nodes["ask/tiny-1"]["error"]
