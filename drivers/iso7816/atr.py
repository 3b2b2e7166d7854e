"""The answer to reset (ISO 7816-3, 8.2)."""

from __future__ import annotations

from functools import reduce
from operator import xor

from msgspec import Struct

MIN_LENGTH = 2
MAX_LENGTH = 33

DIRECT_CONVENTION = 0x3B
INVERSE_CONVENTION = 0x3F

_TA, _TB, _TC, _TD = 0x10, 0x20, 0x40, 0x80
_GLOBAL_BYTES = 15  # T=15 announces interface bytes for every protocol, not one more


class AtrError(ValueError):
    """These bytes are not an answer to reset."""


class Atr(Struct, frozen=True):
    """An answer to reset, taken apart.

    `raw` is the whole of it (2 to 33 bytes), `historical_bytes` 0 to 15 bytes, `protocols`
    the T numbers offered in their order (T=0 when none is named), `ta1` the byte that
    names F and D, if present.
    """

    raw: bytes
    historical_bytes: bytes
    protocols: tuple[int, ...]
    ta1: int | None

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
        interface, protocols, ta1 = _interface_bytes(raw)
        start = 2 + interface
        end = start + (raw[1] & 0x0F)
        has_tck = any(protocols)
        if len(raw) != end + has_tck:
            raise AtrError("the length does not agree with T0 and the TD bytes")
        if has_tck and reduce(xor, raw[1:]) != 0:
            raise AtrError("TCK is wrong")
        offered = tuple(t for t in protocols if t != _GLOBAL_BYTES)
        return cls(raw, raw[start:end], offered or (0,), ta1)


def _interface_bytes(raw: bytes) -> tuple[int, tuple[int, ...], int | None]:
    """How many interface bytes follow T0, the protocols they name, and TA1."""
    at = 2
    indicator = raw[1]
    protocols: list[int] = []
    ta1 = None
    while True:
        if indicator & _TA:
            if at == 2 and at < len(raw):
                ta1 = raw[at]
            at += 1
        at += bool(indicator & _TB) + bool(indicator & _TC)
        if not indicator & _TD:
            return at - 2, tuple(protocols), ta1
        if at >= len(raw):
            raise AtrError("it ends inside the interface bytes")
        indicator = raw[at]
        if indicator & 0x0F not in protocols:
            protocols.append(indicator & 0x0F)
        at += 1
