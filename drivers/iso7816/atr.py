"""The answer to reset (ISO 7816-3, 8.2)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from itertools import count
from operator import xor

from msgspec import Struct

MIN_LENGTH = 2
MAX_LENGTH = 33

DIRECT_CONVENTION = 0x3B
INVERSE_CONVENTION = 0x3F

_TD = 0x80
_LETTERS = (("TA", 0x10), ("TB", 0x20), ("TC", 0x40), ("TD", _TD))
_GLOBAL_BYTES = 15  # T=15 announces interface bytes for every protocol, not one more


class AtrError(ValueError):
    """These bytes are not an answer to reset."""


class Atr(Struct, frozen=True):
    """An answer to reset, taken apart.

    `raw` is the whole of it (2 to 33 bytes), `historical_bytes` 0 to 15 bytes, `protocols`
    the T numbers offered in their order (T=0 when none is named), `interface` the
    interface bytes by name: "TA1" names F and D, "TC1" the extra guard time, "TC2" the
    waiting time of T=0.
    """

    raw: bytes
    historical_bytes: bytes
    protocols: tuple[int, ...]
    interface: Mapping[str, int]

    def __repr__(self) -> str:
        offered = ", ".join(f"T={protocol}" for protocol in self.protocols)
        return f"<Atr {len(self.raw)} bytes, {offered}>"

    @classmethod
    def parse(cls, raw: bytes) -> Atr:
        """Take an answer to reset apart. Raises AtrError with the reason."""
        if not MIN_LENGTH <= len(raw) <= MAX_LENGTH:
            raise AtrError("an answer to reset has 2 to 33 bytes")
        if raw[0] not in (DIRECT_CONVENTION, INVERSE_CONVENTION):
            raise AtrError("TS is 3B or 3F")
        interface, protocols = _interface_bytes(raw)
        start = 2 + len(interface)
        end = start + (raw[1] & 0x0F)
        has_tck = any(protocols)
        if len(raw) != end + has_tck:
            raise AtrError("the length does not agree with T0 and the TD bytes")
        if has_tck and reduce(xor, raw[1:]) != 0:
            raise AtrError("TCK is wrong")
        offered = tuple(t for t in protocols if t != _GLOBAL_BYTES)
        return cls(raw, raw[start:end], offered or (0,), interface)


def _interface_bytes(raw: bytes) -> tuple[dict[str, int], tuple[int, ...]]:
    """The interface bytes behind T0 by name, and the protocols they name."""
    found: dict[str, int] = {}
    protocols: list[int] = []
    at, indicator = 2, raw[1]
    for round_ in count(1):
        for letter, bit in _LETTERS:
            if indicator & bit:
                found[f"{letter}{round_}"] = raw[at] if at < len(raw) else 0
                at += 1
        if not indicator & _TD:
            break
        if at > len(raw):
            raise AtrError("it ends inside the interface bytes")
        indicator = found[f"TD{round_}"]
        if indicator & 0x0F not in protocols:
            protocols.append(indicator & 0x0F)
    return found, tuple(protocols)
