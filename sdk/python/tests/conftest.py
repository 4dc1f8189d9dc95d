"""What the tests share: a real server, a reporter and clients for it, and a model that streams."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

import relive
from relive._reporting import reporter as reporters

from .model_server import ModelServer

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[3]
DEADLINE = 30.0


def binary() -> Path:
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return Path(os.environ.get("RELIVE_BINARY", target / "debug" / "relive"))


def until(condition: Callable[[], T | None], what: str = "it") -> T:
    """Waits for a condition; what it gave first."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"{what} did not happen within {DEADLINE} s")


class Server:
    """A `relive serve` with a database of its own."""

    def __init__(self, folder: Path, listen: str = "127.0.0.1:0", **settings: str) -> None:
        self.folder = folder
        # Not below pytest's directories, which are closed to the user that root's PostgreSQL runs as: its data would
        # be elsewhere then, and stay.
        self._directory = tempfile.TemporaryDirectory(prefix="relive-", ignore_cleanup_errors=True)
        self.data = Path(self._directory.name) / "data"
        self.data.parent.chmod(0o711)
        self.settings = settings
        self.process: subprocess.Popen[str] | None = None
        self.url = self.start(listen)

    def start(self, listen: str) -> str:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("RELIVE_")}
        command = [str(binary()), "serve", "--listen", listen, "--data-dir", str(self.data)]
        with open(self.folder / "server.log", "a") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env={**environment, **self.settings}
            )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("listening on "):
                threading.Thread(target=self.process.stdout.read, daemon=True).start()
                assert not (self.data / "postgres").is_symlink(), "it keeps its data where nobody removes it"
                return line.split()[-1]
        raise AssertionError(f"the server has ended, see {self.folder / 'server.log'}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(DEADLINE)
            self.process = None

    def close(self) -> None:
        self.stop()
        self._directory.cleanup()

    def restart(self) -> None:
        self.stop()
        self.start(self.url.removeprefix("http://"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """Of a server that the tests share: one of their own, or one that runs already."""
    running = os.environ.get("RELIVE_TEST_URL")
    if running:
        return running
    server: Server = request.getfixturevalue("server")
    return server.url


@pytest.fixture
def reporter(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[relive.Reporter]:
    """The default one, so that what a test says without naming one goes to the server, however busy that is."""
    monkeypatch.setenv("RELIVE_FLUSH_SECONDS", str(DEADLINE))
    reporter = relive.configure(url)
    yield reporter
    assert reporter.close(DEADLINE)


@pytest.fixture
def client(url: str) -> Iterator[relive.Client]:
    with relive.Client(url) as client:
        yield client


@pytest.fixture(scope="session")
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def settle() -> None:
    """Until everything is on the server. Not `relive.flush`: other reporters of the tests have none."""
    assert reporters.default_reporter().flush(DEADLINE)


def flushed(run: relive.Run) -> str:
    """The id of a run, of which everything is on the server."""
    settle()
    return run.id


def statuses(session: Any) -> dict[str, str]:
    return {key: node["status"] for key, node in session["nodes"].items()}
