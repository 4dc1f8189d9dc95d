"""Those who read runs that have ended: replays, exports, forks, moments of the past, searches, statistics."""

import asyncio
import json
import random
import uuid

import aiohttp

from servers import Refused
from runs import WORDS

REPLAY_WITHIN = 30


class Reader:
    def __init__(self, world):
        self.fleet, self.faults, self.measures = world.fleet, world.faults, world.measures

    async def read(self, run, state, events):
        """One of them, at random."""
        ways = [self.replay, self.replay, self.export, self.fork, self.earlier, self.search, self.search, self.count]
        way = random.choice(ways)
        self.measures.reads[way.__name__] = self.measures.reads.get(way.__name__, 0) + 1
        await way(run, state, events)

    async def replay(self, run, _, events):
        """Shows the stored events, all and in order, on any server."""
        attempts = 4
        for attempt in range(attempts):
            server = await self.fleet.choose()
            url = f"{server.address}/ws/sessions/{run.id}/replay?mode=events&speed=max"
            shown = []
            try:
                async with self.fleet.client.ws_connect(url, max_msg_size=0) as socket:
                    while True:
                        message = await socket.receive(timeout=REPLAY_WITHIN)
                        if message.type is not aiohttp.WSMsgType.TEXT:
                            raise aiohttp.ClientConnectionError(f"closed with {socket.close_code}")
                        frame = json.loads(message.data)
                        if frame["type"] == "event":
                            shown.append(frame["event"])
                        if frame["type"] == "end":
                            break
            except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
                if attempt + 1 == attempts:
                    self.faults.add(f"{run.id}: no replay: {error!r}")
                continue
            if shown[: len(events)] != [event["event"] for event in events]:
                self.faults.add(f"{run.id}: a replay showed {len(shown)} events that are not those of the journal")
            return

    async def export(self, run, state, events):
        """A file, and the session that it becomes."""
        file = await self.fleet.ask("GET", f"/sessions/{run.id}/export", text=True)
        found = file.count(b"\n")
        if found < len(events) + 2:
            self.faults.add(f"{run.id}: its export has {found} lines for {len(events)} events")
        headers = {"content-type": "application/x-ndjson", "idempotency-key": str(uuid.uuid4())}
        imported = await self.fleet.ask("POST", "/sessions/import", file, headers=headers)
        copy = imported.get("id") or imported["session"]["id"]
        stored = await self.fleet.ask("GET", f"/sessions/{copy}")
        if (stored["status"], stored["revision"]) != (state["status"], state["revision"]):
            self.faults.add(f"{copy}: imported at revision {stored['revision']}, exported at {state['revision']}")

    async def fork(self, run, _, events):
        """A session with the state of a moment; it is cancelled, so that retention finds it."""
        revision = random.randrange(2, len(events) + 1)
        headers = {"idempotency-key": str(uuid.uuid4())}
        fork = await self.fleet.ask("POST", f"/sessions/{run.id}/fork", {"revision": revision}, headers=headers)
        if fork.get("forkedFromRevision") != revision:
            self.faults.add(f"{run.id}: the fork at {revision} says {fork.get('forkedFromRevision')}")
        if fork["status"] in ("completed", "failed", "cancelled"):
            return
        headers = {"idempotency-key": str(uuid.uuid4())}
        await self.fleet.ask("POST", f"/sessions/{fork['id']}/control", {"action": "cancel"}, headers=headers)

    async def earlier(self, run, state, events):
        """A moment, the difference to the end, messages, logs, timeline, usage."""
        revision = random.randrange(1, len(events) + 1)
        then = await self.fleet.ask("GET", f"/sessions/{run.id}?revision={revision}")
        if then["revision"] != revision:
            self.faults.add(f"{run.id}: asked for revision {revision}, given {then['revision']}")
        await self.fleet.ask("GET", f"/sessions/{run.id}/diff?from={revision}&to={len(events)}")
        for kind, path in [("messageAdded", "messages"), ("logAdded", "logs")]:
            number = sum(event["event"]["type"] == kind for event in events)
            page = await self.fleet.ask("GET", f"/sessions/{run.id}/{path}?limit=200")
            if len(page[path]) != number:
                self.faults.add(f"{run.id}: {len(page[path])} {path} of {number}")
        usage = await self.fleet.ask("GET", f"/sessions/{run.id}/usage?descendants=true")
        if not usage:
            self.faults.add(f"{run.id}: no usage")

    async def search(self, run, *_):
        word = random.choice(WORDS)
        await self.fleet.ask("GET", f"/sessions?text={run.tag}&limit=20")
        found = await self.fleet.ask("GET", f"/sessions?metadata.soak={run.tag}")
        if run.acknowledged and not any(session["id"] == run.id for session in found["sessions"]):
            self.faults.add(f"{run.id}: a list by its metadata does not have it")
        await self.fleet.ask("POST", "/memories/search", {"text": word, "limit": 5})

    async def count(self, *_):
        await self.fleet.ask("GET", "/statistics?bucket=minute&groupBy=tag")
        await self.fleet.ask("GET", "/sessions?status=completed&limit=100")
        try:
            await self.fleet.ask("GET", "/webhooks")
        except Refused as error:
            self.faults.add(str(error))
