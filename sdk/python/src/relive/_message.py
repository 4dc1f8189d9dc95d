"""Messages, whole and while they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _encode
from ._ids import fitted, new_id, printable
from ._reporting.outbox import Chunk, Command

if TYPE_CHECKING:
    from ._node import Node, Role

#: Bytes of a message's text.
CONTENT_BYTES = 512 * 1024


def message_id(given: str) -> str:
    return fitted(printable(given), 128) or new_id()


def message_command(
    node_id: str,
    content: str,
    *,
    role: str = "agent",
    agent: str | None = None,
    thinking: bool = False,
    tokens: int | None = None,
    tool_calls: Sequence[Mapping[str, Any]] | None = None,
    tool_call_id: str | None = None,
    content_type: str | None = None,
    id: str | None = None,
) -> Command:
    fields = {
        "messageId": None if id is None else message_id(id),
        "nodeId": node_id,
        "agentId": agent,
        "role": role,
        "content": _encode.as_limited(content, CONTENT_BYTES),
        "isThinking": thinking or None,
        "tokenCount": tokens,
        "toolCalls": [_tool_call(one) for one in tool_calls] if tool_calls else None,
        "toolCallId": tool_call_id,
        "contentType": content_type,
    }
    return Command(_encode.fields("addMessage", fields), is_late=True)


def _tool_call(given: Mapping[str, Any]) -> dict[str, Any]:
    arguments = given.get("arguments", given.get("args"))
    return {
        "id": fitted(str(given.get("id") or new_id()), 256),
        "name": str(given.get("name") or "tool"),
        "arguments": {} if arguments is None else arguments,
    }


class MessageWriter:
    """A message that is being written. Stored when it is closed."""

    def __init__(self, node: Node, *, role: Role, agent: str | None, thinking: bool, id: str | None = None) -> None:
        self.id = new_id() if id is None else message_id(id)
        self._node = node
        self._role = role
        self._agent = agent
        self._thinking = thinking
        self._parts: list[str] = []
        self._is_closed = False

    def write(self, text: str) -> None:
        """What comes next of it."""
        if text and not self._is_closed:
            self._parts.append(text)
            self._node.run.put_chunk(Chunk(self._node.id, self.id, text, self._thinking))

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def close(self, text: str | None = None, **options: Any) -> None:
        """Stores it: what was written, or `text`. `options` are those of `Node.message`."""
        if self._is_closed:
            return
        self._is_closed = True
        content = self.text if text is None else text
        if content or options:
            self._node.message(
                content,
                role=self._role,
                agent=self._agent,
                thinking=self._thinking,
                id=self.id,
                **options,
            )

    def __enter__(self) -> MessageWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
