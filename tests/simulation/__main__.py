"""`python -m tests.simulation SEED [--shrink]`: the story of one seed, as short as it gets
where it breaks a promise. `python -m tests.simulation --count N [--from SEED]`: many seeds on
every core, and what was checked in them. The exit code is 1 when a promise is broken."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from multiprocessing import Pool

from tests.simulation.lives import Lives, lived
from tests.simulation.recipe import Recipe
from tests.simulation.shrink import shrunk, told

AT_ONCE = 1_000  # seeds of one piece of work


def say(text: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Tell it."""
    parser = argparse.ArgumentParser(prog="tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?")
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--from", dest="first", type=int, default=0)
    asked = parser.parse_args(arguments)
    if (asked.seed is None) != bool(asked.count):
        parser.error("either one seed, or --count")
    logging.disable()
    if asked.count:
        return many(range(asked.first, asked.first + asked.count))
    recipe = Recipe(asked.seed)
    if asked.shrink:
        recipe = shrunk(recipe)
    story, broken = told(recipe)
    say("\n".join(story))
    say(f"{broken or 'every promise held'}")
    return 1 if broken else 0


def many(seeds: range) -> int:
    """On every core; a line whenever another tenth is done."""
    began, lives = time.monotonic(), Lives()
    pieces = [seeds[at : at + AT_ONCE] for at in range(0, len(seeds), AT_ONCE)]
    with Pool(initializer=logging.disable) as pool:
        for number, piece in enumerate(pool.imap_unordered(lived, pieces), 1):
            lives += piece
            if number % max(1, len(pieces) // 10) == 0:
                say(f"{lives.seeds:9,} seeds  {time.monotonic() - began:6.0f} s")
    took = time.monotonic() - began
    say(
        f"{lives.faults:,} faults, {lives.crashes:,} crashes, {lives.seeds / took:,.0f} seeds/s"
    )
    for promise, times in sorted(lives.checked.items()):
        say(
            f"{promise:4} {times:11,} times checked, {len(lives.broken.get(promise, ()))} broken"
        )
    for broken in lives.broken.values():
        say("\n".join(broken))
    return 1 if any(lives.broken.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
