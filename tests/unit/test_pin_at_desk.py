"""A PIN at the counter: of which card, where, and what its answer leaves behind."""

from __future__ import annotations

import pytest

from drivers.ports import PinOperation
from plugin.activation import desk
from plugin.activation.pins import Torn, Typed
from plugin.activation.problem import Problem
from plugin.activation.region import (
    ActivationBy,
    NewPin,
    OldPin,
    PinPolicy,
    Role,
    Scenario,
)
from plugin.card.pin import Accepted, Answer, Blocked, NotSet, Unanswered
from tests.unit.journeys import Counter, state_of
from tests.unit.worlds import INACTIVE, medical, social_security

INITIAL = frozenset({"123456"})
OF_OLD = PinPolicy(old=OldPin.ALWAYS)
OF_NEW = PinPolicy(new=NewPin.KEEP)
CHANGES = PinPolicy(new=NewPin.CHANGE_INITIAL, initial=INITIAL)
KEYPAD = frozenset(PinOperation)


def of_the_old_card(*, at_worst: int | None = None) -> Counter:
    """The PIN of an old card is asked for; the other reader is empty."""
    counter = Counter(None, None, pin=OF_OLD).lies("old", None)
    return counter.happens(desk.CardRead("old", medical(), at_worst=at_worst))


def of_the_new_card(
    pin: PinPolicy, by: ActivationBy = ActivationBy.CENTRE, *, torn: bool = False
) -> Counter:
    """The PIN of a new card is asked for, in a reader with a keypad."""
    scenario = Scenario.OUTPATIENT_REGISTRATION
    counter = Counter("new", scenario=scenario, pin=pin, by=by)
    read = desk.CardRead(
        "new",
        social_security(),
        keypad=KEYPAD,
        torn=torn,
        doubt=Problem("card.must_return") if torn else None,
    )
    return counter.happens(read, desk.StatusTold(INACTIVE))


def answers(counter: Counter, typed: Typed, answer: Answer) -> Counter:
    stay = next(iter(counter.now.facts.accepted))
    return counter.happens(desk.PinGiven(typed), desk.PinAnswered(stay, answer))


def test_a_card_whose_pin_is_due_is_asked_for_again_when_it_was_pulled() -> None:
    counter = of_the_old_card().lies(None, None)

    assert isinstance(state_of(counter), desk.WaitingCard)
    assert counter.problem == "card.wanted_again"


def test_of_a_card_with_one_try_left_that_is_said_before_anything_is_typed() -> None:
    counter = of_the_old_card(at_worst=1)

    facts = counter.now.facts
    assert isinstance(state_of(counter), desk.WaitingPin)
    assert facts.problem == Problem("pin.last_try")
    assert facts.problem_stay == "old"


@pytest.mark.parametrize(
    ("answer", "code"),
    [(Blocked(), "card.medical_blocked"), (NotSet(), "pin.not_set")],
)
def test_an_old_card_that_takes_no_pin_ends_it_with_a_way_of_its_own(
    answer: Answer, code: str
) -> None:
    counter = answers(of_the_old_card(), Typed(pin="135792"), answer)

    assert state_of(counter) == desk.Failed(Problem(code))


def test_a_new_card_that_is_blocked_is_no_old_one() -> None:
    counter = of_the_new_card(OF_NEW)

    answers(counter, Typed(), Blocked())

    assert state_of(counter) == desk.Failed(Problem("pin.locked"))


@pytest.mark.parametrize(
    ("by", "on_reader"),
    [(ActivationBy.CENTRE, True), (ActivationBy.PIN_CHANGE, False)],
)
def test_where_the_change_activates_it_is_typed_where_the_agent_can_see_it(
    by: ActivationBy, *, on_reader: bool
) -> None:
    state = state_of(of_the_new_card(CHANGES, by))

    assert isinstance(state, desk.WaitingPin)
    assert state.wanted.on_reader is on_reader


def test_a_torn_card_that_has_its_new_pin_is_torn_no_more() -> None:
    counter = of_the_new_card(CHANGES, ActivationBy.PIN_CHANGE, torn=True)
    before = counter.now.facts.torn
    asked = state_of(counter)

    answers(counter, Typed(pin="246813"), Accepted())

    facts = counter.now.facts
    assert isinstance(asked, desk.WaitingPin)
    assert asked.wanted.torn is Torn.NEW_FIRST
    assert (before, facts.torn, facts.changed) == (True, False, True)
    assert state_of(counter) == desk.Committing()


def test_a_lost_answer_to_a_change_leaves_a_torn_card() -> None:
    counter = of_the_new_card(CHANGES, ActivationBy.PIN_CHANGE)
    answers(counter, Typed(pin="123456"), Accepted())

    answers(counter, Typed(pin="123456", new_pin="246813"), Unanswered())

    facts = counter.now.facts
    assert (facts.torn, facts.changed) == (True, False)
    assert counter.problem == "pin.change_unknown"


def test_an_accepted_card_is_known_as_long_as_it_lies_there() -> None:
    counter = of_the_old_card()

    counter.lies("old", "another")
    beside_another = state_of(counter), dict(counter.now.facts.accepted)
    counter.lies(None, "another")

    assert isinstance(beside_another[0], desk.WaitingPin)
    assert beside_another[1] == {"old": Role.MEDICAL}
    assert counter.now.facts.accepted == {}
