"""J5, F17: of a file with a flipped bit the agent notices it or is unharmed; and what can
still be read of it is kept."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from random import Random

import apsw
import pytest

from plugin.activation.saga import ActivationState
from plugin.journal.layout import number_of
from plugin.journal.place import JOURNAL, Place
from plugin.journal.rescue import Rescue
from plugin.journal.safe import SafeJournal
from plugin.journal.sqlite import SqliteJournal
from tests.power.disk import SECTOR
from tests.power.work import KEYS, PATH, Contents, contents, filled

FLIPS = min(int(os.environ.get("KAQI_FLIPS", "500")), 10_000)
RESTORED_EVERY = 4
SHARDS = 4
ROW = "SELECT * FROM {} WHERE number = ?"


@cache
def a_journal() -> tuple[bytes, Contents]:
    """A closed file, made once."""
    image, held = filled(90, seed=4)
    return image[str(PATH)], held


def rows_of(path: Path, numbers: list[int]) -> dict[int, tuple[object, ...]]:
    """What SQLite finds by number, one at a time."""
    found: dict[int, tuple[object, ...]] = {}
    with closing(apsw.Connection(str(path))) as raw:
        for number in numbers:
            for table in ("unfinished", "finished"):
                with suppress(apsw.Error, UnicodeDecodeError):
                    for row in raw.execute(ROW.format(table), (number,)):
                        found[number] = tuple(row)
    return found


def opened(folder: Path, wanted: Contents) -> Contents | None:
    """What an agent reads; None in safe mode."""
    place = Place(folder)
    journal = place.opened(lambda file: SqliteJournal(file, KEYS))
    found = None
    if not isinstance(journal, SafeJournal):
        found = contents(journal, wanted)
    journal.close()
    place.close()
    return found


def salvaged(folder: Path) -> None:
    """As `kaqi restore` does it."""
    with closing(Rescue(folder, KEYS, [])) as rescue:
        proposal = rescue.proposal(0, lambda _: None)
        assert proposal is not None
        rescue.carry_out(proposal.plan, "now")


def changed(
    folder: Path, content: bytes, held: Contents, *, restoring: bool = True
) -> str:
    """What is wrong with what comes of a journal with this content, and of restoring it."""
    folder.mkdir()
    journal = folder / JOURNAL
    journal.write_bytes(content)
    found = opened(folder, held)
    if found is not None:
        return "" if same(found, held) else "a wrong record is read"
    if journal.read_bytes() != content:
        return "the damaged file was changed"
    if not restoring:
        return ""
    names = {number_of(name): name for name in held.records}
    copy = folder / "looked-into"
    copy.write_bytes(content)
    readable = rows_of(copy, [*names])
    salvaged(folder)
    if (folder / "journal.damaged-now.db").read_bytes() != content:
        return "the damaged file was not kept"
    after = opened(folder, held)
    if after is None:
        return "it is not restored"
    if any(held.records.get(name) != each for name, each in after.records.items()):
        return "a record is false"
    if any(held.requests.get(key) != each for key, each in after.requests.items()):
        return "a request is false"
    if any(held.torn.get(card) != each for card, each in after.torn.items()):
        return "a torn change is false"
    genuine = {
        names[number] for number, row in readable.items() if row == rows()[number]
    }
    return "a record is lost" if genuine - after.records.keys() else ""


@cache
def rows() -> dict[int, tuple[object, ...]]:
    """The rows as they were written."""
    content, held = a_journal()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        path.write_bytes(content)
        return rows_of(path, [number_of(name) for name in held.records])


def same(found: Contents, held: Contents) -> bool:
    """But for the counters, which an agent moves when it starts."""
    parts = ("records", "requests", "torn")
    return all(getattr(found, part) == getattr(held, part) for part in parts)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_j5_a_flipped_bit_is_harmless_or_restored(shard: int, tmp_path: Path) -> None:
    content, held = a_journal()
    restored = 0
    for seed in range(shard, FLIPS, SHARDS):
        flipped = bytearray(content)
        bit = Random(seed).randrange(len(flipped) * 8)
        flipped[bit // 8] ^= 1 << bit % 8

        restoring = seed // SHARDS % RESTORED_EVERY == 0
        folder = tmp_path / str(seed)
        wrong = changed(folder, bytes(flipped), held, restoring=restoring)

        assert not wrong, f"seed {seed}, byte {bit // 8}: {wrong}"
        restored += (folder / "journal.damaged-now.db").exists()

    assert restored


@pytest.mark.parametrize("at", [0, 18, 19, 28, 40, 60, 96, 100, 105, 108, 2_000, 3_000])
def test_a_first_page_that_is_gone_costs_nothing(at: int, tmp_path: Path) -> None:
    """Where everything lies is the same in every journal."""
    content, held = a_journal()
    torn = bytearray(content)
    torn[at : at + SECTOR] = bytes(SECTOR)

    wrong = changed(tmp_path / "till", bytes(torn), held)

    assert not wrong
    assert same(opened(tmp_path / "till", held) or Contents(), held)


def test_two_pages_that_are_gone_cost_the_rows_on_them(tmp_path: Path) -> None:
    content, held = a_journal()
    assert len(held.records) > 20
    finished = [at for at in range(0, len(content), 4096) if content[at] == 13]
    assert len(finished) > 4
    random = Random(5)
    for case in range(10):
        torn = bytearray(content)
        for at in random.sample(finished, 2):
            torn[at : at + 4096] = random.randbytes(4096)

        assert not changed(tmp_path / str(case), bytes(torn), held)


def test_what_was_read_is_unfinished_and_ended() -> None:
    """The test above would not be worth much without both."""
    _, held = a_journal()
    states = {each.state for each in held.records.values()}

    assert ActivationState.ACTIVE in states
    assert ActivationState.SENDING in states
