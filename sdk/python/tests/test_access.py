"""Keys and access tokens."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator

import pytest

import relive

from .conftest import DEADLINE, Server

ROOT_KEY = "rlv_root-key-of-the-tests-which-is-long-enough"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for keys."""
    folder = tmp_path_factory.mktemp("closed")
    server = Server(folder, RELIVE_AUTH="required", RELIVE_ROOT_KEY=ROOT_KEY)
    yield server
    server.close()


@pytest.fixture
def key(closed: Server) -> str:
    with relive.Client(closed.url, ROOT_KEY) as root:
        made: str = root.request("POST", "/api/v1/keys", json={"name": "engine", "role": "engine"})["key"]
        return made


def test_a_key_reports_and_reads(closed: Server, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELIVE_URL", closed.url)
    monkeypatch.setenv("RELIVE_TOKEN", key)
    reporter = relive.Reporter()
    with relive.run("with a key", reporter=reporter) as run, run.node("step"):
        pass
    assert reporter.close(DEADLINE)
    with relive.Client() as client:
        assert client.session(run.id)["status"] == "completed"
        assert [state["status"] for state in client.watch(run.id)] == ["completed"]
        assert client.request("GET", "/api/v1/me")["role"] == "engine"


def test_a_refused_program_goes_on_and_says_so_once(closed: Server, caplog: pytest.LogCaptureFixture) -> None:
    reporter = relive.Reporter(closed.url, "rlv_wrong")
    with caplog.at_level(logging.WARNING, "relive"):
        for _ in range(3):
            with relive.run("refused", reporter=reporter) as run, run.node("step"):
                pass
            assert reporter.flush(DEADLINE)
    assert caplog.text.count("takes no reports") == 1 and reporter.stats().dropped == 12
    reporter.close()
    with relive.Client(closed.url, "rlv_wrong") as client:
        reads: list[Callable[[], object]] = [lambda: client.session(run.id), lambda: next(client.watch(run.id))]
        for read in reads:
            with pytest.raises(relive.ReliveError) as refused:
                read()
            assert refused.value.code == "unauthorized"


def test_tokens_are_asked_for_anew_before_and_after_they_expire(closed: Server, key: str) -> None:
    asked = 0

    def get_token() -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            return "rlv_expired"
        with relive.Client(closed.url, ROOT_KEY) as root:
            # So short that the server says at once that it expires.
            return root.create_token(["read:sessions", f"write:sessions:{run.id}"], 6)["token"]

    reporter = relive.Reporter(closed.url, key)
    with relive.run("tokens", reporter=reporter) as run:
        reporter.flush(DEADLINE)
        client = relive.Client(closed.url, get_token=get_token)
        assert client.session(run.id)["status"] == "running" and asked == 2
        seen: list[int] = []
        thread = threading.Thread(target=lambda: seen.extend(one["revision"] for one in client.watch(run.id)))
        thread.start()
        # Until the token of the socket has been replaced or expired at least once.
        while asked < 4 and thread.is_alive():
            with run.node("step"):
                reporter.flush(DEADLINE)
    reporter.close(DEADLINE)
    thread.join(DEADLINE)
    assert not thread.is_alive() and seen == sorted(set(seen)) and asked >= 4


def test_a_get_token_may_be_a_coroutine_function(closed: Server, key: str) -> None:
    async def get_token() -> str:
        await asyncio.sleep(0)
        return key

    async def main() -> None:
        async with relive.AsyncClient(closed.url, get_token=get_token) as client:
            assert (await client.request("GET", "/api/v1/me"))["role"] == "engine"

    asyncio.run(main())
    reporter = relive.Reporter(closed.url, get_token)
    with relive.run("coroutine", reporter=reporter) as run:
        pass
    assert reporter.close(DEADLINE)
    with relive.Client(closed.url, get_token=get_token) as client:
        assert client.session(run.id)["status"] == "completed"
