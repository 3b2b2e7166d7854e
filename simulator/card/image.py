"""What is personalised onto a card before it is handed out: files, records, PIN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.card.cryptography import Algorithm

SSSE = bytes.fromhex("7378312E73682EC9E7BBE1B1A3D5CF")  # "sx1.sh." + 社会保障 in GBK
DF_MEDICAL = bytes.fromhex("D15600000503")


@dataclass(frozen=True)
class RecordFile:
    """A linear file of simple data objects, in the order of their record numbers.

    `records` maps a tag (1 to 254) to its value of at most 253 bytes, padded as it lies on
    the card. `needs_pin` guards reading; so does `needs_key`, the identifier of a key that
    must have been shown by EXTERNAL AUTHENTICATE, but for the tags in `free`.
    """

    records: Mapping[int, bytes]
    needs_pin: bool = False
    needs_key: int | None = None
    free: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        for tag, value in self.records.items():
            if not 1 <= tag <= 0xFE or len(value) > 253:
                raise ValueError(f"record {tag:02X} does not fit a file")


@dataclass(frozen=True)
class Application:
    """A DF that is selected by name: its files by identifier, and its FCI extras."""

    name: bytes
    files: Mapping[int, RecordFile]
    proprietary: bytes = b""

    @property
    def fci(self) -> bytes:
        """The template that answers SELECT: 6F { 84 name, A5 { proprietary } }."""
        content = _tlv(0x84, self.name)
        if self.proprietary:
            content += _tlv(0xA5, self.proprietary)
        return _tlv(0x6F, content)


@dataclass(frozen=True)
class Pin:
    """A reference PIN as packed digits (2 to 6 bytes), how often it may be wrong, and how
    often it was already."""

    packed: bytes
    tries: int = 6
    spent: int = 0


@dataclass(frozen=True)
class CardImage:
    """One whole card as it leaves personalisation. `keys` (16 bytes each) are its own, by
    identifier: 00 proves that it is genuine."""

    atr: bytes
    applications: tuple[Application, ...]
    pin: Pin | None = None
    algorithm: Algorithm = Algorithm.DES3
    keys: Mapping[int, bytes] = field(default_factory=dict)
    key_tries: int = 10


@dataclass(frozen=True)
class Behaviour:
    """How this card's operating system answers where the field differs.

    `chains` answers SELECT with 61xx and keeps the data for GET RESPONSE, as T=0 cards do.
    `corrects_length` answers a wrong Le with 6Cxx instead of giving what it has.
    `warns_of_end` answers an Le beyond the record with the record and 6282.
    """

    chains: bool = False
    corrects_length: bool = False
    warns_of_end: bool = False


@dataclass
class Counters:
    """What was done to a card, for those who look at it afterwards."""

    commands: int = 0
    resets: int = 0
    verifications: int = 0
    changes: int = 0
    authentications: int = 0
    by_instruction: dict[int, int] = field(default_factory=dict)


def _tlv(tag: int, value: bytes) -> bytes:
    if len(value) > 0x7F:
        raise ValueError("an FCI of these cards stays under 128 bytes")
    return bytes((tag, len(value))) + value
