"""CCID messages on a serial line, as GemPC Twin readers frame them (CCID 1.1; domain facts,
7.2; performance, 3.1).

    host:    03 06 message LRC
    reader:  03 06 message LRC     its answer; many echo the command's frame first
             03 15 16              NAK: the frame came garbled and nothing was done
             50 02, 50 03          the card has left, has come: anywhere, even in a frame
             80..FF                outside a frame: the card needs more time (T=0)

A message is a header of ten bytes (type, length of the data in 4 bytes little endian, slot,
sequence number, three more) and at most 261 bytes of data; the LRC makes the XOR of a whole
frame zero. What comes is untrusted: everything is bounded, and noise is skipped and counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from functools import reduce
from itertools import islice
from operator import xor

from msgspec import Struct

SYNC, ACK, NAK = 0x03, 0x06, 0x15
NAK_FRAME = bytes((SYNC, NAK, SYNC ^ NAK))
MOVEMENT = 0x50
REMOVED, INSERTED = 0x02, 0x03
TIME_EXTENSION_FIRST = 0x80
HEADER_LENGTH = 10
DATA_MAX = 261
FRAME_EXTRA = 3  # SYNC, ACK, LRC
BUFFER_MAX = 4096
LOOKALIKES_MAX = 3  # how many places in a frame are tried as the movement of a card

_PAIRS = (bytes((MOVEMENT, REMOVED)), bytes((MOVEMENT, INSERTED)))


class Kind(IntEnum):
    """bMessageType (CCID 1.1, 6.1 and 6.2)."""

    SET_PARAMETERS = 0x61
    ICC_POWER_ON = 0x62
    ICC_POWER_OFF = 0x63
    GET_SLOT_STATUS = 0x65
    SECURE = 0x69
    ESCAPE = 0x6B
    XFR_BLOCK = 0x6F
    DATA_BLOCK = 0x80
    SLOT_STATUS = 0x81
    PARAMETERS = 0x82
    ESCAPE_ANSWER = 0x83


ANSWERS = {
    Kind.SET_PARAMETERS: Kind.PARAMETERS,
    Kind.ICC_POWER_ON: Kind.DATA_BLOCK,
    Kind.ICC_POWER_OFF: Kind.SLOT_STATUS,
    Kind.GET_SLOT_STATUS: Kind.SLOT_STATUS,
    Kind.SECURE: Kind.DATA_BLOCK,
    Kind.ESCAPE: Kind.ESCAPE_ANSWER,
    Kind.XFR_BLOCK: Kind.DATA_BLOCK,
}


class Icc(IntEnum):
    """bmICCStatus: the card in the slot (CCID 1.1, 6.2.6)."""

    ACTIVE = 0
    INACTIVE = 1
    ABSENT = 2


class Outcome(IntEnum):
    """bmCommandStatus (CCID 1.1, 6.2.6)."""

    DONE = 0
    FAILED = 1
    TIME_EXTENSION = 2


class Failure(IntEnum):
    """bError of a command that failed (CCID 1.1, 6.2.6)."""

    PIN_CANCELLED = 0xEF
    PIN_TIMEOUT = 0xF0
    PARITY = 0xFD
    MUTE = 0xFE


class Message(Struct, frozen=True):
    """One message: its type, sequence number, the three bytes that end its header, and its
    data (0 to 261 bytes). Prints without its data."""

    kind: int
    sequence: int
    specific: bytes = bytes(3)
    data: bytes = b""
    slot: int = 0

    def __repr__(self) -> str:
        return f"<Message {self.kind:02X} #{self.sequence}, {len(self.data)} bytes>"

    def __bytes__(self) -> bytes:
        return (
            bytes((self.kind,))
            + len(self.data).to_bytes(4, "little")
            + bytes((self.slot, self.sequence))
            + self.specific
            + self.data
        )

    @property
    def icc(self) -> int:
        """Of an answer: the card."""
        return self.specific[0] & 0x03

    @property
    def outcome(self) -> int:
        """Of an answer: what became of the command."""
        return self.specific[0] >> 6

    @property
    def failure(self) -> int:
        """Of an answer to a command that failed: bError."""
        return self.specific[1]

    def answers(self, command: Message) -> bool:
        """Whether this is the answer to that command, and to no earlier one."""
        return (
            self.sequence == command.sequence
            and self.slot == command.slot
            and self.kind == ANSWERS.get(Kind(command.kind))
        )


class Moved(Struct, frozen=True):
    """The card has come, or left."""

    inserted: bool


class Nak(Struct, frozen=True):
    """The reader did not understand the last frame."""


class MoreTime(Struct, frozen=True):
    """The card is still busy."""


class Echo(Struct, frozen=True):
    """The frame that was sent last, repeated."""


class Noise(Struct, frozen=True):
    """Bytes that mean nothing, or a frame with a wrong LRC."""


Heard = Message | Echo | Moved | Nak | MoreTime | Noise


def frame(message: Message) -> bytes:
    """A message as it goes over the line."""
    body = bytes((SYNC, ACK)) + bytes(message)
    return body + bytes((reduce(xor, body),))


class Ear:
    """Takes bytes as they come, in any pieces, and tells what was heard."""

    def __init__(self) -> None:
        self._held = b""
        self._said = b""

    def said(self, framed: bytes) -> None:
        """This was sent, and may come back before anything is answered."""
        self._said = framed

    @property
    def in_the_middle(self) -> bool:
        """Whether more bytes must follow, and soon."""
        return bool(self._held)

    def hear(self, came: bytes) -> list[Heard]:
        """What these bytes complete."""
        self._held += came
        return list(self._completed())

    def give_up(self) -> list[Heard]:
        """Nothing has followed for too long: what was begun is noise."""
        if not self._held:
            return []
        used, heard = _interrupted(self._held) or (1, (Noise(),))
        self._held = self._held[used:]
        return [*heard, *self._completed()]

    def _completed(self) -> Iterator[Heard]:
        while self._held:
            if self._said and self._held.startswith(self._said):
                self._held, self._said = self._held[len(self._said) :], b""
                yield Echo()
                continue
            found = _first(self._held)
            if found is None and len(self._held) < BUFFER_MAX:
                return
            used, heard = found or (1, (Noise(),))
            self._held = self._held[used:]
            yield from heard


def _first(held: bytes) -> tuple[int, tuple[Heard, ...]] | None:
    """How many bytes the first thing takes, and what it is; None when it goes on."""
    match held[0]:
        case 0x03:
            return _framed(held)
        case 0x50:
            return _movement(held)
        case first if first >= TIME_EXTENSION_FIRST:
            return 1, (MoreTime(),)
        case _:
            return 1, (Noise(),)


def _movement(held: bytes) -> tuple[int, tuple[Heard, ...]] | None:
    if len(held) < 2:
        return None
    if held[:2] not in _PAIRS:
        return 1, (Noise(),)
    return 2, (Moved(inserted=held[1] == INSERTED),)


def _framed(held: bytes) -> tuple[int, tuple[Heard, ...]] | None:
    if held[1:2] == NAK_FRAME[1:2]:
        return (3, (Nak(),)) if held[:3] == NAK_FRAME else _unless_short(held)
    length = _length(held)
    if length is None:
        return None
    if length and len(held) < length:
        return None
    if length and not reduce(xor, held[:length]):
        return length, (_message(held[2 : length - 1]),)
    return _interrupted(held)


def _unless_short(held: bytes) -> tuple[int, tuple[Heard, ...]] | None:
    return (1, (Noise(),)) if len(held) >= len(NAK_FRAME) else None


def _length(held: bytes) -> int | None:
    """How long the frame at the beginning must be; 0 when it can be none, None when its
    header is not whole."""
    if held[1:2] not in (b"", bytes((ACK,))):
        return 0
    if len(held) < 2 + HEADER_LENGTH:
        return None
    data = int.from_bytes(held[3:7], "little")
    return FRAME_EXTRA + HEADER_LENGTH + data if data <= DATA_MAX else 0


def _interrupted(held: bytes) -> tuple[int, tuple[Heard, ...]] | None:
    """A frame that is none: a card may have moved in the middle of it. Where it is one
    without two such bytes, it is one; where it could still become one, more is waited for."""
    unfinished = False
    for at in islice(_lookalikes(held), LOOKALIKES_MAX):
        without = held[:at] + held[at + 2 :]
        length = _length(without)
        if length is None or length > len(without):
            unfinished = True
        elif length and at < length and not reduce(xor, without[:length]):
            moved = Moved(inserted=held[at + 1] == INSERTED)
            return length + 2, (moved, _message(without[2 : length - 1]))
    return None if unfinished else (1, (Noise(),))


def _lookalikes(held: bytes) -> Iterator[int]:
    """Where a frame has what looks like the movement of a card."""
    last = FRAME_EXTRA + HEADER_LENGTH + DATA_MAX
    at = held.find(MOVEMENT, 1, last)
    while at > 0:
        if held[at : at + 2] in _PAIRS:
            yield at
        at = held.find(MOVEMENT, at + 1, last)


def _message(raw: bytes) -> Message:
    return Message(
        kind=raw[0],
        slot=raw[5],
        sequence=raw[6],
        specific=raw[7:HEADER_LENGTH],
        data=raw[HEADER_LENGTH:],
    )
