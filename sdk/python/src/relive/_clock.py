"""Times as the server takes them."""

from __future__ import annotations

import time
from datetime import datetime, timezone


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds, of seconds since 1970."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def now() -> str:
    return timestamp(time.time())


class Stopwatch:
    """When something began and ended. A clock that is set meanwhile does not put the end before the beginning."""

    __slots__ = ("_began", "_ended", "_monotonic")

    def __init__(self, began: float | None = None) -> None:
        """`began`: when it began, in seconds since 1970, if that was not just now."""
        self._began = time.time() if began is None else began
        self._monotonic = time.monotonic()
        self._ended: float | None = None

    def end(self, at: float) -> None:
        """It ended then, in seconds since 1970."""
        self._ended = max(at, self._began)

    @property
    def began(self) -> str:
        return timestamp(self._began)

    def now(self) -> str:
        if self._ended is not None:
            return timestamp(self._ended)
        return timestamp(self._began + time.monotonic() - self._monotonic)
