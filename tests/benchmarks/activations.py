"""Rows: whole activations against the barest three commits that could carry them, and what a
till of many years pays for its rows."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import apsw
from msgspec.msgpack import encode as packed

from plugin.activation import saga
from plugin.activation.saga import Activation, Confirmation, Event
from plugin.agent.recovery import Activations, Message
from plugin.journal.port import Request
from plugin.journal.sqlite import SqliteJournal
from plugin.privacy import DIGEST_LENGTH, Keys
from tests.benchmarks.figures import Measured, Promise, Row, interleaved
from tests.benchmarks.journal import (
    MESSAGE,
    ON_DISK,
    SECONDS,
    bare_connection,
    life,
    row_size,
)

RATE = Promise(gate=0.5, goal=0.7, unit="activations/s", at_least=True)
GROWTH = Promise(gate=1.5, goal=1.2, unit="ms")
READY_SECONDS = 10
FEW, MANY = 1_000, 1_000_000
FINGERPRINT = "0" * 64
STARTS = 5
_Row = list[Any]  # the columns of a table


class AnsweringAtOnce:
    """A centre without a network: the answer is there before the next line."""

    abilities = saga.Abilities(dedupe=saga.Dedupe.ID, can_tell_status=True)

    def send(self, record: Activation, reply: Callable[[Event], None]) -> None:
        """Yes."""
        answer = saga.Accepted(record.activation_id or "", Confirmation(by="answer"))
        reply(answer)

    def ask(
        self, record: Activation, asked: int, reply: Callable[[Event], None]
    ) -> None:
        """Nobody asks."""
        raise AssertionError(record, asked, reply)


class Standstill:
    """Time that nobody waits for."""

    def ticks(self) -> int:
        """Always now."""
        return 1

    def wall(self) -> str:
        """Always the same."""
        return "2026-03-02T09:30:00.000+08:00"

    def after(self, milliseconds: float, call: Callable[[], None]) -> None:
        """Nothing is put off."""
        raise AssertionError(milliseconds, call)


class Desk:
    """One till's activations, one after the other."""

    def __init__(self, path: Path, keys: Keys, first: int = 0) -> None:
        self.journal = SqliteJournal(path, keys)
        self._numbers = itertools.count(first)
        self._activations = Activations(
            self.journal, AnsweringAtOnce(), Standstill(), Random(1), lambda _: None
        )

    def activate(self) -> float:
        """One, from its request to its end; returns the seconds."""
        received, sending, _ = life(next(self._numbers))
        origin = received.origin
        request = Request(
            client_id=origin.client_id,
            key=origin.intent_id,
            fingerprint=FINGERPRINT,
            transaction_id=origin.transaction_id,
        )
        card = sending.card_ref or ""
        began = time.perf_counter()
        self.journal.create(received, request)
        ended = self._activations.begin(
            origin.intent_id, card, card, date(2026, 1, 1), _message
        )
        spent = time.perf_counter() - began
        if ended.sends != 1:
            raise RuntimeError("it was not sent")
        return spent


def _message(name: str) -> Message:
    return Message(MESSAGE, name)


def activations(rounds: int) -> Iterator[Row]:
    """The centre answers at once; three commits each, on both sides."""
    with TemporaryDirectory(dir=ON_DISK if ON_DISK.is_dir() else None) as folder:
        desk = Desk(Path(folder, "journal.db"), Keys.new())
        bare = bare_connection(Path(folder, "bare.db"))
        row = bytes(row_size(life(0)[-1]))
        yield Measured(
            what="activations, the centre answering at once",
            floor_is="three bare commits",
            promise=RATE,
            rounds=interleaved(
                rounds,
                lambda: _rate(desk.activate),
                lambda: _rate(lambda: _three(bare, row)),
            ),
        )
        desk.journal.close()
        bare.close()
        yield from _growth(Path(folder), rounds)


def _rate(work: Callable[[], float]) -> float:
    done, seconds = 0, 0.0
    while seconds < SECONDS:
        seconds += work()
        done += 1
    return done / seconds


def _three(bare: apsw.Connection, row: bytes) -> float:
    began = time.perf_counter()
    for _ in range(3):
        bare.execute("INSERT INTO audit (row) VALUES (?)", (row,))
    return time.perf_counter() - began


def _growth(folder: Path, rounds: int) -> Iterator[Row]:
    """A till with a thousand rows, and one with a million."""
    keys = Keys.new()
    few, many = folder / "few.db", folder / "many.db"
    for path, rows in ((few, FEW), (many, MANY)):
        _fill(path, keys, rows)
    starts = interleaved(rounds, lambda: _start(many, keys), lambda: _start(few, keys))
    slowest = max(ours for ours, _ in starts) / 1000
    if slowest > READY_SECONDS:
        raise RuntimeError(f"ready only after {slowest:.1f} s with {MANY:,} rows")
    yield Measured(
        what=f"journal ready with {MANY:,} rows",
        floor_is=f"with {FEW:,}",
        promise=GROWTH,
        rounds=starts,
    )
    desks = Desk(many, keys, MANY + 1), Desk(few, keys, FEW + 1)
    yield Measured(
        what=f"one activation with {MANY:,} rows",
        floor_is=f"with {FEW:,}",
        promise=GROWTH,
        rounds=interleaved(
            rounds,
            lambda: 1000 / _rate(desks[0].activate),
            lambda: 1000 / _rate(desks[1].activate),
        ),
    )
    for each in desks:
        each.journal.close()


def _start(path: Path, keys: Keys) -> float:
    """Opened, checked, and its unfinished records read (ms)."""
    began = time.perf_counter()
    for _ in range(STARTS):
        journal = SqliteJournal(path, keys)
        journal.unfinished()
        journal.close()
    return (time.perf_counter() - began) * 1000 / STARTS


def _fill(path: Path, keys: Keys, rows: int) -> None:
    """One real life, and copies of its rows with other numbers and cards: as large, and
    with their right codes."""
    journal = SqliteJournal(path, keys)
    received, sending, active = life(0)
    origin = received.origin
    request = Request(
        client_id=origin.client_id,
        key=origin.intent_id,
        fingerprint=FINGERPRINT,
        transaction_id=origin.transaction_id,
    )
    journal.create(received, request)
    journal.save(sending)
    journal.save(active)
    journal.close()
    bare = apsw.Connection(str(path))
    with bare:
        for (table, copied), insert in _COPIES.items():
            ((*columns, _),) = bare.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - constants
            made = (copied(columns, number) for number in range(1, rows))
            bare.executemany(insert, (_signed(row, keys) for row in made))
    bare.close()


def _signed(row: _Row, keys: Keys) -> _Row:
    """With the code that the journal gives it; the number of a record is not in it."""
    columns = row[1:] if isinstance(row[0], int) else row
    return [*row, keys.mac(packed(columns))]


def _record(columns: _Row, number: int) -> _Row:
    """The same of another intent and another card."""
    _, _, state, version, _, clear, sealed = columns
    intent_id, card_ref = str(UUID(int=number << 64)), f"{number:032x}"
    return [number, intent_id, state, version, card_ref, clear, sealed]


def _request(columns: _Row, number: int) -> _Row:
    """The same with another key."""
    client_id, _, fingerprint, transaction_id = columns
    key_digest = number.to_bytes(DIGEST_LENGTH)
    return [client_id, key_digest, fingerprint, transaction_id]


_COPIES = {
    ("finished", _record): "INSERT INTO finished VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    ("requests", _request): "INSERT INTO requests VALUES (?, ?, ?, ?, ?)",
}
