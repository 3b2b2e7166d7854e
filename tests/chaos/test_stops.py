"""The whole agent stands still for a while, in the middle of something, and goes on: what its
watchdogs make of that must not be a second effect (reliability, F03, F05)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.centre import CentreProcess
from tests.chaos.sale import Agent, Sale
from tests.chaos.worlds import BY_NAME, ruled

LONG = 4.0  # longer than the centre may be silent, and not quite as long as a reader
STOPS = [
    ("registration", "card.read/before:8"),
    ("registration", "send/before:1"),
    ("registration", "send/after:1"),
    ("lost-answer", "ask/before:1"),
    ("class-d", "send/after:1"),
    ("class-d", "card.verify/after:1"),
    ("initial-pin", "card.verify/before:1"),
    ("initial-pin", "card.change/before:1"),
    ("initial-pin", "card.change/after:1"),
]


@pytest.mark.parametrize(("name", "stop_at"), STOPS)
def test_stopped_for_seconds_it_goes_on_to_the_same_end(
    tmp_path: Path, centre: CentreProcess, name: str, stop_at: str
) -> None:
    world = BY_NAME[name]
    ruled(world, centre)
    with (
        Agent(tmp_path, centre, world, [f"{stop_at}:stop"]) as agent,
        ThreadPoolExecutor(1) as beside,
    ):
        waking = beside.submit(agent.go_on_after, LONG)
        sale = Sale(agent)

        end = sale.run()

        waking.result()
        assert agent.deaths == 0
        assert end == world.ends
        assert sale.spent_what_was_typed()
