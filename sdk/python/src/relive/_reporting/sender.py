"""The thread that sends what is queued."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from .. import _encode
from .._backoff import Backoff
from .._errors import ReliveError
from .outbox import Chunk, Command, Lane, Outbox
from .requests import Requests, Unreachable

logger = logging.getLogger("relive")

START = b'{"type":"start"}'
ENDED = frozenset({"completed", "failed", "cancelled"})


class Sender:
    """Sends the lanes of an outbox, one request at a time, so that each session's commands stay in order."""

    def __init__(
        self,
        outbox: Outbox,
        requests: Requests,
        *,
        url: str,
        created: Callable[[Lane], None],
        suspended: Callable[[Lane, int], None],
    ) -> None:
        self._outbox = outbox
        self._requests = requests
        self._url = url
        #: Called when a session exists on the server.
        self._created = created
        #: Called when a node waits, with the last revision before that.
        self._suspended = suspended
        self._backoff = Backoff()
        self._thread: threading.Thread | None = None
        self._leases: dict[str, tuple[Lane, float]] = {}
        self._is_stopped = False
        self._has_complained = False
        self._has_told_drops = False
        self._told_refusals: set[str] = set()
        #: Attempts that failed, in all.
        self.failures = 0
        #: How many wait for everything to be sent: then nothing is put off.
        self.flushing = 0

    @property
    def is_away(self) -> bool:
        """The server could not be reached the last time."""
        return self._has_complained

    def start(self) -> None:
        if self._thread is not None or self._is_stopped:
            return
        with self._outbox.lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="relive-sender", daemon=True)
                self._thread = thread
                try:
                    thread.start()
                except RuntimeError:
                    # The interpreter is ending.
                    self._thread = None

    def forget(self) -> None:
        """In a child process, which has none of the parent's threads."""
        self._thread = None
        self._leases = {}
        self.failures = self.flushing = 0
        self._requests.drop_connections()

    def end_lease(self, lane: Lane) -> None:
        self._leases.pop(lane.session_id, None)

    def flush(self, timeout: float, *, is_last: bool = False) -> bool:
        """Waits until nothing is queued. `is_last`: gives up when the server cannot be reached."""
        if is_last and self._has_complained:
            timeout = min(timeout, 1.0)
        deadline = time.monotonic() + timeout
        outbox = self._outbox
        with outbox.lock:
            failures = self.failures
            self.flushing += 1
            outbox.changed.notify_all()
            try:
                while outbox.ready and self._thread is not None:
                    left = deadline - time.monotonic()
                    if left <= 0 or (is_last and self.failures > failures) or not self._thread.is_alive():
                        return False
                    outbox.changed.wait(min(left, 0.5))
                return not outbox.ready
            finally:
                self.flushing -= 1

    def stop(self) -> None:
        """The thread ends soon."""
        with self._outbox.lock:
            self._is_stopped = True
            self._outbox.changed.notify_all()

    def _run(self) -> None:
        while not self._is_stopped:
            try:
                self._round()
            except Unreachable as error:
                self._wait_after(error)
            except Exception:
                logger.warning("reporting to Relive failed", exc_info=True)
                self._wait_after(Unreachable("failed"))

    def _round(self) -> None:
        began = time.monotonic()
        outbox = self._outbox
        with outbox.lock:
            if not self._is_stopped:
                outbox.wait(self._until_lease(began))
            lanes = list(outbox.ready)
        for lane in lanes:
            self._serve(lane)
            outbox.rest(lane)
        self._renew_leases()
        if lanes:
            self._reached()
            left = began + outbox.limits.pace - time.monotonic()
            with outbox.lock:
                outbox.changed.wait_for(lambda: self.flushing > 0, max(0.0, left))

    def _serve(self, lane: Lane) -> None:
        """Sends what a lane has now."""
        if lane.is_closed:
            return
        try:
            if lane.creation is not None:
                self._create(lane)
                self._leases[lane.session_id] = (lane, time.monotonic())
                self._created(lane)
            self._show(lane, self._outbox.take_chunks(lane))
            batch = self._outbox.batch(lane)
            if batch:
                self._carry_out(lane, batch)
        except ReliveError as error:
            self._give_up(lane, error)

    def _create(self, lane: Lane) -> None:
        try:
            lane.revision = self._requests.create(lane)
        except ReliveError as error:
            if not lane.is_shared or error.code not in {"conflict", "idempotency_key_reused"}:
                raise
        lane.creation = None

    def _show(self, lane: Lane, chunks: list[Chunk]) -> None:
        if not chunks:
            return
        try:
            self._requests.show(lane, chunks)
        except (ReliveError, Unreachable):
            # The whole messages follow as commands.
            logger.debug("pieces of messages were not shown", exc_info=True)

    def _carry_out(self, lane: Lane, batch: list[Command]) -> None:
        if lane.unsettled is None:
            lane.requests += 1
            key = f"{lane.key}:{lane.requests}"
        else:
            # Asked again with the same key, it is carried out once.
            key = lane.unsettled[1]
        self._attempt(lane, batch, key)

    def _attempt(self, lane: Lane, batch: list[Command], key: str) -> None:
        """Settles each command of a batch. One that is refused takes no other with it."""
        useful = [command for command in batch if command.is_late or not lane.has_ended]
        before = lane.revision
        lane.unsettled = (len(batch), key)
        try:
            if useful:
                lane.revision = self._requests.command(lane, useful, key)
        except ReliveError as error:
            lane.unsettled = None
            if error.code in {"unauthorized", "forbidden", "not_found"}:
                raise
            if len(batch) > 1:
                half = len(batch) // 2
                self._attempt(lane, batch[:half], f"{key}.0")
                self._attempt(lane, batch[half:], f"{key}.1")
            else:
                self._refused(lane, batch[0], error, key)
            return
        lane.unsettled = None
        self._outbox.settle(lane, len(batch))
        if any(command.suspends for command in useful):
            self._suspended(lane, before)

    def _refused(self, lane: Lane, command: Command, error: ReliveError, key: str) -> None:
        if error.code in {"illegal_transition", "nodes_active"} and self._mended(lane, command, error, key):
            self._outbox.settle(lane, 1)
            return
        self._outbox.settle(lane, 1, refused=1)
        if error.code not in self._told_refusals:
            self._told_refusals.add(error.code)
            logger.warning("the server refused a report, %s: %.500r", error.message, command.body)

    def _mended(self, lane: Lane, command: Command, error: ReliveError, key: str) -> bool:
        """Whether a refused status is of no importance: the session has ended, or ends after all."""
        try:
            session = self._requests.session(lane)
            if session.get("status") in ENDED:
                lane.has_ended = True
                return True
            if error.code != "nodes_active":
                # Another process may have started it.
                return lane.is_shared and command.body == START
            lane.revision = self._requests.command(lane, [*_skipped(session), command], f"{key}.end")
        except ReliveError:
            return False
        return True

    def _give_up(self, lane: Lane, error: ReliveError) -> None:
        self._outbox.close(lane)
        self.end_lease(lane)
        if error.code not in self._told_refusals:
            self._told_refusals.add(error.code)
            logger.warning("%s takes no reports of session %s: %s", self._url, lane.session_id, error.message)

    def _until_lease(self, now: float) -> float | None:
        third = self._outbox.limits.lease / 3
        leases = list(self._leases.values())
        return min((max(0.0, at + third - now) for _, at in leases), default=None)

    def _renew_leases(self) -> None:
        now = time.monotonic()
        limits = self._outbox.limits
        for lane, at in list(self._leases.values()):
            if lane.is_finished and not lane.commands:
                self.end_lease(lane)
            elif now - at >= limits.lease / 3:
                self._renew_lease(lane, now)

    def _renew_lease(self, lane: Lane, now: float) -> None:
        seconds = self._outbox.limits.lease
        try:
            self._requests.lease(lane, seconds)
            self._leases[lane.session_id] = (lane, now)
        except ReliveError:
            # It has ended or is gone.
            self.end_lease(lane)

    def _wait_after(self, error: Unreachable) -> None:
        outbox = self._outbox
        if not self._has_complained:
            self._has_complained = True
            logger.warning("%s cannot be reached; it is tried again in the background (%s)", self._url, error)
        wait = max(self._backoff.next(), error.wait or 0.0)
        with outbox.lock:
            self.failures += 1
            outbox.changed.notify_all()
            self._tell_drops()
            flushing = self.flushing
            # Whoever waits for everything to be sent wants one attempt at once.
            outbox.changed.wait_for(lambda: self.flushing > flushing or self._is_stopped, wait)

    def _tell_drops(self) -> None:
        if self._outbox.dropped and not self._has_told_drops:
            self._has_told_drops = True
            most = self._outbox.limits.queued
            logger.warning("more than %d reports wait for %s: further ones are dropped", most, self._url)

    def _reached(self) -> None:
        self._backoff.reset()
        if self._has_complained:
            self._has_complained = False
            logger.warning("%s is reached again; %d reports were dropped", self._url, self._outbox.dropped)


def _skipped(session: dict[str, Any]) -> list[Command]:
    ids = session.get("activeNodeIds", [])
    fields = [{"nodeId": one, "status": "skipped"} for one in ids]
    return [Command(_encode.fields("setNodeStatus", one)) for one in fields]
