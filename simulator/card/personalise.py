"""How values lie on a card: the encodings and lengths of the domain facts, 2.3, 2.4, 2.7.

Written from the tables on its own, for the side that makes cards.
"""

from __future__ import annotations

from datetime import date
from functools import reduce
from operator import xor

IDENTITY_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
IDENTITY_CHECKS = "10X98765432"
CARD_NUMBER_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
RESIDENT_CARD_RID = "D156000005"


def an(text: str, length: int) -> bytes:
    """Characters, left aligned, filled with 00."""
    return text.encode("ascii").ljust(length, b"\x00")


def cn(digits: str, length: int) -> bytes:
    """Packed digits, left aligned, filled with F."""
    return bytes.fromhex(digits.ljust(2 * length, "F"))


def day(value: date) -> bytes:
    """A date as four bytes YYYYMMDD."""
    return cn(value.strftime("%Y%m%d"), 4)


def identity_number(region: str, born: date, sequence: int) -> str:
    """Eighteen characters with a right check digit (GB 11643)."""
    body = f"{region}{born:%Y%m%d}{sequence:03d}"
    total = sum(
        weight * int(digit)
        for weight, digit in zip(IDENTITY_WEIGHTS, body, strict=True)
    )
    return body + IDENTITY_CHECKS[total % 11]


def card_number(body: str) -> str:
    """Nine characters: the eight given and their check (domain facts, 2.8)."""
    total = sum(
        weight * int(character, 36)
        for weight, character in zip(CARD_NUMBER_WEIGHTS, body, strict=True)
    )
    check = 11 - total % 11
    return body + {10: "X", 11: "0"}.get(check, str(check))


def identification_code(region: str, serial: int) -> str:
    """Thirty-two hex characters: region, RID, serial, no authentication code."""
    return f"{region}{RESIDENT_CARD_RID}{serial:08d}FFFFFFFF"


def contact_atr(chip: str, serial: int) -> bytes:
    """3B 6D 00 00 and thirteen historical bytes (domain facts, 2.9)."""
    return bytes.fromhex(f"3B6D0000{_historical_bytes(chip, serial)}")


def contactless_atr(chip: str, serial: int) -> bytes:
    """What PC/SC readers make of a card of ISO 14443-4: 3B 8D 80 01, the same historical
    bytes, and TCK (PC/SC part 3, 3.1.3.2.3)."""
    body = bytes.fromhex(f"8D8001{_historical_bytes(chip, serial)}")
    return b"\x3b" + body + bytes((reduce(xor, body),))


def _historical_bytes(chip: str, serial: int) -> str:
    return f"0081{chip}8699{serial:012d}"
