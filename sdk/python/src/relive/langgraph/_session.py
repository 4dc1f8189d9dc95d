"""One run of a watched graph."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.pregel import Pregel
from langgraph.types import Command, StateSnapshot

from .. import _encode
from .._cancellation import TaskCancellation
from .._errors import Cancelled
from .._node import Node, NodeOptions, Review
from .._run import Run
from ._breakpoints import Answer, Change, changes_of, may_stop, stops_of
from ._callbacks import AsyncCallbackHandler, CallbackHandler, Waiting
from ._drawing import START
from ._edges import Edges
from ._streaming import StreamingHandler

if TYPE_CHECKING:
    from ._watched import Watching

#: Seconds that an interrupt waits for the session to be known to the server, if it is not yet.
LIVE = 5.0


class Session:
    def __init__(
        self,
        watching: Watching,
        name: str,
        graph: Mapping[str, Any] | None,
        edges: Edges | None,
        tags: Sequence[str],
        metadata: Mapping[str, Any],
        inputs: Any,
        config: RunnableConfig | None,
        *,
        thread: Any,
        is_async: bool,
        is_resumable: bool,
    ) -> None:
        self._watching = watching
        self._thread = None if thread is None else str(thread)
        self.is_resumable = is_resumable
        encoded = {} if inputs is None else {"inputs": _encode.encode(inputs)}
        labels = {"tags": tags, "metadata": metadata}
        self._run = Run(name, labels, {"graph": graph}, encoded, reporter=watching.reporter)
        handler = AsyncCallbackHandler if is_async else CallbackHandler
        self._handler = handler(self._run, edges)
        self._has_start = edges is not None and START in edges.nodes
        self._rejected: str | None = None
        self._is_open = False
        self.config = self._with_handlers(config)

    def _with_handlers(self, config: RunnableConfig | None) -> RunnableConfig:
        handlers: list[Any] = [self._handler]
        if self._watching.streams:
            handlers.append(StreamingHandler())
        given = RunnableConfig(callbacks=None if config is None else config.get("callbacks"))
        callbacks = merge_configs(given, {"callbacks": handlers})["callbacks"]
        return {**(config or {}), "callbacks": callbacks}

    def again(self, config: RunnableConfig | None) -> Session:
        """The program resumes it."""
        self._handler.resumed()
        self.config = self._with_handlers(config)
        return self

    def __enter__(self) -> Session:
        if not self._is_open:
            self._run.start()
            if self._has_start:
                Node(self._run, "Start", None, _start_options()).start().complete()
        self._is_open = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, GeneratorExit):
            self._run.cancel("the stream was closed before its end")
        elif isinstance(error, (Cancelled, asyncio.CancelledError)):
            self._run.cancel("the task was cancelled")
        elif isinstance(error, KeyboardInterrupt):
            self._run.cancel("interrupted by the keyboard")
        elif error is not None:
            self._run.fail(error)
        elif self._rejected is None and self._handler.waiting and self.is_resumable and self._thread is not None:
            # Left open for the program to resume.
            self._is_open = True
            self._watching.open[self._thread] = self
        else:
            self._handler.leave()
            if self._rejected is not None:
                self._run.cancel(self._rejected)
            else:
                self._run.complete(self._handler.outputs)

    # Interrupts

    def _asks(self) -> list[Waiting]:
        """The nodes whose interrupts are answered here."""
        waits = self._watching.waits and self.is_resumable
        waiting = list(self._handler.waiting) if waits else []
        return waiting if all(one.is_asked for one in waiting) else []

    def may_have_stopped(self, graph: Pregel[Any, Any, Any, Any], options: Mapping[str, Any]) -> bool:
        """Whether a static interrupt of the graph or of a part of it may have ended the call."""
        return self.is_resumable and (may_stop(graph, self.config, options) or self.is_stopped_inside)

    @property
    def is_stopped_inside(self) -> bool:
        """Whether a part of the graph has stopped, so that its state is asked for too."""
        return self._handler.is_stopped_inside

    def stopped(self, state: StateSnapshot) -> None:
        """What the graph has come to. If nodes would follow, static interrupts have stopped it."""
        for stop in stops_of(state):
            self._handler.stop(stop)

    def answers(self) -> Answer | None:
        """Waits for the answers to all interrupts. None: there are none, nobody can answer, or it is over."""
        asked = self._asks()
        if not asked:
            return None
        deadline = time.monotonic() + LIVE
        while not self._run.control.is_live.wait(0.05):
            if self._run.is_unreachable or time.monotonic() > deadline:
                return None
        try:
            payloads = [self._run.control.signal(one.node.id, self._watching.timeout) for one in asked]
        except TimeoutError:
            return None
        return self._answer(asked, payloads)

    async def answers_async(self) -> Answer | None:
        asked = self._asks()
        if not asked:
            return None
        deadline = time.monotonic() + LIVE
        while not self._run.control.is_live.is_set():
            if self._run.is_unreachable or time.monotonic() > deadline:
                return None
            await asyncio.sleep(0.05)
        try:
            payloads = [await self._run.control.signal_async(one.node.id, self._watching.timeout) for one in asked]
        except TimeoutError:
            return None
        return self._answer(asked, payloads)

    def _answer(self, asked: Sequence[Waiting], payloads: Sequence[Any]) -> Answer | None:
        given: dict[str, Any] = {}
        changes: list[Change] = []
        for waiting, payload in zip(asked, payloads, strict=True):
            review = Review.of(payload)
            given.update((one.id, self._watching.resume(review, one)) for one in waiting.interrupts)
            if waiting.interrupts:
                continue
            if review.action == "reject":
                self._rejected = review.comment or "rejected"
                return None
            if review.action == "modify" and waiting.stop is not None:
                members = changes_of(waiting.stop.values, review.data)
                config = waiting.stop.config if waiting.stop.namespace else None
                changes += [Change(config, members)] if members else []
        self._handler.resumed()
        return Answer(Command(resume=given) if given else None, changes)

    @contextmanager
    def cancellable(self) -> Iterator[None]:
        """Within it, ending the run from outside cancels the task."""
        self._run.control.check()
        cancellation = TaskCancellation(self._run.control)
        cancellation.arm()
        try:
            yield
        except asyncio.CancelledError as error:
            if cancellation.is_cause_of(error):
                raise Cancelled from None
            raise
        finally:
            cancellation.disarm()


def _start_options() -> NodeOptions:
    return NodeOptions(id=START, type="start")
