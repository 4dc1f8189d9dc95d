"""What runs and nodes report."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import relive

from .conftest import flushed, settle, statuses

pytestmark = pytest.mark.usefixtures("reporter")


def test_a_run_reports_all_of_it(client: relive.Client) -> None:
    with relive.run("Nightly ETL", tags=["etl"], metadata={"env": "prod"}, inputs={"day": 1}) as run:
        with run.node("fetch", kind="task", input={"from": "a"}) as node:
            node.progress(0.5)
            node.log("half way", "warn", rows=21)
            node.usage(model="gpt-4o-mini", input_tokens=10, output_tokens=2, cached_input_tokens=3)
            node.message("Found **some**.", agent="reader", tokens=4)
            node.attributes(source="db")
            node.output({"rows": 42})
        run.context("seen", [1, 2])
        run.outputs("done")
    session_id = flushed(run)
    state = client.session(session_id)
    assert (state["status"], state["name"], state["tags"]) == ("completed", "Nightly ETL", ["etl"])
    assert state["metadata"] == {"env": "prod"} and state["contextData"] == {"seen": [1, 2]}
    node_ = client.node(session_id, "fetch")
    assert node_["status"] == "completed" and node_["progress"] == 0.5
    assert node_["input"] == {"from": "a"} and node_["output"] == {"rows": 42}
    assert node_["tokenUsage"] == {"inputTokens": 10, "outputTokens": 2}
    assert node_["kind"] == "task" and node_["attributes"] == {"source": "db"}
    said = list(client.messages(session_id))
    assert [(one["content"], one["agentId"], one["tokenCount"]) for one in said] == [("Found **some**.", "reader", 4)]
    lines = list(client.logs(session_id))
    assert [(one["text"], one["level"], one["attributes"]) for one in lines] == [("half way", "warn", {"rows": 21})]
    entity = client.entity(session_id)
    assert entity["inputs"] == {"day": 1} and entity["outputs"] == "done"


def test_an_error_fails_the_node_and_the_run_with_its_traceback(client: relive.Client) -> None:
    with pytest.raises(ValueError), relive.run("broken") as run, run.node("work"):
        raise ValueError("no rows")
    state = client.session(flushed(run))
    assert state["status"] == "failed" and state["error"].startswith("ValueError: no rows\n\nTraceback")
    error = state["nodes"]["work"]["error"]
    assert "test_runs.py" in error and error.splitlines()[0] == "ValueError: no rows"


def test_the_exit_status_decides(client: relive.Client) -> None:
    outcomes = {}
    for code in (0, 3):
        with pytest.raises(SystemExit), relive.run("exit") as run:
            raise SystemExit(code)
        outcomes[code] = client.session(flushed(run))["status"]
    with pytest.raises(KeyboardInterrupt), relive.run("keyboard") as run:
        raise KeyboardInterrupt
    assert client.session(flushed(run))["status"] == "cancelled"
    assert outcomes == {0: "completed", 3: "failed"}


def test_nodes_nest(client: relive.Client) -> None:
    with relive.run("nested") as run, run.node("outer") as outer:
        with run.node("inner"), run.node("innermost"):
            pass
        with outer.node("inner"):
            pass
    nodes = client.session(flushed(run))["nodes"]
    assert nodes["outer/inner"]["parentNodeId"] == "outer"
    assert nodes["outer/inner/innermost"]["parentNodeId"] == "outer/inner"
    assert nodes["outer/inner"]["attempt"] == 2 and nodes["outer/inner"]["name"] == "inner"


def test_decorated_functions_of_every_kind_are_nodes(client: relive.Client) -> None:
    @relive.node
    def plain(a: int, b: int = 2) -> int:
        return inner(a) + b

    @relive.node("within", kind="tool", input=False)
    def inner(a: int) -> int:
        return a

    @relive.node(output=False)
    async def coroutine(text: str) -> str:
        return text

    @relive.node
    def generator() -> Iterator[int]:
        yield inner(1)

    @relive.node
    async def async_generator() -> AsyncIterator[str]:
        yield await coroutine("x")

    async def main() -> None:
        assert await coroutine("y") == "y"
        assert [one async for one in async_generator()] == ["x"]

    assert plain(1) == 3, "outside of a run nothing changes"
    with relive.run("decorated") as run:
        assert plain(1) == 3
        assert list(generator()) == [1]
        asyncio.run(main())
    session_id = flushed(run)
    nodes = client.session(session_id)["nodes"]
    assert set(nodes) == {
        "plain", "plain/within", "coroutine", "generator", "generator/within", "async_generator",
        "async_generator/coroutine",
    }  # fmt: skip
    assert all(node["status"] == "completed" for node in nodes.values())
    assert client.node(session_id, "plain")["input"] == {"a": 1}
    assert client.node(session_id, "plain")["output"] == 3
    within = client.node(session_id, "plain/within")
    assert "input" not in within and within["kind"] == "tool"
    assert "output" not in client.node(session_id, "coroutine")


def test_methods_and_wrong_calls(client: relive.Client) -> None:
    class Worker:
        @relive.node
        def work(self, n: int) -> int:
            return n

    with relive.run("methods") as run:
        assert Worker().work(3) == 3
        with pytest.raises(TypeError):
            Worker().work()  # type: ignore[call-arg]
    session_id = flushed(run)
    assert client.node(session_id, "work")["status"] == "failed"
    events = [one["event"] for one in client.events(session_id)]
    assert {"n": 3} in [event.get("input") for event in events]


def test_coroutines_at_the_same_time_are_instances(client: relive.Client) -> None:
    async def main() -> None:
        together = asyncio.Barrier(3) if hasattr(asyncio, "Barrier") else None

        @relive.node
        async def score(text: str) -> int:
            if together is not None:
                await together.wait()
            else:
                await asyncio.sleep(0.05)
            with relive.current_run().node("part"):  # type: ignore[union-attr]
                return len(text)

        assert await asyncio.gather(*(score("x" * n) for n in range(3))) == [0, 1, 2]

    with relive.run("parallel") as run, run.node("batch"):
        asyncio.run(main())
    session_id = flushed(run)
    nodes = client.session(session_id)["nodes"]
    scores = {"batch/score", "batch/score#2", "batch/score#3"}
    assert set(nodes) == {"batch", *scores, *(f"{one.replace('#', ':')}/part" for one in scores)}
    assert {client.node(session_id, one)["output"] for one in scores} == {0, 1, 2}
    assert nodes["batch/score:2/part"]["parentNodeId"] == "batch/score#2"


def test_threads_and_pools_belong_to_the_node_that_starts_them(client: relive.Client) -> None:
    together = threading.Barrier(4)

    @relive.node
    def score(n: int) -> int:
        together.wait(10)
        return n

    with relive.run("threads") as run, run.node("batch"):
        thread = threading.Thread(target=score, args=(9,))
        thread.start()
        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(score, range(3))) == [0, 1, 2]
        thread.join()
    nodes = client.session(flushed(run))["nodes"]
    assert set(nodes) == {"batch", "batch/score", "batch/score#2", "batch/score#3", "batch/score#4"}
    assert relive.current_node() is None


def test_a_hundred_at_once_many_times_are_a_hundred_instances(client: relive.Client) -> None:
    @relive.node(input=False)
    async def step() -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        for _ in range(5):
            await asyncio.gather(*(step() for _ in range(100)))

    with relive.run("many") as run:
        asyncio.run(main())
    nodes = client.session(flushed(run))["nodes"]
    assert len(nodes) == 100 and {node["attempt"] for node in nodes.values()} == {5}


def test_keys_name_instances(client: relive.Client) -> None:
    graph = {"name": "g", "startNodeId": "map", "nodes": {"map": {"id": "map", "type": "task", "name": "Map"}}}
    with relive.run("keyed", graph=graph) as run:
        run.node("map", key="a").start().complete()
        run.node("any name", id="map", key="b\n").start().complete()
    nodes = client.session(flushed(run))["nodes"]
    assert set(nodes) == {"map", "map#a", "map#b "} and nodes["map"]["status"] == "completed"


def test_a_run_within_a_run_is_its_child(client: relive.Client) -> None:
    with relive.run("parent") as parent, parent.node("spawn") as node, relive.run("child") as child:
        with child.node("work"):
            assert relive.current_run() is child
    flushed(parent)
    state = client.session(child.id)
    assert set(statuses(state)) == {"work"}
    assert (state.get("parentSessionId"), state.get("parentNodeId")) == (parent.id, node.id)


def test_messages_are_shown_while_they_are_written(client: relive.Client) -> None:
    with relive.run("words") as run, run.node("write") as node:
        settle()
        told: list[Any] = []
        with client.watch_messages(run.id) as seen, node.writing(agent="poet") as message:
            reader = threading.Thread(target=lambda: told.extend(_until_whole(seen)))
            reader.start()
            # Pieces that are sent before the viewer is there are not shown to it.
            while len(told) < 2 and reader.is_alive():
                message.write("word ")
                settle()
            message.close()
            reader.join(30)
    assert [one["isStreaming"] for one in told] == [True] * (len(told) - 1) + [False] and len(told) > 2
    assert told[0]["nodeId"] == "write" and told[-1]["agentId"] == "poet"
    assert told[-1]["content"] == message.text and message.text.endswith(told[-2]["content"])


def _until_whole(messages: Iterator[Any]) -> Iterator[Any]:
    for message in messages:
        yield message
        if not message["isStreaming"]:
            return


def test_tool_calls_and_their_results(client: relive.Client) -> None:
    with relive.run("tools") as run, run.node("agent") as node:
        node.message("", tool_calls=[{"id": "1", "name": "add", "arguments": {"a": 1}}])
        node.message("2", role="tool", tool_call_id="1", content_type="text/plain")
        node.message("Hm.", thinking=True)
    said = list(client.messages(flushed(run)))
    assert said[0]["toolCalls"] == [{"id": "1", "name": "add", "arguments": {"a": 1}}]
    assert (said[1]["role"], said[1]["toolCallId"], said[1]["contentType"]) == ("tool", "1", "text/plain")
    assert said[2]["isThinking"]


def test_logging_goes_to_the_node(client: relive.Client) -> None:
    logger = logging.getLogger("test.of.logs")
    handler = relive.LogHandler()
    logger.addHandler(handler)
    try:
        logger.error("outside")
        with relive.run("logs") as run, run.node("work"):
            logger.error("inside %s", 1)
    finally:
        logger.removeHandler(handler)
    lines = list(client.logs(flushed(run)))
    assert [(one["text"], one["level"], one["nodeId"]) for one in lines] == [("inside 1", "error", "work")]


def test_labels_memories_and_proposals(client: relive.Client) -> None:
    with relive.run("labels", metadata={"a": 1}) as run:
        run.labels(name="renamed", tags=["x", "x", "y"], metadata={"b": True, "c": [1]})  # type: ignore[dict-item]
        run.memory("The customer likes cats.")
        run.proposal({"text": "Less is more."})
    session_id = flushed(run)
    state = client.session(session_id)
    assert (state["name"], state["tags"]) == ("renamed", ["x", "y"])
    assert state["metadata"] == {"b": True, "c": "[1]"}
    assert [one["content"] for one in client.memories(session_id)] == ["The customer likes cats."]
    assert client.entity(session_id)["proposal"] == {"text": "Less is more."}


def test_the_times_are_those_of_the_program(client: relive.Client) -> None:
    with relive.run("times") as run:
        node = run.node("late").start()
        node.ended(0.0)
        node.complete()
    state = client.session(flushed(run))["nodes"]["late"]
    assert state["startedAt"] == state["completedAt"], "an end before the start is moved to it"
