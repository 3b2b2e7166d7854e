"""A PIN at the counter: what is wanted of whom, what may be presented to a card, and what
follows from its answer. Values and tables; the desk walks along them.

What was typed passes through as `Typed` and is in no state: a PIN is presented once, and
then nobody has it. So nothing here can present it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from drivers.iso7816 import status_word
from drivers.iso7816.status_word import StatusWord
from drivers.ports import PinOperation
from plugin.activation.problem import Problem
from plugin.activation.region import NewPin, OldPin, PinPolicy, Role
from plugin.card.errors import LockedCardError, refusal
from plugin.card.pin import (
    Accepted,
    Answer,
    Blocked,
    Counter,
    NotSet,
    NotTyped,
    Refused,
    Unanswered,
    Wrong,
)

Keypad = frozenset[PinOperation]
NO_KEYPAD = NotTyped("reader.no_keypad")
LAST_TRY = 1
TORN_STOPS_AT = 2  # tries left with which nobody guesses


class Entry(StrEnum):
    """What is to be typed."""

    VERIFY = "verify"  # the PIN
    NEW = "new"  # the PIN, and the one that takes its place


class Torn(StrEnum):
    """A change without an answer: which of the two PINs is asked for."""

    NEW_FIRST = "new_first"
    THEN_OLD = "then_old"


class Typed(Struct, frozen=True, kw_only=True):
    """What somebody typed here; empty, to begin on the reader's keypad. Prints nothing."""

    pin: str | None = None
    new_pin: str | None = None
    confirm_last_try: bool = False

    def __repr__(self) -> str:
        return "Typed()"


class Talk(Struct, frozen=True, kw_only=True):
    """What is known of one card's PIN. `entry` is what an answer led to; None in the
    beginning. `feared` says that `tries_left` is not the card's word, but how few there are
    at worst. `asked` says that the card was asked for its counter."""

    entry: Entry | None = None
    tries_left: int | None = None
    feared: bool = False
    torn: Torn | None = None
    asked: bool = False

    @property
    def torn_warning(self) -> Problem | None:
        """What happened to this card, which must be said before anything is typed."""
        return Problem(_TORN_SAYS[self.torn]) if self.torn is not None else None


class Wanted(Struct, frozen=True, kw_only=True):
    """What is asked for just now: on the reader's keypad, or here. `tries_left` and
    `feared` are those of the talk."""

    role: Role
    entry: Entry
    on_reader: bool = False
    tries_left: int | None = None
    feared: bool = False
    torn: Torn | None = None

    @property
    def tries_told(self) -> int | None:
        """How many tries are left, where the card has said so."""
        return None if self.feared else self.tries_left

    @property
    def is_last_try(self) -> bool:
        """Whether a wrong PIN would, or might, block the card."""
        return self.tries_left == LAST_TRY

    @property
    def spare(self) -> int | None:
        """With how many tries left this is not presented, where the card can be asked at
        the last moment: somebody else may have spent some. None: with any."""
        if self.torn is not None:
            return TORN_STOPS_AT
        return None if self.is_last_try else LAST_TRY


_TORN_SAYS = {
    Torn.NEW_FIRST: "pin.change_unknown",
    Torn.THEN_OLD: "pin.try_the_old",
}


_LEAVES: Mapping[type[Answer], str] = {
    Accepted: "pin.changed",
    Unanswered: "pin.change_unknown",
}


def due(policy: PinPolicy, role: Role) -> bool:
    """Whether this region asks for the PIN of such a card."""
    if role is Role.MEDICAL:
        return policy.old is not OldPin.NEVER
    return policy.new is not NewPin.NONE


def wanted(role: Role, talk: Talk, policy: PinPolicy, keypad: Keypad) -> Wanted:
    """What to ask for. A keypad is used wherever it can do what is asked, and where
    nothing has to be compared that is typed."""
    able = keypad if policy.digits.fit_a_keypad else frozenset()
    entry = talk.entry or _begins_with(role, talk, policy, able)
    operation = PinOperation.VERIFY if entry is Entry.VERIFY else PinOperation.MODIFY
    compared = (
        role is Role.SOCIAL_SECURITY
        and entry is Entry.VERIFY
        and talk.torn is None
        and bool(policy.initial)
    )
    return Wanted(
        role=role,
        entry=entry,
        on_reader=operation in able and not compared,
        tries_left=talk.tries_left,
        feared=talk.feared,
        torn=talk.torn,
    )


def _begins_with(role: Role, talk: Talk, policy: PinPolicy, able: Keypad) -> Entry:
    """Where nobody here sees the PIN, nobody knows whether it is initial: it is changed."""
    if role is Role.MEDICAL or talk.torn is not None or policy.new is NewPin.KEEP:
        return Entry.VERIFY
    unseen = PinOperation.MODIFY in able
    return Entry.NEW if policy.new is NewPin.SET or unseen else Entry.VERIFY


def objection(asked: Wanted, typed: Typed, policy: PinPolicy) -> Problem | None:
    """Why this must not be presented to the card."""
    if asked.on_reader:
        if typed.pin is not None or typed.new_pin is not None:
            return Problem("pin.keypad_only")
    elif (problem := _wrong_form(asked, typed, policy)) is not None:
        return problem
    if asked.is_last_try and not typed.confirm_last_try:
        return Problem("pin.last_try")
    return None


def _wrong_form(asked: Wanted, typed: Typed, policy: PinPolicy) -> Problem | None:
    changes = asked.entry is Entry.NEW
    needed = (typed.pin, typed.new_pin) if changes else (typed.pin,)
    if not all(_is_pin(each, policy) for each in needed):
        return Problem("pin.length")
    if not changes and typed.new_pin is not None:
        return Problem("pin.new_not_wanted")
    if changes and typed.new_pin in policy.initial:
        return Problem("pin.must_differ_from_initial")
    keeps = asked.role is Role.SOCIAL_SECURITY and policy.new is NewPin.KEEP
    if keeps and typed.pin in policy.initial:
        return Problem("pin.still_initial")
    return None


def _is_pin(typed: str | None, policy: PinPolicy) -> bool:
    allowed = range(policy.digits.minimum, policy.digits.maximum + 1)
    return (
        typed is not None
        and typed.isascii()
        and typed.isdigit()
        and len(typed) in allowed
    )


def following(asked: Wanted, typed: Typed, policy: PinPolicy) -> Entry | None:
    """What is wanted after this was right; None when that is all. A PIN that nobody here
    has seen may be the old one, whichever was asked for: it is changed."""
    if asked.role is Role.MEDICAL or asked.entry is Entry.NEW:
        return None
    still_initial = asked.on_reader or typed.pin in policy.initial
    match policy.new:
        case NewPin.SET:
            found_old = asked.torn is Torn.THEN_OLD
            return Entry.NEW if found_old or still_initial else None
        case NewPin.CHANGE_INITIAL:
            return Entry.NEW if still_initial else None
        case NewPin.KEEP | NewPin.NONE:
            return None


# What an answer means.


class Settled(Struct, frozen=True):
    """Nothing more is wanted of this card's PIN."""


class Again(Struct, frozen=True):
    """Something must be typed (again); `problem` says what was wrong."""

    talk: Talk
    problem: Problem | None = None


class Hopeless(Struct, frozen=True):
    """It cannot go on here, and why."""

    problem: Problem


Verdict = Settled | Again | Hopeless


def judge(
    asked: Wanted, talk: Talk, then: Entry | None, answer: Answer, policy: PinPolicy
) -> Verdict:
    """What the card's answer means; `then` is what is wanted once it is right."""
    only_where_set = asked.role is Role.MEDICAL and policy.old is OldPin.IF_SET
    after = _counted_down(talk, answer)
    match answer:
        case Accepted() if then is None:
            return Settled()
        case Accepted():
            return Again(Talk(entry=then, asked=True))
        case Wrong():
            return _wrong(after)
        case Counter():
            return _counted(after)
        case Blocked():
            return Hopeless(Problem("pin.locked"))
        case NotSet() | Refused(status_word.UNKNOWN_INS) if only_where_set:
            return Settled()
        case NotSet():
            return Hopeless(Problem("pin.not_set"))
        case Refused(sw):
            return _refused(after, sw)
        case NotTyped(code):
            return Again(talk, Problem(code))
        case Unanswered():
            return _unanswered(asked, after)
        case _:
            assert_never(answer)


class Found(StrEnum):
    """Which of two PINs a card has, as far as its answer tells."""

    NEW = "new"
    OLD = "old"


def found(asked: Wanted, then: Entry | None, answer: Answer) -> Found | None:
    """What an answer tells of a change, now or before; `then` is what was wanted after a
    yes. Only a PIN that was typed here can be told apart; None where nothing is known."""
    match answer:
        case Accepted() if asked.entry is Entry.NEW:
            return Found.NEW
        case Accepted() if asked.torn is Torn.THEN_OLD:
            return Found.OLD
        case Accepted() if asked.torn is Torn.NEW_FIRST and not asked.on_reader:
            return Found.NEW if then is None else Found.OLD
        case Accepted() | Unanswered():
            return None
        case _:
            return Found.OLD if asked.entry is Entry.NEW else None


def done_by_then(asked: Wanted, answer: Answer) -> tuple[Problem, ...]:
    """What a holder must know who leaves with this answer: which PIN holds from now on."""
    code = _LEAVES.get(type(answer)) if asked.entry is Entry.NEW else None
    return (Problem(code),) if code else ()


def at_worst(before: int | None, answer: Answer) -> int | None:
    """How many tries are left at worst, when there were so many before; None where nobody
    knows, or where it does not matter any more."""
    match answer:
        case Wrong(int(left)) | Counter(int(left)):
            return left
        case Wrong() | Refused() | Unanswered():
            return max(LAST_TRY, before - 1) if before is not None else None
        case Counter() | NotTyped():
            return before
        case Accepted() | Blocked() | NotSet():
            return None
        case _:
            assert_never(answer)


def _counted_down(talk: Talk, answer: Answer) -> Talk:
    """The talk with the tries that are left now."""
    if answer == Counter(None):
        return talk
    left = at_worst(talk.tries_left, answer)
    told = isinstance(answer, Wrong | Counter) and answer.tries_left is not None
    return replace(talk, tries_left=left, feared=left is not None and not told)


def _wrong(talk: Talk) -> Verdict:
    """A wrong PIN is typed again; nobody guesses for long at one that may be torn."""
    if talk.torn is None:
        last = talk.tries_left == LAST_TRY
        return Again(talk, Problem("pin.last_try" if last else "pin.wrong"))
    return _counted(replace(talk, torn=Torn.THEN_OLD))


def _counted(talk: Talk) -> Verdict:
    few = talk.tries_left is not None and talk.tries_left <= TORN_STOPS_AT
    if talk.torn is not None and few:
        return Hopeless(Problem("pin.torn_stopped"))
    return Again(talk)


def _refused(talk: Talk, sw: StatusWord) -> Verdict:
    """Nothing was said of the PIN, and so of the tries either."""
    code = refusal(sw, "PIN").code
    facts = {"sw": f"{sw.value:04X}"}
    if code == LockedCardError.code:
        return Hopeless(Problem(code, facts))
    return Again(talk, Problem("pin.refused", facts))


def _unanswered(asked: Wanted, talk: Talk) -> Verdict:
    """A lost answer to a change leaves one of two PINs; to a verification, the counter."""
    talk = replace(talk, asked=False)
    if asked.entry is Entry.NEW:
        return Again(replace(talk, entry=Entry.VERIFY, torn=Torn.NEW_FIRST))
    return Again(talk, Problem("pin.answer_lost"))
