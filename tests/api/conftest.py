"""A pharmacy's agent whose browser page is listed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.reader import InProcessDesk
from tests.agents import PHARMACY, Pos, Running, running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter

LISTED = "https://his.example"


@pytest.fixture
def hand() -> InProcessDesk:
    return InProcessDesk()


@pytest.fixture
def agent(
    tmp_path: Path, centre: CentreProcess, hand: InProcessDesk
) -> Iterator[Running]:
    directories = {"inprocess": hand}
    with running(
        tmp_path,
        centre.address,
        directories,
        hand,
        institution=PHARMACY,
        origins=frozenset({LISTED}),
    ) as started:
        started.reader_ids(hand.readers())
        yield started


@pytest.fixture(scope="session")
def shared_agent(
    tmp_path_factory: pytest.TempPathFactory, session_centre: CentreProcess
) -> Iterator[Running]:
    """One for all tests that change nothing."""
    hand = InProcessDesk()
    with running(
        tmp_path_factory.mktemp("shared"),
        session_centre.address,
        {"inprocess": hand},
        hand,
        institution=PHARMACY,
        origins=frozenset({LISTED}),
    ) as started:
        yield started


@pytest.fixture
def pos(agent: Running) -> Pos:
    return agent.pos


@pytest.fixture
def counter(agent: Running, hand: InProcessDesk) -> Counter:
    return Counter(agent, hand)
