"""The durable life of one activation.

This file owns every transition. The record it moves is committed before any effect it asks
for is carried out, so that what the process forgets in a crash the journal knows.

Theory of operation
-------------------
An activation is *one-way*: the centre's state is the truth, there is no reversal, and
asking again or sending the same activation id again is always safe. So nothing is ever
rolled back; an unfinished activation is carried forward.

    RECEIVED    a transaction wants an activation; no card is known yet
    CARD_STEPS  a PIN is being verified or changed; after a crash nothing is presented again.
                Where the change itself activates, one whose answer is lost means UNKNOWN
    READY       everything is known, nothing has been sent
    SENDING     the message may have left; its id and body are in the journal
    UNKNOWN     no answer came: it may have worked. Never guessed, always asked: the centre,
                or the card itself when it returns
    MANUAL      asking has led nowhere for long; a person decides, asking goes on slowly
    ACTIVE      the card is active at the centre (terminal)
    REJECTED    the centre refused, and nothing sent is still on its way (terminal)
    ABANDONED   nothing was ever sent (terminal)

Four rules carry the promises (reliability, 2.1):

1. SENDING is committed with id and body before the first byte leaves; a crash in SENDING
   means UNKNOWN.
2. UNKNOWN ends by an answer to this id, by a status answer, by the card, or by a person.
   Silence moves nothing but a counter.
3. Sending again repeats the same id and the same bytes. A new id needs a new record, and
   that needs this one to have ended.
4. A refusal ends the matter only when it answers the last message, and every earlier one
   was answered or is too old to arrive. Otherwise it is noted, and once the others are too
   old the same message is sent again for the last word: that the centre has nothing under
   this id proves nothing, for another site may answer that has not heard yet.

What a centre can do differs (reliability, 4.4); `Abilities` says it, and the recovery
follows from that: ask and send again, wait and send again, or ask a person.
"""

from __future__ import annotations

import hashlib
from datetime import date
from enum import StrEnum
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from plugin.activation.problem import Problem, Refusal

ID_LABEL = b"kaqi activation 1"
PATIENT_DELAYS_MS = (0, 2_000, 6_000)  # somebody stands there waiting
BACKGROUND_DELAY_MS = 2_000
BACKGROUND_DELAY_MAX_MS = 300_000
MANUAL_DELAY_MS = 600_000
SENDS_MAX = 12
PATIENCE_MS = 24 * 3_600_000
RESTORED = "activation.restored"
CRASHES_MAX = 3  # of the agent, with one record in hand


class ActivationState(StrEnum):
    """Where an activation stands; see the theory of operation."""

    RECEIVED = "RECEIVED"
    CARD_STEPS = "CARD_STEPS"
    READY = "READY"
    SENDING = "SENDING"
    UNKNOWN = "UNKNOWN"
    MANUAL = "MANUAL"
    ACTIVE = "ACTIVE"
    REJECTED = "REJECTED"
    ABANDONED = "ABANDONED"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing moves any more."""
        return self in TERMINAL

    @property
    def may_have_been_sent(self) -> bool:
        """Whether the centre may know of it without our knowing the outcome."""
        return self in IN_DOUBT


TERMINAL = frozenset(
    {ActivationState.ACTIVE, ActivationState.REJECTED, ActivationState.ABANDONED}
)
IN_DOUBT = frozenset(
    {ActivationState.SENDING, ActivationState.UNKNOWN, ActivationState.MANUAL}
)


class CardStep(StrEnum):
    """What is about to be asked of a card that may spend a try."""

    VERIFYING = "verifying"
    CHANGING = "changing"


class Dedupe(StrEnum):
    """By what a centre knows that it has seen an activation before."""

    ID = "id"  # class A
    CARD = "card"  # class B
    DUPLICATE_CODE = "duplicate_code"  # class C
    NONE = "none"  # class D


class Abilities(Struct, frozen=True, kw_only=True):
    """What a centre's adapter declares. Declaring nothing means class D."""

    dedupe: Dedupe = Dedupe.NONE
    can_tell_status: bool = False
    message_life_ms: int = 60_000


class Origin(Struct, frozen=True, kw_only=True, array_like=True):
    """Who asked for this activation, where and when. Nothing personal, never changes.

    `intent_id` is a UUID that sorts by time; the transaction has the same one.
    """

    intent_id: str
    client_id: str
    scenario: str
    institution: str
    profile: str
    pos_ref: str | None = None
    operator_ref: str | None = None
    test_data: bool = False
    trace_id: str = ""
    received_at: str = ""

    @property
    def transaction_id(self) -> str:
        """What the POS knows it by."""
        return transaction_of(self.intent_id)


class Confirmation(Struct, frozen=True, kw_only=True, array_like=True):
    """How we know that the card is active. `adopted` means activated under another id,
    that is by another till or channel; `since`, `channel` and `receipt_no` are the
    centre's words."""

    by: str
    adopted: bool = False
    since: str | None = None
    channel: str | None = None
    receipt_no: str | None = None


class Verdict(StrEnum):
    """What a person has found out about an activation in doubt."""

    ACTIVE = "active"
    REJECTED = "rejected"


class Settlement(Struct, frozen=True, kw_only=True, array_like=True):
    """Who settled an activation, when, how and why: the journal keeps the reason sealed."""

    verdict: Verdict
    reason: str
    operator_ref: str
    client_id: str
    at: str


class Activation(Struct, frozen=True, kw_only=True, array_like=True):
    """One row of the journal. `message` is the canonical body sent to the centre and the
    only part with personal data; times are ticks: milliseconds of the agent's own life.
    `ended_as` and `problem` say how a transaction ended that never sent anything; the
    problem RESTORED, of whatever state, that only a copy of the record was left."""

    origin: Origin
    state: ActivationState = ActivationState.RECEIVED
    version: int = 0
    card_ref: str | None = None
    attempt: int = 0
    activation_id: str | None = None
    message: bytes | None = None
    began: int = 0
    sends: int = 0
    tries: int = 0
    unanswered: int | None = None
    refusal: Refusal | None = None
    confirmation: Confirmation | None = None
    ended_as: str | None = None
    problem: Problem | None = None
    superseded_by: str | None = None
    changed_at: str = ""
    tried: int = 0  # the tick of the last try, so that age grows over short days too
    card_step: CardStep | None = None
    tries_seen: int | None = None  # of the card's PIN, before that step
    outcome: str | None = None  # what the transaction said, where nothing was sent
    sent_as: str | None = None  # by what the centre's people find the message
    changing: bool = False  # a change that activates the card may have happened
    settlement: Settlement | None = None
    crashes: int = 0  # since an errand of this record came to its end
    changed_before: bool = False  # the same of a change before the one asked for last
    ended: int = 0  # the age of the journal then, in seconds
    ended_day: int = 0  # the first day that the centre told after that, as an ordinal
    forgotten: bool = False  # nothing personal is left of it
    unseen: bool = False  # its client has yet to say that it knows the end
    sent_at: str = ""  # what the wall clock showed when it was last sent


def transaction_of(intent_id: str) -> str:
    """The transaction that began this intent."""
    return "t-" + intent_id.replace("-", "")


def intent_of(transaction_id: str) -> str:
    """The intent a transaction began: its UUID with the usual hyphens."""
    digits = transaction_id.removeprefix("t-")
    places = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))
    return "-".join(digits[begin:end] for begin, end in places)


def activation_id(identification_code: str, issued: date | None, attempt: int) -> str:
    """64 hex characters, the same at every till: SM3 over a label, the card
    identification code (32 hex), the issue date (empty when unknown) and the attempt."""
    day = issued.isoformat() if issued else ""
    parts = (identification_code.upper(), day, str(attempt))
    return hashlib.new(
        "sm3", b"|".join([ID_LABEL, *map(str.encode, parts)])
    ).hexdigest()


# What has happened.


class CardsAccepted(Struct, frozen=True, kw_only=True):
    """The desk has done all that comes before the centre."""

    card_ref: str
    attempt: int
    activation_id: str
    message: bytes
    sent_as: str | None = None


class CardAsked(Struct, frozen=True):
    """A card is about to be asked; `tries_left` as far as it is known. `activates` is the
    reference of a card that the step, if it works, makes active."""

    step: CardStep
    tries_left: int | None = None
    activates: str | None = None


class Foreseen(Struct, frozen=True):
    """What the transaction has said will become of the card, without our doing."""

    outcome: str


class CardKept(Struct, frozen=True):
    """The card has answered: its PIN is what it was before."""


class FoundActive(Struct, frozen=True):
    """The card is active, and this record's message is not what told us: the centre said
    so when asked about the card, or the card has taken the PIN that makes it active."""

    confirmation: Confirmation
    outcome: str | None = None
    card_ref: str | None = None


class Dropped(Struct, frozen=True):
    """The transaction ended without an activation, how and why; `superseded_by` names the
    record that has the same card in hand."""

    ended_as: str
    problem: Problem | None = None
    superseded_by: str | None = None
    outcome: str | None = None


class Settled(Struct, frozen=True):
    """A person has asked the centre's people, and answers for it."""

    settlement: Settlement


class Accepted(Struct, frozen=True):
    """The centre says: active, to the message of this id or to a question about it."""

    activation_id: str
    confirmation: Confirmation


class Refused(Struct, frozen=True):
    """The centre refused the message of this id that was sent as number `send`."""

    activation_id: str
    refusal: Refusal
    send: int


class NotFound(Struct, frozen=True):
    """Asked at the tick `asked`, the centre knew nothing of this id: no proof that nothing
    will happen."""

    activation_id: str
    asked: int


class NoAnswer(Struct, frozen=True):
    """A message of this id (the one sent as number `send`), or a question about it (0),
    brought nothing that can be believed; `retry_after_ms` is how long the centre wants to
    be left alone."""

    activation_id: str
    send: int = 0
    retry_after_ms: int | None = None


class TimerRang(Struct, frozen=True):
    """The time to try again has come."""


class Restarted(Struct, frozen=True):
    """The agent has found this record unfinished at its start."""


Event = (
    CardAsked
    | CardKept
    | Foreseen
    | CardsAccepted
    | FoundActive
    | Dropped
    | Settled
    | Accepted
    | Refused
    | NotFound
    | NoAnswer
    | TimerRang
    | Restarted
)


# What is to be done, after the record is committed.


class Send(Struct, frozen=True):
    """Send the record's message."""


class AskStatus(Struct, frozen=True):
    """Ask the centre what became of the record's id."""


class Wake(Struct, frozen=True):
    """Ring the timer after `at_least_ms` plus a random part of `within_ms`."""

    within_ms: int = 0
    at_least_ms: int = 0


Effect = Send | AskStatus | Wake


class Step(Struct, frozen=True):
    """The record to commit, and what to do once it is."""

    record: Activation
    effects: tuple[Effect, ...] = ()


def step(record: Activation, event: Event, now: int, abilities: Abilities) -> Step:
    """The next record and effects. An event that means nothing here changes nothing:
    answers come late, twice and to ended records."""
    if record.state.is_terminal or not _concerns(event, record):
        return Step(record)
    match record.state:
        case (
            ActivationState.RECEIVED
            | ActivationState.CARD_STEPS
            | ActivationState.READY
        ):
            return _before_sending(record, event, now)
        case ActivationState.SENDING:
            return _sending(record, event, now, abilities)
        case ActivationState.UNKNOWN:
            return _unknown(record, event, now, abilities)
        case ActivationState.MANUAL:
            return _manual(record, event, abilities)
        case (
            ActivationState.ACTIVE
            | ActivationState.REJECTED
            | ActivationState.ABANDONED
        ):
            return Step(record)
        case _:
            assert_never(record.state)


def _concerns(event: Event, record: Activation) -> bool:
    """Whether an answer is about this record's id: an answer must name its attempt."""
    match event:
        case Accepted() | Refused() | NotFound() | NoAnswer():
            return event.activation_id == record.activation_id
        case _:
            return True


def _before_sending(record: Activation, event: Event, now: int) -> Step:
    match event:
        case CardAsked():
            return _card_asked(record, event)
        case CardKept():
            return Step(_card_kept(record))
        case CardsAccepted():
            ready = replace(
                record,
                card_ref=event.card_ref,
                attempt=event.attempt,
                activation_id=event.activation_id,
                message=event.message,
                sent_as=event.sent_as,
                began=now,
            )
            return _send(ready)
        case Foreseen(outcome):
            return Step(replace(record, outcome=outcome))
        case FoundActive():
            return _found_active(record, event)
        case Dropped() | Restarted() if record.changing:  # until the card returns
            return Step(replace(record, state=ActivationState.UNKNOWN))
        case Dropped(ended_as, problem, superseded_by, outcome):
            dropped = replace(
                record,
                state=ActivationState.ABANDONED,
                ended_as=ended_as,
                problem=problem,
                superseded_by=superseded_by,
                outcome=outcome,
            )
            return Step(dropped)
        case Restarted() if record.outcome is not None:
            said = Dropped("succeeded", outcome=record.outcome)
            return _before_sending(record, said, now)
        case Restarted():
            card_asked = record.state is ActivationState.CARD_STEPS
            code = "agent.restarted_at_card" if card_asked else "agent.restarted"
            return _before_sending(record, Dropped("failed", Problem(code)), now)
        case _:
            return Step(record)


def _found_active(record: Activation, found: FoundActive) -> Step:
    known = replace(
        record, outcome=found.outcome, card_ref=record.card_ref or found.card_ref
    )
    return _active(known, found.confirmation)


def _card_asked(record: Activation, asked: CardAsked) -> Step:
    changes = asked.activates is not None and asked.step is CardStep.CHANGING
    return Step(
        replace(
            record,
            state=ActivationState.CARD_STEPS,
            card_ref=asked.activates if changes else record.card_ref,
            card_step=asked.step,
            tries_seen=asked.tries_left,
            changing=record.changing or changes,
            changed_before=record.changing if changes else record.changed_before,
        )
    )


def _card_kept(record: Activation) -> Activation:
    """Found with its old PIN, it was never changed. A change that did not come about says
    nothing of an earlier one."""
    earlier = record.changed_before and record.card_step is CardStep.CHANGING
    return replace(record, changing=earlier, changed_before=earlier)


def from_a_copy(record: Activation, made: str, *, card_elsewhere: bool) -> Activation:
    """An unfinished record of which only a copy is left, made at `made` (RFC 3339). It may
    have gone further since, so it is neither ended nor sent again by itself: where the
    card can tell, until the card returns; else a person asks. `card_elsewhere` says that a
    later record has had its card in hand since: then this one had let it go.

    The version is the next one, so that it is newer than what it was made from."""
    told = {"copy": made, "message": record.sent_as or record.activation_id or ""}
    unknown, by_hand = ActivationState.UNKNOWN, ActivationState.MANUAL
    return replace(
        record,
        state=unknown if record.changing else by_hand,
        version=record.version + 1,
        card_ref=None if card_elsewhere else record.card_ref,
        problem=Problem(RESTORED, told),
    )


def last_tick(record: Activation) -> int:
    """The latest moment of the agent's life that this record knows of."""
    return max(record.began, record.unanswered or 0, record.tried)


def _sending(record: Activation, event: Event, now: int, abilities: Abilities) -> Step:
    match event:
        case Accepted(_, confirmation):
            return _active(record, confirmation)
        case Refused(_, refusal, send) if send == record.sends:
            return _refused(record, refusal, now, abilities)
        case NoAnswer(_, send) if send != record.sends:
            return Step(record)
        case NoAnswer() | Restarted():
            in_doubt = replace(record, state=ActivationState.UNKNOWN, unanswered=now)
            return _try_again(_counted(in_doubt, event), now, abilities)
        case _:
            return Step(record)


def _unknown(record: Activation, event: Event, now: int, abilities: Abilities) -> Step:
    if record.changing:
        return _until_the_card_returns(record, event)
    match event:
        case FoundActive(confirmation):
            return _active(record, confirmation)
        case Accepted(_, confirmation):
            return _active(record, confirmation)
        case Refused(_, refusal):
            return _refused(record, refusal, now, abilities)
        case NotFound(_, asked):
            return _not_found(record, asked, abilities)
        case NoAnswer():
            return _try_again(_counted(record, event), now, abilities)
        case TimerRang() if abilities.can_tell_status:
            return Step(record, (AskStatus(),))
        case TimerRang():
            return _not_found(record, now, abilities)
        case Restarted():
            return _taken_up(_counted(record, event), abilities)
        case _:
            return Step(record)


def needs_a_person(record: Activation) -> bool:
    """Whether a person may settle it: asking has led nowhere, or only the card knows and
    it may never return."""
    by_hand = record.state is ActivationState.MANUAL
    return by_hand or (record.state is ActivationState.UNKNOWN and record.changing)


def can_be_asked(record: Activation, abilities: Abilities) -> bool:
    """Whether the centre, asked or told again, may still say what became of it."""
    if not record.state.may_have_been_sent or record.changing:
        return False
    by_hand = record.state is ActivationState.MANUAL
    return record.activation_id is not None and (
        abilities.can_tell_status or not by_hand
    )


def _settled(record: Activation, settlement: Settlement) -> Step:
    known = replace(record, settlement=settlement)
    match settlement.verdict:
        case Verdict.ACTIVE:
            done = replace(known, outcome="activated" if record.changing else None)
            return _active(done, Confirmation(by="person"))
        case Verdict.REJECTED:
            return Step(replace(known, state=ActivationState.REJECTED))
        case _:
            assert_never(settlement.verdict)


def _until_the_card_returns(record: Activation, event: Event) -> Step:
    """Nobody knows but the card, unless the centre has been told by others."""
    match event:
        case Settled(settlement):
            return _settled(record, settlement)
        case FoundActive():
            return _found_active(record, event)
        case CardAsked():
            return _card_asked(record, event)
        case _:
            return Step(record)


def _manual(record: Activation, event: Event, abilities: Abilities) -> Step:
    match event:
        case Settled(settlement):
            return _settled(record, settlement)
        case FoundActive(confirmation):
            return _active(record, confirmation)
        case Accepted(_, confirmation):
            return _active(record, confirmation)
        case TimerRang():
            return Step(record, (AskStatus(),))
        case Restarted() if record.activation_id is None:  # nothing to ask about
            return Step(record)
        case NoAnswer() | NotFound() | Restarted() if abilities.can_tell_status:
            return Step(record, (Wake(at_least_ms=MANUAL_DELAY_MS),))
        case _:
            return Step(record)


def _send(record: Activation) -> Step:
    sending = replace(record, state=ActivationState.SENDING, sends=record.sends + 1)
    return Step(sending, (Send(),))


def _refused(
    record: Activation, refusal: Refusal, now: int, abilities: Abilities
) -> Step:
    """Rule 4: final when it answers the last message and no earlier one can arrive any
    more. Otherwise one of them may have worked, or still will: ask, once all of them are
    too old to."""
    last = record.state is ActivationState.SENDING
    too_old = abilities.can_tell_status and _life_left(record, now, abilities) <= 0
    if record.unanswered is None or (last and too_old):
        return Step(replace(record, state=ActivationState.REJECTED, refusal=refusal))
    if not abilities.can_tell_status:
        return _hand_over(replace(record, refusal=refusal), abilities)
    waiting = replace(record, state=ActivationState.UNKNOWN, refusal=refusal)
    remaining = max(0, _life_left(record, now, abilities))
    return Step(waiting, (Wake(at_least_ms=remaining),))


def _not_found(record: Activation, asked: int, abilities: Abilities) -> Step:
    """The centre knew nothing at this tick, or cannot be asked: send again where that is
    safe. After a refusal too, once its answer can be the last word: who knows nothing may
    be another site, which has not heard yet."""
    remaining = _life_left(record, asked, abilities)
    if record.refusal is not None and remaining > 0:
        return Step(record, (Wake(at_least_ms=remaining),))
    # Where nothing can be asked, sending again is the question: PATIENCE_MS ends it.
    tired = abilities.can_tell_status and record.sends >= SENDS_MAX
    if abilities.dedupe is Dedupe.NONE or tired:
        return _hand_over(record, abilities)
    if abilities.dedupe is Dedupe.CARD and remaining > 0:
        return Step(record, (Wake(at_least_ms=remaining),))
    return _send(record)


def _counted(record: Activation, event: Event) -> Activation:
    """A record that was in hand whenever the agent died may be what it died of."""
    crashes = record.crashes + 1 if isinstance(event, Restarted) else 0
    return replace(record, crashes=crashes)


def _taken_up(record: Activation, abilities: Abilities) -> Step:
    if record.crashes >= CRASHES_MAX:
        return _hand_over(record, abilities)
    return Step(record, (Wake(),))


def _try_again(record: Activation, now: int, abilities: Abilities) -> Step:
    """Silence: count it, and ring later; give up to a person after a day."""
    if now - record.began > PATIENCE_MS or record.crashes >= CRASHES_MAX:
        return _hand_over(record, abilities)
    if not abilities.can_tell_status and abilities.dedupe is Dedupe.NONE:
        return _hand_over(record, abilities)
    counted = replace(record, tries=record.tries + 1, tried=now)
    return Step(counted, (_delay(record.tries),))


def _hand_over(record: Activation, abilities: Abilities) -> Step:
    manual = replace(record, state=ActivationState.MANUAL)
    wake = (Wake(at_least_ms=MANUAL_DELAY_MS),) if abilities.can_tell_status else ()
    return Step(manual, wake)


def _delay(tries: int) -> Wake:
    """Soon while the holder waits, then full jitter up to five minutes."""
    if tries < len(PATIENT_DELAYS_MS):
        return Wake(within_ms=500, at_least_ms=PATIENT_DELAYS_MS[tries])
    doublings = min(tries - len(PATIENT_DELAYS_MS) + 1, 16)
    return Wake(
        within_ms=min(BACKGROUND_DELAY_MAX_MS, BACKGROUND_DELAY_MS << doublings)
    )


def _life_left(record: Activation, now: int, abilities: Abilities) -> int:
    """How long a message of this record that got no answer may still arrive (ms); zero or
    less when none can."""
    if record.unanswered is None:
        return 0
    return record.unanswered + abilities.message_life_ms - now


def _active(record: Activation, confirmation: Confirmation) -> Step:
    return Step(
        replace(record, state=ActivationState.ACTIVE, confirmation=confirmation)
    )
