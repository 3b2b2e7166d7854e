"""Carries transactions on: what happens to a desk, what the desk then wants, which clock
runs, and what this process remembers of it all.

What the saga promises is kept by `recovery`; what may be asked for is decided by `service`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

from msgspec.structs import replace

from plugin.activation import desk, journey, saga
from plugin.activation.desk import ALLOWED, CLOCKS, Action, Desk, Outcome
from plugin.activation.problem import Problem
from plugin.activation.region import RegionProfile
from plugin.activation.saga import Activation
from plugin.agent import views
from plugin.agent.attendance import LOSS_MS, Attendance
from plugin.agent.clerk import Clerk
from plugin.agent.failure import described
from plugin.agent.lapse import Lapse
from plugin.agent.loop import DecidingLoop
from plugin.agent.readers import ReaderBoard
from plugin.agent.recovery import Activations
from plugin.agent.run import Run
from plugin.agent.teller import Teller
from plugin.agent.views import TransactionView
from plugin.journal.port import JournalError
from plugin.settings import Terminal

KEPT_SECONDS = 3_600  # how long a finished transaction is remembered as it was
KEPT_AT_MOST = 500  # and how many: about 3 MiB; no till finishes as many in an hour
LOOK_AGAIN_MS = 60_000
CARD_MS = 1_000  # what a card at work is given before somebody looks again
_log = logging.getLogger("kaqi.conduct")

CLIENT_LOST = desk.CancelAsked((Problem("transaction.client_lost"),))
STUMBLED = desk.Stumbled(Problem("agent.failed"))


class Conduct:
    """Every transaction this process remembers. `clerk` makes the clerk that does what desks
    want, given who hears what came of it; `changed` hears the id of each that has changed,
    `forgotten` each that is remembered no longer. Lives on the deciding thread."""

    def __init__(
        self,
        *,
        loop: DecidingLoop,
        board: ReaderBoard,
        activations: Activations,
        clerk: Callable[[Callable[[Run, desk.Event], None]], Clerk],
        teller: Teller,
        attendance: Attendance,
        profile: RegionProfile,
        terminal: Terminal,
        changed: Callable[[str], None],
        forgotten: Callable[[Run], None],
    ) -> None:
        self._loop = loop
        self._board = board
        self._activations = activations
        self._clerk = clerk(self.apply)
        self._teller = teller
        self._attendance = attendance
        self._profile = profile
        self._terminal = terminal
        self._changed = changed
        self._forgotten = forgotten
        self._runs: dict[str, Run] = {}
        self._finished = Lapse(loop, KEPT_SECONDS, self._forget, KEPT_AT_MOST)
        self._holders = Lapse(
            loop, views.HOLDER_SECONDS, self._forget_holder, KEPT_AT_MOST
        )

    def find(self, transaction_id: str) -> Run | None:
        """This one, while it is remembered."""
        return self._runs.get(transaction_id)

    def all(self) -> list[Run]:
        """Those that are remembered, the oldest first."""
        return [*self._runs.values()]

    def begin(self, run: Run, effects: tuple[desk.Effect, ...]) -> None:
        """It exists from now on, and does what its desk wants first."""
        self._runs[run.origin.transaction_id] = run
        self._teller.tell(run, "transaction.created")
        self._entered(run, effects, came_from=None)

    def attend(self, run: Run) -> None:
        """Cancel it when its client does not show up for some time."""
        self._attendance.begin(
            run.origin.transaction_id, run.origin.client_id, self._loop.ticks()
        )
        self._loop.after(LOSS_MS, lambda: self._look_for_client(run))

    def slots_changed(self) -> None:
        """Some slot changed: every transaction looks at its readers."""
        for run in self.all():
            if run.now.uses_readers:
                slots, trouble = self._board.slots(run.readers), self._board.trouble()
                self.apply(run, desk.SlotsChanged(slots, trouble))

    def recorded(self, record: Activation, own: Activation) -> TransactionView:
        """A transaction that is known by its durable record `own` only; `record` tells its
        outcome."""
        askable = self._activations.can_be_asked(record)
        return views.from_record(record, own, self._profile, askable=askable)

    def _look_for_client(self, run: Run) -> None:
        """Cancel what its client was lost for; never what may be under way at the centre or
        at the card."""
        transaction_id, state = run.origin.transaction_id, run.now.state
        if Action.CANCEL not in ALLOWED[type(state)]:
            self._attendance.end(transaction_id)
            return
        left = self._attendance.lost_in(transaction_id, self._loop.ticks())
        if left <= 0 and not isinstance(state, desk.PinAtWork):
            self.apply(run, CLIENT_LOST)
        self._loop.after(max(left, CARD_MS), lambda: self._look_for_client(run))

    # From the desk's effects to the world

    def apply(self, run: Run, event: desk.Event) -> None:
        """This has happened to it."""
        before = run.now
        try:
            step = journey.step(before, event)
        except Exception as failed:  # noqa: BLE001 - nobody is left standing there
            _log.error("a decision failed", extra=described(failed))
            step = journey.step(before, STUMBLED)
        run.now = step.desk
        if _visible(before) != _visible(step.desk):
            run.seq += 1
            self._entered(run, step.effects, came_from=before)

    def _entered(
        self, run: Run, effects: tuple[desk.Effect, ...], came_from: Desk | None
    ) -> None:
        """Something to be seen has changed: set the clock, tell everybody, do what the
        desk wants."""
        self._teller.time(run, came_from)
        self._take_in(run)
        if came_from is None or came_from.state != run.now.state:
            self._set_clock(run)
        if not run.now.uses_readers and (came_from is None or came_from.uses_readers):
            self._board.mark_used(frozenset(run.stays))
        if not run.now.needs_holder and (came_from is None or came_from.needs_holder):
            self._finished.add(run.origin.transaction_id)  # the record tells the rest
        if run.now.is_terminal or run.now.is_left_in_doubt:
            self._close(run)
        elif isinstance(run.now.state, desk.WaitingRegistration) and run.durable:
            foreseen = saga.Foreseen(Outcome.WILL_ACTIVATE)
            self._activations.insist(run.follows, foreseen)
        if came_from is not None:
            self._teller.tell(run, "transaction.changed")
        self._teller.announce(run, came_from)
        self._changed(run.origin.transaction_id)
        for effect in effects:
            try:
                self._clerk.do(run, effect)
            except Exception as failed:  # noqa: BLE001 - the same
                _log.error("an effect failed", extra=described(failed))
                self.apply(run, STUMBLED)

    def activation_moved(self, record: Activation) -> None:
        """A durable record was committed: whoever follows it hears of it."""
        intent_id = record.origin.intent_id
        self._teller.moved(record)
        if record.superseded_by is not None:
            return
        for run in self.all():
            if run.follows == intent_id:
                self.apply(run, desk.ActivationMoved(record))
        if record.origin.transaction_id not in self._runs:
            self._moved_after_all(record)

    def _moved_after_all(self, record: Activation) -> None:
        """A transaction of an earlier run is known by its record only: whoever waits for
        it, or follows, hears of it all the same."""
        transaction_id = record.origin.transaction_id
        view = self.recorded(record, record)
        kind = "transaction.completed" if view.is_terminal else "transaction.changed"
        self._teller.say(kind, view)
        self._changed(transaction_id)

    def _set_clock(self, run: Run) -> None:
        """One clock at a time; a new state starts its own."""
        run.clock = run.deadline = None
        clock = CLOCKS.get(type(run.now.state))
        if clock is None:
            return
        seconds: float = getattr(self._profile.clocks, clock.value)
        if clock is desk.Clock.REGISTRATION:
            now = self._loop.ticks()
            run.registers_until = run.registers_until or now + seconds * 1000
            seconds = max(0.0, (run.registers_until - now) / 1000)
        token = run.clock = object()
        run.deadline = self._loop.wall_in(seconds)
        transaction_id = run.origin.transaction_id

        def ring() -> None:
            ticking = self._runs.get(transaction_id)
            if ticking is not None and ticking.clock is token:
                self.apply(ticking, desk.ClockRanOut(clock))

        self._loop.after(seconds * 1000, ring)

    def _take_in(self, run: Run) -> None:
        """Keep what was read for a while, masked and in clear."""
        card = run.now.facts.social_security
        if not run.forgetting and (card or run.now.facts.medical):
            run.forgetting = True
            self._holders.add(run.origin.transaction_id)
        if card is None or run.card_ref is not None:
            return
        run.card_ref = self._clerk.card_ref(card)
        run.masked = views.masked_holder(card)
        run.card = views.card_view(card)
        run.clear = views.clear_holder(card, run.atr, self._terminal)

    def _forget_holder(self, transaction_id: str) -> None:
        """Ten minutes are over; what the desk itself still needs goes when it is done."""
        run = self._runs.get(transaction_id)
        if run is None:
            return
        run.clear = None
        if run.now.needs_holder:
            self._loop.after(LOOK_AGAIN_MS, lambda: self._forget_holder(transaction_id))
            return
        facts = replace(run.now.facts, social_security=None, medical=None)
        run.now = replace(run.now, facts=facts)

    def _close(self, run: Run) -> None:
        """The desk is done: end the durable record too, unless the saga goes on."""
        if run.now.is_terminal:
            run.completed_at = self._loop.wall()
        if not run.durable:
            return
        ending = _ending(run.now.state, run.card_ref)
        self._activations.insist(run.follows, ending)
        if isinstance(ending, saga.FoundActive):
            self._settle_others(run, ending)
        if run.now.is_left_in_doubt:  # unless somebody knew better meanwhile
            with suppress(JournalError, LookupError):
                known = self._activations.record(run.follows)
                self.apply(run, desk.ActivationMoved(known))

    def _settle_others(self, run: Run, found: saga.FoundActive) -> None:
        """The card is active: that answers the record of it that was in doubt."""
        try:
            in_hand = self._activations.in_hand(run.card_ref or "")
        except JournalError as failed:  # its own way goes on
            _log.error("the journal failed", extra={"code": failed.code})
            return
        if in_hand is not None:
            self._activations.insist(in_hand.origin.intent_id, found)

    def _forget(self, transaction_id: str) -> None:
        run = self._runs.pop(transaction_id, None)
        if run is not None:
            self._forgotten(run)


def _visible(now: Desk) -> tuple[desk.State, Problem | None]:
    """What of a transaction can be seen from outside."""
    return now.state, now.facts.problem


def _ending(state: desk.State, card_ref: str | None) -> saga.Event:
    """What the end of a desk means to an activation that sent nothing."""
    match state:
        case desk.Succeeded(outcome, saga.Confirmation() as confirmation):
            return saga.FoundActive(confirmation, outcome.value, card_ref)
        case desk.Succeeded(outcome, _, notices):
            problem = notices[0] if notices else None
            return saga.Dropped(state.name, problem, outcome=outcome.value)
        case desk.Failed(problem) | desk.Expired(problem):
            return saga.Dropped(state.name, problem)
        case desk.Cancelled(notices):
            return saga.Dropped(state.name, notices[0] if notices else None)
        case _:
            return saga.Dropped(state.name)
