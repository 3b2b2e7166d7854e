"""The security module of a terminal: a card in a slot of its own that holds the masters and
computes with the keys derived from them (domain facts, 3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from simulator.card.cryptography import (
    IRK_MASTER,
    READ_MASTER,
    Algorithm,
    derived,
    encrypted,
)
from simulator.card.personalise import contact_atr

DF01 = bytes.fromhex("D15600000500")
IRK, READ_KEY = 0x01, 0x0A
OK = bytes.fromhex("9000")
NOT_SELECTED = bytes.fromhex("6985")
WRONG_LEVEL = bytes.fromhex("6985")
NO_ALGORITHM = bytes.fromhex("6A81")
NO_APPLICATION = bytes.fromhex("6A82")
NO_KEY = bytes.fromhex("6A88")
WRONG_LENGTH = bytes.fromhex("6700")
UNKNOWN_INS = bytes.fromhex("6D00")
SM4_KEYS = 0x40  # identifiers from here on are those of SM4


@dataclass(frozen=True, kw_only=True)
class PsamImage:
    """What a PSAM was given: `levels` of derivation behind the city and province factors
    that the terminal sends, masters by identifier, and algorithms."""

    levels: int = 1
    masters: Mapping[int, bytes] = field(
        default_factory=lambda: {IRK: IRK_MASTER, READ_KEY: READ_MASTER}
    )
    algorithms: Iterable[Algorithm] = tuple(Algorithm)
    serial: int = 9_000_001

    @property
    def atr(self) -> bytes:
        """Its answer to reset."""
        return contact_atr("505341", self.serial)


class PsamEngine:
    """One PSAM: SELECT, DELIVERY KEY (80 1A), COMPUTE (80 FA), GET RESPONSE."""

    def __init__(self, image: PsamImage | None = None) -> None:
        self._image = image or PsamImage()
        self.atr = self._image.atr
        self.commands = 0
        self.reset()

    def reset(self) -> bytes:
        """Everything derived is gone."""
        self._selected = False
        self._session: tuple[bytes, Algorithm] | None = None
        self._waiting = b""
        return self.atr

    def process(self, command: bytes) -> bytes:
        """Answer one command."""
        self.commands += 1
        if len(command) < 5:
            return WRONG_LENGTH
        data = command[5 : 5 + command[4]]
        match command[:2]:
            case b"\x00\xa4":
                self._selected = data == DF01
                return OK if self._selected else NO_APPLICATION
            case b"\x80\x1a":
                return self._derive(command[3], data)
            case b"\x80\xfa":
                return self._compute(data)
            case b"\x00\xc0":
                waiting, self._waiting = self._waiting, b""
                return waiting[: command[4] or 256] + OK if waiting else NOT_SELECTED
            case _:
                return UNKNOWN_INS

    def _derive(self, identifier: int, data: bytes) -> bytes:
        algorithm = Algorithm.SM4 if identifier & SM4_KEYS else Algorithm.DES3
        master = self._image.masters.get(identifier & ~SM4_KEYS)
        if not self._selected:
            return NOT_SELECTED
        if algorithm not in self._image.algorithms:
            return NO_ALGORITHM
        if master is None:
            return NO_KEY
        factors, process = data[: -algorithm.block], data[-algorithm.block :]
        if len(factors) != 8 * self._image.levels:
            return WRONG_LEVEL
        levels = [factors[at : at + 8] for at in range(0, len(factors), 8)]
        key = derived(master, reversed(levels), algorithm)
        self._session = encrypted(key, process, algorithm), algorithm
        return OK

    def _compute(self, data: bytes) -> bytes:
        if self._session is None:
            return NOT_SELECTED
        session, algorithm = self._session
        if len(data) != algorithm.block:
            return WRONG_LENGTH
        self._waiting = encrypted(session, data, algorithm)
        return bytes((0x61, len(self._waiting)))
