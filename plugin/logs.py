"""The agent's log: JSON lines with allowed fields only, in the data folder, rotated.

A record's fields come as `extra`. One that is not on the list is dropped and counted,
whatever it holds; what is left is searched for identity numbers once more.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from plugin.privacy import scrubbed

FIELDS = frozenset(
    {
        "at",
        "code",
        "error",
        "forgotten",
        "header",
        "intent",
        "outcome",
        "reader",
        "received",
        "removed",
        "requests",
        "role",
        "sends",
        "sent",
        "seq",
        "state",
        "sw",
        "test_data",
        "trace_id",
        "transaction",
        "unfinished",
    }
)
LIBRARIES = ("asyncio", "uvicorn")  # what they say goes to the file, without tracebacks
MAX_BYTES = 10 * 1024 * 1024
KEPT = 20
_USUAL = frozenset(vars(logging.makeLogRecord({})))


class JsonLines(logging.Formatter):
    """One object a record: when, how grave, from where, what, and the allowed fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = vars(record).keys() - _USUAL
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created).astimezone().isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": scrubbed(record.getMessage()),
        }
        for name in sorted(fields & FIELDS):
            value = getattr(record, name)
            line[name] = scrubbed(value) if isinstance(value, str) else value
        if dropped := len(fields - FIELDS):
            line["dropped"] = dropped
        return json.dumps(line, ensure_ascii=False)


def configure(folder: Path, *, debug: bool = False) -> Callable[[], None]:
    """Write this process's log to `folder`; warnings go to standard error as well.

    Returns what closes the file again.
    """
    file = RotatingFileHandler(
        folder / "kaqi.log", maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8"
    )
    screen = logging.StreamHandler(sys.stderr)
    screen.setLevel(logging.WARNING)
    ours = logging.getLogger("kaqi")
    for handler in (file, screen):
        handler.setFormatter(JsonLines())
    ours.handlers[:] = [file, screen]
    ours.setLevel(logging.DEBUG if debug else logging.INFO)
    ours.propagate = False
    for name in LIBRARIES:
        theirs = logging.getLogger(name)
        theirs.handlers[:] = [file]
        theirs.setLevel(logging.WARNING)
        theirs.propagate = False

    def close() -> None:
        ours.handlers[:] = [screen]
        for name in LIBRARIES:
            logging.getLogger(name).handlers[:] = [logging.NullHandler()]
        file.close()

    return close


def quiet() -> None:
    """For commands whose output belongs to the caller: no log at all."""
    logging.getLogger("kaqi").setLevel(logging.CRITICAL + 1)
