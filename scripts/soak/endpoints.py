"""What the servers call: embeddings, a language model, and a receiver of webhooks."""

import json

from aiohttp import web

DIMENSION = 8
# Every so many deliveries the receiver fails, and is sent the delivery again after 5 s; a second failure in a row
# would mean another 5 minutes.
FAILING = 50
ENDS = {"session.completed": "completed", "session.failed": "failed", "session.cancelled": "cancelled"}


class Endpoints:
    def __init__(self, faults):
        self.faults = faults
        self.requests = self.deliveries = self.repeated = self.alerts = 0
        # Deliveries that are to come again.
        self.failed = set()
        # Ends that were verified and not yet delivered, and the other way round.
        self.expected, self.delivered = {}, {}
        # By schedule: the times it was due, and the run of each.
        self.scheduled = {}

    async def start(self):
        app = web.Application()
        app.router.add_post("/v1/embeddings", self.embed)
        app.router.add_post("/v1/chat/completions", self.answer)
        app.router.add_post("/hook", self.hook)
        self.runner = web.AppRunner(app, access_log=None)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://127.0.0.1:%d" % self.runner.addresses[0][1]

    async def stop(self):
        await self.runner.cleanup()

    async def embed(self, request):
        given = (await request.json())["input"]
        texts = given if isinstance(given, list) else [given]
        data = [{"index": n, "embedding": embedding(text)} for n, text in enumerate(texts)]
        return web.json_response({"data": data})

    async def answer(self, request):
        await request.read()
        choice = {"index": 0, "message": {"role": "assistant", "content": "A short answer."}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 7, "completion_tokens": 4}
        return web.json_response({"model": "none", "choices": [choice], "usage": usage})

    async def hook(self, request):
        body = json.loads(await request.read())
        self.requests += 1
        delivery = request.headers["webhook-id"]
        if self.requests % FAILING == 0 and delivery not in self.failed:
            self.failed.add(delivery)
            return web.Response(status=500)
        self.failed.discard(delivery)
        self.take(body["type"], body["data"].get("session"))
        return web.Response(status=204)

    def take(self, kind, session):
        self.deliveries += 1
        if kind.startswith("alert."):
            self.alerts += 1
        if (status := ENDS.get(kind)) is None:
            return
        self.note_schedule(session)
        wanted = self.expected.pop(session["id"], None)
        if wanted is None:
            if session["id"] in self.delivered:
                self.repeated += 1
            self.delivered[session["id"]] = status
            while len(self.delivered) > 20_000:
                self.delivered.pop(next(iter(self.delivered)))
        elif wanted != status:
            self.faults.add(f"webhook: {session['id']} is {wanted}, and {status} was delivered")

    def note_schedule(self, session):
        metadata = session.get("metadata") or {}
        if "scheduleId" not in metadata:
            return
        runs = self.scheduled.setdefault(metadata["scheduleId"], {})
        first = runs.setdefault(metadata["scheduledAt"], session["id"])
        if first != session["id"]:
            self.faults.add(f"schedule: two runs at {metadata['scheduledAt']}: {first} and {session['id']}")

    def expect(self, session, status):
        """A delivery must have come, or come until the soak ends."""
        got = self.delivered.pop(session, None)
        if got is None:
            self.expected[session] = status
        elif got != status:
            self.faults.add(f"webhook: {session} is {status}, and {got} was delivered")


def embedding(text):
    """Some numbers that are the same for the same text."""
    return [1.0] + [(hash((text, n)) % 1000) / 1000 for n in range(DIMENSION - 1)]
