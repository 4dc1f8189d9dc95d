"""The requests of the sender, each tried once."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from .._credentials import Credentials, authorization
from .._errors import ReliveError, error_of_answer
from .._settings import http_base
from .outbox import Chunk, Command, Lane

#: Seconds.
CONNECT, ANSWER = 5.0, 30.0


class Unreachable(Exception):
    """The server cannot be asked now; the same request may succeed later."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        #: Seconds that the server asked to wait.
        self.wait = wait


class Requests:
    """What a sender asks of its server. Used by its thread alone."""

    def __init__(self, url: str, credentials: Credentials) -> None:
        self._base = f"{http_base(url)}/api/v1"
        self._credentials = credentials
        self._client: httpx.Client | None = None

    def create(self, lane: Lane) -> int:
        assert lane.creation is not None
        answer = self._ask("POST", "/sessions", lane.creation, key=lane.session_id)
        return int(answer["revision"])

    def command(self, lane: Lane, commands: list[Command], key: str) -> int:
        """Carries them out, all or none. The revision that they led to."""
        body = b"[" + b",".join(command.body for command in commands) + b"]"
        answer = self._ask("POST", f"/sessions/{lane.session_id}/commands", body, key=key)
        return int(answer["revision"])

    def show(self, lane: Lane, chunks: list[Chunk]) -> None:
        body = [
            {"nodeId": one.node_id, "messageId": one.message_id, "text": one.text, "isThinking": one.is_thinking}
            for one in chunks
        ]
        text = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        self._ask("POST", f"/sessions/{lane.session_id}/tokens", text)

    def session(self, lane: Lane) -> dict[str, Any]:
        return self._ask("GET", f"/sessions/{quote(lane.session_id)}")

    def lease(self, lane: Lane, seconds: int) -> None:
        self._ask("POST", f"/sessions/{lane.session_id}/lease", b'{"seconds":%d}' % seconds)

    def drop_connections(self) -> None:
        """Whatever is open belongs to somebody else."""
        self._client = None

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _ask(self, method: str, path: str, body: bytes | None = None, *, key: str | None = None) -> dict[str, Any]:
        """Raises `Unreachable`, or a `ReliveError` that would be the same the next time."""
        token = self._token(None)
        answer = self._sent(method, path, body, key, token)
        if answer.status_code == 401 and self._credentials.is_renewable:
            renewed = self._token(token)
            if renewed != token:
                answer = self._sent(method, path, body, key, renewed)
        if answer.is_success:
            return _object(answer.content)
        error = error_of_answer(answer.status_code, answer.content)
        if error.retryable or (answer.status_code == 401 and self._credentials.is_renewable):
            raise Unreachable(error.message, _retry_after(answer))
        raise error

    def _token(self, used: str | None) -> str | None:
        try:
            return self._credentials.token() if used is None else self._credentials.renew(used)
        except ReliveError as error:
            if error.retryable:
                raise Unreachable(error.message) from error
            raise

    def _sent(self, method: str, path: str, body: bytes | None, key: str | None, token: str | None) -> httpx.Response:
        headers = authorization(token)
        if body is not None:
            headers["content-type"] = "application/json"
        if key is not None:
            headers["idempotency-key"] = key
        if self._client is None:
            self._client = httpx.Client(timeout=httpx.Timeout(ANSWER, connect=CONNECT))
        try:
            with _untraced():
                return self._client.request(method, self._base + path, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error


@contextmanager
def _untraced() -> Iterator[None]:
    """Within it OpenTelemetry makes no spans, which would be reported in their turn."""
    context = sys.modules.get("opentelemetry.context")
    key = getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", None)
    if context is None or key is None:
        yield
        return
    token = context.attach(context.set_value(key, True))
    try:
        yield
    finally:
        context.detach(token)


def _object(content: bytes) -> dict[str, Any]:
    if not content:
        return {}
    try:
        answer = json.loads(content)
    except ValueError as error:
        raise Unreachable("the answer is no JSON: is this the address of a Relive server?") from error
    if not isinstance(answer, dict):
        raise Unreachable("the answer is no object: is this the address of a Relive server?")
    return answer


def _retry_after(answer: httpx.Response) -> float | None:
    try:
        return min(60.0, max(0.0, float(answer.headers["retry-after"])))
    except (KeyError, ValueError):
        return None
