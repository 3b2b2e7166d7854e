"""The agent's log: JSON lines with allowed fields only, in the data folder, rotated.

    kaqi.log     everything
    audit.log    who had what done, and what came of it (`AUDITED`): a file of its own, so
                 that no flood of other lines pushes these out

Both are bounded by size and not by time, which no wall clock can be believed about. A
pharmacy's activation leaves 1.5 KiB of audit, so 200 MiB hold the half year that is asked for
(reliability, P5) at up to 700 of them a day. What became of every card is in the journal for
400 days besides.

A record's fields come as `extra`. One that is not on the list is dropped and counted,
whatever it holds; what is left is searched for identity numbers once more. Of what a
library says only the plain words it begins with are kept: the rest may quote anything.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from logging.handlers import BaseRotatingHandler
from pathlib import Path

from plugin.agent.failure import described
from plugin.privacy import scrubbed

OURS = "kaqi"
FIELDS = frozenset(
    {
        "at",
        "client",
        "code",
        "error",
        "forgotten",
        "header",
        "insertion_id",
        "lost",
        "message_id",
        "method",
        "ms",
        "times",
        "outcome",
        "question",
        "reader",
        "received",
        "removed",
        "requests",
        "role",
        "route",
        "sends",
        "sent",
        "seq",
        "state",
        "status",
        "subject",
        "sw",
        "test_data",
        "trace_id",
        "transport",
        "unfinished",
    }
)
AUDITED = frozenset(
    {
        "activation.changed",
        "agent.degraded",
        "agent.recovered",
        "agent.started",
        "agent.stopping",
        "client.paired",
        "client.revoked",
        "request",
        "security.rejected",
        "transaction.completed",
        "transaction.created",
    }
)
LIBRARIES = ("asyncio", "uvicorn")  # their warnings go to the file
EVERYTHING, AUDIT = "kaqi.log", "audit.log"
MAX_BYTES = 10 * 1024 * 1024
KEPT = 20  # files of each kind: 200 MiB
TRY_AGAIN_BYTES = 1024 * 1024
_PLAIN_WORDS = re.compile(r"[A-Za-z_ .,]{0,80}")
_USUAL = frozenset(vars(logging.makeLogRecord({})))
_MADE = "line"  # where a record keeps it
_log = logging.getLogger(f"{OURS}.logs")


class JsonLines(logging.Formatter):
    """One object a record: when, how grave, from where, what, and the allowed fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, made once for however many files."""
        made: str | None = vars(record).get(_MADE)
        if made is None:
            made = self._made(record)
            setattr(record, _MADE, made)
        return made

    def _made(self, record: logging.LogRecord) -> str:
        fields = vars(record).keys() - _USUAL
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created).astimezone().isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _event(record),
        }
        for name in sorted(fields & FIELDS):
            value = getattr(record, name)
            line[name] = scrubbed(value) if isinstance(value, str) else value
        if record.exc_info and record.exc_info[1]:
            line |= described(record.exc_info[1])
        if dropped := len(fields - FIELDS):
            line["dropped"] = dropped
        return json.dumps(line, ensure_ascii=False)


def _event(record: logging.LogRecord) -> str:
    said = record.getMessage()
    if record.name.partition(".")[0] == OURS:
        return scrubbed(said)
    plain = _PLAIN_WORDS.match(said)
    return plain[0].strip() if plain else ""


class Ring(BaseRotatingHandler):
    """A file that is put aside under the next number when it has `max_bytes`; `kept` files
    stay, and the highest number is the newest.

    Nothing here reaches who logs: a line that cannot be written is counted, and the first
    that can be again is followed by the number; `screen` hears of the first. Only the full file is renamed and only the
    oldest removed: where another program holds one open (Windows), the file grows on until
    it can be put aside.
    """

    def __init__(
        self,
        file: Path,
        screen: logging.Handler,
        *,
        max_bytes: int = MAX_BYTES,
        kept: int = KEPT,
    ) -> None:
        super().__init__(
            file, "a", encoding="utf-8", delay=True, errors="backslashreplace"
        )
        self.setFormatter(JsonLines())
        self._file = file
        self._screen = screen
        self._max_bytes = max_bytes
        self._full_at = max_bytes
        self._kept = kept
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """One line, and how many were lost before it."""
        before = self._lost
        super().emit(record)
        if before and self._lost == before:
            self._lost = 0
            super().emit(_could_not_write(before))

    def shouldRollover(self, _: logging.LogRecord) -> bool:  # noqa: N802 - logging's own
        """Whether the file is full."""
        if self.stream is None:
            self.stream = self._open()
        return self.stream.tell() >= self._full_at

    def doRollover(self) -> None:  # noqa: N802 - logging's own
        """Put it aside, if nobody holds it."""
        self._let_go()  # Windows renames no open file
        older = aside(self._file)
        number = number_of(older[-1]) + 1 if older else 1
        try:
            self._file.rename(self._file.with_name(f"{self._file.name}.{number}"))
        except OSError:
            self._full_at += TRY_AGAIN_BYTES
            return
        self._full_at = self._max_bytes
        for oldest in older[: max(0, len(older) + 2 - self._kept)]:
            with suppress(OSError):  # the next time
                oldest.unlink()

    def handleError(self, _: logging.LogRecord) -> None:  # noqa: N802 - logging's own
        """The disk is full, or the file is closed to us."""
        self._lost += 1
        if self._lost == 1:
            self._screen.handle(_could_not_write(1))

    def close(self) -> None:
        """Give the file back, whatever could not be written."""
        self.acquire()
        try:
            self._let_go()
        finally:
            self.release()
        super().close()

    def _let_go(self) -> None:
        stream, self.stream = self.stream, None
        if stream is not None:
            with suppress(OSError):
                stream.close()


def aside(file: Path) -> list[Path]:
    """The files that were put aside from this one, the oldest first."""
    named = file.parent.glob(f"{file.name}.*")
    return sorted((each for each in named if number_of(each)), key=number_of)


def latest(folder: Path) -> list[Path]:
    """The last file that was put aside, and the one that is written, in this order."""
    now = folder / EVERYTHING
    return [*aside(now)[-1:], now]


def number_of(put_aside: Path) -> int:
    """When one was put aside, in their order; 0 when it was not."""
    number = put_aside.suffix[1:]
    return int(number) if re.fullmatch("[1-9][0-9]{0,8}", number) else 0


def configure(folder: Path, *, debug: bool = False) -> Callable[[], None]:
    """Write this process's logs to `folder`; warnings go to standard error as well.

    Returns what closes the files again.
    """
    screen = _screen()
    everything, audit = Ring(folder / EVERYTHING, screen), Ring(folder / AUDIT, screen)
    audit.setLevel(logging.INFO)
    audit.addFilter(lambda record: record.msg in AUDITED)
    ours = logging.getLogger(OURS)
    ours.handlers[:] = [everything, audit, screen]
    ours.setLevel(logging.DEBUG if debug else logging.INFO)
    ours.propagate = False
    for name in LIBRARIES:
        theirs = logging.getLogger(name)
        theirs.handlers[:] = [everything]
        theirs.setLevel(logging.WARNING)
        theirs.propagate = False

    def close() -> None:
        ours.handlers[:] = [screen]
        for name in LIBRARIES:
            logging.getLogger(name).handlers[:] = [logging.NullHandler()]
        everything.close()
        audit.close()

    return close


def _screen() -> logging.Handler:
    screen = logging.StreamHandler(sys.stderr)
    screen.setLevel(logging.WARNING)
    screen.setFormatter(JsonLines())
    return screen


def quiet() -> None:
    """For commands whose output belongs to the caller: no log at all."""
    logging.getLogger(OURS).setLevel(logging.CRITICAL + 1)


def thread_failed(failed: threading.ExceptHookArgs) -> None:
    """Instead of a traceback, which quotes what was parsed: for `threading.excepthook`."""
    if failed.exc_value is not None and failed.exc_type is not SystemExit:
        _log.error("a thread failed", extra=described(failed.exc_value))


def _could_not_write(lost: int) -> logging.LogRecord:
    told = {"name": _log.name, "levelno": logging.WARNING, "levelname": "WARNING"}
    said = {"msg": "lines could not be written", "lost": lost}
    return logging.makeLogRecord(told | said)
