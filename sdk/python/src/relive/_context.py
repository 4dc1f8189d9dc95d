"""Which run and node the code that is running belongs to."""

from __future__ import annotations

import contextvars
import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar, Union

if TYPE_CHECKING:
    from ._node import Node
    from ._run import Run

    Place = Union[Run, Node]

R = TypeVar("R")

current: contextvars.ContextVar[Place | None] = contextvars.ContextVar("relive_current", default=None)


def current_node() -> Node | None:
    """The node that is running here."""
    from ._node import Node

    place = current.get()
    return place if isinstance(place, Node) else None


def current_run() -> Run | None:
    """The run that is going on here."""
    place = current.get()
    return None if place is None else place.run


def reset(token: contextvars.Token[Place | None]) -> None:
    try:
        current.reset(token)
    except ValueError:
        # Left in another context than it was entered in, as generators are that nobody finished.
        pass


def bind(function: Callable[..., R]) -> Callable[..., R]:
    """`function`, to be called elsewhere, such as on another thread, as a part of the node that is running here."""
    place = current.get()

    @functools.wraps(function)
    def bound(*arguments: Any, **options: Any) -> R:
        token = current.set(place)
        try:
            return function(*arguments, **options)
        finally:
            reset(token)

    return bound


_patch = threading.Lock()
_is_patched = False


def follow_threads() -> None:
    """Makes threads, and calls handed to a `ThreadPoolExecutor`, part of the node that starts them.

    Done with the first run, unless `RELIVE_THREADS=0`. Only the variable of this package is handed on.
    """
    global _is_patched
    if _is_patched or os.environ.get("RELIVE_THREADS", "").strip().lower() in {"0", "false", "no", "off"}:
        return
    with _patch:
        if not _is_patched:
            _follow_threads()
        _is_patched = True


def _follow_threads() -> None:
    submit, start = ThreadPoolExecutor.submit, threading.Thread.start

    @functools.wraps(submit)  # type: ignore[arg-type]
    def submit_bound(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return submit(self, fn if current.get() is None else bind(fn), *args, **kwargs)

    @functools.wraps(start)
    def start_bound(self: threading.Thread) -> None:
        if current.get() is not None:
            self.run = bind(self.run)  # type: ignore[method-assign]
        start(self)

    ThreadPoolExecutor.submit = submit_bound  # type: ignore[method-assign, assignment]
    threading.Thread.start = start_bound  # type: ignore[method-assign]
