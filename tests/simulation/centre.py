"""The centre of a simulated world, of any class. It counts what takes effect, and remembers
refusals only for the very same message."""

from __future__ import annotations

from plugin.activation import saga
from plugin.activation.problem import Refusal
from plugin.activation.saga import Activation, Confirmation, Event


class Centre:
    """`active` has the id that activated a card; `effects` who sent it; `since` when. One
    that is not strict knows ids only, and would activate a card twice under two."""

    def __init__(self, letter: str, *, strict: bool) -> None:
        self.letter = letter
        self._strict = strict
        self._known: dict[str, Event] = {}
        self.active: dict[str, str] = {}
        self.since: dict[str, float] = {}
        self.effects: list[tuple[str, str]] = []
        self.refused: set[str] = set()
        self._answered: dict[tuple[str, int], Event] = {}

    def activate(self, record: Activation, now: float, *, refuse: bool) -> Event:
        """Judge one message; a copy of it gets the same answer."""
        message = record.origin.intent_id, record.sends
        if message not in self._answered:
            self._answered[message] = self._judge(record, now, refuse)
        return self._answered[message]

    def _judge(self, record: Activation, now: float, refuse: bool) -> Event:
        card, this = record.card_ref or "", record.activation_id or ""
        intent_id = record.origin.intent_id
        if not self._strict and this in self._known:
            return self._known[this]
        if self._strict and card in self.active:
            by = "answer" if self.letter in "AB" else "refusal"
            adopted = self.active[card] != this
            return saga.Accepted(this, Confirmation(by=by, adopted=adopted))
        if refuse:
            self.refused.add(intent_id)
            return saga.Refused(this, Refusal(code="no"), record.sends)
        self.active[card], self.since[card] = this, now
        self.effects.append((card, intent_id))
        self._known[this] = saga.Accepted(this, Confirmation(by="answer"))
        return self._known[this]

    def status(
        self, record: Activation, asked: int, known_until: float | None
    ) -> Event:
        """What became of this record's id; a site that lags knows only what was so by
        then."""
        card, this = record.card_ref or "", record.activation_id or ""
        lags = known_until is not None and self.since.get(card, 0.0) > known_until
        if card not in self.active or lags:
            return saga.NotFound(this, asked)
        adopted = self.active[card] != this
        return saga.Accepted(this, Confirmation(by="status", adopted=adopted))
