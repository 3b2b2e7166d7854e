"""The private resource manager of this test process: one, because libpcsclite looks up its
socket once and for all. So no test may ask libpcsclite in this process without the fixture:
every later one would find no service. The manager has the readers of vpcd and, on serial
lines, of libccidtwin."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from drivers.pcsc import PcscDirectory
from drivers.ports import SlotState
from simulator.twin import TwinDriver, TwinHand
from simulator.vpcd import VpcdDesk
from tests.waiting import wait_until


@pytest.fixture(scope="session")
def session_twin() -> Iterator[TwinDriver]:
    """Lines that live as long as the resource manager."""
    driver = TwinDriver()
    yield driver
    driver.close()


@pytest.fixture(scope="session")
def session_pcscd(session_twin: TwinDriver) -> Iterator[VpcdDesk]:
    """Started once per test process."""
    desk = VpcdDesk(session_twin)
    os.environ.update(desk.environment)
    yield desk
    desk.close()


@pytest.fixture
def vpcd(session_pcscd: VpcdDesk, session_twin: TwinDriver) -> VpcdDesk:
    """The same, running, with empty readers that the manager knows to be empty."""
    if session_pcscd.manager.pid is None:  # stopped by a test, or dead of itself
        session_pcscd.manager.stop()
        session_pcscd.manager.start()
    for hand in (session_pcscd, TwinHand(session_twin)):
        for reader in hand.readers():
            hand.remove(reader)
    wait_until(all_are_empty)
    return session_pcscd


def all_are_empty() -> bool:
    """Whether the manager has readers, and no card in any."""
    slots = [each.slot for each in PcscDirectory().look().readers]
    return bool(slots) and set(slots) == {SlotState.EMPTY}


@pytest.fixture
def twin(vpcd: VpcdDesk, session_twin: TwinDriver) -> TwinHand:
    """The hand over the serial readers of the same resource manager."""
    assert vpcd.manager.pid is not None
    return TwinHand(session_twin)
