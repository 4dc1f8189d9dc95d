"""Static interrupts: `interrupt_before` and `interrupt_after`, of `compile` or of a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.types import StateSnapshot

from .. import _encode


@dataclass(frozen=True)
class Answer:
    """With what a graph goes on that has waited."""

    input: Any
    #: What somebody has changed in the states where it has stopped.
    changes: Sequence[Change] = ()


@dataclass(frozen=True)
class Change:
    """Members of a state that somebody has changed."""

    #: Whose state; None: that of the whole graph.
    config: RunnableConfig | None
    members: dict[str, Any]


@dataclass(frozen=True)
class Stop:
    """Where a static interrupt has stopped a graph, or a part of it."""

    #: LangGraph's namespace of the part; empty: the graph itself.
    namespace: str
    #: The node that would come next.
    name: str
    values: Any
    config: RunnableConfig


def stops_of(state: StateSnapshot) -> list[Stop]:
    """The innermost places where static interrupts have stopped a graph, one for each part of it."""
    parts = [one.state for one in state.tasks if isinstance(one.state, StateSnapshot)]
    inner = [stop for part in parts for stop in stops_of(part)]
    # One that asks for something is answered by that.
    if inner or not state.next or state.interrupts:
        return inner
    namespace = state.config.get("configurable", {}).get("checkpoint_ns", "")
    return [Stop(str(namespace), state.next[0], state.values, state.config)]


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
