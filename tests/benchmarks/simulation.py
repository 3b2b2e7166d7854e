"""Row: simulated worlds, against what proving a promise in an evening takes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from tests.benchmarks.figures import Measured, Promise, Row
from tests.simulation.lives import lived

ENOUGH = 300.0  # a second and core: a million on two cores in half an hour
SEEDS = 1_000
RATE = Promise(gate=1.0, goal=3.0, unit="seeds/s", at_least=True)


def simulation(rounds: int) -> Iterator[Row]:
    """On one core; other seeds every round."""
    logging.disable()
    measured = tuple((_rate(number * SEEDS), ENOUGH) for number in range(rounds))
    logging.disable(logging.NOTSET)
    yield Measured(
        what="simulation, on one core",
        floor_is="three hundred",
        promise=RATE,
        rounds=measured,
    )


def _rate(first: int) -> float:
    began = time.perf_counter()
    lives = lived(range(first, first + SEEDS))
    if lives.broken:
        raise RuntimeError(f"a promise was broken: {dict(lives.broken)}")
    return SEEDS / (time.perf_counter() - began)
