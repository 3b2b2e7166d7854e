"""Social security cards 1.0, 2.0 and 3.0, and the CPU-type medical card that shares their files.

SSSE with EF05 (issuer) and EF06 (holder): domain facts, 2.2 to 2.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from simulator.card import personalise
from simulator.card.cryptography import IRK_MASTER, READ_MASTER, Algorithm, derived
from simulator.card.image import SSSE, Application, CardImage, Pin, RecordFile
from simulator.card.personalise import an, cn, day

EF_ISSUER, EF_HOLDER = 0xEF05, 0xEF06
NAME_LENGTH, NAME_EXTENSION_LENGTH = 30, 20
IRK, READ_KEY = 0x00, 0x0A
FREE_BEFORE_AUTHENTICATION = frozenset({0x01, 0x02, 0x03, 0x04, 0x07})


@dataclass(frozen=True, kw_only=True)
class Holder:
    """What EF06 says of the person. `name` may take 50 bytes in GB18030."""

    social_security_number: str
    name: str
    sex: str = "1"
    nation: str = "01"
    birthplace: str = "999901"
    born: date


@dataclass(frozen=True, kw_only=True)
class ResidentCard:
    """What is ordered from the card maker.

    `overrides` replaces single values, by tag and as raw bytes, or leaves a record out
    with None: how damaged and odd cards are made.
    """

    holder: Holder
    region: str = "999901"
    serial: int
    card_class: str = "1"
    version: str = "2.00"
    initialising_body: str = "99990000000000000000"
    issued: date
    expires: date
    number_body: str
    pin: str | None = "123456"
    tries_spent: int = 0
    chip: str = "4E4323"
    contactless: bool = False
    algorithm: Algorithm = Algorithm.DES3
    factors: tuple[
        bytes, ...
    ] = ()  # of the province and the city, where keys have levels
    overrides: Mapping[int, bytes | None] = field(default_factory=dict)

    @property
    def identification_code(self) -> str:
        """Thirty-two hex characters."""
        return personalise.identification_code(self.region, self.serial)

    @property
    def card_number(self) -> str:
        """Nine characters."""
        return personalise.card_number(self.number_body)

    def image(self) -> CardImage:
        """The files as they lie on the card."""
        issuer = {
            0x01: bytes.fromhex(self.identification_code),
            0x02: an(self.card_class, 1),
            0x03: an(self.version, 4),
            0x04: cn(self.initialising_body, 12),
            0x05: day(self.issued),
            0x06: day(self.expires),
            0x07: an(self.card_number, 9),
        }
        protected = READ_KEY if self.version >= "3" else None
        files = {
            EF_ISSUER: RecordFile(
                self._overridden(issuer),
                needs_key=protected,
                free=FREE_BEFORE_AUTHENTICATION,
            ),
            EF_HOLDER: RecordFile(
                self._overridden(self._holder_records()), needs_key=protected
            ),
        }
        algorithm = bytes((0x9F, 0x0C, 0x03, 0x86, 0x01, self.algorithm.value))
        return CardImage(
            atr=self.atr,
            applications=(Application(SSSE, files, algorithm),),
            pin=self._pin(),
            algorithm=self.algorithm,
            keys=self._keys() if self.version >= "3" else {},
        )

    @property
    def atr(self) -> bytes:
        """The answer to reset; contactless, the one that readers make up."""
        made = (
            personalise.contactless_atr if self.contactless else personalise.contact_atr
        )
        return made(self.chip, self.serial)

    @property
    def factor(self) -> bytes:
        """What its keys are derived with: the last eight historical bytes."""
        return personalise.contact_atr(self.chip, self.serial)[-8:]

    def _pin(self) -> Pin | None:
        if self.pin is None:
            return None
        packed = cn(self.pin, (len(self.pin) + 1) // 2)
        return Pin(packed, spent=self.tries_spent)

    def _keys(self) -> dict[int, bytes]:
        levels = (*self.factors, self.factor)
        return {
            IRK: derived(IRK_MASTER, levels, self.algorithm),
            READ_KEY: derived(READ_MASTER, levels, self.algorithm),
        }

    def _holder_records(self) -> dict[int, bytes]:
        holder = self.holder
        name = holder.name.encode("gb18030")
        if len(name) > NAME_LENGTH + NAME_EXTENSION_LENGTH:
            raise ValueError("a name takes at most 50 bytes")
        records = {
            0x08: an(holder.social_security_number, 18),
            0x09: name[:NAME_LENGTH].ljust(NAME_LENGTH, b"\x00"),
        }
        if self.version >= "2":
            records[0x4E] = name[NAME_LENGTH:].ljust(NAME_EXTENSION_LENGTH, b"\x00")
        return records | {
            0x0A: an(holder.sex, 1),
            0x0B: cn(holder.nation, 1),
            0x0C: cn(holder.birthplace, 3),
            0x0D: day(holder.born),
        }

    def _overridden(self, records: dict[int, bytes]) -> dict[int, bytes]:
        changed = {
            tag: self.overrides.get(tag, value) for tag, value in records.items()
        }
        return {tag: value for tag, value in changed.items() if value is not None}
