"""Runs the alerts and the dashboard of deploy/ against a real Prometheus, which scrapes a real server under some load.

Fails if a query is refused or finds nothing, or if promtool has something against the metrics or the rules. Everything
listens on loopback. The server is the one that `cargo build` has built, or RELIVE_BINARY; `prometheus` and `promtool`
are Debian's package `prometheus`.
"""

import http.client
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "deploy/prometheus/rules.yml"
DASHBOARD = ROOT / "deploy/grafana/relive.json"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = os.environ.get("RELIVE_BINARY", TARGET / "debug/relive")
# The server takes a setting of another's for a misspelled one.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("RELIVE_")}
# Long enough for two scrapes in each window of a query, which is this many seconds.
WINDOW = "10s"
DEADLINE = 90
DIMENSION = 8
# Queries that may find nothing, and why. What they ask for must be known to the server all the same.
RARE = {
    "Errors by route": "only while the server answers with an error of its own",
}
NEEDS_NATS = ["Connected to NATS", "ReliveNatsAway"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Endpoint(http.server.BaseHTTPRequestHandler):
    """A language model, embeddings, and a receiver of webhooks that fails every other time."""

    protocol_version = "HTTP/1.1"
    hooks = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        status, answer = 200, {}
        if self.path == "/v1/embeddings":
            given = json.loads(body)["input"]
            texts = given if isinstance(given, list) else [given]
            answer = {"data": [{"index": n, "embedding": [1.0] + [0.5] * (DIMENSION - 1)} for n, _ in enumerate(texts)]}
        elif self.path == "/v1/chat/completions":
            message = {"role": "assistant", "content": "A short answer."}
            answer = {
                "model": "a-model-without-a-price",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 7, "completion_tokens": 4},
            }
        else:
            Endpoint.hooks += 1
            status = 200 if Endpoint.hooks % 2 else 500
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Processes:
    """What was started, ended in reverse order."""

    def __init__(self, work):
        self.work, self.running = work, []

    def start(self, name, command, environment=None):
        log = open(self.work / f"{name}.log", "w")
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env={**ENVIRONMENT, **(environment or {})}
        )
        self.running.append((name, process))
        return process

    def log(self, name):
        return (self.work / f"{name}.log").read_text(errors="replace")

    def check(self):
        for name, process in self.running:
            if process.poll() is not None:
                sys.exit(f"{name} has ended:\n{self.log(name)}")

    def end(self):
        for _, process in reversed(self.running):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    process.kill()


def until(what, condition, processes):
    """What `condition` gives, as soon as it gives something."""
    end = time.monotonic() + DEADLINE
    while True:
        processes.check()
        if found := condition():
            return found
        if time.monotonic() > end:
            logs = "\n".join(processes.log(name)[-2000:] for name, _ in processes.running)
            sys.exit(f"not within {DEADLINE} s: {what}\n{logs}")
        time.sleep(0.2)


def fetch(url, body=None, method=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"} if data else {}
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.read().decode()


class Load:
    """A few runs, a viewer, webhooks, memories and models, over and over until it is stopped."""

    def __init__(self, server, endpoint):
        self.server, self.stop, self.error = server, threading.Event(), None
        self.api("/webhooks", {"url": f"{endpoint}/hook", "types": ["session.completed"]})
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def api(self, path, body, method="POST"):
        return json.loads(fetch(f"{self.server}/api/v1{path}", body, method) or "null")

    def watch(self, session):
        """Opens a WebSocket; what it is sent stays in the buffers of the system."""
        address = urllib.parse.urlsplit(self.server)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
        connection.request(
            "GET",
            f"/ws/sessions/{session}",
            headers={
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            },
        )
        if connection.getresponse().status != 101:
            raise RuntimeError("the WebSocket was refused")
        return connection

    def driven(self):
        session = self.api("/sessions", {})["id"]
        viewer = self.watch(session)
        self.api(f"/sessions/{session}/control", {"action": "start"})
        for node in range(10):
            for status in ["running", "completed"]:
                self.api(f"/sessions/{session}/nodes/n{node}", {"status": status}, "PUT")
        self.api(f"/sessions/{session}/control", {"action": "complete"})
        viewer.close()

    def built_in(self):
        ask = {"id": "ask", "type": "llm", "name": "Ask", "properties": {"prompt": "Say something.", "remember": True}}
        graph = {"name": "g", "startNodeId": "ask", "nodes": {"ask": ask}}
        session = self.api("/sessions", {"graph": graph, "driver": "builtin"})["id"]
        self.api(f"/sessions/{session}/control", {"action": "start"})

    def run(self):
        try:
            while not self.stop.is_set():
                self.driven()
                self.built_in()
                self.stop.wait(0.2)
        except Exception as error:
            self.error = error

    def end(self):
        self.stop.set()
        self.thread.join()


def queries():
    """(where it stands, the query) of the dashboard and of the rules."""
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"].replace("$__rate_interval", WINDOW).replace("$instance", ".*")
            yield panel["title"], query
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
            yield variable["name"], f"count by ({found[2]}) ({found[1]})"
    # Prometheus tells the rules as it has understood them, so that no YAML has to be read here.
    for group in json.loads(fetch(f"{Prometheus.url}/api/v1/rules"))["data"]["groups"]:
        for rule in group["rules"]:
            yield rule["name"], rule["query"]


def measured(name, query):
    """A rule without its comparison at the end, which is false as long as all is well."""
    found = re.fullmatch(r"(.*)\s(?:==|>|<)\s[0-9.]+", query, re.DOTALL)
    if not found:
        sys.exit(f"{name}: the rule does not end with a comparison to a number: {query}")
    # The windows of the rules are longer than this run; what they show is the same.
    return re.sub(r"\[\d+[smh]\]", f"[{WINDOW}]", found[1])


class Prometheus:
    url = ""

    @staticmethod
    def ask(query):
        address = f"{Prometheus.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        try:
            return json.loads(fetch(address))["data"]["result"]
        except urllib.error.HTTPError as error:
            sys.exit(f"refused: {query}\n{error.read().decode()}")

    @staticmethod
    def start(processes, work, server):
        port = free_port()
        shutil.copy(RULES, work / "rules.yml")
        scrape = {"job_name": "relive", "static_configs": [{"targets": [server.removeprefix("http://")]}]}
        settings = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}}
        # JSON is YAML as well.
        (work / "prometheus.yml").write_text(
            json.dumps({**settings, "rule_files": ["rules.yml"], "scrape_configs": [scrape]})
        )
        options = {"config.file": work / "prometheus.yml", "storage.tsdb.path": work / "tsdb"}
        options["web.listen-address"] = f"127.0.0.1:{port}"
        processes.start("prometheus", ["prometheus", *(f"--{name}={value}" for name, value in options.items())])
        Prometheus.url = f"http://127.0.0.1:{port}"

        def is_ready():
            try:
                return fetch(f"{Prometheus.url}/-/ready")
            except OSError:
                return None

        until("Prometheus is ready", is_ready, processes)


def start_server(processes, work, settings):
    command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--data-dir", work / "data"]
    processes.start("relive", command, settings)

    def address():
        found = re.search(r"^listening on (http://\S+)", processes.log("relive"), re.MULTILINE)
        return found and found[1]

    return until("the server listens", address, processes)


def start_nats(processes):
    if not shutil.which("nats-server"):
        print("nats-server is missing: the queries about NATS may find nothing", file=sys.stderr)
        RARE.update({name: "without NATS" for name in NEEDS_NATS})
        return {}
    port = free_port()
    processes.start("nats", ["nats-server", "-a", "127.0.0.1", "-p", str(port)])

    def is_there():
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1)
        except OSError:
            return None

    until("NATS answers", is_there, processes).close()
    return {"RELIVE_NATS_URL": f"nats://127.0.0.1:{port}"}


def promtool(what, *arguments, text=None):
    result = subprocess.run(["promtool", *arguments], input=text, text=True, capture_output=True)
    if result.returncode:
        sys.exit(f"promtool refuses {what}:\n{result.stdout}{result.stderr}")


def check_queries(processes, load, metrics):
    described = set(re.findall(r"^# HELP (\w+) ", metrics, re.MULTILINE))
    all_queries, alerts, dashboard = list(queries()), 0, DASHBOARD.read_text()
    titles = {panel["title"] for panel in json.loads(dashboard)["panels"]}
    variables = {variable["name"] for variable in json.loads(dashboard)["templating"]["list"]}
    empty = []
    for name, query in all_queries:
        if name not in titles | variables:
            Prometheus.ask(query)
            query, alerts = measured(name, query), alerts + 1
        if name in RARE:
            asked = set(re.findall(r"\brelive_\w+", query))
            if not any(metric.startswith(known) for metric in asked for known in described):
                empty.append(f"{name} (rare): the server does not have {asked}")
            Prometheus.ask(query)
            continue
        if not Prometheus.ask(query):
            empty.append(f"{name}: {query}")
    if load.error:
        sys.exit(f"the load has failed: {load.error!r}")
    processes.check()
    return all_queries, alerts, empty


def run(processes, work):
    endpoint = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{endpoint.server_port}"
    server = start_server(
        processes,
        work,
        {
            "RELIVE_LLM_URL": f"{address}/v1",
            "RELIVE_LLM_MODEL": "a-model-without-a-price",
            "RELIVE_EMBEDDINGS_URL": f"{address}/v1",
            "RELIVE_EMBEDDINGS_MODEL": "m",
            "RELIVE_EMBEDDING_DIM": str(DIMENSION),
            "RELIVE_WEBHOOK_ALLOW_PRIVATE": "true",
            **start_nats(processes),
        },
    )
    Prometheus.start(processes, work, server)
    load = Load(server, address)
    try:
        # Every kind of work has been seen twice by Prometheus.
        slowest = ["relive_llm_seconds_count", "relive_webhook_seconds_count", "relive_embedding_seconds_count"]
        for metric in slowest:
            until(metric, lambda metric=metric: load.error or Prometheus.ask(f"rate({metric}[{WINDOW}]) > 0"), processes)
        metrics = fetch(f"{server}/metrics")
        promtool("the metrics", "check", "metrics", text=metrics)
        all_queries, alerts, empty = check_queries(processes, load, metrics)
    finally:
        load.end()
        endpoint.shutdown()
    if empty:
        sys.exit("these find nothing:\n  " + "\n  ".join(empty))
    names = len(set(re.findall(r"^# TYPE (\w+) ", metrics, re.MULTILINE)))
    print(f"{len(all_queries) - alerts} queries of the dashboard and {alerts} alerts have answers; {names} metrics accepted")


def main():
    for program in ["prometheus", "promtool"]:
        if not shutil.which(program):
            sys.exit(f"{program} is missing (Debian: apt-get install --no-install-recommends prometheus)")
    promtool("the rules", "check", "rules", str(RULES))
    promtool("the tests of the rules", "test", "rules", str(RULES.with_name("rules_test.yml")))
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        # The embedded PostgreSQL runs as another user.
        work.chmod(0o755)
        processes = Processes(work)
        try:
            run(processes, work)
        finally:
            processes.end()


if __name__ == "__main__":
    main()
