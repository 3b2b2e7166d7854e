"""What drivers/pcsc.py makes of states and return codes that no resource manager of this
machine gives: those of Windows, and of readers that die."""

from __future__ import annotations

import pytest
from smartcard import scard

from drivers import pcsc
from drivers.errors import (
    CardProtocolError,
    CardRemovedError,
    DriverError,
    ReaderGoneError,
)
from drivers.iso7816.apdu import CommandApdu
from drivers.ports import DirectoryState, SlotState

NAME = "A reader"
EMPTY = 0x0001_0000 | scard.SCARD_STATE_EMPTY
PLUGGED_IN = 0x0001_0000  # Windows counts the readers in the high word of the PnP entry
States = list[tuple[str, int]]


class Service:
    """Answers as a script says; `states` are those of the reader, one after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *states: int) -> None:
        self.states = list(states)
        self.waits = 0
        self.transmitted = (0, [0x90, 0x00])
        for name in ("SCardListReaders", "SCardGetStatusChange", "SCardTransmit"):
            monkeypatch.setattr(scard, name, getattr(self, name))

    def SCardListReaders(self, *_: object) -> tuple[int, list[str]]:  # noqa: N802
        return 0, [NAME]

    def SCardGetStatusChange(  # noqa: N802
        self, _: int, timeout: int, asked: States
    ) -> tuple[int, list[tuple[str, int, list[int]]]]:
        """As winscard: at once when anything differs from what was asked with."""
        now = {NAME: self.states[0], pcsc.PNP_NOTIFICATION: PLUGGED_IN}
        differs = any(now[name] != state for name, state in asked)
        if not differs and timeout:
            self.waits += 1
            if len(self.states) == 1:
                unchanged = [(name, now[name], list[int]()) for name, _ in asked]
                return scard.SCARD_E_TIMEOUT, unchanged
            del self.states[0]
            now[NAME] = self.states[0]
        return 0, [(name, now[name], []) for name, _ in asked]

    def SCardTransmit(self, *_: object) -> tuple[int, list[int]]:  # noqa: N802
        return self.transmitted


def told(
    monkeypatch: pytest.MonkeyPatch, *states: int
) -> tuple[list[DirectoryState], Service]:
    """What a watch tells while the reader goes through these states."""
    service = Service(monkeypatch, *states)
    directory = pcsc.PcscDirectory()
    seen: list[DirectoryState] = []
    for state in directory._states_in(1):
        if not seen or seen[-1] != state:
            seen.append(state)
        if len(service.states) == 1 and service.waits >= len(states):
            break
    return seen, service


def test_a_reader_count_in_the_notification_is_no_news(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, service = told(monkeypatch, EMPTY)

    assert [reader.slot for state in seen for reader in state.readers] == [
        SlotState.EMPTY
    ]
    assert service.waits == 1


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(
            scard.SCARD_STATE_UNKNOWN | scard.SCARD_STATE_UNAVAILABLE, id="unplugged"
        ),
        pytest.param(scard.SCARD_STATE_UNAVAILABLE, id="given up by its driver"),
    ],
)
def test_a_reader_that_has_gone_is_no_empty_one(
    monkeypatch: pytest.MonkeyPatch, gone: int
) -> None:
    seen, _ = told(monkeypatch, EMPTY, gone)

    assert [len(state.readers) for state in seen] == [1, 0]


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        pytest.param(EMPTY, CardRemovedError, id="the card was pulled"),
        pytest.param(
            scard.SCARD_STATE_UNAVAILABLE, ReaderGoneError, id="the reader has gone"
        ),
        pytest.param(
            scard.SCARD_STATE_PRESENT, CardProtocolError, id="everything is there"
        ),
    ],
)
@pytest.mark.parametrize(
    "code",
    [0x1F, 0x16, 0x79, 0x45D, scard.SCARD_E_TIMEOUT, scard.SCARD_E_INVALID_HANDLE],
)
def test_a_code_that_only_says_no_answer_asks_for_the_cause(
    monkeypatch: pytest.MonkeyPatch, code: int, state: int, cause: type[DriverError]
) -> None:
    service = Service(monkeypatch, state, state)
    service.transmitted = (code, [])
    monkeypatch.setattr(pcsc, "_establish", lambda: 1)
    connection = pcsc.PcscConnection(pcsc.PcscReader(NAME), 1, scard.SCARD_PROTOCOL_T0)

    with pytest.raises(cause):
        connection.transmit(CommandApdu(cla=0, ins=0xB2, p1=1, p2=0, ne=18))
