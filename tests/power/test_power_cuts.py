"""J1: what a journal has committed survives the power, wherever it goes."""

from __future__ import annotations

import os
from contextlib import nullcontext
from random import Random

import pytest
from msgspec import Struct

from plugin.journal.port import JournalError
from plugin.journal.sqlite import SqliteJournal
from tests.power.disk import Disk, Image, cuts
from tests.power.work import (
    STORED,
    Contents,
    Step,
    begun,
    contents,
    open_on,
    states,
    steps,
)

CUTS = int(os.environ.get("KAQI_CUTS", "4000"))
SHARDS = 16
CUTS_OF_ONE_LIFE = 50
STEPS = 40
CONTROLS = 200  # cuts, of which many must lose something


class LostError(AssertionError):
    """The journal is not what it must be."""


class Life(Struct):
    """What a journal did on a disk: after how many orders which contents were promised."""

    disk: Disk
    promised: list[tuple[int, Contents]]

    def at(self, place: int) -> list[Contents]:
        """What a cut after so many orders may leave: what was promised, and what was
        being done."""
        done = [each for orders, each in self.promised if orders <= place]
        coming = [each for orders, each in self.promised if orders > place]
        return [*done[-1:], *coming[:1]] if done else [Contents()]


def lived(random: Random, *, lies: bool = False, setting: str = "") -> Life:
    """A life: opened, worked with, closed or killed, opened again, worked with."""
    disk = Disk(lies=lies, safe_overwrite=random.random() < 0.8)
    life = Life(disk, [])
    checkpoint = random.choice((None, 1, 6, 20))
    journal = _opened(disk, checkpoint, setting)
    life.promised.append((len(disk.orders), Contents()))
    again = random.randrange(STEPS)
    for number, (step, after) in enumerate(steps(random, STEPS)):
        if number == again:
            _end(journal, disk, killed=random.random() < 0.5)
            journal = _opened(disk, checkpoint, setting)
        step(journal)
        life.promised.append((len(disk.orders), after))
    _end(journal, disk, killed=False)
    return life


def _opened(disk: Disk, checkpoint: int | None, setting: str) -> SqliteJournal:
    journal = open_on(disk, checkpoint)
    if setting:
        journal._connection.execute(setting)
    return journal


def _end(journal: SqliteJournal, disk: Disk, *, killed: bool) -> None:
    with disk.dying() if killed else nullcontext():
        journal.close()


def judge(image: Image, may_be: list[Contents], random: Random) -> None:
    """Open what is left. Raises LostError."""
    disk = Disk(image)
    try:
        held = _found(disk, may_be)
        if random.random() < 0.25:
            _goes_on(disk, held)
    finally:
        disk.unregister()


def _found(disk: Disk, may_be: list[Contents]) -> Contents:
    try:
        journal = open_on(disk)
        found = contents(journal, may_be[-1])
        journal.close()
    except (JournalError, AssertionError) as broken:
        raise LostError(f"{type(broken).__name__}: {broken}") from broken
    if found not in may_be:
        raise LostError("what is there is not what was committed")
    return found


def _goes_on(disk: Disk, held: Contents) -> None:
    """Work on, lose the power again, and find that too."""
    journal = open_on(disk)
    record, request = begun(STEPS + 1)
    journal.create(record, request)
    (image,) = cuts(disk.orders, [len(disk.orders)], Random(0))
    with disk.dying():
        journal.close()
    again = Disk(image)
    journal = open_on(again)
    if journal.get(record.origin.intent_id) != record:
        raise LostError("what was committed afterwards is lost")
    if any(journal.get(name) != each for name, each in held.records.items()):
        raise LostError("what was there is lost afterwards")
    journal.close()
    again.unregister()


def lost(life: Life, places: list[int], random: Random) -> list[str]:
    """What the cuts at these places broke."""
    broken = []
    for place, image in zip(
        places, cuts(life.disk.orders, places, random), strict=True
    ):
        try:
            judge(image, life.at(place), random)
        except LostError as what:
            broken.append(f"cut after order {place}: {what}")
    life.disk.unregister()
    return broken


def _places(life: Life, random: Random, count: int) -> list[int]:
    return sorted(random.randrange(len(life.disk.orders) + 1) for _ in range(count))


@pytest.mark.parametrize("shard", range(SHARDS))
def test_j1_no_power_cut_loses_what_was_committed(shard: int) -> None:
    for seed in range(shard, CUTS // CUTS_OF_ONE_LIFE, SHARDS):
        random = Random(seed)
        life = lived(random)

        broken = lost(life, _places(life, random, CUTS_OF_ONE_LIFE), random)

        assert not broken, f"seed {seed}: {broken[:3]}"


def test_a_cut_after_every_single_order_of_a_short_life() -> None:
    random = Random(7)
    life = lived(random)

    assert not lost(life, [*range(0, len(life.disk.orders), 2)], random)


@pytest.mark.parametrize(
    ("lies", "setting"),
    [(True, ""), (False, "PRAGMA synchronous=NORMAL")],
    ids=["a disk that lies", "synchronous=NORMAL"],
)
def test_the_disk_does_lose_what_is_not_synced(lies: bool, setting: str) -> None:
    broken = []
    for seed in range(CONTROLS // CUTS_OF_ONE_LIFE):
        random = Random(seed)
        life = lived(random, lies=lies, setting=setting)
        broken += lost(life, _places(life, random, CUTS_OF_ONE_LIFE), random)

    assert len(broken) > CONTROLS // 10


def test_the_lives_are_worth_living() -> None:
    lives = [lived(Random(seed)) for seed in range(20)]
    kinds = {type(order) for life in lives for order in life.disk.orders}
    held = states(*(each for life in lives for _, each in life.promised))

    assert {kind.__name__ for kind in kinds} >= {
        "Created",
        "Deleted",
        "Written",
        "Synced",
    }
    assert held == STORED


def test_a_life_is_made_of_every_step() -> None:
    made: set[str] = {step.__qualname__.partition(".")[0] for step, _ in _many_steps()}

    assert made == {"_create", "_save", "_remember", "_tear", "_mend", "_reserve"}


def _many_steps() -> list[tuple[Step, Contents]]:
    return [*steps(Random(1), 200)]
