"""J8: an upgrade that is killed, or loses its power, at any point."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from functools import cache
from random import Random

import apsw
import pytest
from msgspec.structs import replace

from plugin.journal.layout import SCHEMA_VERSION, SCHEMAS
from plugin.journal.port import JournalError
from tests.power.disk import Disk, Image, cuts
from tests.power.test_failing_disks import Failing
from tests.power.work import (
    PATH,
    STORED,
    Contents,
    contents,
    filled,
    open_on,
    states,
)

EARLIER = range(1, SCHEMA_VERSION)
TORN_SINCE = 2
SEED = 4  # with a record in every state
_COLUMNS = {"counters": "name, last"}  # of an earlier version; of the others all


@cache
def of_version(version: int) -> tuple[Image, Contents]:
    """The closed file of an earlier version, and what it holds."""
    image, held = filled(60, seed=SEED)
    now, earlier = Disk(image), Disk()
    source = apsw.Connection(str(PATH), vfs=now.name)
    raw = apsw.Connection(str(PATH), vfs=earlier.name)
    for setting in ("locking_mode=EXCLUSIVE", "journal_mode=WAL"):
        source.execute(f"PRAGMA {setting}").fetchall()
        raw.execute(f"PRAGMA {setting}").fetchall()
    for schema in SCHEMAS[:version]:
        raw.execute(schema)
    for table in ("unfinished", "finished", "requests", "counters", "torn"):
        if table == "torn" and version < TORN_SINCE:
            continue
        columns = _COLUMNS.get(table, "*")
        for row in source.execute(f"SELECT {columns} FROM {table}"):  # noqa: S608
            marks = ", ".join("?" * len(row))
            raw.execute(f"INSERT INTO {table} VALUES ({marks})", row)  # noqa: S608
    raw.pragma("user_version", version)
    source.close()
    raw.close()
    if version < TORN_SINCE:
        held = replace(held, torn={})
    return earlier.seen(), held


def judge(image: Image, version: int, held: Contents, where: str) -> int:
    """One version or the other, whole; and the new one opens it. Returns which it was."""
    found, schema = _version(image)
    assert found in (version, SCHEMA_VERSION), f"{where}: version {found}"
    assert schema == _schema(found), f"{where}: the schema is not that of {found}"
    disk = Disk(image)
    journal = open_on(disk)
    assert contents(journal, held) == held, where
    for name, last in held.counters.items():
        assert journal.reserve(name, 1) == last + 1, where
    journal.close()
    disk.unregister()
    return found


def _version(image: Image) -> tuple[int, list[str]]:
    disk = Disk(image)
    raw = apsw.Connection(str(PATH), vfs=disk.name)
    raw.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
    found = raw.pragma("user_version"), _tables(raw)
    raw.close()
    disk.unregister()
    return found


@cache
def _schema(version: int) -> list[str]:
    raw = apsw.Connection(":memory:")
    for schema in SCHEMAS[:version]:
        raw.execute(schema)
    return _tables(raw)


def _tables(raw: apsw.Connection) -> list[str]:
    return [
        str(sql)
        for (sql,) in raw.execute(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"
        )
    ]


@pytest.mark.parametrize("version", EARLIER)
def test_an_earlier_version_is_taken_on_with_all_it_holds(version: int) -> None:
    image, held = of_version(version)
    assert states(held) == STORED
    assert judge(image, version, held, "as it was") == version
    disk = Disk(image)
    open_on(disk).close()

    assert judge(disk.seen(), version, held, "taken on") == SCHEMA_VERSION
    disk.unregister()


@pytest.mark.parametrize("version", EARLIER)
def test_j8_an_upgrade_may_lose_its_power_at_any_order(version: int) -> None:
    image, held = of_version(version)
    disk = Disk(image)
    first = len(disk.orders)
    open_on(disk).close()
    places = [place for place in range(first, len(disk.orders) + 1) for _ in range(12)]

    found = {
        judge(left, version, held, f"after order {place}")
        for place, left in zip(
            places, cuts(disk.orders, places, Random(version)), strict=True
        )
    }

    disk.unregister()
    assert found == {version, SCHEMA_VERSION}


@pytest.mark.parametrize("version", EARLIER)
@pytest.mark.parametrize("call", ["write", "sync", "open", "delete"])
def test_an_upgrade_may_be_killed_at_any_call_to_the_disk(
    version: int, call: str
) -> None:
    image, held = of_version(version)
    at, failing = 0, None
    while failing is None or failing.refused:
        at += 1
        disk = Disk(image)
        disk.fails = failing = Failing(call, apsw.SQLITE_IOERR, at, more=10_000)
        with suppress(JournalError):
            open_on(disk).close()
        judge(disk.seen(), version, held, f"{call} {at}")
        disk.unregister()
    assert at > 1


class _KilledError(BaseException):
    """The process dies here."""


class Killing:
    """The process dies before its n-th statement: what it still does reaches no disk."""

    def __init__(self, disk: Disk, at: int) -> None:
        self.disk = disk
        self.at = at
        self.statements: list[str] = []
        self.dying = ExitStack()

    def __call__(self, connection: apsw.Connection) -> None:
        connection.exec_trace = self._before

    def _before(self, cursor: object, statement: str, values: object) -> bool:
        self.statements.append(statement)
        if len(self.statements) == self.at:
            self.dying.enter_context(self.disk.dying())
            raise _KilledError
        return True


@pytest.mark.parametrize("version", EARLIER)
def test_an_upgrade_may_be_killed_before_any_statement(
    version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, held = of_version(version)
    statements: list[str] = []

    for at in range(1, 1_000):
        disk = Disk(image)
        killing = Killing(disk, at)
        with monkeypatch.context() as hooked, suppress(_KilledError), killing.dying:
            hooked.setattr(apsw, "connection_hooks", [killing])
            open_on(disk).close()
        judge(disk.seen(), version, held, f"before statement {at}")
        disk.unregister()
        if len(killing.statements) < at:
            statements = killing.statements
            break

    assert any("ALTER TABLE" in each for each in statements)
    assert len(statements) > 20
