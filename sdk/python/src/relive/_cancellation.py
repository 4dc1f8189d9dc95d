"""Cancels a task of asyncio when its run is ended from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ._control import Control


class TaskCancellation:
    def __init__(self, control: Control) -> None:
        self._control = control
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[object] | None = None
        self._stop: Callable[[], None] | None = None
        self._has_cancelled = False

    def arm(self) -> None:
        """From now on the task that is running is cancelled. Nothing is done outside of a loop."""
        loop = asyncio._get_running_loop()
        task = None if loop is None else asyncio.current_task(loop)
        if loop is None or task is None:
            return
        self._loop, self._task = loop, task
        self._stop = self._control.on_change(self._on_change)
        self._on_change()

    def disarm(self) -> None:
        if self._stop is not None:
            self._stop()
        self._task = self._stop = None

    def is_cause_of(self, error: BaseException | None) -> bool:
        """Whether `error`, caught in the task, comes from here and nobody else has cancelled the task."""
        if not self._has_cancelled or not isinstance(error, asyncio.CancelledError):
            return False
        task = self._task
        # Counted from Python 3.11 on.
        uncancel = getattr(task, "uncancel", None)
        return uncancel is None or uncancel() == 0

    def _on_change(self) -> None:
        if self._control.is_cancelled and self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._cancel)
            except RuntimeError:
                # The loop is closed.
                pass

    def _cancel(self) -> None:
        # In the loop, so the task is not leaving just now.
        if self._task is not None and not self._has_cancelled:
            self._has_cancelled = True
            self._task.cancel()
