"""Cards that no message of ours activates: a registration does, or a change of the PIN; and
dry runs, which activate none."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from plugin.activation import desk, journey, saga
from plugin.activation.desk import Clock, Outcome
from plugin.activation.pins import Typed
from plugin.activation.problem import Problem
from plugin.activation.region import (
    ActivationBy,
    NewPin,
    NewPinWhen,
    OldPin,
    PinPolicy,
    Scenario,
)
from plugin.activation.rules import Standing
from plugin.activation.saga import ActivationState, CardStep, Confirmation
from plugin.card.pin import Accepted, Answer, NotSet, Unanswered, Wrong
from tests.unit.journeys import ORIGIN, Counter, outcome_of, record, state_of
from tests.unit.worlds import INACTIVE, medical, slots, social_security

ACTIVE = replace(INACTIVE, standing=Standing.ACTIVE, since="2026-11-22")
SILENT = desk.CentreSilent(Problem("centre.timeout"))
CHANGES = PinPolicy(new=NewPin.CHANGE_INITIAL, initial=frozenset({"123456"}))
INITIAL, OWN = Typed(pin="123456"), Typed(pin="135792")
BOTH = Typed(pin="123456", new_pin="135792")


# A registration activates.


def registering() -> Counter:
    counter = Counter(
        "a", scenario=Scenario.OUTPATIENT_REGISTRATION, by=ActivationBy.REGISTRATION
    )
    return counter.reads("a", social_security()).happens(desk.StatusTold(INACTIVE))


def test_the_registration_is_waited_for_and_the_reader_is_free() -> None:
    counter = registering()

    assert counter.states == ["reading", "checking", "waiting_registration"]
    assert not counter.now.uses_readers
    assert counter.now.needs_holder
    assert desk.Activate() not in counter.wanted


def test_once_registered_the_centre_says_so() -> None:
    counter = registering().happens(desk.ContinueAsked())
    assert state_of(counter) == desk.Checking()
    assert not counter.now.uses_readers

    counter.happens(desk.StatusTold(ACTIVE))

    assert outcome_of(counter) is Outcome.ACTIVATED


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (desk.StatusTold(INACTIVE), "card.not_active_yet"),
        (SILENT, "centre.timeout"),
        (desk.ClockRanOut(Clock.CENTRE), "centre.timeout"),
    ],
)
def test_while_the_centre_does_not_say_so_it_can_be_asked_again(
    answer: desk.Event, code: str
) -> None:
    counter = registering().happens(desk.ContinueAsked(), answer)

    assert isinstance(state_of(counter), desk.WaitingRegistration)
    assert counter.problem == code
    counter.happens(desk.ContinueAsked())
    assert counter.problem is None
    counter.happens(desk.StatusTold(ACTIVE))
    assert outcome_of(counter) is Outcome.ACTIVATED


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (desk.StatusTold(ACTIVE), Outcome.ACTIVATED),
        (desk.StatusTold(INACTIVE), Outcome.WILL_ACTIVATE),
        (SILENT, Outcome.WILL_ACTIVATE),
    ],
)
def test_where_nobody_says_anything_the_centre_is_asked_all_the_same(
    answer: desk.Event, outcome: Outcome
) -> None:
    counter = registering().happens(desk.ClockRanOut(Clock.REGISTRATION))
    assert state_of(counter) == desk.Checking()

    counter.happens(answer)

    assert outcome_of(counter) is outcome


def test_a_card_that_was_lost_meanwhile_is_refused() -> None:
    lost = replace(INACTIVE, standing=Standing.LOST)

    counter = registering().happens(desk.ContinueAsked(), desk.StatusTold(lost))

    assert state_of(counter) == desk.Failed(Problem("card.lost"))


def test_a_card_that_is_active_already_waits_for_nothing() -> None:
    counter = Counter(
        "a", scenario=Scenario.OUTPATIENT_REGISTRATION, by=ActivationBy.REGISTRATION
    )

    counter.reads("a", social_security()).happens(desk.StatusTold(ACTIVE))

    assert outcome_of(counter) is Outcome.ALREADY_ACTIVE


def test_a_registration_that_is_given_up_is_cancelled() -> None:
    assert state_of(registering().happens(desk.CancelAsked())) == desk.Cancelled()


# A change of the PIN activates.


def typing() -> Counter:
    counter = Counter(
        "a",
        scenario=Scenario.OUTPATIENT_REGISTRATION,
        pin=CHANGES,
        by=ActivationBy.PIN_CHANGE,
    )
    return counter.reads("a", social_security()).happens(desk.StatusTold(INACTIVE))


def types(counter: Counter, typed: Typed, answer: Answer) -> Counter:
    return counter.happens(desk.PinGiven(typed), desk.PinAnswered("a", answer))


def changing() -> Counter:
    """The initial PIN was right; a new one is asked for."""
    return types(typing(), INITIAL, Accepted())


def torn() -> Counter:
    """The card was pulled while it took the new PIN."""
    return types(changing(), BOTH, Unanswered())


def test_a_changed_pin_is_the_activation() -> None:
    counter = types(changing(), BOTH, Accepted())

    assert state_of(counter) == desk.Committing()
    assert counter.wanted[-1] == desk.Activate()
    assert counter.now.facts.changed


def test_a_card_with_a_pin_of_its_holder_was_active_before() -> None:
    counter = types(typing(), OWN, Accepted())

    assert state_of(counter) == desk.Committing()
    assert not counter.now.facts.changed


@pytest.mark.parametrize(
    "leaving",
    [
        desk.CancelAsked(),
        desk.ClockRanOut(Clock.CARD),
        desk.ClockRanOut(Clock.PIN),
        desk.Stumbled(Problem("agent.failed")),
    ],
)
@pytest.mark.parametrize("pulled", [True, False])
def test_who_leaves_with_a_torn_card_leaves_in_doubt(
    leaving: desk.Event,
    pulled: bool,
) -> None:
    counter = torn()
    if pulled:
        counter.happens(desk.SlotsChanged(slots(None)))
    if isinstance(leaving, desk.ClockRanOut):
        clock = desk.CLOCKS[type(counter.now.state)]
        leaving = desk.ClockRanOut(clock)

    counter.happens(leaving)

    assert isinstance(state_of(counter), desk.InDoubt)
    assert counter.now.is_left_in_doubt
    assert not counter.now.uses_readers


def test_cancelled_while_the_card_takes_the_new_pin_it_is_activated() -> None:
    counter = changing().happens(desk.PinGiven(BOTH), desk.CancelAsked())

    counter.happens(desk.PinAnswered("a", Accepted()))

    assert state_of(counter) == desk.Committing()


def test_cancelled_while_the_card_does_not_answer_it_is_in_doubt() -> None:
    counter = changing().happens(desk.PinGiven(BOTH), desk.CancelAsked())

    counter.happens(desk.PinAnswered("a", Unanswered()))

    assert isinstance(state_of(counter), desk.InDoubt)
    assert counter.problem == "card.must_return"


def test_cancelled_while_the_card_refuses_the_new_pin_it_is_cancelled() -> None:
    counter = changing().happens(desk.PinGiven(BOTH), desk.CancelAsked())

    counter.happens(desk.PinAnswered("a", Wrong(3)))

    assert isinstance(state_of(counter), desk.Cancelled)


def test_the_new_pin_found_on_a_torn_card_is_the_activation() -> None:
    counter = types(torn(), OWN, Accepted())

    assert state_of(counter) == desk.Committing()
    assert counter.now.facts.changed


def test_the_old_pin_found_on_a_torn_card_is_changed_now() -> None:
    counter = types(types(torn(), OWN, Wrong(5)), INITIAL, Accepted())

    assert isinstance(state_of(counter), desk.WaitingPin)
    assert not counter.now.facts.torn
    counter.happens(desk.CancelAsked())
    assert state_of(counter) == desk.Cancelled()


# What the journal makes of it.

YES = Confirmation(by="pin_change")
ABILITIES = saga.Abilities()


def after(*events: saga.Event) -> saga.Activation:
    now = saga.Activation(origin=ORIGIN)
    for event in events:
        step = saga.step(now, event, 1, ABILITIES)
        assert step.effects == ()  # nobody but the card is asked
        now = step.record
    return now


CHANGING = saga.CardAsked(CardStep.CHANGING, activates="card")
VERIFYING = saga.CardAsked(CardStep.VERIFYING, activates="card")


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((VERIFYING, saga.Dropped("cancelled")), ActivationState.ABANDONED),
        ((CHANGING, saga.Dropped("cancelled")), ActivationState.UNKNOWN),
        ((CHANGING, saga.Restarted()), ActivationState.UNKNOWN),
        ((CHANGING, VERIFYING, saga.Restarted()), ActivationState.UNKNOWN),
        ((CHANGING, saga.CardKept(), saga.Restarted()), ActivationState.ABANDONED),
        ((CHANGING, saga.FoundActive(YES)), ActivationState.ACTIVE),
        (
            (CHANGING, saga.Restarted(), VERIFYING, saga.FoundActive(YES)),
            ActivationState.ACTIVE,
        ),
        (
            (
                CHANGING,
                saga.Restarted(),
                VERIFYING,
                saga.CardKept(),
                saga.Dropped("failed"),
            ),
            ActivationState.ABANDONED,
        ),
        (
            (
                CHANGING,
                saga.Restarted(),
                CHANGING,
                saga.CardKept(),
                saga.Dropped("failed"),
            ),
            ActivationState.UNKNOWN,
        ),
        ((CHANGING, saga.Restarted(), saga.Restarted()), ActivationState.UNKNOWN),
        ((CHANGING, saga.Restarted(), saga.TimerRang()), ActivationState.UNKNOWN),
        ((CHANGING, saga.Restarted(), saga.FoundActive(YES)), ActivationState.ACTIVE),
    ],
)
def test_a_change_without_an_answer_is_unknown_until_the_card_returns(
    events: tuple[saga.Event, ...], state: ActivationState
) -> None:
    assert after(*events).state is state


def test_the_record_of_a_torn_card_is_found_by_its_card() -> None:
    assert after(CHANGING, saga.Restarted()).card_ref == "card"


def test_a_torn_record_says_that_the_card_must_return() -> None:
    counter = Counter("a")
    doubtful = replace(after(CHANGING, saga.Restarted()), origin=ORIGIN)

    state, problem = journey.told_by(doubtful, counter.now.facts.terms.profile)

    assert state == desk.InDoubt()
    assert problem == Problem("card.must_return")


# A new PIN for those only whose old card had one.

IF_OLD = PinPolicy(old=OldPin.IF_SET, new=NewPin.SET, new_when=NewPinWhen.OLD_HAD_ONE)


@pytest.mark.parametrize(
    ("answer", "wanted"), [(Accepted(), "waiting_pin"), (NotSet(), "committing")]
)
def test_who_had_a_pin_gives_the_new_card_one(answer: Answer, wanted: str) -> None:
    counter = Counter(None, None, pin=IF_OLD).lies("a", None).reads("a", medical())
    types(counter, OWN, answer)
    counter.lies("a", "new").reads("new", social_security())
    counter.happens(desk.Matched(same_person=True), desk.StatusTold(INACTIVE))

    counter.happens(desk.ConfirmAsked())

    assert counter.states[-1] == wanted


# Dry runs.


def test_a_dry_run_ends_where_something_would_be_changed() -> None:
    counter = Counter(None, None, pin=CHANGES, dry_run=True)
    counter.lies("old", None).reads("old", medical())
    counter.lies("old", "new").reads("new", social_security())

    counter.happens(desk.Matched(same_person=True), desk.StatusTold(INACTIVE))

    assert outcome_of(counter) is Outcome.WOULD_ACTIVATE
    assert desk.Activate() not in counter.wanted


@pytest.mark.parametrize("by", ActivationBy)
def test_a_dry_run_of_a_registration_waits_for_none(by: ActivationBy) -> None:
    counter = Counter(
        "a", scenario=Scenario.OUTPATIENT_REGISTRATION, pin=CHANGES, by=by, dry_run=True
    )

    counter.reads("a", social_security()).happens(desk.StatusTold(INACTIVE))

    assert outcome_of(counter) is Outcome.WOULD_ACTIVATE


def test_a_dry_run_says_why_not() -> None:
    counter = Counter(
        "a", scenario=Scenario.OUTPATIENT_REGISTRATION, dry_run=True
    ).reads("a", social_security())

    counter.happens(desk.StatusTold(replace(INACTIVE, standing=Standing.LOST)))

    assert state_of(counter) == desk.Failed(Problem("card.lost"))


def test_what_a_record_says_is_what_the_counter_said() -> None:
    ended = record(
        ActivationState.ABANDONED,
        ended_as="succeeded",
        outcome="will_activate_on_registration",
    ).record

    state, _ = journey.told_by(ended, Counter("a").now.facts.terms.profile)

    assert state == desk.Succeeded(Outcome.WILL_ACTIVATE)
