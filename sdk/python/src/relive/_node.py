"""A node of a run: a step that begins, reports what it does, and ends."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from . import _context, _encode
from ._clock import Stopwatch, now
from ._errors import Cancelled, ReliveError
from ._failures import error_text
from ._message import MessageWriter, message_command
from ._reporting.outbox import Command

if TYPE_CHECKING:
    from ._run import Run

Kind = Literal["agent", "chain", "llm", "tool", "retriever", "embedding", "guardrail", "human", "task"]
Level = Literal["debug", "info", "warn", "error"]
Role = Literal["user", "agent", "system", "tool"]

#: Bytes of a log line that the server takes.
LOG_BYTES = 64 * 1024
#: Seconds between two reports of a node's progress.
PROGRESS = 0.05


@dataclass(frozen=True)
class Review:
    """How somebody answered."""

    #: `approve`, `reject`, `modify` or `skip`; empty when the answer was a bare signal.
    action: str
    reviewer: str | None = None
    comment: str | None = None
    #: With `modify`: what the draft was changed to. Of a bare signal: its payload.
    data: Any = None

    @property
    def is_approved(self) -> bool:
        return self.action in {"approve", "modify"}

    @classmethod
    def of(cls, payload: Any) -> Review:
        review = payload.get("review") if isinstance(payload, dict) else None
        if not isinstance(review, dict):
            return cls(action="", data=payload)
        given = {key: review.get(key) for key in ("reviewer", "comment", "data")}
        return cls(action=str(review.get("action", "")), **given)


@dataclass
class NodeOptions:
    """What a node is, besides its name."""

    id: str | None = None
    #: Names an instance of the node, when it runs several times at once; counted when left out.
    key: str | None = None
    kind: Kind | None = None
    type: str | None = None
    input: Any = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    #: When it began, in seconds since 1970, if that is not when `start` is called.
    began: float | None = None


class Node:
    """Used as a context manager, or by `start` and `complete`, `fail` or `skip`. Its methods never wait and never
    fail, except `wait_for_signal` and `review`, and those that raise `Cancelled` when somebody has ended the run."""

    def __init__(self, run: Run, name: str, parent: Node | None, options: NodeOptions) -> None:
        self.run = run
        self.name = name
        self.parent = parent
        #: Known once the node has begun.
        self.id = ""
        self._options = options
        self._base = ""
        self._slot = 0
        self._stopwatch = Stopwatch()
        self._is_running = False
        self._is_reported = False
        self._output: bytes | None = None
        self._progress: float | None = None
        self._progress_at = 0.0
        self._attributes: dict[str, Any] = _encode.attributes(options.attributes)
        self._token: contextvars.Token[Any] | None = None

    def start(self) -> Node:
        """Begins, without making this the current node."""
        options, run = self._options, self.run
        self._base, self._slot, self.id = run.claim(self.name, None if self.parent is None else self.parent.id, options)
        self._stopwatch = Stopwatch(options.began)
        self._is_running = True
        encoded = {} if options.input is None else {"input": _encode.encode(options.input)}
        body = _encode.fields(
            "setNodeStatus",
            {
                "nodeId": self.id,
                "status": "running",
                "name": self.name if self.name != self.id else None,
                "nodeType": options.type,
                "kind": options.kind,
                "parentNodeId": None if self.parent is None else self.parent.id,
                "startedAt": self._stopwatch.began,
                "attributes": self._attributes or None,
            },
            encoded,
        )
        self._attributes = {}
        self._is_reported = run.put(Command(body), reserve=1)
        return self

    def progress(self, share: float) -> None:
        """How much is done, 0 to 1. Raises `Cancelled`, and waits for nothing."""
        share = min(1.0, max(0.0, float(share)))
        self._progress = share
        at = time.monotonic()
        if share == 1.0 or at - self._progress_at >= PROGRESS:
            self._progress_at = at
            self._update(progress=share)
        self.run.control.check()

    def attributes(self, **given: Any) -> None:
        """Adds to what is known about the node; None removes. Objects become texts."""
        self._update(attributes=_encode.attributes(given))

    def input(self, value: Any) -> None:
        self._report({"status": "running"}, {"input": _encode.encode(value)})

    def output(self, value: Any) -> None:
        """What the node has made; reported when it ends."""
        self._output = _encode.encode(value)

    def facts(self, fields: Mapping[str, Any], input: Any = None) -> None:
        """Members of `setNodeStatus` that became known after the start."""
        encoded = {} if input is None else {"input": _encode.encode(input)}
        self._report({"status": "running", **fields}, encoded)

    def ended(self, at: float | None) -> None:
        """When it ended, in seconds since 1970, if that is not when it is said."""
        if at is not None:
            self._stopwatch.end(at)

    def log(self, text: str, level: Level = "info", **attributes: Any) -> None:
        """A log line."""
        self.log_at(now(), text, level, attributes)

    def log_at(self, at: str, text: str, level: Level = "info", attributes: Mapping[str, Any] | None = None) -> None:
        """A log line of another moment (RFC 3339)."""
        content = _encode.as_limited(str(text), LOG_BYTES)
        given = _encode.attributes({key: one for key, one in (attributes or {}).items() if one is not None})
        fields = {"nodeId": self.id, "level": level, "text": content, "at": at, "attributes": given or None}
        self._put("addLog", fields)

    def message(
        self,
        content: str,
        *,
        role: Role = "agent",
        agent: str | None = None,
        thinking: bool = False,
        tokens: int | None = None,
        tool_calls: Sequence[Mapping[str, Any]] | None = None,
        tool_call_id: str | None = None,
        content_type: Literal["text/markdown", "text/plain", "application/json"] | None = None,
        id: str | None = None,
    ) -> None:
        """A message, whole. `tool_calls` have `id`, `name` and `arguments`."""
        command = message_command(
            self.id,
            content,
            role=role,
            agent=agent,
            thinking=thinking,
            tokens=tokens,
            tool_calls=tool_calls,
            tool_call_id=tool_call_id,
            content_type=content_type,
            id=id,
        )
        self._put_command(command)

    def writing(self, *, role: Role = "agent", agent: str | None = None, thinking: bool = False) -> MessageWriter:
        """A message that is shown while it is written: `with node.writing() as message: message.write("…")`."""
        return MessageWriter(self, role=role, agent=agent, thinking=thinking)

    def usage(
        self,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        model: str | None = None,
        cached_input_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        cost_usd: float | None = None,
        agent: str | None = None,
    ) -> None:
        """Tokens that a model has read and written. Without a cost, the server knows the price of many models."""
        fields = {
            "nodeId": self.id,
            "agentId": agent,
            "model": model,
            "inputTokens": int(input_tokens),
            "outputTokens": int(output_tokens),
            "cachedInputTokens": cached_input_tokens,
            "reasoningTokens": reasoning_tokens,
            "costUsd": cost_usd,
        }
        self._put("recordUsage", fields)

    def memory(self, content: str, *, agent: str | None = None, metadata: Any = None) -> None:
        """Something to be found later by its meaning."""
        self._put("addMemory", {"agentId": agent, "content": content, "metadata": metadata})

    def node(
        self,
        name: str,
        *,
        id: str | None = None,
        key: str | None = None,
        kind: Kind | None = None,
        type: str | None = None,
        input: Any = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Node:
        """A node below this one."""
        options = NodeOptions(id=id, key=key, kind=kind, type=type, input=input, attributes=attributes or {})
        return Node(self.run, name, self, options)

    def wait_for_signal(self, timeout: float | None = None) -> Any:
        """Suspends the node until somebody sends it a signal, and returns its payload.

        Raises `TimeoutError`, `Cancelled`, and `ReliveError` when nobody can answer because nothing is reported.
        """
        self.suspend()
        try:
            return self.run.control.signal(self.id, timeout)
        finally:
            self.go_on()

    async def wait_for_signal_async(self, timeout: float | None = None) -> Any:
        """The same for coroutines."""
        self.suspend()
        try:
            return await self.run.control.signal_async(self.id, timeout)
        finally:
            self.go_on()

    def review(self, draft: Any = None, timeout: float | None = None) -> Review:
        """Asks for a review of `draft`, which is answered in the dashboard. Raises as `wait_for_signal`."""
        self._draft(draft)
        return Review.of(self.wait_for_signal(timeout))

    async def review_async(self, draft: Any = None, timeout: float | None = None) -> Review:
        """The same for coroutines."""
        self._draft(draft)
        return Review.of(await self.wait_for_signal_async(timeout))

    def _draft(self, draft: Any) -> None:
        # So the dashboard shows what is asked, and the three answers.
        self._options.type, self._options.kind = "human_review", "human"
        if draft is not None:
            self.output(draft)

    def ask(self, draft: Any) -> bool:
        """Suspends the node with a draft to be reviewed, and waits for nothing. False: nobody can answer."""
        if not self._is_reported:
            return False
        self._draft(draft)
        self.suspend()
        return True

    def suspend(self) -> None:
        """The node waits for a signal. Raises `ReliveError` when none can come."""
        if not self._is_reported:
            raise ReliveError("unavailable", "nobody can answer: the node is not reported")
        self.run.waits(1)
        options = self._options
        encoded = {} if self._output is None else {"output": self._output}
        body = _encode.fields(
            "setNodeStatus",
            {"nodeId": self.id, "status": "suspended", "nodeType": options.type, "kind": options.kind},
            encoded,
        )
        self.run.put(Command(body, suspends=True))

    def go_on(self) -> None:
        """The node waits no longer."""
        self.run.waits(-1)
        self._report({"status": "running"})

    def complete(self, output: Any = None) -> None:
        if output is not None:
            self.output(output)
        self._end("completed")

    def fail(self, error: BaseException | str) -> None:
        self._end("failed", error=error_text(error))

    def skip(self) -> None:
        self._end("skipped")

    def _end(self, status: str, error: str | None = None) -> None:
        if not self._is_running:
            return
        self._is_running = False
        self.run.release(self._base, self._slot)
        if not self._is_reported:
            return
        self._is_reported = False
        fields: dict[str, Any] = {
            "nodeId": self.id,
            "status": status,
            "error": error,
            "completedAt": self._stopwatch.now(),
        }
        short = _encode.fields("setNodeStatus", fields)
        fields["attributes"] = self._attributes or None
        encoded = {} if self._output is None else {"output": self._output}
        self.run.put_reserved(Command(_encode.fields("setNodeStatus", fields, encoded)), Command(short))

    def _update(self, **fields: Any) -> None:
        self._report({"status": "running", **fields})

    def _report(self, fields: Mapping[str, Any], encoded: Mapping[str, bytes] | None = None) -> None:
        if self._is_reported:
            body = _encode.fields("setNodeStatus", {"nodeId": self.id, **fields}, encoded)
            self.run.put(Command(body), is_detail=True)

    def _put(self, kind: str, fields: Mapping[str, Any]) -> None:
        self._put_command(Command(_encode.fields(kind, fields), is_late=True))

    def _put_command(self, command: Command) -> None:
        if self.id:
            self.run.put(command, is_detail=True)

    def __enter__(self) -> Node:
        # A loop must not stand still: there, only `async with` waits while the run is paused.
        if asyncio._get_running_loop() is None:
            self.run.control.checkpoint()
        else:
            self.run.control.check()
        return self._entered()

    async def __aenter__(self) -> Node:
        await self.run.control.checkpoint_async()
        return self._entered()

    def _entered(self) -> Node:
        self.start()
        self._token = _context.current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            _context.reset(self._token)
            self._token = None
        if error is None or isinstance(error, GeneratorExit):
            self.complete()
        elif isinstance(error, (Cancelled, asyncio.CancelledError)):
            self._end("failed", error="cancelled")
        else:
            self.fail(error)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)
