"""The far end of a CCID line: a reader as GemPC Twin frames it, made of software (domain
facts, 7.2; performance, 3). The real resource manager takes it for one.

Answers what such readers answer, at T=0 and without negotiating anything, and misbehaves
when told to.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from drivers.errors import PinCancelledError, PinEntryError, PinTimeoutError
from drivers.iso7816.apdu import CommandApdu
from drivers.ports import PinEntry
from simulator.card.memory_card import MemoryEngine
from simulator.card.tpdu import T0, characters
from simulator.keypad import Keypad
from simulator.pty_line import PtyLine
from simulator.scenario import Card, CardPulledError

FRAME_START = b"\x03\x06"
NAK_FRAME = b"\x03\x15\x16"
HEADER = 10
REMOVED, INSERTED = b"\x50\x02", b"\x50\x03"
MORE_TIME = b"\x80"
NOISE = bytes.fromhex("0007FF4103064242")  # among it the beginning of a frame
SECONDS_PER_CHARACTER = 12 * 372 / 3_571_200  # at the speed of the reset
ESCAPE_ECHO_MAX = 33
FIRMWARE = b"GemPC Twin simulated"
Answered = tuple[int, int, int, bytes]  # type of the answer, bStatus, bError, data
ACTIVE, INACTIVE, ABSENT = 0, 1, 2
DONE, FAILED = 0x00, 0x40
MUTE, PIN_CANCELLED, PIN_TIMEOUT, WRONG_SLOT, UNKNOWN = 0xFE, 0xEF, 0xF0, 0x05, 0x00


@dataclass
class Misbehaviour:
    """What goes wrong from now on; numbers count down to nothing."""

    naks: int = 0
    without_echo: bool = False
    wrong_lrc: int = 0
    wrong_sequence: int = 0
    noise: bool = False
    silent: bool = False
    time_extensions: int = 0
    moves_in_frame: bool = False  # tells of a movement in the middle of the next answer
    bytewise: bool = False  # every byte by itself, as they come over a slow line


class CcidPeer:
    """One reader. `echoes` is how GemPC Twin and the PIN pad are, GemCore POS Pro is not,
    which has `slots` beside the first that stay empty.
    `paced` takes the time that characters take at the speed of the reset."""

    def __init__(
        self,
        line: PtyLine,
        *,
        echoes: bool = True,
        slots: int = 1,
        keypad: Keypad | None = None,
        paced: bool = False,
    ) -> None:
        self.line = line
        self.keypad = keypad
        self.wrong = Misbehaviour()
        self.frames = 0
        self.parameters = b""  # what the reader was told of the card
        self.needs_voltage = 0  # bPowerSelect that the card needs; any will do for 0
        self._echoes = echoes
        self._slots = slots
        self._paced = paced
        self._notifies = True
        self._owed = b""  # a movement to tell of in synchronous mode
        self._card: Card | None = None
        self._contacts: T0 | None = None
        self._powered = False
        self._held = b""
        self._overslept = 0.0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._answers: dict[int, Callable[[bytes], Answered]] = {
            0x61: self._set_parameters,
            0x62: self._power_on,
            0x63: self._power_off,
            0x65: lambda _: (0x81, self._status(), 0, b""),
            0x69: self._secure,
            0x6B: self._escape,
            0x6F: self._transfer,
        }
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    # The hand

    @property
    def occupied(self) -> bool:
        """Whether a card is in."""
        return self._card is not None

    def insert(self, card: Card) -> None:
        """Put a card in. Raises ValueError when the slot is taken."""
        with self._lock:
            if self._card is not None:
                raise ValueError("there is a card in this reader")
            self._card, self._contacts, self._powered = card, T0(card), False
            self._moved(INSERTED)

    def remove(self) -> None:
        """Take the card out; nothing happens when there is none."""
        with self._lock:
            if self._card is not None:
                self._leave()

    def unplug(self) -> None:
        """Pull the plug; the card goes with it."""
        with self._lock:
            self._card = self._contacts = None
            self.line.unplug()

    def plug(self) -> None:
        """Plug it in again."""
        with self._lock:
            self._held = self._owed = b""
            self.line.plug()
            self.line.wake()

    def close(self) -> None:
        """End the reader."""
        self._closed.set()
        self.line.wake()
        self._thread.join(5.0)
        self.line.close()

    def _leave(self) -> None:
        self._card, self._contacts, self._powered = None, None, False
        self._moved(REMOVED)

    def _moved(self, movement: bytes) -> None:
        if self._notifies and not self.wrong.moves_in_frame:
            self.line.write(movement)
        else:
            self._owed = movement

    # The line

    def _serve(self) -> None:
        while not self._closed.is_set():
            self._held += self.line.read(None if self.line.plugged else 0.05)
            with self._lock:
                while (command := self._next_frame()) is not None:
                    self._answer(command)

    def _next_frame(self) -> bytes | None:
        """One whole frame, or None. What cannot begin one is dropped."""
        while self._held:
            begin = self._held.find(FRAME_START)
            if begin < 0:
                self._held = self._held[-1:] if self._held.endswith(b"\x03") else b""
                return None
            self._held = self._held[begin:]
            if len(self._held) < 2 + HEADER:
                return None
            end = 2 + HEADER + int.from_bytes(self._held[3:7], "little") + 1
            if end > 300:
                self._held = self._held[2:]
                continue
            if len(self._held) < end:
                return None
            framed, self._held = self._held[:end], self._held[end:]
            if not _xor(framed):
                return framed
            self.line.write(NAK_FRAME)
        return None

    def _answer(self, framed: bytes) -> None:
        self.frames += 1
        wrong = self.wrong
        if wrong.silent:
            return
        echo = _echo(framed) if self._echoes and not wrong.without_echo else b""
        if wrong.naks:
            wrong.naks -= 1
            self.line.write(echo + NAK_FRAME)
            return
        command = framed[2:-1]
        kind, status, error, data = self._carried_out(command)
        owed, self._owed = self._owed, b""
        sequence = command[6]
        if wrong.wrong_sequence:
            wrong.wrong_sequence -= 1
            sequence = sequence + 1 & 0xFF
        message = (
            bytes((kind,))
            + len(data).to_bytes(4, "little")
            + bytes((command[5], sequence, status, error, 0))
            + data
        )
        body = FRAME_START + message
        lrc = _xor(body)
        if wrong.wrong_lrc:
            wrong.wrong_lrc -= 1
            lrc ^= 0x55
        answer = body + bytes((lrc,))
        if wrong.moves_in_frame:
            answer, owed = answer[:8] + owed + answer[8:], b""
        before = NOISE if wrong.noise else b""
        said = echo + owed + before + MORE_TIME * wrong.time_extensions + answer
        for piece in (bytes((each,)) for each in said) if wrong.bytewise else (said,):
            self.line.write(piece)

    def _carried_out(self, command: bytes) -> Answered:
        if command[5] >= self._slots:
            return 0x81, FAILED | ABSENT, WRONG_SLOT, b""
        if command[5]:
            return 0x81, ABSENT if command[0] == 0x65 else FAILED | ABSENT, MUTE, b""
        known = self._answers.get(command[0])
        if known is None:
            return 0x81, FAILED | self._status(), UNKNOWN, b""
        try:
            return known(command)
        except CardPulledError:
            self._leave()
            return 0x80, FAILED | ABSENT, MUTE, b""

    def _status(self) -> int:
        if self._card is None:
            return ABSENT
        return ACTIVE if self._powered else INACTIVE

    # What it does

    def _set_parameters(self, command: bytes) -> Answered:
        self.parameters = command[HEADER:]
        return 0x82, self._status(), 0, self.parameters

    def _escape(self, command: bytes) -> Answered:
        data = command[HEADER:]
        match data[:1]:
            case b"\x02":
                return 0x83, self._status(), 0, FIRMWARE
            case b"\x01":
                self._notifies = data[2:3] != b"\x01"
                return 0x83, self._status(), 0, b""
            case b"\x6a":  # it has no features to tell of
                return 0x83, FAILED | self._status(), UNKNOWN, b""
            case _:  # a PIN pad is given its texts
                return 0x83, self._status(), 0, b""

    def _power_on(self, command: bytes) -> Answered:
        if self._contacts is None:
            return 0x80, FAILED | ABSENT, MUTE, b""
        atr = self._contacts.reset()
        mute = atr[:1] not in (b"\x3b", b"\x3f") or self._is_synchronous()
        if mute or self.needs_voltage not in (0, command[7]):
            self._powered = False
            return 0x80, FAILED | INACTIVE, MUTE, b""
        self._powered = True
        self._take_time(len(atr))
        return 0x80, ACTIVE, 0, atr

    def _is_synchronous(self) -> bool:
        """Memory cards have contacts and no reset that T=0 readers understand."""
        return isinstance(self._card, MemoryEngine)

    def _power_off(self, _: bytes) -> Answered:
        self._powered = False
        return 0x81, self._status(), 0, b""

    def _transfer(self, command: bytes) -> Answered:
        tpdu = command[HEADER:]
        if self._contacts is None or not self._powered:
            return 0x80, FAILED | self._status(), MUTE, b""
        if tpdu[:1] == b"\xff" and not _xor(tpdu):  # PPS: agreed (ISO 7816-3, 9)
            return 0x80, ACTIVE, 0, tpdu
        answer = self._contacts.process(tpdu)
        self._take_time(characters(tpdu, answer))
        return 0x80, ACTIVE, 0, answer

    def _secure(self, command: bytes) -> Answered:
        if self.keypad is None or self._contacts is None:
            return 0x80, FAILED | self._status(), UNKNOWN, b""
        try:
            filled = self.keypad.command(_asked(command[HEADER:]))
        except PinTimeoutError:
            return 0x80, FAILED | ACTIVE, PIN_TIMEOUT, b""
        except PinCancelledError:
            return 0x80, FAILED | ACTIVE, PIN_CANCELLED, b""
        except PinEntryError as refused:
            mismatch = refused.code == "pin.confirmation_mismatch"
            return 0x80, ACTIVE, 0, b"\x64\x02" if mismatch else b"\x64\x03"
        return 0x80, ACTIVE, 0, self._contacts.process(filled)

    def _take_time(self, count: int) -> None:
        """As long as so many characters take; where a wait ends too late, the next is
        shorter by that much."""
        if not self._paced:
            return
        until = time.monotonic() + count * SECONDS_PER_CHARACTER - self._overslept
        self._closed.wait(max(0.0, until - time.monotonic()))
        self._overslept = time.monotonic() - until


def _asked(data: bytes) -> PinEntry:
    """bPINOperation and abPINDataStructure (CCID 1.1, 6.1.11)."""
    modify = data[0] == 1
    places = (data[5], data[6]) if modify else ((data[2] & 0x7F) >> 3,)
    maximum, minimum = data[7:9] if modify else data[5:7]
    apdu = data[20:] if modify else data[15:]
    return PinEntry(
        command=CommandApdu.parse(apdu),
        places=places,
        length=data[3] & 0x0F,
        digits_min=minimum,
        digits_max=maximum,
        seconds=data[1],
    )


def _echo(framed: bytes) -> bytes:
    """The frame again. libccidtwin has room for no more than this of an echoed Escape (the
    texts of a PIN pad are longer), so a longer one comes back without its data."""
    if framed[2] != 0x6B or len(framed) <= ESCAPE_ECHO_MAX:
        return framed
    body = framed[:3] + bytes(4) + framed[7 : 2 + HEADER]
    return body + bytes((_xor(body),))


def _xor(data: bytes) -> int:
    result = 0
    for each in data:
        result ^= each
    return result
