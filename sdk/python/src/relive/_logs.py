"""Log lines of the standard library as log lines of nodes."""

from __future__ import annotations

import logging

from . import _context
from ._node import Level


class LogHandler(logging.Handler):
    """Adds what is logged while a node is running to that node: `logging.getLogger().addHandler(LogHandler())`."""

    def emit(self, record: logging.LogRecord) -> None:
        node = _context.current_node()
        # What this package logs of its own would go round in a circle.
        if node is None or record.name.partition(".")[0] == "relive":
            return
        try:
            node.log(self.format(record), _level(record.levelno), logger=record.name)
        except Exception:
            self.handleError(record)


def _level(number: int) -> Level:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warn"
    return "info" if number >= logging.INFO else "debug"
