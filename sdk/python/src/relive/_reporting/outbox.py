"""What waits to be sent."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from itertools import islice

from .._settings import Limits

#: What one request carries at most.
BATCH = 500
BATCH_BYTES = 512 * 1024
#: Pieces of messages that wait. They are shown live only; the whole message comes as a command.
CHUNKS = 2_000


@dataclass(frozen=True)
class Command:
    body: bytes
    #: Taken also after the session has ended.
    is_late: bool = False
    #: Makes a node wait, so that the answer has to be listened for.
    suspends: bool = False


@dataclass(frozen=True)
class Chunk:
    """A piece of a message that is being written."""

    node_id: str
    message_id: str
    text: str
    is_thinking: bool


class Lane:
    """What one session has to be sent, in order."""

    def __init__(self, session_id: str, creation: bytes | None, key: str, *, is_shared: bool = False) -> None:
        self.session_id = session_id
        #: Other processes may create the session, start it and end it.
        self.is_shared = is_shared
        #: The body that creates the session; None when that is done.
        self.creation = creation
        #: Begins the idempotency keys of its requests.
        self.key = key
        self.requests = 0
        self.commands: deque[Command] = deque()
        self.chunks: list[Chunk] = []
        #: The request whose outcome is unknown: how many commands it carries, and its key.
        self.unsettled: tuple[int, str] | None = None
        #: The program reports nothing more.
        self.is_finished = False
        #: Nothing more is taken: the server refused the session as a whole.
        self.is_closed = False
        #: The session has ended on the server; only late commands are of use.
        self.has_ended = False
        self.revision = 0


@dataclass(frozen=True)
class Stats:
    """What became of the reports of this process."""

    queued: int
    sent: int
    #: Not sent, because too many were waiting.
    dropped: int
    #: Sent, and refused by the server.
    refused: int


class Outbox:
    """The lanes that have something to send. Its methods may be called from any thread; none waits for the network."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        #: In the order in which they became ready.
        self.ready: dict[Lane, None] = {}
        self.queued = 0
        self.queued_bytes = 0
        #: Places for the ends of what has begun, so that an end is never dropped.
        self.reserved = 0
        self.sent = self.dropped = self.refused = 0
        self._is_waiting = False

    def put(self, lane: Lane, command: Command, *, reserve: int = 0, is_detail: bool = False) -> bool:
        """Queues a command, and keeps `reserve` places for what has to follow it. False: it was dropped."""
        with self.lock:
            if lane.is_closed:
                return False
            most, most_bytes = self.limits.queued, self.limits.queued_bytes
            if is_detail:
                # Details leave room for statuses.
                most, most_bytes = most * 4 // 5, most_bytes * 4 // 5
            size = len(command.body)
            if self.queued + self.reserved + 1 + reserve > most or self.queued_bytes + size > most_bytes:
                self.dropped += 1
                return False
            self.reserved += reserve
            self._append(lane, command, size)
            return True

    def put_reserved(self, lane: Lane, command: Command, short: Command) -> None:
        """Queues what a place was kept for; in its short form when bytes are scarce."""
        with self.lock:
            self.reserved -= 1
            if lane.is_closed:
                return
            if self.queued_bytes + len(command.body) > self.limits.queued_bytes:
                command = short
            self._append(lane, command, len(command.body))

    def release(self, places: int) -> None:
        with self.lock:
            self.reserved -= places

    def put_chunk(self, lane: Lane, chunk: Chunk) -> None:
        with self.lock:
            if lane.is_closed or lane.has_ended:
                return
            last = lane.chunks[-1] if lane.chunks else None
            if (
                last is not None
                and last.message_id == chunk.message_id
                and last.is_thinking == chunk.is_thinking
                and len(last.text) < 16_384
            ):
                text = last.text + chunk.text
                lane.chunks[-1] = Chunk(chunk.node_id, chunk.message_id, text, chunk.is_thinking)
            elif len(lane.chunks) < CHUNKS:
                lane.chunks.append(chunk)
            self._announce(lane)

    def _append(self, lane: Lane, command: Command, size: int) -> None:
        lane.commands.append(command)
        self.queued += 1
        self.queued_bytes += size
        self._announce(lane)

    def _announce(self, lane: Lane) -> None:
        if lane not in self.ready:
            self.ready[lane] = None
            if self._is_waiting:
                self._is_waiting = False
                self.changed.notify_all()

    # What follows is for the sender.

    def wait(self, seconds: float | None) -> None:
        """Until a lane is ready. With the lock held."""
        if not self.ready:
            self._is_waiting = True
            self.changed.wait(seconds)
            self._is_waiting = False

    def take_chunks(self, lane: Lane) -> list[Chunk]:
        with self.lock:
            chunks, lane.chunks = lane.chunks, []
            return chunks

    def batch(self, lane: Lane) -> list[Command]:
        """The next commands, which stay queued until they are settled."""
        with self.lock:
            if lane.unsettled is not None:
                return list(islice(lane.commands, lane.unsettled[0]))
            taken: list[Command] = []
            size = 0
            for command in lane.commands:
                if taken and (len(taken) == BATCH or size + len(command.body) > BATCH_BYTES):
                    break
                taken.append(command)
                size += len(command.body)
            return taken

    def settle(self, lane: Lane, count: int, *, refused: int = 0) -> None:
        """The first `count` commands are done with, for good."""
        with self.lock:
            self._forget(lane, count)
            self.sent += count - refused
            self.refused += refused

    def close(self, lane: Lane) -> None:
        """Gives a session up, with all that waits for it."""
        with self.lock:
            lane.is_closed = True
            self.dropped += len(lane.commands)
            self._forget(lane, len(lane.commands))
            lane.chunks = []

    def _forget(self, lane: Lane, count: int) -> None:
        for _ in range(count):
            self.queued_bytes -= len(lane.commands.popleft().body)
        self.queued -= count

    def rest(self, lane: Lane) -> None:
        """Takes a lane that has nothing more to send off the ready ones."""
        with self.lock:
            if lane.is_closed or not (lane.commands or lane.chunks):
                self.ready.pop(lane, None)
                self.changed.notify_all()

    def stats(self) -> Stats:
        with self.lock:
            return Stats(self.queued, self.sent, self.dropped, self.refused)

    def forget_all(self) -> None:
        """In a child process: what the parent has queued, the parent sends."""
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        for lane in self.ready:
            lane.commands.clear()
            lane.chunks = []
        self.ready.clear()
        self.queued = self.queued_bytes = self.reserved = 0
        self.sent = self.dropped = self.refused = 0
        self._is_waiting = False
