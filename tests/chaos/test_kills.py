"""Killed at every label, started again, carried on with: the end is that of a run in which
nobody was killed (reliability, J2, A1, A2).

The ring kills at every label once in two worlds, and in every world where a card or the centre
is about to change. KAQI_KILLS=n kills in every world, the first n times each label is passed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.centre import CentreProcess
from tests.chaos.labels import LABELS, VERBS
from tests.chaos.sale import Agent, End, Sale, World
from tests.chaos.worlds import BY_NAME, NEEDS_A_PERSON, WORLDS, hits, ruled

KILLS = int(os.environ.get("KAQI_KILLS", "0"))
EVERYWHERE = ("journal.save.SENDING", "send", "card.change", "journal.save.ACTIVE")

# A class D centre is sent one message and can be asked nothing. Who dies between SENDING and
# the answer's commit leaves the matter to a person; so many effects the centre has by then.
TO_A_PERSON = {
    "journal.save.SENDING/after": 0,
    "tell.activation.changed/before": 0,
    "tell.activation.changed/after": 0,
    "pin.told/after": None,  # the deciding thread has gone on to SENDING inside
    "send.handed/before": 0,
    "send.handed/after": None,  # the message races with the kill
    "send/before": 0,
    "send/after": 1,
    "send.decided/before": 1,
    "journal.save.ACTIVE/before": 1,
    "journal.save.UNKNOWN/before": 1,
    "journal.save.MANUAL/before": 1,
}


def points() -> Iterator[tuple[str, str]]:
    """Worlds, and the labels that they pass, as often as is wanted."""
    table = hits()
    for number, verb in enumerate(VERBS):
        worlds = [each.name for each in WORLDS if table[each.name, verb]]
        if not KILLS and verb not in EVERYWHERE:
            turned = number % len(worlds)
            worlds = (worlds[turned:] + worlds[:turned])[:2]
        for world in worlds:
            for hit in range(1, min(table[world, verb], KILLS or 1) + 1):
                for side in ("before", "after"):
                    yield world, f"{verb}/{side}:{hit}"


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_nobody_is_killed(tmp_path: Path, centre: CentreProcess, world: World) -> None:
    ruled(world, centre)
    with Agent(tmp_path, centre, world) as agent:
        sale = Sale(agent)

        end = sale.run()

        assert end == world.ends
        passed = agent.passed()
        table = hits()
    for verb in VERBS:
        times = table[world.name, verb]
        assert passed[f"{verb}/before"] == times, verb
        assert passed[f"{verb}/after"] == times, verb
    assert passed.keys() <= set(LABELS)


def test_every_label_is_passed_in_some_world() -> None:
    table = hits()

    passed = {verb for (_, verb), times in table.items() if times}

    assert passed == set(VERBS)
    assert {world for world, _ in table} == BY_NAME.keys()


@pytest.mark.parametrize(("name", "crash_at"), list(points()))
def test_j2_killed_there_it_ends_as_if_nobody_had_been(
    tmp_path: Path, centre: CentreProcess, name: str, crash_at: str
) -> None:
    world = BY_NAME[name]
    ruled(world, centre)
    with Agent(tmp_path, centre, world, [crash_at]) as agent:
        sale = Sale(agent)

        end = sale.run()

        assert agent.deaths == 1
        assert sale.spent_what_was_typed()
        assert end in allowed(world, crash_at), end
        told_again(sale, end)


SECOND_DEATHS = [
    *(
        ("lost-answer", first, second)
        for first in ("send/before", "send/after", "journal.save.UNKNOWN/after")
        for second in ("ask/before", "ask/after", "journal.save.ACTIVE/before")
    ),
    ("registration", "journal.save.SENDING/after", "journal.save.UNKNOWN/before"),
    ("registration", "send/after", "journal.save.UNKNOWN/after"),
    ("refused", "send.decided/before", "ask.decided/before"),
    ("refused", "send/after", "journal.save.REJECTED/before"),
    ("initial-pin", "card.change/before", "card.verify/after"),
    ("initial-pin", "card.change/after", "card.verify/before"),
    ("initial-pin", "journal.tear/after", "journal.save.ABANDONED/after"),
    ("class-d", "send/after", "journal.save.MANUAL/before"),
]


@pytest.mark.parametrize(("name", "first", "second"), SECOND_DEATHS)
def test_killed_again_while_it_recovers(
    tmp_path: Path, centre: CentreProcess, name: str, first: str, second: str
) -> None:
    world = BY_NAME[name]
    ruled(world, centre)
    with Agent(tmp_path, centre, world, [first, second]) as agent:
        sale = Sale(agent)

        end = sale.run()

        assert agent.deaths == 2  # a third would make it a person's
        assert sale.spent_what_was_typed()
        assert end in allowed(world, first), end


def told_again(sale: Sale, end: End) -> None:
    """The last key is answered as the sale ended, by whoever lives."""
    now = sale.begun_with_the_last_key()
    assert (now.state, now.outcome) == (end.state, end.outcome)


def allowed(world: World, crash_at: str) -> list[End]:
    """The ends that are right."""
    ends = [world.ends]
    label = crash_at.partition(":")[0]
    if world.region == "v3-old-pin" and label in TO_A_PERSON:
        effects = TO_A_PERSON[label]
        ends += [
            replace(
                world.ends,
                state="in_doubt",
                outcome=None,
                problem=NEEDS_A_PERSON,
                records=("MANUAL",),
                effects=each,
            )
            for each in ((0, 1) if effects is None else (effects,))
        ]
    if (
        world.name == "visit"
    ):  # nobody was asked again, and HIS has registered all the same
        said = "will_activate_on_registration"
        ends.append(replace(world.ends, outcome=said, records=("ABANDONED",)))
    return ends
