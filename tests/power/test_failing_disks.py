"""J3 and J4: a disk that refuses the n-th order, for every n; and one that fails a sync."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import nullcontext, suppress
from random import Random

import apsw
import pytest

from plugin.journal.port import JournalError
from plugin.journal.sqlite import SqliteJournal
from tests.power.disk import Disk, cuts
from tests.power.work import (
    STORED,
    Contents,
    begun,
    contents,
    intent,
    open_on,
    states,
    steps,
)

CALLS = ("write", "sync", "open", "truncate", "delete")
STEPS = 14
SEED = 4  # of steps through every state
_CODES = {
    "write": (apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_FULL),
    "sync": (apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_FULL),
    "open": (apsw.SQLITE_CANTOPEN, apsw.SQLITE_IOERR),
    "truncate": (apsw.SQLITE_IOERR_TRUNCATE,),
    "delete": (apsw.SQLITE_IOERR_DELETE,),
    "read": (apsw.SQLITE_IOERR_READ,),
}


class Failing:
    """Refuses the n-th order of a kind, and the `more` that follow it."""

    def __init__(self, call: str, code: int, at: int, more: int = 0) -> None:
        self.call = call
        self.code = code
        self.at = range(at, at + more + 1)
        self.calls = 0
        self.refused = 0

    def __call__(self, call: str) -> None:
        if call != self.call:
            return
        self.calls += 1
        if self.calls in self.at:
            self.refused += 1
            raise apsw.exception_for(self.code)


class Worker:
    """Works on a disk that fails, and knows what it was promised. After a failure a step
    may have happened; the record says which, as it does to the agent."""

    def __init__(self, disk: Disk, random: Random, checkpoint: int | None) -> None:
        self.disk = disk
        self.checkpoint = checkpoint
        self.promised = Contents()
        self.in_doubt: Contents | None = None
        self.failures = 0
        self.journal: SqliteJournal | None = None
        self._steps = list(steps(random, STEPS))

    def work(self) -> None:
        """Every step, each until it has worked; the journal stays open all the time."""
        for step, after in self._steps:
            self.in_doubt = after
            for _ in range(9):
                try:
                    if self._happened(after):
                        break
                    step(self._opened())
                    break
                except JournalError:
                    self.failures += 1
            else:
                raise AssertionError("the journal does not recover")
            self.promised, self.in_doubt = after, None

    def _opened(self) -> SqliteJournal:
        if self.journal is None:
            self.journal = open_on(self.disk, self.checkpoint)
        return self.journal

    def _happened(self, after: Contents) -> bool:
        """Whether the step has happened although it failed."""
        if not self.failures:
            return False
        found = contents(self._opened(), after)
        assert found in (self.promised, after), "neither before nor after"
        return found == after

    def holds(self) -> bool:
        """Whether a cut now, with nothing kept that was not synced, loses nothing."""
        for seed in range(6):
            (image,) = cuts(self.disk.orders, [len(self.disk.orders)], Random(seed))
            disk = Disk(image)
            journal = open_on(disk)
            found = contents(journal, self.promised)
            journal.close()
            disk.unregister()
            if found != self.promised:
                return False
        return True


def test_the_steps_lead_through_every_state() -> None:
    way = steps(Random(SEED), STEPS)

    assert states(*(after for _, after in way)) == STORED


@pytest.mark.parametrize("more", [0, 3])
@pytest.mark.parametrize("checkpoint", [None, 3])
@pytest.mark.parametrize(
    ("call", "code"), [(call, code) for call in _CODES for code in _CODES[call]]
)
def test_j3_whichever_order_fails_nothing_is_lost(
    call: str, code: int, checkpoint: int | None, more: int
) -> None:
    at, refused = 1, 1
    while refused:
        disk = Disk()
        disk.fails = failing = Failing(call, code, at, more)
        worker = Worker(disk, Random(SEED), checkpoint)

        worker.work()

        refused = failing.refused
        disk.fails = lambda call: None
        assert worker.holds(), f"{call} {at}: lost with the power"
        if worker.journal is not None:
            worker.journal.close()
        assert _found(disk, worker.promised) == worker.promised, f"{call} {at}"
        disk.unregister()
        at += 1 if call != "read" else 7
    assert at > 2 or call in {"truncate", "delete"}


def _found(disk: Disk, wanted: Contents) -> Contents:
    journal = open_on(disk)
    found = contents(journal, wanted)
    journal.close()
    return found


def test_a_full_disk_refuses_until_there_is_room_again() -> None:
    disk = Disk()
    journal = open_on(disk)
    journal.create(*begun(1))
    disk.fails = Failing("write", apsw.SQLITE_FULL, 1, more=10_000)

    for number in (2, 3):
        with pytest.raises(JournalError):
            journal.create(*begun(number))
    disk.fails = lambda call: None

    journal.create(*begun(4))
    found = [each.origin.intent_id for each in journal.recent(9)]
    assert found == [intent(4), intent(1)]
    journal.close()


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("checkpoint", [None, 1])
def test_j4_after_a_failed_sync_the_file_is_not_trusted(
    checkpoint: int | None, killed: bool
) -> None:
    """The cache shows what the sync did not write. Whoever goes on behind it, in this
    process or the next, must not build on it."""
    at, refused = 1, 1
    while refused:
        disk = Disk()
        journal = open_on(disk, checkpoint)
        for number in (1, 2, 3):
            journal.create(*begun(number))
        disk.fails = failing = Failing("sync", apsw.SQLITE_IOERR_FSYNC, at)
        written = _created(journal, range(4, 8))
        if killed:
            with disk.dying():
                journal.close()
            journal = _opened_at_last(disk, checkpoint)
        refused = failing.refused
        written += _created(journal, range(8, 12))

        for seed in range(6):
            (image,) = cuts(disk.orders, [len(disk.orders)], Random(seed))
            after = Disk(image)
            found = open_on(after)
            missing = [each for each in written if found.get(intent(each)) is None]
            found.close()
            after.unregister()
            assert not missing, f"sync {at}: {missing} were lost with the power"
        with disk.dying() if killed else nullcontext():
            journal.close()
        disk.unregister()
        at += 1
    assert at > 3


def _opened_at_last(disk: Disk, checkpoint: int | None) -> SqliteJournal:
    try:
        return open_on(disk, checkpoint)
    except JournalError:  # the sync that fails may be the one of opening
        return open_on(disk, checkpoint)


def _created(journal: SqliteJournal, numbers: range) -> list[int]:
    written = []
    for number in numbers:
        try:
            journal.create(*begun(number))
            written.append(number)
        except JournalError:
            return written
    return written


def test_a_journal_whose_sync_failed_reads_its_file_anew() -> None:
    disk = Disk()
    journal = open_on(disk)
    journal.create(*begun(1))
    failing, calls = Failing("sync", apsw.SQLITE_IOERR_FSYNC, 1), list[str]()

    def fails(call: str) -> None:
        calls.append(call)
        failing(call)

    disk.fails = fails
    with pytest.raises(JournalError):
        journal.create(*begun(2))

    assert journal.get(intent(1)) is not None
    assert journal.get(intent(2)) is None
    assert "open" in calls
    journal.close()


@pytest.mark.parametrize("checkpoint", [None, 1, 6])
@pytest.mark.parametrize("before", [0, 1, 7])
def test_j4_what_was_said_to_have_failed_has_not_happened(
    before: int, checkpoint: int | None
) -> None:
    """Also where the disk refuses for so long that nothing could be tidied up: whoever was
    told so has acted on it."""
    for later in itertools.product((False, True), repeat=6):
        disk = Disk()
        journal = open_on(disk, checkpoint)
        for number in range(1, before + 1):
            journal.create(*begun(number))
        disk.fails = _failing_syncs(True, *later)

        written = _created(journal, range(20, 21))
        for _ in range(3):
            with suppress(JournalError):
                journal.get(intent(1))
        disk.fails = lambda call: None

        expected = [*written, *range(before, 0, -1)]
        assert journal.recent(99) == tuple(begun(number)[0] for number in expected)
        journal.close()
        disk.unregister()


def _failing_syncs(*fails: bool) -> Callable[[str], None]:
    """The next syncs, in this order."""
    coming = iter(fails)

    def fail(call: str) -> None:
        if call == "sync" and next(coming, False):
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)

    return fail
