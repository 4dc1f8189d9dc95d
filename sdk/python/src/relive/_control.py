"""What the outside asks of a run: to pause, to go on, to end, and what it answers to a node that waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ._errors import Cancelled

ENDED = frozenset({"completed", "failed", "cancelled"})
#: Answers that a node has not taken yet.
SIGNALS = 16


class Control:
    """Told by the listener's thread, asked by the program's."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        #: Set once the session exists on the server, so that somebody can ask for something.
        self.is_live = threading.Event()
        self._changed = threading.Condition()
        self._status = "running"
        self._is_over = False
        self._signals: dict[str, deque[Any]] = {}
        self._heard: dict[str, int] = {}
        self._callbacks: list[Callable[[], None]] = []

    @property
    def is_paused(self) -> bool:
        return self._status == "paused"

    @property
    def is_cancelled(self) -> bool:
        """Somebody else has ended the run."""
        return self._status in ENDED and not self._is_over

    def over(self) -> None:
        """The program itself ends the run; what the outside says of it is of no interest any more."""
        with self._changed:
            self._is_over = True
            self._callbacks.clear()
            self._changed.notify_all()

    def status_is(self, status: str) -> None:
        with self._changed:
            if self._is_over or status in {self._status, "pending"}:
                return
            self._status = status
            self._notify()

    def signalled(self, node_id: str, revision: int, payload: Any) -> None:
        with self._changed:
            if revision <= self._heard.get(node_id, 0):
                return
            self._heard[node_id] = revision
            self._signals.setdefault(node_id, deque(maxlen=SIGNALS)).append(payload)
            self._notify()

    def _notify(self) -> None:
        self._changed.notify_all()
        for callback in list(self._callbacks):
            callback()

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback`, which must not wait, at every change, on a thread of this package. Returns how to stop."""
        with self._changed:
            self._callbacks.append(callback)

        def stop() -> None:
            with self._changed:
                if callback in self._callbacks:
                    self._callbacks.remove(callback)

        return stop

    def check(self) -> None:
        """Raises `Cancelled` if somebody else has ended the run."""
        if self.is_cancelled:
            raise Cancelled(f"the run was ended from outside: {self._status}")

    def checkpoint(self) -> None:
        """Waits while the run is paused. Raises `Cancelled`."""
        if self._status != "running":
            with self._changed:
                self._changed.wait_for(lambda: not self.is_paused or self._is_over)
        self.check()

    async def checkpoint_async(self) -> None:
        if self._status != "running":
            await self._until(lambda: not self.is_paused or self._is_over, None)
        self.check()

    def signal(self, node_id: str, timeout: float | None) -> Any:
        """Waits for a signal to the node. Raises `Cancelled` and `TimeoutError`."""
        with self._changed:
            self._changed.wait_for(lambda: self._has_signal(node_id), timeout)
            return self._taken(node_id)

    async def signal_async(self, node_id: str, timeout: float | None) -> Any:
        await self._until(lambda: self._has_signal(node_id), timeout)
        with self._changed:
            return self._taken(node_id)

    def _has_signal(self, node_id: str) -> bool:
        return bool(self._signals.get(node_id)) or self._status in ENDED or self._is_over

    def _taken(self, node_id: str) -> Any:
        signals = self._signals.get(node_id)
        if signals:
            return signals.popleft()
        self.check()
        raise TimeoutError(f"nobody answered to {node_id}")

    async def _until(self, condition: Callable[[], bool], timeout: float | None) -> None:
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        stop = self.on_change(lambda: _soon(loop, event.set))
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while not condition():
                event.clear()
                # What happened before it was cleared is not told again.
                if condition():
                    return
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return
                try:
                    await asyncio.wait_for(event.wait(), left)
                except asyncio.TimeoutError:
                    return
        finally:
            stop()

    def forked(self) -> None:
        """In a child process, which nobody asks for anything."""
        self._changed = threading.Condition()
        self._callbacks = []


def _soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        # The loop is closed.
        pass
