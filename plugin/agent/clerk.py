"""Does what the desk of a transaction wants done: asks cards, the centre and the journal, and
tells the desk what came of that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date
from typing import assert_never

from plugin.activation import desk, journey, rules, saga
from plugin.activation.desk import Outcome, Terms
from plugin.activation.pins import Wanted
from plugin.activation.problem import Problem
from plugin.activation.region import RegionProfile, Role
from plugin.activation.rules import CardStatus
from plugin.activation.saga import Confirmation
from plugin.agent.courier import Courier
from plugin.agent.failure import described
from plugin.agent.presenter import Asked, Presenter
from plugin.agent.readers import ReaderBoard
from plugin.agent.recovery import Activations, Message
from plugin.agent.run import Run
from plugin.agent.testing import role_of
from plugin.card.reading import AtReader, Card, read_at_reader
from plugin.card.social_security import SocialSecurityCard
from plugin.centre.port import Centre, CentreError
from plugin.journal.port import JournalError
from plugin.privacy import Keys

_log = logging.getLogger("kaqi.clerk")


class Clerk:
    """`trouble` is what is wrong with the journal, `dated` hears the day whenever the centre
    says it, `apply` takes what has happened to a transaction. Lives on the deciding
    thread."""

    def __init__(
        self,
        *,
        board: ReaderBoard,
        keys: Keys,
        centre: Centre,
        courier: Courier,
        activations: Activations,
        presenter: Presenter,
        profile: RegionProfile,
        trouble: Problem | None,
        dated: Callable[[date], None],
        apply: Callable[[Run, desk.Event], None],
    ) -> None:
        self._board = board
        self._keys = keys
        self._centre = centre
        self._courier = courier
        self._activations = activations
        self._presenter = presenter
        self._profile = profile
        self._trouble = trouble
        self._dated = dated
        self._apply = apply

    def card_ref(self, card: SocialSecurityCard) -> str:
        """The keyed hash by which the journal knows a card."""
        return self._keys.digest("card", card.issue.identification_code)

    def do(self, run: Run, effect: desk.Effect) -> None:
        """Begin it; what comes of it is applied later, or at once."""
        match effect:
            case desk.ReadCard(slot):
                self._read(run, slot)
            case desk.Match():
                self._match(run)
            case desk.AskStatus():
                self._ask_status(run)
            case desk.PresentPin(slot, wanted, typed):
                self._presenter.present(self._asked(run, slot, wanted), typed)
            case desk.CountTries(slot, wanted):
                self._presenter.count_tries(self._asked(run, slot, wanted))
            case desk.Activate():
                self._activate(run)
            case _:
                assert_never(effect)

    def _read(self, run: Run, slot: desk.Slot) -> None:
        stay = slot.insertion_id or ""
        run.stays.add(stay)

        def done(outcome: AtReader | Problem) -> None:
            if isinstance(outcome, Problem):
                self._apply(run, desk.ReadFailed(stay, outcome))
                return
            card, presenter = outcome.card, self._presenter
            self._board.recognised(stay, role_of(card))
            worst = presenter.tries_at_worst(card)
            try:
                torn = presenter.is_torn(card)
                known = self._activated_here(card, run.now.facts.terms)
                doubt = self._doubt_about(run, card)
            except JournalError as failed:
                self._apply(run, desk.ReadFailed(stay, Problem(failed.code)))
                return
            if isinstance(card, SocialSecurityCard):
                run.atr = self._board.atr(stay)
            read = desk.CardRead(stay, card, outcome.keypad, torn, worst, known, doubt)
            self._apply(run, read)

        layouts, asks = self._profile.cards, self._profile.pin.wanted
        self._board.read(
            slot,
            lambda atr: read_at_reader(layouts, atr, asks_keypad=asks),
            done,
            lambda question: self._courier.timed(
                lambda: self._centre.authenticate(question, run.origin)
            ),
            run.origin.trace_id,
        )

    def _activated_here(self, card: Card, terms: Terms) -> Confirmation | None:
        """What our journal knows of a card, where the centre cannot be asked, or was not
        told. Raises JournalError."""
        if terms.asks_status and not terms.changes_pin:
            return None
        if not isinstance(card, SocialSecurityCard):
            return None
        first = self._activations.first_active(self.card_ref(card))
        return first.confirmation if first is not None else None

    def _asked(self, run: Run, slot: desk.Slot, wanted: Wanted) -> Asked:
        """Whose card is asked: the desk wants no PIN of a card without an issue."""
        facts = run.now.facts
        card = facts.card(wanted.role)
        assert card is not None  # noqa: S101
        assert card.issue is not None  # noqa: S101
        activates = facts.terms.changes_pin and wanted.role is Role.SOCIAL_SECURITY
        return Asked(
            origin=run.origin,
            intent_id=run.follows,
            activates=activates,
            issue=card.issue,
            slot=slot,
            wanted=wanted,
            tell=lambda event: self._apply(run, event),
        )

    def _doubt_about(self, run: Run, card: Card) -> Problem | None:
        """What our journal has of this card in hand. One that may have become active when
        it was here last has returned: its record goes on, and tells what comes of this
        transaction too. Raises JournalError."""
        if not isinstance(card, SocialSecurityCard):
            return None
        in_hand = self._activations.in_hand(self.card_ref(card))
        if in_hand is None:
            return self._trouble  # then nobody knows
        if not in_hand.changing:
            return Problem("activation.in_hand")
        if run.durable and run.follows == run.origin.intent_id:
            self._activations.leave_to(in_hand, run.origin.intent_id)
            run.follows = in_hand.origin.intent_id
        return journey.MUST_RETURN

    def _is_known(self, run: Run) -> bool:
        """Whether another transaction of ours has ended with this card active."""
        try:
            return self._activations.first_active(run.card_ref or "") is not None
        except JournalError as failed:  # then only the words are less exact
            _log.error("the journal failed", extra={"code": failed.code})
            return False

    def _match(self, run: Run) -> None:
        medical, card = run.now.facts.medical, run.now.facts.social_security
        if medical is None or card is None:
            return
        same = rules.same_person(medical, card)
        if same is not None:
            self._apply(run, desk.Matched(same))
            return

        def done(found: bool | CentreError) -> None:
            if isinstance(found, CentreError):
                self._apply(run, desk.CentreSilent(Problem(found.code)))
            else:
                self._apply(run, desk.Matched(found))

        self._courier.run(
            lambda: self._centre.match(medical, card, run.origin),
            done,
            trace_id=run.origin.trace_id,
        )

    def _ask_status(self, run: Run) -> None:
        card = run.now.facts.social_security
        if card is None:
            return

        def done(found: CardStatus | CentreError) -> None:
            if isinstance(found, CentreError):
                self._apply(run, desk.CentreSilent(Problem(found.code)))
            else:
                self._apply(run, desk.StatusTold(found, self._is_known(run)))
                self._dated(found.today)

        self._courier.run(
            lambda: self._centre.card_status(card, run.origin),
            done,
            trace_id=run.origin.trace_id,
        )

    def _activate(self, run: Run) -> None:
        facts = run.now.facts
        medical, card = facts.medical, facts.social_security
        if card is None:
            return

        def message(name: str) -> Message:
            body = self._centre.compose(name, card, medical, run.origin)
            return Message(body, self._centre.message_name(name))

        try:
            if facts.terms.changes_pin:
                found = _by_the_card(facts, self.card_ref(card))
                self._activations.insist(run.follows, found)
                return
            begun = self._activations.begin(
                run.origin.intent_id,
                self.card_ref(card),
                card.issue.identification_code,
                card.issue.issue_date,
                message,
            )
        except JournalError as failed:
            self._apply(run, desk.NotBegun(Problem(failed.code)))
            return
        except Exception as failed:  # noqa: BLE001 - nothing was committed
            _log.error("an activation was not begun", extra=described(failed))
            self._apply(run, desk.NotBegun(Problem("agent.failed")))
            return
        if begun.superseded_by is not None:
            run.follows = begun.superseded_by
            self._apply(
                run, desk.ActivationMoved(self._activations.record(run.follows))
            )

    # From the world to the desk


def _by_the_card(facts: desk.Facts, card_ref: str) -> saga.FoundActive:
    """The card has its holder's PIN: by this transaction's doing, or from before."""
    outcome = Outcome.ACTIVATED if facts.changed else Outcome.ALREADY_ACTIVE
    today = facts.status.today.isoformat() if facts.status else None
    confirmation = Confirmation(
        by="pin_change",
        adopted=not facts.changed,
        since=today if facts.changed else None,
    )
    return saga.FoundActive(confirmation, outcome.value, card_ref)
