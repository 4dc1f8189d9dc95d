"""The client for coroutines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast
from urllib.parse import urlencode

import httpx

from .. import _settings
from .._credentials import Credentials, TokenSource, authorization
from .._errors import ReliveError, error_of_answer
from .._ids import new_id
from ..types import (
    Command,
    CommandReceipt,
    ControlAction,
    CreatedToken,
    FoundMemories,
    GraphDefinition,
    Memory,
    Message,
    NodeDetail,
    Recorded,
    ReviewAction,
    SessionEntity,
    SessionPage,
    SessionSummary,
    Timeline,
    UsageReport,
    WorkflowSession,
)
from .calls import Call, Filters, conditions, members, pairs, session
from .feeds import Events, Feed, Messages, Replayed, Sessions, Speed, States, Where
from .watch_async import AsyncReplay, AsyncWatch

if TYPE_CHECKING:
    # Part of `typing` from Python 3.11 on.
    from typing_extensions import Unpack

T = TypeVar("T")
#: Seconds.
TIMEOUT = 30.0


class AsyncClient:
    """Reads, watches and steers the sessions of a server. All of it raises `ReliveError`."""

    def __init__(
        self,
        url: str | None = None,
        token: TokenSource | None = None,
        *,
        get_token: TokenSource | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        """`url` and `token` are by default `RELIVE_URL` and `RELIVE_TOKEN`. `get_token` is a function that gives a
        token which is valid still; it is asked again when the server says that the one in use expires. Raises
        `ValueError` for an address that is none."""
        self.url = _settings.http_base(url if url is not None else _settings.default_url())
        source = get_token if get_token is not None else token
        self._credentials = Credentials(source if source is not None else _settings.default_token())
        self._http = httpx.AsyncClient(timeout=timeout)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections of requests. What is being watched goes on."""
        await self._http.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Any request, such as `("GET", "/api/v1/groups")`: the JSON of its answer."""
        return await self._json(Call(method, path, query or {}, json, headers or {}))

    # Sessions

    async def create_session(
        self,
        *,
        id: str | None = None,
        name: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, str | int | float | bool] | None = None,
        workflow_id: str | None = None,
        group_id: str | None = None,
        graph: GraphDefinition | None = None,
        proposal: Any = None,
        inputs: Any = None,
        driver: Literal["external", "builtin"] | None = None,
        parent_session_id: str | None = None,
        parent_node_id: str | None = None,
    ) -> WorkflowSession:
        """A session that is pending. Repeated by the connection, it is created once."""
        body = members(
            id=id,
            name=name,
            tags=tags,
            metadata=metadata,
            workflow_id=workflow_id,
            group_id=group_id,
            graph=graph,
            proposal=proposal,
            inputs=inputs,
            driver=driver,
            parent_session_id=parent_session_id,
            parent_node_id=parent_node_id,
        )
        answer = await self._json(Call("POST", "/api/v1/sessions", {}, body, conditions(new_id(), None)))
        return cast(WorkflowSession, answer)

    async def session(self, session_id: str, *, revision: int | None = None, at: str | None = None) -> WorkflowSession:
        """The state now, or as it was at a revision or a time."""
        answer = await self._json(Call("GET", session(session_id), {"revision": revision, "at": at}))
        return cast(WorkflowSession, answer)

    async def session_page(self, cursor: str | None = None, **filters: Unpack[Filters]) -> SessionPage:
        """One page of the sessions that match, newest first."""
        return cast(SessionPage, await self._json(Call("GET", "/api/v1/sessions", {**filters, "cursor": cursor})))

    async def sessions(self, **filters: Unpack[Filters]) -> AsyncIterator[SessionSummary]:
        """All sessions that match, newest first; at most `limit`, if that is given."""
        left = filters.get("limit")
        query = {**filters, "limit": 200 if left is None else min(left, 200)}
        async for summary in self._pages("/api/v1/sessions", query, "sessions", "nextCursor", "cursor"):
            if left is not None:
                if left == 0:
                    return
                left -= 1
            yield cast(SessionSummary, summary)

    async def graph(self, session_id: str) -> GraphDefinition:
        return cast(GraphDefinition, await self._json(Call("GET", session(session_id, "graph"))))

    async def entity(self, session_id: str) -> SessionEntity:
        """The stored row, with inputs, proposal and outputs."""
        return cast(SessionEntity, await self._json(Call("GET", session(session_id, "entity"))))

    async def node(self, session_id: str, node_id: str, *, at: str | None = None) -> NodeDetail:
        """A node with its last input and output."""
        return cast(NodeDetail, await self._json(Call("GET", session(session_id, "nodes", node_id), {"at": at})))

    async def events(self, session_id: str, after: int = 0) -> AsyncIterator[Recorded]:
        """The events so far."""
        query = {"after": after, "limit": 1000}
        async for one in self._pages(session(session_id, "events"), query, "events", "nextAfter", "after"):
            yield cast(Recorded, one)

    async def messages(
        self, session_id: str, *, node_id: str | None = None, agent_id: str | None = None
    ) -> AsyncIterator[Message]:
        """The messages so far, oldest first."""
        query = {"node_id": node_id, "agent_id": agent_id, "limit": 200}
        async for one in self._pages(session(session_id, "messages"), query, "messages", "nextAfter", "after"):
            yield cast(Message, one)

    async def logs(
        self, session_id: str, *, node_id: str | None = None, level: str | None = None, text: str | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """The log lines so far, oldest first. `level` is the least important one."""
        query = {"node_id": node_id, "level": level, "text": text, "limit": 200}
        async for one in self._pages(session(session_id, "logs"), query, "logs", "nextAfter", "after"):
            yield one

    async def usage(self, session_id: str, *, descendants: bool | None = None) -> UsageReport:
        """Tokens and cost; with `descendants`, of its child runs too."""
        answer = await self._json(Call("GET", session(session_id, "usage"), {"descendants": descendants}))
        return cast(UsageReport, answer)

    async def timeline(self, session_id: str) -> Timeline:
        return cast(Timeline, await self._json(Call("GET", session(session_id, "timeline"))))

    async def diff(self, session_id: str, from_: int, to: int) -> Any:
        """A JSON merge patch from one revision to another."""
        return await self._json(Call("GET", session(session_id, "diff"), {"from_": from_, "to": to}))

    async def delete_session(self, session_id: str) -> None:
        await self._json(Call("DELETE", session(session_id)))

    # Steering

    async def command(
        self,
        session_id: str,
        command: Command | Sequence[Command],
        *,
        command_id: str | None = None,
        expected_revision: int | None = None,
    ) -> CommandReceipt:
        """Carries out a command, or several, all or none. `command_id` makes a repetition harmless."""
        headers = conditions(command_id or new_id(), expected_revision)
        body = command if isinstance(command, Mapping) else list(command)
        return cast(CommandReceipt, await self._json(Call("POST", session(session_id, "commands"), {}, body, headers)))

    async def control(self, session_id: str, action: ControlAction, reason: str | None = None) -> CommandReceipt:
        body = members(action=action, reason=reason)
        return cast(CommandReceipt, await self._json(Call("POST", session(session_id, "control"), {}, body)))

    async def signal(self, session_id: str, node_id: str, payload: Any) -> CommandReceipt:
        body = {"nodeId": node_id, "payload": payload}
        return cast(CommandReceipt, await self._json(Call("POST", session(session_id, "signal"), {}, body)))

    async def review(
        self,
        session_id: str,
        node_id: str,
        action: ReviewAction,
        *,
        reviewer: str | None = None,
        data: Any = None,
    ) -> CommandReceipt:
        """Answers a node that waits for a review."""
        body = members(node_id=node_id, action=action, reviewer=reviewer, data=data)
        return cast(CommandReceipt, await self._json(Call("POST", session(session_id, "review"), {}, body)))

    async def fork(self, session_id: str, revision: int, *, start: bool = False) -> WorkflowSession:
        """A new session that begins with the state of a revision."""
        body = {"revision": revision, "start": start}
        call = Call("POST", session(session_id, "fork"), {}, body, conditions(new_id(), None))
        return cast(WorkflowSession, await self._json(call))

    # Memories, files, tokens

    async def memories(self, session_id: str) -> AsyncIterator[Memory]:
        query = {"limit": 100}
        async for one in self._pages(session(session_id, "memories"), query, "memories", "nextAfter", "after"):
            yield cast(Memory, one)

    async def search_memories(
        self,
        text: str | None = None,
        *,
        embedding: Sequence[float] | None = None,
        group_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        limit: int | None = None,
        min_score: float | None = None,
    ) -> FoundMemories:
        body = members(
            text=text,
            embedding=embedding,
            group_id=group_id,
            agent_id=agent_id,
            session_id=session_id,
            limit=limit,
            min_score=min_score,
        )
        return cast(FoundMemories, await self._json(Call("POST", "/api/v1/memories/search", {}, body)))

    async def export(self, session_id: str, path: str | Path) -> None:
        """Writes the whole session to a file, which `import_session` takes on any server."""
        call = Call("GET", session(session_id, "export"))
        with open(path, "wb") as file:
            async for part in self._parts(call):
                file.write(part)

    async def import_session(
        self, path: str | Path, *, new_id: bool | None = None, start: bool | None = None
    ) -> WorkflowSession:
        """Stores a session from a file. `new_id` gives it another id."""
        headers = {"content-type": "application/x-ndjson"}
        query = {"new_id": new_id, "start": start}
        call = Call("POST", "/api/v1/sessions/import", query, Path(path).read_bytes(), headers)
        return cast(WorkflowSession, await self._json(call))

    async def create_token(self, scopes: Sequence[str], expires_in_seconds: int | None = None) -> CreatedToken:
        """A token for a guest, such as with the scope `read:sessions:ID`."""
        body = members(scopes=list(scopes), expires_in_seconds=expires_in_seconds)
        return cast(CreatedToken, await self._json(Call("POST", "/api/v1/tokens", {}, body)))

    # Watching

    def watch(
        self, session_id: str, *, held: WorkflowSession | None = None, min_interval: float | None = None
    ) -> AsyncWatch[WorkflowSession]:
        """The state, and each newer one, until the session has ended. With `held`, only what is newer than that.
        `min_interval`: the least seconds between two states."""
        return self._watch(States(session_id, held, min_interval))

    def watch_events(self, session_id: str, after: int = 0) -> AsyncWatch[Recorded]:
        """Every event after that revision, none missing, until the session has ended."""
        return self._watch(Events(session_id, after))

    def watch_messages(self, session_id: str, after: int | None = None) -> AsyncWatch[Message]:
        """Messages from now on, or from that revision on: with `isStreaming` as they are written, then whole."""
        return self._watch(Messages(session_id, after))

    def watch_sessions(self, **filters: Unpack[Filters]) -> AsyncWatch[dict[str, SessionSummary]]:
        """The sessions that match, by id and newest first: the whole list after every change of it."""
        return self._watch(Sessions(urlencode(pairs(filters))))

    def replay(
        self,
        session_id: str,
        *,
        speed: Speed | None = None,
        start: Where | None = None,
        end: Where | None = None,
        skip_idle: float | None = None,
        paused: bool = False,
    ) -> AsyncReplay:
        """The states of a stored session at its own pace. `speed` is 0.1 to 1000 or `max`; `start` and `end` are
        revisions or times; silences longer than `skip_idle` seconds are shortened to that."""
        feed = Replayed(session_id, speed=speed, start=start, end=end, skip_idle=skip_idle, is_paused=paused)
        return AsyncReplay(_settings.socket_base(self.url), self._credentials, feed)

    def _watch(self, feed: Feed[T]) -> AsyncWatch[T]:
        return AsyncWatch(_settings.socket_base(self.url), self._credentials, feed)

    async def _pages(
        self, path: str, query: Mapping[str, Any], member: str, next_member: str, parameter: str
    ) -> AsyncIterator[dict[str, Any]]:
        query = dict(query)
        while True:
            page = await self._json(Call("GET", path, query))
            for one in page[member]:
                yield one
            if page.get(next_member) is None:
                return
            query[parameter] = page[next_member]

    async def _json(self, call: Call) -> Any:
        answer = await self._answer(call)
        try:
            content = await answer.aread()
        finally:
            await answer.aclose()
        return json.loads(content) if content else None

    async def _parts(self, call: Call) -> AsyncIterator[bytes]:
        answer = await self._answer(call)
        try:
            async for part in answer.aiter_bytes():
                yield part
        except httpx.HTTPError as error:
            raise ReliveError("unavailable", f"the answer broke off: {error}", retryable=True) from error
        finally:
            await answer.aclose()

    async def _answer(self, call: Call) -> httpx.Response:
        token = await self._credentials.token_async()
        answer = await self._send(call, token)
        if answer.status_code == 401:
            renewed = await self._credentials.renew_async(token)
            if renewed != token:
                await answer.aclose()
                answer = await self._send(call, renewed)
        if answer.is_success:
            return answer
        content = await answer.aread()
        await answer.aclose()
        raise error_of_answer(answer.status_code, content)

    async def _send(self, call: Call, token: str | None) -> httpx.Response:
        headers = {**authorization(token), **call.headers}
        content = call.body if isinstance(call.body, bytes) or call.body is None else json.dumps(call.body).encode()
        if content is not None:
            headers.setdefault("content-type", "application/json")
        request = self._http.build_request(call.method, self.url + call.target, content=content, headers=headers)
        try:
            return await self._http.send(request, stream=True)
        except httpx.HTTPError as error:
            raise ReliveError("unavailable", f"{type(error).__name__}: {error}", retryable=True) from error
