"""Interrupts as reviews."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from langgraph.types import Interrupt

from .._node import Review


def answer_of(review: Review, interrupt: Interrupt) -> Any:
    """The value that `interrupt()` returns, unless `watch` is given another `resume`.

    Approved: `True`. Rejected: `False`. Edited: what the draft was edited to. Skipped: `None`. A bare signal: its
    payload. A request of LangChain's `HumanInTheLoopMiddleware` is answered with its decisions.
    """
    if _is_request_for_decisions(interrupt.value) and review.action:
        return {"decisions": _decisions(review, interrupt.value)}
    if review.action == "approve":
        return True
    if review.action == "reject":
        return False
    return review.data


def _is_request_for_decisions(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("action_requests"), list)


def _decisions(review: Review, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    requests = asked["action_requests"]
    if review.action == "modify":
        edited = _edited(review.data)
        return [_edit(request, edited, index) for index, request in enumerate(requests)]
    if review.action == "approve":
        return [{"type": "approve"} for _ in requests]
    reject = {"type": "reject", **({"message": review.comment} if review.comment else {})}
    return [dict(reject) for _ in requests]


def _edited(data: Any) -> list[Any]:
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except ValueError:
            return []
    requests = data.get("action_requests") if isinstance(data, Mapping) else data
    return requests if isinstance(requests, list) else []


def _edit(request: Mapping[str, Any], edited: list[Any], index: int) -> dict[str, Any]:
    """What the person has changed; what cannot be read as a change is approved as it was asked."""
    new = edited[index] if index < len(edited) else None
    if not isinstance(new, Mapping) or not isinstance(new.get("args"), Mapping):
        return {"type": "approve"}
    return {"type": "edit", "edited_action": {"name": new.get("name", request.get("name")), "args": dict(new["args"])}}
