"""The journal of safe mode: the real one is damaged and stays untouched, so nothing is
promised, and nothing is said of what was promised before (reliability, J5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from plugin.activation.saga import Activation
from plugin.journal.port import JournalError, Request, Reviewed, Torn


class SafeModeError(JournalError):
    """The agent is in safe mode: what needs a durable record cannot be done."""

    code = "agent.safe_mode"


def _refuse(*_: object) -> NoReturn:
    raise SafeModeError("the journal is damaged")


class SafeJournal:
    """Refuses every verb but those that reading a card and a dry run need: they ask for
    what is known, and nothing is. Events are counted from `first_event`, which the caller
    chooses beyond every number that was told before."""

    def __init__(self, first_event: int) -> None:
        self._next = first_event

    def create(self, activation: Activation, request: Request) -> None:
        """Refused."""
        _refuse(activation, request)

    def remember(self, request: Request) -> None:
        """Refused."""
        _refuse(request)

    def request(self, client_id: str, key: str) -> Request | None:
        """Not known; what a known key was used for is refused with its record."""
        return None

    def save(self, activation: Activation) -> Activation:
        """Refused."""
        _refuse(activation)

    def amend(self, activation: Activation) -> Activation:
        """Refused."""
        _refuse(activation)

    def get(self, intent_id: str) -> Activation | None:
        """Refused: it may be there."""
        _refuse(intent_id)

    def is_removed(self, intent_id: str) -> bool:
        """Refused: nobody knows."""
        _refuse(intent_id)

    def of_card(self, card_ref: str) -> tuple[Activation, ...]:
        """Not known; nothing is sent for this card."""
        return ()

    def unfinished(self) -> tuple[Activation, ...]:
        """What is unfinished is left alone."""
        return ()

    def recent(self, limit: int, before: str | None = None) -> tuple[Activation, ...]:
        """Refused: an empty list would say that there is nothing."""
        _refuse(limit)

    def reserve(self, counter: str, amount: int) -> int:
        """Take `amount` numbers that nobody had before, as long as the clock is right."""
        first = self._next
        self._next += amount
        return first

    def tear(self, torn: Torn) -> None:
        """Refused: a card must not be asked what cannot be noted."""
        _refuse(torn)

    def torn(self, card_ref: str) -> Torn | None:
        """Not known; no PIN is presented."""
        return None

    def mend(self, card_ref: str) -> None:
        """Refused."""
        _refuse(card_ref)

    def review(
        self, judge: Callable[[Activation], Activation | None]
    ) -> Iterator[Reviewed]:
        """Refused with its first step: what cannot be read is not forgotten."""
        yield _refuse(judge)

    def copy(self, path: Path) -> Iterator[None]:
        """Refused with its first step: a damaged journal must not replace a good copy."""
        yield _refuse(path)

    def close(self) -> None:
        """Nothing is held."""
