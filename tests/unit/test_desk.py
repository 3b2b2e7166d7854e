"""The journey at the counter, told in events."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from drivers.iso7816.status_word import StatusWord
from plugin.activation import desk, journey
from plugin.activation.desk import ALLOWED, CLOCKS, Action, Clock, Desk, Outcome, Slot
from plugin.activation.pins import Typed
from plugin.activation.problem import Problem, Refusal
from plugin.activation.region import (
    ActivationBy,
    Check,
    NewPin,
    OldPin,
    PinPolicy,
    Role,
    Scenario,
)
from plugin.activation.rules import Standing
from plugin.activation.saga import (
    ActivationState,
    Confirmation,
)
from plugin.card.pin import (
    Accepted,
    Answer,
    Blocked,
    NotSet,
    NotTyped,
    Refused,
    Unanswered,
    Wrong,
)
from plugin.card.pin import (
    Counter as Tries,
)
from plugin.card.reading import Card
from tests.unit.journeys import Counter, outcome_of, record, state_of
from tests.unit.worlds import INACTIVE, PROFILE, medical, slots, social_security, terms

ALL_STATES = set(ALLOWED)
PIN_ANSWERS: list[Answer] = [
    Accepted(),
    Wrong(5),
    Wrong(1),
    Wrong(None),
    Refused(StatusWord(0x6D00)),
    Refused(StatusWord(0x6F00)),
    Blocked(),
    NotSet(),
    NotTyped("pin.cancelled"),
    NotTyped("reader.no_keypad"),
    Unanswered(),
    Tries(1),
    Tries(None),
]


def confirming() -> Counter:
    """A pharmacy's two cards are read, matched and checked."""
    counter = Counter(None, None)
    counter.lies("old", None).reads("old", medical())
    counter.lies("old", "new").reads("new", social_security())
    return counter.happens(desk.Matched(same_person=True), desk.StatusTold(INACTIVE))


def test_what_was_swiped_before_the_beginning_is_not_read() -> None:
    earlier = Slot("tracks", "before", swiped=True)
    step = journey.begin(terms(), (earlier, Slot("chips")))

    assert step.effects == ()
    assert step.desk.state == desk.WaitingCard(Role.MEDICAL)


def test_what_was_wrong_with_a_swipe_stays_until_the_next_one() -> None:
    passed, nothing = Slot("tracks", "first", swiped=True), Slot("tracks")
    counter = Counter(None)
    counter.happens(
        desk.SlotsChanged((passed, Slot("chips"))),
        desk.SlotsChanged((nothing, Slot("chips"))),
        desk.ReadFailed("first", Problem("card.swipe_failed")),
        desk.SlotsChanged((nothing, Slot("chips"))),
    )
    assert counter.problem == "card.swipe_failed"

    again = Slot("tracks", "second", swiped=True)
    counter.happens(desk.SlotsChanged((again, Slot("chips"))))

    assert counter.problem is None
    assert counter.states[-1] == "reading"


@pytest.mark.parametrize(
    ("code", "stays"),
    [
        ("card.removed", True),
        ("reader.gone", True),
        ("reader.port_gone", True),
        ("card.unsupported", False),
    ],
)
def test_only_what_says_why_a_card_went_is_said_after_it_has_gone(
    code: str, stays: bool
) -> None:
    counter = Counter("card").happens(desk.ReadFailed("card", Problem(code)))

    counter.lies(None)

    assert (counter.problem == code) is stays


def test_old_card_then_new_card_on_two_readers() -> None:
    counter = confirming()

    counter.happens(desk.ConfirmAsked())

    assert counter.states == [
        "waiting_card",
        "reading",
        "waiting_card",
        "reading",
        "matching",
        "checking",
        "waiting_confirm",
        "committing",
    ]
    assert counter.wanted == [
        desk.ReadCard(Slot("r1", "old")),
        desk.ReadCard(Slot("r2", "new")),
        desk.Match(),
        desk.AskStatus(),
        desk.Activate(),
    ]


def test_with_one_reader_the_old_card_must_make_room() -> None:
    counter = Counter(None).lies("old").reads("old", medical())

    assert state_of(counter) == desk.WaitingRemoval(Role.MEDICAL)

    counter.lies(None)

    assert state_of(counter) == desk.WaitingCard(Role.SOCIAL_SECURITY)


def test_a_new_card_inserted_first_is_checked_at_once() -> None:
    counter = Counter(None).lies("new").reads("new", social_security())

    assert state_of(counter) == desk.Checking()

    counter.happens(desk.StatusTold(INACTIVE))

    assert state_of(counter) == desk.WaitingRemoval(Role.SOCIAL_SECURITY)

    counter.lies(None).lies("old").reads("old", medical())
    counter.happens(desk.Matched(same_person=True))

    assert state_of(counter) == desk.WaitingConfirm(())
    assert counter.wanted.count(desk.AskStatus()) == 1


def test_a_new_card_that_is_active_already_needs_no_old_card() -> None:
    active = replace(INACTIVE, standing=Standing.ACTIVE, since="2026-03-02")

    counter = Counter(None).lies("new").reads("new", social_security())
    counter.happens(desk.StatusTold(active))

    assert isinstance(state_of(counter), desk.Succeeded)
    assert outcome_of(counter) is Outcome.ALREADY_ACTIVE


def test_a_registration_takes_the_social_security_card_alone() -> None:
    counter = Counter(None, scenario=Scenario.OUTPATIENT_REGISTRATION)

    counter.lies("new").reads("new", social_security())
    counter.happens(desk.StatusTold(INACTIVE))

    assert counter.states == ["waiting_card", "reading", "checking", "committing"]


def test_a_card_that_is_in_already_is_read_without_asking() -> None:
    counter = Counter("old", None)

    assert state_of(counter) == desk.Reading(Role.MEDICAL, Slot("r1", "old"))


def test_without_a_reader_one_is_asked_for_and_used_when_it_comes() -> None:
    counter = Counter()

    assert state_of(counter) == desk.WaitingReader(Problem("reader.none"))

    counter.lies(None)

    assert state_of(counter) == desk.WaitingCard(Role.MEDICAL)


def test_why_no_reader_can_be_asked_is_said_until_the_end() -> None:
    counter = Counter(None)
    trouble = Problem("pcsc.unavailable")

    counter.happens(desk.SlotsChanged((), trouble))
    waiting = state_of(counter)
    counter.happens(desk.ClockRanOut(Clock.CARD))

    assert waiting == desk.WaitingReader(trouble)
    assert state_of(counter) == desk.Expired(trouble)


def test_our_own_failure_ends_what_has_not_been_sent_and_nothing_else() -> None:
    early, late = Counter(None), Counter(None)
    late.now = replace(late.now, state=desk.Committing())
    failure = Problem("agent.failed")

    early.happens(desk.Stumbled(failure))
    late.happens(desk.Stumbled(failure))

    assert state_of(early) == desk.Failed(failure)
    assert state_of(late) == desk.Committing()


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        pytest.param(medical(), medical(), "card.same_twice", id="old card twice"),
        pytest.param(
            medical(),
            medical("he"),
            "card.two_medical",
            id="somebody's second old card",
        ),
        pytest.param(
            social_security(), social_security(), "card.same_twice", id="new card twice"
        ),
        pytest.param(
            social_security(),
            social_security("he"),
            "card.two_social_security",
            id="two social security cards",
        ),
    ],
)
def test_two_of_a_kind_are_said_plainly_and_end_nothing(
    first: Card, second: Card, code: str
) -> None:
    counter = Counter(None, None).lies("1", None).reads("1", first)
    if isinstance(state_of(counter), desk.Checking):
        counter.happens(desk.StatusTold(INACTIVE))

    counter.lies("1", "2").reads("2", second)

    assert isinstance(state_of(counter), desk.WaitingCard)
    assert counter.problem == code


def test_an_old_card_at_a_registration_is_turned_away() -> None:
    counter = Counter(None, scenario=Scenario.OUTPATIENT_REGISTRATION)

    counter.lies("old").reads("old", medical())

    assert state_of(counter) == desk.WaitingCard(Role.SOCIAL_SECURITY)
    assert counter.problem == "card.social_security_wanted"


def test_a_foreign_card_keeps_waiting_until_it_is_taken_out() -> None:
    counter = Counter(None).lies("x")

    counter.happens(desk.ReadFailed("x", Problem("card.unsupported")))

    assert state_of(counter) == desk.WaitingCard(Role.MEDICAL)
    assert counter.problem == "card.unsupported"

    counter.lies(None)

    assert counter.problem is None


def test_a_mute_card_is_said_at_once_and_never_read() -> None:
    counter = Counter(None)

    counter.happens(desk.SlotsChanged((Slot("r1", "x", mute=True),)))

    assert state_of(counter) == desk.WaitingCard(Role.MEDICAL)
    assert counter.problem == "card.mute"
    assert counter.wanted == []


def test_a_card_pulled_while_read_is_asked_for_again() -> None:
    counter = Counter(None).lies("a")

    counter.lies(None)
    counter.happens(desk.ReadFailed("a", Problem("card.removed")))

    assert state_of(counter) == desk.WaitingCard(Role.MEDICAL)
    assert counter.problem == "card.removed"

    counter.lies("b").reads("b", medical())

    assert state_of(counter) == desk.WaitingRemoval(Role.MEDICAL)
    assert counter.problem is None


def test_a_card_from_before_must_go_first() -> None:
    counter = Counter()

    counter.happens(desk.SlotsChanged((Slot("r1", "old", left_behind=True),)))

    assert state_of(counter) == desk.WaitingRemoval(None)
    assert counter.problem == "card.left_in_reader"
    assert counter.wanted == []


def test_a_card_from_before_may_stay_when_the_operator_says_so() -> None:
    counter = Counter()
    counter.happens(desk.SlotsChanged((Slot("r1", "old", left_behind=True),)))

    counter.happens(desk.ContinueAsked())

    assert state_of(counter) == desk.Reading(Role.MEDICAL, Slot("r1", "old"))


def test_a_card_that_was_turned_away_is_tried_again_when_asked() -> None:
    counter = Counter(None).lies("x")
    counter.happens(desk.ReadFailed("x", Problem("card.reset_by_other")))

    counter.happens(desk.ContinueAsked())

    assert state_of(counter) == desk.Reading(Role.MEDICAL, Slot("r1", "x"))


def test_cards_of_different_people_are_refused() -> None:
    counter = Counter(None, None)
    counter.lies("old", None).reads("old", medical("he"))
    counter.lies("old", "new").reads("new", social_security("lin"))

    counter.happens(desk.Matched(same_person=False))

    assert state_of(counter) == desk.Failed(Problem("transaction.person_mismatch"))


def test_a_strict_city_turns_a_wrong_card_number_away() -> None:
    strict = replace(terms(), profile=replace(PROFILE, card_number=Check.STRICT))
    card = social_security()
    wrong = replace(card, issue=replace(card.issue, card_number="T20000010"))
    first = journey.begin(strict, slots("new")).desk

    step = journey.step(first, desk.CardRead("new", wrong))

    assert step.desk.facts.problem == Problem("card.number_wrong")


@pytest.mark.parametrize("state", ["matching", "checking"])
def test_a_pharmacy_cannot_go_on_without_the_centre(state: str) -> None:
    counter = Counter(None, None)
    counter.lies("old", None).reads("old", medical())
    counter.lies("old", "new").reads("new", social_security())
    if state == "checking":
        counter.happens(desk.Matched(same_person=True))
    assert state_of(counter).name == state

    counter.happens(desk.CentreSilent(Problem("centre.unreachable")))

    assert state_of(counter) == desk.Failed(Problem("centre.unreachable"))


def test_a_hospitals_queue_goes_on_without_the_centre() -> None:
    counter = Counter(None, scenario=Scenario.OUTPATIENT_REGISTRATION)
    counter.lies("new").reads("new", social_security())

    counter.happens(desk.ClockRanOut(Clock.CENTRE))

    silent = (Problem("centre.timeout"),)
    assert state_of(counter) == desk.Succeeded(Outcome.NOT_CHECKED, notices=silent)


@pytest.mark.parametrize(
    ("moved", "state"),
    [
        (
            record(
                ActivationState.ACTIVE,
                activation_id="a",
                confirmation=Confirmation(by="answer"),
            ),
            desk.Succeeded(Outcome.ACTIVATED, Confirmation(by="answer")),
        ),
        (
            record(
                ActivationState.ACTIVE,
                confirmation=Confirmation(by="status", adopted=True),
            ),
            desk.Succeeded(
                Outcome.ALREADY_ACTIVE, Confirmation(by="status", adopted=True)
            ),
        ),
        (
            record(ActivationState.REJECTED, refusal=Refusal(code="9", text="不")),
            desk.Failed(Problem("centre.refused", centre=Refusal(code="9", text="不"))),
        ),
        (record(ActivationState.UNKNOWN), desk.InDoubt()),
        (record(ActivationState.MANUAL), desk.InDoubt()),
        (record(ActivationState.SENDING), desk.Committing()),
    ],
)
def test_the_desk_shows_what_the_saga_says(
    moved: desk.ActivationMoved, state: desk.State
) -> None:
    counter = confirming().happens(desk.ConfirmAsked())

    counter.happens(moved)

    assert state_of(counter) == state


def test_a_lost_answer_is_in_doubt_until_the_saga_knows() -> None:
    counter = confirming().happens(desk.ConfirmAsked(), record(ActivationState.UNKNOWN))

    assert counter.problem == "centre.answer_lost"

    counter.lies(None, None)

    assert state_of(counter) == desk.InDoubt()
    assert counter.problem == "centre.answer_lost"

    counter.happens(
        record(ActivationState.ACTIVE, confirmation=Confirmation(by="status"))
    )

    assert isinstance(state_of(counter), desk.Succeeded)


def test_an_intent_that_could_not_be_written_fails_and_sends_nothing() -> None:
    counter = confirming().happens(desk.ConfirmAsked())

    counter.happens(desk.NotBegun(Problem("agent.journal_failed")))

    assert state_of(counter) == desk.Failed(Problem("agent.journal_failed"))


def test_cancel_is_possible_until_committing_and_never_after() -> None:
    waiting, committing = confirming(), confirming().happens(desk.ConfirmAsked())

    waiting.happens(desk.CancelAsked())
    committing.happens(desk.CancelAsked())

    assert state_of(waiting) == desk.Cancelled()
    assert state_of(committing) == desk.Committing()


@pytest.mark.parametrize(
    ("counter", "clock", "code"),
    [
        (Counter(None), Clock.CARD, "transaction.card_wait_over"),
        (confirming(), Clock.CONFIRM, "transaction.confirm_wait_over"),
    ],
)
def test_each_clock_is_named_when_it_runs_out(
    counter: Counter, clock: Clock, code: str
) -> None:
    others = set(Clock) - {clock}

    for other in others:
        counter.happens(desk.ClockRanOut(other))
    assert not counter.now.is_terminal
    counter.happens(desk.ClockRanOut(clock))

    assert state_of(counter) == desk.Expired(Problem(code))


def test_every_waiting_state_has_a_clock_and_every_action_a_state() -> None:
    waiting = {state for state in ALL_STATES if state.name.startswith("waiting")}

    assert waiting - {desk.PinAtWork} <= set(CLOCKS)
    assert set(itertools.chain.from_iterable(ALLOWED.values())) == set(Action)
    assert {state for state in ALL_STATES if Action.CONFIRM in ALLOWED[state]} == {
        desk.WaitingConfirm
    }


stays = st.sampled_from([None, "a", "b", "c"])
some_card = st.sampled_from(
    [medical(), medical("he"), social_security(), social_security("tang")]
)
some_status = st.sampled_from(
    [INACTIVE, *(replace(INACTIVE, standing=each) for each in Standing)]
)
events = st.one_of(
    st.builds(
        lambda first, second, left, mute: desk.SlotsChanged(
            (Slot("r1", first, mute=mute), Slot("r2", second, left_behind=left))
        ),
        stays,
        stays,
        st.booleans(),
        st.booleans(),
    ),
    st.just(desk.SlotsChanged(())),
    st.builds(desk.CardRead, st.sampled_from(["a", "b", "c"]), some_card),
    st.builds(
        desk.ReadFailed,
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([Problem("card.removed"), Problem("card.unsupported")]),
    ),
    st.builds(desk.Matched, st.booleans()),
    st.builds(desk.StatusTold, some_status),
    st.just(desk.CentreSilent(Problem("centre.timeout"))),
    st.just(desk.ConfirmAsked()),
    st.just(desk.ContinueAsked()),
    st.just(desk.CancelAsked()),
    st.builds(desk.ClockRanOut, st.sampled_from(list(Clock))),
    st.builds(record, st.sampled_from(list(ActivationState))),
    st.just(desk.NotBegun(Problem("agent.journal_failed"))),
    st.builds(
        desk.PinGiven,
        st.builds(
            Typed,
            pin=st.sampled_from([None, "123456", "135792", "1"]),
            new_pin=st.sampled_from([None, "123456", "246813"]),
            confirm_last_try=st.booleans(),
        ),
    ),
    st.builds(
        desk.PinAnswered, st.sampled_from(["a", "b", "c"]), st.sampled_from(PIN_ANSWERS)
    ),
    st.builds(
        desk.PinNotPresented,
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([Problem("card.removed"), Problem("card.swapped")]),
    ),
)
policies = st.builds(
    PinPolicy,
    old=st.sampled_from(list(OldPin)),
    new=st.sampled_from(list(NewPin)),
    initial=st.just(frozenset({"123456"})),
    probe=st.booleans(),
)


def _makes_active(by: ActivationBy, policy: PinPolicy) -> ActivationBy:
    """No region activates by a change of PIN that it does not make."""
    changes = policy.new in (NewPin.SET, NewPin.CHANGE_INITIAL)
    by_pin = by is ActivationBy.PIN_CHANGE
    return ActivationBy.CENTRE if by_pin and not changes else by


@given(
    st.lists(events, max_size=30),
    st.sampled_from(list(Scenario)),
    policies,
    st.sampled_from(list(ActivationBy)),
    st.booleans(),
)
def test_whatever_happens_the_desk_stays_true(
    history: list[desk.Event],
    scenario: Scenario,
    policy: PinPolicy,
    by: ActivationBy,
    dry_run: bool,
) -> None:
    by = _makes_active(by, policy)
    said = terms(scenario, pin=policy, by=by, dry_run=dry_run)
    step = journey.begin(said, slots(None, None))
    activations = 0

    for event in history:
        before = step.desk
        step = journey.step(before, event)
        activations += step.effects.count(desk.Activate())
        for effect in step.effects:
            if isinstance(effect, desk.PresentPin):
                _assert_presentable(before, event, effect)
        if before.is_terminal:
            assert step == desk.Step(before)
        if not isinstance(event, desk.ActivationMoved):  # the card alone knows
            assert not (step.desk.facts.torn and step.desk.is_terminal)
        if isinstance(step.desk.state, desk.Reading):
            assert step.desk.state.slot.insertion_id in step.desk.facts.seen
        if desk.Activate() in step.effects:
            _assert_allowed(step.desk)
        _assert_goes_on(before, step)

    assert activations <= (not dry_run and by is not ActivationBy.REGISTRATION)


def _assert_goes_on(before: Desk, after: desk.Step) -> None:
    """Nothing that was learned is lost, and nobody is left standing: what is wanted comes
    with a change that can be seen, and a card at work has been asked."""
    was, now = before.facts, after.desk.facts
    assert was.settled <= now.settled
    for role in Role:
        assert was.card(role) in (None, now.card(role))
        assert role not in was.talks or role in now.talks
    seen = (before.state, was.problem) != (after.desk.state, now.problem)
    assert seen or not after.effects
    match before.state, after.desk.state:
        case _, desk.PinAtWork(leaving=True):
            pass
        case old, desk.PinAtWork() as at_work if old != at_work:
            assert isinstance(after.effects[0], desk.PresentPin | desk.CountTries)
        case _, state:
            assert after.desk.is_terminal or type(state) in {
                *CLOCKS,
                desk.Reading,
                desk.PinAtWork,
                desk.Committing,
                desk.InDoubt,
            }


def _assert_presentable(
    before: Desk, event: desk.Event, effect: desk.PresentPin
) -> None:
    """Nothing is presented but what has just been typed, to the card it was typed for."""
    assert isinstance(event, desk.PinGiven)
    assert effect.typed == event.typed
    assert isinstance(before.state, desk.WaitingPin)
    role = before.state.wanted.role
    assert before.facts.accepted[effect.slot.insertion_id or ""] is role
    assert before.state.wanted.tries_left != 1 or effect.typed.confirm_last_try


def _assert_allowed(now: Desk) -> None:
    """Nothing is activated but a checked card of the person who stands there."""
    facts = now.facts
    assert facts.social_security is not None
    assert facts.status is not None
    assert facts.status.standing is Standing.INACTIVE
    if Role.MEDICAL in facts.terms.rules.steps:
        assert facts.same_person
        assert facts.confirmed
    assert not any(facts.pin_due(role) for role in Role)


def test_the_random_journeys_reach_every_state() -> None:
    reached: set[type[desk.State]] = set()

    @given(
        st.lists(events, min_size=5, max_size=30),
        st.sampled_from(list(Scenario)),
        policies,
        st.sampled_from(list(ActivationBy)),
    )
    def wander(
        history: list[desk.Event],
        scenario: Scenario,
        policy: PinPolicy,
        by: ActivationBy,
    ) -> None:
        said = terms(scenario, pin=policy, by=_makes_active(by, policy))
        now = journey.begin(said, slots(None, None)).desk
        for event in history:
            now = journey.step(now, event).desk
            reached.add(type(now.state))

    wander()
    for seed in range(300):
        random = Random(seed)
        policy = PinPolicy(new=random.choice((NewPin.NONE, NewPin.SET)))
        by = _makes_active(random.choice(list(ActivationBy)), policy)
        now = journey.begin(terms(pin=policy, by=by), slots(None, None)).desk
        for _ in range(30):
            now = journey.step(now, random.choice(_likely(now))).desk
            reached.add(type(now.state))

    assert reached == ALL_STATES


def _likely(now: Desk) -> list[desk.Event]:
    """What usually happens next, so that a random walk gets far."""
    match now.state:
        case desk.WaitingReader() | desk.WaitingCard() | desk.WaitingRemoval():
            return [
                desk.SlotsChanged(slots("a", None)),
                desk.SlotsChanged(slots("a", "b")),
                desk.SlotsChanged(slots("a")),
                desk.SlotsChanged(()),
                desk.ClockRanOut(Clock.CARD),
            ]
        case desk.Reading(role, slot):
            card: Card = medical() if role is Role.MEDICAL else social_security()
            return [desk.CardRead(slot.insertion_id or "", card)]
        case desk.Matching():
            return [desk.Matched(same_person=True), desk.Matched(same_person=False)]
        case desk.Checking():
            return [desk.StatusTold(INACTIVE)]
        case desk.WaitingConfirm():
            return [desk.ConfirmAsked(), desk.ConfirmAsked(), desk.CancelAsked()]
        case desk.WaitingRegistration():
            return [desk.ContinueAsked(), desk.ClockRanOut(Clock.REGISTRATION)]
        case desk.WaitingPin():
            return [desk.PinGiven(Typed(pin="123456", new_pin="246813"))]
        case desk.PinAtWork(_, slot):
            stay = slot.insertion_id or ""
            return [desk.PinAnswered(stay, each) for each in PIN_ANSWERS]
        case _:
            return [
                record(ActivationState.UNKNOWN),
                record(ActivationState.ACTIVE, confirmation=Confirmation(by="answer")),
            ]
