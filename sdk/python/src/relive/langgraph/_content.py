"""What LangChain's messages hold, by the names of this package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult

#: Messages of a prompt, and characters of each, that are kept as the input of a call.
PROMPT_MESSAGES, PROMPT_CHARACTERS = 100, 20_000


@dataclass
class Content:
    text: str = ""
    thinking: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)


def content_of(message: BaseMessage) -> Content:
    """Of a message, or of a piece of one."""
    found = Content(text=message.content if isinstance(message.content, str) else "")
    found.thinking = str(message.additional_kwargs.get("reasoning_content") or "")
    if not isinstance(message.content, str):
        _read_blocks(_blocks(message), found)
    for call in getattr(message, "tool_calls", None) or ():
        found.tool_calls.append({"id": call.get("id"), "name": call.get("name"), "arguments": call.get("args")})
    return found


def _blocks(message: BaseMessage) -> Iterable[Any]:
    """The same for all providers, where LangChain knows how to translate."""
    try:
        return message.content_blocks
    except Exception:
        return message.content if isinstance(message.content, list) else ()


def _read_blocks(blocks: Iterable[Any], found: Content) -> None:
    for block in blocks:
        if isinstance(block, str):
            found.text += block
        elif isinstance(block, Mapping):
            kind = block.get("type")
            if kind == "text":
                found.text += str(block.get("text") or "")
            elif kind in {"reasoning", "thinking"}:
                found.thinking += str(block.get("reasoning") or block.get("thinking") or "")


def prompt_of(messages: Iterable[BaseMessage]) -> list[dict[str, Any]]:
    """The messages that a model is given."""
    return [
        {"role": message.type, "content": str(message.text)[:PROMPT_CHARACTERS]}
        for message in list(messages)[-PROMPT_MESSAGES:]
    ]


@dataclass
class Answer:
    """What a model has answered."""

    content: Content
    model: str | None
    usage: dict[str, int]


def answer_of_model(response: LLMResult) -> Answer:
    generation = response.generations[0][0] if response.generations and response.generations[0] else None
    message = getattr(generation, "message", None)
    if not isinstance(message, BaseMessage):
        text = "" if generation is None else str(generation.text)
        output = response.llm_output or {}
        return Answer(Content(text=text), output.get("model_name"), _old_usage(output.get("token_usage")))
    metadata = message.response_metadata
    model = metadata.get("model_name") or metadata.get("model") or None
    return Answer(content_of(message), model, _usage(getattr(message, "usage_metadata", None)))


def _usage(given: Any) -> dict[str, int]:
    if not isinstance(given, Mapping):
        return {}
    usage = {"input_tokens": int(given.get("input_tokens") or 0), "output_tokens": int(given.get("output_tokens") or 0)}
    cached = (given.get("input_token_details") or {}).get("cache_read")
    reasoning = (given.get("output_token_details") or {}).get("reasoning")
    if cached:
        usage["cached_input_tokens"] = int(cached)
    if reasoning:
        usage["reasoning_tokens"] = int(reasoning)
    return usage


def _old_usage(given: Any) -> dict[str, int]:
    if not isinstance(given, Mapping):
        return {}
    names = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}
    return {ours: int(given[theirs]) for theirs, ours in names.items() if isinstance(given.get(theirs), int)}
