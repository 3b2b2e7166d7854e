"""What a client may ask of the agent. Lives on the deciding thread.

A transaction is a pure desk and what surrounds it: who started it, who follows it, which
clock runs, and the durable activation behind it. What the desk wants done is done here;
what the saga promises is kept by `recovery`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from itertools import islice
from random import Random
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from plugin.activation import desk, journey, pins, saga
from plugin.activation.desk import ALLOWED, CLOCKS, Action, Desk, Outcome, Terms
from plugin.activation.pins import Typed
from plugin.activation.problem import Problem
from plugin.activation.region import RegionProfile, Scenario
from plugin.activation.saga import (
    Activation,
    ActivationState,
    Origin,
    Settlement,
    Verdict,
)
from plugin.agent import views
from plugin.agent.attendance import LOSS_MS, Attendance
from plugin.agent.clerk import Clerk
from plugin.agent.counting import Counts
from plugin.agent.courier import Courier
from plugin.agent.failure import described
from plugin.agent.happenings import Happenings
from plugin.agent.intents import IntentIds
from plugin.agent.lapse import Lapse
from plugin.agent.loop import DecidingLoop
from plugin.agent.outstanding import KEPT as OUTSTANDING
from plugin.agent.outstanding import Outstanding
from plugin.agent.presenter import Presenter
from plugin.agent.rate import Rate
from plugin.agent.readers import ReaderBoard, ReaderView
from plugin.agent.recovery import Activations
from plugin.agent.run import Kind, Run
from plugin.agent.space import MIB, Space
from plugin.agent.teller import Teller
from plugin.agent.testing import Tested, TestedCard, read_kind
from plugin.agent.views import TransactionView
from plugin.centre.port import Centre
from plugin.journal.port import Journal, JournalError, Request
from plugin.privacy import Keys
from plugin.settings import Institution, Terminal

KEPT_SECONDS = 3_600  # how long a finished transaction is remembered as it was
KEPT_AT_MOST = 500  # and how many: about 3 MiB; no till finishes as many in an hour
LOOK_AGAIN_MS = 60_000
CARD_MS = 1_000  # what a card at work is given before somebody looks again
REMINDED_MAX = 100
PIN_STARTS_A_MINUTE = 5
_log = logging.getLogger("kaqi.service")

CLIENT_LOST = desk.CancelAsked((Problem("transaction.client_lost"),))
STUMBLED = desk.Stumbled(Problem("agent.failed"))
_EVENTS: dict[Action, desk.Event] = {
    Action.CANCEL: desk.CancelAsked(),
    Action.CONFIRM: desk.ConfirmAsked(),
    Action.CONTINUE: desk.ContinueAsked(),
}


Result = TypeVar("Result")


class ProblemError(Exception):
    """The request cannot be carried out; `extras` are further members of the answer."""

    def __init__(self, problem: Problem, **extras: object) -> None:
        super().__init__(problem.code)
        self.problem = problem
        self.extras = extras


class Client(Struct, frozen=True, kw_only=True):
    """Who is asking: a paired client and what it may do. Its token works in pages of this
    `origin` only, outside a browser only where that is "", and everywhere where it is None."""

    id: str
    scopes: frozenset[str]
    origin: str | None = None
    paired_at: str = ""

    def calls_from(self, origin: str | None) -> bool:
        """Whether its token may come from a page of this origin, or from no page."""
        return self.origin is None or self.origin == (origin or "")

    @property
    def is_operator(self) -> bool:
        """Whether it may also answer for what others have started."""
        return "operate" in self.scopes


_EVERYBODY = Client(id="", scopes=frozenset({"operate"}))


def _whose(client: Client) -> str | None:
    """Whose transactions it may answer for: None means everybody's."""
    return None if client.is_operator else client.id


class Order(Struct, frozen=True, kw_only=True):
    """What a client wants started. `readers` are the ids it may use; None means all.
    `cancel_when_lost` ends it when its client has not shown up for some time."""

    kind: Kind = Kind.ACTIVATION
    scenario: Scenario
    pos_ref: str | None = None
    operator_ref: str | None = None
    readers: frozenset[str] | None = None
    cancel_when_lost: bool = False


class Keyed(Struct, frozen=True, kw_only=True):
    """The Idempotency-Key of a request, and the fingerprint of all that it said."""

    key: str
    fingerprint: str
    trace_id: str


class Service:
    """The verbs. `changed` hears the id of every transaction that has changed, `dated` the
    day whenever the centre says it."""

    def __init__(
        self,
        *,
        loop: DecidingLoop,
        board: ReaderBoard,
        journal: Journal,
        keys: Keys,
        centre: Centre,
        courier: Courier,
        counts: Counts,
        happenings: Happenings,
        random: Random,
        institution: Institution,
        profile: RegionProfile,
        simulated: bool,
        terminal: Terminal,
        space: Space,
        trouble: Problem | None,
        dated: Callable[[date], None],
        changed: Callable[[str], None],
    ) -> None:
        self._space = space
        self._loop = loop
        self._terminal = terminal
        self._board = board
        self._journal = journal
        self._teller = Teller(happenings, counts, loop.ticks)
        self._institution = institution
        self._centre = centre
        self._profile = profile
        self._simulated = simulated
        self._changed = changed
        self._ids = IntentIds()
        self._outstanding = Outstanding()
        self._attendance = Attendance()
        self._testing: set[str] = set()  # readers
        self._runs: dict[str, Run] = {}
        self._passing: dict[tuple[str, str], Request] = {}  # keys of dry runs
        self._finished = Lapse(loop, KEPT_SECONDS, self._forget, KEPT_AT_MOST)
        self._holders = Lapse(
            loop, views.HOLDER_SECONDS, self._forget_holder, KEPT_AT_MOST
        )
        self._activations = Activations(
            journal, courier, loop, random, self._activation_moved
        )
        self._pin_starts = Rate(PIN_STARTS_A_MINUTE, loop.ticks)
        self._clerk = Clerk(
            board=board,
            keys=keys,
            centre=centre,
            courier=courier,
            activations=self._activations,
            presenter=Presenter(
                board, journal, self._activations, keys, profile, loop.wall
            ),
            profile=profile,
            trouble=trouble,
            dated=dated,
            apply=self._apply,
        )

    # Verbs

    def start(self, client: Client, order: Order, keyed: Keyed) -> TransactionView:
        """Begin a transaction; the same key again shows the one it began.

        Raises ProblemError: scenario.not_allowed_here, reader.unknown, reader.busy,
        idempotency.key_reused, agent.disk_full, agent.journal_failed.
        """
        replayed = self._replayed(client, keyed)
        if replayed is not None:
            return replayed
        chosen = self._profile.rules(self._institution.kind, order.scenario)
        if chosen is None:
            refused = Problem("scenario.not_allowed_here", {"scenario": order.scenario})
            raise ProblemError(refused)
        self._refuse_taken_readers(order.readers)
        if order.kind is Kind.ACTIVATION:
            self._refuse_without_room()
        origin = self._origin(client, order, keyed.trace_id)
        terms = Terms(
            scenario=order.scenario,
            rules=chosen,
            profile=self._profile,
            simulated=self._simulated,
            dry_run=order.kind is Kind.DRY_RUN,
        )
        slots, trouble = self._board.slots(order.readers), self._board.trouble()
        first = journey.begin(terms, slots, trouble)
        run = Run(
            order.kind, origin, order.readers, first.desk, follows=origin.intent_id
        )
        request = _request(client, keyed, origin.transaction_id)
        if run.durable:
            now = self._loop.wall()
            record = Activation(origin=origin, changed_at=now, unseen=True)
            self._durably(lambda: self._journal.create(record, request))
            self._teller.open(record)
        else:
            self._passing[client.id, keyed.key] = request
        self._runs[origin.transaction_id] = run
        self._outstanding.add(origin.transaction_id, client.id)
        if order.cancel_when_lost:
            self._attendance.begin(origin.transaction_id, client.id, self._loop.ticks())
            self._loop.after(LOSS_MS, lambda: self._look_for_client(run))
        self._teller.tell(run, "transaction.created")
        self._entered(run, first.effects, came_from=None)
        return self._view(run, client)

    def act(
        self, client: Client, transaction_id: str, action: Action, keyed: Keyed
    ) -> TransactionView:
        """Cancel, confirm or continue. Raises ProblemError: transaction.unknown,
        transaction.bad_state, transaction.not_cancellable, idempotency.key_reused."""
        replayed = self._replayed(client, keyed)
        if replayed is not None:
            return replayed
        run = self._steerable(client, transaction_id, action)
        return self._steer(client, run, _EVENTS[action], keyed)

    def give_pin(
        self,
        client: Client,
        transaction_id: str,
        typed: Typed,
        keyed: Keyed,
        seq: int | None,
    ) -> TransactionView:
        """Present what was typed, once, or have it typed on the reader; `seq` is that of
        the snapshot it answers, where the client says so. Raises ProblemError: those of
        `act`, and why it must not be presented."""
        replayed = self._replayed(client, keyed)
        if replayed is not None:
            return replayed
        run = self._steerable(client, transaction_id, Action.PIN)
        state = run.now.state
        assert isinstance(state, desk.WaitingPin)  # noqa: S101 - the table says so
        if seq not in (None, run.seq):  # typed for something that is over
            raise self._not_now(ALLOWED[type(state)], Action.PIN, state.name)
        refused = pins.objection(state.wanted, typed, self._profile.pin)
        if refused is not None:
            raise ProblemError(refused)
        if seconds := self._pin_starts.seconds_to_wait(client.id):
            limited = Problem("client.rate_limited", {"seconds": str(seconds)})
            raise ProblemError(limited, retry_after=seconds)
        return self._steer(client, run, desk.PinGiven(typed), keyed)

    def reconcile(
        self, client: Client, transaction_id: str, keyed: Keyed
    ) -> TransactionView:
        """Ask the centre now what became of it, as soon as it may be asked at all. Raises
        ProblemError: those of `act`, and why only the card or a person can tell."""
        replayed = self._replayed(client, keyed)
        if replayed is not None:
            return replayed
        view = self.transaction(client, transaction_id)
        if view.state == desk.InDoubt.name and view.problem and not view.allowed:
            raise ProblemError(view.problem)  # only the card or a person can tell
        if Action.RECONCILE not in view.allowed:
            raise self._not_now(view.allowed, Action.RECONCILE, view.state)
        request, doubtful = _request(client, keyed, transaction_id), view.activation
        self._durably(lambda: self._journal.remember(request))
        self._durably(lambda: self._activations.ask_now(doubtful or ""))
        return self.transaction(client, transaction_id)

    def acknowledge(
        self, client: Client, transaction_id: str, keyed: Keyed
    ) -> TransactionView:
        """Its client knows how it has ended, and need not be told again; once more changes
        nothing. Raises ProblemError: transaction.unknown, transaction.bad_state, auth.scope
        for somebody else's, idempotency.key_reused, agent.journal_failed."""
        replayed = self._replayed(client, keyed)
        if replayed is not None:
            return replayed
        view = self.transaction(client, transaction_id)
        if client.id != view.origin.client_id and not client.is_operator:
            raise ProblemError(Problem("auth.scope", {"scope": "operate"}))
        if not view.is_terminal:
            raise self._not_now(view.allowed, Action.ACKNOWLEDGE, view.state)
        request = _request(client, keyed, transaction_id)
        run = self._runs.get(transaction_id)
        if run is not None and not run.durable:
            self._passing[client.id, keyed.key] = request
        else:
            intent_id = view.origin.intent_id
            self._durably(lambda: self._activations.acknowledge(intent_id))
            self._durably(lambda: self._journal.remember(request))
        if transaction_id in self._outstanding:
            self._outstanding.discard(transaction_id)
            if run is not None:
                run.seq += 1
            self._teller.say("transaction.acknowledged", view)
            self._changed(transaction_id)
        return self.transaction(client, transaction_id)

    def _steerable(self, client: Client, transaction_id: str, action: Action) -> Run:
        """The transaction, where this may be asked of it now."""
        run = self._runs.get(transaction_id)
        if run is None:
            known = self.transaction(client, transaction_id)
            raise self._not_now(known.allowed, action, known.state)
        allowed = ALLOWED[type(run.now.state)]
        if action not in allowed:
            raise self._not_now(allowed, action, run.now.state.name)
        return run

    def _steer(
        self, client: Client, run: Run, event: desk.Event, keyed: Keyed
    ) -> TransactionView:
        request = _request(client, keyed, run.origin.transaction_id)
        if run.durable:
            self._durably(lambda: self._journal.remember(request))
        else:
            self._passing[client.id, keyed.key] = request
        self._apply(run, event)
        return self._view(run, client)

    def transaction(
        self, client: Client, transaction_id: str, patience: float = 0.0
    ) -> TransactionView:
        """One transaction, from memory or from its durable record. The client is there for
        `patience` seconds at least, waiting for another answer."""
        run = self._runs.get(transaction_id)
        if run is not None:
            if client.id == run.origin.client_id:
                self._attendance.asked(transaction_id, self._loop.ticks(), patience)
            return self._view(run, client)
        intent_id = saga.intent_of(transaction_id)
        own = self._durably(lambda: self._journal.get(intent_id))
        if own is None:
            gone = self._durably(lambda: self._journal.is_removed(intent_id))
            code = "transaction.purged" if gone else "transaction.unknown"
            raise ProblemError(Problem(code))
        return self._recorded(self._followed(own), own)

    def _recorded(self, record: Activation, own: Activation) -> TransactionView:
        askable = self._activations.can_be_asked(record)
        return views.from_record(record, own, self._profile, askable=askable)

    def transactions(self, client: Client) -> Iterator[TransactionView]:
        """The transactions this process remembers, the newest first."""
        return (self._view(run, client) for run in reversed(self._runs.values()))

    def unacknowledged(self, client: Client) -> Iterator[TransactionView]:
        """Those that have ended, or may have been committed, without their client having
        said that it knows; of earlier runs too, the newest first. An operator sees those
        of every client."""
        for transaction_id in self._outstanding.of(_whose(client)):
            view = self._if_kept(client, transaction_id)
            if view is not None and (view.is_terminal or view.commit != "none"):
                yield view

    def outstanding(self, client: Client) -> list[str]:
        """The ids of those that have ended and are not acknowledged, the newest first."""
        going_on = set(self.live_transactions())
        ids = self._outstanding.of(_whose(client))
        return [each for each in ids if each not in going_on][:REMINDED_MAX]

    def _if_kept(self, client: Client, transaction_id: str) -> TransactionView | None:
        """The transaction, unless it was removed for its age."""
        try:
            return self.transaction(client, transaction_id)
        except ProblemError as gone:
            if gone.problem.code not in ("transaction.unknown", "transaction.purged"):
                raise
            self._outstanding.discard(transaction_id)
            return None

    def activation(self, intent_id: str) -> Activation:
        """One durable record."""
        found = self._durably(lambda: self._journal.get(intent_id))
        if found is None:
            raise ProblemError(Problem("activation.unknown"))
        return found

    def settle(
        self,
        client: Client,
        intent_id: str,
        verdict: Verdict,
        reason: str,
        operator_ref: str,
        keyed: Keyed,
    ) -> Activation:
        """A person has found out what became of it, and answers for it; the same key again
        shows what was settled. Raises ProblemError: activation.unknown,
        activation.not_for_a_person, idempotency.key_reused, agent.journal_failed."""
        record = self.activation(intent_id)
        if self._earlier(client, keyed) is not None:
            return record
        if not saga.needs_a_person(record):
            refused = Problem(
                "activation.not_for_a_person", {"state": record.state.value}
            )
            raise ProblemError(refused)
        settlement = Settlement(
            verdict=verdict,
            reason=reason,
            operator_ref=operator_ref,
            client_id=client.id,
            at=self._loop.wall(),
        )
        settled = self._durably(
            lambda: self._activations.happened(intent_id, saga.Settled(settlement))
        )
        request = _request(client, keyed, record.origin.transaction_id)
        self._durably(lambda: self._journal.remember(request))
        return settled

    def recent_activations(self, limit: int) -> tuple[Activation, ...]:
        """The last durable records, the newest first."""
        return self._durably(lambda: self._journal.recent(limit))

    def readers(self) -> tuple[ReaderView, ...]:
        """Every reader, with the transaction that may use it and what its card was taken
        for."""
        return tuple(
            view
            if view.is_psam
            else replace(
                view,
                transaction=self._user_of(view.id),
                role=self._role_of(view.insertion_id),
            )
            for view in self._board.views()
        )

    def reader(self, reader_id: str) -> ReaderView:
        """One reader. Raises ProblemError: reader.unknown."""
        found = (view for view in self.readers() if view.id == reader_id)
        view = next(found, None)
        if view is None:
            raise ProblemError(Problem("reader.unknown"))
        return view

    def is_present(self, insertion_id: str) -> bool:
        """Whether this card is still where it was put; of one we never saw it is not."""
        return self._board.is_present(insertion_id)

    def test_reader(
        self,
        client: Client,
        reader_id: str,
        trace_id: str,
        done: Callable[[Tested], None],
    ) -> None:
        """Read the card in this reader to see whether it can be read; `done` hears what came
        of it, once. No transaction begins there meanwhile. Raises ProblemError:
        reader.unknown, reader.busy."""
        self._refuse_taken_readers(frozenset({reader_id}))
        (slot,) = self._board.slots(frozenset({reader_id}))
        before, began = self.reader(reader_id), self._loop.ticks()

        def tested(outcome: TestedCard | Problem | None) -> None:
            self._testing.discard(reader_id)
            now = (view for view in self.readers() if view.id == reader_id)
            view, took = next(now, before), self._loop.ticks() - began
            if isinstance(outcome, Problem):
                done(Tested(reader=view, milliseconds=took, problem=outcome))
            else:
                done(Tested(reader=view, milliseconds=took, card=outcome))

        if slot.insertion_id is None:
            tested(None)
            return
        order = Order(kind=Kind.DRY_RUN, scenario=Scenario.PHARMACY)
        origin = self._origin(client, order, trace_id)
        self._testing.add(reader_id)
        self._board.read(
            slot,
            lambda atr: read_kind(self._profile.cards, atr),
            tested,
            lambda question: self._centre.authenticate(question, origin),
            trace_id,
        )

    def _user_of(self, reader_id: str) -> str | None:
        """The transaction that may use this reader now."""
        users = (
            run.origin.transaction_id
            for run in self._runs.values()
            if run.now.uses_readers
            and (run.readers is None or reader_id in run.readers)
        )
        return next(users, None)

    def _role_of(self, stay: str | None) -> str | None:
        """What a transaction has taken the card of this stay for."""
        runs = (run.now.facts.accepted for run in self._runs.values())
        return next((taken[stay] for taken in runs if stay and stay in taken), None)

    def reader_troubles(self) -> tuple[Problem, ...]:
        """Why some readers cannot be asked."""
        return self._board.troubles()

    def live_transactions(self) -> tuple[str, ...]:
        """The ids of the transactions that have not ended."""
        return tuple(key for key, run in self._runs.items() if not run.now.is_terminal)

    def unfinished(self) -> Mapping[ActivationState, int]:
        """How many durable activations have not ended, by state."""
        return self._teller.unfinished()

    def follows(self, client: Client) -> None:
        """The client has an event stream open."""
        self._attendance.follows(client.id)

    def left(self, client: Client) -> None:
        """That stream has ended."""
        self._attendance.left(client.id, self._loop.ticks())

    def resume(self) -> int:
        """Take up what the last run left unfinished; returns how many. Raises
        JournalError."""
        for record in self._journal.unfinished():
            self._teller.open(record)
        return self._activations.resume()

    def remind(self) -> None:
        """Name once more what clients have not acknowledged of earlier runs. Raises
        JournalError."""
        self._outstanding.load(self._journal.recent(OUTSTANDING))
        newest = islice(self.unacknowledged(_EVERYBODY), REMINDED_MAX)
        for view in reversed([*newest]):
            self._teller.say("transaction.unacknowledged", view)

    def counter_changed(self) -> None:
        """Some slot changed: every transaction looks at its readers."""
        for run in list(self._runs.values()):
            if run.now.uses_readers:
                slots, trouble = self._board.slots(run.readers), self._board.trouble()
                self._apply(run, desk.SlotsChanged(slots, trouble))

    def _look_for_client(self, run: Run) -> None:
        """Cancel what its client was lost for; never what may be under way at the centre or
        at the card."""
        transaction_id, state = run.origin.transaction_id, run.now.state
        if Action.CANCEL not in ALLOWED[type(state)]:
            self._attendance.end(transaction_id)
            return
        left = self._attendance.lost_in(transaction_id, self._loop.ticks())
        if left <= 0 and not isinstance(state, desk.PinAtWork):
            self._apply(run, CLIENT_LOST)
        self._loop.after(max(left, CARD_MS), lambda: self._look_for_client(run))

    # From the desk's effects to the world

    def _apply(self, run: Run, event: desk.Event) -> None:
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
                self._apply(run, STUMBLED)

    def _activation_moved(self, record: Activation) -> None:
        """A durable record was committed: whoever follows it hears of it."""
        intent_id = record.origin.intent_id
        self._teller.moved(record)
        if record.superseded_by is not None:
            return
        for run in list(self._runs.values()):
            if run.follows == intent_id:
                self._apply(run, desk.ActivationMoved(record))
        if record.origin.transaction_id not in self._runs:
            self._moved_after_all(record)

    def _moved_after_all(self, record: Activation) -> None:
        """A transaction of an earlier run is known by its record only: whoever waits for
        it, or follows, hears of it all the same."""
        transaction_id = record.origin.transaction_id
        view = self._recorded(record, record)
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
                self._apply(ticking, desk.ClockRanOut(clock))

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
            with suppress(ProblemError):
                known = self.activation(run.follows)
                self._apply(run, desk.ActivationMoved(known))

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
        if run is not None and not run.durable:
            self._outstanding.discard(transaction_id)
        for key, request in list(self._passing.items()):
            if request.transaction_id == transaction_id:
                del self._passing[key]

    # Views

    def _view(self, run: Run, client: Client) -> TransactionView:
        shown = views.of_desk(run.now)
        record = self.activation(run.follows) if run.durable else None
        entitled = client.id == run.origin.client_id and "identity" in client.scopes
        first = self._first_activation(run, shown.outcome)
        told = first or record
        known = run.origin.transaction_id not in self._outstanding
        return TransactionView(
            origin=run.origin,
            kind=run.kind.value,
            seq=run.seq,
            state=run.now.state.name,
            detail=shown.detail,
            role=shown.role,
            reader=shown.reader,
            clock=CLOCKS.get(type(run.now.state)),
            deadline=run.deadline,
            pin=shown.pin,
            allowed=views.allowed(
                run.now.state,
                acknowledged=known,
                askable=record is not None and self._activations.can_be_asked(record),
            ),
            acknowledged=run.now.is_terminal and known,
            commit=views.commit_of(record),
            problem=shown.problem,
            notices=shown.notices,
            outcome=shown.outcome,
            confirmation=first.confirmation if first else shown.confirmation,
            activation=told.origin.intent_id if told else None,
            activation_id=told.activation_id if told else None,
            completed_at=run.completed_at,
            holder=run.clear if entitled and run.clear else run.masked,
            masked=run.masked,
            card=run.card,
            attended=run.origin.transaction_id in self._attendance,
        )

    def _first_activation(self, run: Run, outcome: str | None) -> Activation | None:
        """Where this till activated the card itself: that record, with its receipt."""
        if outcome != Outcome.ALREADY_ACTIVE or run.card_ref is None:
            return None
        return self._activations.first_active(run.card_ref)

    def _earlier(self, client: Client, keyed: Keyed) -> Request | None:
        """What this key was used for before."""
        earlier = self._passing.get((client.id, keyed.key)) or self._durably(
            lambda: self._journal.request(client.id, keyed.key)
        )
        if earlier is not None and earlier.fingerprint != keyed.fingerprint:
            raise ProblemError(Problem("idempotency.key_reused"))
        return earlier

    def _replayed(self, client: Client, keyed: Keyed) -> TransactionView | None:
        earlier = self._earlier(client, keyed)
        if earlier is None:
            return None
        return replace(self.transaction(client, earlier.transaction_id), replayed=True)

    def _followed(self, own: Activation) -> Activation:
        """The record that tells the outcome of this one's transaction."""
        if own.superseded_by is None:
            return own
        return self.activation(own.superseded_by)

    def _refuse_without_room(self) -> None:
        """What is running gets the room that is kept for it; nothing new begins."""
        if self._space.is_short:
            self._space.drop_ballast()
            free = f"{self._space.free // MIB} MiB"
            raise ProblemError(Problem("agent.disk_full", {"free": free}))

    def _refuse_taken_readers(self, wanted: frozenset[str] | None) -> None:
        known = {view.id for view in self._board.views() if not view.is_psam}
        if wanted is not None and not wanted <= known:
            raise ProblemError(Problem("reader.unknown"))
        for reader_id in known if wanted is None else wanted:
            if reader_id in self._testing:
                raise ProblemError(Problem("reader.busy"))
        for run in self._runs.values():
            if not run.now.uses_readers:
                continue
            if wanted is None or run.readers is None or wanted & run.readers:
                raise ProblemError(
                    Problem("reader.busy"), transaction=run.origin.transaction_id
                )

    def _origin(self, client: Client, order: Order, trace_id: str) -> Origin:
        return Origin(
            intent_id=self._ids.new(self._loop.epoch_ms()),
            client_id=client.id,
            scenario=order.scenario.value,
            institution=self._institution.code,
            profile=self._profile.label,
            pos_ref=order.pos_ref,
            operator_ref=order.operator_ref,
            test_data=self._simulated,
            trace_id=trace_id,
            received_at=self._loop.wall(),
        )

    def _not_now(
        self, allowed: frozenset[Action], action: Action, state: str
    ) -> ProblemError:
        problem = Problem(desk.refusal(action, state), {"state": state})
        return ProblemError(problem, allowed_actions=sorted(allowed))

    def _durably(self, call: Callable[[], Result]) -> Result:
        try:
            return call()
        except JournalError as failed:
            _log.error("the journal failed", extra={"code": failed.code})
            raise ProblemError(Problem(failed.code)) from failed


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


def _request(client: Client, keyed: Keyed, transaction_id: str) -> Request:
    return Request(
        client_id=client.id,
        key=keyed.key,
        fingerprint=keyed.fingerprint,
        transaction_id=transaction_id,
    )
