"""Graphs whose every run is a session."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, cast

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, merge_configs
from langgraph.pregel import Pregel
from langgraph.types import Command, Interrupt

from .._node import Review
from .._reporting.reporter import Reporter
from ._breakpoints import Answer
from ._callbacks import CallbackHandler
from ._drawing import drawn, open_routes
from ._edges import Edges
from ._reviews import answer_of
from ._session import Session

G = TypeVar("G", bound=Pregel[Any, Any, Any, Any])


@dataclass(frozen=True)
class Watching:
    """How a graph is watched."""

    name: str | None
    tags: Sequence[str]
    metadata: Mapping[str, Any]
    waits: bool
    timeout: float | None
    resume: Callable[[Review, Interrupt], Any]
    streams: bool
    reporter: Reporter | None
    #: Sessions that wait to be resumed by the program itself, by thread.
    open: dict[str, Session] = field(default_factory=dict)


def watch(
    graph: G,
    *,
    name: str | None = None,
    tags: Sequence[str] = (),
    metadata: Mapping[str, str | int | float | bool] | None = None,
    reviews: Literal["wait", "return"] = "wait",
    review_timeout: float | None = None,
    resume: Callable[[Review, Interrupt], Any] = answer_of,
    stream_models: bool = False,
    reporter: Reporter | None = None,
) -> G:
    """The compiled graph, to be used in its place: every run of it is a session.

    - `name`: of the sessions; by default the graph's, or `run_name` of the call.
    - `reviews`: what an `interrupt()` does. `wait`: the call goes on when the review is answered in the dashboard, or
      returns as LangGraph does if nobody can answer, because the server is away or the graph has no checkpointer.
      `return`: it always returns, and the session goes on when this program resumes the thread.
    - `review_timeout`: seconds to wait for an answer; then the call returns as LangGraph does.
    - `resume`: makes the value that `interrupt()` returns of the answer.
    - `stream_models`: models are asked to stream even by `invoke`, so that their words are shown as they come.
    - `reporter`: by default that of `RELIVE_URL` and `RELIVE_TOKEN`.
    """
    watched = copy.copy(graph)
    watched.__class__ = _class_of(type(graph))
    watching = Watching(name, tags, metadata or {}, reviews == "wait", review_timeout, resume, stream_models, reporter)
    # Not through the model of the class, which has no such field.
    watched.__dict__["_relive"] = watching
    return watched


_classes: dict[type, type] = {}


def _class_of(kind: type[G]) -> type[G]:
    """A subclass, so that a watched graph is still what it was to everybody else."""
    if issubclass(kind, Watched):
        return kind
    if kind not in _classes:
        _classes[kind] = type(f"Watched{kind.__name__}", (Watched, kind), {})
    return cast("type[G]", _classes[kind])


class Watched(Pregel[Any, Any, Any, Any]):
    """What is different about a watched graph. The arguments are those of LangGraph."""

    def copy(self, update: dict[str, Any] | None = None) -> Any:
        watching: Watching = self.__dict__["_relive"]
        plain = copy.copy(self)
        del plain.__dict__["_relive"]
        plain = super(Watched, plain).copy(update)
        plain.__dict__["_relive"] = replace(watching)
        return plain

    def _session(self, given: Any, config: RunnableConfig | None, kind: Literal["sync", "async"]) -> Session | None:
        """None: this is a part of a run that is watched already."""
        whole = ensure_config(merge_configs(self.config, config))
        if _has_handler(whole.get("callbacks")):
            return None
        watching: Watching = self.__dict__["_relive"]
        thread = whole.get("configurable", {}).get("thread_id")
        if thread is not None and (given is None or isinstance(given, Command)):
            before = watching.open.pop(str(thread), None)
            if before is not None:
                return before.again(config)
        name = watching.name or whole.get("run_name") or self.get_name()
        graph = drawn(self, name)
        edges = None if graph is None else Edges(graph, open_routes(self))
        metadata = {**watching.metadata, **({} if thread is None else {"thread_id": str(thread)})}
        tags = [*watching.tags, *(whole.get("tags") or [])]
        return Session(
            watching,
            name,
            graph,
            edges,
            tags,
            metadata,
            given,
            config,
            thread=thread,
            is_async=kind == "async",
            is_resumable=self._is_resumable(whole),
        )

    def _is_resumable(self, config: RunnableConfig) -> bool:
        checkpointer = config.get("configurable", {}).get("__pregel_checkpointer", self.checkpointer)
        return checkpointer is not None and checkpointer is not False

    def _answer(self, session: Session, options: Mapping[str, Any]) -> Answer | None:
        """What the graph goes on with, once somebody has answered what it waits for."""
        if session.may_have_stopped(self, options):
            session.stopped(self.get_state(session.config, subgraphs=session.is_stopped_inside))
        answer = session.answers()
        for change in answer.changes if answer is not None else ():
            self.update_state(change.config or session.config, change.members)
        return answer

    async def _answer_async(self, session: Session, options: Mapping[str, Any]) -> Answer | None:
        if session.may_have_stopped(self, options):
            session.stopped(await self.aget_state(session.config, subgraphs=session.is_stopped_inside))
        answer = await session.answers_async()
        for change in answer.changes if answer is not None else ():
            await self.aupdate_state(change.config or session.config, change.members)
        return answer

    def invoke(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Any:
        session = self._session(input, config, "sync")
        if session is None:
            return super().invoke(input, config, **options)
        with session:
            while True:
                result = super().invoke(input, session.config, **options)
                answer = self._answer(session, options)
                if answer is None:
                    return result
                input = answer.input

    def stream(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Iterator[Any]:
        session = self._session(input, config, "sync")
        if session is None:
            yield from super().stream(input, config, **options)
            return
        with session:
            while True:
                yield from super().stream(input, session.config, **options)
                answer = self._answer(session, options)
                if answer is None:
                    return
                input = answer.input

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Any:
        session = self._session(input, config, "async")
        if session is None:
            return await super().ainvoke(input, config, **options)
        with session:
            while True:
                with session.cancellable():
                    result = await super().ainvoke(input, session.config, **options)
                    answer = await self._answer_async(session, options)
                if answer is None:
                    return result
                input = answer.input

    async def astream(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> AsyncIterator[Any]:
        session = self._session(input, config, "async")
        if session is None:
            async for chunk in super().astream(input, config, **options):
                yield chunk
            return
        with session:
            while True:
                chunks = super().astream(input, session.config, **options)
                try:
                    while True:
                        # Not while the caller has the chunk: what it does then is its own.
                        with session.cancellable():
                            try:
                                chunk = await chunks.__anext__()
                            except StopAsyncIteration:
                                break
                        yield chunk
                finally:
                    await _closed(chunks)
                with session.cancellable():
                    answer = await self._answer_async(session, options)
                if answer is None:
                    return
                input = answer.input


async def _closed(chunks: AsyncIterator[Any]) -> None:
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await asyncio.shield(close())


def _has_handler(callbacks: Any) -> bool:
    handlers: Sequence[BaseCallbackHandler] = ()
    if isinstance(callbacks, BaseCallbackManager):
        handlers = callbacks.handlers
    elif isinstance(callbacks, list):
        handlers = callbacks
    return any(isinstance(one, CallbackHandler) for one in handlers)
