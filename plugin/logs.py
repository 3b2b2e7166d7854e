"""The agent's log: JSON lines with allowed fields only, in the data folder, rotated.

A field that is not on the list is dropped, whatever it holds; what is left is searched for
identity numbers once more.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import structlog

from plugin.privacy import scrubbed

FIELDS = frozenset(
    {
        "at",
        "code",
        "error",
        "event",
        "header",
        "institution",
        "intent",
        "level",
        "logger",
        "outcome",
        "port",
        "profile",
        "reader",
        "received",
        "role",
        "sends",
        "sent",
        "seq",
        "state",
        "sw",
        "test_data",
        "timestamp",
        "trace_id",
        "transaction",
        "unfinished",
        "version",
    }
)
MAX_BYTES = 10 * 1024 * 1024
KEPT = 20


def configure(folder: Path, *, debug: bool = False) -> Callable[[], None]:
    """Write this process's log to `folder`; warnings go to standard error as well.

    Returns what closes the file again.
    """
    level = logging.DEBUG if debug else logging.INFO
    file = RotatingFileHandler(
        folder / "kaqi.log", maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8"
    )
    file.setFormatter(logging.Formatter("%(message)s"))
    screen = logging.StreamHandler(sys.stderr)
    screen.setLevel(logging.WARNING)
    screen.setFormatter(logging.Formatter("%(message)s"))
    ours = logging.getLogger("kaqi")
    ours.handlers[:] = [file, screen]

    def close() -> None:
        ours.handlers[:] = [screen]
        file.close()

    ours.setLevel(level)
    ours.propagate = False
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=False),
            allowed_only,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    return close


def quiet() -> None:
    """For commands whose output belongs to the caller: no log at all."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
    )


def allowed_only(
    _: object, __: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Drop what is not on the list, and count it; mask identity numbers in the rest."""
    kept: dict[str, Any] = {
        key: scrubbed(value) if isinstance(value, str) else value
        for key, value in fields.items()
        if key in FIELDS
    }
    dropped = len(fields) - len(kept)
    if dropped:
        kept["dropped"] = dropped
    return kept
