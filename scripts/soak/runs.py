"""The runs of a soak: what each sends, and the comparison of what was acknowledged with what is stored and shown."""

import asyncio
import json
import random
import time
import uuid

import aiohttp

from servers import ANSWER_WITHIN, Failed, Refused
from viewers import LOST, Viewer

# Between two commands of a run, in the middle.
PAUSE = 0.4
STEPS = 4
# For an answer to a command over a socket; then it is sent again.
ACK_WITHIN = 12
VIEWER_WITHIN = 60
LEASE = 30
# What a server may answer that does not know yet what another one has committed.
BEHIND = {"illegal_transition", "nodes_active", "not_waiting", "signal_pending", "unknown_node"}
# Until a server knows what another has committed, if the notice was lost: it compares every 20 s.
CURRENT_WITHIN = 30
# Events that a server adds by itself.
OWN_EVENTS = {"driverSeen", "stalled", "parentRemoved"}
WORDS = "amber basalt cedar delta ember flint garnet harbor indigo juniper kelp linen maple nickel onyx pearl".split()


def words(number):
    return " ".join(random.choice(WORDS) for _ in range(number))


def script(tag):
    """The commands of one run, each with the event that it must lead to."""
    yield {"type": "start"}, {"type": "started"}
    for step in range(STEPS):
        yield from step_script(f"{tag}-{step}", f"step-{step}")
    if random.random() < 0.3:
        memory = str(uuid.uuid4())
        yield (
            {"type": "addMemory", "memoryId": memory, "content": words(8)},
            {"type": "memoryAdded", "memoryId": memory},
        )
    labels = {"soak": tag}
    yield {"type": "setLabels", "metadata": labels}, {"type": "labelsSet", "metadata": labels}
    end = random.random()
    if end < 0.9:
        yield {"type": "complete", "outputs": {"tag": tag}}, {"type": "completed", "outputs": {"tag": tag}}
    elif end < 0.96:
        yield {"type": "fail", "error": tag}, {"type": "failed", "error": tag}
    else:
        yield {"type": "cancel", "reason": tag}, {"type": "cancelled", "reason": tag}


def step_script(tag, node):
    def status(status, **members):
        expected = {key: members[key] for key in members if key in ("progress", "output", "input")}
        event = {"type": "nodeStatusChanged", "nodeId": node, "status": status, **expected}
        return {"type": "setNodeStatus", "nodeId": node, "status": status, **members}, event

    yield status("running", input={"tag": tag, "text": words(20)})
    yield {"type": "addLog", "nodeId": node, "level": "info", "text": words(12)}, {
        "type": "logAdded", "nodeId": node, "level": "info",
    }  # fmt: skip
    yield {"type": "addMessage", "messageId": tag, "nodeId": node, "content": words(40)}, {
        "type": "messageAdded", "messageId": tag, "nodeId": node,
    }  # fmt: skip
    tokens = random.randrange(1, 1_000_000)
    yield {"type": "recordUsage", "nodeId": node, "model": "gpt-4o-mini", "inputTokens": tokens, "outputTokens": 9}, {
        "type": "usageRecorded", "nodeId": node, "inputTokens": tokens,
    }  # fmt: skip
    yield status("running", progress=0.5)
    yield {"type": "setContext", "key": "step", "value": tag}, {"type": "contextSet", "key": "step", "value": tag}
    if random.random() < 0.15:
        yield {"type": "pause"}, {"type": "paused"}
        yield {"type": "resume"}, {"type": "resumed"}
    if random.random() < 0.15:
        yield status("suspended")
        yield {"type": "signal", "nodeId": node, "payload": {"tag": tag}}, {
            "type": "signalled", "nodeId": node, "payload": {"tag": tag},
        }  # fmt: skip
        yield status("running")
    yield status("completed", output={"tag": tag, "rows": [words(3) for _ in range(5)]})


class Connection:
    """The way by which one run sends its commands: HTTP, or a socket that is opened again where it breaks."""

    def __init__(self, fleet, measures, session, server, by_socket):
        self.measures = measures
        self.fleet, self.session, self.server, self.by_socket = fleet, session, server, by_socket
        self.socket, self.number = None, 0
        # Who answered last: it knows all of the session.
        self.answered = server

    async def send(self, commands, lease):
        """The revision after the commands, and whether the first attempt had an answer."""
        command_id, end, refusals = str(uuid.uuid4()), time.monotonic() + CURRENT_WITHIN, 0
        while True:
            try:
                revision, is_first = await self.send_once(commands, lease, command_id)
                self.answered = self.server
                return revision, is_first and not refusals
            except Refused as error:
                if error.code not in BEHIND or error.server is self.answered or time.monotonic() > end:
                    raise
                refusals += 1
                self.measures.refused_behind += refusals == 1
                self.server = error.server
                await asyncio.sleep(0.1)

    async def send_once(self, commands, lease, command_id):
        if not self.by_socket:
            if lease:
                commands = [{**commands[0], "leaseSeconds": LEASE}, *commands[1:]]
            path, headers = f"/sessions/{self.session}/commands", {"idempotency-key": command_id}
            answer, is_first, self.server = await self.fleet.request("POST", path, commands, headers, self.server)
            return answer["revision"], is_first
        frame = {"type": "command", "sessionId": self.session, "commands": commands, "commandId": command_id}
        if lease:
            frame["leaseSeconds"] = LEASE
        end, is_first = time.monotonic() + ANSWER_WITHIN, True
        while True:
            try:
                return await self.attempt(frame), is_first
            except LOST as error:
                if time.monotonic() > end:
                    raise Failed(f"a command was not answered within {ANSWER_WITHIN} s: {error!r}") from error
            is_first = False
            await self.close()
            await asyncio.sleep(0.1)
            self.server = await self.fleet.choose(avoid=self.server)

    async def attempt(self, frame):
        if self.socket is None:
            self.socket = await self.fleet.client.ws_connect(f"{self.server.address}/ws", timeout=5)
        self.number += 1
        await self.socket.send_str(json.dumps({**frame, "id": str(self.number)}))
        while True:
            message = await self.socket.receive(timeout=ACK_WITHIN)
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise aiohttp.ClientConnectionError(f"closed with {self.socket.close_code}")
            answer = json.loads(message.data)
            if answer.get("id") != str(self.number):
                continue
            if answer["type"] == "ack":
                return answer["revision"]
            if not answer["retryable"]:
                raise Refused(f"{frame['commands']}", answer["code"], answer["message"], self.server)
            await asyncio.sleep(0.1)
            raise aiohttp.ClientConnectionError(answer["code"])

    async def chunk(self, frame):
        """A piece of a message that is being written. It may be lost."""
        if self.socket is not None and not self.socket.closed:
            try:
                await self.socket.send_str(json.dumps({**frame, "type": "token", "sessionId": self.session}))
            except LOST:
                pass

    async def close(self):
        if self.socket is not None:
            socket, self.socket = self.socket, None
            try:
                await asyncio.wait_for(socket.close(), 5)
            except LOST:
                pass


class Run:
    """One session: driven, watched on every server, and compared at its end."""

    def __init__(self, world, tag):
        self.world, self.tag = world, tag
        self.fleet, self.measures, self.faults = world.fleet, world.measures, world.faults
        self.revision = 0
        # When the command was sent that leads to a revision, for the lag of viewers.
        self.sent = {}
        # Acknowledged: the revision after the commands, and the events they must have led to.
        self.acknowledged = []
        self.viewers = []

    async def drive(self, parent=None):
        body = {"name": f"soak {self.tag}", "tags": ["soak"]}
        if parent:
            body["parentSessionId"] = parent
        server = await self.fleet.choose()
        session = await self.fleet.ask(
            "POST", "/sessions", body, headers={"idempotency-key": str(uuid.uuid4())}, server=server
        )
        self.id, self.revision = session["id"], session["revision"]
        self.watch()
        connection = Connection(self.fleet, self.measures, self.id, server, by_socket=random.random() < 0.6)
        lease = random.random() < 0.25
        try:
            gathered = []
            for command, event in script(self.tag):
                gathered.append((command, event))
                # An array of commands now and then.
                if random.random() < 0.2 and command["type"] not in ("start", "complete", "fail", "cancel"):
                    continue
                await self.send(connection, gathered, lease)
                gathered, lease = [], False
                await asyncio.sleep(random.expovariate(1 / PAUSE) if random.random() < 0.98 else 3)
        finally:
            await connection.close()

    def watch(self):
        for server in [server for server in self.fleet.servers if server.is_up]:
            seed = f"{self.id}{server.name}"
            self.viewers.append(Viewer(self.fleet, self.measures, self.faults, self.id, self.sent, server, seed))

    async def send(self, connection, gathered, lease):
        await self.write_chunks(connection, gathered)
        started = time.monotonic()
        # With a lease the server may add events; then nothing is known beforehand.
        expected = [] if lease else range(self.revision + 1, self.revision + len(gathered) + 1)
        self.sent.update((revision, started) for revision in expected)
        revision, is_first = await connection.send([command for command, _ in gathered], lease)
        took = time.monotonic() - started
        if is_first:
            self.measures.commands.append(took)
        else:
            self.measures.recovered(took)
            for known in expected:
                self.sent.pop(known, None)
        self.measures.sent += len(gathered)
        self.revision = revision
        self.acknowledged.append((revision, [event for _, event in gathered]))

    async def write_chunks(self, connection, gathered):
        for command, _ in gathered:
            if command["type"] == "addMessage":
                for word in command["content"].split(" ")[:6]:
                    piece = {"nodeId": command["nodeId"], "messageId": command["messageId"], "text": word + " "}
                    await connection.chunk(piece)

    def give_up(self):
        for viewer in self.viewers:
            viewer.task.cancel()

    async def finish(self):
        """Compares what is stored and what was shown with what was acknowledged; gives the stored events."""
        finished = await asyncio.gather(*(viewer.finish(VIEWER_WITHIN) for viewer in self.viewers))
        for viewer, is_finished in zip(self.viewers, finished):
            if not is_finished:
                self.faults.add(f"{viewer}: it was not shown the end, and holds {viewer.revision}")
        events = await read_events(self.fleet, self.id)
        self.compare_journal(events)
        for server in self.fleet.servers:
            state = await self.read_state(server, len(events))
        for viewer, is_finished in zip(self.viewers, finished):
            if is_finished:
                await self.compare_viewer(viewer, state, events)
        self.world.endpoints.expect(self.id, state["status"])
        self.measures.runs += 1
        return state, events

    async def read_state(self, server, revision):
        """The state as a server has it. What another one has committed it knows a little later, at the latest when it
        compares all it holds."""
        started = time.monotonic()
        while True:
            state = await self.fleet.ask("GET", f"/sessions/{self.id}", server=server)
            behind = time.monotonic() - started
            if state["revision"] >= revision:
                self.measures.behind = max(self.measures.behind, behind if behind > 0.05 else 0)
                return state
            if behind > CURRENT_WITHIN:
                self.faults.add(f"{self.id}: the state is at {state['revision']}, the journal at {revision}")
                return state
            await asyncio.sleep(0.05)

    def compare_journal(self, events):
        """Dense, and each acknowledged command in it exactly once, where its answer said."""
        for number, event in enumerate(events, 1):
            if event["revision"] != number:
                self.faults.add(f"{self.id}: revision {event['revision']} is at place {number}")
                return
        if not self.acknowledged:
            return
        # The first event is that of the creation.
        stored = [event for event in events[1:] if event["event"]["type"] not in OWN_EVENTS]
        wanted = [(revision, event) for revision, group in self.acknowledged for event in group]
        if len(stored) != len(wanted):
            self.faults.add(f"{self.id}: {len(wanted)} commands were acknowledged, {len(stored)} events are stored")
            return
        for have, (_, want) in zip(stored, wanted):
            if any(have["event"].get(key) != value for key, value in want.items()):
                self.faults.add(f"{self.id}: {want} was acknowledged, {have} is stored")
        place = 0
        for revision, group in self.acknowledged:
            place += len(group)
            if stored[place - 1]["revision"] != revision:
                self.faults.add(f"{self.id}: acknowledged at {revision}, stored at {stored[place - 1]['revision']}")
        self.measures.checked += len(wanted)

    async def compare_viewer(self, viewer, state, events):
        """What the viewer was shown last is what the server has, and an `events` viewer has had every event once."""
        if viewer.mode == "events":
            shown = [event for _, event in viewer.events]
            if shown != [event["event"] for event in events[: viewer.revision]]:
                self.faults.add(f"{viewer}: its {len(shown)} events are not those of the journal")
            messages = {e["event"]["messageId"] for e in events if e["event"]["type"] == "messageAdded"}
            if messages != viewer.messages:
                self.faults.add(f"{viewer}: it was shown {len(viewer.messages)} of {len(messages)} messages")
        if viewer.revision < state["revision"]:
            later = {event["event"]["type"] for event in events[viewer.revision :]}
            if later - {"parentRemoved"}:
                self.faults.add(f"{viewer}: it was shown {viewer.revision} of {state['revision']}: {later}")
            state = await self.fleet.ask("GET", f"/sessions/{self.id}?revision={viewer.revision}")
        if viewer.mode != "events" and viewer.state != state:
            differ = [key for key in {**viewer.state, **state} if viewer.state.get(key) != state.get(key)]
            self.faults.add(f"{viewer}: its last state differs from the server's in {differ}")
        self.measures.viewers += 1


async def read_events(fleet, session):
    events, after = [], 0
    while True:
        page = await fleet.ask("GET", f"/sessions/{session}/events?after={after}&limit=1000")
        events += page["events"]
        if page.get("nextAfter") is None:
            return events
        after = page["nextAfter"]


class ReviewedRun(Run):
    """A run of the built-in engine that waits for a review, which is approved."""

    GRAPH = {
        "name": "Reviewed",
        "startNodeId": "ask",
        "nodes": {
            "ask": {"id": "ask", "type": "llm", "name": "Ask", "nextIds": ["review"],
                    "properties": {"prompt": "Say something.", "remember": True, "retries": 5}},
            "review": {"id": "review", "type": "human_review", "name": "Review", "nextIds": ["wait"]},
            "wait": {"id": "wait", "type": "delay", "name": "Wait", "properties": {"seconds": 0.5}},
        },
    }  # fmt: skip

    async def drive(self, parent=None):
        body = {"graph": self.GRAPH, "driver": "builtin", "name": f"soak {self.tag}", "tags": ["soak"]}
        session = await self.fleet.ask("POST", "/sessions", body, headers={"idempotency-key": str(uuid.uuid4())})
        self.id = session["id"]
        self.watch()
        key = {"idempotency-key": str(uuid.uuid4())}
        await self.fleet.ask("POST", f"/sessions/{self.id}/control", {"action": "start"}, headers=key)
        end = time.monotonic() + VIEWER_WITHIN
        while not await self.review():
            if time.monotonic() > end:
                self.faults.add(f"{self.id}: no review was taken within {VIEWER_WITHIN} s")
                return
            await asyncio.sleep(0.3)

    async def review(self):
        """Approves, by the server that says it is asked for a review; whether that was done."""
        server = await self.fleet.choose()
        state, _, server = await self.fleet.request("GET", f"/sessions/{self.id}", server=server)
        if state["nodes"].get("review", {}).get("status") != "suspended":
            # Taken, and the answer was lost.
            return state["status"] == "completed"
        key = {"idempotency-key": f"review {self.id}"}
        review = {"nodeId": "review", "action": "approve", "reviewer": "soak"}
        try:
            await self.fleet.ask("POST", f"/sessions/{self.id}/review", review, headers=key, server=server)
        except Refused as error:
            if error.code not in BEHIND or error.server is server:
                raise
            self.measures.refused_behind += 1
            return False
        return True

    async def finish(self):
        state, events = await super().finish()
        if state["status"] != "completed":
            self.faults.add(f"{self.id}: the built-in engine ended it as {state['status']}: {state.get('error')}")
        return state, events


class TracedRun(Run):
    """A trace of OpenTelemetry: its spans come in parts, by whichever server, and it ends by itself."""

    SPANS = 5

    async def drive(self, parent=None):
        self.trace = uuid.uuid4()
        self.id = str(self.trace)
        root = "1" * 16
        for number in range(1, self.SPANS):
            await self.export({"spanId": f"{number + 1:016x}", "parentSpanId": root, "name": f"part {number}"})
            if number == 1:
                self.watch()
            await asyncio.sleep(random.expovariate(1 / PAUSE))
        await self.export({"spanId": root, "name": f"soak {self.tag}"})

    async def export(self, span):
        now = time.time_ns()
        times = {"startTimeUnixNano": str(now - 1_000_000), "endTimeUnixNano": str(now)}
        attributes = [{"key": "text", "value": {"stringValue": words(10)}}]
        span = {"traceId": self.trace.hex, "kind": 1, "attributes": attributes, **times, **span}
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "soak"}}]}
        body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "soak"}, "spans": [span]}]}]}
        answer = await self.fleet.ask("POST", "/v1/traces", body)
        if (answer.get("partialSuccess") or {}).get("rejectedSpans"):
            self.faults.add(f"{self.id}: {answer} to a span")

    async def finish(self):
        state, events = await super().finish()
        if state["status"] != "completed" or len(state["nodes"]) != self.SPANS:
            self.faults.add(
                f"{self.id}: the trace is {state['status']} with {len(state['nodes'])} of {self.SPANS} spans"
            )
        return state, events
