"""The graph of a session, drawn from a compiled one."""

from __future__ import annotations

import logging
from typing import Any

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
        if len(entries) > 1 or any(edge.conditional for edge in entries):
            start = START
            nodes[START] = {"id": START, "type": "start", "name": "Start"}
        for edge in edges:
            if edge.source in nodes and edge.target in nodes:
                _connect(nodes[edge.source], edge.target, edge.data)
    except Exception:
        logger.debug("the graph cannot be drawn", exc_info=True)
        return None
    return {"name": name, "nodes": nodes, "startNodeId": start}


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
