"""Carries every activation to its end. The ordinary way and the way after a crash are one:
commit the saga's record, then do what it asks, then tell it what came of that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date
from random import Random
from typing import Protocol, assert_never

from msgspec import Struct
from msgspec.structs import replace

from plugin.activation import saga
from plugin.activation.problem import Problem
from plugin.activation.saga import Activation, ActivationState, Event
from plugin.agent.failure import described
from plugin.agent.valve import Errand, Valve
from plugin.journal.port import Journal, JournalError

JOURNAL_RETRY_MS = 5_000
_log = logging.getLogger("kaqi.recovery")


class Correspondent(Protocol):
    """Carries messages to the centre. Each call ends in exactly one `reply`, with an event
    about the same id; it never raises and never blocks."""

    @property
    def abilities(self) -> saga.Abilities:
        """What the centre can do."""
        ...

    def send(self, record: Activation, reply: Callable[[Event], None]) -> None:
        """Send the record's message."""
        ...

    def ask(
        self, record: Activation, asked: int, reply: Callable[[Event], None]
    ) -> None:
        """Ask what became of the record's id; `asked` is the tick of the question."""
        ...


class Timekeeper(Protocol):
    """The agent's own time."""

    def ticks(self) -> int:
        """Milliseconds of the agent's life, growing across restarts."""
        ...

    def wall(self) -> str:
        """The wall clock, RFC 3339: shown, never decided by."""
        ...

    def after(self, milliseconds: float, call: Callable[[], None]) -> None:
        """Call once, later, on the deciding thread."""
        ...


class Message(Struct, frozen=True):
    """An activation as it is sent, every time in the same bytes, and by what `name` the
    centre's people find it."""

    body: bytes
    name: str


class _Timer(Struct, eq=False):
    """Rings at the tick `due`."""

    due: float


class Activations:
    """The unfinished activations of this till, and the only writer of their records.

    `told` hears every committed record. Lives on the deciding thread.
    """

    def __init__(
        self,
        journal: Journal,
        correspondent: Correspondent,
        time: Timekeeper,
        random: Random,
        told: Callable[[Activation], None],
    ) -> None:
        self._journal = journal
        self._correspondent = correspondent
        self._time = time
        self._random = random
        self._told = told
        self._valve = Valve(correspondent.abilities, time.ticks)
        self._timers: dict[str, _Timer] = {}  # of the records that wait for theirs
        self._looks_at: float | None = None  # the tick of the valve's timer

    def resume(self) -> int:
        """Take up everything the last run left unfinished; returns how many there were."""
        unfinished = self._journal.unfinished()
        for record in unfinished:
            self._reply(record, saga.Restarted())
        return len(unfinished)

    def begin(
        self,
        intent_id: str,
        card_ref: str,
        identification_code: str,
        issued: date | None,
        compose: Callable[[str], Message],
    ) -> Activation:
        """Everything before the centre is done: send, unless this card is in hand already.

        `compose` makes the message of an activation id. The attempt grows only
        with every refusal of this card, so that whoever asks again asks with the same id.
        """
        earlier = self._journal.of_card(card_ref)
        in_hand = self.in_hand(card_ref)
        if in_hand is not None:
            return self.leave_to(in_hand, intent_id)
        refusals = [each for each in earlier if each.state is ActivationState.REJECTED]
        attempt = len(refusals) + 1
        name = saga.activation_id(identification_code, issued, attempt)
        message = compose(name)
        accepted = saga.CardsAccepted(
            card_ref=card_ref,
            attempt=attempt,
            activation_id=name,
            message=message.body,
            sent_as=message.name,
        )
        return self.happened(intent_id, accepted)

    def record(self, intent_id: str) -> Activation:
        """One durable record. Raises LookupError, JournalError."""
        found = self._journal.get(intent_id)
        if found is None:
            raise LookupError(intent_id)
        return found

    def first_active(self, card_ref: str) -> Activation | None:
        """The record by which this till knows that the card is active."""
        records = self._journal.of_card(card_ref)
        ours = (each for each in records if each.state is ActivationState.ACTIVE)
        return next(ours, None)

    def in_hand(self, card_ref: str) -> Activation | None:
        """The record that may have activated this card without our knowing."""
        doubtful = (
            each
            for each in self._journal.of_card(card_ref)
            if each.state.may_have_been_sent
            or (each.changing and not each.state.is_terminal)
        )
        return next(doubtful, None)

    def leave_to(self, in_hand: Activation, intent_id: str) -> Activation:
        """This intent ends; the record that has its card in hand tells its outcome."""
        dropped = saga.Dropped(
            "in_doubt",
            Problem("activation.in_hand"),
            superseded_by=in_hand.origin.intent_id,
        )
        return self.happened(intent_id, dropped)

    def acknowledge(self, intent_id: str) -> None:
        """Its client knows how it ended. Raises JournalError, LookupError."""
        record = self.record(intent_id)
        if record.unseen:
            write = self._journal.save
            if record.state.is_terminal:
                write = self._journal.amend
            write(replace(record, unseen=False))

    def can_be_asked(self, record: Activation) -> bool:
        """Whether the centre may still say what became of it."""
        return saga.can_be_asked(record, self._correspondent.abilities)

    def next_try_in(self, intent_id: str) -> float | None:
        """After how many milliseconds somebody asks or sends again by itself, as far as is
        known; None where that is under way, or nobody will."""
        timer = self._timers.get(intent_id)
        due = timer.due if timer is not None else None
        if due is None and self._valve.keeps(intent_id):
            due = self._looks_at
        return None if due is None else max(0.0, due - self._time.ticks())

    def ask_now(self, intent_id: str) -> None:
        """Ask again as soon as the valve lets it, instead of waiting for the timer. Who is
        asked for already, or waits at the valve, is not asked for twice. Raises
        JournalError, LookupError."""
        record = self.record(intent_id)
        if self._timers.pop(intent_id, None) is not None:
            self._ring(record)

    def insist(self, intent_id: str, event: Event) -> None:
        """Move a record by what has happened already: if the journal cannot write now,
        then later."""
        try:
            self.happened(intent_id, event)
        except JournalError as failed:
            _log.error("the journal failed", extra={"code": failed.code})
            self._time.after(JOURNAL_RETRY_MS, lambda: self.insist(intent_id, event))

    def happened(self, intent_id: str, event: Event) -> Activation:
        """Move one record by one event. Raises LookupError for an unknown intent."""
        record = self.record(intent_id)
        step = saga.step(
            record, event, self._time.ticks(), self._correspondent.abilities
        )
        if self._must_wait(event, step):
            self._ring(record)
            return record
        committed = self._commit(record, step.record)
        for effect in step.effects:
            self._carry_out(committed, effect)
        return committed

    def _must_wait(self, event: Event, step: saga.Step) -> bool:
        """Whether this would send again while the centre is down. Then it is not begun:
        SENDING says that a message may have left."""
        if isinstance(event, saga.CardsAccepted) or saga.Send() not in step.effects:
            return False
        return not self._valve.lets(Errand.ACTIVATION)

    def _commit(self, before: Activation, after: Activation) -> Activation:
        if after == before:
            return before
        now = self._time.wall()
        sent_at = now if after.sends > before.sends else after.sent_at
        committed = self._journal.save(replace(after, changed_at=now, sent_at=sent_at))
        if committed.state.is_terminal:
            self._valve.forget(committed.origin.intent_id)
            self._timers.pop(committed.origin.intent_id, None)
        try:
            self._told(committed)
        except Exception as failed:  # noqa: BLE001 - what was promised is done all the same
            _log.error("telling failed", extra=described(failed))
        return committed

    def _carry_out(self, record: Activation, effect: saga.Effect) -> None:
        match effect:
            case saga.Send():
                silence = saga.NoAnswer(record.activation_id or "", record.sends)
                told = self._hears(record, Errand.ACTIVATION)
                self._set_off(
                    lambda: self._correspondent.send(record, told), told, silence
                )
            case saga.AskStatus():
                silence = saga.NoAnswer(record.activation_id or "")
                told, now = self._hears(record, Errand.QUESTION), self._time.ticks()
                self._set_off(
                    lambda: self._correspondent.ask(record, now, told), told, silence
                )
            case saga.Wake(within_ms, at_least_ms):
                delay = at_least_ms + self._random.uniform(0, within_ms)
                self._wake(record, delay)
            case _:
                assert_never(effect)

    def _set_off(
        self,
        errand: Callable[[], None],
        reply: Callable[[Event], None],
        silence: saga.NoAnswer,
    ) -> None:
        """An errand that could not be begun ends like one that brought nothing: what is
        committed says that it may have been."""
        try:
            errand()
        except Exception as failed:  # noqa: BLE001 - no more threads, for one
            _log.error("an errand was not begun", extra=described(failed))
            self._time.after(JOURNAL_RETRY_MS, lambda: reply(silence))

    def _hears(self, record: Activation, errand: Errand) -> Callable[[Event], None]:
        """Who is told what came of an errand; the valve only once."""
        self._valve.took(record, errand)
        heard = False

        def reply(event: Event) -> None:
            nonlocal heard
            if not heard:
                heard = True
                if isinstance(event, saga.NoAnswer):
                    self._valve.failed(event.retry_after_ms)
                else:
                    self._valve.answered()
            self._reply(record, event)
            self._let_through()

        return reply

    def _wake(self, record: Activation, delay: float) -> None:
        """Ring its timer later; a record has one, the last that was set."""
        intent_id = record.origin.intent_id
        timer = self._timers[intent_id] = _Timer(self._time.ticks() + delay)

        def ring() -> None:
            if self._timers.get(intent_id) is timer:
                del self._timers[intent_id]
                self._ring(record)

        self._time.after(delay, ring)

    def _ring(self, record: Activation) -> None:
        """The time of this record has come; it goes when the valve lets it."""
        self._valve.add(record)
        self._let_through()

    def _let_through(self) -> None:
        while (record := self._valve.next()) is not None:
            self._reply(record, saga.TimerRang())
        shut = self._valve.opens_in()
        if shut is None:
            return
        looks_at = self._time.ticks() + shut
        if self._looks_at is None or looks_at < self._looks_at:
            self._looks_at = looks_at
            self._time.after(shut, self._look)

    def _look(self) -> None:
        self._looks_at = None
        self._let_through()

    def _reply(self, record: Activation, event: Event) -> None:
        """What came of an effect. It must not be lost while the journal cannot write; and
        an answer that we cannot deal with is no answer, so that somebody asks again."""
        silence = saga.NoAnswer(record.activation_id or "", record.sends)
        try:
            self.happened(record.origin.intent_id, event)
        except JournalError:
            self._time.after(JOURNAL_RETRY_MS, lambda: self._again(record, event))
        except Exception as failed:  # noqa: BLE001
            _log.error("an answer could not be dealt with", extra=described(failed))
            self._time.after(JOURNAL_RETRY_MS, lambda: self._reply(record, silence))

    def _again(self, record: Activation, event: Event) -> None:
        if isinstance(event, saga.TimerRang):
            self._ring(record)
        else:
            self._reply(record, event)
