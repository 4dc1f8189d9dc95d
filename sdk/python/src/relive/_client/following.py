"""What watching over a socket does on both kinds of connection. No input or output here."""

from __future__ import annotations

import json
from typing import Any, Generic, Literal, Protocol, TypeVar

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from .._backoff import Backoff
from .._credentials import Credentials, authorization
from .._errors import ReliveError, error_of_answer, error_of_close, should_reconnect
from .feeds import Feed, Frame, Resync, Speed

T = TypeVar("T")
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)

#: Bytes of one frame: the state of a session with 10,000 nodes.
FRAME = 64 * 1024 * 1024
#: Seconds.
OPENING = 10.0
EXPIRED = 4401

#: What another connection is made after.
RETRIED = (WebSocketException, OSError, TimeoutError, Resync, ReliveError, ValueError)


class Following(Generic[T]):
    def __init__(self, base: str, credentials: Credentials, feed: Feed[T]) -> None:
        self._base = base
        self._credentials = credentials
        self._feed = feed
        self._backoff = Backoff()
        self._used: str | None = None
        self._refusal: ReliveError | None = None
        self._is_closed = False

    def _has_closed(self) -> bool:
        return self._is_closed

    def _options(self) -> dict[str, Any]:
        return {
            "additional_headers": authorization(self._used),
            "max_size": FRAME,
            "open_timeout": OPENING,
            "close_timeout": 1,
        }

    def _values(self, text: str | bytes) -> tuple[list[T], str]:
        """What a frame gives, and its type."""
        frame = json.loads(text)
        if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
            raise Resync
        if frame["type"] == "error" and frame.get("id") is None and "message" in frame:
            self._refusal = ReliveError(frame["code"], frame["message"], retryable=frame.get("retryable", False))
        return list(self._feed.received(frame)), frame["type"]

    def _lost(self, error: BaseException) -> bool:
        """Returns if another connection is to be made: whether with another token. Raises what ends the watching."""
        refusal, self._refusal = self._refusal, None
        if isinstance(error, ConnectionClosed):
            close = error.rcvd
            code = 1006 if close is None else close.code
            if should_reconnect(code) and (code != EXPIRED or self._credentials.is_renewable):
                return code == EXPIRED
            final = error_of_close(code, "" if close is None else close.reason)
            if refusal is not None:
                final = ReliveError(refusal.code, refusal.message, close_code=code)
            raise final from error
        if isinstance(error, InvalidStatus):
            answer = error_of_answer(error.response.status_code, bytes(error.response.body or b""))
            if not answer.retryable:
                raise answer from error
        elif isinstance(error, ReliveError) and not error.retryable:
            raise error
        return False


class Sends(Protocol[S_co]):
    def send(self, frame: Frame) -> S_co: ...


class ReplayControls:
    """Each returns, or is a coroutine of, whether it was sent: false when there is no connection now."""

    def play(self: Sends[S]) -> S:
        """From where it stands; at the end, from the beginning."""
        return self.send({"type": "replay", "action": "play"})

    def pause(self: Sends[S]) -> S:
        return self.send({"type": "replay", "action": "pause"})

    def seek(self: Sends[S], *, revision: int | None = None, at: str | None = None) -> S:
        """To a revision, or to a time (RFC 3339)."""
        to = {"revision": revision} if at is None else {"at": at}
        return self.send({"type": "replay", "action": "seek", **to})

    def step(self: Sends[S], by: Literal[1, -1] = 1) -> S:
        """Pauses, and goes one revision forward or back."""
        return self.send({"type": "replay", "action": "step", "by": by})

    def set_speed(self: Sends[S], speed: Speed) -> S:
        return self.send({"type": "replay", "action": "speed", "speed": speed})
