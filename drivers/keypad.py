"""A PIN that is typed on the reader. PC/SC (part 10, 2.5.2 and 2.5.3) and CCID (1.1, 6.1.11)
ask for it in nearly the same bytes."""

from __future__ import annotations

from drivers.errors import (
    PinCancelledError,
    PinEntryError,
    PinLengthError,
    PinMismatchError,
    PinTimeoutError,
)
from drivers.iso7816.apdu import ResponseApdu
from drivers.ports import PinEntry, PinOperation

SECONDS_MAX = 0xFF
VALIDATION_KEY = 0x02  # an entry ends with the enter key
CONFIRM_NEW, ASK_OLD = 0x01, 0x02
CHINESE = (0x0804).to_bytes(2, "little")
BYTES_BCD_LEFT = 0x81  # offsets count bytes; packed digits, left justified
OFFSET_SHIFT = 3
PROLOGUE = bytes(3)  # of T=1, which nobody uses here
_SAYS: dict[int, type[PinEntryError]] = {
    0x6400: PinTimeoutError,
    0x6401: PinCancelledError,
    0x6402: PinMismatchError,
    0x6403: PinLengthError,
}


def pcsc_structure(entry: PinEntry) -> bytes:
    """PIN_VERIFY_STRUCTURE or PIN_MODIFY_STRUCTURE."""
    seconds = bytes((_seconds(entry),) * 2)
    command = bytes(entry.command)
    return seconds + _rules(entry) + len(command).to_bytes(4, "little") + command


def ccid_structure(entry: PinEntry) -> bytes:
    """bPINOperation and abPINDataStructure of PC_to_RDR_Secure."""
    head = bytes((entry.operation is PinOperation.MODIFY, _seconds(entry)))
    return head + _rules(entry) + bytes(entry.command)


def unless_refused(got: ResponseApdu) -> ResponseApdu:
    """The card's answer; raises PinEntryError where it is the reader's (PC/SC part 10,
    2.5.4), and the card was not asked."""
    if got.sw.value in _SAYS and not got.data:
        raise _SAYS[got.sw.value]
    return got


def _seconds(entry: PinEntry) -> int:
    return min(entry.seconds, SECONDS_MAX)


def _rules(entry: PinEntry) -> bytes:
    """From bmFormatString to bTeoPrologue."""
    digits = bytes((entry.digits_max, entry.digits_min))  # little endian: min is high
    if entry.operation is PinOperation.VERIFY:
        place = BYTES_BCD_LEFT | entry.places[0] << OFFSET_SHIFT
        asks = bytes((VALIDATION_KEY, 1)) + CHINESE + bytes(1)
        return bytes((place, entry.length, 0)) + digits + asks + PROLOGUE
    places = bytes((BYTES_BCD_LEFT, entry.length, 0, *entry.places))
    asks = bytes((CONFIRM_NEW | ASK_OLD, VALIDATION_KEY, 3)) + CHINESE
    return places + digits + asks + bytes((0, 1, 2)) + PROLOGUE
