"""The journal on disk: SQLite through apsw, durable at every commit (reliability, 4.8).

One process and one connection; write-ahead log with a full sync, so that what `commit`
returned from survives the power. Personal parts are sealed, and every row carries a code
over all its columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from time import perf_counter
from types import TracebackType

import apsw
from msgspec.msgpack import encode as packed
from msgspec.structs import replace

from plugin.activation.saga import TERMINAL, Activation, intent_of
from plugin.journal import entries
from plugin.journal.entries import Entry
from plugin.journal.port import (
    AGE,
    REMOVED,
    TORN_MAX,
    CardInHandError,
    JournalDamagedError,
    JournalError,
    JournalInUseError,
    Judge,
    Request,
    Reviewed,
    StaleRecordError,
    Torn,
)
from plugin.journal.salvage import Plan
from plugin.privacy import Keys, SealBrokenError

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
    "PRAGMA wal_autocheckpoint=1000",
    "PRAGMA journal_size_limit=4194304",
)
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
_SCHEMAS = (_FIRST, _SECOND, _THIRD)  # each takes a journal to the next version
SCHEMA_VERSION = len(_SCHEMAS)
_COLUMNS = "intent_id, state, version, card_ref, clear, sealed, mac"
_FROM = {
    name: f"SELECT {_COLUMNS} FROM {name}"  # noqa: S608 - constants
    for name in ("unfinished", "finished")
}
_LAST = (
    "WHERE number IN"
    " (SELECT number FROM {} WHERE number < ? ORDER BY number DESC LIMIT ?)"
)
_AFTER_ALL = (1 << 63) - 1
_BEGIN = "INSERT INTO unfinished VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_GO_ON = (
    "UPDATE unfinished SET state = ?, version = ?, card_ref = ?, clear = ?, sealed = ?,"
    " mac = ? WHERE number = ? AND version = ?"
)
_LEAVE = "DELETE FROM unfinished WHERE number = ? AND version = ?"
_END = "INSERT INTO finished VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_LATER = (
    f"SELECT number, {_COLUMNS} FROM finished WHERE number > ? ORDER BY number LIMIT ?"  # noqa: S608 - constants
)
_REPLACE = (
    "UPDATE finished SET state = ?, version = ?, card_ref = ?, clear = ?, sealed = ?,"
    " mac = ? WHERE number = ?"
)
_AMEND = f"{_REPLACE} AND version = ?"
_REMOVE = "DELETE FROM finished WHERE number = ?"
_LATER_REQUESTS = (
    "SELECT client_id, key_digest, fingerprint, transaction_id, mac FROM requests"
    " WHERE (client_id, key_digest) > (?, ?) ORDER BY client_id, key_digest LIMIT ?"
)
_HAS_RECORD = (
    "SELECT 1 FROM unfinished WHERE number = ?1"
    " UNION ALL SELECT 1 FROM finished WHERE number = ?1"
)
_REMOVE_REQUEST = "DELETE FROM requests WHERE client_id = ? AND key_digest = ?"
_TEAR = "INSERT OR REPLACE INTO torn VALUES (NULL, ?, ?, ?, ?, ?)"
_FORGET_TORN = (
    "DELETE FROM torn WHERE number NOT IN"
    " (SELECT number FROM torn ORDER BY number DESC LIMIT ?)"
)
_COUNTED = "SELECT last, mac FROM counters WHERE name = ?"
_COUNT = (
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
_WRITTEN_WITH_A_LOG = (
    b"\x02\x02"  # bytes 18 and 19 of the file: who may write, and read
)
_IN_HAND = "SELECT 1 FROM unfinished WHERE card_ref = ? AND number <> ?"


LOG_HEADER, FRAME_HEADER = 32, 24  # bytes (SQLite file format, 4.1 and 4.2)
AT_ONCE = 64 << 10  # bytes; SQLite's own disk writes less than 128 KiB at a time
PAGES_AT_ONCE = 256  # a megabyte: what a step of a copy costs the till
ROWS_AT_ONCE = 16  # of a review: one or two milliseconds


def _schema(connection: apsw.Connection) -> list[tuple[apsw.SQLiteValue, ...]]:
    return connection.execute("SELECT name, sql FROM sqlite_schema").fetchall()


def _schema_of_this_version() -> list[tuple[apsw.SQLiteValue, ...]]:
    with closing(apsw.Connection(":memory:")) as empty:
        for schema in _SCHEMAS:
            empty.execute(schema)
        return _schema(empty)


def _is_small(connection: apsw.Connection) -> bool:
    pages, size = (connection.pragma(f"page_{of}") for of in ("count", "size"))
    return bool(pages * size <= CHECKED_WHOLE)


def check(connection: apsw.Connection, keys: Keys, *, whole: bool) -> None:
    """Every row, and that it lies where it will be looked for: a key that was changed
    hides its row, which no reader of that row could notice. About 12 microseconds a
    row; so of a large journal, not `whole`, what is unfinished, torn and counted, and the
    rest as it is read and with every copy. Raises JournalDamagedError."""
    execute = connection.execute
    tables, signed = (tuple(_FROM), _SIGNED) if whole else _ALWAYS_CHECKED
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
            for last, mac in copy.execute(_COUNTED, (AGE,)):
                signed = keys.mac(packed((AGE, last))) == mac
                return int(str(last)) if signed else None
    except apsw.Error:
        return None
    return 0


_READ_ONLY = apsw.SQLITE_OPEN_READONLY


class SqliteJournal:
    """Owned by one thread after it was opened.

    Raises JournalInUseError when another process has it, JournalDamagedError when a row
    was changed outside, JournalError when the disk refuses. After the disk has refused,
    what was asked may have happened or not; the next verb opens the file anew and reads
    what is there, and raises as long as the disk refuses that too.
    """

    def __init__(
        self,
        path: Path,
        keys: Keys,
        vfs: str | None = None,
        committed: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`vfs` names the disk, as SQLite knows it; the computer's own when it is None.
        `committed` hears how many seconds a commit took."""
        self.committed = committed
        self._keys = keys
        self._path = path
        self._vfs = vfs
        self._last_sealed = ("", b"", b"")
        self._trusted = True
        with _ErrorsAsOurs():
            self._connection = self._opened()

    def _opened(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path), vfs=self._vfs)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: apsw.Connection) -> None:
        """Nothing is written before everything was found in order: what is damaged stays
        as it is, its log too."""
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.set_busy_timeout(0)
        for setting in _SETTINGS:
            connection.execute(setting).fetchall()
        in_a_file = connection.pragma("journal_mode") == "wal"  # in memory is no log
        if in_a_file and connection.read("main", 0, 18, 2)[1] != _WRITTEN_WITH_A_LOG:
            raise JournalDamagedError("the file's header is damaged")
        with connection:
            try:
                self._bring_up_to_date(connection)
                check(connection, self._keys, whole=_is_small(connection))
            except apsw.SQLError as strange:  # a table or a column that is not there
                raise JournalDamagedError(str(strange)) from strange
            if in_a_file:
                self._write_log_anew()
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)

    def _bring_up_to_date(self, connection: apsw.Connection) -> None:
        found = connection.pragma("user_version")
        if found > SCHEMA_VERSION:
            ours = _schema(connection) == _schema_of_this_version()
            newer = JournalDamagedError if ours else JournalError
            raise newer(f"the journal has version {found}")
        for schema in _SCHEMAS[found:]:
            connection.execute(schema)
        if found < SCHEMA_VERSION:
            self._sign_counters(connection)
            connection.pragma("user_version", SCHEMA_VERSION)

    def _sign_counters(self, connection: apsw.Connection) -> None:
        """Before version 3 they had no code."""
        for name, last in connection.execute(
            "SELECT name, last FROM counters WHERE mac IS NULL"
        ).fetchall():
            mac = self._keys.mac(packed((name, last)))
            connection.execute(_COUNT, (name, last, mac))

    def _write_log_anew(self) -> None:
        """Once more what an earlier run left in the log, so that it is on the disk before
        anything is written behind it: if a sync failed then, what reads well now may be
        in memory only, and no later sync would write it. The lock is ours already."""
        with self._log() as log:
            size = log.xFileSize()
            for at in range(0, size, AT_ONCE):
                log.xWrite(log.xRead(min(AT_ONCE, size - at), at), at)
            if size:
                log.xSync(apsw.SQLITE_SYNC_FULL)

    @contextmanager
    def _log(self) -> Iterator[apsw.VFSFile]:
        """The log beside the file, opened as SQLite does; it is created, so that its sync
        is the folder's too."""
        as_sqlite_does = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE
        as_sqlite_does |= apsw.SQLITE_OPEN_CREATE
        log = apsw.VFSFile(self._vfs or "", f"{self._path}-wal", [as_sqlite_does, 0])
        try:
            yield log
        finally:
            log.xClose()

    def _trust_again(self) -> None:
        """Open the file anew if the last verb failed. Raises JournalError."""
        if not self._trusted:
            with suppress(apsw.ConnectionClosedError):  # the file was not opened since
                self._take_back()
            with suppress(apsw.Error):  # whatever it says, it is closed
                self._connection.close()
            self._connection = self._opened()
            self._trusted = True

    def _take_back(self) -> None:
        """Out of the log what the failed verb has left there unsynced, before somebody reads
        it: whoever was told that it failed has acted on that. The lock is still ours."""
        if self._connection.pragma("journal_mode") != "wal":
            return
        noop = apsw.SQLITE_CHECKPOINT_NOOP
        frames, _ = self._connection.wal_checkpoint(mode=noop)
        frame = FRAME_HEADER + self._connection.pragma("page_size")
        with self._log() as log:
            if log.xFileSize() > LOG_HEADER + frames * frame:
                log.xTruncate(LOG_HEADER + frames * frame)
                log.xSync(apsw.SQLITE_SYNC_FULL)

    def _distrust(self) -> None:
        """The disk has refused something: what is in memory may not be what is on it."""
        self._trusted = False

    def create(self, activation: Activation, request: Request) -> None:
        """A new activation and the request that asked for it, in one commit."""
        entry = entries.encode(activation)
        row = (number_of(entry.intent_id), entry.intent_id, *self._columns(entry))
        with _Commit(self):
            self._connection.execute(_BEGIN, row)
            self._insert(request)

    def remember(self, request: Request) -> None:
        """A request that created nothing durable."""
        with _Commit(self):
            self._insert(request)

    def _insert(self, request: Request) -> None:
        columns = (
            request.client_id,
            self._key_digest(request.key),
            bytes.fromhex(request.fingerprint),
            request.transaction_id,
        )
        mac = self._keys.mac(packed(columns))
        self._connection.execute(
            "INSERT INTO requests VALUES (?, ?, ?, ?, ?)", (*columns, mac)
        )

    def _key_digest(self, key: str) -> bytes:
        """A client may put anything into a key, so only its keyed hash is kept."""
        return bytes.fromhex(self._keys.digest("request", key))

    def request(self, client_id: str, key: str) -> Request | None:
        """What this key was used for before."""
        digest = self._key_digest(key)
        found = self._rows(
            "SELECT fingerprint, transaction_id, mac FROM requests"
            " WHERE client_id = ? AND key_digest = ?",
            (client_id, digest),
        )
        for fingerprint, transaction_id, mac in found:
            assert isinstance(fingerprint, bytes)  # noqa: S101 - the table is STRICT
            columns = (client_id, digest, fingerprint, str(transaction_id))
            if self._keys.mac(packed(columns)) != mac:
                raise JournalDamagedError("a request was changed outside")
            return Request(
                client_id=client_id,
                key=key,
                fingerprint=fingerprint.hex(),
                transaction_id=str(transaction_id),
            )
        return None

    def save(self, activation: Activation) -> Activation:
        """Replace the record of the same intent and version."""
        saved = replace(activation, version=activation.version + 1)
        if saved.state.is_terminal:
            saved = replace(saved, ended=self._counted(AGE))
        entry = entries.encode(saved)
        number, columns = number_of(entry.intent_id), self._columns(entry)
        with _Commit(self):
            if saved.state.is_terminal:
                self._connection.execute(_LEAVE, (number, activation.version))
            else:
                self._refuse_card_in_hand(number, entry.card_ref)
                self._connection.execute(_GO_ON, (*columns, number, activation.version))
            if not self._connection.changes():
                raise StaleRecordError(entry.intent_id)
            if saved.state.is_terminal:
                self._connection.execute(_END, (number, entry.intent_id, *columns))
        return saved

    def _refuse_card_in_hand(self, number: int, card_ref: str | None) -> None:
        for _ in self._connection.execute(_IN_HAND, (card_ref, number)):
            raise CardInHandError("the card is in another record")

    def amend(self, activation: Activation) -> Activation:
        """Replace a finished record."""
        amended = replace(activation, version=activation.version + 1)
        entry = entries.encode(amended)
        number, columns = number_of(entry.intent_id), self._columns(entry)
        with _Commit(self):
            self._connection.execute(_AMEND, (*columns, number, activation.version))
            if not self._connection.changes():
                raise StaleRecordError(entry.intent_id)
        return amended

    def get(self, intent_id: str) -> Activation | None:
        """The record of this intent."""
        place = "WHERE number = ?", number_of(intent_id)
        found = (each for table in _FROM for each in self._activations(table, *place))
        return next(
            (each for each in found if each.origin.intent_id == intent_id), None
        )

    def is_removed(self, intent_id: str) -> bool:
        """Whether it is as old as those that were removed."""
        removed = self._counted(REMOVED)
        return 0 < removed >= number_of(intent_id)

    def of_card(self, card_ref: str) -> tuple[Activation, ...]:
        """Every record of this card, the oldest first."""
        return tuple(self._everywhere("WHERE card_ref = ?", card_ref))

    def unfinished(self) -> tuple[Activation, ...]:
        """Every record that is not terminal, the oldest first."""
        return tuple(self._activations("unfinished", "ORDER BY number"))

    def recent(self, limit: int, before: str | None = None) -> tuple[Activation, ...]:
        """The last records, the newest first."""
        start = number_of(before) if before is not None else _AFTER_ALL
        found = [
            each
            for table in _FROM
            for each in self._activations(table, _LAST.format(table), start, limit)
        ]
        return tuple(sorted(found, key=_place, reverse=True)[:limit])

    def reserve(self, counter: str, amount: int) -> int:
        """Take `amount` numbers that nobody had before."""
        last = self._counted(counter)
        if not amount:
            return last + 1
        reserved = last + amount
        mac = self._keys.mac(packed((counter, reserved)))
        with _Commit(self):
            self._connection.execute(_COUNT, (counter, reserved, mac))
        return last + 1

    def _counted(self, counter: str) -> int:
        """The last number of this counter that was taken."""
        for last, mac in self._rows(_COUNTED, (counter,)):
            if self._keys.mac(packed((counter, last))) != mac:
                raise JournalDamagedError("a counter was changed outside")
            return int(str(last))
        return 0

    def tear(self, torn: Torn) -> None:
        """Note a card before it is asked."""
        columns = (torn.card_ref, torn.step, torn.time, torn.life)
        with _Commit(self):
            self._connection.execute(_TEAR, (*columns, self._keys.mac(packed(columns))))
            self._connection.execute(_FORGET_TORN, (TORN_MAX,))

    def torn(self, card_ref: str) -> Torn | None:
        """What was noted of this card."""
        query = "SELECT step, time, life, mac FROM torn WHERE card_ref = ?"
        for step, time, life, mac in self._rows(query, (card_ref,)):
            columns = (card_ref, str(step), str(time), str(life))
            if self._keys.mac(packed(columns)) != mac:
                raise JournalDamagedError("a torn change was changed outside")
            return Torn(
                card_ref=card_ref, step=columns[1], time=columns[2], life=columns[3]
            )
        return None

    def mend(self, card_ref: str) -> None:
        """The card has answered: forget it."""
        with _Commit(self):
            self._connection.execute("DELETE FROM torn WHERE card_ref = ?", (card_ref,))

    def fill(self, plan: Plan) -> None:
        """Write a salvaged journal into this empty one, in one commit."""
        with _Commit(self):
            put = self._connection.executemany
            put(_END, (each.columns for each in plan.rows if each.record is None))
            put(_BEGIN, (each.columns for each in plan.rows if each.record is not None))
            for doubtful in plan.doubtful:
                entry = entries.encode(doubtful)
                row = (number_of(entry.intent_id), entry.intent_id)
                self._connection.execute(_BEGIN, (*row, *self._columns(entry)))
            put("INSERT INTO requests VALUES (?, ?, ?, ?, ?)", plan.requests)
            put(_TEAR, plan.torn)
            self._connection.execute(_FORGET_TORN, (TORN_MAX,))
            for name, last in plan.counters.items():
                mac = self._keys.mac(packed((name, last)))
                self._connection.execute(_COUNT, (name, last, mac))

    def copy(self, path: Path) -> Iterator[None]:
        """Copy everything there, some pages at a step; what is written meanwhile comes
        along. Raises JournalError."""
        with _ErrorsAsOurs():
            target = apsw.Connection(str(path))
            try:
                with target.backup("main", self._connection, "main") as copying:
                    while not copying.done:
                        copying.step(PAGES_AT_ONCE)
                        yield
            finally:
                target.close()

    def review(self, judge: Judge) -> Iterator[Reviewed]:
        """Every finished record through `judge`, then the requests without a record, a
        commit a step; at last the log is emptied, which still has the pages as they were.
        A row that was changed outside is neither signed anew nor removed: raises
        JournalDamagedError."""
        yield from self._review_records(judge)
        yield from self._review_requests()
        with _Verb(self):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _review_records(self, judge: Judge) -> Iterator[Reviewed]:
        last = -1
        while rows := self._rows(_LATER, (last, ROWS_AT_ONCE)):
            found = [self._finished(*row) for row in rows]
            last = _place(found[-1])
            yield self._replace([(each, judge(each)) for each in found])

    def _finished(self, number: apsw.SQLiteValue, *row: apsw.SQLiteValue) -> Activation:
        """The record of a row, where it belongs."""
        record = activation_of(row, self._keys)
        if number != _place(record) or not record.state.is_terminal:
            raise JournalDamagedError("a row was moved outside")
        return record

    def _replace(self, judged: list[tuple[Activation, Activation | None]]) -> Reviewed:
        removed = [_place(record) for record, left in judged if left is None]
        replaced = [left for record, left in judged if left and left != record]
        before = sum(record.forgotten for record, left in judged if left)
        after = sum(left.forgotten for _, left in judged if left)
        further = max(removed, default=0) - self._counted(REMOVED)
        if further > 0:
            self.reserve(REMOVED, further)
        if removed or replaced:
            with _Commit(self):
                for number in removed:
                    self._connection.execute(_REMOVE, (number,))
                for left in replaced:
                    columns = self._columns(entries.encode(left))
                    self._connection.execute(_REPLACE, (*columns, _place(left)))
        return Reviewed(
            replaced=len(replaced), forgotten=after - before, removed=len(removed)
        )

    def _review_requests(self) -> Iterator[Reviewed]:
        """A request whose record is gone goes with it. One that is newer than all that was
        ever removed had its record lost by damage, and keeps its key."""
        removed = self._counted(REMOVED)
        last: tuple[apsw.SQLiteValue, ...] = ("", b"")
        while rows := self._rows(_LATER_REQUESTS, (*last, ROWS_AT_ONCE)):
            for *columns, mac in rows:
                if self._keys.mac(packed(columns)) != mac:
                    raise JournalDamagedError("a request was changed outside")
            last = rows[-1][:2]
            orphans = [
                (client, key)
                for client, key, _, transaction, _ in rows
                if self._is_orphan(number_of(intent_of(str(transaction))), removed)
            ]
            if orphans:
                with _Commit(self):
                    self._connection.executemany(_REMOVE_REQUEST, orphans)
            yield Reviewed(requests=len(orphans))

    def _is_orphan(self, number: int, removed: int) -> bool:
        return number <= removed and not self._rows(_HAS_RECORD, (number,))

    def close(self) -> None:
        """Give the journal back."""
        with _ErrorsAsOurs():
            self._connection.close()

    def _columns(
        self, entry: Entry
    ) -> tuple[str, int, str | None, bytes, bytes, bytes]:
        """What follows the intent in a row: the personal part sealed, and last a code
        over the whole row."""
        sealed = self._sealed(entry) if entry.personal else b""
        mac = self._keys.mac(entry.signed_content(sealed))
        return entry.state, entry.version, entry.card_ref, entry.clear, sealed, mac

    def _sealed(self, entry: Entry) -> bytes:
        """Sealed anew only when it has changed since this record was last written."""
        intent_id, digest, sealed = self._last_sealed
        now = blake2b(
            entry.personal
        ).digest()  # not the clear text: it is kept for long
        if (intent_id, digest) != (entry.intent_id, now):
            sealed = self._keys.seal(entry.personal, entry.intent_id.encode())
            self._last_sealed = entry.intent_id, now, sealed
        return sealed

    def _everywhere(self, where: str, value: str) -> list[Activation]:
        """The records of both tables, the oldest first."""
        found = [
            each for table in _FROM for each in self._activations(table, where, value)
        ]
        return sorted(found, key=_place)

    def _activations(
        self, table: str, where: str, *values: str | int
    ) -> Iterator[Activation]:
        for row in self._rows(f"{_FROM[table]} {where}", values):
            yield activation_of(row, self._keys)

    def _rows(
        self, query: str, values: tuple[apsw.SQLiteValue, ...]
    ) -> list[tuple[apsw.SQLiteValue, ...]]:
        with _Verb(self):
            return self._connection.execute(query, values).fetchall()


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


def _place(activation: Activation) -> int:
    return number_of(activation.origin.intent_id)


_ERRORS: tuple[tuple[tuple[type[Exception], ...], type[JournalError]], ...] = (
    ((apsw.BusyError, apsw.LockedError), JournalInUseError),
    ((apsw.NotADBError, apsw.CorruptError, UnicodeDecodeError), JournalDamagedError),
    ((apsw.Error,), JournalError),
)


class _ErrorsAsOurs:
    """What apsw raises inside becomes the one error of ours that names its cause."""

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failed: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if failed is None:
            return
        for theirs, ours in _ERRORS:
            if isinstance(failed, theirs):
                raise ours(str(failed)) from failed


class _Verb(_ErrorsAsOurs):
    """One use of the connection. After a failure the next use opens the file anew."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal

    def __enter__(self) -> None:
        if not self._journal._trusted:
            with _ErrorsAsOurs():
                self._journal._trust_again()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failed: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if failed is None:
            return
        refused = isinstance(failed, apsw.Error)
        if refused and not isinstance(failed, apsw.ConstraintError):
            self._journal._distrust()
            with suppress(apsw.Error, JournalError):  # else with the next use
                self._journal._trust_again()
        super().__exit__(kind, failed, at)


class _Commit(_Verb):
    """All or nothing, and durable when it is left."""

    def __enter__(self) -> None:
        super().__enter__()
        self._connection = self._journal._connection
        self._began = perf_counter()
        self._ask(self._connection.__enter__)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failed: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._ask(lambda: self._connection.__exit__(kind, failed, at))
        if failed is None:
            self._journal.committed(perf_counter() - self._began)
        super().__exit__(kind, failed, at)

    def _ask(self, call: Callable[[], object]) -> None:
        try:
            call()
        except apsw.Error as refused:
            super().__exit__(type(refused), refused, None)
