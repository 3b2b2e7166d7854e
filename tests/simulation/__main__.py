"""`python -m tests.simulation SEED [--shrink]`: the story of one seed, as short as it gets
where it breaks a promise. The exit code is 1 when it does."""

from __future__ import annotations

import logging
import sys

from tests.simulation.recipe import Recipe
from tests.simulation.shrink import shrunk, told


def main(arguments: list[str]) -> int:
    """Tell it."""
    numbers = [each for each in arguments if each.isdecimal()]
    if len(numbers) != 1 or not {*arguments} <= {*numbers, "--shrink"}:
        sys.stderr.write("usage: python -m tests.simulation SEED [--shrink]\n")
        return 2
    logging.disable()
    recipe = Recipe(int(numbers[0]))
    if "--shrink" in arguments:
        recipe = shrunk(recipe)
    story, broken = told(recipe)
    sys.stdout.write("\n".join(story) + "\n")
    sys.stdout.write(f"{broken or 'every promise held'}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
