"""The PIN of a card with SSSE (domain facts, 3.1): how it is packed, presented and changed.

A PIN is presented to the card it was typed for and to no other: every procedure selects the
card anew and compares who it is first. What can spend a try goes out as an errand, so that
a lost answer comes back into the procedure and is told from a command that never left.
"""

from __future__ import annotations

from msgspec import Struct

from drivers.conversation import Errand, Procedure
from drivers.errors import DriverError, NoKeypadError, PinEntryError
from drivers.iso7816.apdu import CommandApdu, ResponseApdu
from drivers.iso7816.status_word import (
    AUTHENTICATION_BLOCKED,
    REFERENCE_NOT_FOUND,
    StatusWord,
)
from drivers.ports import PinEntry, PinOperation
from plugin.card import files
from plugin.card.errors import SwappedCardError
from plugin.card.files import Access

VERIFY, CHANGE = 0x20, 0x5E
BETWEEN = b"\xff"  # no packed digit looks like it
DIGITS_MIN, DIGITS_MAX = 3, 12  # two to six bytes on the card


class Pin(Struct, frozen=True):
    """Decimal digits. They are in no text that is made of it."""

    digits: str

    def __post_init__(self) -> None:
        if not (self.digits.isascii() and self.digits.isdigit()):
            raise ValueError("a PIN is made of digits")
        if not DIGITS_MIN <= len(self.digits) <= DIGITS_MAX:
            raise ValueError("a PIN takes two to six bytes")

    def __repr__(self) -> str:
        return "Pin()"

    @property
    def packed(self) -> bytes:
        """Two digits a byte, an odd last one filled with F."""
        return bytes.fromhex(self.digits + "F" * (len(self.digits) % 2))


class Digits(Struct, frozen=True, kw_only=True):
    """How many digits a region's PINs have."""

    minimum: int = 6
    maximum: int = 6

    @property
    def length(self) -> int:
        """The bytes of the longest, packed."""
        return (self.maximum + 1) // 2

    @property
    def fit_a_keypad(self) -> bool:
        """Whether all of them pack into equally many bytes: a reader's keypad fills a block
        of fixed length, and the card would compare another."""
        return (self.minimum + 1) // 2 == self.length


class PinCommand(Errand, frozen=True):
    """Give the card this command, which may spend a try; its response comes back."""

    command: CommandApdu


class KeypadEntry(Errand, frozen=True):
    """Let a person type on the reader's keypad; the card's response comes back."""

    entry: PinEntry


class KeypadQuestion(Errand, frozen=True):
    """What the reader's keypad can do; a frozenset of PinOperation comes back."""


# What a card says to a PIN.


class Accepted(Struct, frozen=True):
    """It was right, and changed where that was asked."""


class Wrong(Struct, frozen=True):
    """It was wrong; so many tries are left, one at least, where the card tells."""

    tries_left: int | None


class Blocked(Struct, frozen=True):
    """No try is left."""


class NotSet(Struct, frozen=True):
    """This card has no PIN."""


class Refused(Struct, frozen=True):
    """Another status, which says nothing of the PIN."""

    sw: StatusWord


class NotTyped(Struct, frozen=True):
    """Nothing was typed on the keypad that the card could be asked: no try was spent."""

    code: str


class Unanswered(Struct, frozen=True):
    """The card was asked and its answer is lost: nobody knows."""


class Counter(Struct, frozen=True):
    """How many tries are left, as far as the card tells."""

    tries_left: int | None


Answer = Accepted | Wrong | Blocked | NotSet | Refused | NotTyped | Unanswered | Counter

FAILED = StatusWord(0x6300)  # and no counter
REFERENCE_INVALIDATED = StatusWord(0x6984)
_BLOCKED = frozenset({AUTHENTICATION_BLOCKED, REFERENCE_INVALIDATED})
_MORE_DATA = 0x61  # it has something to fetch, and so it has succeeded
_STATE_CHANGED = 0x65  # ISO 7816-4, 5.6: execution error, memory may have changed


def verify(
    card: str, access: Access, pin: Pin, spare: int | None = None
) -> Procedure[Answer]:
    """VERIFY: 4 commands. `card` is the identification code (32 hex) this PIN is for.
    With `spare`, only where the region says so, one more asks for the counter first: a
    card with no more tries than that is not given the PIN, and its Counter comes back.

    Raises SwappedCardError for another card, CardError for one that cannot be told: the
    PIN was not presented then.
    """
    yield from identify(card, access)
    return (yield from _presented(PinCommand(_verify(pin.packed)), spare))


def change(
    card: str, access: Access, old: Pin, new: Pin, spare: int | None = None
) -> Procedure[Answer]:
    """CHANGE PIN: as `verify`. A wrong old one costs a try."""
    yield from identify(card, access)
    command = PinCommand(_change(old.packed, new.packed))
    return (yield from _presented(command, spare))


def on_keypad(
    card: str,
    access: Access,
    operation: PinOperation,
    digits: Digits,
    seconds: int,
    spare: int | None = None,
) -> Procedure[Answer]:
    """The same two, typed on the reader, which sends the last command itself. `digits`
    must fit a keypad."""
    yield from identify(card, access)
    blank = b"\xff" * digits.length
    verifies = operation is PinOperation.VERIFY
    entry = PinEntry(
        command=_verify(blank) if verifies else _change(blank, blank),
        places=(0,) if verifies else (0, digits.length + len(BETWEEN)),
        length=digits.length,
        digits_min=digits.minimum,
        digits_max=digits.maximum,
        seconds=seconds,
    )
    return (yield from _presented(KeypadEntry(entry), spare))


def count_tries(card: str, access: Access) -> Procedure[Answer]:
    """An empty VERIFY, which spends nothing on cards that know it: 4 commands. Only where
    the region says so. Raises as `verify`."""
    yield from identify(card, access)
    return (yield from _counted())


def _counted() -> Procedure[Answer]:
    got: ResponseApdu = yield _verify(b"")
    match said(got.sw):
        case Wrong(left):
            return Counter(left)
        case Blocked() | NotSet() as known:
            return known
        case _:
            return Counter(None)


def identify(card: str, access: Access) -> Procedure[None]:
    """Select SSSE and its EF05, and compare who this is: 3 commands."""
    yield from files.select_root(access)
    yield from files.select_file(files.EF_ISSUER, access)
    found = yield from files.read_required(files.IDENTIFICATION_CODE, access)
    if found.hex().upper() != card:
        raise SwappedCardError


def said(sw: StatusWord) -> Answer:
    """What a status word means to a PIN (domain facts, 3.1)."""
    if sw.is_success or sw.sw1 == _MORE_DATA:
        return Accepted()
    if sw.tries_left or sw == FAILED:
        return Wrong(sw.tries_left)
    if sw.tries_left == 0 or sw in _BLOCKED:
        return Blocked()
    if sw == REFERENCE_NOT_FOUND:
        return NotSet()
    return Unanswered() if sw.sw1 == _STATE_CHANGED else Refused(sw)


def _presented(
    errand: PinCommand | KeypadEntry, spare: int | None
) -> Procedure[Answer]:
    """Present it once; whatever comes of that, it is not presented again."""
    if spare is not None:
        counted = yield from _counted()
        left = counted.tries_left if isinstance(counted, Counter) else 0
        if left is not None and left <= spare:
            return counted
    try:
        got: ResponseApdu = yield errand
    except (PinEntryError, NoKeypadError) as nothing:
        return NotTyped(nothing.code)
    except DriverError:
        return Unanswered()
    return said(got.sw)


def _verify(packed: bytes) -> CommandApdu:
    return CommandApdu(cla=0x00, ins=VERIFY, p1=0, p2=0, data=packed)


def _change(old: bytes, new: bytes) -> CommandApdu:
    return CommandApdu(cla=0x80, ins=CHANGE, p1=1, p2=0, data=old + BETWEEN + new)
