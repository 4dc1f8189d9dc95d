"""What is asked of a run from outside reaches the program."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

import relive

from .conftest import DEADLINE, flushed, settle, statuses, until

pytestmark = pytest.mark.usefixtures("reporter")


class Later(threading.Thread):
    """Something done on another thread, which says if it fails."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self._work = work
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._error = error

    def done(self) -> None:
        self.join(DEADLINE)
        assert not self.is_alive()
        if self._error is not None:
            raise self._error


def when_suspended(client: relive.Client, session_id: str, node_id: str) -> None:
    until(lambda: _status(client, session_id, node_id) == "suspended", "the wait")


def _status(client: relive.Client, session_id: str, node_id: str) -> str | None:
    try:
        return statuses(client.session(session_id)).get(node_id)
    except relive.ReliveError:
        return None


def test_cancelling_ends_a_program_at_its_next_node(client: relive.Client) -> None:
    with pytest.raises(relive.Cancelled), relive.run("cancelled") as run:
        flushed(run)
        client.control(run.id, "cancel", "enough")
        until(lambda: run.control.is_cancelled, "the cancellation")
        with run.node("never"):
            raise AssertionError("it went on")
    state = client.session(flushed(run))
    assert state["status"] == "cancelled" and state["nodes"] == {}
    assert relive.stats().refused == 0


def test_progress_notices_the_cancellation_and_no_except_swallows_it(client: relive.Client) -> None:
    def work(node: relive.Node) -> None:
        while True:
            try:
                node.progress(0.5)
            except Exception:
                raise AssertionError("taken for an error") from None

    with pytest.raises(relive.Cancelled), relive.run("stopped") as run, run.node("long") as node:
        flushed(run)
        client.control(run.id, "stop")
        work(node)
    state = client.session(flushed(run))
    assert state["status"] == "failed" and statuses(state) == {"long": "failed"}


def test_cancelling_cancels_the_task(client: relive.Client) -> None:
    async def main() -> None:
        async with relive.run("task") as run:
            ids.append(run.id)
            async with run.node("sleep"):
                await asyncio.sleep(DEADLINE)

    ids: list[str] = []

    def cancel() -> None:
        until(lambda: ids and _status(client, ids[0], "sleep") == "running")
        client.control(ids[0], "cancel")

    later = Later(cancel)
    with pytest.raises(relive.Cancelled):
        asyncio.run(main())
    later.done()
    assert client.session(ids[0])["status"] == "cancelled"


def test_a_task_that_others_cancel_stays_cancelled(client: relive.Client) -> None:
    async def main() -> str:
        async def work() -> None:
            async with relive.run("by others") as run:
                ids.append(run.id)
                await asyncio.sleep(DEADLINE)

        task = asyncio.create_task(work())
        # It runs until it waits.
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return ids[0]

    ids: list[str] = []
    session_id = asyncio.run(main())
    settle()
    assert client.session(session_id)["status"] == "cancelled"


def test_pausing_holds_the_next_node_until_it_is_resumed(client: relive.Client) -> None:
    with relive.run("paused") as run:
        flushed(run)
        client.control(run.id, "pause")
        until(lambda: run.control.is_paused, "the pause")
        entered = threading.Event()

        def work() -> None:
            with run.node("held"):
                entered.set()

        later = Later(work)
        assert not entered.wait(0.2) and "held" not in client.session(run.id)["nodes"]
        client.control(run.id, "resume")
        later.done()
    assert client.session(flushed(run))["status"] == "completed"


def test_pausing_does_not_hold_the_loop(client: relive.Client) -> None:
    async def main() -> None:
        async with relive.run("paused task") as run:
            await asyncio.to_thread(flushed, run)
            client.control(run.id, "pause")
            await asyncio.to_thread(until, lambda: run.control.is_paused)

            async def work() -> str:
                async with run.node("held"):
                    return "done"

            task = asyncio.create_task(work())
            await asyncio.sleep(0.1)
            assert not task.done()
            client.control(run.id, "resume")
            assert await task == "done"

    asyncio.run(main())


def test_a_review_is_answered(client: relive.Client) -> None:
    with relive.run("reviewed") as run, run.node("draft") as node:
        later = Later(lambda: _answer(client, run.id))
        review = node.review({"text": "Less is more."}, timeout=DEADLINE)
        later.done()
        assert (review.action, review.reviewer, review.data, review.is_approved) == ("modify", "Ada", "More.", True)
        assert _status(client, flushed(run), "draft") == "running"
    state = client.session(flushed(run))
    assert state["status"] == "completed" and state["nodes"]["draft"]["type"] == "human_review"


def _answer(client: relive.Client, session_id: str) -> None:
    when_suspended(client, session_id, "draft")
    assert client.node(session_id, "draft")["output"] == {"text": "Less is more."}
    client.review(session_id, "draft", "modify", reviewer="Ada", data="More.")


def test_signals_reach_the_nodes_that_wait_for_them(client: relive.Client) -> None:
    async def wait(run: relive.Run, name: str) -> Any:
        async with run.node(name) as node:
            return await node.wait_for_signal_async(DEADLINE)

    async def main() -> None:
        async with relive.run("signals") as run:

            def send() -> None:
                for name in ("b", "a"):
                    when_suspended(client, run.id, name)
                    client.signal(run.id, name, {"for": name})

            later = Later(send)
            answers = await asyncio.gather(wait(run, "a"), wait(run, "b"))
            assert list(answers) == [{"for": "a"}, {"for": "b"}]
            assert await asyncio.to_thread(_twice, client, run) == [1, 2]
            later.done()

    asyncio.run(main())


def _twice(client: relive.Client, run: relive.Run) -> list[Any]:
    """One node waits twice: the first answer is not taken for the second."""
    answers = []
    with run.node("twice") as node:
        for n in (1, 2):

            def send(n: int = n) -> None:
                when_suspended(client, run.id, "twice")
                client.signal(run.id, "twice", n)

            later = Later(send)
            answers.append(node.wait_for_signal(DEADLINE))
            later.done()
            flushed(run)
    return answers


def test_waiting_ends_when_its_time_is_over_or_the_run(client: relive.Client) -> None:
    with relive.run("timeout") as run, run.node("wait") as node:
        with pytest.raises(TimeoutError):
            node.wait_for_signal(0.05)
        assert _status(client, flushed(run), "wait") == "running"

        def cancel() -> None:
            when_suspended(client, run.id, "wait")
            client.control(run.id, "stop")

        later = Later(cancel)
        with pytest.raises(relive.Cancelled):
            node.wait_for_signal(DEADLINE)
        later.done()


def _waits(client: relive.Client, session_id: str) -> int:
    """How often a node of the session has begun to wait."""
    return sum(one["event"].get("status") == "suspended" for one in client.events(session_id))


def test_what_is_asked_while_the_connection_is_lost_is_heard_later(url: str, client: relive.Client) -> None:
    from .proxy import Proxy

    proxy = Proxy(url)
    reporter = relive.Reporter(proxy.url)
    with pytest.raises(relive.Cancelled), relive.run("cut", reporter=reporter) as run, run.node("wait") as node:

        def act() -> None:
            when_suspended(client, run.id, "wait")
            for n in range(3):
                proxy.cut()
                client.signal(run.id, "wait", n)
                until(lambda n=n: _waits(client, run.id) > n + 1)  # type: ignore[misc]
            proxy.cut()
            client.control(run.id, "cancel")

        heard: list[Any] = []
        later = Later(act)
        while True:
            heard.append(node.wait_for_signal(DEADLINE))
    later.done()
    assert heard == [0, 1, 2]
    reporter.close()
    proxy.close()
