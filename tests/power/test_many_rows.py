"""J7: a till of many years is as ready as a new one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from plugin.activation.saga import ActivationState
from plugin.journal import entries
from plugin.journal.layout import BEGIN, CHECKED_WHOLE, END, number_of
from plugin.journal.sqlite import SqliteJournal
from tests.power.work import KEYS, begun, intent

READY_SECONDS = 2.0
MESSAGE = bytes(600)
UNFINISHED = 20


def fill(journal: SqliteJournal, rows: int) -> None:
    """As many rows as years bring, each as the journal writes them, in one commit."""
    with journal._connection:
        for number in range(1, rows + 1):
            record, _ = begun(number)
            open_still = number > rows - UNFINISHED
            ended = replace(
                record,
                state=ActivationState.UNKNOWN if open_still else ActivationState.ACTIVE,
                card_ref=f"card-{number}",
                message=MESSAGE,
                version=2,
            )
            columns = journal._columns(entries.encode(ended))
            row = (number_of(intent(number)), intent(number), *columns)
            journal._connection.execute(BEGIN if open_still else END, row)


def start(path: Path) -> tuple[float, int]:
    """The seconds until everything unfinished is known, and how much that is."""
    began = time.monotonic()
    journal = SqliteJournal(path, KEYS)
    unfinished = journal.unfinished()
    spent = time.monotonic() - began
    journal.close()
    return spent, len(unfinished)


@pytest.mark.parametrize(
    ("rows", "checked_whole"),
    [(40_000, True), (100_000, False)],
    ids=["the longest check", "a hundred thousand"],
)
def test_j7_it_is_soon_ready_with_very_many_rows(
    tmp_path: Path, rows: int, checked_whole: bool
) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path, KEYS)
    fill(journal, rows)
    journal.close()
    assert (path.stat().st_size <= CHECKED_WHOLE) == checked_whole

    starts = [start(path) for _ in range(3)]

    assert {found for _, found in starts} == {UNFINISHED}
    assert min(seconds for seconds, _ in starts) < READY_SECONDS
