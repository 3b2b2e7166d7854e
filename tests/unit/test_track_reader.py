"""A track reader on a line in memory: when a pass begins, when it is over, how long it lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat

import pytest

from drivers.errors import NoCardError, SwipeError
from drivers.iso7816.apdu import CommandApdu
from drivers.ports import SlotState
from drivers.serial_line.attended import AttendedPort
from drivers.serial_line.settings import PortKind, SerialPort
from drivers.serial_line.track_reader import HELD_SECONDS, TrackReader
from tests.fuzz.hostile import HostileLine

PORT = SerialPort(kind=PortKind.TRACKS, port="memory")
TRACK_2 = CommandApdu(cla=0xFF, ins=0xB2, p1=2, p2=0, ne=256)
SILENCE, WOKEN = b"", None


@contextmanager
def passed(
    arriving: Iterator[bytes | None],
) -> Iterator[tuple[TrackReader, HostileLine]]:
    """A reader on a line on which these pieces arrive, the first pass listened to."""
    line = HostileLine(arriving)
    port = AttendedPort(PORT, lambda: None)
    device = TrackReader(port, line.clock)
    port.device = device
    with port.begun(line):
        device.listen()
        yield device, line


def track(device: TrackReader) -> bytes:
    return device.reader().connect().transmit(TRACK_2).data


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param((b";123=4?\r",), id="at once"),
        pytest.param((b";12", b"3=4", b"?\r"), id="in pieces"),
        pytest.param((b";12", WOKEN, b"3=4?", WOKEN, b"\r"), id="woken in the middle"),
    ],
)
def test_a_pass_is_one_however_it_comes(pieces: tuple[bytes | None, ...]) -> None:
    with passed(iter(pieces)) as (device, _):
        assert device.status().slot is SlotState.SWIPED
        assert track(device) == b"123=4"


def test_a_pass_is_read_once() -> None:
    with passed(iter((b";123=4?\r",))) as (device, _):
        track(device)

        assert device.status().slot is SlotState.EMPTY
        with pytest.raises(NoCardError):
            track(device)


def test_a_pass_with_a_pause_in_it_has_failed() -> None:
    with (
        passed(iter((b";123", SILENCE, b"=4?\r"))) as (device, _),
        pytest.raises(SwipeError),
    ):
        track(device)


def test_a_pass_that_nobody_reads_is_forgotten() -> None:
    with passed(iter((b";123=4?\r",))) as (device, line):
        while device.status().slot is SlotState.SWIPED:
            device.listen()

        assert HELD_SECONDS < line.now < HELD_SECONDS + 0.5


def test_the_next_pass_is_another_stay() -> None:
    with passed(iter((b";1?\r", SILENCE, b";2?\r"))) as (device, _):
        first = device.status()
        device.listen()

        assert device.status().stay != first.stay
        assert track(device) == b"2"


def test_a_pass_without_an_end_has_one() -> None:
    with passed(repeat(b";")) as (device, line):
        took = line.now
        with pytest.raises(SwipeError):
            track(device)

    assert took < HELD_SECONDS
