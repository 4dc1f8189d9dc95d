"""Edges of a drawn graph, and those that only a run shows: of routes whose ends are not declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langgraph.types import Command, Send

from .. import _encode
from .._reporting.outbox import Command as Report
from .._run import Run
from ._drawing import START


class Edges:
    """What is known of the edges between the nodes of one run's graph."""

    def __init__(self, graph: Mapping[str, Any], open_routes: frozenset[str]) -> None:
        self.nodes = frozenset(graph["nodes"])
        self._known = {
            (source, target) for source, node in graph["nodes"].items() for target in node.get("nextIds", ())
        }
        #: Nodes with a route whose ends are not declared.
        self._open = open_routes & self.nodes
        self._step: Any = None
        self._before: set[str] = set()
        self._now = {START}

    def began(self, run: Run, name: str, step: Any) -> None:
        """A node began. If no edge leads to it, an open route of the step before does."""
        # LangGraph writes the input by a node of this name.
        if name == START:
            return
        if step != self._step:
            self._step, self._before, self._now = step, self._now, set()
        self._now.add(name)
        if not any((source, name) in self._known for source in self._before):
            self._add(run, ((source, name) for source in self._before & self._open))

    def ended(self, run: Run, name: str, output: Any) -> None:
        """A node ended, perhaps with a command that says where to go."""
        commands = output if isinstance(output, (list, tuple)) else [output]
        targets = (target for one in commands if isinstance(one, Command) for target in _targets(one))
        self._add(run, ((name, target) for target in targets))

    def _add(self, run: Run, edges: Iterable[tuple[str, str]]) -> None:
        new = [edge for edge in dict.fromkeys(edges) if edge not in self._known and self.nodes.issuperset(edge)]
        if new:
            self._known.update(new)
            given = [{"from": source, "to": target} for source, target in new]
            run.put(Report(_encode.fields("addNodes", {"edges": given})), is_detail=True)


def _targets(command: Command[Any]) -> list[str]:
    if command.graph is not None:
        return []
    goto = command.goto if isinstance(command.goto, (list, tuple)) else [command.goto]
    return [one.node if isinstance(one, Send) else str(one) for one in goto]
