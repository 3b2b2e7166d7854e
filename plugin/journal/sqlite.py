"""The journal on disk: SQLite through apsw, durable at every commit (reliability, 4.8).

One process and one connection; write-ahead log with a full sync, so that what `commit`
returned from survives the power. Personal parts are sealed, and every row carries a code
over all its columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from time import perf_counter
from types import TracebackType

import apsw
from msgspec.msgpack import encode as packed
from msgspec.structs import replace

from plugin.activation.saga import Activation, intent_of
from plugin.journal import entries, layout
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
from plugin.privacy import Keys

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
_WRITTEN_WITH_A_LOG = (
    b"\x02\x02"  # bytes 18 and 19 of the file: who may write, and read
)
LOG_HEADER, FRAME_HEADER = 32, 24  # bytes (SQLite file format, 4.1 and 4.2)
AT_ONCE = 64 << 10  # bytes; SQLite's own disk writes less than 128 KiB at a time
PAGES_AT_ONCE = 256  # a megabyte: what a step of a copy costs the till
ROWS_AT_ONCE = 16  # of a review: one or two milliseconds


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
                layout.check(connection, self._keys, whole=layout.is_small(connection))
            except apsw.SQLError as strange:  # a table or a column that is not there
                raise JournalDamagedError(str(strange)) from strange
            if in_a_file:
                self._write_log_anew()
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)

    def _bring_up_to_date(self, connection: apsw.Connection) -> None:
        found = connection.pragma("user_version")
        if found > layout.SCHEMA_VERSION:
            ours = layout.schema(connection) == layout.schema_of_this_version()
            newer = JournalDamagedError if ours else JournalError
            raise newer(f"the journal has version {found}")
        for schema in layout.SCHEMAS[found:]:
            connection.execute(schema)
        if found < layout.SCHEMA_VERSION:
            self._sign_counters(connection)
            connection.pragma("user_version", layout.SCHEMA_VERSION)

    def _sign_counters(self, connection: apsw.Connection) -> None:
        """Before version 3 they had no code."""
        for name, last in connection.execute(
            "SELECT name, last FROM counters WHERE mac IS NULL"
        ).fetchall():
            mac = self._keys.mac(packed((name, last)))
            connection.execute(layout.COUNT, (name, last, mac))

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
        row = (
            layout.number_of(entry.intent_id),
            entry.intent_id,
            *self._columns(entry),
        )
        with _Commit(self):
            self._connection.execute(layout.BEGIN, row)
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
        number, columns = layout.number_of(entry.intent_id), self._columns(entry)
        with _Commit(self):
            if saved.state.is_terminal:
                self._connection.execute(layout.LEAVE, (number, activation.version))
            else:
                self._refuse_card_in_hand(number, entry.card_ref)
                self._connection.execute(
                    layout.GO_ON, (*columns, number, activation.version)
                )
            if not self._connection.changes():
                raise StaleRecordError(entry.intent_id)
            if saved.state.is_terminal:
                self._connection.execute(
                    layout.END, (number, entry.intent_id, *columns)
                )
        return saved

    def _refuse_card_in_hand(self, number: int, card_ref: str | None) -> None:
        for _ in self._connection.execute(layout.IN_HAND, (card_ref, number)):
            raise CardInHandError("the card is in another record")

    def amend(self, activation: Activation) -> Activation:
        """Replace a finished record."""
        amended = replace(activation, version=activation.version + 1)
        entry = entries.encode(amended)
        number, columns = layout.number_of(entry.intent_id), self._columns(entry)
        with _Commit(self):
            self._connection.execute(
                layout.AMEND, (*columns, number, activation.version)
            )
            if not self._connection.changes():
                raise StaleRecordError(entry.intent_id)
        return amended

    def get(self, intent_id: str) -> Activation | None:
        """The record of this intent."""
        place = "WHERE number = ?", layout.number_of(intent_id)
        found = (
            each for table in layout.FROM for each in self._activations(table, *place)
        )
        return next(
            (each for each in found if each.origin.intent_id == intent_id), None
        )

    def is_removed(self, intent_id: str) -> bool:
        """Whether it is as old as those that were removed."""
        removed = self._counted(REMOVED)
        return 0 < removed >= layout.number_of(intent_id)

    def of_card(self, card_ref: str) -> tuple[Activation, ...]:
        """Every record of this card, the oldest first."""
        return tuple(self._everywhere("WHERE card_ref = ?", card_ref))

    def unfinished(self) -> tuple[Activation, ...]:
        """Every record that is not terminal, the oldest first."""
        return tuple(self._activations("unfinished", "ORDER BY number"))

    def recent(self, limit: int, before: str | None = None) -> tuple[Activation, ...]:
        """The last records, the newest first."""
        start = layout.number_of(before) if before is not None else layout.AFTER_ALL
        found = [
            each
            for table in layout.FROM
            for each in self._activations(
                table, layout.LAST.format(table), start, limit
            )
        ]
        return tuple(sorted(found, key=layout.place, reverse=True)[:limit])

    def reserve(self, counter: str, amount: int) -> int:
        """Take `amount` numbers that nobody had before."""
        last = self._counted(counter)
        if not amount:
            return last + 1
        reserved = last + amount
        mac = self._keys.mac(packed((counter, reserved)))
        with _Commit(self):
            self._connection.execute(layout.COUNT, (counter, reserved, mac))
        return last + 1

    def _counted(self, counter: str) -> int:
        """The last number of this counter that was taken."""
        for last, mac in self._rows(layout.COUNTED, (counter,)):
            if self._keys.mac(packed((counter, last))) != mac:
                raise JournalDamagedError("a counter was changed outside")
            return int(str(last))
        return 0

    def tear(self, torn: Torn) -> None:
        """Note a card before it is asked."""
        columns = (torn.card_ref, torn.step, torn.time, torn.life)
        with _Commit(self):
            self._connection.execute(
                layout.TEAR, (*columns, self._keys.mac(packed(columns)))
            )
            self._connection.execute(layout.FORGET_TORN, (TORN_MAX,))

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
            put(layout.END, (each.columns for each in plan.rows if each.record is None))
            put(
                layout.BEGIN,
                (each.columns for each in plan.rows if each.record is not None),
            )
            for doubtful in plan.doubtful:
                entry = entries.encode(doubtful)
                row = (layout.number_of(entry.intent_id), entry.intent_id)
                self._connection.execute(layout.BEGIN, (*row, *self._columns(entry)))
            put("INSERT INTO requests VALUES (?, ?, ?, ?, ?)", plan.requests)
            put(layout.TEAR, plan.torn)
            self._connection.execute(layout.FORGET_TORN, (TORN_MAX,))
            for name, last in plan.counters.items():
                mac = self._keys.mac(packed((name, last)))
                self._connection.execute(layout.COUNT, (name, last, mac))

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
        while rows := self._rows(layout.LATER, (last, ROWS_AT_ONCE)):
            found = [self._finished(*row) for row in rows]
            last = layout.place(found[-1])
            yield self._replace([(each, judge(each)) for each in found])

    def _finished(self, number: apsw.SQLiteValue, *row: apsw.SQLiteValue) -> Activation:
        """The record of a row, where it belongs."""
        record = layout.activation_of(row, self._keys)
        if number != layout.place(record) or not record.state.is_terminal:
            raise JournalDamagedError("a row was moved outside")
        return record

    def _replace(self, judged: list[tuple[Activation, Activation | None]]) -> Reviewed:
        removed = [layout.place(record) for record, left in judged if left is None]
        replaced = [left for record, left in judged if left and left != record]
        before = sum(record.forgotten for record, left in judged if left)
        after = sum(left.forgotten for _, left in judged if left)
        further = max(removed, default=0) - self._counted(REMOVED)
        if further > 0:
            self.reserve(REMOVED, further)
        if removed or replaced:
            with _Commit(self):
                for number in removed:
                    self._connection.execute(layout.REMOVE, (number,))
                for left in replaced:
                    columns = self._columns(entries.encode(left))
                    self._connection.execute(
                        layout.REPLACE, (*columns, layout.place(left))
                    )
        return Reviewed(
            replaced=len(replaced), forgotten=after - before, removed=len(removed)
        )

    def _review_requests(self) -> Iterator[Reviewed]:
        """A request whose record is gone goes with it. One that is newer than all that was
        ever removed had its record lost by damage, and keeps its key."""
        removed = self._counted(REMOVED)
        last: tuple[apsw.SQLiteValue, ...] = ("", b"")
        while rows := self._rows(layout.LATER_REQUESTS, (*last, ROWS_AT_ONCE)):
            for *columns, mac in rows:
                if self._keys.mac(packed(columns)) != mac:
                    raise JournalDamagedError("a request was changed outside")
            last = rows[-1][:2]
            orphans = [
                (client, key)
                for client, key, _, transaction, _ in rows
                if self._is_orphan(
                    layout.number_of(intent_of(str(transaction))), removed
                )
            ]
            if orphans:
                with _Commit(self):
                    self._connection.executemany(layout.REMOVE_REQUEST, orphans)
            yield Reviewed(requests=len(orphans))

    def _is_orphan(self, number: int, removed: int) -> bool:
        return number <= removed and not self._rows(layout.HAS_RECORD, (number,))

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
            each
            for table in layout.FROM
            for each in self._activations(table, where, value)
        ]
        return sorted(found, key=layout.place)

    def _activations(
        self, table: str, where: str, *values: str | int
    ) -> Iterator[Activation]:
        for row in self._rows(f"{layout.FROM[table]} {where}", values):
            yield layout.activation_of(row, self._keys)

    def _rows(
        self, query: str, values: tuple[apsw.SQLiteValue, ...]
    ) -> list[tuple[apsw.SQLiteValue, ...]]:
        with _Verb(self):
            return self._connection.execute(query, values).fetchall()


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
