"""The requests of the clients. No input or output here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, Union
from urllib.parse import quote, urlencode

from ..types import NodeStatus, SessionStatus


class Filters(TypedDict, total=False):
    """Which sessions. Times are RFC 3339."""

    group_id: str
    workflow_id: str
    status: SessionStatus | Sequence[SessionStatus]
    #: Together with `node_status`: sessions in which this node has that status.
    node_id: str
    node_status: NodeStatus
    started_after: str
    started_before: str
    ended_after: str
    ended_before: str
    updated_after: str
    #: A part of the name, a tag, the workflow's name or the error, or the beginning of the id.
    text: str
    name: str
    #: All of them.
    tag: str | Sequence[str]
    metadata: Mapping[str, Union[str, int, float, bool]]
    parent_session_id: str
    roots_only: bool
    stalled: bool
    limit: int


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> str:
        given = urlencode(pairs(self.query))
        return f"{self.path}?{given}" if given else self.path


def pairs(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Parameters as they travel: names in camel case, lists joined, metadata by key; None is left out."""
    given = []
    for name, value in query.items():
        if name == "metadata" and isinstance(value, Mapping):
            given += [(f"metadata.{key}", text(one)) for key, one in value.items()]
        elif value is not None:
            given.append((camel(name), text(value)))
    return given


def text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str) or not isinstance(value, Sequence) else ",".join(map(str, value))


def camel(name: str) -> str:
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(part.capitalize() for part in rest)


def session(session_id: str, *tail: str) -> str:
    parts = "".join(f"/{quote(part, safe='')}" for part in (session_id, *tail))
    return f"/api/v1/sessions{parts}"


def members(**given: Any) -> dict[str, Any]:
    """An object with names in camel case, without what is None."""
    return {camel(name): value for name, value in given.items() if value is not None}


def conditions(command_id: str | None, expected_revision: int | None) -> dict[str, str]:
    headers = {}
    if command_id is not None:
        headers["idempotency-key"] = command_id
    if expected_revision is not None:
        headers["if-match"] = f'"{expected_revision}"'
    return headers
