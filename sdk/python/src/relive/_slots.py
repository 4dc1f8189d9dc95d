"""Which ids of nodes are in use, so that what runs at the same time gets ids of its own."""

from __future__ import annotations

import heapq
import threading


class Slots:
    """The first to run under a name has its id; each further one at the same time is an instance `id#2`, `id#3` …

    The lowest number that is free is taken, so that a loop of a thousand rounds with ten at once has ten instances.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: By id: the lowest number never used, and those that have become free.
        self._used: dict[str, tuple[int, list[int]]] = {}

    def claim(self, base: str) -> int:
        with self._lock:
            unused, free = self._used.get(base, (1, []))
            if free:
                return heapq.heappop(free)
            self._used[base] = (unused + 1, free)
            return unused

    def release(self, base: str, slot: int) -> None:
        with self._lock:
            if base in self._used:
                heapq.heappush(self._used[base][1], slot)

    def forked(self) -> None:
        self._lock = threading.Lock()
