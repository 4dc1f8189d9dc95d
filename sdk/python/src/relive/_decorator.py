"""`@relive.node`: every call of a function is a node."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, TypeVar, overload

from . import _context
from ._node import Kind, Node, NodeOptions

F = TypeVar("F", bound=Callable[..., Any])


@overload
def node(function: F, /) -> F: ...


@overload
def node(
    name: str | None = None, /, *, kind: Kind | None = None, input: bool = True, output: bool = True
) -> Callable[[F], F]: ...


def node(function: Any = None, /, *, kind: Kind | None = None, input: bool = True, output: bool = True) -> Any:
    """Makes every call of a function a node of the run it is called in; outside of a run it changes nothing.

    Functions, coroutines and generators of both kinds. Calls nest; calls at the same time are instances. Arguments
    and results are reported unless `input` or `output` are false.
    """
    if callable(function):
        return _Calls(function, function.__name__, kind, input, output).wrapper()

    def decorate(decorated: F) -> F:
        wrapper: F = _Calls(decorated, function or decorated.__name__, kind, input, output).wrapper()
        return wrapper

    return decorate


class _Calls:
    def __init__(self, function: Callable[..., Any], name: str, kind: Kind | None, input: bool, output: bool) -> None:
        self._function = function
        self._name = name
        self._kind = kind
        self._takes_output = output
        self._signature: inspect.Signature | None = None
        if input:
            try:
                self._signature = inspect.signature(function)
            except (TypeError, ValueError):
                pass

    def wrapper(self) -> Any:
        function = self._function
        if inspect.isasyncgenfunction(function):
            wrapper: Any = self._async_generator()
        elif inspect.isgeneratorfunction(function):
            wrapper = self._generator()
        elif inspect.iscoroutinefunction(function):
            wrapper = self._coroutine()
        else:
            wrapper = self._plain()
        return functools.wraps(function)(wrapper)

    def _node(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> Node | None:
        place = _context.current.get()
        if place is None:
            return None
        parent = place if isinstance(place, Node) else None
        given = NodeOptions(kind=self._kind, input=self._input(arguments, options))
        return Node(place.run, self._name, parent, given)

    def _input(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if self._signature is None:
            return None
        try:
            bound = dict(self._signature.bind(*arguments, **options).arguments)
        except TypeError:
            # The call itself says what is wrong.
            return None
        bound.pop("self", None)
        bound.pop("cls", None)
        return bound or None

    def _done(self, node: Node, result: Any) -> None:
        if self._takes_output and result is not None:
            node.output(result)

    def _plain(self) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            node = self._node(arguments, options)
            if node is None:
                return self._function(*arguments, **options)
            with node:
                result = self._function(*arguments, **options)
                self._done(node, result)
                return result

        return call

    def _coroutine(self) -> Callable[..., Any]:
        async def call(*arguments: Any, **options: Any) -> Any:
            node = self._node(arguments, options)
            if node is None:
                return await self._function(*arguments, **options)
            async with node:
                result = await self._function(*arguments, **options)
                self._done(node, result)
                return result

        return call

    def _generator(self) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Generator[Any, Any, Any]:
            node = self._node(arguments, options)
            if node is None:
                return (yield from self._function(*arguments, **options))
            with node:
                return (yield from self._function(*arguments, **options))

        return call

    def _async_generator(self) -> Callable[..., Any]:
        async def call(*arguments: Any, **options: Any) -> AsyncIterator[Any]:
            node = self._node(arguments, options)
            if node is None:
                async for item in self._function(*arguments, **options):
                    yield item
                return
            async with node:
                async for item in self._function(*arguments, **options):
                    yield item

        return call
