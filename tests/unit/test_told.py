"""What a durable record means at the counter, and what is said beside an end."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from plugin.activation import desk, journey
from plugin.activation.desk import Action, Outcome
from plugin.activation.problem import Problem, Refusal
from plugin.activation.region import ActivationBy, PinPolicy, Scenario
from plugin.activation.rules import Standing
from plugin.activation.saga import (
    Activation,
    ActivationState,
    Confirmation,
    Settlement,
    Verdict,
)
from tests.unit.journeys import ORIGIN, Counter, record, state_of
from tests.unit.worlds import INACTIVE, PROFILE, slots, social_security, terms

NO = Refusal(code="9", text="不")
YES = Confirmation(by="answer")
WHY = Problem("card.in_hand")
WINDOW_OVER = Problem("card.activation_window_over")
FINANCE_OVER = Problem("card.financial_window_over")
BY_A_PERSON = Settlement(
    verdict=Verdict.REJECTED, reason="-", operator_ref="17", client_id="pos", at=""
)
STATE = ActivationState


def activation(state: ActivationState, **changes: object) -> Activation:
    return replace(Activation(origin=ORIGIN, state=state), **changes)


@pytest.mark.parametrize(
    ("told", "state", "beside"),
    [
        (activation(STATE.RECEIVED), desk.Committing(), None),
        (activation(STATE.CARD_STEPS), desk.Committing(), None),
        (activation(STATE.READY), desk.Committing(), None),
        (activation(STATE.SENDING), desk.Committing(), None),
        (
            activation(STATE.CARD_STEPS, changing=True),
            desk.InDoubt(),
            Problem("card.must_return"),
        ),
        (
            activation(STATE.UNKNOWN, refusal=NO),
            desk.InDoubt(),
            Problem("centre.answer_lost", centre=NO),
        ),
        (
            activation(STATE.MANUAL, activation_id="a", refusal=NO),
            desk.InDoubt(),
            Problem("activation.needs_a_person", {"message": "a"}, centre=NO),
        ),
        (
            activation(STATE.MANUAL, activation_id="a", sent_as="0001"),
            desk.InDoubt(),
            Problem("activation.needs_a_person", {"message": "0001"}),
        ),
        (
            activation(STATE.MANUAL),
            desk.InDoubt(),
            Problem("activation.needs_a_person", {"message": ""}),
        ),
        (
            activation(STATE.ACTIVE, activation_id="a", confirmation=YES),
            desk.Succeeded(Outcome.ACTIVATED, YES),
            None,
        ),
        (
            activation(
                STATE.ACTIVE, confirmation=YES, changing=True, outcome="activated"
            ),
            desk.Succeeded(Outcome.ACTIVATED, YES),
            None,
        ),
        (
            activation(
                STATE.ACTIVE, activation_id="a", confirmation=replace(YES, adopted=True)
            ),
            desk.Succeeded(Outcome.ALREADY_ACTIVE, replace(YES, adopted=True)),
            None,
        ),
        (
            activation(STATE.ACTIVE, confirmation=YES),
            desk.Succeeded(Outcome.ALREADY_ACTIVE, YES),
            None,
        ),
        (
            activation(STATE.REJECTED, refusal=NO),
            desk.Failed(Problem("centre.refused", centre=NO)),
            None,
        ),
        (
            activation(STATE.REJECTED, refusal=NO, settlement=BY_A_PERSON),
            desk.Failed(Problem("activation.settled_as_rejected")),
            None,
        ),
        (activation(STATE.ABANDONED, ended_as="cancelled"), desk.Cancelled(), None),
        (
            activation(STATE.ABANDONED, ended_as="expired", problem=WHY),
            desk.Expired(WHY),
            None,
        ),
        (
            activation(STATE.ABANDONED, ended_as="expired"),
            desk.Failed(Problem("activation.not_made")),
            None,
        ),
        (
            activation(STATE.ABANDONED, ended_as="failed", problem=WHY),
            desk.Failed(WHY),
            None,
        ),
        (
            activation(STATE.ABANDONED, ended_as="succeeded"),
            desk.Succeeded(Outcome.NOT_CHECKED),
            None,
        ),
        (
            activation(
                STATE.ABANDONED,
                ended_as="succeeded",
                outcome="already_active",
                problem=WHY,
            ),
            desk.Succeeded(Outcome.ALREADY_ACTIVE, notices=(WHY,)),
            None,
        ),
    ],
)
def test_what_a_record_means_at_the_counter(
    told: Activation, state: desk.State, beside: Problem | None
) -> None:
    assert journey.told_by(told, PROFILE) == (state, beside)


def committing(*notices: Problem) -> Counter:
    counter = Counter("a", scenario=Scenario.OUTPATIENT_REGISTRATION)
    counter.reads("a", social_security()).happens(desk.StatusTold(INACTIVE))
    assert state_of(counter) == desk.Committing()
    counter.now = replace(
        counter.now, facts=replace(counter.now.facts, notices=notices)
    )
    return counter


def test_an_activation_lifts_what_was_over_and_leaves_the_rest_to_be_said() -> None:
    counter = committing(WINDOW_OVER, FINANCE_OVER)

    counter.happens(record(STATE.ACTIVE, activation_id="a", confirmation=YES))

    assert state_of(counter) == desk.Succeeded(Outcome.ACTIVATED, YES, (FINANCE_OVER,))


def test_a_record_in_doubt_says_why_and_a_failed_one_says_nothing_more() -> None:
    doubtful = committing().happens(record(STATE.UNKNOWN))
    settled = doubtful.now.facts.problem

    doubtful.happens(record(STATE.REJECTED, refusal=NO))

    assert settled == Problem("centre.answer_lost")
    assert doubtful.now.facts.problem is None
    assert doubtful.now.facts.problem_stay is None
    assert state_of(doubtful) == desk.Failed(Problem("centre.refused", centre=NO))


@pytest.mark.parametrize(
    ("doubt", "asks_status", "notices"),
    [
        (None, True, ()),
        (WHY, True, (WHY,)),
        (None, False, (Problem("centre.cannot_tell"),)),
        (WHY, False, (WHY, Problem("centre.cannot_tell"))),
    ],
)
def test_a_dry_run_says_what_nobody_can_say_beforehand(
    doubt: Problem | None, asks_status: bool, notices: tuple[Problem, ...]
) -> None:
    asked = terms(Scenario.OUTPATIENT_REGISTRATION, dry_run=True)
    offers = replace(asked.profile.centre.offers, card_status=asks_status)
    centre = replace(asked.profile.centre, offers=offers)
    asked = replace(asked, profile=replace(asked.profile, centre=centre))
    now = journey.begin(asked, slots("a")).desk

    now = journey.step(now, desk.CardRead("a", social_security(), doubt=doubt)).desk
    if asks_status:
        now = journey.step(now, desk.StatusTold(INACTIVE)).desk

    assert now.state == desk.Succeeded(Outcome.WOULD_ACTIVATE, notices=notices)
    assert now.facts.social_security == social_security()


LATE = replace(INACTIVE, handed_over=INACTIVE.today.replace(year=2020))


def registering() -> Counter:
    counter = Counter(
        "a", scenario=Scenario.OUTPATIENT_REGISTRATION, by=ActivationBy.REGISTRATION
    )
    return counter.reads("a", social_security()).happens(desk.StatusTold(LATE))


def codes(notices: tuple[Problem, ...]) -> list[str]:
    return [each.code for each in notices]


@pytest.mark.parametrize(
    ("before", "answer", "said"),
    [
        ((), desk.StatusTold(LATE), ["card.activation_window_over"]),
        (
            (),
            desk.CentreSilent(Problem("centre.timeout")),
            ["card.activation_window_over", "centre.timeout"],
        ),
        (
            (desk.ContinueAsked(), desk.StatusTold(LATE)),
            desk.StatusTold(LATE),
            ["card.activation_window_over", "card.not_active_yet"],
        ),
    ],
)
def test_what_was_known_of_a_card_is_said_when_its_registration_is_overdue(
    before: tuple[desk.Event, ...], answer: desk.Event, said: list[str]
) -> None:
    counter = registering()
    waiting = state_of(counter)
    counter.happens(*before, desk.ClockRanOut(desk.Clock.REGISTRATION), answer)

    state = state_of(counter)

    assert isinstance(waiting, desk.WaitingRegistration)
    assert codes(waiting.notices) == ["card.activation_window_over"]
    assert isinstance(state, desk.Succeeded)
    assert state.outcome is Outcome.WILL_ACTIVATE
    assert codes(state.notices) == said


@pytest.mark.parametrize(
    ("state", "torn", "left"),
    [
        (desk.InDoubt(), True, True),
        (desk.InDoubt(), False, False),
        (desk.Committing(), True, False),
    ],
)
def test_only_a_torn_card_is_left_in_doubt(
    state: desk.State, *, torn: bool, left: bool
) -> None:
    facts = replace(Counter("a").now.facts, torn=torn)

    assert desk.Desk(facts, state).is_left_in_doubt is left


def test_a_second_look_forgets_why_a_card_went() -> None:
    counter = Counter("a")
    counter.happens(desk.ReadFailed("a", Problem("card.removed")))
    counter.lies(None)
    assert counter.problem == "card.removed"

    counter.happens(desk.ContinueAsked())

    facts = counter.now.facts
    assert (facts.problem, facts.problem_stay) == (None, None)


def test_a_card_that_this_till_has_activated_is_active_by_what_it_knows() -> None:
    counter = Counter("a", scenario=Scenario.OUTPATIENT_REGISTRATION)
    counter.happens(desk.CardRead("a", social_security(), activated=YES))

    counter.happens(desk.StatusTold(INACTIVE))

    assert state_of(counter) == desk.Succeeded(Outcome.ALREADY_ACTIVE, YES)


@pytest.mark.parametrize(
    ("known", "outcome"),
    [(False, Outcome.ACTIVATED), (True, Outcome.ALREADY_ACTIVE)],
)
def test_a_registration_did_not_activate_what_our_journal_knew_as_active(
    outcome: Outcome, *, known: bool
) -> None:
    active = replace(INACTIVE, standing=Standing.ACTIVE)

    counter = registering().happens(
        desk.ContinueAsked(), desk.StatusTold(active, known=known)
    )

    state = state_of(counter)
    assert isinstance(state, desk.Succeeded)
    assert state.outcome is outcome


def test_what_was_wrong_with_one_card_is_not_said_of_the_next() -> None:
    counter = Counter("a", None).happens(desk.ReadFailed("a", Problem("card.mute")))
    wrong = counter.now.facts

    counter.lies("a", "b")

    facts = counter.now.facts
    assert (wrong.problem, wrong.problem_stay) == (Problem("card.mute"), "a")
    assert isinstance(state_of(counter), desk.Reading)
    assert (facts.problem, facts.problem_stay) == (None, None)


@pytest.mark.parametrize(
    ("action", "states"),
    [
        (
            Action.CANCEL,
            {
                *(desk.WaitingReader, desk.WaitingCard, desk.Reading),
                *(desk.WaitingRemoval, desk.Matching, desk.Checking),
                *(desk.WaitingConfirm, desk.WaitingRegistration),
                *(desk.WaitingPin, desk.PinAtWork),
            },
        ),
        (
            Action.CONTINUE,
            {desk.WaitingCard, desk.WaitingRemoval, desk.WaitingRegistration},
        ),
        (Action.CONFIRM, {desk.WaitingConfirm}),
        (Action.PIN, {desk.WaitingPin}),
        (Action.RECONCILE, {desk.InDoubt}),
        (
            Action.ACKNOWLEDGE,
            {desk.Succeeded, desk.Failed, desk.Cancelled, desk.Expired},
        ),
    ],
)
def test_what_a_client_may_ask_for_and_when(
    action: Action, states: set[type[desk.State]]
) -> None:
    allowed = {state for state, actions in desk.ALLOWED.items() if action in actions}

    assert allowed == states


def test_a_holder_is_told_the_tries_left_unless_a_region_says_otherwise() -> None:
    assert PinPolicy().show_tries
