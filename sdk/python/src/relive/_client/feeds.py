"""What is watched over a socket: which address, what is sent, and what the frames mean. No input or output here.

A feed outlives its connections. Each new one goes on from what the feed holds, so that nothing is missed, nothing is
shown twice, and what is shown never goes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Generic, Literal, TypeVar, Union, cast
from urllib.parse import quote, urlencode

from .._errors import ReliveError
from .._merge_patch import merge_patch
from ..types import Message, Recorded, SessionSummary, WorkflowSession

T = TypeVar("T")
Frame = dict[str, Any]
Speed = Union[float, Literal["max"]]
Where = Union[int, str]


class Resync(Exception):
    """What came does not fit what is held: connect again."""


class Feed(Generic[T]):
    """Made of frames, gives values. `has_ended` means that nothing follows."""

    def __init__(self) -> None:
        self.has_ended = False

    def path(self) -> str:
        """The address of the next connection."""
        raise NotImplementedError

    def opened(self) -> list[Frame]:
        """What is sent first on a new connection."""
        return []

    def received(self, frame: Frame) -> Iterable[T]:
        """What the frame adds. Raises `Resync`."""
        raise NotImplementedError

    def replies(self) -> list[Frame]:
        """What has to be sent after the last frame."""
        return []


def session_path(session_id: str, tail: str, query: Mapping[str, Any]) -> str:
    given = {key: _text(value) for key, value in query.items() if value is not None}
    path = f"/ws/sessions/{quote(session_id, safe='')}{tail}"
    return f"{path}?{urlencode(given)}" if given else path


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class States(Feed[WorkflowSession]):
    """Each newer state of a session; the last one is always among them."""

    def __init__(self, session_id: str, held: WorkflowSession | None = None, min_interval: float | None = None) -> None:
        super().__init__()
        self._session_id = session_id
        self._session = held
        self._min_interval = None if min_interval is None else int(min_interval * 1000)

    @property
    def _revision(self) -> int | None:
        return None if self._session is None else self._session["revision"]

    def path(self) -> str:
        query = {"mode": "delta", "after": self._revision, "minIntervalMs": self._min_interval}
        return session_path(self._session_id, "", query)

    def received(self, frame: Frame) -> Iterable[WorkflowSession]:
        held, kind = self._revision, frame["type"]
        if kind == "end":
            # The last state comes before the end.
            if held is None or held < frame["revision"]:
                self._session = None
                raise Resync
            self.has_ended = True
            return ()
        if kind not in {"snapshot", "delta"} or (held is not None and frame["revision"] <= held):
            return ()
        if kind == "snapshot":
            self._session = cast(WorkflowSession, frame["session"])
        elif frame["base"] == held:
            self._session = cast(WorkflowSession, merge_patch(self._session, frame["patch"]))
        else:
            self._session = None
            raise Resync
        return (self._session,)


class Events(Feed[Recorded]):
    """Every event of a session, in order, none missing."""

    def __init__(self, session_id: str, after: int = 0) -> None:
        super().__init__()
        self._session_id = session_id
        self._revision = after

    def path(self) -> str:
        return session_path(self._session_id, "", {"mode": "events", "after": self._revision})

    def received(self, frame: Frame) -> Iterable[Recorded]:
        if frame["type"] == "end":
            if self._revision < frame["revision"]:
                raise Resync
            self.has_ended = True
        if frame["type"] != "event" or frame["revision"] <= self._revision:
            return ()
        if frame["revision"] != self._revision + 1:
            raise Resync
        self._revision += 1
        return (cast(Recorded, {key: value for key, value in frame.items() if key != "type"}),)


class Messages(Feed[Message]):
    """The messages of a session: each piece of one that is being written gives it as far as it is known
    (`isStreaming`), and then it comes whole."""

    #: Messages that are being written at once; the text that is kept of each.
    WRITTEN, CHARACTERS = 256, 1024 * 1024

    def __init__(self, session_id: str, after: int | None = None) -> None:
        super().__init__()
        self._session_id = session_id
        self._revision = after
        self._told = after or 0
        self._written: dict[str, Message] = {}

    def path(self) -> str:
        query = {"mode": "snapshot", "messages": True, "minIntervalMs": 500, "after": self._revision}
        return session_path(self._session_id, "", query)

    def opened(self) -> list[Frame]:
        # Pieces may have been lost with the connection.
        self._written.clear()
        return []

    def received(self, frame: Frame) -> Iterable[Message]:
        kind = frame["type"]
        if kind == "snapshot":
            self._revision = frame["revision"]
        elif kind == "end":
            self.has_ended = True
        elif kind == "message" and frame["revision"] > self._told:
            self._told = frame["revision"]
            message = cast(Message, frame["message"])
            self._written.pop(message["id"], None)
            return (message,)
        elif kind == "token":
            return (self._piece(frame),)
        return ()

    def _piece(self, frame: Frame) -> Message:
        before = self._written.pop(frame["messageId"], None)
        text = ((before["content"] if before else "") + frame["text"])[-self.CHARACTERS :]
        message = cast(
            Message,
            {
                "id": frame["messageId"],
                "sessionId": self._session_id,
                "nodeId": frame["nodeId"],
                "role": "agent",
                "content": text,
                "isThinking": frame.get("isThinking", False),
                "isStreaming": True,
                "tokenCount": 0,
                "createdAt": before["createdAt"] if before else "",
            },
        )
        self._written[message["id"]] = message
        while len(self._written) > self.WRITTEN:
            del self._written[next(iter(self._written))]
        return message


class Sessions(Feed[dict[str, SessionSummary]]):
    """The live list of the sessions that match, by id and newest first: the whole of it after every change."""

    #: Those created first are let go.
    MOST = 20_000

    def __init__(self, query: str) -> None:
        super().__init__()
        self._query = query
        self._sessions: dict[str, SessionSummary] = {}

    def path(self) -> str:
        return f"/ws/sessions?{self._query}" if self._query else "/ws/sessions"

    def received(self, frame: Frame) -> Iterable[dict[str, SessionSummary]]:
        if frame["type"] == "sessions":
            sessions = list(frame["sessions"])
        elif frame["type"] == "session":
            summary = frame["session"]
            sessions = [one for key, one in self._sessions.items() if key != summary["id"]]
            if frame["change"] != "removed":
                sessions.append(summary)
        else:
            return ()
        sessions.sort(key=lambda one: (one["createdAt"], one["id"]), reverse=True)
        self._sessions = {one["id"]: one for one in sessions[: self.MOST]}
        return (dict(self._sessions),)


class Replayed(Feed[WorkflowSession]):
    """A stored session at its own pace: each state when its time has come. A new connection goes on where the one
    before was."""

    def __init__(
        self,
        session_id: str,
        *,
        speed: Speed | None = None,
        start: Where | None = None,
        end: Where | None = None,
        skip_idle: float | None = None,
        is_paused: bool = False,
    ) -> None:
        super().__init__()
        self._session_id = session_id
        skip = None if skip_idle is None else int(skip_idle * 1000)
        self._query = {"speed": speed, "from": start, "to": end, "skipIdleMs": skip, "mode": "delta", "paused": True}
        self._session: WorkflowSession | None = None
        self._plays = not is_paused
        #: Where the replay stands, as the server said last.
        self.state: Frame | None = None
        self._goes_to: Frame | None = None
        self._replies: list[Frame] = []
        #: The last control was refused.
        self.refused: ReliveError | None = None

    def path(self) -> str:
        return session_path(self._session_id, "/replay", self._query)

    def opened(self) -> list[Frame]:
        # A connection begins at the beginning: until it was told where to go on, nothing is shown.
        self._goes_to = self.state
        return [{"type": "replay", "action": "play"}] if self.state is None and self._plays else []

    def replies(self) -> list[Frame]:
        replies, self._replies = self._replies, []
        return replies

    def received(self, frame: Frame) -> Iterable[WorkflowSession]:
        kind = frame["type"]
        if self._goes_to is not None:
            if kind == "replayState":
                self._go(self._goes_to)
            return ()
        if kind == "replayState":
            self.state = frame
        elif kind == "end":
            self.has_ended = True
        elif kind == "error":
            self.refused = ReliveError(frame["code"], frame["message"], retryable=frame["retryable"])
        elif kind == "snapshot":
            self._session = cast(WorkflowSession, frame["session"])
            return (self._session,)
        elif kind == "delta":
            if self._session is None or self._session["revision"] != frame["base"]:
                raise Resync
            self._session = cast(WorkflowSession, merge_patch(self._session, frame["patch"]))
            return (self._session,)
        return ()

    def _go(self, standing: Frame) -> None:
        self._goes_to = None
        controls = [("seek", {"revision": standing["revision"]}), ("speed", {"speed": standing["speed"]})]
        if standing["playing"]:
            controls.append(("play", {}))
        self._replies += [{"type": "replay", "action": action, **more} for action, more in controls]
