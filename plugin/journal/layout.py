"""What lies in the journal's file: its tables, the statements over them, and what makes their
rows sound.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw
from msgspec.msgpack import encode as packed

from plugin.activation.saga import TERMINAL, Activation
from plugin.journal import entries
from plugin.journal.entries import Entry
from plugin.journal.port import AGE, JournalDamagedError
from plugin.privacy import Keys, SealBrokenError

_READ_ONLY = apsw.SQLITE_OPEN_READONLY

_TABLE = """
CREATE TABLE {name} (
    number INTEGER PRIMARY KEY,
    intent_id TEXT NOT NULL,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    card_ref TEXT,
    clear BLOB NOT NULL,
    sealed BLOB NOT NULL,
    mac BLOB NOT NULL
) STRICT;
"""
# What is unfinished is little, and lies together: found at once after a start, looked
# through for a card without an index, and written with few pages.
_FIRST = f"""
{_TABLE.format(name="unfinished")}
{_TABLE.format(name="finished")}
CREATE INDEX finished_of_card ON finished (card_ref) WHERE card_ref IS NOT NULL;
CREATE TABLE requests (
    client_id TEXT NOT NULL,
    key_digest BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    transaction_id TEXT NOT NULL,
    mac BLOB NOT NULL,
    PRIMARY KEY (client_id, key_digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""
_SECOND = """
CREATE TABLE torn (
    number INTEGER PRIMARY KEY,
    card_ref TEXT NOT NULL UNIQUE,
    step TEXT NOT NULL,
    time TEXT NOT NULL,
    life TEXT NOT NULL,
    mac BLOB NOT NULL
) STRICT;
"""
_THIRD = "ALTER TABLE counters ADD COLUMN mac BLOB"
SCHEMAS = (_FIRST, _SECOND, _THIRD)  # each takes a journal to the next version
SCHEMA_VERSION = len(SCHEMAS)
_COLUMNS = "intent_id, state, version, card_ref, clear, sealed, mac"
FROM = {
    name: f"SELECT {_COLUMNS} FROM {name}"  # noqa: S608 - constants
    for name in ("unfinished", "finished")
}
LAST = (
    "WHERE number IN"
    " (SELECT number FROM {} WHERE number < ? ORDER BY number DESC LIMIT ?)"
)
AFTER_ALL = (1 << 63) - 1
BEGIN = "INSERT INTO unfinished VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
GO_ON = (
    "UPDATE unfinished SET state = ?, version = ?, card_ref = ?, clear = ?, sealed = ?,"
    " mac = ? WHERE number = ? AND version = ?"
)
LEAVE = "DELETE FROM unfinished WHERE number = ? AND version = ?"
END = "INSERT INTO finished VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
LATER = (
    f"SELECT number, {_COLUMNS} FROM finished WHERE number > ? ORDER BY number LIMIT ?"  # noqa: S608 - constants
)
REPLACE = (
    "UPDATE finished SET state = ?, version = ?, card_ref = ?, clear = ?, sealed = ?,"
    " mac = ? WHERE number = ?"
)
AMEND = f"{REPLACE} AND version = ?"
REMOVE = "DELETE FROM finished WHERE number = ?"
LATER_REQUESTS = (
    "SELECT client_id, key_digest, fingerprint, transaction_id, mac FROM requests"
    " WHERE (client_id, key_digest) > (?, ?) ORDER BY client_id, key_digest LIMIT ?"
)
HAS_RECORD = (
    "SELECT 1 FROM unfinished WHERE number = ?1"
    " UNION ALL SELECT 1 FROM finished WHERE number = ?1"
)
REMOVE_REQUEST = "DELETE FROM requests WHERE client_id = ? AND key_digest = ?"
TEAR = "INSERT OR REPLACE INTO torn VALUES (NULL, ?, ?, ?, ?, ?)"
FORGET_TORN = (
    "DELETE FROM torn WHERE number NOT IN"
    " (SELECT number FROM torn ORDER BY number DESC LIMIT ?)"
)
COUNTED = "SELECT last, mac FROM counters WHERE name = ?"
COUNT = (
    "INSERT INTO counters VALUES (?, ?, ?) ON CONFLICT (name)"
    " DO UPDATE SET last = excluded.last, mac = excluded.mac"
)
# Rows whose last column is a code over all the others.
_SIGNED = (
    "SELECT client_id, key_digest, fingerprint, transaction_id, mac FROM requests",
    "SELECT card_ref, step, time, life, mac FROM torn",
    "SELECT name, last, mac FROM counters",
)
_ALWAYS_CHECKED = ("unfinished",), _SIGNED[1:]
CHECKED_WHOLE = 64 << 20  # bytes: some fifty thousand activations, within a second
IN_HAND = "SELECT 1 FROM unfinished WHERE card_ref = ? AND number <> ?"


def schema(connection: apsw.Connection) -> list[tuple[apsw.SQLiteValue, ...]]:
    """What this file says it holds."""
    return connection.execute("SELECT name, sql FROM sqlite_schema").fetchall()


def schema_of_this_version() -> list[tuple[apsw.SQLiteValue, ...]]:
    """What it must say."""
    with closing(apsw.Connection(":memory:")) as empty:
        for statements in SCHEMAS:
            empty.execute(statements)
        return schema(empty)


def is_small(connection: apsw.Connection) -> bool:
    """Whether every row can be checked at each start."""
    pages, size = (connection.pragma(f"page_{of}") for of in ("count", "size"))
    return bool(pages * size <= CHECKED_WHOLE)


def check(connection: apsw.Connection, keys: Keys, *, whole: bool) -> None:
    """Every row, and that it lies where it will be looked for: a key that was changed
    hides its row, which no reader of that row could notice. About 12 microseconds a
    row; so of a large journal, not `whole`, what is unfinished, torn and counted, and the
    rest as it is read and with every copy. Raises JournalDamagedError."""
    execute = connection.execute
    tables, signed = (tuple(FROM), _SIGNED) if whole else _ALWAYS_CHECKED
    pages = "integrity_check(1)" if whole else "quick_check(unfinished)"
    for (found,) in execute(f"PRAGMA {pages}"):
        if found != "ok":
            raise JournalDamagedError("the file is damaged")
    for table in tables:
        for number, *columns in execute(f"SELECT number, {_COLUMNS} FROM {table}"):  # noqa: S608 - constants
            intent_id, state, mac = str(columns[0]), str(columns[1]), columns.pop()
            if keys.mac(packed(columns)) != mac:
                raise JournalDamagedError("a row was changed outside")
            ended = state in TERMINAL
            if number != number_of(intent_id) or ended != (table == "finished"):
                raise JournalDamagedError("a row was moved outside")
    for query in signed:
        for *columns, mac in execute(query):
            if keys.mac(packed(columns)) != mac:
                raise JournalDamagedError("a row was changed outside")


def is_sound(path: Path, keys: Keys) -> bool:
    """Whether a copy of a journal is whole: every page, every index and every row."""
    try:
        with closing(apsw.Connection(str(path), flags=_READ_ONLY)) as copy:
            if copy.pragma("user_version") != SCHEMA_VERSION:
                return False
            check(copy, keys, whole=True)
    except (apsw.Error, JournalDamagedError, UnicodeDecodeError):
        return False
    return True


def age_of(path: Path, keys: Keys) -> int | None:
    """The AGE of a journal when it was copied to this file; None where nobody can say."""
    try:
        with closing(apsw.Connection(str(path), flags=_READ_ONLY)) as copy:
            for last, mac in copy.execute(COUNTED, (AGE,)):
                signed = keys.mac(packed((AGE, last))) == mac
                return int(str(last)) if signed else None
    except apsw.Error:
        return None
    return 0


def activation_of(row: tuple[apsw.SQLiteValue, ...], keys: Keys) -> Activation:
    """The record of a row, from its intent to its code. Raises JournalDamagedError."""
    intent_id, state, version, card_ref, clear, sealed, mac = row
    try:
        assert isinstance(clear, bytes)  # noqa: S101 - the table is STRICT
        assert isinstance(sealed, bytes)  # noqa: S101
        context = str(intent_id).encode()
        entry = Entry(
            intent_id=str(intent_id),
            state=str(state),
            version=int(str(version)),
            card_ref=None if card_ref is None else str(card_ref),
            clear=clear,
            personal=keys.open(sealed, context) if sealed else b"",
        )
        if keys.mac(entry.signed_content(sealed)) != mac:
            raise JournalDamagedError("a row was changed outside")
        return entries.decode(entry)
    except (SealBrokenError, ValueError) as broken:
        raise JournalDamagedError("a row was changed outside") from broken


def number_of(intent_id: str) -> int:
    """The row of an intent: the first half of its UUID, which begins with the time, so
    that rows lie in the order they came and need no second index."""
    return int(intent_id.replace("-", "")[:16] or "0", 16) & (1 << 63) - 1


def place(activation: Activation) -> int:
    """The row of a record."""
    return number_of(activation.origin.intent_id)
