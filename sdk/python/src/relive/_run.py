"""A run: a session that this program drives."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Union

from . import _context, _encode
from ._cancellation import TaskCancellation
from ._control import Control
from ._errors import Cancelled
from ._failures import error_text, limited
from ._ids import fitted, new_id, node_id, printable
from ._node import Kind, Node, NodeOptions
from ._reporting.outbox import Chunk, Command, Lane
from ._reporting.reporter import Reporter, default_reporter
from ._reporting.sender import START
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
        is_shared: bool = False,
    ) -> None:
        """`is_shared`: other processes may create the session too."""
        self.id = id or new_id()
        self.name = name
        self.control = Control(self.id)
        self.has_graph = fields.get("graph") is not None
        self._fields = {**_labels(name, labels), **fields}
        self._encoded = encoded
        self._reporter = None if is_disabled() else reporter or default_reporter()
        self._lane: Lane | None = None
        self._is_shared = is_shared
        self._slots = Slots()
        self._pid = os.getpid()
        self._waiting = 0
        self._outputs: bytes | None = None
        self._is_ended = False
        self._token: Any = None
        self._cancellation = TaskCancellation(self.control)

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

    @property
    def is_unreachable(self) -> bool:
        """The server could not be reached the last time."""
        return self._reporter is None or self._reporter.sender.is_away

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
        lane = Lane(self.id, creation, new_id()[-12:], is_shared=self._is_shared)
        if reporter.put(lane, Command(START), reserve=1):
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

    def leave(self) -> None:
        """This process reports nothing more; another one ends the run."""
        if not self._is_ended:
            self._is_ended = True
            self.control.over()
            if self._lane is not None and self._reporter is not None:
                self._reporter.outbox.release(1)
                self._lane.is_finished = True

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
        return self._reporter.put(self._lane, command, reserve=reserve, is_detail=is_detail)

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
        before = self._lane
        if before is not None and self._reporter is not None:
            self._lane = Lane(self.id, before.creation, new_id()[-12:], is_shared=True)
            if before.revision < 2:
                # Whoever comes first starts it.
                self._reporter.outbox.put(self._lane, Command(START))

    def __enter__(self) -> Run:
        _context.follow_threads()
        self.start()
        self._token = _context.current.set(self)
        if self._lane is not None:
            self._cancellation.arm()
        return self

    async def __aenter__(self) -> Run:
        return self.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            _context.reset(self._token)
        is_cancelled = self._cancellation.is_cause_of(error)
        self._cancellation.disarm()
        if is_cancelled:
            self._end("cancel", {})
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
