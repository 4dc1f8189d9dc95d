"""How long to wait before trying again."""

from __future__ import annotations

import random
import time


class Backoff:
    """Exponential with full jitter: each wait is between zero and its bound, and the bound doubles."""

    def __init__(self, first: float = 0.25, most: float = 10.0, stable: float = 10.0) -> None:
        self._first = first
        self._most = most
        #: A connection that lasted this many seconds starts the waits over.
        self._stable = stable
        self._failures = 0
        self._opened_at: float | None = None

    def opened(self) -> None:
        self._opened_at = time.monotonic()

    def next(self) -> float:
        """Seconds to wait."""
        if self._opened_at is not None and time.monotonic() - self._opened_at >= self._stable:
            self._failures = 0
        self._opened_at = None
        bound = min(self._most, self._first * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return random.random() * bound

    def reset(self) -> None:
        self._failures = 0
