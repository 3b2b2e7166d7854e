"""Old medical cards that are memory only, behind a reader that speaks pseudo-APDUs (domain
facts, 6): SLE4442 and SLE4428. The reader makes up an answer to reset from the chip's header.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

OK = bytes.fromhex("9000")
FAILED = bytes.fromhex("6300")
WRONG_LENGTH = bytes.fromhex("6700")
NO_SUCH_ADDRESS = bytes.fromhex("6B00")
UNKNOWN_CLA = bytes.fromhex("6E00")
UNKNOWN_INS = bytes.fromhex("6D00")


class Chip(Enum):
    """Header, code of SELECT CARD TYPE, bytes of memory, tries of the PSC."""

    SLE4442 = ("A2131091", 0x06, 256, 3)
    SLE4428 = ("92231091", 0x05, 1024, 8)

    @property
    def header(self) -> bytes:
        """Its first four bytes."""
        return bytes.fromhex(self.value[0])


@dataclass(frozen=True, kw_only=True)
class MemoryCard:
    """What is written onto a chip: bytes by their offset; `number` is the one among them
    that names the card."""

    chip: Chip
    number: str
    written: dict[int, bytes] = field(default_factory=dict)

    def engine(self) -> MemoryEngine:
        """A fresh card."""
        content = bytearray(b"\xff" * self.chip.value[2])
        content[:4] = self.chip.header
        for offset, value in self.written.items():
            content[offset : offset + len(value)] = value
        return MemoryEngine(self.chip, bytes(content))


class MemoryEngine:
    """One card. `presentations` counts every PSC that anybody showed it: there should be
    none, ever."""

    def __init__(self, chip: Chip, content: bytes) -> None:
        self.atr = bytes((0x3B, len(chip.header))) + chip.header
        self.presentations = 0
        self.commands = 0
        self._chip = chip
        self._content = content
        self._selected = False

    def reset(self) -> bytes:
        """Power off and on."""
        self._selected = False
        return self.atr

    def process(self, command: bytes) -> bytes:
        """What the reader answers to one pseudo-APDU."""
        self.commands += 1
        if len(command) < 5:
            return WRONG_LENGTH
        if command[0] != 0xFF:
            return UNKNOWN_CLA
        match command[1]:
            case 0xA4:
                self._selected = command[5:] == bytes((self._chip.value[1],))
                return OK if self._selected else FAILED
            case 0xB0:
                return self._read(command)
            case 0x20:
                self.presentations += 1
                return FAILED
            case _:
                return UNKNOWN_INS

    def _read(self, command: bytes) -> bytes:
        begin = int.from_bytes(command[2:4], "big")
        end = begin + command[4]
        if not self._selected:
            return FAILED
        if end > len(self._content):
            return NO_SUCH_ADDRESS
        return self._content[begin:end] + OK
