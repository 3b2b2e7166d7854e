"""Numbers that name a person or a card, and their check digits (domain facts, 2.8 and 10)."""

from __future__ import annotations

import re
from datetime import date

from msgspec import Struct

_CARD_NUMBER = re.compile("[0-9A-Z]{9}")
_CARD_NUMBER_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_RID = bytes.fromhex("D156000005")


class IdentityNumber(Struct, frozen=True):
    """A citizen's identity number (GB 11643-1999), which is the social security number.

    `value` is kept as it was found; `checks` says whether it has the form of eighteen
    characters with a right check digit and an existing date. It prints without digits.
    """

    value: str

    def __repr__(self) -> str:
        return "<IdentityNumber>"

    @property
    def checks(self) -> bool:
        """Whether form, date and check digit are right."""
        body, last = self.value[:-1], self.value[-1:]
        return (
            len(self.value) == 18
            and body.isascii()
            and body.isdigit()
            and self.birth_date is not None
            and last == _check_digit(self.value)
        )

    @property
    def birth_date(self) -> date | None:
        """The date in places 7 to 14, if it is one."""
        return parse_day(self.value[6:14])


def as_eighteen(number: str) -> str:
    """An identity number in the form of GB 11643-1999: an x as X, and the fifteen digits
    of cards from before 2000 as eighteen characters (19 before the year, and the check
    character). Anything else comes back as it is."""
    number = number.upper()
    if len(number) != 15 or not (number.isascii() and number.isdigit()):
        return number
    longer = f"{number[:6]}19{number[6:]}"
    return longer + _check_digit(f"{longer}0")


def _check_digit(number: str) -> str:
    from stdnum.cn import ric  # when the first card is read, not at start

    return str(ric.calc_check_digit(number))


def parse_day(digits: str) -> date | None:
    """A date written YYYYMMDD; None when there is no such day."""
    if len(digits) != 8 or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def card_number_checks(number: str) -> bool:
    """Whether nine characters [0-9A-Z] end in their check character (as GB 11714)."""
    if not _CARD_NUMBER.fullmatch(number):
        return False
    total = sum(
        weight * int(character, 36)
        for weight, character in zip(_CARD_NUMBER_WEIGHTS, number[:-1], strict=True)
    )
    check = 11 - total % 11
    return number[-1] == {10: "X", 11: "0"}.get(check, str(check))


def is_identification_code(code: bytes) -> bool:
    """Whether sixteen bytes are region (3, digits), RID D156000005, serial and check (8)."""
    return len(code) == 16 and code[:3].hex().isdigit() and code[3:8] == _RID


def region_of(identification_code: str) -> str:
    """The issuing region: the first six digits of a card identification code (hex)."""
    return identification_code[:6]
