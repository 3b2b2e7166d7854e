"""Tells the story of a seed, and makes it short: whatever can be left out while the same
promise still breaks is left out, kinds of faults first, then people, then single faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.recipe import Fault, Recipe
from tests.simulation.world import PromiseBrokenError, World


def told(recipe: Recipe) -> tuple[list[str], PromiseBrokenError | None]:
    """What happens, line by line, and the promise that it breaks, if any."""
    story: list[str] = []
    world = World(recipe, story)
    story.insert(0, _setting(world))
    try:
        world.run()
    except PromiseBrokenError as broken:
        return story, broken
    finally:
        world.close()
    return story, None


def _setting(world: World) -> str:
    mix = world.mix
    by = "a change of PIN" if mix.by_pin else f"a centre of class {mix.letter}"
    healed = f"healed after {mix.healed_at / 1000:.0f} s"
    return f"{mix.tills} tills, {mix.cards} cards, {mix.people} people, {by}, {healed}"


def shrunk(recipe: Recipe) -> Recipe:
    """The same broken promise with as little as possible."""
    promise = _broken(recipe)
    if promise is None:
        return recipe
    while True:
        smaller = next(
            (each for each in _smaller(recipe) if _broken(each) == promise), None
        )
        if smaller is None:
            return recipe
        recipe = smaller


def _broken(recipe: Recipe) -> str | None:
    _, broken = told(recipe)
    return broken.promise if broken else None


def _smaller(recipe: Recipe) -> Iterator[Recipe]:
    for fault in Fault:
        if fault not in recipe.calm:
            yield replace(recipe, calm=recipe.calm | {fault})
    world = World(recipe)
    people, drawn = world.mix.people, 0
    try:
        world.run()
    except PromiseBrokenError:
        drawn = world.faults
    finally:
        world.close()
    for person in range(people):
        if person not in recipe.absent:
            yield replace(recipe, absent=recipe.absent | {person})
    for number in range(drawn, 0, -1):
        if number not in recipe.dropped:
            yield replace(recipe, dropped=recipe.dropped | {number})
