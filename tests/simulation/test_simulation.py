"""Thousands of small worlds in which everything fails. Every promise is checked in each of
them, and has a test of its own name."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import cache

import pytest
from msgspec.structs import replace

from plugin.activation import saga
from plugin.activation.saga import Activation, ActivationState
from tests.simulation.lives import Lives, lived
from tests.simulation.recipe import Fault, Recipe
from tests.simulation.shrink import shrunk, told
from tests.simulation.world import World, run

# The rarest saboteur shows in one seed of a thousand: 7,000 miss it once in a thousand runs.
SEEDS = int(os.environ.get("KAQI_SEEDS", "7000"))
SHARDS = 10
EACH_CLASS = "ABCD"
# Seeds in which a promise was broken, and mended.
ERRAND_NEVER_BEGUN = 18
LATER_CHANGE_UNDID_EARLIER = 253
UNWRITTEN_CHANGE_UNDID_EARLIER = 23_555
STALE_SITE_CONFIRMED_REFUSAL = 174_467
STALE_SITE_CONFIRMED_OLD_REFUSAL = 602_708
FOUND_ONCE = (
    ERRAND_NEVER_BEGUN,
    LATER_CHANGE_UNDID_EARLIER,
    UNWRITTEN_CHANGE_UNDID_EARLIER,
    STALE_SITE_CONFIRMED_REFUSAL,
    STALE_SITE_CONFIRMED_OLD_REFUSAL,
)


@pytest.fixture(autouse=True)
def in_silence() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@cache
def shard(number: int) -> Lives:
    """One part of all seeds, lived once for all promises."""
    return lived(range(number, SEEDS, SHARDS))


@pytest.fixture(
    params=[
        pytest.param(number, marks=pytest.mark.xdist_group(f"shard {number}"))
        for number in range(SHARDS)
    ]
)
def lives(request: pytest.FixtureRequest) -> Lives:
    return shard(request.param)


def test_a1_at_most_once(lives: Lives) -> None:
    assert lives.broken["A1"] == []
    assert lives.checked["A1"] > lives.seeds


def test_a2_nothing_accepted_is_lost(lives: Lives) -> None:
    assert lives.broken["A2"] == []
    assert lives.checked["A2"] > lives.seeds


def test_a3_written_before_it_is_sent(lives: Lives) -> None:
    assert lives.broken["A3"] == []
    assert lives.checked["A3"] > lives.seeds


def test_a4_sent_again_the_same(lives: Lives) -> None:
    assert lives.broken["A4"] == []
    assert lives.checked["A4"] > lives.seeds


def test_a5_unknown_is_never_guessed(lives: Lives) -> None:
    assert lives.broken["A5"] == []
    assert lives.checked["A5"] > lives.seeds


def test_a6_nothing_false_is_said(lives: Lives) -> None:
    assert lives.broken["A6"] == []
    assert lives.checked["A6"] > lives.seeds


def test_a7_it_comes_to_an_end(lives: Lives) -> None:
    assert lives.broken["A7"] == []
    assert lives.checked["A7"]  # of what stands at a person; all else had ended


def test_a10_refusals_do_not_stick(lives: Lives) -> None:
    assert lives.broken["A10"] == []
    assert lives.checked["A10"] > lives.seeds


def test_j10_the_wall_clock_decides_nothing(lives: Lives) -> None:
    assert not any(lives.broken.values())  # with a clock that jumps at every look
    assert lives.checked["J10"] > lives.seeds


def test_c3_no_pin_is_presented_twice(lives: Lives) -> None:
    assert lives.broken["C3"] == []
    assert lives.checked["C3"]


@pytest.mark.parametrize("seed", FOUND_ONCE)
def test_what_was_mended_stays_mended(seed: int) -> None:
    _, broken = told(Recipe(seed))

    assert broken is None


def test_the_worlds_are_worth_living_in() -> None:
    worlds = [run(seed) for seed in range(1_000)]
    records = {
        letter: [
            record
            for world in worlds
            if world.mix.letter == letter and not world.mix.by_pin
            for record in _records(world)
        ]
        for letter in EACH_CLASS
    }

    for found in records.values():
        ended = {record.state for record in found if record.state.is_terminal}
        assert ended == saga.TERMINAL
        assert any(record.sends for record in found)
    assert all(any(each.sends > 1 for each in records[letter]) for letter in "ABC")
    assert any(each.state is ActivationState.MANUAL for each in records["D"])
    assert any(each.confirmation and each.confirmation.adopted for each in records["A"])
    assert any(
        record.changing
        for world in worlds
        if world.mix.by_pin
        for record in _records(world)
    )
    assert sum(world.faults for world in worlds) > 1_000
    assert any(till.life for world in worlds for till in world.tills)
    for world in worlds:
        world.close()


def test_one_seed_is_one_run() -> None:
    first, second = run(7), run(7)

    assert _records(first) == _records(second)
    assert first.faults == second.faults
    assert told(Recipe(7)) == told(Recipe(7))


def test_a_broken_saga_is_found_and_its_story_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = saga.step

    def careless(
        record: Activation, event: saga.Event, now: int, abilities: saga.Abilities
    ) -> saga.Step:
        if isinstance(event, saga.NotFound) and record.refusal is None:
            return saga.Step(replace(record, state=ActivationState.ABANDONED))
        return honest(record, event, now, abilities)

    monkeypatch.setattr(saga, "step", careless)
    broken = next(seed for seed in range(SEEDS) if told(Recipe(seed))[1])

    whole, told_first = told(Recipe(broken))
    recipe = shrunk(Recipe(broken))
    short, told_last = told(recipe)

    assert told_first is not None
    assert told_last is not None
    assert told_last.promise == told_first.promise
    assert len(short) < min(len(whole), 20)
    assert Fault.TWICE in recipe.calm
    assert shrunk(recipe) == recipe


def _records(world: World) -> list[Activation]:
    return [record for till in world.tills for record in till.journal.recent(100)]
