"""A chip reader on a line in memory: what comes when, and what is said then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from drivers.errors import CardProtocolError, CardRemovedError, NoisyLineError
from drivers.iso7816.apdu import CommandApdu
from drivers.ports import CardConnection
from drivers.serial_line.attended import AttendedPort
from drivers.serial_line.ccid import NAK_FRAME, Kind, Message, frame
from drivers.serial_line.chip_reader import ChipReader
from drivers.serial_line.settings import PortKind, SerialPort
from tests.fuzz.hostile import HostileLine

PORT = SerialPort(kind=PortKind.CCID, port="memory")
ATR = bytes.fromhex("3B00")
CHALLENGE = CommandApdu(cla=0, ins=0x84, p1=0, p2=0, ne=8)
ANSWER = bytes(8) + b"\x90\x00"
START = (  # firmware, the slot, power, parameters
    frame(Message(Kind.ESCAPE_ANSWER, 1)),
    frame(Message(Kind.SLOT_STATUS, 2)),
    frame(Message(Kind.DATA_BLOCK, 3, data=ATR)),
    frame(Message(Kind.PARAMETERS, 4)),
)
ANSWERED = frame(Message(Kind.DATA_BLOCK, 5, data=ANSWER))
SILENCE, WOKEN = b"", None


@contextmanager
def spoken_to(
    *pieces: bytes | None,
) -> Iterator[tuple[CardConnection, HostileLine]]:
    """A card that is in, on a line on which these pieces then arrive."""
    line = HostileLine(iter((*START, *pieces)))
    port = AttendedPort(PORT, lambda: None)
    device = ChipReader(port, line.clock)
    port.device = device
    with port.begun(line):
        yield device.reader().connect(), line


def split(at: int, *between: bytes | None) -> tuple[bytes | None, ...]:
    return (ANSWERED[:at], *between, ANSWERED[at:])


@pytest.mark.parametrize("at", range(1, len(ANSWERED)))
def test_who_is_woken_in_the_middle_of_a_frame_waits_for_its_end(at: int) -> None:
    with spoken_to(*split(at, WOKEN, WOKEN)) as (card, _):
        got = card.transmit(CHALLENGE)

    assert bytes(got) == ANSWER


def test_a_frame_with_a_silence_in_it_is_garbled() -> None:
    with spoken_to(*split(12, SILENCE)) as (card, line):
        began = line.now
        with pytest.raises(NoisyLineError):
            card.transmit(CHALLENGE)

    assert line.now - began < 1.5


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param(NAK_FRAME, id="a NAK"),
        pytest.param(b"\x00" * 100, id="noise"),
        pytest.param(ANSWERED, id="the answer again"),
    ],
)
def test_what_follows_an_answer_changes_nothing(behind: bytes) -> None:
    with spoken_to(ANSWERED + behind) as (card, line):
        got = card.transmit(CHALLENGE)

    assert bytes(got) == ANSWER
    assert len(line.sent) == len(START) + 1


@pytest.mark.parametrize("outcome", [0x40, 0xC0])
def test_only_a_command_that_was_done_has_an_answer(outcome: int) -> None:
    said = Message(Kind.DATA_BLOCK, 5, bytes((outcome, 0xFD, 0)), ANSWER)

    with spoken_to(frame(said)) as (card, _), pytest.raises(CardProtocolError):
        card.transmit(CHALLENGE)


def test_a_card_that_leaves_behind_its_answer_has_left() -> None:
    with (
        spoken_to(ANSWERED + b"\x50\x02") as (card, _),
        pytest.raises(CardRemovedError),
    ):
        card.transmit(CHALLENGE)
