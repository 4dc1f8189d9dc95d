"""Viewers: by WebSocket and by server-sent events, in all modes, resumed by `after` when their server goes."""

import asyncio
import json
import random
import time

import aiohttp

MODES = ["snapshot", "delta", "events"]
# A viewer that hears nothing for so long connects again. The server sends a comment or a ping more often than that.
SILENCE = 40
LOST = (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError)


def merge_patch(target, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, change in patch.items():
        if change is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), change)
    return result


class Viewer:
    """One viewer of one session, until it has been shown the end."""

    def __init__(self, fleet, measures, faults, session, sent, server, seed):
        self.fleet, self.measures, self.faults = fleet, measures, faults
        self.session, self.sent, self.server = session, sent, server
        choice = random.Random(seed)
        self.mode, self.transport = choice.choice(MODES), choice.choice(["socket", "socket", "stream"])
        self.interval = choice.choice([0, 0, 0, 200]) if self.mode != "events" else 0
        self.revision, self.state, self.events, self.messages = 0, None, [], set()
        self.is_done, self.connected_at = False, 0.0
        self.task = asyncio.create_task(self.watch())

    def __str__(self):
        return f"viewer of {self.session} in mode {self.mode} by {self.transport}"

    async def watch(self):
        while not self.is_done:
            self.connected_at = time.monotonic()
            try:
                await (self.by_socket() if self.transport == "socket" else self.by_stream())
            except LOST:
                pass
            if not self.is_done:
                self.measures.reconnects += 1
                await asyncio.sleep(random.uniform(0.05, 0.3))
                self.server = await self.fleet.choose(avoid=self.server)

    def query(self):
        after = f"&after={self.revision}" if self.revision else ""
        interval = f"&minIntervalMs={self.interval}" if self.interval else ""
        return f"mode={self.mode}&messages=true{after}{interval}"

    async def by_socket(self):
        url = f"{self.server.address}/ws/sessions/{self.session}?{self.query()}"
        async with self.fleet.client.ws_connect(url, autoping=True, max_msg_size=0, timeout=5) as socket:
            while not self.is_done:
                message = await socket.receive(timeout=SILENCE)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return
                self.take(json.loads(message.data))

    async def by_stream(self):
        url = f"{self.server.address}/api/v1/sessions/{self.session}/stream?{self.query()}"
        limit = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE)
        async with self.fleet.client.get(url, timeout=limit) as answer:
            if answer.status != 200:
                return
            async for line in answer.content:
                if line.startswith(b"data:"):
                    self.take(json.loads(line[5:]))
                if self.is_done:
                    return

    def take(self, frame):
        kind = frame["type"]
        if kind in ("snapshot", "delta", "event"):
            self.move(kind, frame)
        elif kind == "message":
            self.messages.add(frame["message"]["id"])
        elif kind == "end":
            self.is_done = True
            if frame["revision"] != self.revision:
                self.faults.add(f"{self}: the end is at {frame['revision']}, it was shown {self.revision}")
        elif kind == "error":
            if frame["code"] == "not_found":
                self.is_done = True
                self.faults.add(f"{self}: the session is not there")

    def move(self, kind, frame):
        revision = frame["revision"]
        if kind == "event":
            if revision != self.revision + 1:
                self.faults.add(f"{self}: event {revision} follows {self.revision}")
            self.events.append((revision, frame["event"]))
        elif kind == "delta":
            if frame["base"] != self.revision:
                self.faults.add(f"{self}: a delta from {frame['base']}, it holds {self.revision}")
            self.state = merge_patch(self.state, frame["patch"])
        else:
            if revision < self.revision:
                self.faults.add(f"{self}: revision {revision} after {self.revision}")
            self.state = frame["session"]
        self.revision = revision
        sent_at = self.sent.get(revision)
        if sent_at is not None and sent_at > self.connected_at and not self.interval:
            self.measures.lag.append(time.monotonic() - sent_at)

    async def finish(self, within):
        """Waits for the end; false if it did not come."""
        done, _ = await asyncio.wait([self.task], timeout=within)
        if not done:
            self.task.cancel()
            return False
        self.task.result()
        return True


class ListViewer:
    """A live list, open for the whole soak."""

    def __init__(self, fleet, faults, server):
        self.fleet, self.faults, self.server = fleet, faults, server
        self.frames = 0
        self.task = asyncio.create_task(self.watch())

    async def watch(self):
        while True:
            try:
                await self.follow()
            except LOST:
                pass
            await asyncio.sleep(0.3)
            if not self.server.is_up:
                self.server = await self.fleet.choose()

    async def follow(self):
        held = {}
        async with self.fleet.client.ws_connect(
            f"{self.server.address}/ws/sessions?limit=100", max_msg_size=0
        ) as socket:
            while True:
                message = await socket.receive(timeout=SILENCE)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return
                self.frames += 1
                self.take(held, json.loads(message.data))

    def take(self, held, frame):
        if frame["type"] == "sessions":
            held.clear()
            held.update({session["id"]: session["revision"] for session in frame["sessions"]})
        elif frame["type"] == "session":
            session = frame["session"]
            if frame["change"] == "removed":
                held.pop(session["id"], None)
                return
            if session["revision"] < held.get(session["id"], 0):
                self.faults.add(f"live list: {session['id']} went back to revision {session['revision']}")
            held[session["id"]] = session["revision"]
