"""What LangGraph and LangChain tell of a run, reported as nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import Token
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.outputs import LLMResult
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.types import Interrupt

from .. import _context
from .._errors import Cancelled
from .._message import MessageWriter
from .._node import Kind, Node, NodeOptions
from .._run import Run
from ._breakpoints import Stop
from ._content import answer_of_model, content_of, prompt_of
from ._edges import Edges

#: Documents of one retrieval that are kept.
DOCUMENTS = 20


@dataclass
class Entry:
    """A run of LangChain's: a node of its own, or a part of the one above."""

    node: Node | None = None
    #: Where its messages are shown.
    speaker: Node | None = None
    is_own: bool = False
    namespace: str = ""
    token: Token[Any] | None = None
    model: str | None = None
    writers: dict[bool, MessageWriter] = field(default_factory=dict)


@dataclass(frozen=True)
class Waiting:
    """A node that was interrupted."""

    node: Node
    interrupts: tuple[Interrupt, ...]
    #: Whether somebody can answer.
    is_asked: bool
    #: Without interrupts: where a static one has stopped the graph, if its state is known.
    stop: Stop | None = None


class CallbackHandler(BaseCallbackHandler):
    """For `config={"callbacks": [CallbackHandler()]}` of any LangChain runnable within a `relive.run`.

    Graphs need none: `relive.langgraph.watch` does more.
    """

    # In the order of what happens, and so that what is set in the context is seen by the node.
    run_inline = True

    def __init__(self, run: Run | None = None, edges: Edges | None = None) -> None:
        self._run = run
        self._edges = edges
        self._graph_ids: frozenset[str] = frozenset() if edges is None else edges.nodes
        self._entries: dict[UUID, Entry] = {}
        #: Nodes that were interrupted, and those around them, by LangGraph's namespace: they go on when resumed.
        self._held: dict[str, Node] = {}
        #: Those of them that ask for nothing: a static interrupt has stopped a part of the graph.
        self._silent: set[str] = set()
        #: Nodes before which the graph or a part of it has stopped, by the part's namespace and their name.
        self._stopped: dict[tuple[str, str], Node] = {}
        self.waiting: list[Waiting] = []
        self.outputs: Any = None

    def _place(self) -> tuple[Run | None, Node | None]:
        if self._run is not None:
            return self._run, None
        return _context.current_run(), _context.current_node()

    def _above(self, parent_run_id: UUID | None) -> Entry:
        entry = None if parent_run_id is None else self._entries.get(parent_run_id)
        if entry is None:
            node = self._place()[1]
            entry = Entry(node=node, speaker=node)
        return entry

    def _begin(self, run_id: UUID, above: Entry, name: str, options: NodeOptions) -> Entry | None:
        """A node below another, in this context; None outside of a run."""
        run = above.node.run if above.node is not None else self._place()[0]
        if run is None:
            return None
        # With a graph, what is not in it has to be below a node of it.
        if above.node is None and self._graph_ids and options.id not in self._graph_ids:
            return None
        run.control.check()
        node = Node(run, name, above.node, options).start()
        entry = Entry(node=node, speaker=above.speaker or node, is_own=True)
        self._entries[run_id] = entry
        return entry

    # Steps

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        **_: Any,
    ) -> None:
        if self._is_task(name, metadata, parent_run_id):
            self._pause()
        self._start_chain(inputs, run_id, parent_run_id, metadata, name)

    def _pause(self) -> None:
        run = self._place()[0]
        if run is None:
            return
        if asyncio._get_running_loop() is None:
            run.control.checkpoint()
        else:
            run.control.check()

    def _start_chain(
        self,
        inputs: Any,
        run_id: UUID,
        parent_run_id: UUID | None,
        metadata: dict[str, Any] | None,
        name: str | None,
    ) -> None:
        above = self._above(parent_run_id)
        if not self._is_task(name, metadata, parent_run_id):
            self._entries[run_id] = Entry(node=above.node, speaker=above.speaker, namespace=above.namespace)
            return
        metadata = metadata or {}
        namespace = _namespace(metadata)
        options = _task_options(str(name), above, metadata, self._graph_ids, inputs)
        self._silent.discard(namespace)
        held = self._held.pop(namespace, None) or self._take_stopped(namespace, str(name), options)
        if held is not None:
            self._entries[run_id] = Entry(node=held, speaker=held, is_own=True)
        else:
            self._begin(run_id, above, str(name), options)
            if self._run is not None and self._edges is not None and options.id is not None:
                self._edges.began(self._run, options.id, metadata.get("langgraph_step"))
        entry = self._entries.get(run_id)
        if entry is None or entry.node is None:
            self._entries[run_id] = Entry(node=above.node, speaker=above.speaker, namespace=namespace)
            return
        entry.speaker = entry.node
        entry.namespace = namespace
        entry.token = _context.current.set(entry.node)

    def _is_task(self, name: str | None, metadata: dict[str, Any] | None, parent_run_id: UUID | None) -> bool:
        """Whether it is a node of a graph. What a node runs, of whatever name, has the node's metadata too."""
        if not metadata or name is None or metadata.get("langgraph_node") != name:
            return False
        return _namespace(metadata) != self._above(parent_run_id).namespace

    def _take(self, run_id: UUID) -> Entry | None:
        entry = self._entries.pop(run_id, None)
        if entry is not None and entry.token is not None:
            _context.reset(entry.token)
        return entry

    def on_chain_end(self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **_: Any) -> None:
        entry = self._take(run_id)
        if parent_run_id is None:
            self.outputs = outputs
        if entry is not None and entry.is_own and entry.node is not None:
            entry.node.complete(outputs)
            if self._run is not None and self._edges is not None and entry.node.parent is None:
                self._edges.ended(self._run, entry.node.name, outputs)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        entry = self._take(run_id)
        if entry is None or not entry.is_own or entry.node is None:
            return
        if isinstance(error, GraphInterrupt):
            self._interrupted(entry, error)
        elif isinstance(error, GraphBubbleUp):
            # A command to the graph around this one.
            entry.node.complete()
        else:
            _fail(entry.node, error)

    def _interrupted(self, entry: Entry, error: GraphInterrupt) -> None:
        assert entry.node is not None
        self._held[entry.namespace] = entry.node
        given: Any = error.args
        interrupts = given[0] if given else ()
        told = {one.id for waiting in self.waiting for one in waiting.interrupts}
        # The innermost comes first; those around it are told of the same interrupts.
        new = tuple(one for one in interrupts if isinstance(one, Interrupt) and one.id not in told)
        if new:
            self.waiting.append(Waiting(entry.node, new, entry.node.ask(new[0].value)))
        elif not interrupts:
            self._silent.add(entry.namespace)

    @property
    def is_stopped_inside(self) -> bool:
        """Whether a part of the graph was interrupted, and asks for nothing."""
        return bool(self._silent)

    def stop(self, stop: Stop) -> None:
        """The graph, or a part of it, has stopped before a node, which waits until somebody lets it go on."""
        if self._run is None:
            return
        known: Stop | None = stop
        parent = self._held.get(stop.namespace) if stop.namespace else None
        # After the last node of a part, or if nothing more is known of it, the node that runs it waits.
        node = self._running(stop) if parent is None else None
        if node is not None:
            known = None
        elif parent is not None:
            node = self._before(stop, parent, NodeOptions(kind=_kind(stop.name)))
        elif not stop.namespace and (not self._graph_ids or stop.name in self._graph_ids):
            node = self._before(stop, None, NodeOptions(id=stop.name if self._graph_ids else None))
        if node is not None:
            self.waiting.append(Waiting(node, (), node.ask(None if known is None else known.values), known))

    def _running(self, stop: Stop) -> Node | None:
        """The node that runs the part that has stopped."""
        outer = (node for node in self._held.values() if node.parent is None)
        name = stop.namespace.partition(":")[0] or stop.name
        return next((node for node in outer if node.name == name), None)

    def _before(self, stop: Stop, parent: Node | None, options: NodeOptions) -> Node | None:
        """A node that has not begun, but waits."""
        assert self._run is not None
        node = Node(self._run, stop.name, parent, options).start()
        self._stopped[stop.namespace, stop.name] = node
        return node

    def _take_stopped(self, namespace: str, name: str, options: NodeOptions) -> Node | None:
        """The node that waited before it began. Of several at once each has an instance of its own."""
        node = self._stopped.pop((namespace.rpartition("|")[0], name), None)
        if node is not None and options.key is not None:
            node.skip()
            return None
        if node is not None:
            node.input(options.input)
        return node

    def leave(self) -> None:
        """Nothing that waits is answered any more."""
        for node in (*(waiting.node for waiting in self.waiting), *self._stopped.values()):
            node.skip()

    def resumed(self) -> None:
        """The interrupted nodes go on."""
        for waiting in self.waiting:
            if waiting.is_asked:
                waiting.node.go_on()
        self.waiting = []

    # Models

    def on_chat_model_start(
        self,
        serialized: dict[str, Any] | None,
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **given: Any,
    ) -> None:
        prompt = prompt_of(messages[0]) if messages else []
        self._start_model(prompt, run_id, parent_run_id, metadata or {}, given)

    def on_llm_start(
        self,
        serialized: dict[str, Any] | None,
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **given: Any,
    ) -> None:
        self._start_model(prompts, run_id, parent_run_id, metadata or {}, given)

    def _start_model(
        self,
        prompt: Sequence[Any],
        run_id: UUID,
        parent_run_id: UUID | None,
        metadata: Mapping[str, Any],
        given: Mapping[str, Any],
    ) -> None:
        parameters = given.get("invocation_params") or {}
        model = metadata.get("ls_model_name") or parameters.get("model_name") or parameters.get("model")
        name = str(model or metadata.get("ls_provider") or "model")
        attributes = {
            "gen_ai.provider.name": metadata.get("ls_provider"),
            "gen_ai.request.model": model,
            "gen_ai.request.temperature": metadata.get("ls_temperature"),
            "gen_ai.request.max_tokens": metadata.get("ls_max_tokens"),
        }
        known = {key: value for key, value in attributes.items() if value is not None}
        options = NodeOptions(kind="llm", input=list(prompt), attributes=known)
        entry = self._begin(run_id, self._above(parent_run_id), name, options)
        if entry is not None:
            entry.model = str(model) if model else None

    def on_llm_new_token(self, token: Any, *, run_id: UUID, chunk: Any = None, **_: Any) -> None:
        entry = self._entries.get(run_id)
        if entry is None or entry.speaker is None:
            return
        entry.speaker.run.control.check()
        message = getattr(chunk, "message", None)
        if isinstance(message, BaseMessage):
            found = content_of(message)
            self._write(entry, found.thinking, thinking=True)
            self._write(entry, found.text, thinking=False)
        elif isinstance(token, str):
            self._write(entry, token, thinking=False)

    def _write(self, entry: Entry, text: str, *, thinking: bool) -> None:
        if text and entry.speaker is not None:
            if thinking not in entry.writers:
                entry.writers[thinking] = entry.speaker.writing(agent=entry.model, thinking=thinking)
            entry.writers[thinking].write(text)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        entry = self._take(run_id)
        if entry is None or entry.node is None or entry.speaker is None:
            return
        answer = answer_of_model(response)
        content, agent = answer.content, entry.model or answer.model
        for thinking, text in ((True, content.thinking), (False, content.text)):
            calls = content.tool_calls if not thinking else []
            writer = entry.writers.get(thinking)
            if writer is None and (text or calls):
                writer = entry.speaker.writing(agent=agent, thinking=thinking)
            if writer is not None:
                tokens = answer.usage.get("output_tokens") if not thinking else None
                writer.close(text or writer.text, tool_calls=calls or None, tokens=tokens)
        if answer.usage:
            entry.node.usage(model=answer.model or entry.model, agent=agent, **answer.usage)
        said = {"content": content.text, "tool_calls": content.tool_calls}
        entry.node.complete(said if content.tool_calls else content.text)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        entry = self._take(run_id)
        if entry is None or entry.node is None:
            return
        for writer in entry.writers.values():
            writer.close()
        _fail(entry.node, error)

    # Tools and retrievers

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        inputs: dict[str, Any] | None = None,
        name: str | None = None,
        **_: Any,
    ) -> None:
        called = str(name or (serialized or {}).get("name") or "tool")
        given = inputs if inputs is not None else input_str
        entry = self._begin(run_id, self._above(parent_run_id), called, NodeOptions(kind="tool", input=given))
        if entry is not None:
            entry.token = _context.current.set(entry.node)

    def on_tool_end(self, output: Any, *, run_id: UUID, **_: Any) -> None:
        entry = self._take(run_id)
        if entry is None or entry.node is None or entry.speaker is None:
            return
        if not isinstance(output, ToolMessage):
            entry.node.complete(output)
            return
        text = str(output.text)
        entry.speaker.message(text, role="tool", tool_call_id=output.tool_call_id, agent=output.name)
        if output.status == "error":
            entry.node.fail(text)
        else:
            entry.node.complete(output.content)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        entry = self._take(run_id)
        if entry is None or entry.node is None:
            return
        if isinstance(error, GraphBubbleUp):
            # It asks, and is called again with the answer.
            entry.node.skip()
        else:
            _fail(entry.node, error)

    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        name: str | None = None,
        **_: Any,
    ) -> None:
        options = NodeOptions(kind="retriever", input=query)
        self._begin(run_id, self._above(parent_run_id), str(name or "retriever"), options)

    def on_retriever_end(self, documents: Sequence[Document], *, run_id: UUID, **_: Any) -> None:
        entry = self._take(run_id)
        if entry is not None and entry.node is not None:
            found = [{"content": one.page_content, "metadata": one.metadata} for one in list(documents)[:DOCUMENTS]]
            entry.node.complete(found)

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        entry = self._take(run_id)
        if entry is not None and entry.node is not None:
            _fail(entry.node, error)

    # The rest

    def on_retry(self, retry_state: Any, *, run_id: UUID, **_: Any) -> None:
        entry = self._entries.get(run_id)
        if entry is not None and entry.node is not None:
            outcome = getattr(retry_state, "outcome", None)
            error = outcome.exception() if outcome is not None and outcome.failed else None
            entry.node.log(f"attempt {retry_state.attempt_number} failed: {error!r}", "warn")

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **_: Any) -> None:
        entry = self._entries.get(run_id)
        if entry is not None and entry.node is not None:
            entry.node.log(name, data=data)


class AsyncCallbackHandler(CallbackHandler):
    """The same for graphs that run in a loop, which has to go on while a run is paused."""

    async def on_chain_start(  # type: ignore[override]
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        **_: Any,
    ) -> None:
        run = self._place()[0]
        if run is not None and self._is_task(name, metadata, parent_run_id):
            await run.control.checkpoint_async()
        self._start_chain(inputs, run_id, parent_run_id, metadata, name)


def _namespace(metadata: Mapping[str, Any]) -> str:
    return str(metadata.get("langgraph_checkpoint_ns", ""))


def _task_options(
    name: str, above: Entry, metadata: Mapping[str, Any], graph_ids: frozenset[str], inputs: Any
) -> NodeOptions:
    path: Any = metadata.get("langgraph_path") or ()
    options = NodeOptions(input=inputs, kind=_kind(name))
    if above.node is None and name in graph_ids:
        options.id = name
    # Started by `Send`: one of several. Its place is the same when it is tried again or resumed.
    if len(path) > 1 and path[0] == "__pregel_push" and isinstance(path[1], int):
        options.key = str(path[1] + 1)
    return options


def _kind(name: str) -> Kind | None:
    return "tool" if name == "tools" else None


def _fail(node: Node, error: BaseException) -> None:
    node.fail("cancelled" if isinstance(error, (Cancelled, asyncio.CancelledError)) else error)
