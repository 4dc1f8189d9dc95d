"""Errors as texts."""

from __future__ import annotations

import traceback

#: Bytes that the server takes.
ERROR_BYTES = 16 * 1024


def error_text(error: BaseException | str) -> str:
    """What happened in the first line, then where."""
    if isinstance(error, str):
        return limited(error)
    try:
        summary = "".join(traceback.format_exception_only(type(error), error)).strip()
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__)).strip()
    except Exception:
        return limited(type(error).__name__)
    first = summary.splitlines()[0] if summary else type(error).__name__
    return limited(first if error.__traceback__ is None else f"{first}\n\n{trace}")


def limited(text: str) -> str:
    """Without what the server refuses; of a long text the beginning and the end."""
    encoded = text.replace("\0", "\ufffd").encode("utf-8", "replace")
    if len(encoded) > ERROR_BYTES:
        half = ERROR_BYTES // 2 - 8
        encoded = encoded[:half] + b"\n...\n" + encoded[-half:]
    return encoded.decode("utf-8", "ignore")
