"""Thousands of small worlds in which everything fails."""

from __future__ import annotations

import os

import pytest

from plugin.activation.saga import Activation, ActivationState
from tests.simulation.world import PromiseBrokenError, World, run

# The rarest saboteur shows in one seed of a thousand: 7,000 miss it once in a thousand runs.
SEEDS = int(os.environ.get("KAQI_SEEDS", "7000"))
SHARDS = 10
FOUND_ONCE = (18_480, 101_206)  # seeds in which a promise was broken, and mended


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_promise_holds_in_every_seed(shard: int) -> None:
    for seed in range(shard, SEEDS, SHARDS):
        try:
            run(seed)
        except PromiseBrokenError as broken:
            pytest.fail(f"seed {seed}: {broken}")


@pytest.mark.parametrize("seed", FOUND_ONCE)
def test_what_was_mended_stays_mended(seed: int) -> None:
    world = run(seed)  # raises when a promise is broken

    assert _records(world)
    assert all(record.state.is_terminal for record in _records(world))


def test_the_worlds_are_worth_living_in() -> None:
    worlds = [run(seed) for seed in range(200)]

    ends = {record.state for world in worlds for record in _records(world)}
    assert ends == {
        ActivationState.ACTIVE,
        ActivationState.REJECTED,
        ActivationState.ABANDONED,
    }
    assert sum(world.faults for world in worlds) > 500
    assert any(till.life for world in worlds for till in world.tills)
    assert any(
        record.confirmation and record.confirmation.adopted
        for world in worlds
        for record in _records(world)
    )


def test_one_seed_is_one_run() -> None:
    first, second = run(7), run(7)

    assert _records(first) == _records(second)
    assert first.faults == second.faults


def _records(world: World) -> list[Activation]:
    return [record for till in world.tills for record in till.journal.recent(100)]
