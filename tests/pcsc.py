"""The private resource manager of this test process: one, because libpcsclite looks up its
socket once and for all."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from simulator.vpcd import READER_NAMES, VpcdDesk


@pytest.fixture(scope="session")
def session_pcscd() -> Iterator[VpcdDesk]:
    """Started once per test process."""
    desk = VpcdDesk()
    os.environ.update(desk.environment)
    yield desk
    desk.close()


@pytest.fixture
def vpcd(session_pcscd: VpcdDesk) -> Iterator[VpcdDesk]:
    """The same, running and with empty readers."""
    if session_pcscd.manager.pid is None:
        session_pcscd.manager.start()
    yield session_pcscd
    for reader in READER_NAMES:
        session_pcscd.remove(reader)
