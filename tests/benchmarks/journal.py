"""Row: a durable commit of the journal against the barest one of the same size."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import apsw
from msgspec.structs import replace

from plugin.activation.saga import (
    Activation,
    ActivationState,
    Confirmation,
    Origin,
)
from plugin.journal import entries
from plugin.journal.port import Request
from plugin.journal.sqlite import SqliteJournal
from plugin.privacy import DIGEST_LENGTH, MAC_LENGTH, NONCE_LENGTH, TAG_LENGTH, Keys
from tests.benchmarks.figures import Measured, Promise, Row, interleaved

SECONDS = 0.1  # of commits at a time, however slow the disk
ON_DISK = Path("/var/tmp")  # noqa: S108 - /tmp is often memory, where a sync costs nothing
MESSAGE = (
    b'{"card":"99990100D1560000050200000","holder":{"name":"\xe6\x9e\x97\xe8\xaf\x95'
    b'\xe4\xb8\x80","social_security_number":"999901190102021017"},"scenario":"pharmacy"}'
)

JOURNAL = Promise(gate=0.60, goal=0.75, unit="commits/s", at_least=True)


def journal(rounds: int) -> Iterator[Row]:
    """Lives of activations, against rows of the same size by a bare connection."""
    with TemporaryDirectory(dir=ON_DISK if ON_DISK.is_dir() else None) as folder:
        ours = SqliteJournal(Path(folder, "journal.db"), Keys.new())
        bare = bare_connection(Path(folder, "bare.db"))
        row = bytes(row_size(life(0)[-1]))
        numbers = itertools.count()
        try:
            yield Measured(
                what=f"journal commit, rows of {len(row)} bytes",
                floor_is="bare SQLite",
                promise=JOURNAL,
                rounds=interleaved(
                    rounds,
                    lambda: _rate(partial(_live, ours, numbers)),
                    lambda: _rate(partial(_insert, bare, row)),
                ),
            )
        finally:
            ours.close()
            bare.close()


def _rate(work: Callable[[], tuple[int, float]]) -> float:
    """Commits a second; `work` says how many it made and in how many seconds."""
    commits, seconds = 0, 0.0
    while seconds < SECONDS:
        made, spent = work()
        commits += made
        seconds += spent
    return commits / seconds


def _live(store: SqliteJournal, numbers: Iterator[int]) -> tuple[int, float]:
    """One activation from its beginning to its end, in three commits."""
    received, sending, active = life(next(numbers))
    request = Request(
        client_id=received.origin.client_id,
        key=received.origin.intent_id,
        fingerprint=hashlib.sha256(MESSAGE).hexdigest(),
        transaction_id=received.origin.transaction_id,
    )
    began = time.perf_counter()
    store.create(received, request)
    store.save(sending)
    store.save(active)
    return 3, time.perf_counter() - began


def _insert(bare: apsw.Connection, row: bytes) -> tuple[int, float]:
    began = time.perf_counter()
    bare.execute("INSERT INTO audit (row) VALUES (?)", (row,))
    return 1, time.perf_counter() - began


def life(number: int) -> tuple[Activation, Activation, Activation]:
    card = hashlib.sha256(str(number).encode()).hexdigest()
    card_ref = card[: 2 * DIGEST_LENGTH]
    received = Activation(
        origin=Origin(
            intent_id=str(UUID(int=number << 64)),
            client_id="pos-1",
            scenario="pharmacy",
            institution="P0001",
            profile="reference@1",
            received_at="2026-03-02T09:30:00.000+08:00",
        )
    )
    sending = replace(
        received,
        state=ActivationState.SENDING,
        card_ref=card_ref,
        activation_id=card,
        message=MESSAGE,
        sends=1,
    )
    active = replace(
        sending,
        version=sending.version + 1,
        state=ActivationState.ACTIVE,
        confirmation=Confirmation(by="answer"),
    )
    return received, sending, active


def row_size(activation: Activation) -> int:
    """The bytes of this record's row: clear, sealed, its code and its names."""
    entry = entries.encode(activation)
    names = (entry.intent_id, entry.state, entry.card_ref or "")
    sealed = NONCE_LENGTH + TAG_LENGTH + len(entry.personal)
    return len(entry.clear) + sealed + MAC_LENGTH + sum(map(len, names))


def bare_connection(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode=WAL").fetchall()
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE audit (number INTEGER PRIMARY KEY, row BLOB)")
    return connection
