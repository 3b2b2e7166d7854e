"""The private resource manager of this test process: one, because libpcsclite looks up its
socket once and for all."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from drivers.pcsc import PcscDirectory
from drivers.ports import SlotState
from simulator.vpcd import READER_NAMES, VpcdDesk
from tests.waiting import wait_until


@pytest.fixture(scope="session")
def session_pcscd() -> Iterator[VpcdDesk]:
    """Started once per test process."""
    desk = VpcdDesk()
    os.environ.update(desk.environment)
    yield desk
    desk.close()


@pytest.fixture
def vpcd(session_pcscd: VpcdDesk) -> VpcdDesk:
    """The same, running, with empty readers that the manager knows to be empty."""
    if session_pcscd.manager.pid is None:
        session_pcscd.manager.start()
    for reader in READER_NAMES:
        session_pcscd.remove(reader)
    wait_until(
        lambda: all(
            each.slot is SlotState.EMPTY for each in PcscDirectory().look().readers
        )
    )
    return session_pcscd
