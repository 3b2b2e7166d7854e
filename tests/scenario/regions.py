"""Counters in the regions as they are shipped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plugin.activation.region import Clocks
from plugin.profile_file import load_profile
from plugin.settings import Institution
from simulator.reader import InProcessDesk
from tests.agents import HOSPITAL, QUICK, running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter


@contextmanager
def counter_in(
    region: str,
    folder: Path,
    centre: CentreProcess,
    *,
    institution: Institution = HOSPITAL,
    clocks: Clocks = QUICK,
) -> Iterator[Counter]:
    """A counter with two readers in this process; the region's rules, with quick clocks."""
    hand = InProcessDesk()
    with running(
        folder,
        centre.address,
        {"inprocess": hand},
        hand,
        institution=institution,
        clocks=clocks,
        profile=load_profile(region),
    ) as started:
        yield Counter(started, hand)
