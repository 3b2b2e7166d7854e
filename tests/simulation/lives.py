"""Many seeds, one after the other: what was checked, and what was broken."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.simulation.world import PromiseBrokenError, run


@dataclass
class Lives:
    """The sum of some runs. `checked` counts by promise; `broken` has by promise how to see
    it again."""

    seeds: int = 0
    faults: int = 0
    crashes: int = 0
    checked: Counter[str] = field(default_factory=Counter)
    broken: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __add__(self, other: Lives) -> Lives:
        broken = {
            each: [*self.broken.get(each, ()), *other.broken.get(each, ())]
            for each in {*self.broken, *other.broken}
        }
        return Lives(
            self.seeds + other.seeds,
            self.faults + other.faults,
            self.crashes + other.crashes,
            self.checked + other.checked,
            broken,
        )


def lived(seeds: Iterable[int]) -> Lives:
    """Run them all; a seed ends at the first promise it breaks."""
    lives = Lives()
    for seed in seeds:
        lives.seeds += 1
        try:
            world = run(seed)
        except PromiseBrokenError as broken:
            again = f"python -m tests.simulation {seed} --shrink"
            lives.broken[broken.promise].append(f"{broken}: {again}")
            continue
        lives.faults += world.faults
        lives.crashes += world.crashes
        lives.checked += world.checked
        world.close()
    return lives
