"""What a soak measures: latencies as they come, and at each sample memory, files, and the tables."""

import asyncio
import json
import os
import re
import time

METRICS = {
    "process_open_fds": "files",
    "process_cpu_seconds_total": "cpu",
    "relive_sockets": "sockets",
    "relive_viewers": "viewers",
    "relive_replays": "replays",
    "relive_live_sessions": "sessions",
}
# Rows that are kept for longer than a soak lasts, and for how long. Their number grows with what has happened; what a
# row takes must not.
KEPT = {
    "ended_runs": "for ever",
    "run_statistics": "for ever",
    "webhook_deliveries": "14 days",
    "idempotency_keys": "2 days",
    "audit_log": "90 days",
    "schedule_runs": "the last 1,000 of a schedule",
}
TABLES = """
SELECT json_build_object(
    'tables', (SELECT json_object_agg(relname, json_build_array(pg_total_relation_size(relid), n_live_tup, n_dead_tup))
               FROM pg_stat_user_tables),
    'rows', json_build_object(%s),
    'sessions', (SELECT count(*) FROM sessions),
    'events', (SELECT count(*) FROM session_events),
    'connections', (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),
    'autovacuums', (SELECT sum(autovacuum_count) FROM pg_stat_user_tables))
""" % ", ".join(f"'{name}', (SELECT count(*) FROM {name})" for name in KEPT)


def quantile(values, fraction):
    """By rank; nothing of nothing."""
    if not values:
        return None
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * fraction))]


def latencies(values):
    middle, high = quantile(values, 0.5), quantile(values, 0.99)
    return {"number": len(values), "p50": middle, "p99": high, "most": max(values, default=None)}


def resident_bytes(pid):
    """Memory of a process; None where it cannot be read."""
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def parts_of_memory(pid):
    """The private memory of a process, and its part of what it shares; None where they cannot be read."""
    found = {}
    try:
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            for line in rollup:
                name, _, value = line.partition(":")
                if name in ("Pss_Anon", "Pss_Shmem"):
                    found[name] = int(value.split()[0]) * 1024
    except (OSError, ValueError):
        pass
    return found.get("Pss_Anon"), found.get("Pss_Shmem")


def added(parts):
    return sum(part for part in parts if part) or None


def family(postmaster):
    """The processes of a PostgreSQL; on Linux."""
    found = [postmaster]
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as stat:
                    if stat.read().rpartition(")")[2].split()[1] == str(postmaster):
                        found.append(int(name))
            except (OSError, IndexError):
                pass
    return found


class Measures:
    def __init__(self, servers, database, client, path):
        self.servers, self.database, self.client = servers, database, client
        self.file = open(path, "w")
        self.started = time.monotonic()
        # Since the last sample.
        self.commands, self.lag = [], []
        # In all.
        self.recoveries, self.restarts, self.reads = [], [], {}
        self.sent = self.checked = self.runs = self.viewers = self.reconnects = 0
        # How long a server did at most not know what the other one had committed, when a run was compared.
        self.behind = 0.0
        # Commands that a server refused that did not know the last ones yet, answered by the other.
        self.refused_behind = 0
        self.samples = []

    def now(self):
        return time.monotonic() - self.started

    def recovered(self, seconds):
        """A command that had to be sent again, and how long it took until it was acknowledged."""
        self.recoveries.append(seconds)

    async def metrics(self, server):
        """Those that are asked for, of a server that is up."""
        async with self.client.get(server.address + "/metrics") as answer:
            text = await answer.text()
        found = {}
        for line in text.splitlines():
            name, _, value = line.partition(" ")
            if name in METRICS:
                found[METRICS[name]] = float(value)
        return found

    async def of_server(self, server):
        if not server.is_up:
            return None
        try:
            found = await self.metrics(server)
        except Exception:  # It may be killed at any moment.
            return None
        resident = resident_bytes(server.process.pid) or await asked_resident_bytes(server.process.pid)
        return {"memory": resident, "age": round(server.age(), 1), "start": server.starts, **found}

    async def sample(self):
        commands, self.commands = self.commands, []
        lag, self.lag = self.lag, []
        at = self.now()
        servers = {server.name: await self.of_server(server) for server in self.servers}
        stored = await self.database.ask(TABLES)
        memory = [parts_of_memory(pid) for pid in family(self.database.postmaster)]
        sample = {
            "at": round(at, 2),
            "servers": servers,
            "commands": latencies(commands),
            "lag": latencies(lag),
            # Shared buffers are filled by whatever is read or written, up to their size.
            "postgresMemory": added(private for private, _ in memory),
            "postgresShared": added(shared for _, shared in memory),
            "sent": self.sent,
            "runs": self.runs,
            **stored,
        }
        self.samples.append(sample)
        self.file.write(json.dumps(sample) + "\n")
        self.file.flush()
        return sample

    async def keep_sampling(self, every):
        following = time.monotonic() + every
        while True:
            await asyncio.sleep(max(0, following - time.monotonic()))
            following += every
            await self.sample()


async def asked_resident_bytes(pid):
    """Where there is no /proc."""
    process = await asyncio.create_subprocess_exec("ps", "-o", "rss=", "-p", str(pid), stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return int(output) * 1024 if re.fullmatch(rb"\s*\d+\s*", output) else None
