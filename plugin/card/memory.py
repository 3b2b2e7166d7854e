"""Old medical cards that are memory only: SLE4442 (256 bytes) and SLE4428 (1,024 bytes), read
through the pseudo-APDUs of PC/SC readers (domain facts, 6).

Reading needs no PSC, and none is ever presented: a wrong one burns a try. What lies where
comes from the region profile.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from drivers.conversation import Procedure
from drivers.iso7816.apdu import CommandApdu, ResponseApdu
from plugin.card import decoding
from plugin.card.errors import (
    ReaderCannotError,
    UnreadableCardError,
    UnsupportedCardError,
)
from plugin.card.medical import MedicalCard

PSEUDO_CLASS = 0xFF
SELECT_TYPE, READ_MEMORY = 0xA4, 0xB0


class Chip(StrEnum):
    """By the name of the chip."""

    SLE4442 = "sle4442"
    SLE4428 = "sle4428"


class ChipFacts(Struct, frozen=True):
    """How readers know a chip: the first of the historical bytes that they make up for it
    from its header, the code that selects it, and its size in bytes."""

    header: int
    select: int
    size: int


CHIPS = {
    Chip.SLE4442: ChipFacts(header=0xA2, select=0x06, size=256),
    Chip.SLE4428: ChipFacts(header=0x92, select=0x05, size=1024),
}
HEADER_LENGTH = 4
_READER_CANNOT = frozenset({0x6A81, 0x6D00, 0x6E00, 0x6800})


class Encoding(StrEnum):
    """How a field lies in its bytes."""

    ASCII = "ascii"
    BCD = "bcd"
    GBK = "gbk"


class Place(Struct, frozen=True, kw_only=True):
    """Where a field lies in the memory (bytes), and how."""

    offset: int
    length: int
    encoding: Encoding


class MemoryLayout(Struct, frozen=True, kw_only=True):
    """One kind of old memory card of a city."""

    chip: Chip
    number: Place
    social_security_number: Place | None = None
    name: Place | None = None


def chip_of(historical_bytes: bytes) -> Chip | None:
    """Which memory chip an answer to reset stands for; None for a card with a processor."""
    if len(historical_bytes) != HEADER_LENGTH:
        return None
    first = historical_bytes[0]
    return next((chip for chip, facts in CHIPS.items() if facts.header == first), None)


def read_memory_card(
    chip: Chip, layouts: tuple[MemoryLayout, ...]
) -> Procedure[MedicalCard]:
    """The fields of the layout for this chip: 2 to 4 commands.

    Raises UnsupportedCardError without a layout, ReaderCannotError where the reader cannot
    read memory cards, UnreadableCardError when there is no number.
    """
    layout = next((each for each in layouts if each.chip is chip), None)
    if layout is None:
        raise UnsupportedCardError(f"this region knows no {chip}")
    got: ResponseApdu = yield CommandApdu(
        cla=PSEUDO_CLASS,
        ins=SELECT_TYPE,
        p1=0,
        p2=0,
        data=bytes((CHIPS[chip].select,)),
    )
    if not got.sw.is_success:
        raise ReaderCannotError(str(got.sw), got.sw)
    number = yield from _read(layout.number)
    if number is None:
        raise UnreadableCardError("the memory holds no number")
    return MedicalCard(
        kind=chip.value,
        number=number,
        social_security_number=(yield from _read(layout.social_security_number)),
        name=(yield from _read(layout.name)),
    )


def _read(place: Place | None) -> Procedure[str | None]:
    if place is None:
        return None
    high, low = divmod(place.offset, 256)
    got: ResponseApdu = yield CommandApdu(
        cla=PSEUDO_CLASS, ins=READ_MEMORY, p1=high, p2=low, ne=place.length
    )
    if got.sw.value in _READER_CANNOT:
        raise ReaderCannotError(str(got.sw), got.sw)
    if not got.sw.is_success or len(got.data) != place.length:
        raise UnreadableCardError(f"the memory at {place.offset} cannot be read")
    return _decoded(got.data, place.encoding)


def _decoded(raw: bytes, encoding: Encoding) -> str | None:
    if not raw.strip(b"\xff"):
        return None  # never written
    match encoding:
        case Encoding.ASCII:
            return decoding.characters(raw.rstrip(b"\xff"))
        case Encoding.BCD:
            return decoding.digits(raw)
        case Encoding.GBK:
            return decoding.name(raw.rstrip(b"\xff"))
