"""Keys and access tokens."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import Union

from ._errors import ReliveError

#: A key or an access token, or a function that gives one that is valid still. The function is asked before
#: the first request or connection, when the server says that the token expires, and after it was refused.
TokenSource = Union[str, Callable[[], str], Callable[[], Awaitable[str]]]


class Credentials:
    """The token of a client, which its requests and sockets share."""

    def __init__(self, source: TokenSource | None) -> None:
        self._source = source
        self._held: str | None = source if isinstance(source, str) else None
        self._lock = threading.Lock()

    @property
    def is_renewable(self) -> bool:
        """Whether asking again can give another one."""
        return self._source is not None and not isinstance(self._source, str)

    def token(self) -> str | None:
        """The token held, asked for if there is none yet."""
        if self._held is not None or self._source is None:
            return self._held
        return self.renew(None)

    def renew(self, used: str | None) -> str | None:
        """A token other than `used`, if there is one. Raises `ReliveError`."""
        if self._source is None or isinstance(self._source, str):
            return self._held
        with self._lock:
            # Somebody else may have asked meanwhile.
            if self._held is None or self._held == used:
                self._held = self._asked()
            return self._held

    async def token_async(self) -> str | None:
        if self._held is not None or self._source is None:
            return self._held
        return await self.renew_async(None)

    async def renew_async(self, used: str | None) -> str | None:
        if self._source is None or isinstance(self._source, str):
            return self._held
        if self._held is not None and self._held != used:
            return self._held
        try:
            answer = self._source()
            self._held = await answer if inspect.isawaitable(answer) else answer
        except Exception as error:
            raise _not_to_be_had(error) from error
        return self._held

    def _asked(self) -> str:
        assert callable(self._source)
        try:
            answer = self._source()
            return asyncio.run(_waited_for(answer)) if inspect.isawaitable(answer) else answer
        except Exception as error:
            raise _not_to_be_had(error) from error


async def _waited_for(answer: Awaitable[str]) -> str:
    return await answer


def _not_to_be_had(error: Exception) -> ReliveError:
    if isinstance(error, ReliveError):
        return error
    return ReliveError("unauthorized", f"no token to be had: {error}", retryable=True)


def authorization(token: str | None) -> dict[str, str]:
    return {} if token is None else {"authorization": f"Bearer {token}"}
