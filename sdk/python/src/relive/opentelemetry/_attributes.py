"""What the attributes of spans mean: OpenTelemetry's `gen_ai.*`, also by their former names, and OpenInference's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from .._node import Kind, Role

_KINDS: dict[str, Kind] = {
    # gen_ai.operation.name
    "chat": "llm",
    "text_completion": "llm",
    "generate_content": "llm",
    "embeddings": "embedding",
    "execute_tool": "tool",
    "invoke_agent": "agent",
    "create_agent": "agent",
    "invoke_workflow": "chain",
    "retrieval": "retriever",
    # openinference.span.kind and traceloop.span.kind
    "llm": "llm",
    "embedding": "embedding",
    "tool": "tool",
    "agent": "agent",
    "chain": "chain",
    "workflow": "chain",
    "task": "task",
    "retriever": "retriever",
    "reranker": "retriever",
    "guardrail": "guardrail",
}

_NAMES = {
    "model": ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "embedding.model_name"),
    "kind": ("openinference.span.kind", "gen_ai.operation.name", "traceloop.span.kind"),
    "input": ("input.value", "gen_ai.input.messages", "gen_ai.tool.call.arguments", "traceloop.entity.input"),
    "output": ("output.value", "gen_ai.output.messages", "gen_ai.tool.call.result", "traceloop.entity.output"),
    "agent": ("gen_ai.agent.name", "agent.name"),
}

_USAGE = {
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"),
    "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"),
    "cached_input_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "llm.token_count.prompt_details.cache_read",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
}

#: What is reported otherwise, and is too long for an attribute.
_LONG = frozenset(
    {name for key in ("input", "output") for name in _NAMES[key]}
    | {"gen_ai.system_instructions", "gen_ai.tool.definitions"}
)
#: Attributes of one span that are kept, and characters of each.
ATTRIBUTES, CHARACTERS = 64, 400
#: Messages of one span.
MESSAGES = 100

Attributes = Mapping[str, Any]


def text_of(attributes: Attributes, what: str) -> str | None:
    value = next((attributes[name] for name in _NAMES[what] if attributes.get(name)), None)
    return None if value is None else str(value)


def kind_of(attributes: Attributes) -> Kind | None:
    return _KINDS.get((text_of(attributes, "kind") or "").lower())


def usage_of(attributes: Attributes) -> dict[str, int]:
    found: dict[str, int] = {}
    for what, names in _USAGE.items():
        value = next((attributes[name] for name in names if isinstance(attributes.get(name), (int, float))), None)
        if value is not None:
            found[what] = int(value)
    return found


def value_of(attributes: Attributes, what: str) -> Any:
    """An input or output; JSON is read."""
    text = text_of(attributes, what)
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def short_of(attributes: Attributes) -> dict[str, Any]:
    """What a node shows of them."""
    kept: dict[str, Any] = {}
    for name, value in attributes.items():
        if name in _LONG or name.startswith(("llm.input_messages.", "llm.output_messages.")):
            continue
        if len(kept) == ATTRIBUTES:
            break
        kept[name] = value if isinstance(value, (bool, int, float)) else str(value)[:CHARACTERS]
    return kept


def messages_of(attributes: Attributes) -> list[dict[str, Any]]:
    """What a model has answered, as options of `Node.message`."""
    given = attributes.get("gen_ai.output.messages")
    if isinstance(given, str):
        try:
            messages = json.loads(given)
        except ValueError:
            messages = []
        found = [one for message in _list(messages) for one in _of_parts(message)]
    else:
        found = _of_open_inference(attributes)
    return found[:MESSAGES]


def _of_parts(message: Any) -> list[dict[str, Any]]:
    if not isinstance(message, Mapping):
        return []
    role = _role(message.get("role"))
    said, thought, calls = "", "", []
    for part in _list(message.get("parts")):
        if not isinstance(part, Mapping):
            continue
        kind = part.get("type")
        if kind == "text":
            said += str(part.get("content") or "")
        elif kind == "reasoning":
            thought += str(part.get("content") or "")
        elif kind == "tool_call":
            calls.append({"id": part.get("id"), "name": part.get("name"), "arguments": part.get("arguments")})
    found: list[dict[str, Any]] = []
    if thought:
        found.append({"content": thought, "role": role, "thinking": True})
    if said or calls:
        found.append({"content": said, "role": role, "tool_calls": calls or None})
    return found


def _of_open_inference(attributes: Attributes) -> list[dict[str, Any]]:
    found = []
    for index in range(MESSAGES):
        prefix = f"llm.output_messages.{index}.message."
        content, role = attributes.get(f"{prefix}content"), attributes.get(f"{prefix}role")
        calls = _calls(attributes, prefix)
        if content is None and not calls:
            break
        found.append({"content": str(content or ""), "role": _role(role), "tool_calls": calls or None})
    return found


def _calls(attributes: Attributes, prefix: str) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []
    while True:
        call = f"{prefix}tool_calls.{len(calls)}.tool_call."
        name = attributes.get(f"{call}function.name")
        if name is None or len(calls) == MESSAGES:
            return calls
        arguments = attributes.get(f"{call}function.arguments")
        calls.append({"id": attributes.get(f"{call}id"), "name": name, "arguments": arguments})


def _role(given: Any) -> Role:
    role = {"assistant": "agent", "human": "user"}.get(str(given), str(given))
    return cast(Role, role) if role in {"user", "agent", "system", "tool"} else "agent"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
