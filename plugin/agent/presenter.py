"""Carries a PIN to a card, once, and keeps what must outlive that: what the card is about to
be asked is durable before it is asked, and a change whose answer is lost stays noted until
the card has answered. Lives on the deciding thread.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from drivers.conversation import Procedure
from drivers.ports import PinOperation
from plugin.activation import desk, pins, saga
from plugin.activation.desk import Slot
from plugin.activation.pins import Entry, Found, Typed, Wanted
from plugin.activation.problem import Problem
from plugin.activation.region import RegionProfile
from plugin.activation.saga import CardStep
from plugin.agent.recovery import Activations
from plugin.card import pin
from plugin.card.pin import Answer, Pin
from plugin.card.reading import Card
from plugin.card.social_security import Issue
from plugin.journal.port import Journal, JournalError, Torn
from plugin.privacy import Keys

FEW_MAX = 1_000  # cards whose tries are remembered
PROMPTS = {Entry.VERIFY: 1, Entry.NEW: 3}  # how often somebody types on a keypad
_log = logging.getLogger("kaqi.presenter")


class Carrier(Protocol):
    """What has a card asked on its reader's thread."""

    def present(
        self,
        slot: Slot,
        procedure: Callable[[], Procedure[Answer]],
        done: Callable[[Answer | Problem], None],
        trace_id: str,
        seconds: float = 0.0,
    ) -> None:
        """`done` is called once, with a problem only when the card was not asked."""
        ...


class Asked(Struct, frozen=True, kw_only=True):
    """Whose PIN it is, for whom, and who hears of the answer. `intent_id` is the record
    that tells of it; `activates` says that a change makes the card active."""

    origin: saga.Origin
    intent_id: str
    activates: bool
    issue: Issue
    slot: Slot
    wanted: Wanted
    tell: Callable[[desk.Event], None]


class Presenter:
    """The only one who gives PINs to cards, and the only writer of torn changes."""

    def __init__(
        self,
        carrier: Carrier,
        journal: Journal,
        activations: Activations,
        keys: Keys,
        profile: RegionProfile,
        wall: Callable[[], str],
    ) -> None:
        self._carrier = carrier
        self._journal = journal
        self._activations = activations
        self._keys = keys
        self._profile = profile
        self._wall = wall
        self._life = uuid.uuid4().hex  # this run of the agent
        self._few: dict[
            str, int
        ] = {}  # tries left at worst, of cards that were not right

    def is_torn(self, card: Card) -> bool:
        """Whether this card was left with one of two PINs. Raises JournalError."""
        if card.issue is None or not self._profile.pin.wanted:
            return False
        card_ref = self._card_ref(card.issue)
        in_hand = self._activations.in_hand(card_ref)
        changing = in_hand is not None and in_hand.changing
        return changing or self._journal.torn(card_ref) is not None

    def tries_at_worst(self, card: Card) -> int | None:
        """How few tries this card may have left, as far as this run of the agent knows."""
        return self._few.get(self._card_ref(card.issue)) if card.issue else None

    def present(self, asked: Asked, typed: Typed) -> None:
        """One PIN, one time: noted before the card is asked, forgotten with this call."""
        on_reader = asked.wanted.on_reader
        then = pins.following(asked.wanted, typed, self._profile.pin)
        procedure = self._typed_there(asked) if on_reader else self._here(asked, typed)
        try:
            self._note_before(asked)
        except JournalError as failed:  # what the record says of earlier stays true
            _told(asked, Problem(failed.code))
            return
        try:
            self._note_torn(asked)
        except JournalError as failed:
            unwritten = Problem(failed.code)
            self._note_after(asked, unwritten, then)
            _told(asked, unwritten)
            return

        def done(answer: Answer | Problem) -> None:
            self._note_after(asked, answer, then)
            self._remember(asked, answer)
            _told(asked, answer)

        typing = self._profile.clocks.pin * PROMPTS[asked.wanted.entry]
        self._carrier.present(
            asked.slot,
            procedure,
            done,
            asked.origin.trace_id,
            typing if on_reader else 0.0,
        )

    def count_tries(self, asked: Asked) -> None:
        """Ask the card for its counter, which spends nothing."""
        code, access = asked.issue.identification_code, self._profile.cards.access

        def done(answer: Answer | Problem) -> None:
            self._remember(asked, answer)
            _told(asked, answer)

        self._carrier.present(
            asked.slot,
            lambda: pin.count_tries(code, access),
            done,
            asked.origin.trace_id,
        )

    def _here(self, asked: Asked, typed: Typed) -> Callable[[], Procedure[Answer]]:
        code, access = asked.issue.identification_code, self._profile.cards.access
        now, spare = Pin(typed.pin or ""), self._spare(asked)
        if asked.wanted.entry is Entry.VERIFY:
            return lambda: pin.verify(code, access, now, spare)
        new = Pin(typed.new_pin or "")
        return lambda: pin.change(code, access, now, new, spare)

    def _typed_there(self, asked: Asked) -> Callable[[], Procedure[Answer]]:
        code, access = asked.issue.identification_code, self._profile.cards.access
        verifies = asked.wanted.entry is Entry.VERIFY
        operation = PinOperation.VERIFY if verifies else PinOperation.MODIFY
        digits, seconds = self._profile.pin.digits, self._profile.clocks.pin
        spare = self._spare(asked)
        return lambda: pin.on_keypad(code, access, operation, digits, seconds, spare)

    def _spare(self, asked: Asked) -> int | None:
        return asked.wanted.spare if self._profile.pin.probe else None

    def _note_before(self, asked: Asked) -> None:
        """What must be durable before the card is asked. Raises JournalError."""
        changes = asked.wanted.entry is Entry.NEW
        step = CardStep.CHANGING if changes else CardStep.VERIFYING
        activates = self._card_ref(asked.issue) if asked.activates else None
        self._activations.happened(
            asked.intent_id,
            saga.CardAsked(step, asked.wanted.tries_told, activates),
        )

    def _note_torn(self, asked: Asked) -> None:
        """That it may be torn is noted last of all, so that what fails before leaves
        nothing to forget. Raises JournalError."""
        if asked.wanted.entry is Entry.NEW:
            self._journal.tear(
                Torn(
                    card_ref=self._card_ref(asked.issue),
                    step=CardStep.CHANGING.value,
                    time=self._wall(),
                    life=self._life,
                )
            )

    def _note_after(
        self, asked: Asked, answer: Answer | Problem, then: Entry | None
    ) -> None:
        """A card that has answered a change, or taken a PIN, is torn no more; and one whose
        PIN is the old one has not been activated by it. Where that cannot be written, its
        holder is asked once more than needed."""
        kept = _kept(asked.wanted, then, answer)
        answered = not isinstance(answer, pin.Unanswered)
        changed = asked.wanted.entry is Entry.NEW and answered
        found = asked.wanted.torn is not None and isinstance(answer, pin.Accepted)
        if asked.activates and kept:
            self._activations.insist(asked.intent_id, saga.CardKept())
        try:
            if changed or found or kept:
                self._journal.mend(self._card_ref(asked.issue))
        except JournalError as failed:
            _log.error("the journal failed", extra={"code": failed.code})

    def _remember(self, asked: Asked, answer: Answer | Problem) -> None:
        """So that the last try is warned of in the next transaction too."""
        if isinstance(answer, Problem):
            return
        card_ref = self._card_ref(asked.issue)
        left = pins.at_worst(asked.wanted.tries_left, answer)
        self._few.pop(card_ref, None)
        if left is not None:
            self._few[card_ref] = left
        for forgotten in list(self._few)[:-FEW_MAX]:
            del self._few[forgotten]

    def _card_ref(self, issue: Issue) -> str:
        return self._keys.digest("card", issue.identification_code)


def _kept(wanted: Wanted, then: Entry | None, answer: Answer | Problem) -> bool:
    """Whether the card's PIN is certainly what it was before a change of it."""
    if isinstance(answer, Problem):  # it was not asked
        return wanted.entry is Entry.NEW
    return pins.found(wanted, then, answer) is Found.OLD


def _told(asked: Asked, answer: Answer | Problem) -> None:
    stay = asked.slot.insertion_id or ""
    if isinstance(answer, Problem):
        asked.tell(desk.PinNotPresented(stay, answer))
    else:
        asked.tell(desk.PinAnswered(stay, answer))
