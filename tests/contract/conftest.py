"""Every kind of reader, in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.pcsc import PcscDirectory
from simulator.reader import InProcessDesk
from tests.contract.readers import Bench, watching


@pytest.fixture(params=["inprocess", "pcsc"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A watched directory with at least two empty readers."""
    if request.param == "inprocess":
        desk = InProcessDesk()
        with watching(desk, desk) as found:
            yield found
        return
    hand = request.getfixturevalue("vpcd")
    with watching(PcscDirectory(), hand) as found:
        for reader in hand.readers():
            found.wait_for_slot(reader, "empty")
        yield found
