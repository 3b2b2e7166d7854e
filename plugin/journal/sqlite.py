"""The journal on disk: SQLite through apsw, durable at every commit (reliability, 4.8).

One process and one connection; write-ahead log with a full sync, so that what `commit`
returned from survives the power. Personal parts are sealed, and every row carries a code
over all its columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import apsw

from plugin.activation.saga import Activation
from plugin.journal import entries
from plugin.journal.entries import Entry
from plugin.journal.port import (
    CardInHandError,
    JournalDamagedError,
    JournalError,
    JournalInUseError,
    Request,
    StaleRecordError,
)
from plugin.privacy import Keys, SealBrokenError

SCHEMA_VERSION = 1
_SETTINGS = (
    "PRAGMA locking_mode=EXCLUSIVE",  # first: then the log needs no shared memory file
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA fullfsync=ON",
    "PRAGMA foreign_keys=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
    "PRAGMA mmap_size=0",
    "PRAGMA secure_delete=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA wal_autocheckpoint=256",
    "PRAGMA journal_size_limit=4194304",
)
_SCHEMA = f"""
CREATE TABLE activations (
    number INTEGER PRIMARY KEY,
    intent_id TEXT NOT NULL UNIQUE,
    transaction_id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    card_ref TEXT,
    clear BLOB NOT NULL,
    sealed BLOB NOT NULL,
    mac BLOB NOT NULL
) STRICT;
CREATE INDEX activations_of_card ON activations (card_ref, number);
CREATE INDEX activations_unfinished ON activations (number)
    WHERE state NOT IN ('ACTIVE', 'REJECTED', 'ABANDONED');
CREATE UNIQUE INDEX one_in_doubt_of_a_card ON activations (card_ref)
    WHERE state IN ('SENDING', 'UNKNOWN', 'MANUAL');
CREATE TABLE requests (
    client_id TEXT NOT NULL,
    key_digest TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    mac BLOB NOT NULL,
    PRIMARY KEY (client_id, key_digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA user_version = {SCHEMA_VERSION};
"""
_COLUMNS = "intent_id, transaction_id, state, version, card_ref, clear, sealed, mac"
_SELECT = f"SELECT {_COLUMNS} FROM activations"  # noqa: S608 - a constant
_INSERT = f"INSERT INTO activations ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_UPDATE = (
    "UPDATE activations SET state = ?, version = ?, card_ref = ?, clear = ?, sealed = ?,"
    " mac = ? WHERE intent_id = ? AND version = ?"
)
_UNFINISHED = " WHERE state NOT IN ('ACTIVE', 'REJECTED', 'ABANDONED') ORDER BY number"
Row = tuple[str, str, str, int, str | None, bytes, bytes, bytes]


class SqliteJournal:
    """Owned by one thread after it was opened.

    Raises JournalInUseError when another process has it, JournalDamagedError when a row
    was changed outside, JournalError when the disk refuses.
    """

    def __init__(self, path: Path, keys: Keys) -> None:
        self._keys = keys
        with _errors_as_ours():
            self._connection = apsw.Connection(str(path))
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        connection = self._connection
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        connection.set_busy_timeout(0)
        for setting in _SETTINGS:
            connection.execute(setting).fetchall()
        with connection:
            found = connection.pragma("user_version")
            if found == 0:
                connection.execute(_SCHEMA)
            elif found != SCHEMA_VERSION:
                raise JournalError(f"the journal has version {found}")

    def create(self, activation: Activation, request: Request) -> None:
        """A new activation and the request that asked for it, in one commit."""
        entry = entries.encode(activation)
        sealed, mac = self._protected(entry)
        row: Row = (
            entry.intent_id,
            entry.transaction_id,
            entry.state,
            entry.version,
            entry.card_ref,
            entry.clear,
            sealed,
            mac,
        )
        with self._commit() as connection:
            connection.execute(_INSERT, row)
            self._insert(connection, request)

    def remember(self, request: Request) -> None:
        """A request that created nothing durable."""
        with self._commit() as connection:
            self._insert(connection, request)

    def _insert(self, connection: apsw.Connection, request: Request) -> None:
        digest = self._keys.digest("request", request.key)
        columns = (
            request.client_id,
            digest,
            request.fingerprint,
            request.transaction_id,
        )
        mac = self._keys.mac(entries.canonical_json(columns))
        connection.execute(
            "INSERT INTO requests VALUES (?, ?, ?, ?, ?)", (*columns, mac)
        )

    def request(self, client_id: str, key: str) -> Request | None:
        """What this key was used for before."""
        digest = self._keys.digest("request", key)
        found = self._rows(
            "SELECT fingerprint, transaction_id, mac FROM requests"
            " WHERE client_id = ? AND key_digest = ?",
            (client_id, digest),
        )
        for fingerprint, transaction_id, mac in found:
            columns = (client_id, digest, fingerprint, transaction_id)
            if self._keys.mac(entries.canonical_json(columns)) != mac:
                raise JournalDamagedError("a request was changed outside")
            return Request(
                client_id=client_id,
                key=key,
                fingerprint=str(fingerprint),
                transaction_id=str(transaction_id),
            )
        return None

    def save(self, activation: Activation) -> Activation:
        """Replace the record of the same intent and version."""
        saved = replace(activation, version=activation.version + 1)
        entry = entries.encode(saved)
        sealed, mac = self._protected(entry)
        with self._commit() as connection:
            connection.execute(
                _UPDATE,
                (
                    entry.state,
                    entry.version,
                    entry.card_ref,
                    entry.clear,
                    sealed,
                    mac,
                    entry.intent_id,
                    activation.version,
                ),
            )
            if connection.changes() != 1:
                raise StaleRecordError(entry.intent_id)
        return saved

    def get(self, intent_id: str) -> Activation | None:
        """The record of this intent."""
        return next(self._activations(" WHERE intent_id = ?", intent_id), None)

    def of_transaction(self, transaction_id: str) -> Activation | None:
        """The record that this transaction began."""
        return next(
            self._activations(" WHERE transaction_id = ?", transaction_id), None
        )

    def of_card(self, card_ref: str) -> tuple[Activation, ...]:
        """Every record of this card, the oldest first."""
        return tuple(self._activations(" WHERE card_ref = ? ORDER BY number", card_ref))

    def unfinished(self) -> tuple[Activation, ...]:
        """Every record that is not terminal, the oldest first."""
        return tuple(self._activations(_UNFINISHED))

    def recent(self, limit: int) -> tuple[Activation, ...]:
        """The last records, the newest first."""
        return tuple(self._activations(" ORDER BY number DESC LIMIT ?", limit))

    def reserve(self, counter: str, amount: int) -> int:
        """Take `amount` numbers that nobody had before."""
        with self._commit() as connection:
            last = connection.execute(
                "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name)"
                " DO UPDATE SET last = last + excluded.last RETURNING last",
                (counter, amount),
            ).fetchall()[0][0]
        return int(str(last)) - amount + 1

    def close(self) -> None:
        """Give the journal back."""
        self._connection.close()

    def _protected(self, entry: Entry) -> tuple[bytes, bytes]:
        """The sealed personal part, and the code over the whole row."""
        sealed = self._keys.seal(entry.personal, entry.intent_id.encode())
        return sealed, self._keys.mac(entry.signed_content(sealed))

    def _activations(self, where: str, *values: str | int) -> Iterator[Activation]:
        for row in self._rows(_SELECT + where, values):
            yield self._activation(row)

    def _activation(self, row: tuple[apsw.SQLiteValue, ...]) -> Activation:
        intent_id, transaction_id, state, version, card_ref, clear, sealed, mac = row
        try:
            assert isinstance(clear, bytes) and isinstance(sealed, bytes)  # noqa: S101, PT018
            entry = Entry(
                intent_id=str(intent_id),
                transaction_id=str(transaction_id),
                state=str(state),
                version=int(str(version)),
                card_ref=None if card_ref is None else str(card_ref),
                clear=clear,
                personal=self._keys.open(sealed, str(intent_id).encode()),
            )
            if self._keys.mac(entry.signed_content(sealed)) != mac:
                raise JournalDamagedError("a row was changed outside")
            return entries.decode(entry)
        except (SealBrokenError, ValueError, KeyError, TypeError) as broken:
            raise JournalDamagedError("a row was changed outside") from broken

    def _rows(
        self, query: str, values: tuple[str | int, ...]
    ) -> list[tuple[apsw.SQLiteValue, ...]]:
        with _errors_as_ours():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _commit(self) -> Iterator[apsw.Connection]:
        with _errors_as_ours(), self._connection:
            yield self._connection


@contextmanager
def _errors_as_ours() -> Iterator[None]:
    try:
        yield
    except apsw.ConstraintError as refused:
        if "one_in_doubt_of_a_card" in str(refused) or "card_ref" in str(refused):
            raise CardInHandError(str(refused)) from refused
        raise JournalError(str(refused)) from refused
    except (apsw.BusyError, apsw.LockedError) as taken:
        raise JournalInUseError(str(taken)) from taken
    except (apsw.NotADBError, apsw.CorruptError) as damaged:
        raise JournalDamagedError(str(damaged)) from damaged
    except apsw.Error as failed:
        raise JournalError(str(failed)) from failed
