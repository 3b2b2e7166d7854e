"""Copies of the journal, two generations: made while the till works, believed only once they
were checked through. A damaged journal is noticed by its own rows; what to go back to lies
here (reliability, 4.8)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from drivers.ports import Clock
from plugin.activation.problem import Problem
from plugin.agent.doctor import Finding
from plugin.agent.failure import described
from plugin.journal.port import JournalError

NEWEST, OLDER, MAKING = (
    "journal.backup.db",
    "journal.backup.older.db",
    "journal.copying.db",
)
EVERY = timedelta(hours=24)
STALE = timedelta(days=3)
FIRST_AFTER_MS = 600_000  # the till has other things to do when it starts
STEP_MS = 20
LOOK_AGAIN_MS = 3_600_000
_log = logging.getLogger("kaqi.backups")


class Original(Protocol):
    """What is copied."""

    def copy(self, path: Path) -> Iterator[None]:
        """Copy everything there, a little at a step. Raises JournalError."""
        ...


class Timekeeper(Protocol):
    """The agent's own time."""

    def after(self, milliseconds: float, call: Callable[[], None]) -> None:
        """Call once, later, on the deciding thread."""
        ...

    def post(self, call: Callable[[], None]) -> None:
        """Call soon, from any thread, on the deciding thread."""
        ...


class Backups:
    """Makes them, a day apart; a till that is switched off every night makes one after
    ten minutes of every morning. `sound` says whether a copy is whole: it reads all of it, on
    a thread of its own. `kept` is told of every copy that was kept."""

    def __init__(
        self,
        original: Original,
        folder: Path,
        time: Timekeeper,
        clock: Clock,
        sound: Callable[[Path], bool],
        kept: Callable[[], None],
    ) -> None:
        self._original = original
        self._folder = folder
        self._time = time
        self._clock = clock
        self._sound = sound
        self._kept = kept
        self._copying: Iterator[None] | None = None

    def begin(self) -> None:
        """Look after a while whether one is due."""
        self._time.after(FIRST_AFTER_MS, self._look)

    def _look(self) -> None:
        age = self.age()
        if age is None or age >= EVERY or age < timedelta(0):  # or the clock was wrong
            self.make()
        self._time.after(LOOK_AGAIN_MS, self._look)

    def age(self) -> timedelta | None:
        """How old the newest is, by the wall clock; None where there is none."""
        try:
            made = (self._folder / NEWEST).stat().st_mtime
        except OSError:
            return None
        return self._clock.now() - datetime.fromtimestamp(made).astimezone()

    def make(self) -> None:
        """Begin a copy. What goes wrong is told in the log and by its age."""
        path = self._folder / MAKING
        with suppress(OSError):
            path.unlink(missing_ok=True)
        self._copying = self._original.copy(path)
        self._step()

    def _step(self) -> None:
        if self._copying is None:
            return
        try:
            next(self._copying)
        except StopIteration:
            self._copying = None
            threading.Thread(target=self._check, name="backup", daemon=True).start()
        except JournalError as failed:
            self._copying = None
            _log.error("no copy was made", extra=described(failed))
        else:
            self._time.after(STEP_MS, self._step)

    def close(self) -> None:
        """Leave a copy that is being made: it is made anew next time."""
        self._copying = None

    def _check(self) -> None:
        """On a thread of its own: it may take a minute."""
        path = self._folder / MAKING
        whole = self._sound(path)
        self._time.post(lambda: self._keep() if whole else self._refuse(path))

    def _keep(self) -> None:
        newest = self._folder / NEWEST
        try:
            if newest.exists():
                newest.replace(self._folder / OLDER)
            (self._folder / MAKING).replace(newest)
        except OSError as failed:
            _log.error("no copy was kept", extra=described(failed))
            return
        self._kept()
        _log.info("the journal was copied and checked")

    def _refuse(self, path: Path) -> None:
        """The copy is not whole, so neither is the journal: the earlier ones stay."""
        _log.error("the copy of the journal is damaged")
        with suppress(OSError):
            path.replace(path.with_suffix(".damaged"))

    def finding(self) -> Finding:
        """How old the newest is, for people."""
        damaged = (self._folder / MAKING).with_suffix(".damaged").exists()
        age = self.age()
        problem = None
        if damaged:
            problem = Problem("agent.backup_damaged")
        elif age is not None and age > STALE:
            problem = Problem("agent.backup_old", {"days": str(age.days)})
        hours = "" if age is None else f"{max(0, int(age.total_seconds()) // 3600)} h"
        return Finding(name="backup", required=False, problem=problem, detail=hours)
