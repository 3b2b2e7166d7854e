"""Tills, a network, a centre and people, all driven by one seed.

The saga and the runner are the real ones. Time, network, crashes and the centre belong to
the world. Crash points sit in the ports the runner calls, between its lines, not on the
clock: a crash anywhere else cannot be told from one of these.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from datetime import date
from random import Random

from plugin.activation import saga
from plugin.activation.problem import Problem
from plugin.activation.saga import (
    Abilities,
    Activation,
    ActivationState,
    CardStep,
    Confirmation,
    Dedupe,
    Event,
    Origin,
)
from plugin.agent.recovery import Activations, Message
from plugin.journal.port import Journal, JournalError, Request, Torn
from tests.simulation.centre import Centre
from tests.simulation.journals import CrashingJournal, OnDisk, journal_for
from tests.simulation.recipe import (
    CLASSES,
    HOUR,
    LIFE,
    MINUTE,
    SECOND,
    Fault,
    Mix,
    Recipe,
)

TIMEOUT = 15 * SECOND
SETTLES_IN = 15 * MINUTE
ENDS_AFTER = HOUR
PIN_SHARE = 0.3  # of the cards have a PIN verified first
ON_DISK_EVERY = 1_000
IMPATIENT_EVERY = 5  # in the others the centre is only asked by the clock


class Crash(BaseException):
    """The process dies here."""


class PromiseBrokenError(BaseException):
    """One of the numbered promises did not hold; nothing of ours may catch it."""

    @property
    def promise(self) -> str:
        """Its number."""
        return str(self).partition(":")[0]


class World:
    """One run. `story` has what happened, where somebody wants to read it."""

    def __init__(self, recipe: Recipe, story: list[str] | None = None) -> None:
        self.recipe = recipe
        self.story = story
        self.random = Random(recipe.seed)
        self.mix = Mix.drawn(self.random)
        self.abilities = CLASSES[self.mix.letter]
        self.now = 0.0
        self.faults = 0
        self.crashes = 0
        self.checked: Counter[str] = Counter()
        self.centre = Centre(self.mix.letter, strict=not self.mix.lenient)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.cards = [Card(self, f"card-{number}") for number in range(self.mix.cards)]
        self.tills = [Till(self, number) for number in range(self.mix.tills)]
        self._outage = self._window(Fault.OUTAGE, self.mix.outage)
        self._stale = self._window(Fault.STALE, self.mix.stale)
        self._slowest = self.mix.slowest
        self.is_impatient = not (recipe.seed + 1) % IMPATIENT_EVERY
        if Fault.SLOW in recipe.calm:
            self._slowest = 200.0

    def holds(self, promise: str, held: bool, broken: str) -> None:
        """Check one promise. Raises PromiseBrokenError."""
        self.checked[promise] += 1
        if not held:
            raise PromiseBrokenError(f"{promise}: {broken}")

    def _window(
        self, fault: Fault, window: tuple[float, float]
    ) -> tuple[float, float] | None:
        return window if self.happens(fault) else None

    def note(self, who: object, *words: object) -> None:
        """One line of the story."""
        if self.story is not None:
            minutes, seconds = divmod(self.now / SECOND, 60)
            text = " ".join(map(str, words))
            self.story.append(f"{int(minutes):4}:{seconds:06.3f}  {who!s:12} {text}")

    def happens(self, fault: Fault) -> bool:
        """Draw one fault; none are drawn once the world has healed."""
        chance = self.mix.chances[fault]
        if not chance or self.now >= self.mix.healed_at:
            return False
        if self.random.random() >= chance:
            return False
        self.faults += 1
        if fault in self.recipe.calm or self.faults in self.recipe.dropped:
            return False
        self.note("FAULT", f"{self.faults}:", fault.value)
        return True

    def after(self, milliseconds: float, call: Callable[[], None]) -> None:
        """Put something on the agenda."""
        when = self.now + milliseconds
        heapq.heappush(self._agenda, (when, next(self._order), call))

    def run(self) -> None:
        """Let it all happen, and check every promise."""
        for number in range(self.mix.people):
            comes, person = self.random.uniform(0, self.mix.spread), Visit(self, number)
            if number not in self.recipe.absent:
                self.after(comes, person.arrive)
        self.after(self.mix.healed_at + SETTLES_IN, self._check_liveness)
        ends = self.mix.healed_at + ENDS_AFTER
        agenda = self._agenda
        while agenda and agenda[0][0] <= ends:
            self.now, _, call = heapq.heappop(agenda)
            call()
        self._check_liveness()
        self._check_truth()

    def close(self) -> None:
        """Give files back."""
        for till in self.tills:
            till.close()

    def deliver(self, call: Callable[[], None]) -> list[float]:
        """Carry one message: perhaps lost, late or twice. When it arrives."""
        if self._outage and self._outage[0] <= self.now < self._outage[1]:
            return []
        arrivals = []
        for _ in range(1 + self.happens(Fault.TWICE)):
            if not self.happens(Fault.LOST):
                slowest = 200.0 if self.now >= self.mix.healed_at else self._slowest
                takes = self.random.uniform(5, slowest)
                self.after(takes, call)
                arrivals.append(self.now + takes)
        return arrivals

    @property
    def known_until(self) -> float | None:
        """Until when the site that answers now knows what happened, if it lags."""
        if self._stale and self._stale[0] <= self.now < self._stale[1]:
            return self._stale[0]
        return None

    def _check_liveness(self) -> None:
        for till in self.tills:
            for record in till.journal.unfinished():
                stays = self._may_stay(record)
                self.holds("A7", stays, f"{record.state} long after the faults")

    def _may_stay(self, record: Activation) -> bool:
        """Where nothing of ours can end it."""
        if record.state is ActivationState.UNKNOWN:
            return record.changing  # until the card returns
        if record.state is not ActivationState.MANUAL:
            return False
        tired = record.crashes >= saga.CRASHES_MAX or record.sends >= saga.SENDS_MAX
        refused = record.refusal is not None and self.mix.letter == "C"
        return tired or refused or self.mix.letter == "D"

    def _check_truth(self) -> None:
        for till in self.tills:
            for intent_id in till.promised:
                record = till.journal.get(intent_id)
                self.holds("A2", record is not None, "an accepted request was lost")
                if record is None:
                    continue
                if record.state.is_terminal:
                    till.check_end(record)
                else:
                    stays = self._may_stay(record)
                    self.holds("A2", stays, "an accepted request never ended")
        for card, times in Counter(card for card, _ in self.centre.effects).items():
            self.holds("A1", times == 1, f"{card} is active {times} times")


class Card:
    """A card that its holder's PIN change activates. C3: what is typed is presented
    once."""

    def __init__(self, world: World, ref: str) -> None:
        self._world = world
        self.ref = ref
        self.changed_by: str | None = None
        self._typed: set[int] = set()

    def present(self, typed: int, intent_id: str) -> None:
        """The change happens, or had happened: then this PIN is the right one."""
        once = typed not in self._typed
        self._world.holds("C3", once, "a PIN was presented that nobody typed")
        self._typed.add(typed)
        self.changed_by = self.changed_by or intent_id


class Till:
    """One agent: it dies at crash points and comes back with its journal."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.abilities: Abilities = world.abilities
        self._disk = OnDisk() if world.recipe.seed % ON_DISK_EVERY == 0 else None
        inner: Journal = (
            self._disk.journal if self._disk else journal_for(world.recipe.seed)
        )
        self.journal = CrashingJournal(
            inner,
            self.crash_point,
            lambda: world.happens(Fault.JOURNAL),
            self._loses_its_disk,
            self._saved,
        )
        self.promised: list[str] = []
        self.life = 0
        self.up = True
        self._first: dict[str, tuple[str, bytes]] = {}  # what an intent has sent
        self._last: dict[str, tuple[str, float]] = {}  # who has sent for a card, when
        self._flying: dict[tuple[str, int], float] = {}  # when a message may arrive
        self.activations = self._started()

    def __str__(self) -> str:
        return f"till {self.number}"

    def _started(self) -> Activations:
        return Activations(self.journal, self, self, self.world.random, lambda _: None)

    def perform(self, call: Callable[[], object]) -> bool:
        """Run something inside this process; False when the process is down or dies, or
        its journal cannot write."""
        if not self.up:
            return False
        try:
            call()
        except JournalError:
            return False
        except Crash:
            self._die()
            return False
        return True

    def _die(self) -> None:
        self.up = False
        self.life += 1
        self.world.crashes += 1
        self.world.after(self.world.random.uniform(1, 30) * SECOND, self._restart)

    def _loses_its_disk(self) -> bool:
        """Which is told by the process ending, sooner or later."""
        if not self.world.happens(Fault.WRITTEN):
            return False
        self.after(self.world.random.uniform(0.01, 20) * SECOND, self._end)
        return True

    def _end(self) -> None:
        raise Crash

    def _restart(self) -> None:
        self.world.note(self, "starts again")
        self.up = True
        disk = self._disk
        self.journal.use(disk.reopen() if disk is not None else self.journal.inner)
        self.activations = self._started()
        self.perform(self.activations.resume)

    def crash_point(self) -> None:
        """A place between two lines."""
        if self.world.happens(Fault.CRASH):
            raise Crash

    def close(self) -> None:
        """Give a file back."""
        if self._disk is not None:
            self._disk.close()
        else:
            self.journal.close()

    def _saved(self, record: Activation) -> None:
        """A commit: what is durable now must be true now."""
        self.world.note(
            self, record.origin.intent_id[:8], record.state, f"sends={record.sends}"
        )
        if not record.version:
            self.promised.append(record.origin.intent_id)
        elif record.state.is_terminal:
            self.check_end(record)

    def check_end(self, record: Activation) -> None:
        """A5 and A6, as the record has ended."""
        intent_id, card = record.origin.intent_id, record.card_ref or ""
        world, holds = self.world, self.world.holds
        active = card in world.centre.active or any(
            each.ref == card and each.changed_by is not None for each in world.cards
        )
        effective = any(intent_id == each for _, each in world.centre.effects)
        if record.state is ActivationState.ACTIVE:
            holds("A6", active, "ACTIVE here, not at the centre")
            return
        holds("A6", not effective, "given up here, active at the centre")
        if record.state is ActivationState.REJECTED:
            refused = intent_id in world.centre.refused
            holds("A6", refused, "REJECTED, and the centre never refused")
            late = any(
                each == intent_id and arrives > world.now
                for (each, _), arrives in self._flying.items()
            )
            holds("A6", not late, "REJECTED with a message under way")
            return
        holds("A5", intent_id not in self._first, "ABANDONED, and it was sent")
        changed = any(each.changed_by == intent_id for each in world.cards)
        left = bool(record.superseded_by)
        holds("A6", left or not changed, "given up here, and the card is active")

    def _check_send(self, record: Activation) -> None:
        intent_id, this = record.origin.intent_id, record.activation_id or ""
        holds, again = self.world.holds, intent_id in self._first
        written = self.journal.get(intent_id) == record
        holds("A3", written, "sent before it was written")
        sending = record.state is ActivationState.SENDING
        holds("A3", sending, "sent without SENDING")
        message = this, record.message or b""
        same = self._first.setdefault(intent_id, message) == message
        holds("A4", same, "sent again with another id or other bytes")
        if not again:
            refused = {
                each.activation_id
                for each in self.journal.of_card(record.card_ref or "")
                if each.state is ActivationState.REJECTED
            }
            holds("A10", this not in refused, "the id of a refused attempt, once more")
        self._check_only_one(record, again=again)

    def _check_only_one(self, record: Activation, *, again: bool) -> None:
        """A1: of all messages for a card at most one may take effect."""
        intent_id, card = record.origin.intent_id, record.card_ref or ""
        holds, now, dedupe = self.world.holds, self.world.now, self.abilities.dedupe
        earlier, when = self._last.get(card, (intent_id, now))
        self._last[card] = intent_id, now
        if earlier != intent_id:
            before = self.journal.get(earlier)
            ended = before is not None and before.state.is_terminal
            holds("A1", ended, "a second id while one may be under way")
        elif again:
            tells = dedupe is not Dedupe.NONE
            holds("A1", tells, "sent again where nothing tells a duplicate")
            early = dedupe is Dedupe.CARD and now < when + LIFE
            holds("A1", not early, "sent again within the message's life")

    # Timekeeper

    def ticks(self) -> int:
        """The world's time."""
        return int(self.world.now)

    def wall(self) -> str:
        """A clock nobody may believe: whatever hangs on it breaks another promise."""
        self.world.checked["J10"] += 1
        return "1900-01-01T00:00:00+08:00" if self.world.now % 2 < 1 else "2100-01-01"

    def after(self, milliseconds: float, call: Callable[[], None]) -> None:
        """A timer of this life of the process."""
        self.world.after(milliseconds, self.in_this_life(call))

    def in_this_life(self, call: Callable[[], None]) -> Callable[[], None]:
        """Nothing, once the process has died."""
        life = self.life

        def guarded() -> None:
            if life == self.life:
                self.perform(call)

        return guarded

    # Correspondent

    def send(self, record: Activation, reply: Callable[[Event], None]) -> None:
        """The first byte leaves here: what does the durable image say?"""
        self._check_send(record)
        self._begin_errand()
        world, message = self.world, (record.origin.intent_id, record.sends)
        world.note(self, record.origin.intent_id[:8], "sends message", record.sends)
        expires = world.now + self.abilities.message_life_ms

        def arrive() -> None:
            if world.now > expires:  # the centre ignores what is too old
                return
            self._flying.pop(message, None)
            refuse = world.happens(Fault.REFUSED) and not world.mix.lenient
            answer = world.centre.activate(record, world.now, refuse=refuse)
            world.note("centre", message[0][:8], message[1], type(answer).__name__)
            world.deliver(self.in_this_life(lambda: reply(answer)))

        arrivals = [each for each in world.deliver(arrive) if each <= expires]
        if arrivals:
            self._flying[message] = min(arrivals)
        silence = saga.NoAnswer(record.activation_id or "", record.sends)
        self.after(TIMEOUT, lambda: reply(silence))
        self.crash_point()

    def _begin_errand(self) -> None:
        self.crash_point()
        if self.world.happens(Fault.ERRAND):
            raise RuntimeError("can't start new thread")

    def ask(
        self, record: Activation, asked: int, reply: Callable[[Event], None]
    ) -> None:
        """A question, which has no effect."""
        self._begin_errand()
        world = self.world

        def arrive() -> None:
            answer = world.centre.status(record, asked, world.known_until)
            world.note("centre", "asked", type(answer).__name__)
            world.deliver(self.in_this_life(lambda: reply(answer)))

        world.deliver(arrive)
        silence = saga.NoAnswer(record.activation_id or "")
        self.after(TIMEOUT, lambda: reply(silence))


class Visit:
    """One person at one till, with one of few cards."""

    def __init__(self, world: World, person: int) -> None:
        self._world = world
        self._till = world.random.choice(world.tills)
        self._card = world.random.choice(world.cards)
        self._person = person
        self._intent_id = f"{person + 1:08x}-0000-7000-8000-000000000000"

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
        if self._intent_id in self._till.promised:
            return
        create = self._till.journal.create
        self._world.note(self._till, "person", self._person, "with", self._card.ref)
        if self._till.perform(lambda: create(Activation(origin=origin), request)):
            takes = self._world.random.uniform(1, 20) * SECOND
            self._till.after(takes, self._go_on)
            if self._world.is_impatient:
                self._till.after(takes + SECOND, self._ask_now)
        else:
            self._world.after(5 * SECOND, self.arrive)

    def _go_on(self) -> None:
        """Cancel, or hand the cards over. After a crash the transaction is gone."""
        if self._world.happens(Fault.CANCELLED):
            self._insist(self._intent_id, saga.Dropped("cancelled"))
        elif self._world.mix.by_pin:
            self._change_pin()
        else:
            self._activate()

    def _ask_now(self) -> None:
        """An impatient POS has the centre asked again and again."""
        self._till.activations.ask_now(self._intent_id)
        self._till.after(3 * SECOND, self._ask_now)

    def _insist(self, intent_id: str, event: Event) -> None:
        self._till.activations.insist(intent_id, event)

    def _activate(self) -> None:
        """As the service does, once the desk wants it."""
        activations = self._till.activations
        try:
            if self._world.random.random() < PIN_SHARE:
                asked = saga.CardAsked(CardStep.VERIFYING)
                activations.happened(self._intent_id, asked)
            activations.begin(
                self._intent_id,
                self._card.ref,
                self._card.ref,
                date(2026, 1, 1),
                lambda name: Message(f"{name} {self._till.number}".encode(), name),
            )
        except (JournalError, RuntimeError):  # to the desk it was not begun
            failed = saga.Dropped("failed", Problem("agent.failed"))
            self._insist(self._intent_id, failed)

    def _change_pin(self) -> None:
        """As presenter and service do: durable before the card is asked."""
        till, card, follows = self._till, self._card, self._intent_id
        try:
            in_hand = till.activations.in_hand(card.ref)
            if in_hand is not None:
                till.activations.leave_to(in_hand, follows)
                follows = in_hand.origin.intent_id
            asked = saga.CardAsked(CardStep.CHANGING, None, card.ref)
            till.activations.happened(follows, asked)
        except JournalError:
            self._insist(follows, saga.Dropped("failed"))
            return
        torn_change = Torn(card_ref=card.ref, step="changing", time="", life="")
        try:
            till.journal.tear(torn_change)
        except JournalError:
            self._insist(follows, saga.CardKept())
            self._insist(follows, saga.Dropped("failed"))
            return
        torn, happened = self._world.happens(Fault.TORN), True
        if torn:  # the old PIN or the new one
            happened = self._world.random.random() < 0.5
        if happened:
            card.present(self._person, follows)
        self._world.note(till, card.ref, "torn" if torn else "changed", happened)
        takes = self._world.random.uniform(0.1, 3) * SECOND
        till.after(takes, lambda: self._heard(follows, torn=torn))

    def _heard(self, follows: str, *, torn: bool) -> None:
        if torn:
            self._insist(follows, saga.Dropped("in_doubt"))
            return
        found = saga.FoundActive(Confirmation(by="card"), card_ref=self._card.ref)
        self._insist(follows, found)
        self._till.journal.mend(self._card.ref)


def run(recipe: Recipe | int, story: list[str] | None = None) -> World:
    """One run; raises PromiseBrokenError."""
    if isinstance(recipe, int):
        recipe = Recipe(recipe)
    world = World(recipe, story)
    try:
        world.run()
    except BaseException:
        world.close()
        raise
    return world
