"""An agent, a counter and a centre for every scenario. The PSAM lies in this process,
whatever readers the customers' cards are put into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.pcsc import PcscDirectory
from drivers.ports import ReaderDirectory
from drivers.serial_line.directory import SerialDirectory
from plugin.activation.region import RegionProfile
from plugin.profile_file import load_profile
from simulator.reader import InProcessDesk
from simulator.serial_peer import SerialDesk
from simulator.twin import TwinHand
from simulator.vpcd import VpcdDesk
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


@pytest.fixture(params=["pcsc", "twin", "serial"])
def elsewhere(
    request: pytest.FixtureRequest, tmp_path: Path, centre: CentreProcess
) -> Iterator[Counter]:
    """A counter with readers that are not in this process: vpcd and serial ones behind the
    real pcscd, and serial ones of our own driver."""
    yield from _counter(request.param, request, tmp_path, centre)


@pytest.fixture
def serial(
    request: pytest.FixtureRequest, tmp_path: Path, centre: CentreProcess
) -> Iterator[Counter]:
    """A counter with serial readers of our own driver."""
    yield from _counter("serial", request, tmp_path, centre)


@pytest.fixture(params=["pcsc", "twin", "serial"])
def abroad(
    request: pytest.FixtureRequest, region: str, tmp_path: Path, centre: CentreProcess
) -> Iterator[Counter]:
    """The same in a region that the test names."""
    profile = load_profile(region)
    yield from _counter(request.param, request, tmp_path, centre, profile)


def _counter(
    kind: str,
    request: pytest.FixtureRequest,
    folder: Path,
    centre: CentreProcess,
    profile: RegionProfile | None = None,
) -> Iterator[Counter]:
    module = InProcessDesk()
    if kind == "serial":
        desk = SerialDesk()
        readers: dict[str, ReaderDirectory] = {
            "serial": SerialDirectory(desk.ports),
            "inprocess": module,
        }
        with running(folder, centre.address, readers, desk, profile=profile) as started:
            yield Counter(started, desk, readers=3, module=module)
        desk.close()
        return
    hand: VpcdDesk | TwinHand = request.getfixturevalue(
        "vpcd" if kind == "pcsc" else "twin"
    )
    readers = {"pcsc": PcscDirectory(), "inprocess": module}
    with running(folder, centre.address, readers, hand, profile=profile) as started:
        yield Counter(started, hand, module=module)
