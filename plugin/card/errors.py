"""What can be wrong with a card that answers."""

from __future__ import annotations

from typing import ClassVar

from drivers.iso7816.status_word import (
    APPLICATION_LOCKED_FOR_GOOD,
    AUTHENTICATION_BLOCKED,
    FUNCTION_LOCKED,
    StatusWord,
)


class CardError(Exception):
    """This card cannot be used here."""

    code: ClassVar[str] = "card.unsupported"

    def __init__(self, detail: str = "", sw: StatusWord | None = None) -> None:
        super().__init__(detail or type(self).__doc__)
        self.sw = sw


class UnsupportedCardError(CardError):
    """This is not a card that can be used here."""


class UnreadableCardError(CardError):
    """The card's data are not what its specification says."""

    code = "card.data_invalid"


class LockedCardError(CardError):
    """The card's application is locked."""

    code = "card.app_locked"


class RefusedByCardError(CardError):
    """The card answered with an unexpected status."""

    code = "card.status_word"


_LOCKED = frozenset(
    {AUTHENTICATION_BLOCKED, FUNCTION_LOCKED, APPLICATION_LOCKED_FOR_GOOD}
)


def refusal(sw: StatusWord, what: str) -> CardError:
    """The error for a status word that ended `what`."""
    kind = LockedCardError if sw in _LOCKED else RefusedByCardError
    return kind(f"{what}: {sw}", sw)
