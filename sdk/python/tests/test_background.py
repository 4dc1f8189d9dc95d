"""Reporting is never in the way of the program, whatever happens to the server."""

from __future__ import annotations

import logging
import multiprocessing
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import relive
from relive._reporting import reporter as reporters

from .conftest import DEADLINE, Server, flushed, statuses, until
from .proxy import Proxy


def nowhere() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def program(text: str, url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)],
        env={**os.environ, "RELIVE_URL": url, **environment},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def test_a_server_that_is_away_neither_slows_nor_fails(caplog: pytest.LogCaptureFixture) -> None:
    reporter = relive.Reporter(nowhere(), limits=relive.Limits(queued=200, flush=0.0))
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, "relive"):
        with relive.run("away", reporter=reporter) as run:
            for n in range(1_000):
                with run.node("step", input=n) as node:
                    node.log("x")
                    node.output(n)
        assert time.monotonic() - began < 5
        until(lambda: "further ones are dropped" in caplog.text, "the warning")
    stats = reporter.stats()
    assert 0 < stats.queued <= 200 and stats.sent == 0
    # Start and end of each node, of which an end is counted with its start, a log line each, and the run's two.
    assert stats.dropped > 1_000
    assert caplog.text.count("takes no reports now") == 1 and caplog.text.count("further ones are dropped") == 1
    assert not reporter.close(0.01)


def test_what_was_reported_while_the_server_was_away_arrives_in_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    reporter = relive.Reporter(f"http://{address}")
    with relive.run("early", reporter=reporter) as run:
        for n in range(20):
            with run.node(f"step {n}"):
                pass
    until(lambda: "takes no reports now" in caplog.text, "the warning")
    server = Server(tmp_path, address)
    try:
        assert reporter.flush(DEADLINE)
        with relive.Client(server.url) as client:
            state = client.session(run.id)
            assert state["status"] == "completed" and len(state["nodes"]) == 20
            order = [
                one["event"]["nodeId"] for one in client.events(run.id) if one["event"]["type"] == "nodeStatusChanged"
            ]
            assert order == [f"step {n}" for n in range(20) for _ in range(2)]
    finally:
        reporter.close()
        server.close()


def test_a_restart_in_the_middle_loses_and_repeats_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path)
    reporter = relive.Reporter(server.url)
    with relive.run("restarted", reporter=reporter) as run:
        with run.node("before"):
            pass
        assert reporter.flush(DEADLINE)
        restart = threading.Thread(target=server.restart)
        restart.start()
        while restart.is_alive():
            until(lambda: reporter.stats().queued < 1_000 or not restart.is_alive())
            with run.node("during") as node:
                node.usage(input_tokens=1, output_tokens=1)
        with run.node("after"):
            pass
    try:
        assert reporter.flush(DEADLINE)
        with relive.Client(server.url) as client:
            state = client.session(run.id)
            events = [one["event"] for one in client.events(run.id)]
    finally:
        reporter.close()
        server.close()
    assert statuses(state) == dict.fromkeys(("before", "during", "after"), "completed")
    used = sum(event["type"] == "usageRecorded" for event in events)
    assert state["nodes"]["during"]["attempt"] == used == state["totalTokens"] / 2
    assert reporter.stats().dropped == reporter.stats().refused == 0


def test_an_answer_that_is_lost_is_asked_for_again_and_carried_out_once(url: str, client: relive.Client) -> None:
    proxy = Proxy(url)
    lost = 0

    def lose(answer: bytes) -> bool:
        nonlocal lost
        if answer.startswith(b"HTTP/1.1 20") and lost < 4:
            lost += 1
            return True
        return False

    reporter = relive.Reporter(proxy.url)
    with relive.run("lossy", reporter=reporter) as run:
        assert reporter.flush(DEADLINE)
        proxy.lose = lose
        for _ in range(10):
            with run.node("step") as node:
                node.usage(input_tokens=1, output_tokens=0)
                reporter.flush(1)
    assert reporter.close(DEADLINE)
    proxy.close()
    state = client.session(run.id)
    assert lost == 4 and state["totalTokens"] == 10 and state["nodes"]["step"]["attempt"] == 10


@pytest.mark.usefixtures("reporter")
def test_what_the_server_refuses_takes_nothing_else_with_it(
    client: relive.Client, caplog: pytest.LogCaptureFixture
) -> None:
    graph = {"name": "g", "startNodeId": "a", "nodes": {"a": {"id": "a", "type": "task", "name": "A"}}}
    before = relive.stats()
    with relive.run("refused", graph=graph) as run:
        for _ in range(10):
            run.node("not in the graph").start().complete()
            with run.node("a") as node:
                node.usage(input_tokens=1, output_tokens=0)
    state = client.session(flushed(run))
    assert state["status"] == "completed" and statuses(state) == {"a": "completed"} and state["totalTokens"] == 10
    assert relive.stats().refused - before.refused == 20
    assert caplog.text.count("refused a report") == 1


@pytest.mark.usefixtures("reporter")
def test_nodes_that_nobody_ended_do_not_keep_the_run_open(client: relive.Client) -> None:
    with relive.run("leaky") as run:
        run.node("left").start()
    state = client.session(flushed(run))
    assert state["status"] == "completed" and statuses(state) == {"left": "skipped"}


@pytest.mark.usefixtures("reporter")
def test_values_that_json_cannot_express_are_reported_all_the_same(client: relive.Client) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    steps: dict[str, Any] = {}
    for _ in range(200):
        steps = {"next": steps}
    values: list[Any] = [
        cycle, deep, {(1, 2): 3}, float("nan"), float("inf"), 10**400, b"\xff", {1, 2}, Broken(), object, "\ud800",
        "a\0b", ValueError("x"), Path("/x"), "x" * 2_000_000, [1] * 500_000, range(3),
        {"a": Broken()}, memoryview(b"x"), steps,
    ]  # fmt: skip
    before = relive.stats()
    with relive.run("values \ud800\0") as run:
        for index, value in enumerate(values):
            with run.node(f"n{index}", input=value, attributes={"value": value}) as node:
                node.output(value)
                node.log(str(index), value=value)
                node.message("\ud800\0" + "y" * index)
            with pytest.raises(ValueError), run.node("\ud800\0 \n" + "n" * 1_000 + str(index)):
                raise ValueError("\ud800\0" * 20_000)
    state = client.session(flushed(run))
    assert relive.stats().refused == before.refused
    assert len(state["nodes"]) == 2 * len(values)
    big = client.node(run.id, "n14")["output"]
    assert big["truncated"] and big["bytes"] == 2_000_002


def test_nothing_is_reported_when_it_is_disabled() -> None:
    done = program(
        """
        import relive, threading
        with relive.run("off") as run:
            with run.node("step") as node:
                node.log("x"); node.progress(1); node.output(1)
                try:
                    node.review("draft")
                except relive.ReliveError as error:
                    print(error.code)
        relive.flush()
        print(threading.active_count(), run.url == "", relive.stats().queued)
        """,
        nowhere(),
        RELIVE_DISABLED="1",
    )
    assert done.stdout.split() == ["unavailable", "1", "True", "0"] and done.stderr == ""


def test_a_program_that_ends_sends_what_is_left(url: str, client: relive.Client) -> None:
    done = program(
        """
        import relive
        with relive.run("short") as run:
            with run.node("step"):
                pass
        print(run.id)
        """,
        url,
    )
    assert client.session(done.stdout.strip())["status"] == "completed"


def test_a_program_ends_in_time_when_nobody_answers() -> None:
    # Connections are accepted, and then nothing comes.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        began = time.monotonic()
        done = program('import relive\nwith relive.run("stuck"): pass\nprint("end")', url, RELIVE_FLUSH_SECONDS="0.5")
        assert done.stdout == "end\n" and time.monotonic() - began < 10
    began = time.monotonic()
    assert program('import relive\nwith relive.run("away"): pass\nprint("end")', nowhere()).stdout == "end\n"
    assert time.monotonic() - began < 10


def test_an_uncaught_error_is_reported_before_the_program_ends(url: str, client: relive.Client) -> None:
    done = program('import relive\nwith relive.run("crash") as run:\n print(run.id, flush=True); 1/0', url)
    assert done.returncode == 1
    assert client.session(done.stdout.strip())["error"].startswith("ZeroDivisionError")


def _work(name: str) -> None:
    run = relive.current_run()
    assert run is not None
    with run.node(name) as node:
        node.output(os.getpid())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.usefixtures("reporter")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_processes_report_into_the_same_run_and_nothing_twice(client: relive.Client) -> None:
    context = multiprocessing.get_context("fork")
    with relive.run("forked") as run:
        with run.node("parent") as node:
            node.usage(input_tokens=1, output_tokens=0)
            children = [context.Process(target=_work, args=(f"child {n}",)) for n in range(3)]
            for child in children:
                child.start()
            for child in children:
                child.join(DEADLINE)
    assert [child.exitcode for child in children] == [0, 0, 0]
    state = client.session(flushed(run))
    assert state["status"] == "completed" and state["totalTokens"] == 1
    names = {f"parent/child {n}" for n in range(3)}
    assert set(state["nodes"]) == {"parent", *names} and set(statuses(state).values()) == {"completed"}
    assert len({client.node(run.id, name)["output"] for name in names}) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.usefixtures("reporter")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_while_others_report_does_not_stand_still() -> None:
    is_over = threading.Event()

    def report() -> None:
        with relive.run("busy") as run:
            while not is_over.is_set():
                with run.node("step"):
                    pass

    threads = [threading.Thread(target=report) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                with relive.run("child"):
                    pass
                os._exit(0)
            until(lambda child=child: os.waitpid(child, os.WNOHANG)[0], "the end of the child")  # type: ignore[misc]
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


@pytest.mark.usefixtures("reporter")
def test_a_session_that_is_deleted_meanwhile_is_given_up(client: relive.Client) -> None:
    with relive.run("deleted") as run:
        flushed(run)
        client.delete_session(run.id)
        for _ in range(5):
            with run.node("step"):
                pass
            flushed(run)
    with pytest.raises(relive.ReliveError) as refused:
        client.session(flushed(run))
    assert refused.value.code == "not_found"


def test_an_address_that_is_none_is_said_at_once() -> None:
    with pytest.raises(ValueError, match="no address of a server"):
        relive.Reporter("localhost:7400")


def test_two_threads_make_one_reporter(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("RELIVE_URL", url)
    monkeypatch.setattr(reporters._process, "default", None)
    found: list[relive.Reporter] = []
    threads = [threading.Thread(target=lambda: found.append(reporters.default_reporter())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and found[0].url == url


@pytest.mark.usefixtures("reporter")
def test_a_run_within_one_that_the_server_does_not_have_is_reported_alone(client: relive.Client) -> None:
    other = relive.Reporter(nowhere())
    with relive.run("elsewhere", reporter=other), relive.run("alone") as run:
        pass
    state = client.session(flushed(run))
    assert state["status"] == "completed" and "parentSessionId" not in state
    assert not other.close(0.0)


def test_a_program_that_is_killed_leaves_a_run_that_is_shown_as_stalled(url: str, client: relive.Client) -> None:
    text = """
        import os, relive, signal
        relive.configure(limits=relive.Limits(lease=5))
        run = relive.run("killed").start()
        run.node("work").start()
        relive.flush()
        print(run.id, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    session_id = program(text, url).stdout.strip()
    state = until(lambda: _stalled(client, session_id), "the stall")
    assert state["status"] == "running" and "driverSeenAt" in state


def _stalled(client: relive.Client, session_id: str) -> Any:
    state: Any = client.session(session_id)
    return state if state.get("isStalled") else None


def test_a_program_that_works_in_silence_is_not_stalled(url: str, client: relive.Client) -> None:
    reporter = relive.Reporter(url, limits=relive.Limits(lease=5))
    with relive.run("silent", reporter=reporter) as run:
        seen = []
        for _ in range(3):
            renewed = reporter.sender.renewals
            until(lambda renewed=renewed: reporter.sender.renewals > renewed, "a renewal")  # type: ignore[misc]
            seen.append(_stalled(client, run.id))
    reporter.close()
    assert seen == [None] * 3
