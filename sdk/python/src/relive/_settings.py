"""Settings from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

DEFAULT_URL = "http://127.0.0.1:7400"


def is_disabled() -> bool:
    """Whether `RELIVE_DISABLED` asks for nothing to be reported."""
    return os.environ.get("RELIVE_DISABLED", "").strip().lower() in {"1", "true", "yes", "on"}


def default_url() -> str:
    return os.environ.get("RELIVE_URL", "").strip() or DEFAULT_URL


def default_token() -> str | None:
    return os.environ.get("RELIVE_TOKEN", "").strip() or None


def seconds(name: str, default: float) -> float:
    """A number of seconds from the environment; the default if it is not one."""
    try:
        value = float(os.environ[name])
    except (KeyError, ValueError):
        return default
    return value if 0 <= value < float("inf") else default


def http_base(url: str) -> str:
    """The server's address for requests, without a slash at the end. Raises `ValueError`."""
    parts = urlsplit(url)
    scheme = {"http": "http", "https": "https", "ws": "http", "wss": "https"}.get(parts.scheme)
    if scheme is None or not parts.netloc:
        raise ValueError(f"{url!r} is no address of a server: it has to begin with http:// or https://")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def socket_base(url: str) -> str:
    """The same for WebSockets."""
    base = http_base(url)
    return "ws" + base[len("http") :]


@dataclass(frozen=True)
class Limits:
    """What reporting may take."""

    #: Reports that wait to be sent; beyond it new ones are dropped, details earlier than statuses.
    queued: int = 10_000
    #: Bytes of them.
    queued_bytes: int = 64 * 1024 * 1024
    #: Least seconds between two rounds of sending.
    pace: float = 0.02
    #: Seconds that sending what is left may take when the program ends.
    flush: float = field(default_factory=lambda: seconds("RELIVE_FLUSH_SECONDS", 5.0))
    #: Seconds after which a run whose program is not heard of is shown as stalled.
    lease: int = 60
