"""The examples run, the documents quote them, and what is generated is up to date."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import relive

from .conftest import DEADLINE, ROOT, until
from .model_server import ModelServer

PACKAGE = ROOT / "sdk" / "python"
DOCUMENTS = [PACKAGE / "README.md", ROOT / "docs" / "report-python.md", ROOT / "docs" / "report-langgraph.md"]


class Example:
    """An example that is running."""

    def __init__(self, name: str, url: str, *arguments: str, **environment: str) -> None:
        given = {**os.environ, "RELIVE_URL": url, "PYTHONUNBUFFERED": "1", **environment}
        command = [sys.executable, str(PACKAGE / "examples" / f"{name}.py"), *arguments]
        self.process = subprocess.Popen(command, env=given, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def output(self) -> str:
        output, errors = self.process.communicate(timeout=DEADLINE)
        assert self.process.returncode == 0, errors
        return output


def ids(client: relive.Client, name: str) -> set[str]:
    return {one["id"] for one in client.sessions(name=name, limit=200)}


def new(client: relive.Client, name: str, before: set[str]) -> str:
    """The session that was not there before."""
    return until(lambda: ids(client, name) - before).pop()


def suspended(client: relive.Client, session_id: str) -> str:
    def found() -> str | None:
        nodes = client.session(session_id)["nodes"].values()
        return next((node["id"] for node in nodes if node["status"] == "suspended"), None)

    return until(found, "a node that waits")


@pytest.mark.parametrize("name", ["quickstart", "functions", "model"])
def test_examples_that_run_by_themselves(name: str, url: str, client: relive.Client) -> None:
    session_id = Example(name, url).output().strip().rsplit("/", 1)[1]
    assert client.session(session_id)["status"] == "completed"


def test_the_example_of_a_review(url: str, client: relive.Client) -> None:
    before = ids(client, "Newsletter")
    example = Example("review", url)
    session_id = new(client, "Newsletter", before)
    client.review(session_id, suspended(client, session_id), "modify", reviewer="Ada", data="More.")
    example.output()
    assert client.node(session_id, "send")["output"] == {"text": "More.", "approved by": "Ada"}


def test_the_examples_of_watching(url: str) -> None:
    session_id = Example("model", url).output().strip().rsplit("/", 1)[1]
    assert Example("watching", url, session_id).output().splitlines()[-1] == "write Less is more."
    assert Example("watching_async", url, session_id).output().endswith("completed\n")


def test_the_first_graph(url: str, client: relive.Client) -> None:
    before = ids(client, "Greeting")
    assert Example("langgraph_quickstart", url).output() == "{'text': 'Hello, Ada!'}\n"
    assert client.session(new(client, "Greeting", before))["status"] == "completed"


def test_the_example_of_a_graph_with_a_review(url: str, client: relive.Client) -> None:
    before = ids(client, "Article")
    example = Example("langgraph_review", url)
    session_id = new(client, "Article", before)
    client.review(session_id, suspended(client, session_id), "modify", data="More.")
    assert "'text': 'More.'" in example.output()
    assert client.session(session_id)["status"] == "completed"


def test_the_example_of_an_agent(url: str, client: relive.Client, model: ModelServer) -> None:
    given = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "none", "MODEL": "tiny-1"}
    before = ids(client, "Weather")
    assert Example("langgraph_agent", url, **given).output() == "It is sunny in Paris.\n"
    assert client.usage(new(client, "Weather", before))["total"]["calls"] == 2


def test_the_example_of_spans(url: str, client: relive.Client) -> None:
    before = ids(client, "order")
    Example("opentelemetry_spans", url).output()
    state = client.session(new(client, "order", before))
    assert state["status"] == "completed" and len(state["nodes"]) == 2


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_code_of_the_documents_is_that_of_the_examples(document: Path) -> None:
    text = document.read_text()
    blocks = re.findall(r"^<!-- (\S+) -->\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == text.count("```python"), "a block without the name of its file before it"
    for name, code in blocks:
        assert code == (ROOT / "sdk" / "python" / "examples" / name).read_text(), name


@pytest.mark.parametrize("script", ["unasync", "generate_types"])
def test_what_is_generated_is_up_to_date(script: str, url: str) -> None:
    command = [
        sys.executable,
        str(PACKAGE / "scripts" / f"{script}.py"),
        *([url] if script == "generate_types" else []),
    ]
    if not os.environ.get("WRITE"):
        command.append("--check")
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, f"run `WRITE=1 make python TESTS=generated`: {done.stderr}"
