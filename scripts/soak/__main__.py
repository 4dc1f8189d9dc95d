"""A soak: two servers on one database under everything that they do, for a given time, measured as it goes on.

Fails if an acknowledged command is not in the journal exactly once, revisions have gaps, a viewer's last state is not
the server's, a webhook or a schedule was missed, something is left behind, or memory, files, tables or latencies grow
beyond their bounds. Prints what it found, and writes a chart, the samples, and the logs of the servers.
"""

import argparse
import asyncio
import datetime
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import aiohttp

import chart
import flat
from endpoints import DIMENSION, Endpoints
from faults import Faults
from measures import KEPT, Measures, quantile
from readers import Reader
from runs import ReviewedRun, Run, TracedRun
from servers import Database, Failed, Fleet, Refused, Server
from viewers import ListViewer

# Runs at a time, and how many of them are of the built-in engine, and traces.
DRIVERS, REVIEWED, TRACED = 12, 1, 1
# Ended sessions are deleted by the rules of retention after this time. They are compared before.
KEPT_SECONDS = 60
RESTARTS = 20
SHORTEST_PERIOD = 18
DELIVERED_WITHIN = 120
CLOSED_WITHIN = 30
# Descriptors that a server opens when it is used and keeps for a while: 20 connections to the database, 8 to the
# receiver of webhooks, and those to the model and the embeddings. A leak of one for each connection is far more.
POOL = 48
SCHEDULES = {"each minute": "0 * * * * *", "every ten seconds": "*/10 * * * * *"}
# A journal that is not dense, or rows that a deleted session has left.
STORED_FAULTS = """
SELECT json_build_object(
    'not dense', (SELECT count(*) FROM sessions AS s LEFT JOIN LATERAL (
        SELECT count(*) AS number, max(revision) AS last FROM session_events WHERE session_id = s.id) AS e ON true
        WHERE s.revision <> e.number OR s.revision IS DISTINCT FROM e.last),
    'events without a session', (SELECT count(*) FROM session_events AS e
        WHERE NOT EXISTS (SELECT FROM sessions WHERE id = e.session_id)),
    'command ids without a session', (SELECT count(*) FROM session_commands AS c
        WHERE NOT EXISTS (SELECT FROM sessions WHERE id = c.session_id)),
    'messages without a session', (SELECT count(*) FROM session_messages AS m
        WHERE NOT EXISTS (SELECT FROM sessions WHERE id = m.session_id)),
    'log lines without a session', (SELECT count(*) FROM session_logs AS l
        WHERE NOT EXISTS (SELECT FROM sessions WHERE id = l.session_id)),
    'ended runs not deleted', (SELECT count(*) FROM sessions WHERE ended_at < now() - interval '4 minutes'))
"""


class World:
    """Everything that runs."""

    def __init__(self, seconds, binary, output, work):
        self.seconds, self.output, self.work = seconds, output, work
        self.faults = Faults()
        self.endpoints = Endpoints(self.faults)
        self.servers = [Server(name, binary, output, {}) for name in "ab"]
        self.is_stopping = False
        self.database = self.measures = None
        self.tasks = []

    @property
    def settings(self):
        return {
            "RELIVE_LLM_URL": f"{self.endpoints.url}/v1",
            "RELIVE_LLM_MODEL": "a-model",
            "RELIVE_EMBEDDINGS_URL": f"{self.endpoints.url}/v1",
            "RELIVE_EMBEDDINGS_MODEL": "a-model",
            "RELIVE_EMBEDDING_DIM": str(DIMENSION),
            "RELIVE_WEBHOOK_ALLOW_PRIVATE": "true",
            "RELIVE_TRACE_IDLE_SECONDS": "3",
            "RELIVE_LOG": "warn",
        }

    async def start(self, client):
        first, second = self.servers
        # The first server brings PostgreSQL along, and so is never restarted: it shows what grows in an hour.
        await first.start("--data-dir", str(self.work / "data"))
        self.database = Database(self.work / "data")
        second.settings = {**second.settings, "DATABASE_URL": self.database.url()}
        await second.start("--data-dir", str(self.work / "none"))
        self.fleet = Fleet(client, self.servers)
        self.measures = Measures(self.servers, self.database, client, self.output / "samples.ndjson")
        await self.set_up()
        self.baseline = {server.name: (await self.measures.metrics(server))["files"] for server in self.servers}
        self.reader = Reader(self)

    async def set_up(self):
        ask = self.fleet.ask
        types = ["session.started", "session.completed", "session.failed", "session.cancelled", "review.requested"]
        hook = await ask("POST", "/webhooks", {"url": f"{self.endpoints.url}/hook", "types": types})
        alert = {"name": "Runs fail", "condition": {"type": "failures", "count": 2, "withinMinutes": 1}}
        await ask("POST", "/alerts", {**alert, "notify": {"webhookIds": [hook["id"]]}})
        graph = {
            "name": "Scheduled",
            "startNodeId": "wait",
            "nodes": {
                "wait": {
                    "id": "wait",
                    "type": "delay",
                    "name": "Wait",
                    "nextIds": ["ask"],
                    "properties": {"seconds": 1},
                },
                "ask": {"id": "ask", "type": "llm", "name": "Ask", "properties": {"prompt": "Say.", "retries": 5}},
            },
        }
        workflow = await ask("POST", "/workflows", {"name": "Scheduled", "graph": graph})
        self.schedules = {}
        for name, cron in SCHEDULES.items():
            body = {"workflowId": workflow["id"], "cron": cron, "name": name, "overlap": "allow"}
            self.schedules[name] = (await ask("POST", "/schedules", body))["id"]
        await ask("PUT", "/retention", {"rules": [{"olderThanDays": KEPT_SECONDS / 86_400}]})

    async def drive(self, number):
        """One run after the other. Each is compared while the next one goes on."""
        kind = ReviewedRun if number < REVIEWED else TracedRun if number < REVIEWED + TRACED else Run
        count, parent, finishing = 0, None, None
        await asyncio.sleep(random.uniform(0, 5))
        while not self.is_stopping:
            count += 1
            run = kind(self, f"{number}-{count}")
            was_driven = await self.guarded(run.drive(parent if random.random() < 0.2 else None), run)
            if finishing:
                await finishing
            finishing, parent = None, None
            if was_driven:
                finishing = asyncio.create_task(self.guarded(self.compare(run), run))
                parent = run.id if kind is Run else None
        if finishing:
            await finishing

    async def compare(self, run):
        state, events = await run.finish()
        await self.reader.read(run, state, events)

    async def guarded(self, work, run):
        """Whether the work was done. What keeps one run from going on does not end the others."""
        try:
            await work
            return True
        except (Refused, Failed, aiohttp.ClientError, KeyError, TypeError) as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            self.faults.add(
                f"run {run.tag}: {error!r} in {place.name}, line {place.lineno} of {Path(place.filename).name}"
            )
            run.give_up()
            await asyncio.sleep(1)
            return False

    async def restart(self):
        """The second server, again and again: by SIGTERM, and by kill -9 in the middle of its work."""
        server, period = self.servers[1], max(SHORTEST_PERIOD, self.seconds / RESTARTS)
        for how in [signal.SIGTERM, signal.SIGKILL] * RESTARTS:
            await asyncio.sleep(period)
            self.measures.restarts.append(round(self.measures.now(), 2))
            status = await server.stop(how)
            if how is signal.SIGTERM and status != 0:
                self.faults.add(f"server {server.name} ended with {status} on SIGTERM")
            await server.start("--data-dir", str(self.work / "none"))

    async def keep_drawing(self):
        """The chart and the figures so far."""
        while True:
            await asyncio.sleep(60)
            lines, _ = report(self, self.measures.now())
            faults = [f"{self.faults.number} faults so far", *self.faults.shown]
            write_results(self, [*lines, *faults], self.output)

    async def watch_processes(self):
        while True:
            await asyncio.sleep(1)
            for server in self.servers:
                if server.has_ended():
                    raise Failed(f"server {server.name} has ended with {server.process.returncode}")

    async def run(self, stop):
        """The load, for its time or until it is told to stop."""
        every = max(2, self.seconds / 720)
        background = [self.measures.keep_sampling(every), self.restart(), self.watch_processes(), self.keep_drawing()]
        self.tasks = [asyncio.create_task(work) for work in background]
        self.lists = [ListViewer(self.fleet, self.faults, server) for server in self.servers]
        drivers = [asyncio.create_task(self.drive(number)) for number in range(DRIVERS)]
        waiting = asyncio.create_task(stop.wait())
        self.tasks += [*drivers, waiting, *(viewer.task for viewer in self.lists)]
        done, _ = await asyncio.wait([waiting, *self.tasks], timeout=self.seconds, return_when=asyncio.FIRST_COMPLETED)
        self.raise_from(done)
        self.is_stopping = True
        self.tasks[1].cancel()
        # The server may be on its way up.
        while not all(server.is_up for server in self.servers):
            await self.ensure_up()
        done, late = await asyncio.wait(drivers, timeout=240)
        self.raise_from(done)
        if late:
            self.faults.add(f"{len(late)} drivers did not end")

    async def ensure_up(self):
        server = self.servers[1]
        if not server.is_up:
            await server.stop(signal.SIGKILL)
            await server.start("--data-dir", str(self.work / "none"))

    @staticmethod
    def raise_from(tasks):
        for task in tasks:
            if not task.cancelled() and task.exception():
                raise task.exception()

    async def finish(self):
        """What has to hold when nothing goes on any more."""
        end = time.monotonic() + DELIVERED_WITHIN
        while self.endpoints.expected and time.monotonic() < end:
            await asyncio.sleep(0.5)
        if self.endpoints.expected:
            some = list(self.endpoints.expected.items())[:3]
            self.faults.add(f"{len(self.endpoints.expected)} ends were not delivered, such as {some}")
        self.check_schedules()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.check_closed()
        for what, number in (await self.database.ask(STORED_FAULTS)).items():
            if number:
                self.faults.add(f"stored: {what}: {number}")

    def check_schedules(self):
        """Each minute between the first and the last has its run."""
        times = sorted(self.endpoints.scheduled.get(self.schedules["each minute"], {}))
        minutes = [int(parse_time(text) // 60) for text in times]
        if minutes and len(minutes) != minutes[-1] - minutes[0] + 1:
            self.faults.add(f"schedule: {len(minutes)} runs in {minutes[-1] - minutes[0] + 1} minutes: {times}")
        if not self.endpoints.scheduled.get(self.schedules["every ten seconds"]):
            self.faults.add("schedule: no run of the one of every ten seconds")

    async def check_closed(self):
        """Without clients, nothing is open that they had opened."""
        end = time.monotonic() + CLOSED_WITHIN
        while True:
            found = {server.name: await self.measures.metrics(server) for server in self.servers}
            left = [
                f"server {name}: {values[key]:.0f} {key}"
                for name, values in found.items()
                for key in ("sockets", "viewers", "replays")
                if values[key]
            ]
            left += [
                f"server {name}: {values['files']:.0f} files are open, {self.baseline[name]:.0f} were at first"
                for name, values in found.items()
                if values["files"] > self.baseline[name] + POOL
            ]
            if not left:
                return
            if time.monotonic() > end:
                for text in left:
                    self.faults.add(f"left open: {text}")
                return
            # The client closes its own idle connections after ten seconds.
            await asyncio.sleep(0.5)

    async def stop(self):
        for task in self.tasks:
            task.cancel()
        for server in reversed(self.servers):
            was_up = server.is_up and not server.has_ended()
            status = await server.stop()
            if was_up and status != 0:
                self.faults.add(f"server {server.name} ended with {status} on SIGTERM")
            panics, _, _ = server.complaints()
            for panic in panics:
                self.faults.add(panic)
        await self.endpoints.stop()


def parse_time(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def report(world, loaded):
    """The figures, in text; and whether all bounds hold."""
    measures, samples, endpoints = world.measures, world.measures.samples, world.endpoints
    scheduled = sum(map(len, endpoints.scheduled.values()))
    reads = ", ".join(f"{number} {name}" for name, number in sorted(measures.reads.items()))
    longest = max(measures.recoveries, default=0)
    lines = [
        f"{loaded / 60:.1f} minutes: {measures.runs} runs, {measures.sent} commands ({measures.sent / loaded:.0f}/s)",
        f"{measures.checked} acknowledged commands were found in the journal exactly once",
        f"{measures.viewers} viewers were compared with the server; they reconnected {measures.reconnects} times",
        f"{endpoints.deliveries} webhooks, {endpoints.repeated} repeated, {endpoints.alerts} of them of alerts",
        f"{scheduled} scheduled runs; reads: {reads}",
        f"{len(measures.restarts)} restarts of server b; {len(measures.recoveries)} commands had to be sent again, "
        + f"the longest took {longest:.1f} s",
        f"a server was at most {measures.behind:.1f} s behind what the other had committed when a run had ended",
        f"{measures.refused_behind} commands were refused by a server that was behind, and taken when sent again",
    ]
    for server in world.servers:
        _, warnings, errors = server.complaints()
        lines.append(f"server {server.name}: {warnings} warnings and {errors} errors in its log")
    lines += [processor_time(samples), memory_after_restart(samples), ""]
    judged = [found for series in flat.all_series("a", KEPT) if (found := series.judge(samples))]
    is_judged = samples[-1]["at"] >= flat.SHORTEST_SECONDS
    lines += [judgement.text(is_judged) for judgement in judged]
    lines += ["", *grown(samples, is_judged)]
    bad = [judgement for judgement in judged if not judgement.is_flat]
    if not is_judged:
        lines.append(f"too short to say whether it was flat; {flat.SHORTEST_SECONDS // 60} minutes are needed")
        bad = []
    elif bad:
        lines.append("NOT FLAT: " + ", ".join(judgement.series.name for judgement in bad))
    else:
        lines.append("flat: everything within its bound, over the last three quarters")
    return lines, not bad


def processor_time(samples):
    """Of the long-lived server, of which it is known for the whole time."""
    known = [sample for sample in samples if sample["servers"]["a"]]
    first, last = known[0], known[-1]
    used = last["servers"]["a"]["cpu"] - first["servers"]["a"]["cpu"]
    return f"server a used {used / (last['at'] - first['at']) * 100 if last is not first else 0:.1f} % of a core"


def memory_after_restart(samples):
    """The last measurement of each start of the second server."""
    last = {}
    for sample in samples:
        if (server := sample["servers"]["b"]) and server["memory"]:
            last[server["start"]] = server["memory"] / flat.MIB
    ends = list(last.values())
    if not ends:
        return "server b: no memory measured"
    middle = quantile(ends, 0.5)
    span = f"{min(ends):.0f} to {max(ends):.0f} MiB, median {middle:.0f}"
    return f"server b: memory when each of its {len(ends)} processes was measured last: {span}"


def grown(samples, is_judged):
    """The tables that are kept, and the largest of the others."""
    out = []
    for name, how_long in KEPT.items():
        rows = samples[-1]["rows"][name]
        if rows:
            size = samples[-1]["tables"][name][0]
            rate = (rows - samples[0]["rows"][name]) / max(1, samples[-1]["at"] - samples[0]["at"]) * flat.HOUR
            out.append(f"kept {how_long}: {name}: {rows} rows, {rate:,.0f} more an hour, {size / rows:,.0f} bytes each")
    largest = sorted(samples[-1]["tables"].items(), key=lambda row: -row[1][0])
    for name, row in [row for row in largest if row[0] not in KEPT][:8]:
        series = flat.Series(name, "MiB", flat.MIB, lambda sample, name=name: sample["tables"][name][0], 0.1, 1)
        if judgement := series.judge(samples):
            live, dead = row[1], row[2]
            slope = f", {judgement.slope:+.2f}/h" if is_judged else ""
            out.append(f"table {name}: {judgement.middle:.1f} MiB{slope}; {live} rows, {dead} dead")
    return out


async def soak(seconds, binary, output, work):
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=10)
    limit = aiohttp.ClientTimeout(total=30)
    world = World(seconds, binary, output, work)
    await world.endpoints.start()
    for server in world.servers:
        server.settings = world.settings
    try:
        async with aiohttp.ClientSession(connector=connector, timeout=limit) as client:
            try:
                await world.start(client)
                began = time.monotonic()
                await world.run(stop)
                loaded = time.monotonic() - began
                await world.finish()
                lines, is_flat = report(world, loaded)
            finally:
                await end_tasks()
    except (Failed, Refused) as error:
        world.faults.add(str(error))
        lines, is_flat = ["the soak could not go on"], False
    finally:
        await world.stop()
    if stop.is_set():
        lines.append(f"stopped before its {seconds / 60:g} minutes were over")
    return world, lines, is_flat and not stop.is_set()


async def end_tasks():
    """Those of drivers and viewers, which use the client until they are ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    # The server of the endpoints has tasks too; it ends by itself.
    if others:
        await asyncio.wait(others, timeout=5)


def write_results(world, lines, output):
    if world.measures and len(world.measures.samples) > 1:
        minutes = world.measures.samples[-1]["at"] / 60
        heading = f"Two servers, one database, {minutes:.0f} minutes. Grey: not judged. Ticks: server b is restarted."
        drawn = chart.draw(chart.panels("ab", KEPT), world.measures.samples, world.measures.restarts, heading)
        (output / "chart.svg").write_text(drawn)
    (output / "summary.txt").write_text("\n".join(lines) + "\n")


def conclude(world, lines, is_flat, output):
    """Writes and prints all of it; whether the soak has passed."""
    verdict = "passed" if is_flat and not world.faults.number else "FAILED"
    if world.faults.number:
        lines += [f"{world.faults.number} faults, of which the first:", *(f"  {text}" for text in world.faults.shown)]
    else:
        lines.append("nothing was lost")
    lines.append(f"soak {verdict}; chart, samples and logs: {output}")
    write_results(world, lines, output)
    print("\n".join(lines), flush=True)
    return verdict == "passed"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="relive-soak-"))
    # The embedded PostgreSQL runs as another user where this is root.
    work.chmod(0o755)
    try:
        # The program is copied: it may be built anew while the soak goes on.
        binary = shutil.copy2(given.binary, work / "relive")
        world, lines, is_flat = asyncio.run(soak(given.minutes * 60, str(binary), given.output, work))
        sys.exit(0 if conclude(world, lines, is_flat, given.output) else 1)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
