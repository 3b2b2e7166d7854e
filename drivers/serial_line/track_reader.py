"""A reader of magnetic stripes on a serial line. A pass of a card can be read once, and
is forgotten after a few seconds.

The driver makes up an answer to reset, as readers do for memory cards, and answers one
pseudo-APDU: `FF B2 track 00 00` with the characters of that track.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from drivers.errors import DriverError, NoCardError, NoKeypadError, SwipeError
from drivers.iso7816.apdu import READ_RECORD, CommandApdu, ResponseApdu
from drivers.iso7816.status_word import (
    RECORD_NOT_FOUND,
    SUCCESS,
    UNKNOWN_CLA,
    UNKNOWN_INS,
)
from drivers.ports import (
    Disposition,
    PinEntry,
    PinOperation,
    ReaderStatus,
    SlotState,
)
from drivers.serial_line.attended import AttendedPort
from drivers.serial_line.line import Line
from drivers.serial_line.magstripe import BUFFER_MAX, Swipe, swiped

ATR = b"\x3b\x05TRACK"
QUIET_SECONDS = 0.1  # and a pass is over
PASS_SECONDS = 2.0
HELD_SECONDS = 5.0
IDLE_SECONDS = 1.0
PSEUDO_CLASS = 0xFF


class TrackReader:
    """The reader and the last pass. Called by whoever has the port's turn. `clock` counts
    the seconds that the line waits."""

    def __init__(
        self, port: AttendedPort, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.port = port
        self._clock = clock
        self._line: Line
        self._swipe: Swipe | None = None
        self._stay = 0
        self._since = 0.0

    def begin(self, line: Line) -> None:
        """Such a reader says nothing until a card passes."""
        self._line = line
        self._swipe = None

    def listen(self) -> None:
        """Until a card has passed, or the last one is forgotten."""
        came = self._line.read(IDLE_SECONDS if self._swipe is None else QUIET_SECONDS)
        if came:
            self._swipe = swiped(self._rest_of(came), self.port.settings.lrc)
            self._stay += 1
            self._since = self._clock()
        elif self._clock() - self._since > HELD_SECONDS:
            self._swipe = None

    def _rest_of(self, came: bytes) -> bytes:
        """A pass comes in pieces, and is over when the line is quiet."""
        deadline = self._clock() + PASS_SECONDS
        while len(came) <= BUFFER_MAX and self._clock() < deadline:
            more = self._line.read(QUIET_SECONDS)
            if more == b"":
                break
            came += more or b""  # woken is not quiet
        return came

    def status(self) -> ReaderStatus:
        """A pass is there until it is read, or forgotten."""
        name = self.port.settings.shown_name
        if self._swipe is None:
            return ReaderStatus(name, SlotState.EMPTY, self._stay)
        return ReaderStatus(name, SlotState.SWIPED, self._stay, ATR)

    def reader(self) -> SwipeReader:
        """For one thread to own."""
        return SwipeReader(self)

    def taken(self) -> Swipe:
        """The last pass, for one reading. Raises NoCardError, SwipeError."""
        swipe, self._swipe = self._swipe, None
        self.port.tell(self.status(), None)
        if swipe is None:
            raise NoCardError
        if not swipe.whole:
            raise SwipeError
        return swipe


class SwipeReader:
    """What passed last, for the thread that owns it."""

    def __init__(self, device: TrackReader) -> None:
        self._device = device
        self.name = device.port.settings.shown_name

    def connect(self) -> SwipeConnection:
        """Take the pass: nobody reads it a second time."""
        with self._device.port.turn():
            return SwipeConnection(self._device.taken())

    def stalled(self) -> DriverError:
        """It waits for nothing."""
        return self._device.port.trouble or NoCardError()

    def close(self) -> None:
        """Nothing is held."""


class SwipeConnection:
    """The tracks of one pass."""

    atr = ATR

    def __init__(self, swipe: Swipe) -> None:
        self._swipe = swipe

    def transmit(self, command: CommandApdu) -> ResponseApdu:
        """`FF B2 track 00 00`: the characters between the sentinels; 6A83 without."""
        if command.cla != PSEUDO_CLASS:
            return ResponseApdu(b"", UNKNOWN_CLA)
        if command.ins != READ_RECORD:
            return ResponseApdu(b"", UNKNOWN_INS)
        track = self._swipe.tracks.get(command.p1)
        if track is None:
            return ResponseApdu(b"", RECORD_NOT_FOUND)
        return ResponseApdu(track.encode("ascii"), SUCCESS)

    def keypad(self) -> frozenset[PinOperation]:
        """There is none."""
        return frozenset()

    def enter_pin(self, entry: PinEntry) -> ResponseApdu:
        """There is no keypad."""
        raise NoKeypadError(str(entry.command))

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """The pass is ours alone."""
        yield

    def close(self, disposition: Disposition = Disposition.LEAVE) -> None:
        """Forget it."""
        del disposition
        self._swipe = Swipe()
