"""The thread that hears what is asked of this process's runs: pause, resume, cancel, answers to reviews."""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import Any, Protocol

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from .._backoff import Backoff
from .._credentials import Credentials, authorization
from .._errors import ReliveError, should_reconnect
from .._settings import socket_base

logger = logging.getLogger("relive")

#: Bytes of one frame: the state of a session with 10,000 nodes.
FRAME = 64 * 1024 * 1024
#: Milliseconds between two states of a session.
STATES = 200


class Listening(Protocol):
    """What is told. Its methods must not wait."""

    session_id: str

    def status_is(self, status: str) -> None: ...

    def signalled(self, node_id: str, revision: int, payload: Any) -> None: ...


class Listener:
    """Watches the sessions on one socket, which is opened when the first is added and again when it is lost."""

    def __init__(self, url: str, credentials: Credentials) -> None:
        self._address = f"{socket_base(url)}/ws"
        self._credentials = credentials
        self._lock = threading.Lock()
        self._sessions: dict[str, Listening] = {}
        #: Sessions of which every event is needed because a node waits, with the last revision that was seen.
        self._after: dict[str, int] = {}
        #: The last event that was seen of a session whose events were asked for at some time.
        self._seen: dict[str, int] = {}
        self._socket: ClientConnection | None = None
        self._thread: threading.Thread | None = None
        self._is_refused = False

    def add(self, session: Listening) -> None:
        with self._lock:
            self._sessions[session.session_id] = session
            self._start()
            self._subscribe(session.session_id)

    def remove(self, session_id: str) -> None:
        with self._lock:
            self._after.pop(session_id, None)
            self._seen.pop(session_id, None)
            if self._sessions.pop(session_id, None) is not None:
                self._send({"type": "unsubscribe", "sessionId": session_id})

    def await_signals(self, session_id: str, after: int) -> None:
        """Signals are events: from now on every event is asked for."""
        with self._lock:
            if session_id in self._sessions and session_id not in self._after:
                # Signals between two waits are not lost either.
                self._after[session_id] = self._seen.get(session_id, after)
                self._subscribe(session_id)

    def await_no_signals(self, session_id: str) -> None:
        with self._lock:
            if self._after.pop(session_id, None) is not None:
                self._subscribe(session_id)

    def forget(self) -> None:
        """In a child process: the parent hears what is asked."""
        self._lock = threading.Lock()
        self._sessions = {}
        self._after = {}
        self._seen = {}
        self._socket = self._thread = None

    def stop(self) -> None:
        """The thread ends soon."""
        with self._lock:
            self._is_refused = True
            socket = self._socket
        if socket is not None:
            socket.close()

    def _start(self) -> None:
        if self._thread is None and not self._is_refused:
            thread = threading.Thread(target=self._run, name="relive-listener", daemon=True)
            try:
                thread.start()
                self._thread = thread
            except RuntimeError:
                # The interpreter is ending.
                pass

    def _subscribe(self, session_id: str) -> None:
        frame: dict[str, Any] = {"type": "subscribe", "sessionId": session_id}
        after = self._after.get(session_id)
        if after is None:
            frame.update(mode="delta", minIntervalMs=STATES)
        else:
            frame.update(mode="events", after=after)
        self._send(frame)

    def _send(self, frame: dict[str, Any]) -> None:
        """What is not sent now goes out when a socket opens."""
        if self._socket is not None:
            try:
                self._socket.send(json.dumps(frame))
            except (WebSocketException, OSError):
                logger.debug("the socket is lost", exc_info=True)

    def _run(self) -> None:
        backoff = Backoff()
        while not self._is_refused:
            token: str | None = None
            try:
                token = self._credentials.token()
                self._listen(token, backoff)
            except ConnectionClosed as closed:
                self._closed(closed.rcvd.code if closed.rcvd else 1006, token)
            except ReliveError as error:
                self._is_refused = not error.retryable
            except (WebSocketException, OSError):
                logger.debug("no socket to %s", self._address, exc_info=True)
            except Exception:
                logger.warning("listening to Relive failed", exc_info=True)
            with self._lock:
                self._socket = None
                if self._is_refused:
                    return
            time.sleep(backoff.next())

    def _listen(self, token: str | None, backoff: Backoff) -> None:
        socket = connect(
            self._address,
            additional_headers=authorization(token),
            max_size=FRAME,
            open_timeout=10,
            close_timeout=1,
        )
        with socket:
            backoff.opened()
            with self._lock:
                self._socket = socket
                for session_id in list(self._sessions):
                    self._subscribe(session_id)
            for text in socket:
                frame = json.loads(text)
                if frame.get("type") == "expiring":
                    renewed = self._credentials.renew(token)
                    if renewed != token:
                        token = renewed
                        socket.send(json.dumps({"type": "auth", "token": token}))
                else:
                    self._received(frame)

    def _closed(self, code: int, token: str | None) -> None:
        if code in {4401, 4500} and self._credentials.is_renewable:
            self._credentials.renew(token)
        elif code == 4401 or not should_reconnect(code):
            # The sender says why.
            self._is_refused = True

    def _received(self, frame: dict[str, Any]) -> None:
        session_id = frame.get("sessionId")
        with self._lock:
            session = self._sessions.get(session_id) if isinstance(session_id, str) else None
            if session is None or not isinstance(session_id, str):
                return
            kind = frame.get("type")
            if kind == "event" and session_id in self._after:
                self._after[session_id] = self._seen[session_id] = frame["revision"]
        if kind == "event":
            self._event(session, frame["revision"], frame["event"])
        elif kind == "snapshot":
            session.status_is(frame["session"]["status"])
        elif kind == "delta" and "status" in frame["patch"]:
            session.status_is(frame["patch"]["status"])
        elif kind == "end":
            session.status_is(frame["status"])
            self.remove(session_id)

    def _event(self, session: Listening, revision: int, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "signalled":
            session.signalled(event["nodeId"], revision, event.get("payload"))
        elif kind in _STATUSES:
            session.status_is(_STATUSES[kind])


_STATUSES = {
    "started": "running",
    "resumed": "running",
    "paused": "paused",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}
