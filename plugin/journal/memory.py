"""A journal that forgets with its process: for simulations and tests of other rooms."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from msgspec.structs import replace

from plugin.activation.saga import Activation, intent_of
from plugin.journal.port import (
    AGE,
    TORN_MAX,
    CardInHandError,
    Judge,
    Request,
    Reviewed,
    StaleRecordError,
    Torn,
)


class MemoryJournal:
    """Behaves as the durable one in everything but durability."""

    def __init__(self) -> None:
        self._activations: dict[str, Activation] = {}
        self._requests: dict[tuple[str, str], Request] = {}
        self._counters: dict[str, int] = {}
        self._torn: dict[str, Torn] = {}
        self._removed = ""  # the last whose record was removed for its age

    def create(self, activation: Activation, request: Request) -> None:
        """A new activation and the request that asked for it."""
        self._activations[activation.origin.intent_id] = activation
        self.remember(request)

    def remember(self, request: Request) -> None:
        """A request that created nothing durable."""
        self._requests[request.client_id, request.key] = request

    def request(self, client_id: str, key: str) -> Request | None:
        """What this key was used for before."""
        return self._requests.get((client_id, key))

    def save(self, activation: Activation) -> Activation:
        """Replace the record of the same intent and version."""
        intent_id = activation.origin.intent_id
        if self._activations[intent_id].version != activation.version:
            raise StaleRecordError(intent_id)
        if activation.card_ref is not None and any(
            not each.state.is_terminal and each.origin.intent_id != intent_id
            for each in self.of_card(activation.card_ref)
        ):
            raise CardInHandError(intent_id)
        saved = replace(activation, version=activation.version + 1)
        if saved.state.is_terminal:
            saved = replace(saved, ended=self._counters.get(AGE, 0))
        self._activations[intent_id] = saved
        return saved

    def amend(self, activation: Activation) -> Activation:
        """Replace a finished record."""
        intent_id = activation.origin.intent_id
        known = self._activations[intent_id]
        if not known.state.is_terminal or known.version != activation.version:
            raise StaleRecordError(intent_id)
        amended = replace(activation, version=activation.version + 1)
        self._activations[intent_id] = amended
        return amended

    def get(self, intent_id: str) -> Activation | None:
        """The record of this intent."""
        return self._activations.get(intent_id)

    def is_removed(self, intent_id: str) -> bool:
        """Whether it is as old as those that were removed."""
        return intent_id <= self._removed

    def of_card(self, card_ref: str) -> tuple[Activation, ...]:
        """Every record of this card, the oldest first."""
        return tuple(
            each for each in self._activations.values() if each.card_ref == card_ref
        )

    def unfinished(self) -> tuple[Activation, ...]:
        """Every record that is not terminal, the oldest first."""
        return tuple(
            each for each in self._activations.values() if not each.state.is_terminal
        )

    def recent(self, limit: int, before: str | None = None) -> tuple[Activation, ...]:
        """The last records, the newest first."""
        older = (
            each
            for intent_id, each in reversed(self._activations.items())
            if before is None or intent_id < before
        )
        return tuple(islice(older, limit))

    def reserve(self, counter: str, amount: int) -> int:
        """Take `amount` numbers that nobody had before."""
        first = self._counters.get(counter, 0) + 1
        self._counters[counter] = first + amount - 1
        return first

    def tear(self, torn: Torn) -> None:
        """Note a card before it is asked."""
        self.mend(torn.card_ref)
        self._torn[torn.card_ref] = torn
        for forgotten in list(self._torn)[:-TORN_MAX]:
            self.mend(forgotten)

    def torn(self, card_ref: str) -> Torn | None:
        """What was noted of this card."""
        return self._torn.get(card_ref)

    def mend(self, card_ref: str) -> None:
        """The card has answered: forget it."""
        self._torn.pop(card_ref, None)

    def review(self, judge: Judge) -> Iterator[Reviewed]:
        """Every finished record through `judge`, then the requests without a record."""
        for intent_id, record in list(self._activations.items()):
            if record.state.is_terminal:
                yield self._reviewed(intent_id, record, judge(record))
        for name, request in list(self._requests.items()):
            intent_id = intent_of(request.transaction_id)
            if intent_id <= self._removed and intent_id not in self._activations:
                del self._requests[name]
                yield Reviewed(requests=1)

    def _reviewed(
        self, intent_id: str, record: Activation, left: Activation | None
    ) -> Reviewed:
        if left is None:
            del self._activations[intent_id]
            self._removed = max(self._removed, intent_id)
            return Reviewed(removed=1)
        self._activations[intent_id] = left
        return Reviewed(
            replaced=left != record, forgotten=left.forgotten and not record.forgotten
        )

    def close(self) -> None:
        """Nothing is held."""
