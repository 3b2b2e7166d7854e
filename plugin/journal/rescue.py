"""A new journal for a damaged one, made beside it and then put in its place. The damaged
file is only ever copied from and renamed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from enum import Enum
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from plugin.journal import place, remains, salvage
from plugin.journal.layout import CHECKED_WHOLE
from plugin.journal.place import BENCH, JOURNAL, LOG, Lock
from plugin.journal.port import JournalDamagedError, JournalError
from plugin.journal.remains import Told
from plugin.journal.salvage import Plan, Remains
from plugin.journal.sqlite import SqliteJournal
from plugin.privacy import Keys

PAGE = 4_096  # bytes
AT_ONCE = 1 << 20


class Condition(Enum):
    """How a journal is found."""

    SOUND = "sound"
    DAMAGED = "damaged"
    OLDER = "older"  # whole, but not the one that was left here


class Proposal(Struct, frozen=True):
    """What would be done, and when the copy was made that it makes use of."""

    condition: Condition
    plan: Plan
    is_older: bool  # than the journal that was last used here
    copy_made: str | None
    is_empty: bool  # nothing is left anywhere


class Rescue:
    """Has the journal to itself. `copies` are those to go back to, the newest first. Raises
    JournalInUseError, JournalError."""

    def __init__(self, folder: Path, keys: Keys, copies: Sequence[Path]) -> None:
        self._folder = folder
        self._keys = keys
        self._copies = copies
        self._original = folder / JOURNAL
        self._bench = folder / BENCH
        self._lock = Lock(folder / "journal.lock")
        try:
            place.put_in_place(folder)
            shutil.rmtree(self._bench, ignore_errors=True)
            with _refusals():
                self._bench.mkdir(mode=0o700)
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        """Leave everything to others."""
        shutil.rmtree(self._bench, ignore_errors=True)
        self._lock.close()

    def condition(self) -> Condition:
        """As an agent would find it. Raises JournalError."""
        at_least = place.epoch(self._folder)
        if not at_least and not self._original.exists():
            return Condition.SOUND  # there was none yet
        try:
            journal = SqliteJournal(self._laid_out(self._original), self._keys)
        except JournalDamagedError:
            return Condition.DAMAGED
        is_ours = place.has_reached(journal, at_least)
        journal.close()
        return Condition.SOUND if is_ours else Condition.OLDER

    def proposal(self, now_ms: int, told: Told) -> Proposal | None:
        """What can be done; None when nothing is to be done. Raises JournalError."""
        condition, at_least = self.condition(), place.epoch(self._folder)
        if condition is Condition.SOUND and not self._is_large():
            return None
        ours = self._read(self._laid_out(self._original), told, is_copy=False)
        if condition is Condition.SOUND and not ours.hurt:
            return None
        copies = [self._brought_up_to_date(each) for each in self._copies_there()]
        if ours.hidden:
            ours = self._with_other_first_pages(ours, copies, told)
        if ours.counters.get(place.EPOCHS, 0) < at_least:  # older, damaged or not
            ours = replace(ours, is_copy=True, made=_of_last_record(ours))
        found = [self._read(each, told, is_copy=True) for each in copies]
        read = [each for each in found if not each.is_empty]
        return Proposal(
            condition=condition,
            plan=salvage.merged([ours, *read], max(now_ms, at_least)),
            is_older=ours.is_copy,
            copy_made=read[0].made if read else None,
            is_empty=all(each.is_empty for each in (ours, *read)),
        )

    def carry_out(self, plan: Plan, stamp: str) -> Path:
        """Put the new journal in the place of the old one; returns where that is kept.
        Killed at any moment, it has been done or it has not. Raises JournalError."""
        while place.kept(self._folder, stamp).exists():  # a clock may go back
            stamp += "-again"
        new = self._bench / "new.db"
        journal = SqliteJournal(new, self._keys)
        journal.fill(plan)
        journal.close()
        SqliteJournal(new, self._keys).close()  # it reads as it was meant
        with _refusals():
            place.keep_ready(new, self._folder, stamp)
        place.put_in_place(self._folder)
        return place.kept(self._folder, stamp)

    def _is_large(self) -> bool:
        """Whether an agent does not look at every row when it starts."""
        return self._original.exists() and (
            self._original.stat().st_size > CHECKED_WHOLE
        )

    def _laid_out(self, original: Path) -> Path:
        """A copy of it to work on, with its log."""
        for suffix in ("", LOG):
            source = original.with_name(f"{original.name}{suffix}")
            target = self._bench / source.name
            target.unlink(missing_ok=True)
            if source.exists():
                with _refusals():
                    copied(source, target)
        return self._bench / original.name

    def _read(self, path: Path, told: Told, *, is_copy: bool) -> Remains:
        made = _written(self._folder / path.name)
        return remains.read(path, self._keys, told, made=made, is_copy=is_copy)

    def _copies_there(self) -> Sequence[Path]:
        return [copy for copy in self._copies if copy.exists()]

    def _brought_up_to_date(self, copy: Path) -> Path:
        """On the bench, and as this version has it, where it is sound; where it is not, its
        rows are believed by their own codes all the same."""
        path = self._laid_out(copy)
        with suppress(JournalError):
            SqliteJournal(path, self._keys).close()
        return path

    def _with_other_first_pages(
        self, ours: Remains, copies: Sequence[Path], told: Told
    ) -> Remains:
        """The best of the readings: every row is believed by its own code only."""
        fresh = self._bench / "fresh.db"
        SqliteJournal(fresh, self._keys).close()
        readings = [ours]
        for donor in (*copies, fresh):
            path = self._laid_out(self._original)
            remains.put_first_page(path, donor.read_bytes()[:PAGE])
            readings.append(self._read(path, told, is_copy=ours.is_copy))
        return max(readings, key=lambda each: each.count)


@contextmanager
def _refusals() -> Iterator[None]:
    """What the disk refuses, as an error of ours."""
    try:
        yield
    except OSError as refused:
        raise JournalError(refused.strerror or "the disk refuses") from refused


def copied(source: Path, target: Path) -> None:
    """All of a file that its disk still gives, every page in its place. Raises OSError."""
    with source.open("rb", buffering=0) as file, target.open("wb") as copy:

        def read(length: int, at: int) -> bytes:
            file.seek(at)
            got = (
                b""  # a disk that fails gives what lies before, and fails when asked on
            )
            while len(got) < length and (more := file.read(length - len(got))):
                got += more
            return got

        size = source.stat().st_size
        for at in range(0, size, AT_ONCE):
            copy.write(in_pages(read, min(AT_ONCE, size - at), at))


def in_pages(read: Callable[[int, int], bytes], length: int, at: int) -> bytes:
    """So many bytes from there; a page that the disk does not give is empty."""
    try:
        return read(length, at)
    except OSError:
        if length <= PAGE:
            return bytes(length)
    half = max(PAGE, length // 2 // PAGE * PAGE)
    halves = (at, half), (at + half, length - half)
    return b"".join(in_pages(read, size, where) for where, size in halves)


def _written(path: Path) -> str:
    """When a file was last written to, itself or in its log (RFC 3339)."""
    both = (path, path.with_name(f"{path.name}{LOG}"))
    times = [each.stat().st_mtime for each in both if each.exists()]
    return _rfc3339(max(times, default=0.0))


def _of_last_record(found: Remains) -> str:
    """A file that was copied by hand says nothing of its age; its last record does."""
    return _rfc3339(salvage.began_ms(max(found.records, default=0)) / 1000)


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
