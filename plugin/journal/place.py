"""Where the journal lies: who may have it, whether it is the one that was left there, and how
another takes its place.

    running.lock     held by an agent while it runs, also in safe mode
    journal.lock     held by whoever may write the journal: an agent, or `kaqi restore`
    journal.epoch    the number the journal's own count of epochs must have reached: an older
                     file put in its place has not (reliability, F20)
    journal.restored-TIME.db      complete, and waiting to take the journal's place
    journal.damaged-TIME.db(-wal) what was in its place before; nobody deletes it

One rename would do, if a journal were one file. But beside it lies its log, which must
neither be lost nor meet another journal. So the rename that counts is the one that gives a
new journal the name of a restored one: from then on it is the journal, and whoever comes
next finishes what is left to do.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import apsw

from plugin.activation.problem import Problem
from plugin.journal.port import (
    Journal,
    JournalDamagedError,
    JournalError,
    JournalInUseError,
)
from plugin.journal.safe import SafeJournal, SafeModeError
from plugin.journal.sqlite import SqliteJournal

JOURNAL = "journal.db"
LOG = "-wal"
BENCH = "restoring"  # copies that are worked on, while somebody restores
EPOCHS = "epochs"
PATIENCE_MS = 3_000  # with `kaqi doctor`, which looks at it for a moment
_RESTORED, _DAMAGED = "journal.restored-", "journal.damaged-"
_log = logging.getLogger("kaqi.place")


class Lock:
    """Held by one process at a time, given back when it ends, however it ends. Raises
    JournalInUseError, JournalError."""

    def __init__(self, path: Path, patience_ms: int = 0) -> None:
        try:
            self._held = apsw.Connection(str(path))
            self._held.set_busy_timeout(patience_ms)
            self._held.execute("PRAGMA journal_mode=MEMORY").fetchall()
            self._held.execute("BEGIN EXCLUSIVE")  # writes nothing, and asks no program
        except (apsw.BusyError, apsw.LockedError) as held:
            raise JournalInUseError("another process holds it") from held
        except apsw.Error as refused:
            raise JournalError(str(refused)) from refused

    def close(self) -> None:
        """Give it back."""
        self._held.close()


class Place:
    """The journal's place, taken by one agent. Raises JournalInUseError, JournalError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.trouble: Problem | None = None  # why it was opened for safe mode
        self._running = Lock(folder / "running.lock")
        try:
            self._writing = Lock(folder / "journal.lock", PATIENCE_MS)
        except BaseException:
            self._running.close()
            raise

    def opened(
        self, open_file: Callable[[Path], SqliteJournal]
    ) -> SqliteJournal | SafeJournal:
        """The journal; where it is damaged, or another than was left here, one for safe
        mode. Raises JournalError."""
        shutil.rmtree(self._folder / BENCH, ignore_errors=True)  # nobody restores now
        try:
            put_in_place(self._folder)
            journal = open_file(self._folder / JOURNAL)
            if not has_reached(journal, epoch(self._folder)):
                journal.close()
                raise JournalDamagedError("an older journal was put in its place")
        except JournalDamagedError as damaged:
            _log.error("the journal is damaged", extra={"code": damaged.code})
            self.trouble = Problem(SafeModeError.code)
            self._writing.close()  # to whoever restores it
            # No till tells a thousand events a second.
            return SafeJournal(time.time_ns() // 1_000_000)
        except BaseException:
            self.close()
            raise
        self.turn(journal)
        return journal

    def turn(self, journal: Journal) -> None:
        """Another epoch begins: from now on a copy made before is an old one. Where the
        disk refuses, it begins with the next."""
        try:
            now = journal.reserve(EPOCHS, 1)
            _write(self._folder / "journal.epoch", f"{now}\n")
        except (JournalError, OSError) as refused:
            _log.error("no epoch was begun", extra={"error": type(refused).__name__})

    def close(self) -> None:
        """Give it back."""
        self._writing.close()
        self._running.close()


def epoch(folder: Path) -> int:
    """What the journal's count of epochs must have reached; 0 where nobody knows."""
    try:
        return int((folder / "journal.epoch").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def has_reached(journal: SqliteJournal, at_least: int) -> bool:
    """Whether this is the journal that was left here, and no older one."""
    return journal.reserve(EPOCHS, 0) > at_least


def keep_ready(new: Path, folder: Path, stamp: str) -> None:
    """Make this complete journal the one that takes the place. Raises OSError."""
    _sync(new)
    _give_to_its_owner(new, folder)
    new.replace(folder / f"{_RESTORED}{stamp}.db")
    _sync(folder)


def put_in_place(folder: Path) -> None:
    """If a journal waits to take its place, let it: keep what is there under another name,
    log and all. Needs journal.lock. Raises JournalError."""
    waiting = sorted(folder.glob(f"{_RESTORED}*.db"))
    if not waiting:
        return
    stamp = waiting[0].stem.removeprefix(_RESTORED)
    try:
        for name in (LOG, ""):
            old = folder / f"{JOURNAL}{name}"
            if old.exists():
                old.replace(f"{kept(folder, stamp)}{name}")
        _sync(folder)  # before a log could meet a journal that is not its own
        waiting[0].replace(folder / JOURNAL)
        _sync(folder)
    except OSError as refused:
        raise JournalError(refused.strerror or "the disk refuses") from refused


def kept(folder: Path, stamp: str) -> Path:
    """Under what name the journal is kept whose place was taken."""
    return folder / f"{_DAMAGED}{stamp}.db"


def _write(file: Path, content: str) -> None:
    draft = file.with_name(f"{file.name}.new")
    draft.write_text(content, encoding="ascii")
    draft.chmod(0o600)
    _sync(draft)
    _give_to_its_owner(draft, file.parent)
    draft.replace(file)


def _give_to_its_owner(file: Path, folder: Path) -> None:
    """Root restores for the user whose agent it is."""
    if hasattr(os, "chown") and os.geteuid() == 0:
        owner = folder.stat()
        os.chown(file, owner.st_uid, owner.st_gid)


def _sync(path: Path) -> None:
    """To the disk, where this system can: not every one does it for folders."""
    with suppress(PermissionError):
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
