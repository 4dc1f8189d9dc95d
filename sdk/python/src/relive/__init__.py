"""Reports what a program does to a Relive server, and watches and steers what others do.

import relive

with relive.run("Nightly ETL", tags=["etl"]) as run:      # RELIVE_URL, RELIVE_TOKEN
    with run.node("fetch") as node:
        node.progress(0.5)
        node.log("half way")
        node.output({"rows": 42})
"""

from ._client.client_async import AsyncClient
from ._client.client_sync import Client
from ._context import bind, current_node, current_run
from ._credentials import TokenSource
from ._decorator import node
from ._errors import Cancelled, ReliveError
from ._logs import LogHandler
from ._message import MessageWriter
from ._node import Node, Review
from ._reporting.outbox import Stats
from ._reporting.reporter import Reporter, configure, flush, stats
from ._run import Run, run
from ._settings import Limits
from ._version import __version__

__all__ = [
    "AsyncClient",
    "Cancelled",
    "Client",
    "Limits",
    "LogHandler",
    "MessageWriter",
    "Node",
    "ReliveError",
    "Reporter",
    "Review",
    "Run",
    "Stats",
    "TokenSource",
    "__version__",
    "bind",
    "configure",
    "current_node",
    "current_run",
    "flush",
    "node",
    "run",
    "stats",
]
