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

    __slots__ = ("_began", "_monotonic")

    def __init__(self) -> None:
        self._began = time.time()
        self._monotonic = time.monotonic()

    @property
    def began(self) -> str:
        return timestamp(self._began)

    def now(self) -> str:
        return timestamp(self._began + time.monotonic() - self._monotonic)
