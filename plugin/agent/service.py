"""What a client may ask of the agent. Lives on the deciding thread.

What may be asked for now, and what is answered. Transactions are carried on by `conduct`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from itertools import islice
from random import Random
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from plugin.activation import desk, journey, pins, saga
from plugin.activation.desk import ALLOWED, CLOCKS, Action, Outcome, Terms
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
from plugin.agent.attendance import Attendance
from plugin.agent.clerk import Clerk
from plugin.agent.conduct import Conduct
from plugin.agent.counting import Counts
from plugin.agent.courier import Courier
from plugin.agent.happenings import Happenings
from plugin.agent.intents import IntentIds
from plugin.agent.loop import DecidingLoop
from plugin.agent.outstanding import KEPT as OUTSTANDING
from plugin.agent.outstanding import Outstanding
from plugin.agent.paging import Page, Wanted, page
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

REMINDED_MAX = 100
PIN_STARTS_A_MINUTE = 5
_log = logging.getLogger("kaqi.service")

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
        self._passing: dict[tuple[str, str], Request] = {}  # keys of dry runs
        self._activations = Activations(
            journal, courier, loop, random, self._activation_moved
        )
        self._pin_starts = Rate(PIN_STARTS_A_MINUTE, loop.ticks)
        presenter = Presenter(
            board, journal, self._activations, keys, profile, loop.wall
        )
        self._conduct = Conduct(
            loop=loop,
            board=board,
            activations=self._activations,
            clerk=lambda apply: Clerk(
                board=board,
                keys=keys,
                centre=centre,
                courier=courier,
                activations=self._activations,
                presenter=presenter,
                profile=profile,
                trouble=trouble,
                dated=dated,
                apply=apply,
            ),
            teller=self._teller,
            attendance=self._attendance,
            profile=profile,
            terminal=terminal,
            changed=changed,
            forgotten=self._forgotten,
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
        self._outstanding.add(origin.transaction_id, client.id)
        if order.cancel_when_lost:
            self._conduct.attend(run)
        self._conduct.begin(run, first.effects)
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
        run = self._conduct.find(transaction_id)
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
        run = self._conduct.find(transaction_id)
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
        self._conduct.apply(run, event)
        return self._view(run, client)

    def transaction(
        self, client: Client, transaction_id: str, patience: float = 0.0
    ) -> TransactionView:
        """One transaction, from memory or from its durable record. The client is there for
        `patience` seconds at least, waiting for another answer."""
        run = self._conduct.find(transaction_id)
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
        return self._conduct.recorded(self._followed(own), own)

    def transactions(self, client: Client) -> Iterator[TransactionView]:
        """The transactions this process remembers, the newest first."""
        return (self._view(run, client) for run in reversed(self._conduct.all()))

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

    def page_of_activations(self, wanted: Wanted) -> Page:
        """One page of the durable records."""
        return self._durably(lambda: page(self._journal, wanted))

    def next_try_at(self, record: Activation) -> str | None:
        """When somebody asks or sends again by itself (RFC 3339), where that is known."""
        delay = self._activations.next_try_in(record.origin.intent_id)
        return None if delay is None else self._loop.wall_in(delay / 1000)

    def recent_activations(self, limit: int) -> tuple[Activation, ...]:
        """The last durable records, the newest first."""
        return self._durably(lambda: self._journal.recent(limit))

    def readers(self) -> tuple[ReaderView, ...]:
        """Every reader, with the transaction that may use it."""
        return tuple(
            view if view.is_psam else self._with_user(view)
            for view in self._board.views()
        )

    def _with_user(self, view: ReaderView) -> ReaderView:
        run = self._user_of(view.id)
        if run is None:
            return view
        accepted = view.insertion_id in run.now.facts.accepted
        return replace(view, transaction=run.origin.transaction_id, accepted=accepted)

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
            if isinstance(outcome, TestedCard):
                self._board.recognised(slot.insertion_id or "", outcome.role)
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

    def _user_of(self, reader_id: str) -> Run | None:
        """The transaction that may use this reader now."""
        users = (
            run
            for run in self._conduct.all()
            if run.now.uses_readers
            and (run.readers is None or reader_id in run.readers)
        )
        return next(users, None)

    def reader_troubles(self) -> tuple[Problem, ...]:
        """Why some readers cannot be asked."""
        return self._board.troubles()

    def live_transactions(self) -> tuple[str, ...]:
        """The ids of the transactions that have not ended."""
        live = (run for run in self._conduct.all() if not run.now.is_terminal)
        return tuple(run.origin.transaction_id for run in live)

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
        """Some slot changed."""
        self._conduct.slots_changed()

    def _activation_moved(self, record: Activation) -> None:
        self._conduct.activation_moved(record)

    def _forgotten(self, run: Run) -> None:
        """The record tells the rest; of a dry run nothing is left."""
        transaction_id = run.origin.transaction_id
        if not run.durable:
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
        for run in self._conduct.all():
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


def _request(client: Client, keyed: Keyed, transaction_id: str) -> Request:
    return Request(
        client_id=client.id,
        key=keyed.key,
        fingerprint=keyed.fingerprint,
        transaction_id=transaction_id,
    )
