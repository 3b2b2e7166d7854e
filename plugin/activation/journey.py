"""The journey of one transaction at the counter.

This file owns every transition. It dies with the process; what must not die is the saga's.

Theory of operation
-------------------
The journey knows what it has learned so far (`Facts`) and where it stands (`State`). Each
event adds to the facts, and `_advance` looks for the first thing that is still missing:

    a card of each role the scenario asks for   waiting_reader, waiting_card,
                                                waiting_removal, reading
    the old card's PIN, while it is still in    waiting_pin
    that both belong to one person              matching
    how the card stands at the centre           checking
    that the visit has been registered          waiting_registration
    the operator's yes                          waiting_confirm
    the new card's PIN                          waiting_pin
    the activation itself                       committing, in_doubt

A dry run ends before the registration, the yes or the PIN: it changes nothing anywhere.

So the order of the cards does not matter: a social security card that comes first is
checked at once, and the old card is asked for only if it is needed. A card that is wrong,
mute or foreign ends nothing: the problem is shown and the journey waits on.

What lies on the counter is told as a whole (`SlotsChanged`), never as single movements, so
that no movement can be missed. `seen` are the stays of cards that were dealt with already.

A PIN is presented when somebody has typed it, once, to the card it was typed for. While the
card is at work nothing else happens; a cancel is remembered until it has answered. A card
that is pulled meanwhile is asked for again, and no other is taken in its place.

Where the change of the PIN is the activation, it is the committing: once the card may have
taken the new PIN, nobody can cancel, and who leaves then leaves in doubt.
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from plugin.activation import pins, rules
from plugin.activation.desk import (
    ALLOWED,
    CLOCKS,
    Action,
    Activate,
    ActivationMoved,
    AskStatus,
    CancelAsked,
    Cancelled,
    CardRead,
    CentreSilent,
    Checking,
    Clock,
    ClockRanOut,
    Committing,
    ConfirmAsked,
    ContinueAsked,
    CountTries,
    Desk,
    Effect,
    Event,
    Expired,
    Facts,
    Failed,
    InDoubt,
    Match,
    Matched,
    Matching,
    NotBegun,
    Outcome,
    PinAnswered,
    PinAtWork,
    PinGiven,
    PinNotPresented,
    PresentPin,
    ReadCard,
    ReadFailed,
    Reading,
    Registered,
    Slot,
    SlotsChanged,
    State,
    StatusTold,
    Step,
    Stumbled,
    Succeeded,
    Terms,
    WaitingCard,
    WaitingConfirm,
    WaitingPin,
    WaitingReader,
    WaitingRegistration,
    WaitingRemoval,
)
from plugin.activation.pins import Entry, Found, Talk, Typed
from plugin.activation.problem import Problem
from plugin.activation.region import ActivationBy, MatchBy, RegionProfile, Role
from plugin.activation.saga import Activation, ActivationState
from plugin.card.medical import MedicalCard
from plugin.card.pin import Accepted, Answer, Unanswered
from plugin.card.reading import Card
from plugin.card.social_security import SocialSecurityCard

MUST_RETURN = Problem("card.must_return")


def begin(
    terms: Terms, slots: tuple[Slot, ...], trouble: Problem | None = None
) -> Step:
    """A transaction starts with whatever lies on the counter. What was swiped before it
    was somebody else's."""
    stays = ((slot.insertion_id or "", slot.swiped) for slot in slots)
    earlier = frozenset(stay for stay, swiped in stays if swiped)
    return _advance(
        Facts(terms=terms, slots=slots, trouble=trouble, seen=earlier, accepted={})
    )


def step(desk: Desk, event: Event) -> Step:
    """The next state and effects. An event that means nothing in a state changes nothing:
    readers, clocks and the centre may answer after the journey has gone on."""
    if desk.is_terminal:
        return Step(desk)
    facts, state = desk.facts, desk.state
    match event:
        case SlotsChanged(slots, trouble):
            return _slots_changed(desk, slots, trouble)
        case CardRead(stay) if isinstance(state, Reading) and state.of(stay):
            return _card_read(facts, state, event)
        case ReadFailed(stay, problem) if isinstance(state, Reading) and state.of(stay):
            return _advance(_turned_away(facts, state.slot, problem))
        case Matched(same_person) if isinstance(state, Matching):
            return _advance(replace(facts, same_person=same_person))
        case StatusTold(status, known) if isinstance(state, Checking):
            return _advance(replace(facts, status=status, known=known))
        case CentreSilent(problem) if isinstance(state, Matching | Checking):
            return _centre_silent(facts, problem)
        case ConfirmAsked() if isinstance(state, WaitingConfirm):
            return _advance(replace(facts, confirmed=True))
        case PinGiven(typed) if isinstance(state, WaitingPin):
            return _pin_given(desk, state, typed)
        case PinAnswered(stay, answer) if isinstance(state, PinAtWork):
            return _pin_answered(desk, state, stay, answer)
        case PinNotPresented(stay, problem) if isinstance(state, PinAtWork):
            return _pin_not_presented(desk, state, stay, problem)
        case CancelAsked() if isinstance(state, PinAtWork):
            return Step(replace(desk, state=replace(state, leaving=True)))
        case ContinueAsked() if isinstance(state, WaitingRegistration):
            return _advance(_asked_again(facts, Registered.SAID))
        case ContinueAsked() if isinstance(state, WaitingCard | WaitingRemoval):
            return _advance(_second_look(facts))
        case CancelAsked(notices) if Action.CANCEL in ALLOWED[type(state)]:
            said = (Problem("card.may_be_active"),) if facts.said else ()
            return _leave(facts, Cancelled((*notices, *said)))
        case ClockRanOut(clock) if CLOCKS.get(type(state)) is clock:
            return _clock_ran_out(facts, state, clock)
        case ActivationMoved(record) if isinstance(state, Committing | InDoubt):
            return _activation_moved(desk, record)
        case NotBegun(problem) if isinstance(state, Committing):
            return _at(facts, Failed(problem))
        case Stumbled(problem) if Action.CANCEL in ALLOWED[type(state)]:
            return _leave(facts, Failed(problem))
        case _:
            return Step(desk)


def _advance(facts: Facts) -> Step:
    """Go to the first thing that is still missing."""
    terms, card, missing = facts.terms, facts.social_security, facts.missing
    notices: tuple[Problem, ...] = ()
    if card is not None and facts.status is not None:
        match rules.judge(
            facts.status, card, terms.profile, with_old_card=terms.two_cards
        ):
            case rules.AlreadyActive(confirmation):
                just_now = facts.registered is not None and not facts.known
                outcome = Outcome.ACTIVATED if just_now else Outcome.ALREADY_ACTIVE
                return _at(facts, Succeeded(outcome, confirmation))
            case rules.Stopped(problem):
                return _leave(facts, Failed(problem))
            case rules.MayActivate(notices):
                pass
    heard = facts.status is not None or not terms.asks_status
    if heard and facts.activated is not None:
        return _at(facts, Succeeded(Outcome.ALREADY_ACTIVE, facts.activated))
    if facts.same_person is False:
        return _at(facts, Failed(Problem("transaction.person_mismatch")))
    if facts.pin_due(Role.MEDICAL):
        return _await_pin(facts, Role.MEDICAL)
    unmatched = terms.two_cards and facts.same_person is None
    unchecked = card is not None and facts.status is None and terms.asks_status
    if unchecked and (missing or not unmatched):
        return _at(facts, Checking(), AskStatus())
    if missing is not None:
        return _await_card(facts, missing)
    if unmatched and _cannot_match(facts):
        return _at(facts, Failed(Problem("card.medical_without_number")))
    if unmatched:
        return _at(facts, Matching(), Match())
    if terms.dry_run:
        return _at(facts, _would_activate(facts, notices))
    if terms.rules.activation_by is ActivationBy.REGISTRATION:
        return _await_registration(facts, notices)
    if terms.rules.confirm and not facts.confirmed:
        return _at(facts, WaitingConfirm(notices))
    if facts.pin_due(Role.SOCIAL_SECURITY):
        return _await_pin(facts, Role.SOCIAL_SECURITY)
    return _at(replace(facts, notices=notices), Committing(), Activate())


def _cannot_match(facts: Facts) -> bool:
    """Whether the old card does not say whose it is, and nobody is asked in this region."""
    medical, card = facts.medical, facts.social_security
    return (
        facts.terms.profile.match is MatchBy.NUMBER
        and medical is not None
        and card is not None
        and rules.same_person(medical, card) is None
    )


def _would_activate(facts: Facts, notices: tuple[Problem, ...]) -> Succeeded:
    """As far as anybody can say beforehand."""
    unsaid = () if facts.terms.asks_status else (Problem("centre.cannot_tell"),)
    doubt = (facts.doubt,) if facts.doubt is not None else ()
    return Succeeded(Outcome.WOULD_ACTIVATE, notices=(*notices, *doubt, *unsaid))


def _asked_again(facts: Facts, registered: Registered) -> Facts:
    """Once more how the card stands, now that the visit may be registered."""
    return replace(
        facts,
        registered=registered,
        said=facts.said or registered is Registered.SAID,
        status=None,
        problem=None,
        problem_stay=None,
    )


def _await_registration(
    facts: Facts, notices: tuple[Problem, ...], silent: Problem | None = None
) -> Step:
    """Say what will happen; later, what has not happened yet. `silent` is why the centre
    could not be asked after the registration."""
    why_not = silent or (Problem("card.not_active_yet") if facts.said else None)
    if facts.registered is Registered.OVERDUE:
        told = (*notices, *([why_not] if why_not else ()))
        return _at(facts, Succeeded(Outcome.WILL_ACTIVATE, notices=told))
    waiting = replace(facts, problem=why_not, notices=notices)
    return _at(waiting, WaitingRegistration(notices))


def _leave(facts: Facts, otherwise: Failed | Cancelled | Expired) -> Step:
    """The transaction ends like this, unless the card may have become active meanwhile:
    it alone knows."""
    if not facts.torn:
        return _at(facts, otherwise)
    problem = MUST_RETURN
    if isinstance(otherwise, Failed):
        problem = otherwise.problem
    return _at(replace(facts, problem=problem, problem_stay=None), InDoubt())


def _await_pin(facts: Facts, role: Role) -> Step:
    """Ask for the PIN of a card that is in, or for that card again."""
    slot, talk = facts.slot_of(role), facts.talks.get(role, Talk())
    said = facts.problem or talk.torn_warning
    if slot is None:
        asked_back = said or Problem("card.wanted_again")
        return _await_card(replace(facts, problem=asked_back), role)
    policy = facts.terms.profile.pin
    unseen = facts.terms.changes_pin and role is Role.SOCIAL_SECURITY
    keypad = facts.keypads.get(slot.insertion_id or "", frozenset())
    keypad = frozenset() if unseen else keypad  # whether it is initial must be known
    wanted = pins.wanted(role, talk, policy, keypad)
    if policy.probe and not talk.asked:
        counting = PinAtWork(wanted, slot, counting=True)
        return _at(facts, counting, CountTries(slot, wanted))
    waiting = WaitingPin(wanted, slot)
    if said is None and wanted.is_last_try:
        about = slot.insertion_id
        last = replace(facts, problem=Problem("pin.last_try"), problem_stay=about)
        return _at(last, waiting)
    return _at(replace(facts, problem=said), waiting)


def _await_card(facts: Facts, role: Role) -> Step:
    """Read what has just been put in, or say what should be."""
    if not facts.slots:
        return _at(facts, WaitingReader(facts.trouble or Problem("reader.none")))
    for slot in facts.slots:
        stay = slot.insertion_id
        if stay is None or stay in facts.seen:
            continue
        if slot.left_behind:
            left = replace(
                facts, problem=Problem("card.left_in_reader"), problem_stay=stay
            )
            return _at(left, WaitingRemoval(None))
        if slot.mute:
            return _await_card(_turned_away(facts, slot, Problem("card.mute")), role)
        looking = replace(
            facts, seen=facts.seen | {stay}, problem=None, problem_stay=None
        )
        return _at(looking, Reading(role, slot), ReadCard(slot))
    return _at(facts, _waiting(facts, role))


def _waiting(facts: Facts, role: Role) -> WaitingCard | WaitingRemoval:
    """An accepted card that fills the last reader must make room; a card that was turned
    away is asked out by its problem."""
    stays = [slot.insertion_id for slot in facts.slots]
    if None in stays or facts.problem_stay in stays:
        return WaitingCard(role)
    held = (role for stay, role in facts.accepted.items() if stay in stays)
    return WaitingRemoval(next(held, None))


_SAYS_WHY_IT_WENT = frozenset({"card.removed", "reader.gone", "reader.port_gone"})


def _slots_changed(
    desk: Desk, slots: tuple[Slot, ...], trouble: Problem | None
) -> Step:
    stays = {slot.insertion_id for slot in slots}
    left = {stay: role for stay, role in desk.facts.accepted.items() if stay in stays}
    facts = replace(desk.facts, slots=slots, trouble=trouble, accepted=left)
    gone = facts.problem_stay is not None and facts.problem_stay not in stays
    about_that = facts.problem is not None and facts.problem.code in _SAYS_WHY_IT_WENT
    if gone and not about_that:
        facts = replace(facts, problem=None, problem_stay=None)
    if isinstance(
        desk.state, WaitingReader | WaitingCard | WaitingRemoval | WaitingPin
    ):
        return _advance(facts)
    return _at(facts, desk.state)


def _card_read(facts: Facts, state: Reading, read: CardRead) -> Step:
    """Take the card, or say why it is not the one."""
    terms, card = facts.terms, read.card
    before = facts.card(state.role)
    if before is not None:  # asked for again
        problem = None if card == before else Problem("card.swapped")
    else:
        problem = rules.objection(card, terms.profile, simulated=terms.simulated)
        problem = problem or _out_of_place(facts, card)
    if problem is not None:
        return _advance(_turned_away(facts, state.slot, problem))
    match card:
        case MedicalCard():
            role, taken = Role.MEDICAL, replace(facts, medical=card)
        case SocialSecurityCard():
            role = Role.SOCIAL_SECURITY
            taken = replace(
                facts,
                social_security=card,
                activated=read.activated,
                doubt=read.doubt,
                torn=facts.torn or (terms.changes_pin and read.doubt == MUST_RETURN),
            )
        case _:
            assert_never(card)
    return _advance(_placed(taken, role, read))


def _placed(facts: Facts, role: Role, read: CardRead) -> Facts:
    """This card lies in this reader now; its counter may have changed outside."""
    talk = facts.talks.get(role, _talk_of(read))
    torn = talk.torn or (pins.Torn.NEW_FIRST if read.torn else None)
    return replace(
        facts,
        accepted={**facts.accepted, read.insertion_id: role},
        keypads={**facts.keypads, read.insertion_id: read.keypad},
        talks={**facts.talks, role: replace(talk, torn=torn, asked=False)},
    )


def _talk_of(read: CardRead) -> Talk:
    """What is known of a card's PIN before anybody has spoken of it."""
    return Talk(tries_left=read.at_worst, feared=read.at_worst is not None)


def _pin_given(desk: Desk, state: WaitingPin, typed: Typed) -> Step:
    facts, policy = desk.facts, desk.facts.terms.profile.pin
    if pins.objection(state.wanted, typed, policy) is not None:
        return Step(desk)
    then = pins.following(state.wanted, typed, policy)
    return _at(
        replace(facts, problem=None, problem_stay=None),
        PinAtWork(state.wanted, state.slot, then),
        PresentPin(state.slot, state.wanted, typed),
    )


def _pin_answered(desk: Desk, state: PinAtWork, stay: str, answer: Answer) -> Step:
    if stay != state.slot.insertion_id:
        return Step(desk)
    facts, role = _asked(desk.facts, state.wanted.role), state.wanted.role
    facts = _noted(facts, state, answer)
    if state.leaving and not facts.changed:
        done = pins.done_by_then(state.wanted, answer)
        return _leave(facts, Cancelled(done))
    if answer == pins.NO_KEYPAD:  # so it is typed here
        facts = replace(facts, keypads={**facts.keypads, stay: frozenset()})
    policy, talk = facts.terms.profile.pin, facts.talks[role]
    match pins.judge(state.wanted, talk, state.then, answer, policy):
        case pins.Settled():  # who was turned away meanwhile may be wanted now
            looked = frozenset(facts.accepted)
            return _advance(
                replace(
                    facts,
                    settled=facts.settled | {role},
                    had_pin=facts.had_pin
                    | ({role} if isinstance(answer, Accepted) else set()),
                    seen=looked,
                )
            )
        case pins.Again(after, problem):
            lost = isinstance(answer, Unanswered)  # said until the card is back
            return _advance(
                replace(
                    facts,
                    talks={**facts.talks, role: after},
                    problem=problem,
                    problem_stay=None if lost else stay,
                )
            )
        case pins.Hopeless(problem):
            return _leave(facts, Failed(_whose(role, problem)))


def _noted(facts: Facts, state: PinAtWork, answer: Answer) -> Facts:
    """Where a change of the PIN activates: whether it has happened, or may have."""
    if not facts.terms.changes_pin or state.wanted.role is Role.MEDICAL:
        return facts
    match pins.found(state.wanted, state.then, answer):
        case Found.NEW:
            return replace(facts, torn=False, changed=True)
        case Found.OLD:
            return replace(facts, torn=False)
        case _:
            lost = isinstance(answer, Unanswered) and state.wanted.entry is Entry.NEW
            return replace(facts, torn=facts.torn or lost)


def _whose(role: Role, problem: Problem) -> Problem:
    """An old card that is blocked leaves other ways than a new one."""
    if role is Role.MEDICAL and problem.code in _BLOCKED:
        return Problem("card.medical_blocked")
    return problem


_BLOCKED = frozenset({"pin.locked", "card.app_locked"})


def _pin_not_presented(
    desk: Desk, state: PinAtWork, stay: str, problem: Problem
) -> Step:
    """Nothing was spent. A card that is another one has no place here."""
    if stay != state.slot.insertion_id:
        return Step(desk)
    if state.leaving:
        return _leave(desk.facts, Cancelled())
    facts = _asked(desk.facts, state.wanted.role)
    if problem.code == "card.swapped":
        others = {at: role for at, role in facts.accepted.items() if at != stay}
        facts = replace(facts, accepted=others)
        return _advance(_turned_away(facts, state.slot, problem))
    return _advance(replace(facts, problem=problem, problem_stay=None))


def _asked(facts: Facts, role: Role) -> Facts:
    """The card was asked for its counter, whatever came of it."""
    talk = replace(facts.talks.get(role, Talk()), asked=True)
    return replace(facts, talks={**facts.talks, role: talk})


def _out_of_place(facts: Facts, card: Card) -> Problem | None:
    """Why this card cannot be the one that is missing."""
    match card:
        case MedicalCard() if Role.MEDICAL not in facts.terms.rules.steps:
            return Problem("card.social_security_wanted")
        case MedicalCard():
            held: Card | None = facts.medical
            two = "card.two_medical"
        case SocialSecurityCard():
            held = facts.social_security
            two = "card.two_social_security"
        case _:
            assert_never(card)
    if held is None:
        return None
    return Problem("card.same_twice" if held == card else two)


def _turned_away(facts: Facts, slot: Slot, problem: Problem) -> Facts:
    """Say why this card is not taken: until it is taken out, or, where it has only passed,
    until the next one."""
    stay = slot.insertion_id or ""
    return replace(
        facts,
        seen=facts.seen | {stay},
        problem=problem,
        problem_stay=None if slot.swiped else stay,
    )


def _second_look(facts: Facts) -> Facts:
    """Cards that were turned away may be tried again, and one left behind may stay."""
    slots = tuple(replace(slot, left_behind=False) for slot in facts.slots)
    return replace(
        facts,
        slots=slots,
        seen=frozenset(facts.accepted),
        problem=None,
        problem_stay=None,
    )


def _centre_silent(facts: Facts, problem: Problem) -> Step:
    """Where the centre is not required the queue goes on."""
    if facts.registered is not None:
        return _await_registration(facts, facts.notices, silent=problem)
    if facts.terms.rules.centre_required:
        return _at(facts, Failed(problem))
    return _at(facts, Succeeded(Outcome.NOT_CHECKED, notices=(problem,)))


def _clock_ran_out(facts: Facts, state: State, clock: Clock) -> Step:
    match clock:
        case Clock.CARD if isinstance(state, WaitingReader):
            return _leave(facts, Expired(state.problem))
        case Clock.CARD:
            return _leave(facts, Expired(Problem("transaction.card_wait_over")))
        case Clock.CONFIRM:
            return _at(facts, Expired(Problem("transaction.confirm_wait_over")))
        case Clock.PIN:
            return _leave(facts, Expired(Problem("transaction.pin_wait_over")))
        case Clock.REGISTRATION:
            return _advance(_asked_again(facts, Registered.OVERDUE))
        case Clock.CENTRE:
            return _centre_silent(facts, Problem("centre.timeout"))
        case _:
            assert_never(clock)


def _activation_moved(desk: Desk, record: Activation) -> Step:
    """Show what the saga says; a doubt that only the card can end stays as it was told."""
    facts = desk.facts
    unsettled = record.changing and not record.state.is_terminal
    if unsettled and isinstance(desk.state, InDoubt):
        return Step(desk)
    state, problem = told_by(record, facts.terms.profile)
    if isinstance(state, Succeeded):
        state = replace(state, notices=tuple(filter(_still_holds, facts.notices)))
    if problem is None and not isinstance(state, Failed):
        return _at(facts, state)
    return _at(replace(facts, problem=problem, problem_stay=None), state)


def _still_holds(notice: Problem) -> bool:
    """Whether an activation leaves it as it was."""
    return notice.code != "card.activation_window_over"


def told_by(record: Activation, profile: RegionProfile) -> tuple[State, Problem | None]:
    """What a durable record means at the counter: the state, and the problem beside one
    that goes on."""
    if record.changing and not record.state.is_terminal:
        return InDoubt(), MUST_RETURN
    match record.state:
        case ActivationState.ACTIVE:
            return Succeeded(_outcome(record), record.confirmation), None
        case ActivationState.REJECTED if record.settlement is not None:
            return Failed(Problem("activation.settled_as_rejected")), None
        case ActivationState.REJECTED:
            return Failed(rules.refused(record.refusal, profile.centre)), None
        case ActivationState.ABANDONED:
            return _abandoned(record), None
        case ActivationState.UNKNOWN:
            return InDoubt(), Problem("centre.answer_lost", centre=record.refusal)
        case ActivationState.MANUAL:
            found_by = {"message": record.sent_as or record.activation_id or ""}
            problem = record.problem or Problem("activation.needs_a_person", found_by)
            return InDoubt(), replace(problem, centre=record.refusal)
        case (
            ActivationState.RECEIVED
            | ActivationState.CARD_STEPS
            | ActivationState.READY
            | ActivationState.SENDING
        ):
            return Committing(), None
        case _:
            assert_never(record.state)


def _outcome(record: Activation) -> Outcome:
    """Of a record that is active: whether that was this transaction's doing."""
    if record.outcome is not None:
        return Outcome(record.outcome)
    adopted = record.confirmation is not None and record.confirmation.adopted
    sent = record.activation_id is not None
    return Outcome.ACTIVATED if sent and not adopted else Outcome.ALREADY_ACTIVE


def _abandoned(record: Activation) -> State:
    """How a transaction ended that changed nothing."""
    problem = record.problem
    match record.ended_as:
        case Succeeded.name:
            outcome = Outcome(record.outcome or Outcome.NOT_CHECKED)
            return Succeeded(outcome, notices=(problem,) if problem else ())
        case Cancelled.name:
            return Cancelled((problem,) if problem else ())
        case Expired.name if problem is not None:
            return Expired(problem)
        case _:
            return Failed(problem or Problem("activation.not_made"))


def _at(facts: Facts, state: State, *effects: Effect) -> Step:
    return Step(Desk(facts, state), effects)
