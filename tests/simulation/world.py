"""Tills, a network, a centre and people, all driven by one seed.

The saga and the runner are the real ones. Time, network, crashes and the centre belong to
the world. Crash points sit in the ports the runner calls, between its lines, not on the
clock: a crash anywhere else cannot be told from one of these.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from random import Random

from plugin.activation import saga
from plugin.activation.problem import Refusal
from plugin.activation.saga import (
    Activation,
    ActivationState,
    Confirmation,
    Event,
    Origin,
)
from plugin.agent.recovery import Activations, Message
from plugin.journal.memory import MemoryJournal
from plugin.journal.port import Request

SECOND = 1_000
HEALED_AT = 300 * SECOND
SETTLED_AT = HEALED_AT + 15 * 60 * SECOND
END = 4_000 * SECOND
TIMEOUT = 15 * SECOND
PIN_SHARE = 0.3  # of the cards have their PIN changed first
CENTRE = saga.Abilities(
    dedupe=saga.Dedupe.ID, can_tell_status=True, message_life_ms=60 * SECOND
)


class Crash(BaseException):
    """The process dies here."""


class PromiseBrokenError(AssertionError):
    """One of the numbered promises did not hold."""


@dataclass(frozen=True)
class Mix:
    """The faults of one seed: each run draws its own mix, so that rare combinations are
    not drowned by common ones."""

    loss: float
    duplicates: float
    slowest: float
    crashes: float
    refusals: float
    cancels: float
    tills: int
    cards: int

    @classmethod
    def drawn(cls, random: Random) -> Mix:
        """One mix; every fault is absent in some runs."""

        def chance(most: float) -> float:
            return random.choice((0.0, random.uniform(0, most)))

        return cls(
            loss=chance(0.6),
            duplicates=chance(0.4),
            slowest=random.choice((0.2, 5.0, 30.0, 90.0)) * SECOND,
            crashes=chance(0.3),
            refusals=chance(0.5),
            cancels=chance(0.3),
            tills=random.randint(1, 3),
            cards=random.randint(1, 3),
        )


@dataclass
class Centre:
    """A centre of class A. It counts effects, and remembers refusals only per message."""

    active: dict[str, str] = field(default_factory=dict)
    effects: list[tuple[str, str]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    answered: dict[str, Event] = field(default_factory=dict)
    messages: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def activate(self, record: Activation, *, refuse: bool) -> Event:
        """Judge one message; the same message again gets the same answer."""
        name = f"{record.origin.intent_id}/{record.sends}"
        if name not in self.answered:
            self.answered[name] = self._judge(record, refuse=refuse)
        return self.answered[name]

    def _judge(self, record: Activation, *, refuse: bool) -> Event:
        card, this = record.card_ref or "", record.activation_id or ""
        intent_id = record.origin.intent_id
        message = (this, record.message or b"")
        if self.messages.setdefault(intent_id, message) != message:
            raise PromiseBrokenError("A4: sent again with another id or other bytes")
        if card in self.active:
            adopted = self.active[card] != this
            return saga.Accepted(this, Confirmation(by="answer", adopted=adopted))
        if refuse:
            self.refused.add(intent_id)
            return saga.Refused(this, Refusal(code="no"), record.sends)
        self.active[card] = this
        self.effects.append((card, intent_id))
        if len(self.effects) != len(self.active):
            raise PromiseBrokenError("A1: a card was activated twice")
        return saga.Accepted(this, Confirmation(by="answer"))

    def status(self, record: Activation, asked: int) -> Event:
        """What became of this record's id."""
        card, this = record.card_ref or "", record.activation_id or ""
        if card not in self.active:
            return saga.NotFound(this, asked)
        adopted = self.active[card] != this
        return saga.Accepted(this, Confirmation(by="status", adopted=adopted))


class World:
    """One run."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.mix = Mix.drawn(self.random)
        self.now = 0.0
        self.centre = Centre()
        self.tills = [Till(self, number) for number in range(self.mix.tills)]
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.faults = 0

    @property
    def healed(self) -> bool:
        """Whether the faults are over."""
        return self.now >= HEALED_AT

    def happens(self, chance: float) -> bool:
        """Draw one fault; none are drawn once the world has healed."""
        drawn = not self.healed and self.random.random() < chance
        self.faults += drawn
        return drawn

    def after(self, milliseconds: float, call: Callable[[], None]) -> None:
        """Put something on the agenda."""
        when = self.now + milliseconds
        heapq.heappush(self._agenda, (when, next(self._order), call))

    def run(self) -> None:
        """Let it all happen, and check every promise."""
        for person in range(self.random.randint(2, 6)):
            self.after(self.random.uniform(0, 200) * SECOND, Visit(self, person).arrive)
        while self._agenda and self._agenda[0][0] <= END:
            self.now, _, call = heapq.heappop(self._agenda)
            call()
            if self.now >= SETTLED_AT:
                self._check_liveness()
        self._check_truth()

    def deliver(self, call: Callable[[], None]) -> None:
        """Carry one message: perhaps lost, late or twice."""
        copies = 1 + self.happens(self.mix.duplicates)
        for _ in range(copies):
            if not self.happens(self.mix.loss):
                slowest = 200.0 if self.healed else self.mix.slowest
                self.after(self.random.uniform(5, slowest), call)

    def _check_liveness(self) -> None:
        for till in self.tills:
            for record in till.journal.unfinished():
                raise PromiseBrokenError(f"A7: {record.state} long after the faults")

    def _check_truth(self) -> None:
        for till in self.tills:
            for intent_id in till.promised:
                record = till.journal.get(intent_id)
                if record is None or not record.state.is_terminal:
                    raise PromiseBrokenError("A2: an accepted request was lost")
                self._check_record(record)

    def _check_record(self, record: Activation) -> None:
        intent_id = record.origin.intent_id
        effective = any(intent_id == each for _, each in self.centre.effects)
        match record.state:
            case ActivationState.ACTIVE if record.card_ref not in self.centre.active:
                raise PromiseBrokenError("A6: ACTIVE here, not at the centre")
            case ActivationState.REJECTED if intent_id not in self.centre.refused:
                raise PromiseBrokenError("A6: REJECTED, and the centre never refused")
            case ActivationState.REJECTED | ActivationState.ABANDONED if effective:
                raise PromiseBrokenError("A6: given up here, active at the centre")
            case _:
                pass


class Till:
    """One agent: it dies at crash points and comes back with its journal."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.journal = CrashingJournal(self)
        self.promised: list[str] = []
        self.life = 0
        self.up = True
        self.activations = self._started()

    @property
    def abilities(self) -> saga.Abilities:
        """The centre is of class A."""
        return CENTRE

    def _started(self) -> Activations:
        return Activations(self.journal, self, self, self.world.random, lambda _: None)

    def perform(self, call: Callable[[], object]) -> bool:
        """Run something inside this process; False when the process is down or dies."""
        if not self.up:
            return False
        try:
            call()
        except Crash:
            self.up = False
            self.life += 1
            self.world.after(self.world.random.uniform(1, 30) * SECOND, self._restart)
            return False
        return True

    def _restart(self) -> None:
        self.up = True
        self.activations = self._started()
        self.perform(self.activations.resume)

    def crash_point(self) -> None:
        """A place between two lines."""
        if self.world.happens(self.world.mix.crashes):
            raise Crash

    # Timekeeper

    def ticks(self) -> int:
        """The world's time."""
        return int(self.world.now)

    def wall(self) -> str:
        """A clock nobody may believe."""
        return f"{self.world.random.randint(1900, 2100)}-01-01T00:00:00+08:00"

    def after(self, milliseconds: float, call: Callable[[], None]) -> None:
        """A timer of this life of the process."""
        self.world.after(milliseconds, self._in_this_life(call))

    def _in_this_life(self, call: Callable[[], None]) -> Callable[[], None]:
        life = self.life

        def guarded() -> None:
            if life == self.life:
                self.perform(call)

        return guarded

    # Correspondent

    def send(self, record: Activation, reply: Callable[[Event], None]) -> None:
        """The first byte leaves here: what does the durable image say?"""
        durable = self.journal.durable(record.origin.intent_id)
        if durable != record or durable.state is not ActivationState.SENDING:
            raise PromiseBrokenError("A3: sent before it was written")
        self.crash_point()

        def arrive() -> None:
            refuse = self.world.happens(self.world.mix.refusals)
            answer = self.world.centre.activate(record, refuse=refuse)
            self.world.deliver(self._in_this_life(lambda: reply(answer)))

        self.world.deliver(self._before_it_expires(arrive))
        silence = saga.NoAnswer(record.activation_id or "", record.sends)
        self.after(TIMEOUT, lambda: reply(silence))
        self.crash_point()

    def _before_it_expires(self, call: Callable[[], None]) -> Callable[[], None]:
        """The centre ignores a message older than it may be."""
        expires = self.world.now + CENTRE.message_life_ms

        def arrive() -> None:
            if self.world.now <= expires:
                call()

        return arrive

    def ask(
        self, record: Activation, asked: int, reply: Callable[[Event], None]
    ) -> None:
        """A question, which has no effect."""
        self.crash_point()

        def arrive() -> None:
            answer = self.world.centre.status(record, asked)
            self.world.deliver(self._in_this_life(lambda: reply(answer)))

        self.world.deliver(arrive)
        silence = saga.NoAnswer(record.activation_id or "")
        self.after(TIMEOUT, lambda: reply(silence))


class CrashingJournal(MemoryJournal):
    """Durable as a disk is: what was committed stays, and the process may die before or
    after every commit."""

    def __init__(self, till: Till) -> None:
        super().__init__()
        self._till = till

    def durable(self, intent_id: str) -> Activation:
        """What would be found after a crash now."""
        record = self.get(intent_id)
        assert record is not None
        return record

    def create(self, activation: Activation, request: Request) -> None:
        """Commit, with a crash point on either side."""
        self._till.crash_point()
        super().create(activation, request)
        self._till.promised.append(activation.origin.intent_id)
        self._till.crash_point()

    def save(self, activation: Activation) -> Activation:
        """Commit, with a crash point on either side."""
        self._till.crash_point()
        saved = super().save(activation)
        self._till.crash_point()
        return saved


class Visit:
    """One person at one till, with one of few cards."""

    def __init__(self, world: World, person: int) -> None:
        self._world = world
        self._till = world.random.choice(world.tills)
        self._card = f"card-{world.random.randrange(world.mix.cards)}"
        self._intent_id = f"intent-{person}"

    def arrive(self) -> None:
        """Start a transaction; come back later when the till is down."""
        origin = Origin(
            intent_id=self._intent_id,
            client_id="pos",
            scenario="pharmacy",
            institution="H1",
            profile="reference@1",
        )
        request = Request(
            client_id="pos",
            key=self._intent_id,
            fingerprint="",
            transaction_id=origin.transaction_id,
        )
        create = self._till.journal.create
        if self._till.perform(lambda: create(Activation(origin=origin), request)):
            self._world.after(self._world.random.uniform(1, 20) * SECOND, self._go_on)
        elif self._intent_id not in self._till.promised:
            self._world.after(5 * SECOND, self.arrive)

    def _go_on(self) -> None:
        """Cancel, or hand the cards over. After a crash the transaction is gone."""
        record = self._till.journal.get(self._intent_id)
        if record is None or record.state is not ActivationState.RECEIVED:
            return
        if self._world.happens(self._world.mix.cancels):
            dropped = saga.Dropped("cancelled")
            self._till.perform(
                lambda: self._till.activations.happened(self._intent_id, dropped)
            )
            return
        asked = saga.CardAsked(saga.CardStep.CHANGING)
        if self._world.random.random() < PIN_SHARE and not self._till.perform(
            lambda: self._till.activations.happened(self._intent_id, asked)
        ):
            return
        self._till.perform(
            lambda: self._till.activations.begin(
                self._intent_id,
                self._card,
                self._card,
                date(2026, 1, 1),
                lambda name: Message(f"{name} {self._till.number}".encode(), name),
            )
        )


def run(seed: int) -> World:
    """One run; raises PromiseBrokenError."""
    world = World(seed)
    world.run()
    return world
