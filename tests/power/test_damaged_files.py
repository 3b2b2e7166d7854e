"""J5, J9, F17-F20: files that were changed, cut short, or taken away behind our back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from random import Random

import apsw
import pytest

from plugin.journal.port import JournalError
from tests.power.disk import SECTOR, Disk, Image
from tests.power.work import (
    COUNTERS,
    PATH,
    STORED,
    Contents,
    begun,
    contents,
    filled,
    intent,
    open_on,
    states,
    steps,
)

FLIPS = int(os.environ.get("KAQI_FLIPS", "1000"))
SHARDS = 8
SEED, SEED_OF_HALTED = 2, 4  # with a record in every state
NAME = str(PATH)
LOG = f"{NAME}-wal"
AGE = ("torn", "number")  # only which of 32 is forgotten first


@cache
def a_full_journal() -> tuple[Image, Contents]:
    """A closed file, made once."""
    return filled(120, seed=SEED)


def read(image: Image, wanted: Contents) -> Contents | None:
    """All that the agent reads; None when the journal says that it is damaged."""
    disk = Disk(image)
    try:
        journal = open_on(disk)
        try:
            found = contents(journal, wanted)
            for name in COUNTERS:
                assert journal.reserve(name, 1) == found.counters.get(name, 0) + 1
        finally:
            journal.close()
    except JournalError:
        return None
    finally:
        disk.unregister()
    return found


def test_records_stand_in_every_state() -> None:
    _, held = a_full_journal()

    assert states(held) == STORED
    assert states(halted().all[-1]) == STORED


@pytest.mark.parametrize("shard", range(SHARDS))
def test_j5_a_flipped_bit_is_noticed_or_changes_nothing(shard: int) -> None:
    image, held = a_full_journal()
    noticed = 0
    for seed in range(shard, FLIPS, SHARDS):
        changed = bytearray(image[NAME])
        bit = Random(seed).randrange(len(changed) * 8)
        changed[bit // 8] ^= 1 << bit % 8

        found = read({NAME: bytes(changed)}, held)

        assert found in (None, held), f"seed {seed}, byte {bit // 8}: a wrong record"
        noticed += found is None

    assert noticed


def test_a_flipped_bit_in_every_byte_of_the_header_and_the_schema() -> None:
    image, held = a_full_journal()
    random = Random(1)
    for at in [*range(200), *range(200, 4096, 9)]:
        changed = bytearray(image[NAME])
        changed[at] ^= 1 << random.randrange(8)

        assert read({NAME: bytes(changed)}, held) in (None, held), f"byte {at}"


def test_j9_every_column_of_every_row_that_is_changed_is_noticed() -> None:
    image, held = filled(1_000, seed=2)
    tables = _tables(image)
    assert {*tables} == {"unfinished", "finished", "requests", "torn", "counters"}
    random = Random(3)

    for table, columns in tables.items():
        for column in columns:
            for _ in range(6):
                changed = _changed(image, table, column, random)
                harmless = [held] if (table, column) == AGE else []
                assert read(changed, held) in [None, *harmless], f"{table}.{column}"


def test_a_row_that_moved_to_the_other_table_is_noticed() -> None:
    image, held = a_full_journal()

    for there, here in (("finished", "unfinished"), ("unfinished", "finished")):
        changed = _worked_on(
            image,
            f"INSERT INTO {there} SELECT * FROM {here} LIMIT 1;"  # noqa: S608
            f"DELETE FROM {here} WHERE number IN (SELECT number FROM {there})",
        )
        assert read(changed, held) is None


def _tables(image: Image) -> dict[str, list[str]]:
    with _raw(image) as raw:
        names = [
            str(name)
            for (name,) in raw.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table'"
            )
        ]
        return {
            name: [str(row[1]) for row in raw.execute(f"PRAGMA table_info({name})")]
            for name in names
        }


def _changed(image: Image, table: str, column: str, random: Random) -> Image:
    """One value is another one of its kind."""
    some = f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608
    with _raw(image) as raw:
        old = random.choice([value for (value,) in raw.execute(some)])
    new: int | bytes | str
    match old:
        case int():
            new = old ^ 1 << random.randrange(20, 40)  # no other row's number
        case bytes():
            new = _other(old, random)
        case _:
            new = _other(str(old).encode(), random).decode("latin-1")
    change = f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {column} = ?"  # noqa: S608
    return _worked_on(image, change, (new, old))


def _other(old: bytes, random: Random) -> bytes:
    if not old:
        return b"\0"
    at = random.randrange(len(old))
    return old[:at] + bytes([old[at] ^ 1]) + old[at + 1 :]


@contextmanager
def _raw(image: Image) -> Iterator[apsw.Connection]:
    disk = Disk(image)
    raw = apsw.Connection(NAME, vfs=disk.name)
    raw.execute("PRAGMA locking_mode=EXCLUSIVE")
    try:
        yield raw
    finally:
        raw.close()
        disk.unregister()


def _worked_on(
    image: Image, change: str, values: tuple[apsw.SQLiteValue, ...] = ()
) -> Image:
    disk = Disk(image)
    raw = apsw.Connection(NAME, vfs=disk.name)
    raw.execute("PRAGMA locking_mode=EXCLUSIVE")
    raw.execute(change, values or None)
    raw.close()
    disk.unregister()
    return disk.seen()


class Halted:
    """A journal whose process died: some of it in the database, more in the log."""

    def __init__(self) -> None:
        disk = Disk()
        journal = open_on(disk)
        self.all = [Contents()]
        way = list(steps(Random(SEED_OF_HALTED), 60))
        for step, after in way[:30]:
            step(journal)
            self.all.append(after)
        journal.close()  # what was done so far is in the database
        self.in_the_database = self.all[-1]
        self.last_of_the_database = len(self.all) - 1
        journal = open_on(disk)
        for step, after in way[30:]:
            step(journal)
            self.all.append(after)
        with disk.dying():
            journal.close()
        self.image = disk.seen()
        disk.unregister()

    def with_log(self, log: bytes | None) -> Image:
        """The same database beside another log."""
        left = {name: each for name, each in self.image.items() if name != LOG}
        return left if log is None else left | {LOG: log}


@cache
def halted() -> Halted:
    """Made once."""
    return Halted()


def test_of_a_log_that_was_cut_short_everything_before_the_cut_is_there() -> None:
    ours = halted()
    log, reached = ours.image[LOG], ours.last_of_the_database

    for size in [*range(0, len(log), SECTOR), len(log)]:
        found = read(ours.with_log(log[:size]), ours.all[-1])

        assert found in ours.all[reached:], f"{size} bytes of the log: a wrong record"
        reached = ours.all.index(found, reached)

    assert ours.all[reached] == ours.all[-1]


def test_without_its_log_a_journal_holds_what_the_database_holds() -> None:
    ours = halted()

    assert read(ours.with_log(None), ours.all[-1]) == ours.in_the_database


@pytest.mark.parametrize("size", [1, 31, 32, 33, 4_096, 100_000])
def test_a_log_of_garbage_is_no_log(size: int) -> None:
    ours = halted()
    garbage = Random(size).randbytes(size)

    assert read(ours.with_log(garbage), ours.all[-1]) == ours.in_the_database
    head = ours.image[LOG][:32]
    assert read(ours.with_log(head + garbage), ours.all[-1]) == ours.in_the_database


def test_a_flipped_bit_in_the_log_costs_what_follows_and_changes_nothing() -> None:
    ours = halted()
    for seed in range(150):
        log = bytearray(ours.image[LOG])
        bit = Random(seed).randrange(len(log) * 8)
        log[bit // 8] ^= 1 << bit % 8

        found = read(ours.with_log(bytes(log)), ours.all[-1])

        assert found in ours.all[ours.last_of_the_database :], f"seed {seed}"


def test_the_log_of_another_time_does_no_harm() -> None:
    """A database beside a log that is not its own, as a copy made in two parts would have
    it: one journal or the other or none, but no mixture."""
    ours, (image, held) = halted(), a_full_journal()

    found = read({NAME: image[NAME], LOG: ours.image[LOG]}, ours.all[-1])

    assert found is None or found in [held, *ours.all]


def test_an_old_copy_put_back_is_a_whole_journal_of_that_time() -> None:
    """Nothing in the file can tell that it is old (F20): J1 holds for what the copy holds.
    What came after is not lost at the centre, which knows it by the same activation id
    (A1, A4): that, and no row, keeps a card from being activated twice."""
    disk = Disk()
    journal = open_on(disk)
    way = list(steps(Random(6), 40))
    for step, _ in way[:20]:
        step(journal)
    journal.close()
    copy, then = disk.seen(), way[19][1]
    journal = open_on(disk)
    for step, _ in way[20:]:
        step(journal)
    journal.close()
    disk.unregister()

    assert read(copy, way[-1][1]) == then
    put_back = Disk(copy)
    journal = open_on(put_back)
    record, request = begun(99)
    journal.create(record, request)
    assert journal.get(intent(99)) == record
    journal.close()
    put_back.unregister()
