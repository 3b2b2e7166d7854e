"""What can still be read of a journal's file. Reads copies only: a damaged file is evidence.

A page that cannot be read costs the rows on it. SQLite stops at such a page, so the rows are
read forwards as far as it goes and backwards as far as it goes; and what lies between two
such pages is asked for by its number, which the index and the requests know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path

import apsw
from msgspec import Struct
from msgspec.msgpack import encode as packed
from msgspec.structs import replace

from plugin.activation.saga import TERMINAL, intent_of
from plugin.journal.layout import activation_of, number_of
from plugin.journal.port import JournalDamagedError
from plugin.journal.salvage import Columns, Remains, Row
from plugin.privacy import Keys

Told = Callable[[int], None]
_SETTINGS = (
    "PRAGMA writable_schema=ON",  # a table that cannot be understood hides no other
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=OFF",
    "PRAGMA mmap_size=0",
)
_UNREADABLE = (apsw.Error, UnicodeDecodeError, OverflowError)
_TOLD_EVERY = 1_000  # rows
_FIRST_PAGE = 4_096  # bytes
_BLOBS = {"key_digest", "fingerprint", "clear", "sealed", "mac"}
_NUMBERS = {"number", "version", "last"}


class _Table(Struct, frozen=True):
    """A table whose last column is the code over those from `signed_from` on; its rows lie
    in the order of the first `key` columns."""

    name: str
    columns: tuple[str, ...]
    key: int = 1
    signed_from: int = 0

    @property
    def select(self) -> str:
        """Text as bytes: text that is none would end the reading."""
        plain = _BLOBS | _NUMBERS
        said = (
            each if each in plain else f"CAST({each} AS BLOB)" for each in self.columns
        )
        return f"SELECT {', '.join(said)} FROM {self.name}"  # noqa: S608 - constants

    def order(self, direction: str) -> str:
        """How its rows lie, or the other way round."""
        by = ", ".join(f"{each} {direction}" for each in self.columns[: self.key])
        return f"{self.select} ORDER BY {by}"


_RECORD = (
    *("number", "intent_id", "state", "version", "card_ref", "clear", "sealed", "mac"),
)
_RECORDS = (
    _Table("unfinished", _RECORD, signed_from=1),
    _Table("finished", _RECORD, signed_from=1),  # last: of a record in both it is right
)
_REQUESTS = _Table(
    "requests",
    ("client_id", "key_digest", "fingerprint", "transaction_id", "mac"),
    key=2,
)
_TORN = _Table(
    "torn", ("number", "card_ref", "step", "time", "life", "mac"), signed_from=1
)
_COUNTERS = _Table("counters", ("name", "last", "mac"))
_IN_THE_INDEX = "SELECT number FROM finished WHERE card_ref > '' ORDER BY card_ref"


def read(path: Path, keys: Keys, told: Told, *, made: str, is_copy: bool) -> Remains:
    """All that can be read of this file, which is worked on. `told` hears now and then how
    many rows there are."""
    with closing(_Reading(path, keys, told)) as reading:
        return replace(reading.remains(), made=made, is_copy=is_copy)


def put_first_page(path: Path, page: bytes) -> None:
    """Give this file the first page of another journal. It says where everything lies, and
    in every journal of one version that is the same; what it says of the file's size is
    made invalid, so that SQLite looks for itself."""
    changed = bytearray(page[:_FIRST_PAGE])
    changed[32:40] = bytes(8)  # no free pages
    changed[92:96] = bytes(byte ^ 0xFF for byte in changed[24:28])
    with path.open("r+b") as file:
        file.write(changed)


class _Reading:
    """One reading of one file."""

    def __init__(self, path: Path, keys: Keys, told: Told) -> None:
        self._keys = keys
        self._told = told
        self._connection = apsw.Connection(str(path))
        self._count = 0
        self._broken: set[str] = set()  # tables that could not be read to the end
        self._hurt: set[str] = set()  # tables of which something was not read
        self._read: set[str] = set()  # tables of which something was
        self._mentioned = True  # every record that ever began is, as far as is known
        self._changed: set[int] = set()  # numbers of records that were changed outside

    def close(self) -> None:
        """Put it away."""
        self._connection.close()

    def remains(self) -> Remains:
        """Everything."""
        for setting in _SETTINGS:
            with suppress(*_UNREADABLE):
                self._connection.execute(setting).fetchall()
        requests = {row[:2]: row for row in self._rows(_REQUESTS)}
        found: dict[int, Row] = {}
        for table in _RECORDS:
            found |= self._records(table, self._rows(table))
        whole = self._broken.isdisjoint(table.name for table in _RECORDS)
        known = self._changed | self._known(requests.values())
        for table in _RECORDS:
            found |= self._records(table, self._asked_for(table, known - found.keys()))
        return Remains(
            records=found,
            requests=requests,
            torn={row[1:2]: row[1:] for row in self._rows(_TORN)},
            counters={str(row[0]): int(str(row[1])) for row in self._rows(_COUNTERS)},
            missing=frozenset(known - found.keys()),
            broken=not whole and not self._mentioned,
            hurt=bool(self._hurt),
            hidden=bool(self._hurt - self._read),
        )

    def _rows(self, table: _Table) -> list[Columns]:
        """Those whose code is right: forwards, and backwards if that breaks off."""
        found = self._until_it_breaks(table, table.order("ASC"))
        if table.name in self._broken:
            backwards = self._until_it_breaks(table, table.order("DESC"))
            found = list(dict.fromkeys((*found, *reversed(backwards))))
        return found

    def _until_it_breaks(
        self, table: _Table, query: str, values: Columns = ()
    ) -> list[Columns]:
        found: list[Columns] = []
        try:
            for row in self._connection.execute(query, values):
                self._take(table, row, found)
        except _UNREADABLE:
            self._broken.add(table.name)
            self._hurt.add(table.name)
        return found

    def _take(self, table: _Table, row: Columns, found: list[Columns]) -> None:
        self._count += 1
        if self._count % _TOLD_EVERY == 0:
            self._told(self._count)
        if (genuine := self._genuine(table, row)) is not None:
            found.append(genuine)
            self._read.add(table.name)
            return
        self._hurt.add(table.name)
        if table in _RECORDS and isinstance(row[0], int):
            self._changed.add(row[0])

    def _genuine(self, table: _Table, row: Columns) -> Columns | None:
        try:
            columns = tuple(
                value.decode()
                if isinstance(value, bytes) and name not in _BLOBS
                else value
                for name, value in zip(table.columns, row, strict=True)
            )
        except UnicodeDecodeError:
            return None
        signed = columns[table.signed_from :]
        return columns if self._keys.mac(packed(signed[:-1])) == signed[-1] else None

    def _records(self, table: _Table, rows: Iterable[Columns]) -> dict[int, Row]:
        """Those that lie where they belong."""
        found = {}
        for row in rows:
            number, intent_id, state, version, card_ref = row[:5]
            assert isinstance(number, int)  # noqa: S101 - it is the row's own key
            assert isinstance(version, int)  # noqa: S101 - its code is right
            ended = state in TERMINAL
            belongs = number == number_of(str(intent_id))
            if not belongs or ended != (table.name == "finished"):
                self._changed.add(number)
                continue
            try:
                record = None if ended else activation_of(row[1:], self._keys)
            except JournalDamagedError:
                self._changed.add(number)
                continue
            found[number] = Row(
                number=number,
                state=str(state),
                version=version,
                card_ref=None if card_ref is None else str(card_ref),
                columns=row,
                record=record,
            )
        return found

    def _known(self, requests: Iterable[Columns]) -> set[int]:
        """The numbers of records that are mentioned elsewhere."""
        known = set()
        with suppress(*_UNREADABLE):
            for (number,) in self._connection.execute(_IN_THE_INDEX):
                known.add(int(str(number)))
        for request in requests:
            try:
                known.add(number_of(intent_of(str(request[3]))))
            except ValueError:
                self._mentioned = False
        self._mentioned &= "requests" not in self._broken
        return known

    def _asked_for(self, table: _Table, numbers: set[int]) -> list[Columns]:
        """What lies between two pages that cannot be read."""
        query = f"{table.select} WHERE number = ?"
        return [
            row
            for number in sorted(numbers)
            for row in self._until_it_breaks(table, query, (number,))
        ]
