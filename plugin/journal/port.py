"""What a journal must do. Few verbs, so that another store can serve them later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, Protocol

from msgspec import Struct

from plugin.activation.saga import Activation

TORN_MAX = 32
REMOVED = "removed"  # the counter of the last row whose record was removed for its age
AGE = "age"  # the counter of the journal's seconds; what ends is stamped with it


class JournalError(Exception):
    """The journal cannot be used."""

    code: ClassVar[str] = "agent.journal_failed"


class JournalInUseError(JournalError):
    """Another agent has this journal open."""

    code = "agent.journal_in_use"


class JournalDamagedError(JournalError):
    """The journal was changed or damaged outside the agent."""

    code = "agent.journal_damaged"


class StaleRecordError(JournalError):
    """The record was saved by somebody else in between."""


class CardInHandError(JournalError):
    """Another unfinished record has this card in hand."""

    code = "activation.in_hand"


class Request(Struct, frozen=True, kw_only=True):
    """One request with an Idempotency-Key: what it was (`fingerprint`, 64 hex characters
    over route and body) and which transaction it started or moved."""

    client_id: str
    key: str
    fingerprint: str
    transaction_id: str


class Torn(Struct, frozen=True, kw_only=True):
    """A card was asked to change its PIN and its answer is not known: the old one or the new
    one holds. `life` names the run of the agent that asked."""

    card_ref: str
    step: str
    time: str
    life: str


class Reviewed(Struct, frozen=True):
    """What a step of a review has done: records that were replaced (`forgotten` among
    them) and removed, requests that were removed."""

    replaced: int = 0
    forgotten: int = 0
    removed: int = 0
    requests: int = 0


Judge = Callable[[Activation], Activation | None]


class Journal(Protocol):
    """Every verb that writes has committed durably when it returns."""

    def create(self, activation: Activation, request: Request) -> None:
        """A new activation and the request that asked for it, in one commit."""
        ...

    def remember(self, request: Request) -> None:
        """A request that created nothing durable."""
        ...

    def request(self, client_id: str, key: str) -> Request | None:
        """What this key was used for before."""
        ...

    def save(self, activation: Activation) -> Activation:
        """Replace the record of the same intent, whose version must be the one given;
        returns it with the next version, and one that has ended with the journal's AGE.
        Raises StaleRecordError, and CardInHandError for a second unfinished record of one
        card."""
        ...

    def amend(self, activation: Activation) -> Activation:
        """Replace a finished record, whose version must be the one given; returns it with
        the next version. Raises StaleRecordError."""
        ...

    def get(self, intent_id: str) -> Activation | None:
        """The record of this intent."""
        ...

    def is_removed(self, intent_id: str) -> bool:
        """Of an intent without a record: whether it is as old as those that were removed
        for their age."""
        ...

    def of_card(self, card_ref: str) -> tuple[Activation, ...]:
        """Every record of this card, the oldest first."""
        ...

    def unfinished(self) -> tuple[Activation, ...]:
        """Every record that is not terminal, the oldest first."""
        ...

    def recent(self, limit: int, before: str | None = None) -> tuple[Activation, ...]:
        """The last records, the newest first; with `before` those that are older than this
        intent."""
        ...

    def reserve(self, counter: str, amount: int) -> int:
        """Take `amount` numbers that nobody had before, across restarts; returns the
        first. Of none it is the next one's number, and nothing is written."""
        ...

    def tear(self, torn: Torn) -> None:
        """Note a card before it is asked, in place of what was noted of it; of more than
        TORN_MAX cards the oldest are forgotten."""
        ...

    def torn(self, card_ref: str) -> Torn | None:
        """What was noted of this card."""
        ...

    def mend(self, card_ref: str) -> None:
        """The card has answered, now or later: forget it."""
        ...

    def review(self, judge: Judge) -> Iterator[Reviewed]:
        """Show every finished record to `judge`, a few at a step: what it returns takes the
        record's place, None removes it; then remove every request whose record is gone so. No
        unfinished record is shown. What was replaced or removed is on no page of the file
        afterwards. Raises JournalError."""
        ...

    def close(self) -> None:
        """Give the journal back."""
        ...
