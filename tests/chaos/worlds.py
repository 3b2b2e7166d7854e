"""The worlds that are run without a kill, and with one at every label.

`labels.tsv` is the reviewed table: how often each verb happens in each world when nobody is
killed. A dash is a verb that this world has no use for.
"""

from __future__ import annotations

from pathlib import Path

from tests.centre import CentreProcess
from tests.chaos.sale import End, World

TABLE = Path(__file__).parent / "labels.tsv"


def _ends(
    state: str = "succeeded",
    outcome: str | None = "activated",
    problem: str | None = None,
    record: str = "ACTIVE",
    effects: int = 1,
    changes: int = 0,
) -> End:
    return End(
        state=state,
        outcome=outcome,
        problem=problem,
        records=(record,),
        effects=effects,
        changes=changes,
    )


NEEDS_A_PERSON = "activation.needs_a_person"
WORLDS = (
    World(name="registration", ends=_ends()),
    World(name="pharmacy", kind="pharmacy", scenario="pharmacy", ends=_ends()),
    World(
        name="lost-answer", faults=(("lose_answer", "activations", 1),), ends=_ends()
    ),
    World(
        name="refused",
        faults=(("refuse", "activations", None),),
        ends=_ends("failed", None, "centre.refused", "REJECTED", 0),
    ),
    World(
        name="lost-card",
        person="luo",
        ends=_ends("failed", None, "card.lost", "ABANDONED", 0),
    ),
    World(
        name="initial-pin", region="v5-initial-pin", ends=_ends(effects=0, changes=1)
    ),
    World(name="visit", region="v6-registration", ends=_ends(effects=0)),
    World(name="class-d", region="v3-old-pin", ends=_ends()),
    World(
        name="class-d-lost-answer",
        region="v3-old-pin",
        faults=(("lose_answer", "enable", 1),),
        ends=_ends("in_doubt", None, NEEDS_A_PERSON, "MANUAL"),
    ),
)
BY_NAME = {world.name: world for world in WORLDS}


def hits() -> dict[tuple[str, str], int]:
    """The table: by world and verb."""
    head, *rows = TABLE.read_text(encoding="utf-8").splitlines()
    worlds = head.split("\t")[1:]
    return {
        (world, verb): 0 if cell == "-" else int(cell)
        for verb, *cells in (row.split("\t") for row in rows)
        for world, cell in zip(worlds, cells, strict=True)
    }


def ruled(world: World, centre: CentreProcess) -> None:
    """Order the world's faults."""
    for fault, operation, times in world.faults:
        centre.misbehave(fault, operation, times=times)
