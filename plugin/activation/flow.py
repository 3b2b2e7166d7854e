"""The way of one scenario of a region, and its ends, found by walking the desk itself.

Nothing here knows an order: `journey.begin` and `journey.step` are told what usually happens, and what
they show is written down. The ends are found the same way: at every moment of the way the desk is
told what can go wrong there (every standing, every answer of a card, every refusal the region
knows), and where that ends it, that is an end. So a rule is in the tables of the desk, of the rules
and of the profile, and nowhere else.

Not among the ends: what fails in our own program, and what only keeps a moment waiting, such as a
card that is mute. The cards are invented: region 9999xx exists nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from enum import StrEnum
from itertools import count

from msgspec import Struct, field
from msgspec.structs import replace

from drivers.iso7816 import status_word
from plugin.activation import desk, journey, moments, saga
from plugin.activation.desk import (
    ALLOWED,
    CLOCKS,
    Action,
    Desk,
    Registered,
    Slot,
    Terms,
)
from plugin.activation.pins import Entry, Typed, Wanted
from plugin.activation.problem import Problem, Refusal
from plugin.activation.region import (
    ACTIVE,
    NewPin,
    PinPolicy,
    RefusalRule,
    RegionProfile,
    Role,
    Scenario,
    ScenarioRules,
)
from plugin.activation.rules import CardStatus, Standing
from plugin.activation.saga import Activation, Confirmation, Origin
from plugin.card.medical import MedicalCard
from plugin.card.pin import (
    Accepted,
    Answer,
    Blocked,
    Counter,
    NotSet,
    Refused,
    Unanswered,
    Wrong,
)
from plugin.card.social_security import Issue, SocialSecurityCard

READERS = (2, 1)  # with two, no card must be taken out
STEPS_MAX = 100  # no way is as long
DETOUR_MAX = 4  # events after something went wrong


class Actor(StrEnum):
    """Who acts at a moment."""

    HOLDER = "holder"
    OPERATOR = "operator"
    HIS = "his"  # the hospital's own program, where the visit is registered
    AGENT = "agent"
    CENTRE = "centre"


class Task(StrEnum):
    """What is asked of whoever acts."""

    CONNECT_READER = "connect_reader"
    INSERT_CARD = "insert_card"
    REMOVE_CARD = "remove_card"
    READ_CARD = "read_card"
    MATCH_CARDS = "match_cards"
    TELL_STATUS = "tell_status"
    CONFIRM = "confirm"
    REGISTER = "register"
    ENTER_PIN = "enter_pin"
    CHANGE_PIN = "change_pin"
    PRESENT_PIN = "present_pin"
    ACTIVATE = "activate"
    NOTE = "note"
    FINISH = "finish"


class FlowStep(Struct, frozen=True, kw_only=True):
    """One moment of the way; `key` is the API's `step.key`, `state` and `detail` its parts."""

    key: str
    state: str
    detail: str | None
    actor: Actor
    task: Task


class End(Struct, frozen=True, kw_only=True):
    """How it can end otherwise: with which moment, which problem (None: that is no problem), and
    at which moments of the way. `facts` fill the problem's sentence, as far as the profile says
    them. One that is not `final` is a doubt: it goes on without the holder."""

    key: str
    code: str | None
    at: tuple[str, ...]
    final: bool = True
    facts: Mapping[str, str] = field(default_factory=dict)


class Way(Struct, frozen=True, kw_only=True):
    """What usually happens from the beginning to the end, and every other end."""

    readers: int
    steps: tuple[FlowStep, ...]
    ends: tuple[End, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The moments."""
        return tuple(each.key for each in self.steps)

    @property
    def succeeds(self) -> bool:
        """Whether the ordinary holder has an active card at its end."""
        return self.steps[-1].state == desk.Succeeded.name


def way(
    profile: RegionProfile, chosen: ScenarioRules, scenario: Scenario, readers: int = 2
) -> Way:
    """The way of a scenario with these rules, with so many readers."""
    terms = Terms(scenario=scenario, rules=chosen, profile=profile, simulated=True)
    walked = _walked(terms, readers, _old_card(profile))
    steps: list[FlowStep] = []
    for now in walked:
        found = _step_of(now)
        if not steps or steps[-1].key != found.key:
            steps.append(found)
    return Way(readers=readers, steps=tuple(steps), ends=_ends(terms, readers, walked))


def _walked(terms: Terms, readers: int, old: MedicalCard) -> tuple[Desk, ...]:
    """Every desk from the beginning to the end."""
    empty = tuple(Slot(f"reader {number}") for number in range(1, readers + 1))
    walked = [journey.begin(terms, empty).desk]
    while not walked[-1].is_terminal:
        if len(walked) > STEPS_MAX:
            raise ValueError(f"{terms.profile.label} goes round in circles")
        event = _usual(walked[-1], f"stay {len(walked)}", old)
        walked.append(journey.step(walked[-1], event).desk)
    return tuple(walked)


_DOES: Mapping[type[desk.State], tuple[Actor, Task]] = {
    desk.WaitingReader: (Actor.OPERATOR, Task.CONNECT_READER),
    desk.WaitingCard: (Actor.HOLDER, Task.INSERT_CARD),
    desk.Reading: (Actor.AGENT, Task.READ_CARD),
    desk.WaitingRemoval: (Actor.HOLDER, Task.REMOVE_CARD),
    desk.Matching: (Actor.AGENT, Task.MATCH_CARDS),
    desk.Checking: (Actor.CENTRE, Task.TELL_STATUS),
    desk.WaitingConfirm: (Actor.OPERATOR, Task.CONFIRM),
    desk.WaitingRegistration: (Actor.HIS, Task.REGISTER),
    desk.WaitingPin: (Actor.HOLDER, Task.ENTER_PIN),
    desk.PinAtWork: (Actor.AGENT, Task.PRESENT_PIN),
    desk.Committing: (Actor.CENTRE, Task.ACTIVATE),
}
_FINISHES = (Actor.AGENT, Task.FINISH)


def _step_of(now: Desk) -> FlowStep:
    state = now.state
    actor, task = _DOES.get(type(state), _FINISHES)
    if isinstance(state, desk.WaitingPin) and state.wanted.entry is Entry.NEW:
        task = Task.CHANGE_PIN
    if isinstance(state, desk.Committing) and now.facts.terms.changes_pin:
        actor, task = Actor.AGENT, Task.NOTE  # the card has done it
    return FlowStep(
        key=moments.of(now),
        state=state.name,
        detail=moments.detail(state, now.facts.problem),
        actor=actor,
        task=task,
    )


# What usually happens.

BORN, TODAY, EXPIRES = date(1902, 1, 2), date(2026, 1, 15), date(2066, 1, 14)
_NUMBER, _NAME = "999901190201021017", "试某"
_TRIES = 6
_ORIGIN = Origin(
    intent_id="-", client_id="-", scenario="-", institution="-", profile="-"
)
_ACTIVATION_ID = "0" * 64
_YES = Confirmation(by="answer")
INACTIVE = CardStatus(
    standing=Standing.INACTIVE,
    today=TODAY,
    handed_over=TODAY,
    financial_enabled=True,
    first_replacement=True,
)


def _issue(version: str, card_class: str) -> Issue:
    return Issue(
        identification_code=f"999901D15600000500{0:014d}",
        card_class=card_class,
        spec_version=version,
        issuer_code=None,
        issue_date=TODAY,
        expiry_date=EXPIRES,
        card_number="T20000017",
    )


NEW_CARD = SocialSecurityCard(
    issue=_issue("2.00", "1"),
    social_security_number=_NUMBER,
    name=_NAME,
    sex="1",
    nation_code=None,
    birthplace_code=None,
    birth_date=BORN,
)


def _old_card(profile: RegionProfile) -> MedicalCard:
    """An ordinary one of the city: with a processor, and so perhaps a PIN, where there are such
    cards; and with the holder's number where any kind carries it."""
    cards = profile.cards
    others: list[object] = [each.social_security_number for each in cards.memory]
    others += [each.social_security_number for each in cards.stripe]
    return MedicalCard(
        kind="cpu" if cards.cpu else "other",
        number="Y10000012",
        social_security_number=_NUMBER if cards.cpu or any(others) else None,
        name=_NAME,
        issue=_issue("1.00", "2") if cards.cpu else None,
    )


def _usual(now: Desk, stay: str, old: MedicalCard) -> desk.Event:
    """What the people, the card and the centre do at this moment; a card that is put in has this
    stay. Raises ValueError where no way comes by."""
    facts, state = now.facts, now.state
    match state:
        case desk.WaitingCard():
            return desk.SlotsChanged(_put_in(facts.slots, stay))
        case desk.WaitingRemoval():
            empty = tuple(Slot(each.reader) for each in facts.slots)
            return desk.SlotsChanged(empty)
        case desk.Reading(role, slot):
            card = old if role is Role.MEDICAL else NEW_CARD
            return desk.CardRead(slot.insertion_id or "", card)
        case desk.Matching():
            return desk.Matched(same_person=True)
        case desk.Checking():
            return desk.StatusTold(_standing_now(facts.registered))
        case desk.WaitingConfirm():
            return desk.ConfirmAsked()
        case desk.WaitingRegistration():
            return desk.ContinueAsked()
        case desk.WaitingPin(wanted):
            return desk.PinGiven(_typed(wanted, facts.terms.profile.pin))
        case desk.PinAtWork(_, slot, counting=counting):
            answer = Counter(_TRIES) if counting else Accepted()
            return desk.PinAnswered(slot.insertion_id or "", answer)
        case desk.Committing():
            return desk.ActivationMoved(_active(_YES))
        case _:
            raise ValueError(f"no way comes by {state.name}")


def _put_in(slots: tuple[Slot, ...], stay: str) -> tuple[Slot, ...]:
    """The card goes into the first reader that is free."""
    free = next(at for at, slot in enumerate(slots) if slot.insertion_id is None)
    taken = Slot(slots[free].reader, stay)
    return (*slots[:free], taken, *slots[free + 1 :])


def _standing_now(registered: Registered | None) -> CardStatus:
    if registered is Registered.SAID:
        return replace(INACTIVE, standing=Standing.ACTIVE)
    return INACTIVE


def _typed(wanted: Wanted, policy: PinPolicy) -> Typed:
    """The right PIN: the maker's, where the region wants that changed."""
    digits = policy.digits.minimum
    invented = (f"{number:0{digits}d}" for number in count(1))
    own = (each for each in invented if each not in policy.initial)
    present, chosen = next(own), next(own)
    of_new_card = wanted.role is Role.SOCIAL_SECURITY
    if of_new_card and policy.new is NewPin.CHANGE_INITIAL:
        present = min(policy.initial)
    return Typed(
        pin=present,
        new_pin=chosen if wanted.entry is Entry.NEW else None,
        confirm_last_try=True,
    )


# What can go wrong.


def _ends(terms: Terms, readers: int, walked: tuple[Desk, ...]) -> tuple[End, ...]:
    """Every end that is not the way's own, in the order in which the way comes by."""
    found: dict[tuple[str, str | None], End] = {}
    for at, ended in _endings(terms, readers, walked):
        end = _end_of(at, ended)
        known = found.setdefault((end.key, end.code), end)
        if at not in known.at:
            found[end.key, end.code] = replace(known, at=(*known.at, at))
    usual = moments.of(walked[-1])
    return tuple(each for each in found.values() if each.key != usual or each.code)


def _endings(
    terms: Terms, readers: int, walked: tuple[Desk, ...]
) -> Iterator[tuple[str, Desk]]:
    """At which moment of the way which desk can be the last."""
    for now in walked[:-1]:
        yield from ((moments.of(now), each) for each in _detours(now))
    if terms.two_cards:
        nameless = replace(_old_card(terms.profile), social_security_number=None)
        *_, before, last = _walked(terms, readers, nameless)
        if isinstance(last.state, desk.Failed):
            yield moments.of(before), last


def _detours(now: Desk) -> Iterator[Desk]:
    """Where a few events lead to of which the first is no usual one."""
    seen = {repr(now)}
    todo = [(now, event) for event in _troubles(now)]
    for _ in range(DETOUR_MAX):
        reached = [journey.step(before, event).desk for before, event in todo]
        fresh = {repr(each): each for each in reached if repr(each) not in seen}
        seen |= set(fresh)
        yield from (each for each in fresh.values() if _is_over(each))
        todo = [
            (each, event)
            for each in fresh.values()
            if not _is_over(each) and _goes_on(each)
            for event in (*_troubles(each), _usual(each, "-", _NOBODYS))
        ]


_NOBODYS = MedicalCard(kind="-", number=None, social_security_number=None, name=None)


def _is_over(now: Desk) -> bool:
    return now.is_terminal or isinstance(now.state, desk.InDoubt)


def _goes_on(now: Desk) -> bool:
    """Whether a trouble may show later what it comes to."""
    asked_again = isinstance(now.state, desk.Checking) and now.facts.registered
    return isinstance(now.state, desk.WaitingPin | desk.PinAtWork) or bool(asked_again)


def _troubles(now: Desk) -> Iterator[desk.Event]:
    """Everything but the usual that can happen at this moment."""
    state, profile = now.state, now.facts.terms.profile
    clock = CLOCKS.get(type(state))
    if clock is not None:
        yield desk.ClockRanOut(clock)
    if Action.CANCEL in ALLOWED[type(state)]:
        yield desk.CancelAsked()
    match state:
        case desk.Reading(Role.SOCIAL_SECURITY, slot) if _till_remembers(now):
            stay = slot.insertion_id or ""
            yield desk.CardRead(stay, NEW_CARD, activated=_YES)
        case desk.Matching():
            yield desk.Matched(same_person=False)
            yield desk.CentreSilent(_UNREACHABLE)
        case desk.Checking():
            yield from map(desk.StatusTold, _statuses(profile))
            yield desk.CentreSilent(_UNREACHABLE)
        case desk.PinAtWork(_, slot):
            stay = slot.insertion_id or ""
            yield from (desk.PinAnswered(stay, each) for each in _ANSWERS)
        case desk.Committing():
            yield from map(desk.ActivationMoved, _records(now.facts.terms))
        case _:
            pass


def _till_remembers(now: Desk) -> bool:
    """Whether our own journal has to say which card is active: the centre cannot be asked, or was
    not told."""
    terms = now.facts.terms
    return terms.changes_pin or not terms.asks_status


_UNREACHABLE = Problem("centre.unreachable")
_ANSWERS: tuple[Answer, ...] = (
    Wrong(_TRIES - 1),
    Wrong(1),
    Blocked(),
    NotSet(),
    Refused(status_word.APPLICATION_LOCKED_FOR_GOOD),
    Unanswered(),
)


def _statuses(profile: RegionProfile) -> Iterator[CardStatus]:
    """How a card can stand that is not simply to be activated; the rules decide what comes of
    it. On one day over each window, counted from the hand-over and from the issue."""
    yield from (replace(INACTIVE, standing=each) for each in Standing)
    yield replace(INACTIVE, first_replacement=False)
    yield replace(INACTIVE, today=BORN, handed_over=BORN)
    for window in (profile.activation_window, profile.financial_window):
        over = TODAY + timedelta(days=window.days + 1)
        for handed_over in (TODAY, over):
            for enabled in (True, False):
                yield replace(
                    INACTIVE,
                    today=over,
                    handed_over=handed_over,
                    financial_enabled=enabled,
                )
    yield replace(INACTIVE, today=EXPIRES + timedelta(days=1), handed_over=None)


def _active(confirmation: Confirmation) -> Activation:
    return _moved(_SENDING, saga.Accepted(_ACTIVATION_ID, confirmation))


def _records(terms: Terms) -> Iterator[Activation]:
    """What can become of the durable activation: it was active before, the answer is lost, or
    the centre refuses. A change of the PIN asks no centre."""
    yield _active(replace(_YES, adopted=True))
    if terms.changes_pin:
        return
    centre = terms.profile.centre
    lost = saga.NoAnswer(_ACTIVATION_ID, _SENDING.sends)
    yield saga.step(_SENDING, lost, 0, centre.abilities).record
    for refusal in _refusals(centre.refusals):
        refused = saga.Refused(_ACTIVATION_ID, refusal, _SENDING.sends)
        yield _moved(_SENDING, refused)


def _refusals(known: Iterable[RefusalRule]) -> Iterator[Refusal]:
    """One "no" for every rule of the region, and one that it does not know."""
    for rule in known:
        if rule.means != ACTIVE:  # which is a yes
            yield Refusal(code=rule.code or "", text=rule.contains or "")
    yield Refusal(code="?", text="?")


def _moved(record: Activation, event: saga.Event) -> Activation:
    return saga.step(record, event, 0, saga.Abilities()).record


_SENDING = _moved(
    Activation(origin=_ORIGIN),
    saga.CardsAccepted(
        card_ref="-", attempt=1, activation_id=_ACTIVATION_ID, message=b""
    ),
)
_SAID_BY_THE_PROFILE = frozenset({"days", "age"})  # other facts are of invented cards


def _end_of(at: str, ended: Desk) -> End:
    match ended.state:
        case desk.Failed(problem) | desk.Expired(problem):
            said: Problem | None = problem
        case desk.InDoubt():
            said = ended.facts.problem
        case _:
            said = None
    facts = said.facts if said else {}
    return End(
        key=moments.of(ended),
        code=said.code if said else None,
        at=(at,),
        final=ended.is_terminal,
        facts={key: facts[key] for key in facts if key in _SAID_BY_THE_PROFILE},
    )
