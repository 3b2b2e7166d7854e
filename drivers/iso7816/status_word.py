"""Status words (ISO 7816-4, 5.6) and the names these cards give them (domain facts, 3.4)."""

from __future__ import annotations

from msgspec import Struct

_NAMES: dict[int, str] = {
    0x9000: "success",
    0x6281: "returned data may be corrupt",
    0x6282: "end of file before Ne bytes",
    0x6283: "file deactivated",
    0x6284: "FCI format wrong",
    0x6300: "authentication failed",
    0x6400: "state unchanged, execution error",
    0x6581: "memory failure",
    0x6700: "wrong length",
    0x6882: "secure messaging not supported",
    0x6900: "command not accepted",
    0x6901: "command not accepted, invalid state",
    0x6981: "wrong kind of file",
    0x6982: "security status not satisfied",
    0x6983: "authentication blocked",
    0x6984: "reference data or random number invalid",
    0x6985: "conditions of use not satisfied",
    0x6986: "no current EF",
    0x6987: "secure messaging object missing",
    0x6988: "secure messaging object wrong",
    0x6A80: "wrong data",
    0x6A81: "function not supported, application or card locked",
    0x6A82: "file not found",
    0x6A83: "record not found",
    0x6A84: "not enough space",
    0x6A86: "P1 P2 wrong",
    0x6A88: "reference data not found",
    0x6B00: "P1 P2 out of range",
    0x6D00: "INS not supported",
    0x6E00: "CLA not supported",
    0x6F00: "no precise diagnosis",
    0x9302: "MAC wrong",
    0x9303: "application locked for good",
    0x9401: "balance too low",
    0x9402: "counter at its limit",
    0x9403: "key index not supported",
    0x9406: "MAC or TAC not available",
}

_FAMILIES: dict[int, str] = {
    0x61: "more data to fetch",
    0x62: "warning, state unchanged",
    0x63: "warning, state changed",
    0x64: "execution error, state unchanged",
    0x65: "execution error, state changed",
    0x6C: "wrong Le, right one in SW2",
}


class StatusWord(Struct, frozen=True):
    """SW1 and SW2 as one value, 0x0000 to 0xFFFF. A card's "no" is a value, not an error."""

    value: int

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 0xFFFF:
            raise ValueError("a status word is two bytes")

    def __bytes__(self) -> bytes:
        return self.value.to_bytes(2, "big")

    def __str__(self) -> str:
        return f"{self.value:04X} {self.name}"

    @classmethod
    def of(cls, sw1: int, sw2: int) -> StatusWord:
        """The status word of these two bytes."""
        return cls(sw1 << 8 | sw2)

    @property
    def sw1(self) -> int:
        """The first byte: the family."""
        return self.value >> 8

    @property
    def sw2(self) -> int:
        """The second byte."""
        return self.value & 0xFF

    @property
    def is_success(self) -> bool:
        """Whether the card did all that was asked."""
        return self.value == 0x9000

    @property
    def tries_left(self) -> int | None:
        """The counter of a 63Cx answer, 0 to 15; None when this is not one."""
        return self.value & 0x0F if self.value >> 4 == 0x63C else None

    @property
    def name(self) -> str:
        """What the standard calls it, in plain words."""
        if self.tries_left is not None:
            return f"{self.tries_left} tries left"
        return _NAMES.get(self.value) or _FAMILIES.get(self.sw1, "unknown status")


SUCCESS = StatusWord(0x9000)
AUTHENTICATION_BLOCKED = StatusWord(0x6983)
SECURITY_NOT_SATISFIED = StatusWord(0x6982)
CONDITIONS_NOT_SATISFIED = StatusWord(0x6985)
FUNCTION_LOCKED = StatusWord(0x6A81)
END_OF_FILE = StatusWord(0x6282)
FILE_NOT_FOUND = StatusWord(0x6A82)
RECORD_NOT_FOUND = StatusWord(0x6A83)
REFERENCE_NOT_FOUND = StatusWord(0x6A88)
KEY_INDEX_UNSUPPORTED = StatusWord(0x9403)
APPLICATION_LOCKED_FOR_GOOD = StatusWord(0x9303)
UNKNOWN_INS = StatusWord(0x6D00)
UNKNOWN_CLA = StatusWord(0x6E00)
