"""Values of programs as JSON that the server takes.

Values are encoded at once, on the caller's thread: what is reported is what the value was then. Nothing that
a program hands over makes reporting fail; what JSON cannot express is written as a text.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

#: Bytes of one value; a longer one is replaced by its beginning.
VALUE_BYTES = 256 * 1024
#: Characters of that beginning.
PREVIEW = 4_000
#: Levels of arrays and objects; the server takes some more.
DEPTH = 64
#: Members of one object or array that only a slow encoding can express.
MEMBERS = 10_000
TEXT = 2_000
#: Integers that the server keeps as such.
INTEGERS = (-(2**63), 2**64)
#: More digits than a number can have for the server.
_HUGE = re.compile("[0-9]{300}")


def encode(value: Any, most: int = VALUE_BYTES) -> bytes:
    """The value as JSON, of at most about `most` bytes."""
    text = _encoded(value)
    if len(text) > most:
        shown = text[:PREVIEW].decode("utf-8", "ignore")
        return _encoded({"truncated": True, "bytes": len(text), "beginning": shown})
    return text


def _encoded(value: Any) -> bytes:
    try:
        text = _ENCODER.encode(value)
        is_deep = text.count("[") + text.count("{") > DEPTH and _depth(value) > DEPTH
        if is_deep or _HUGE.search(text):
            text = _ENCODER.encode(_plain(value, 0))
    except Exception:
        # Cycles, keys that are no texts, infinities, and what the objects themselves raise.
        text = _ENCODER.encode(_plain(value, 0))
    if "\\u0000" in text:
        text = text.replace("\\u0000", "\\ufffd")
    # A lone surrogate is no character.
    return text.encode("utf-8", "replace")


def members(given: Mapping[str, Any], encoded: Mapping[str, bytes] | None = None) -> bytes:
    """An object: `given` without what is None, and members that are encoded already."""
    text = _encoded({key: value for key, value in given.items() if value is not None})
    if not encoded:
        return text
    more = b",".join(b'"%s":%s' % (key.encode(), value) for key, value in encoded.items())
    return text[:-1] + (b"," if len(text) > 2 else b"") + more + b"}"


def fields(kind: str, given: Mapping[str, Any], encoded: Mapping[str, bytes] | None = None) -> bytes:
    """A command, by its `type` and its other members."""
    return members({"type": kind, **given}, encoded)


def _default(value: Any) -> Any:
    """What stands for a value that JSON does not know. Called by the encoder, for one level."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name, None) for one in dataclasses.fields(value)}
    if isinstance(value, type):
        return value.__qualname__
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    if hasattr(value, "shape") and hasattr(value, "tolist"):
        size = math.prod(value.shape)
        return value.tolist() if size <= 1_000 else f"<{type(value).__name__} of shape {tuple(value.shape)}>"
    if isinstance(value, (set, frozenset)) or (isinstance(value, Iterable) and hasattr(value, "__len__")):
        return list(value)
    return as_text(value)


def as_text(value: Any) -> str:
    try:
        return str(value)[:TEXT]
    except Exception:
        return f"<{type(value).__name__}>"


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_default)


def _plain(value: Any, depth: int) -> Any:
    """The value of texts, numbers, lists and objects only, cut where it is too deep or too wide."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int) and not isinstance(value, enum.Enum):
        return int(value) if INTEGERS[0] <= value < INTEGERS[1] else as_text(value)
    if isinstance(value, float) and not isinstance(value, enum.Enum):
        return value if math.isfinite(value) else str(value)
    if depth >= DEPTH:
        return "…"
    try:
        if isinstance(value, Mapping):
            items = list(value.items())[:MEMBERS]
            return {key if isinstance(key, str) else as_text(key): _plain(of, depth + 1) for key, of in items}
        if isinstance(value, (list, tuple)):
            return [_plain(one, depth + 1) for one in value[:MEMBERS]]
        return _plain(_default(value), depth + 1)
    except Exception:
        return as_text(value)


def _depth(value: Any, level: int = 0) -> int:
    if level > DEPTH:
        return level
    if isinstance(value, Mapping):
        return max((_depth(one, level + 1) for one in value.values()), default=level + 1)
    if isinstance(value, (list, tuple)):
        return max((_depth(one, level + 1) for one in value), default=level + 1)
    if value is None or isinstance(value, (str, int, float)):
        return level
    return _depth(_plain(value, level), level)


def attributes(given: Mapping[str, Any]) -> dict[str, str | int | float | bool | None]:
    """Flat: what is no text, number or boolean becomes a text. None removes an entry."""
    flat: dict[str, str | int | float | bool | None] = {}
    for key, value in given.items():
        if not isinstance(value, (str, int, float)) and value is not None:
            value = encode(value, TEXT).decode()
        value = _plain(value, 0)
        flat[as_text(key)] = value[:TEXT] if isinstance(value, str) else value
    return flat


def as_limited(text: str, most: int) -> str:
    """A text of at most `most` bytes, which says so where it is cut."""
    if len(text) * 4 <= most:
        return text
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= most:
        return text
    return encoded[: most - 32].decode("utf-8", "ignore") + f" … ({len(encoded)} bytes)"
