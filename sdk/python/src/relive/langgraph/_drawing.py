"""The graph of a session, drawn from a compiled one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from langchain_core.runnables.graph import Edge
from langgraph.pregel import Pregel

logger = logging.getLogger("relive")

START, END = "__start__", "__end__"


def drawn(graph: Pregel[Any, Any, Any, Any], name: str) -> dict[str, Any] | None:
    """A `GraphDefinition`; None if the graph cannot be drawn, and then nodes appear as they run."""
    try:
        drawable = graph.get_graph()
        edges = [edge for edge in drawable.edges if edge.source != END and edge.target != END]
        entries = [edge for edge in edges if edge.source == START]
        nodes = {node.id: _node(node.id, node.data) for node in drawable.nodes.values() if node.id not in (START, END)}
        if not nodes:
            return None
        start = entries[0].target if entries else next(iter(nodes))
        if len(entries) > 1 or any(edge.conditional for edge in entries) or START in open_routes(graph):
            start = START
            nodes[START] = {"id": START, "type": "start", "name": "Start"}
        for edge in edges:
            if edge.source in nodes and edge.target in nodes:
                _connect(nodes[edge.source], edge.target, _label(graph, edge))
    except Exception:
        logger.debug("the graph cannot be drawn", exc_info=True)
        return None
    return {"name": name, "nodes": nodes, "startNodeId": start}


def open_routes(graph: Pregel[Any, Any, Any, Any]) -> frozenset[str]:
    """Nodes with a route whose ends are not declared: LangGraph draws nothing for it."""
    routes = _routes(graph).items()
    return frozenset(source for source, given in routes if any(route.ends is None for route in given.values()))


def _routes(graph: Pregel[Any, Any, Any, Any]) -> Mapping[str, Mapping[str, Any]]:
    return getattr(getattr(graph, "builder", None), "branches", {})


def _label(graph: Pregel[Any, Any, Any, Any], edge: Edge) -> str | None:
    """All answers of the routes that lead there; LangGraph's drawing has the last one."""
    routes = _routes(graph).get(edge.source, {}).values()
    ends = [label for route in routes for label, target in (route.ends or {}).items() if target == edge.target]
    labels = [str(label) for label in ends if label != edge.target]
    if labels:
        return ", ".join(dict.fromkeys(labels))
    return None if edge.data is None else str(edge.data)


def _node(node_id: str, data: Any) -> dict[str, Any]:
    return {"id": node_id, "type": _type(data), "name": node_id}


def _type(data: Any) -> str:
    if isinstance(data, Pregel):
        return "subgraph"
    return "tool" if type(data).__name__ == "ToolNode" else "function"


def _connect(node: dict[str, Any], target: str, label: Any) -> None:
    following = node.setdefault("nextIds", [])
    if target not in following:
        following.append(target)
    if label is not None and str(label) != target:
        node.setdefault("properties", {}).setdefault("edgeLabels", {})[target] = str(label)
