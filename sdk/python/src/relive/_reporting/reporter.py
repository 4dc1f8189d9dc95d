"""What reports to one server, and what the process does with all of them when it forks and ends."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING

from .. import _settings
from .._credentials import Credentials, TokenSource
from .._settings import Limits
from .listener import Listener
from .outbox import Command, Lane, Outbox, Stats
from .requests import Requests
from .sender import Sender

if TYPE_CHECKING:
    from .._run import Run


class Reporter:
    """Reports the runs of this process to a server, in the background."""

    def __init__(
        self,
        url: str | None = None,
        token: TokenSource | None = None,
        *,
        limits: Limits | None = None,
    ) -> None:
        """`url` and `token` are by default `RELIVE_URL` and `RELIVE_TOKEN`. Raises `ValueError` for a wrong address."""
        self.url = _settings.http_base(url if url is not None else _settings.default_url())
        credentials = Credentials(token if token is not None else _settings.default_token())
        self.outbox = Outbox(limits or Limits())
        self.listener = Listener(self.url, credentials)
        self.sender = Sender(
            self.outbox,
            Requests(self.url, credentials),
            url=self.url,
            created=self._created,
            suspended=self._suspended,
        )
        self._runs: weakref.WeakValueDictionary[str, Run] = weakref.WeakValueDictionary()
        _process.add(self)

    def begin(self, run: Run) -> None:
        self._runs[run.id] = run

    def put(self, lane: Lane, command: Command, *, reserve: int = 0, is_detail: bool = False) -> bool:
        """As that of the outbox."""
        self.sender.start()
        return self.outbox.put(lane, command, reserve=reserve, is_detail=is_detail)

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits until everything reported so far is sent, at most `timeout` seconds. False: something is left."""
        return self.sender.flush(timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Sends what is left, within `timeout` seconds, and ends the threads. Nothing can be reported afterwards."""
        is_empty = self.flush(timeout)
        self.sender.stop()
        self.listener.stop()
        _process.remove(self)
        return is_empty

    def stats(self) -> Stats:
        return self.outbox.stats()

    def _created(self, lane: Lane) -> None:
        run = self._runs.get(lane.session_id)
        if run is not None and not lane.is_finished:
            self.listener.add(run.control)
            run.control.is_live.set()

    def _suspended(self, lane: Lane, before: int) -> None:
        self.listener.await_signals(lane.session_id, before)

    def forked(self) -> None:
        """In a child process, where none of the threads are."""
        self.outbox.forget_all()
        self.listener.forget()
        self.sender.forget()
        for run in list(self._runs.values()):
            run.forked()


class _Process:
    """All reporters of this process."""

    def __init__(self) -> None:
        self.reporters: list[Reporter] = []
        self.default: Reporter | None = None
        self.lock = threading.Lock()
        self._held: list[Reporter] = []
        atexit.register(self.end)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._in_child
            )

    def add(self, reporter: Reporter) -> None:
        self.reporters.append(reporter)

    def remove(self, reporter: Reporter) -> None:
        with self.lock:
            self.reporters.remove(reporter)
            if self.default is reporter:
                self.default = None

    def end(self) -> None:
        for reporter in list(self.reporters):
            reporter.sender.flush(reporter.outbox.limits.flush, is_last=True)

    def _before_fork(self) -> None:
        # So that the child finds its queues whole.
        self._held = list(self.reporters)
        for reporter in self._held:
            reporter.outbox.lock.acquire()

    def _after_fork(self) -> None:
        for reporter in self._held:
            reporter.outbox.lock.release()
        self._held = []

    def _in_child(self) -> None:
        held, self._held = self._held, []
        self.lock = threading.Lock()
        for reporter in held:
            reporter.forked()
        # Children of `multiprocessing` end without `atexit`.
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            util.register_after_fork(self, _end_with_child)


def _end_with_child(process: _Process) -> None:
    from multiprocessing import util

    util.Finalize(None, process.end, exitpriority=-100)


_process = _Process()


def default_reporter() -> Reporter:
    """That of the environment, made when first needed."""
    with _process.lock:
        if _process.default is None:
            _process.default = Reporter()
        return _process.default


def configure(
    url: str | None = None,
    token: TokenSource | None = None,
    *,
    get_token: TokenSource | None = None,
    limits: Limits | None = None,
) -> Reporter:
    """Where runs are reported to from now on, instead of the server that the environment names.

    `get_token` is `token` by another name: a function that gives a token which is valid still.
    """
    reporter = Reporter(url, get_token if get_token is not None else token, limits=limits)
    with _process.lock:
        _process.default = reporter
    return reporter


def flush(timeout: float = 5.0) -> bool:
    """Waits until everything reported so far is sent, at most `timeout` seconds. False: something is left."""
    return not [one for one in list(_process.reporters) if not one.flush(timeout)]


def stats() -> Stats:
    """What became of the reports of this process."""
    return default_reporter().stats()
