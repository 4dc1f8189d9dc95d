"""The errors of this package."""

from __future__ import annotations

import json
from typing import Any


class ReliveError(Exception):
    """What the server refused, or why it cannot be reached."""

    #: For programs; `docs/protocol.md` lists them.
    code: str
    #: Whether the same request may succeed later.
    retryable: bool
    #: The code of a WebSocket that was closed for good.
    close_code: int | None

    def __init__(self, code: str, message: str, *, retryable: bool = False, close_code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.close_code = close_code

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuilt, (type(self), self.code, self.message, self.retryable, self.close_code))


def _rebuilt(kind: type[ReliveError], code: str, message: str, retryable: bool, close_code: int | None) -> ReliveError:
    return kind(code, message, retryable=retryable, close_code=close_code)


class Cancelled(BaseException):
    """The run was cancelled or stopped from outside.

    It is no `Exception`, so that code that retries after any `Exception` does not go on working.
    """

    def __init__(self, message: str = "the run was cancelled") -> None:
        super().__init__(message)


_CODES = {401: "unauthorized", 403: "forbidden", 404: "not_found", 413: "too_large", 429: "rate_limited"}


def error_of_answer(status: int, body: bytes) -> ReliveError:
    """The error that an HTTP answer stands for; its body is a problem document, unless a proxy made it."""
    try:
        problem = json.loads(body)
        code, message = problem["code"], problem.get("detail") or problem.get("title")
        return ReliveError(str(code), str(message), retryable=bool(problem.get("retryable", False)))
    except (ValueError, KeyError, TypeError, AttributeError):
        retryable = status == 429 or status >= 500
        code = _CODES.get(status, "unavailable" if retryable else "bad_request")
        return ReliveError(code, f"the server answered with {status}", retryable=retryable)


_CLOSE_CODES = {
    1000: "unavailable",
    1008: "forbidden",
    1009: "too_large",
    4401: "unauthorized",
    4500: "unauthorized",
    4503: "forbidden",
    4504: "not_found",
}


def should_reconnect(close_code: int) -> bool:
    """Whether a client that was closed with this code connects again."""
    if 4500 <= close_code <= 4999:
        return False
    # 1000: the server has nothing more to say. The others: the same bytes would fail again.
    return close_code not in {1000, 1002, 1003, 1007, 1008, 1009, 1010}


def error_of_close(close_code: int, reason: str) -> ReliveError:
    code = _CLOSE_CODES.get(close_code, "bad_request")
    message = reason or f"the server closed the connection ({close_code})"
    return ReliveError(code, message, close_code=close_code)
