"""Static interrupts: `interrupt_before` and `interrupt_after`, of `compile` or of a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel

from .. import _encode


@dataclass(frozen=True)
class Answer:
    """With what a graph goes on that has waited."""

    input: Any
    #: What somebody has changed in the state.
    changes: dict[str, Any] | None = None


def may_stop(graph: Pregel[Any, Any, Any, Any], config: RunnableConfig, options: Mapping[str, Any]) -> bool:
    """Whether a call can stop at a static interrupt, from which it can go on."""
    # The state of an old checkpoint says nothing of the call.
    if config.get("configurable", {}).get("checkpoint_id") is not None:
        return False
    places = ("interrupt_before", "interrupt_after")
    return any(options.get(place) or getattr(graph, f"{place}_nodes", None) for place in places)


def changes_of(shown: Any, edited: Any) -> dict[str, Any] | None:
    """The members of the state that an edited draft has changed. What is no object changes nothing."""
    if not isinstance(edited, Mapping) or not isinstance(shown, Mapping):
        return None
    before = {key: _encode.encode(value) for key, value in shown.items()}
    changed = {key: value for key, value in edited.items() if _encode.encode(value) != before.get(key)}
    return changed or None
