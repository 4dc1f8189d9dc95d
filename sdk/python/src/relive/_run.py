"""A run: a session that this program drives."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Union

from . import _context, _encode
from ._control import Control
from ._errors import Cancelled
from ._failures import error_text, limited
from ._ids import fitted, new_id, node_id, printable
from ._node import Kind, Node, NodeOptions
from ._reporting.outbox import Chunk, Command, Lane
from ._reporting.reporter import Reporter, default_reporter
from ._settings import is_disabled
from ._slots import Slots

Metadata = Mapping[str, Union[str, int, float, bool]]

#: What the server takes.
NAME_CHARACTERS = 200
TAGS, TAG_CHARACTERS = 20, 64
METADATA_KEYS, METADATA_BYTES = 50, 16 * 1024


def run(
    name: str | None = None,
    *,
    tags: Sequence[str] = (),
    metadata: Metadata | None = None,
    inputs: Any = None,
    graph: Mapping[str, Any] | None = None,
    group_id: str | None = None,
    workflow_id: str | None = None,
    proposal: Any = None,
    id: str | None = None,
    reporter: Reporter | None = None,
) -> Run:
    """A run, to be entered by `with` or `async with`.

    `name` is by default that of the script. A run within a run is its child. With a `graph`, nodes have to be in
    it, or below one that is. `reporter` is by default that of the environment: `RELIVE_URL` and `RELIVE_TOKEN`.
    """
    labels = {"tags": tags, "metadata": metadata or {}}
    rest = {"graph": graph, "groupId": group_id, "workflowId": workflow_id}
    encoded = {
        key: _encode.encode(value) for key, value in (("inputs", inputs), ("proposal", proposal)) if value is not None
    }
    return Run(name or _script(), labels, rest, encoded, id=id, reporter=reporter)


def _script() -> str:
    return Path(sys.argv[0]).stem if sys.argv and sys.argv[0] else "run"


class Run:
    """Used as a context manager, or by `start` and `complete`, `fail` or `cancel`. It never waits for the server."""

    def __init__(
        self,
        name: str,
        labels: Mapping[str, Any],
        fields: Mapping[str, Any],
        encoded: Mapping[str, bytes],
        *,
        id: str | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self.id = id or new_id()
        self.name = name
        self.control = Control(self.id)
        self.has_graph = fields.get("graph") is not None
        self._fields = {**_labels(name, labels), **fields}
        self._encoded = encoded
        self._reporter = None if is_disabled() else reporter or default_reporter()
        self._lane: Lane | None = None
        self._slots = Slots()
        self._pid = os.getpid()
        self._waiting = 0
        self._outputs: bytes | None = None
        self._is_ended = False
        self._token: Any = None
        self._task: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self._stop: Callable[[], None] | None = None
        self._has_cancelled_task = False

    @property
    def run(self) -> Run:
        return self

    @property
    def url(self) -> str:
        """Where the run can be watched."""
        return "" if self._reporter is None else f"{self._reporter.url}/sessions/{self.id}"

    @property
    def is_reported(self) -> bool:
        return self._lane is not None

    def start(self) -> Run:
        """Begins, without making this the current run."""
        reporter = self._reporter
        if reporter is None:
            return self
        parent = _context.current.get()
        if parent is not None and parent.run is not self and parent.run.is_reported:
            self._fields["parentSessionId"] = parent.run.id
            if isinstance(parent, Node):
                self._fields["parentNodeId"] = parent.id
        creation = _encode.members({"id": self.id, **self._fields}, self._encoded)
        lane = Lane(self.id, creation, new_id()[-12:])
        if reporter.outbox.put(lane, Command(b'{"type":"start"}'), reserve=1):
            self._lane = lane
            reporter.begin(self)
        return self

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
        """A node, below the one that is running here if that is of this run.

        `id` is by default made of the name and those of the nodes above. `key` names an instance.
        """
        place = _context.current.get()
        parent = place if isinstance(place, Node) and place.run is self else None
        options = NodeOptions(id=id, key=key, kind=kind, type=type, input=input, attributes=attributes or {})
        return Node(self, name, parent, options)

    def outputs(self, value: Any) -> None:
        """What the run has made; reported when it completes."""
        self._outputs = _encode.encode(value)

    def context(self, key: str, value: Any) -> None:
        """Sets an entry of the run's context, which viewers see; None removes it."""
        self._send("setContext", {"key": key}, {"value": _encode.encode(value)})

    def proposal(self, value: Any) -> None:
        self._send("setProposal", {}, {"proposal": _encode.encode(value)})

    def memory(self, content: str, *, agent: str | None = None, metadata: Any = None) -> None:
        """Something to be found later by its meaning."""
        self._send("addMemory", {"agentId": agent, "content": content, "metadata": metadata})

    def labels(
        self, *, name: str | None = None, tags: Sequence[str] | None = None, metadata: Metadata | None = None
    ) -> None:
        """Replaces the name, the tags or the metadata."""
        given = {"tags": tags, "metadata": metadata}
        self._send("setLabels", _labels(name, {key: one for key, one in given.items() if one is not None}))

    def checkpoint(self) -> None:
        """Waits while the run is paused; raises `Cancelled` if somebody has ended it. Nodes do so as they begin."""
        self.control.checkpoint()

    async def checkpoint_async(self) -> None:
        """The same for coroutines."""
        await self.control.checkpoint_async()

    def complete(self, outputs: Any = None) -> None:
        if outputs is not None:
            self.outputs(outputs)
        encoded = {} if self._outputs is None else {"outputs": self._outputs}
        self._end("complete", {}, encoded)

    def fail(self, error: BaseException | str) -> None:
        self._end("fail", {"error": error_text(error)})

    def cancel(self, reason: str | None = None) -> None:
        self._end("cancel", {"reason": None if reason is None else limited(reason)[:1000]})

    def _end(self, kind: str, fields: Mapping[str, Any], encoded: Mapping[str, bytes] | None = None) -> None:
        if self._is_ended:
            return
        self._is_ended = True
        was_cancelled = self.control.is_cancelled
        self.control.over()
        lane, reporter = self._lane, self._reporter
        if lane is None or reporter is None:
            return
        # A child process has its own copy of this; the run is its parent's.
        if was_cancelled or os.getpid() != self._pid:
            reporter.outbox.release(1)
        else:
            short = Command(_encode.fields(kind, fields))
            reporter.outbox.put_reserved(lane, Command(_encode.fields(kind, fields, encoded)), short)
        lane.is_finished = True

    def _send(self, kind: str, fields: Mapping[str, Any], encoded: Mapping[str, bytes] | None = None) -> None:
        self.put(Command(_encode.fields(kind, fields, encoded), is_late=kind == "addMemory"), is_detail=True)

    # What follows is for nodes.

    def put(self, command: Command, *, reserve: int = 0, is_detail: bool = False) -> bool:
        if self._lane is None or self._reporter is None:
            return False
        return self._reporter.outbox.put(self._lane, command, reserve=reserve, is_detail=is_detail)

    def put_reserved(self, command: Command, short: Command) -> None:
        if self._lane is not None and self._reporter is not None:
            self._reporter.outbox.put_reserved(self._lane, command, short)

    def put_chunk(self, chunk: Chunk) -> None:
        if self._lane is not None and self._reporter is not None:
            self._reporter.outbox.put_chunk(self._lane, chunk)

    def claim(self, name: str, parent_id: str | None, options: NodeOptions) -> tuple[str, int, str]:
        """An id for a node that begins: what it is made of, its number and the whole."""
        base = options.id if options.id is not None else node_id(name, parent_id)
        if options.key is not None:
            return base, 0, f"{base}#{fitted(printable(options.key), 32)}"
        if options.is_instance:
            slot = self._slots.claim(f"{base}#")
            return f"{base}#", slot, f"{base}#{slot}"
        slot = self._slots.claim(base)
        return base, slot, base if slot == 1 else f"{base}#{slot}"

    def release(self, base: str, slot: int) -> None:
        if slot:
            self._slots.release(base, slot)

    def waits(self, change: int) -> None:
        """How many nodes wait for a signal, so that signals are listened for."""
        self._waiting += change
        if self._waiting == 0 and self._reporter is not None:
            self._reporter.listener.await_no_signals(self.id)

    def forked(self) -> None:
        """In a child process: the session is the same, the queue is new."""
        self._slots.forked()
        self.control.forked()
        if self._lane is not None:
            self._lane = Lane(self.id, self._lane.creation, new_id()[-12:])

    def __enter__(self) -> Run:
        _context.follow_threads()
        self.start()
        self._token = _context.current.set(self)
        loop = asyncio._get_running_loop()
        task = None if loop is None else asyncio.current_task(loop)
        if loop is not None and task is not None and self._lane is not None:
            self._task = (loop, task)
            self._stop = self.control.on_change(self._on_change)
        return self

    async def __aenter__(self) -> Run:
        return self.__enter__()

    def _on_change(self) -> None:
        if self.control.is_cancelled and self._task is not None:
            try:
                self._task[0].call_soon_threadsafe(self._cancel_task)
            except RuntimeError:
                # The loop is closed.
                pass

    def _cancel_task(self) -> None:
        if self._task is not None and not self._is_ended and not self._has_cancelled_task:
            self._has_cancelled_task = True
            self._task[1].cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stop is not None:
            self._stop()
        if self._token is not None:
            _context.reset(self._token)
        task, self._task = self._task, None
        if self._has_cancelled_task and isinstance(error, asyncio.CancelledError):
            self._end("cancel", {})
            uncancel = getattr(task[1], "uncancel", None) if task is not None else None
            # Others may have cancelled the task too.
            if uncancel is None or uncancel() == 0:
                raise Cancelled from None
        self._end_by(error)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _end_by(self, error: BaseException | None) -> None:
        if error is None or isinstance(error, GeneratorExit):
            self.complete()
        elif isinstance(error, SystemExit):
            self.fail(f"exit status {error.code}") if error.code else self.complete()
        elif isinstance(error, KeyboardInterrupt):
            self.cancel("interrupted by the keyboard")
        elif isinstance(error, (Cancelled, asyncio.CancelledError)):
            self.cancel("the task was cancelled")
        else:
            self.fail(error)


def _labels(name: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """As the server takes them, so that no run is refused because of its labels."""
    labels: dict[str, Any] = {}
    if name is not None:
        labels["name"] = printable(name)[:NAME_CHARACTERS]
    if "tags" in given:
        tags = (printable(str(tag))[:TAG_CHARACTERS] for tag in given["tags"])
        labels["tags"] = list(dict.fromkeys(tag for tag in tags if tag))[:TAGS]
    if "metadata" in given:
        labels["metadata"] = _metadata(given["metadata"])
    return labels


def _metadata(given: Metadata) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    size = 2
    for key, value in _encode.attributes(given).items():
        size += len(key.encode("utf-8", "replace")) + len(_encode.encode(value)) + 6
        if key and value is not None and len(kept) < METADATA_KEYS and size <= METADATA_BYTES:
            kept[key] = value
    return kept
