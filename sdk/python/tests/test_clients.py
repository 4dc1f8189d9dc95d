"""Reading, watching and steering."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import relive
from relive._merge_patch import merge_patch

from .conftest import DEADLINE, flushed, until
from .proxy import Proxy

pytestmark = pytest.mark.usefixtures("reporter")


def made(name: str = "made", nodes: int = 5) -> relive.Run:
    with relive.run(name, tags=["made"], metadata={"n": nodes}) as run:
        for n in range(nodes):
            with run.node(f"step {n}") as node:
                node.message(f"message {n}")
                node.usage(model="gpt-4o-mini", input_tokens=10, output_tokens=5)
                node.output(n)
    flushed(run)
    return run


def test_merge_patches() -> None:
    target = {"a": {"b": 1, "c": 2}, "d": [1], "e": "x"}
    patch = {"a": {"b": None, "f": {"g": None, "h": 3}}, "d": [2], "e": None}
    assert merge_patch(target, patch) == {"a": {"c": 2, "f": {"h": 3}}, "d": [2]}
    assert target == {"a": {"b": 1, "c": 2}, "d": [1], "e": "x"}
    assert merge_patch([1], {"a": 1}) == {"a": 1} and merge_patch({"a": 1}, None) is None


def test_watching_shows_each_newer_state_until_the_end(client: relive.Client) -> None:
    states: list[Any] = []
    with relive.run("watched") as run:
        flushed(run)
        thread = threading.Thread(target=lambda: states.extend(client.watch(run.id)))
        thread.start()
        for n in range(20):
            with run.node(f"step {n}"):
                pass
            flushed(run)
    flushed(run)
    thread.join(DEADLINE)
    revisions = [state["revision"] for state in states]
    assert revisions == sorted(set(revisions)) and states[-1] == client.session(run.id)
    assert states[-1]["status"] == "completed"
    held = states[-2]
    assert [state["revision"] for state in client.watch(run.id, held=held)] == [states[-1]["revision"]]


def test_coroutines_watch_too(url: str) -> None:
    async def main() -> None:
        async with relive.AsyncClient(url) as client, relive.run("watched") as run:
            await asyncio.to_thread(flushed, run)
            seen: list[int] = []

            async def watch() -> None:
                seen.extend([state["revision"] async for state in client.watch(run.id)])

            task = asyncio.create_task(watch())
            async with run.node("step"):
                pass
            run.complete()
            await asyncio.wait_for(task, DEADLINE)
            state = await client.session(run.id)
            assert seen[-1] == state["revision"] and seen == sorted(set(seen))
            assert [one["revision"] async for one in client.watch_events(run.id)] == list(range(1, seen[-1] + 1))
            assert [one["id"] async for one in client.sessions(name="watched", limit=1)] == [run.id]

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["states", "events"])
def test_watching_goes_on_without_a_gap_when_connections_are_lost(url: str, client: relive.Client, kind: str) -> None:
    proxy = Proxy(url)
    watcher = relive.Client(proxy.url)
    seen: list[Any] = []
    with relive.run("cut") as run:
        flushed(run)
        feed: Any = watcher.watch(run.id) if kind == "states" else watcher.watch_events(run.id)
        thread = threading.Thread(target=lambda: seen.extend(feed))
        thread.start()
        for n in range(8):
            with run.node("step") as node:
                node.output(n)
            revision = client.session(flushed(run))["revision"]
            until(lambda revision=revision: seen and seen[-1]["revision"] >= revision)  # type: ignore[misc]
            if n % 2:
                proxy.cut()
    last = client.session(flushed(run))["revision"]
    thread.join(DEADLINE)
    proxy.close()
    revisions = [one["revision"] for one in seen]
    assert proxy.connections >= 4 and revisions[-1] == last
    assert revisions == (list(range(1, last + 1)) if kind == "events" else sorted(set(revisions)))


def test_messages_are_watched_and_listed(client: relive.Client) -> None:
    run = made()
    texts = [f"message {n}" for n in range(5)]
    assert [one["content"] for one in client.messages(run.id)] == texts
    assert [one["content"] for one in client.messages(run.id, node_id="step 3")] == ["message 3"]
    assert [one["content"] for one in client.watch_messages(run.id, after=0)] == texts


def test_lists_and_live_lists_filter(client: relive.Client) -> None:
    runs = [made("listed", nodes) for nodes in (1, 2)]
    ids = [run.id for run in reversed(runs)]
    assert [one["id"] for one in client.sessions(name="listed", tag=["made"])][:2] == ids
    found = client.session_page(name="listed", metadata={"n": 2}, status=["completed", "failed"])
    assert found["sessions"][0]["id"] == runs[1].id
    with client.watch_sessions(name="listed", limit=2) as lists:
        assert list(next(lists)) == ids
        newest = made("listed")
        assert until(lambda: next(iter(next(lists))) == newest.id)


def test_pages_are_read_to_the_end(client: relive.Client) -> None:
    with relive.run("long") as run:
        for n in range(700):
            run.context("n", n)
    session_id = flushed(run)
    revisions = [one["revision"] for one in client.events(session_id, after=3)]
    # The lease is an event too, and a longer run renews it in its history.
    last = client.session(session_id)["revision"]
    assert last >= 703
    assert revisions == list(range(4, last + 1))
    made("one more")
    assert len(list(client.sessions(limit=2))) == 2


def test_a_run_is_replayed(client: relive.Client) -> None:
    run = made()
    last = client.session(run.id)
    states = list(client.replay(run.id, speed="max"))
    assert states[-1] == last
    part = list(client.replay(run.id, speed="max", start=3, end=5))
    assert (part[0]["revision"], part[-1]["revision"]) == (3, 5)


def test_a_replay_is_controlled_and_goes_on_when_its_connection_is_lost(url: str) -> None:
    run = made()
    proxy = Proxy(url)
    watcher = relive.Client(proxy.url)
    with watcher.replay(run.id, paused=True) as replay:
        assert next(replay)["revision"] == 1
        assert replay.seek(revision=4) and next(replay)["revision"] == 4
        assert replay.step() and next(replay)["revision"] == 5
        proxy.cut()
        assert next(replay)["revision"] == 5
        assert replay.set_speed("max") and replay.play()
        assert list(replay)[-1]["status"] == "completed"
    proxy.close()


def test_sessions_travel_as_files(client: relive.Client, tmp_path: Path) -> None:
    run = made()
    client.export(run.id, tmp_path / "run.ndjson")
    copy = client.import_session(tmp_path / "run.ndjson", new_id=True)
    assert copy["id"] != run.id and copy["status"] == "completed"
    assert [one["content"] for one in client.messages(copy["id"])] == [f"message {n}" for n in range(5)]
    client.delete_session(copy["id"])


def test_sessions_are_steered(client: relive.Client) -> None:
    session = client.create_session(name="steered", inputs={"a": 1})
    client.control(session["id"], "start")
    receipt = client.command(session["id"], {"type": "setContext", "key": "k", "value": 1}, command_id="once")
    again = client.command(session["id"], {"type": "setContext", "key": "k", "value": 1}, command_id="once")
    assert again == {**receipt, "duplicate": True}
    with pytest.raises(relive.ReliveError) as refused:
        client.command(session["id"], [{"type": "pause"}], expected_revision=1)
    assert (refused.value.code, refused.value.retryable) == ("revision_conflict", False)
    assert client.diff(session["id"], 2, 3)["contextData"] == {"k": 1}
    fork = client.fork(session["id"], 3, start=True)
    assert fork["contextData"] == {"k": 1}
    assert client.timeline(session["id"])["revision"] == 3
    assert client.request("GET", "/api/v1/groups")["groups"] == []


def test_usage_is_added_up(client: relive.Client) -> None:
    usage = client.usage(made().id)
    assert usage["total"]["inputTokens"] == 50 and set(usage["byModel"]) == {"gpt-4o-mini"}


def test_watching_what_does_not_exist_ends_with_the_reason(client: relive.Client) -> None:
    missing = "0198c0de-0000-7000-8000-000000000001"
    reads: list[Callable[[], object]] = [lambda: next(client.watch(missing)), lambda: client.session(missing)]
    for read in reads:
        with pytest.raises(relive.ReliveError) as refused:
            read()
        assert refused.value.code == "not_found"
    with pytest.raises(relive.ReliveError) as refused:
        next(client.watch_sessions(status="gone"))  # type: ignore[arg-type]
    assert refused.value.code == "bad_request" and refused.value.close_code == 4501
