"""An agent, a counter and a centre for every scenario."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.reader import InProcessDesk
from tests.agents import Running, running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter


@pytest.fixture
def agent(
    tmp_path: Path, centre: CentreProcess
) -> Iterator[tuple[Running, InProcessDesk]]:
    """A hospital's agent with two readers in this process."""
    hand = InProcessDesk()
    with running(tmp_path, centre.address, {"inprocess": hand}, hand) as started:
        started.reader_ids(hand.readers())
        yield started, hand


@pytest.fixture
def counter(agent: tuple[Running, InProcessDesk]) -> Counter:
    """The same, seen from the counter, with both readers."""
    return Counter(*agent)


@pytest.fixture
def narrow(agent: tuple[Running, InProcessDesk]) -> Counter:
    """A counter with one reader only."""
    return Counter(*agent, readers=1)
