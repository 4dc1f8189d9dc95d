"""Identifiers."""

from __future__ import annotations

import hashlib
import os
import time
import uuid

#: What the server takes.
NODE_ID_BYTES = 256


def new_id() -> str:
    """A UUID of version 7: those made later sort later."""
    millis = time.time_ns() // 1_000_000
    value = (millis & (2**48 - 1)) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def printable(text: str) -> str:
    """Without characters that the server refuses in identifiers and names."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else " " for one in text)


def fitted(text: str, most: int) -> str:
    """At most `most` bytes of UTF-8. A longer text ends in a digest of the whole, so that two stay different."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= most:
        return encoded.decode()
    digest = hashlib.sha256(encoded).hexdigest()[:12]
    return encoded[: most - len(digest) - 1].decode("utf-8", "ignore") + "~" + digest


def node_id(name: str, parent: str | None) -> str:
    """The id of a node below another one.

    The `#` of an instance becomes a `:` in the ids of what is below it, because `node#key` is an instance of
    `node` whatever the key is.
    """
    name = printable(name) or "node"
    whole = name if parent is None else f"{parent.replace('#', ':')}/{name}"
    # Room for the key of an instance.
    return fitted(whole, NODE_ID_BYTES - 40)
