"""A chip card reader on a serial line: GemPC Twin and what is framed like it (CCID 1.1;
performance, 3). One slot, T=0, the card at the speed of its reset.

Every wait has an end of its own, far below the minutes that drivers of the system allow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from drivers.errors import (
    CardProtocolError,
    CardRemovedError,
    DriverError,
    ForeignProtocolError,
    LostEchoError,
    MuteCardError,
    NoCardError,
    NoisyLineError,
    NoKeypadError,
    NotAReaderError,
    PinCancelledError,
    PinTimeoutError,
    ReaderTimeoutError,
    RefusedFramesError,
)
from drivers.iso7816.apdu import (
    SHORT_NC_MAX,
    SHORT_NE_MAX,
    ApduError,
    CommandApdu,
    ResponseApdu,
)
from drivers.iso7816.atr import INVERSE_CONVENTION, Atr, AtrError
from drivers.keypad import ccid_structure, unless_refused
from drivers.ports import (
    Disposition,
    PinEntry,
    PinOperation,
    ReaderStatus,
    SlotState,
)
from drivers.serial_line.attended import AttendedPort
from drivers.serial_line.ccid import (
    Ear,
    Echo,
    Failure,
    Heard,
    Icc,
    Kind,
    Message,
    MoreTime,
    Moved,
    Nak,
    Noise,
    Outcome,
    frame,
)
from drivers.serial_line.line import Line

HELLO_SECONDS = 0.5
HELLOS = 3
ANSWER_SECONDS = 4.0  # of one command, whatever the card asks for
QUIET_SECONDS = 3.0  # without any sign of life
NOISY_SECONDS = 1.0  # what was garbled is not said again
INTER_BYTE_SECONDS = 0.2
LAST_WORDS_SECONDS = 0.5  # what a reader still says of a card that has left
KEYPAD_EXTRA_SECONDS = 5.0
POLL_SECONDS = 1.0  # a movement that nobody told of costs this much and no more
NAKS_MAX = 3
NOISE_MAX = 64
FIRMWARE = b"\x02"
VOLTAGES = (1, 2, 3)  # bPowerSelect: 5 V, 3 V, 1.8 V
RESET_SPEED = 0x11  # F = 372, D = 1
WAITING_TIME = 0x0A  # ISO 7816-3, 10.2, when there is no TC2
_KEYPAD_FAILURES: dict[int, type[DriverError]] = {
    Failure.PIN_CANCELLED: PinCancelledError,
    Failure.PIN_TIMEOUT: PinTimeoutError,
}


class ChipReader:
    """The reader and its slot. Its methods are called by whoever has the port's turn.
    `clock` counts the seconds that the line waits."""

    def __init__(
        self, port: AttendedPort, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.port = port
        self.stay = 0
        self._clock = clock
        self._line: Line
        self._ear = Ear()
        self._sequence = 0
        self._last_exchange = 0.0
        self._echoes: bool | None = None  # None until the first answer
        self._present = False
        self._unseen = False  # a card has come, and nobody has powered it yet
        self._atr = b""

    # The device of a port

    def begin(self, line: Line) -> None:
        """Ask who is there; learn whether the reader echoes; look at the slot."""
        self._line, self._ear, self._echoes = line, Ear(), None
        self._present = False
        for attempt in range(1, HELLOS + 1):
            try:
                self.exchange(Kind.ESCAPE, FIRMWARE, seconds=HELLO_SECONDS)
                break
            except ReaderTimeoutError:
                if attempt == HELLOS:
                    raise NotAReaderError(self.port.settings.port) from None
        self._poll()

    def listen(self) -> None:
        """Until the reader says something; ask it now and then."""
        if self._unseen:
            self._look_at_card()
            return
        for heard in self._hear(POLL_SECONDS):
            if isinstance(heard, Moved):
                self._moved(heard)
        if self._unseen:
            self._look_at_card()
        elif self._clock() - self._last_exchange >= POLL_SECONDS:
            self._poll()

    def status(self) -> ReaderStatus:
        """The slot now."""
        name = self.port.settings.shown_name
        if not self.has_card:
            return ReaderStatus(name, SlotState.EMPTY, self.stay)
        slot = SlotState.PRESENT if self._atr else SlotState.MUTE
        return ReaderStatus(name, slot, self.stay, self._atr)

    def reader(self) -> SerialReader:
        """For one thread to own."""
        return SerialReader(self)

    # The slot

    def _poll(self) -> None:
        icc = self.exchange(Kind.GET_SLOT_STATUS).icc
        there = icc != Icc.ABSENT
        if there != self._present:
            self._moved(Moved(inserted=there))
        if self._unseen:
            self._look_at_card()

    def _moved(self, moved: Moved) -> None:
        if moved.inserted:
            self.stay += 1
        self._present = self._unseen = moved.inserted
        self._atr = b""

    def _look_at_card(self) -> None:
        """Power it and take its answer to reset; a card that gives none is mute."""
        self._unseen = False
        try:
            self._atr = self._power_on()
        except (MuteCardError, CardProtocolError):
            self._atr = b""
        except CardRemovedError:
            self._present = False

    def _power_on(self) -> bytes:
        for voltage in VOLTAGES:
            got = self.exchange(Kind.ICC_POWER_ON, specific=bytes((voltage, 0, 0)))
            if got.outcome != Outcome.DONE:
                if got.icc == Icc.ABSENT:
                    raise CardRemovedError
                continue
            try:
                atr = Atr.parse(got.data)
            except AtrError:
                continue
            self._set_parameters(atr)
            return atr.raw
        raise MuteCardError

    def _set_parameters(self, atr: Atr) -> None:
        """What the reader must know of a T=0 card before the first command."""
        found = atr.interface
        parameters = (
            found.get("TA1", RESET_SPEED) if "TA2" in found else RESET_SPEED,
            0x02 if atr.raw[0] == INVERSE_CONVENTION else 0x00,
            found.get("TC1", 0),
            found.get("TC2", WAITING_TIME),
            0,
        )
        if 0 in atr.protocols:
            self.exchange(Kind.SET_PARAMETERS, bytes(parameters))

    @property
    def has_card(self) -> bool:
        """Whether a card is in that was powered."""
        return self._present and not self._unseen

    def check(self, stay: int) -> None:
        """Raise CardRemovedError when the card of that stay is gone."""
        if not self.has_card or stay != self.stay:
            raise CardRemovedError

    def card(self) -> Atr:
        """The card that is in. Raises NoCardError, MuteCardError, ForeignProtocolError."""
        if not self.has_card:
            raise NoCardError
        if not self._atr:
            raise MuteCardError
        atr = Atr.parse(self._atr)
        if 0 not in atr.protocols:
            raise ForeignProtocolError
        return atr

    def reset(self) -> None:
        """Power off and on: every security state on the card is void."""
        self.exchange(Kind.ICC_POWER_OFF)
        self._look_at_card()

    # One command and its answer

    def exchange(
        self,
        kind: Kind,
        data: bytes = b"",
        specific: bytes = bytes(3),
        seconds: float = ANSWER_SECONDS,
        quiet: float = QUIET_SECONDS,
    ) -> Message:
        """Send a command, wait for its answer: so many seconds at most, and so many
        without a sign of life. Raises DriverError."""
        self._sequence = self._sequence + 1 & 0xFF
        command = Message(kind, self._sequence, specific, data)
        try:
            return self._answer(command, seconds, quiet)
        finally:
            self._last_exchange = self._clock()

    def _answer(self, command: Message, seconds: float, quiet: float) -> Message:
        waiting = _Waiting(command, self._echoes, seconds, quiet, self._clock)
        framed = frame(command)
        self._say(framed)
        while (left := waiting.seconds_left()) > 0:
            for heard in self._hear(left):
                if isinstance(heard, Moved):
                    self._moved(heard)
                if waiting.answer is None and waiting.wants_it_again(heard):
                    self._say(framed)
            if waiting.answer is not None:
                self._echoes = waiting.echoed
                return waiting.answer
        raise waiting.why_nothing_came()

    def _say(self, framed: bytes) -> None:
        self._ear.said(framed)
        self._line.write(framed)

    def _hear(self, seconds: float) -> list[Heard]:
        """What comes within so many seconds, as soon as it is something."""
        middle = self._ear.in_the_middle
        came = self._line.read(min(seconds, INTER_BYTE_SECONDS) if middle else seconds)
        return self._ear.give_up() if came == b"" else self._ear.hear(came or b"")


class _Waiting:
    """For the answer to one command: what was heard so far, and how long it may take.
    `echoes` says whether the reader repeats commands; None when that is to be found out."""

    def __init__(
        self,
        command: Message,
        echoes: bool | None,
        seconds: float,
        quiet: float,
        clock: Callable[[], float],
    ) -> None:
        now = clock()
        self.answer: Message | None = None
        self.echoed = False
        self._command = command
        self._must_echo = echoes is True
        self._quiet = quiet
        self._clock = clock
        self._deadline, self._silent = now + seconds, now + quiet
        self._naks = self._noise = 0
        self._left = False

    def seconds_left(self) -> float:
        """Until nobody waits any more."""
        return min(self._deadline, self._silent) - self._clock()

    def wants_it_again(self, heard: Heard) -> bool:
        """Take in what was heard; whether the command must be sent again. Raises
        DriverError when there is no use in waiting."""
        match heard:
            case Message() if heard.answers(self._command):
                self._answered(heard)
            case Echo():
                self.echoed = True
            case Message() if (
                heard == self._command
            ):  # a card moved in the middle of it
                self.echoed = True
            case MoreTime() if not self._noise:
                self._silent = self._clock() + self._quiet
            case Moved(inserted=False):
                self._left = True
                self._not_longer_than(LAST_WORDS_SECONDS)
            case Nak():
                self._naks += 1
                if self._naks > NAKS_MAX:
                    raise RefusedFramesError
                self.echoed = False
                return True
            case Message() | Noise():
                self._noise += 1
                if self._noise > NOISE_MAX:
                    raise NoisyLineError
                if self._quiet <= QUIET_SECONDS:  # no person is typing
                    self._not_longer_than(NOISY_SECONDS)
            case _:
                pass
        return False

    def _answered(self, heard: Message) -> None:
        if self._must_echo and not self.echoed:
            raise LostEchoError
        if heard.outcome == Outcome.TIME_EXTENSION:
            self._silent = self._clock() + self._quiet
        else:
            self.answer = heard

    def _not_longer_than(self, seconds: float) -> None:
        self._deadline = min(self._deadline, self._clock() + seconds)

    def why_nothing_came(self) -> DriverError:
        """The cause, when the time is over."""
        if self._left:
            return CardRemovedError()
        return NoisyLineError() if self._noise else ReaderTimeoutError()


class SerialReader:
    """The slot, for the thread that owns it."""

    def __init__(self, device: ChipReader) -> None:
        self._device = device
        self.name = device.port.settings.shown_name

    def connect(self) -> SerialConnection:
        """The card is powered since it came."""
        with self._device.port.turn():
            atr = self._device.card()
            return SerialConnection(self._device, atr.raw, self._device.stay)

    def stalled(self) -> DriverError:
        """Nobody else has this port."""
        return self._device.port.trouble or ReaderTimeoutError()

    def close(self) -> None:
        """Nothing is held."""


class SerialConnection:
    """A conversation with one card, for as long as it stays."""

    def __init__(self, device: ChipReader, atr: bytes, stay: int) -> None:
        self._device = device
        self._stay = stay
        self.atr = atr

    def transmit(self, command: CommandApdu) -> ResponseApdu:
        """One TPDU of T=0."""
        return self._exchange(Kind.XFR_BLOCK, tpdu(command))

    def keypad(self) -> frozenset[PinOperation]:
        """All of it, where the settings say that there is one."""
        there = self._device.port.settings.keypad
        return frozenset(PinOperation) if there else frozenset()

    def enter_pin(self, entry: PinEntry) -> ResponseApdu:
        """PC_to_RDR_Secure."""
        if entry.operation not in self.keypad():
            raise NoKeypadError
        seconds = entry.seconds + KEYPAD_EXTRA_SECONDS
        asked = ccid_structure(entry)
        return unless_refused(self._exchange(Kind.SECURE, asked, seconds, seconds))

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """The port is ours meanwhile."""
        with self._device.port.turn():
            yield

    def close(self, disposition: Disposition = Disposition.LEAVE) -> None:
        """A reset voids the card's security state."""
        if disposition is Disposition.LEAVE:
            return
        try:
            with self._device.port.turn():
                self._device.check(self._stay)
                self._device.reset()
        except DriverError:
            return  # the card, or the reader, has gone: its state with it

    def _exchange(
        self,
        kind: Kind,
        data: bytes,
        seconds: float = ANSWER_SECONDS,
        quiet: float = QUIET_SECONDS,
    ) -> ResponseApdu:
        device = self._device
        with device.port.turn():
            device.check(self._stay)
            try:
                got = device.exchange(kind, data, seconds=seconds, quiet=quiet)
            finally:
                if not device.has_card:
                    device.port.tell(device.status(), None)
            device.check(self._stay)
            if got.outcome != Outcome.DONE:
                raise _why(kind, got)
        try:
            return ResponseApdu.parse(got.data)
        except ApduError as wrong:
            raise CardProtocolError(str(wrong)) from wrong


def _why(kind: Kind, got: Message) -> DriverError:
    """The cause of a command that failed."""
    if got.icc == Icc.ABSENT:
        return CardRemovedError()
    if kind is Kind.SECURE and got.failure in _KEYPAD_FAILURES:
        return _KEYPAD_FAILURES[got.failure]()
    return CardProtocolError(f"bError {got.failure:02X}")


def tpdu(command: CommandApdu) -> bytes:
    """A short command as T=0 carries it (ISO 7816-3, 12.2): always five bytes in front,
    and no Le behind data, which GET RESPONSE fetches. Raises CardProtocolError."""
    if len(command.data) > SHORT_NC_MAX or (command.ne or 0) > SHORT_NE_MAX:
        raise CardProtocolError("T=0 carries short commands only")
    if command.data:
        return command.header + bytes((len(command.data),)) + command.data
    return command.header + bytes(((command.ne or 0) & 0xFF,))
