"""The servers that a soak runs, the PostgreSQL that the first of them brings along, and requests to either."""

import asyncio
import json
import os
import random
import re
import shutil
import signal
import sys
import time
import urllib.parse
from pathlib import Path

import aiohttp

START_WITHIN = 120
STOP_WITHIN = 60
# A request that no server answers for so long has failed.
ANSWER_WITHIN = 90
# The server takes a setting of another's for a misspelled one, and has a database of its own here.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith("RELIVE_") and name != "DATABASE_URL"
}


class Failed(Exception):
    """The soak cannot go on."""


class Refused(Exception):
    """A request was refused for good."""

    def __init__(self, what, code, problem, server):
        super().__init__(f"{what}: {code} {problem}")
        self.code, self.server = code, server


def refused(what, status, content, server):
    try:
        problem = json.loads(content)
        return Refused(what, problem["code"], problem["detail"], server)
    except (ValueError, KeyError, TypeError):
        return Refused(what, status, content.decode(errors="replace")[:500], server)


class Server:
    """A server process, and those that have had its name before."""

    def __init__(self, name, binary, work, settings):
        self.name, self.binary, self.work, self.settings = name, binary, work, settings
        self.process = self.address = self.started_at = None
        self.is_up = False
        self.starts = 0
        self.logs = []

    async def start(self, *arguments):
        log = self.work / f"server-{self.name}-{self.starts}.log"
        self.starts += 1
        self.logs.append(log)
        with open(log, "wb") as output:
            # A session of its own: Ctrl-C is for the soak, which then stops the servers.
            self.process = await asyncio.create_subprocess_exec(
                self.binary, "serve", "--listen", "127.0.0.1:0", *arguments,
                stdout=output, stderr=output, env={**ENVIRONMENT, **self.settings}, start_new_session=True,
            )  # fmt: skip
        self.started_at = time.monotonic()
        end = self.started_at + START_WITHIN
        while not (found := re.search(r"^listening on (http://\S+)", log.read_text(errors="replace"), re.MULTILINE)):
            if self.process.returncode is not None or time.monotonic() > end:
                raise Failed(f"server {self.name} does not start:\n{log.read_text(errors='replace')[-3000:]}")
            await asyncio.sleep(0.05)
        self.address = found[1]
        self.is_up = True

    async def stop(self, how=signal.SIGTERM):
        """Ends the process, and returns its exit status."""
        self.is_up = False
        if self.process is None or self.process.returncode is not None:
            return self.process and self.process.returncode
        self.process.send_signal(how)
        try:
            return await asyncio.wait_for(self.process.wait(), STOP_WITHIN)
        except asyncio.TimeoutError:
            self.process.kill()
            await self.process.wait()
            return "not stopped in time"

    def has_ended(self):
        return self.is_up and self.process.returncode is not None

    def age(self):
        return time.monotonic() - self.started_at

    def complaints(self):
        """Lines of the logs with a panic, and how many warnings and errors there are."""
        panics, warnings, errors = [], 0, 0
        for log in self.logs:
            for line in log.read_text(errors="replace").splitlines():
                if "panicked" in line:
                    panics.append(f"server {self.name}: {line}")
                warnings += " WARN " in line
                errors += " ERROR " in line
        return panics, warnings, errors


class Database:
    """The PostgreSQL of the first server, read by psql."""

    def __init__(self, data):
        pid_file = (data / "postgres/postmaster.pid").read_text().splitlines()
        self.postmaster, self.sockets, self.port = int(pid_file[0]), pid_file[4].strip(), pid_file[3].strip()
        self.psql = find_psql()

    def url(self):
        return f"postgres://postgres@localhost:{self.port}/relive?host={urllib.parse.quote(self.sockets, safe='')}"

    async def ask(self, query):
        """The one value that a query gives, which is JSON."""
        process = await asyncio.create_subprocess_exec(
            self.psql, "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", self.sockets, "-p", self.port, "-U", "postgres",
            "-d", "relive", "-c", query, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, error = await process.communicate()
        if process.returncode:
            raise Failed(f"psql: {error.decode()}")
        return json.loads(output)


def find_psql():
    root = Path(__file__).resolve().parent.parent.parent
    places = [os.environ.get("RELIVE_POSTGRES_BIN"), root / ".postgres/bin"]
    for place in places:
        if place and (found := Path(place) / "psql").exists():
            return str(found)
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin/psql"))
    found = shutil.which("psql") or (system and str(system[-1]))
    if not found:
        sys.exit("psql is missing: run scripts/postgres.sh, or set RELIVE_POSTGRES_BIN")
    return found


class Fleet:
    """The servers as a client with a list of addresses sees them: whoever does not answer is left for the next."""

    def __init__(self, client, servers):
        self.client, self.servers = client, servers

    async def choose(self, avoid=None):
        """A server that is up, another one than `avoid` if there is one."""
        end = time.monotonic() + ANSWER_WITHIN
        while True:
            up = [server for server in self.servers if server.is_up]
            if others := [server for server in up if server is not avoid] or up:
                return random.choice(others)
            if time.monotonic() > end:
                raise Failed("no server is up")
            await asyncio.sleep(0.1)

    async def request(self, method, path, body=None, headers=None, server=None, text=False):
        """The answer, whether the first attempt had it, and whose it is.

        What may have been carried out is sent again.
        """
        server = server if server and server.is_up else await self.choose()
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json", **(headers or {})}
        end, is_first = time.monotonic() + ANSWER_WITHIN, True
        while True:
            try:
                async with self.client.request(
                    method,
                    server.address + (path if path.startswith("/v1/") else "/api/v1" + path),
                    data=data,
                    headers=headers,
                ) as answer:
                    content = await answer.read()
                    if answer.status < 300:
                        return (content if text else json.loads(content or b"null")), is_first, server
                    if answer.status not in (429, 503):
                        raise refused(f"{method} {path}", answer.status, content, server)
                    problem = f"{answer.status} {content[:200]}"
            except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
                problem = repr(error)
            if time.monotonic() > end:
                raise Failed(f"{method} {path} was not answered within {ANSWER_WITHIN} s: {problem}")
            is_first = False
            await asyncio.sleep(0.1)
            server = await self.choose(avoid=server)

    async def ask(self, method, path, body=None, **options):
        return (await self.request(method, path, body, **options))[0]
