"""The private resource manager of this test process: one, because libpcsclite looks up its
socket once and for all. It has the readers of vpcd and, on serial lines, of libccidtwin."""

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
    if session_pcscd.manager.pid is None:
        session_pcscd.manager.start()
    for hand in (session_pcscd, TwinHand(session_twin)):
        for reader in hand.readers():
            hand.remove(reader)
    wait_until(
        lambda: all(
            each.slot is SlotState.EMPTY for each in PcscDirectory().look().readers
        )
    )
    return session_pcscd


@pytest.fixture
def twin(vpcd: VpcdDesk, session_twin: TwinDriver) -> TwinHand:
    """The hand over the serial readers of the same resource manager."""
    assert vpcd.manager.pid is not None
    return TwinHand(session_twin)
