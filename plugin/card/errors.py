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


class ReaderCannotError(CardError):
    """This reader cannot read memory cards."""

    code = "reader.no_memory_cards"


class SwappedCardError(CardError):
    """This is another card than before."""

    code = "card.swapped"


class LockedCardError(CardError):
    """The card's application is locked."""

    code = "card.app_locked"


class RefusedByCardError(CardError):
    """The card answered with an unexpected status."""

    code = "card.status_word"


class NotGenuineError(CardError):
    """The card could not prove that it is genuine."""

    code = "card.not_genuine"


class AuthenticationFailedError(CardError):
    """The card did not accept that we may read it."""

    code = "card.authentication_failed"


class WrongHsmAnswerError(CardError):
    """The centre's HSM answered for another card."""

    code = "hsm.answer_for_another"


class PsamRefusedError(CardError):
    """The PSAM refused."""

    code = "psam.unusable"
    another_may: ClassVar[bool] = False  # whether the HSM may do it instead


class PsamMissingError(PsamRefusedError):
    """There is no PSAM."""

    code = "psam.missing"
    another_may = True


class PsamWithoutAlgorithmError(PsamRefusedError):
    """The PSAM cannot compute with this card's algorithm."""

    code = "psam.no_algorithm"
    another_may = True


class PsamWithoutKeyError(PsamRefusedError):
    """The PSAM has no key for these cards."""

    code = "psam.no_key"
    another_may = True


class PsamKeyLevelError(PsamRefusedError):
    """The PSAM's key is of another level."""

    code = "psam.key_level"
    another_may = True


_LOCKED = frozenset(
    {AUTHENTICATION_BLOCKED, FUNCTION_LOCKED, APPLICATION_LOCKED_FOR_GOOD}
)


def refusal(sw: StatusWord, what: str) -> CardError:
    """The error for a status word that ended `what`."""
    kind = LockedCardError if sw in _LOCKED else RefusedByCardError
    return kind(f"{what}: {sw}", sw)
