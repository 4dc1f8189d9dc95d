"""Watching over a WebSocket, through any number of connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from ..types import WorkflowSession
from .feeds import Frame
from .following import RETRIED, Following, ReplayControls

if TYPE_CHECKING:
    # Part of `typing` from Python 3.11 on.
    from typing_extensions import Self

T = TypeVar("T")


class AsyncWatch(Following[T]):
    """What is watched, to be iterated over. `aclose`, or the end of an `async with`, ends it."""

    _socket: ClientConnection | None = None
    _iterator: AsyncIterator[T] | None = None

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if self._iterator is None:
            self._iterator = self._follow()
        return await self._iterator.__anext__()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        self._is_closed = True
        if self._socket is not None:
            await self._socket.close()

    async def send(self, frame: Frame) -> bool:
        """False: there is no connection now."""
        if self._socket is None:
            return False
        try:
            await self._socket.send(json.dumps(frame))
        except (WebSocketException, OSError):
            return False
        return True

    async def _follow(self) -> AsyncIterator[T]:
        while not self._has_closed():
            try:
                self._used = await self._credentials.token_async()
                async for value in self._connected():
                    yield value
            except RETRIED as error:
                if self._has_closed():
                    return
                if self._lost(error):
                    await self._credentials.renew_async(self._used)
            if self._feed.has_ended:
                return
            await asyncio.sleep(self._backoff.next())

    async def _connected(self) -> AsyncIterator[T]:
        async with connect(self._base + self._feed.path(), **self._options()) as socket:
            self._backoff.opened()
            self._socket = socket
            try:
                await self._send_all(socket, self._feed.opened())
                while not self._feed.has_ended:
                    values, kind = self._values(await socket.recv())
                    if kind == "expiring":
                        await self._renew(socket)
                    await self._send_all(socket, self._feed.replies())
                    for value in values:
                        yield value
            finally:
                self._socket = None

    async def _send_all(self, socket: ClientConnection, frames: list[Frame]) -> None:
        for frame in frames:
            await socket.send(json.dumps(frame))

    async def _renew(self, socket: ClientConnection) -> None:
        token = await self._credentials.renew_async(self._used)
        if token != self._used:
            self._used = token
            await self._send_all(socket, [{"type": "auth", "token": token}])


class AsyncReplay(AsyncWatch[WorkflowSession], ReplayControls):
    """The states of a replay, and its controls."""

    @property
    def state(self) -> Frame | None:
        """Where the replay stands: `revision`, `at`, `speed`, `playing` and more; None before it has begun."""
        state: Frame | None = getattr(self._feed, "state", None)
        return state
