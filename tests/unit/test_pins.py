"""What is asked for, what may be presented, and what follows from a card's answer."""

from __future__ import annotations

from itertools import product

import pytest
from msgspec.structs import replace

from drivers.iso7816.status_word import StatusWord
from drivers.ports import PinOperation
from plugin.activation import desk, pins
from plugin.activation.desk import Slot
from plugin.activation.pins import Again, Entry, Hopeless, Settled, Talk, Torn, Typed
from plugin.activation.problem import Problem
from plugin.activation.region import NewPin, OldPin, PinPolicy, Role, Scenario
from plugin.card.pin import (
    Accepted,
    Answer,
    Counter,
    Digits,
    NotSet,
    NotTyped,
    Refused,
    Unanswered,
    Wrong,
)
from tests.unit.journeys import Counter as Till
from tests.unit.journeys import state_of
from tests.unit.worlds import INACTIVE, medical, social_security

BOTH = frozenset(PinOperation)
VERIFIES = frozenset({PinOperation.VERIFY})
NONE: pins.Keypad = frozenset()
OLD, SSC = Role.MEDICAL, Role.SOCIAL_SECURITY
INITIAL = frozenset({"123456"})
FRESH, SIX = Talk(), Digits()
TYPED = Typed(pin="135792", new_pin="246813")


def policy(
    new: NewPin = NewPin.KEEP,
    old: OldPin = OldPin.IF_SET,
    digits: Digits = SIX,
    *,
    probe: bool = False,
) -> PinPolicy:
    return PinPolicy(old=old, new=new, initial=INITIAL, digits=digits, probe=probe)


@pytest.mark.parametrize(
    ("role", "new", "keypad", "entry", "on_reader"),
    [
        (OLD, NewPin.SET, NONE, Entry.VERIFY, False),
        (OLD, NewPin.SET, BOTH, Entry.VERIFY, True),
        (SSC, NewPin.KEEP, BOTH, Entry.VERIFY, False),
        (SSC, NewPin.SET, NONE, Entry.NEW, False),
        (SSC, NewPin.SET, VERIFIES, Entry.NEW, False),
        (SSC, NewPin.SET, BOTH, Entry.NEW, True),
        (SSC, NewPin.CHANGE_INITIAL, NONE, Entry.VERIFY, False),
        (SSC, NewPin.CHANGE_INITIAL, VERIFIES, Entry.VERIFY, False),
        (SSC, NewPin.CHANGE_INITIAL, BOTH, Entry.NEW, True),
    ],
)
def test_what_is_asked_for_follows_from_region_card_and_reader(
    role: Role, new: NewPin, keypad: pins.Keypad, entry: Entry, *, on_reader: bool
) -> None:
    wanted = pins.wanted(role, Talk(), policy(new), keypad)

    assert (wanted.entry, wanted.on_reader) == (entry, on_reader)


@pytest.mark.parametrize("new", [NewPin.KEEP, NewPin.SET, NewPin.CHANGE_INITIAL])
def test_a_torn_card_is_always_verified_first(new: NewPin) -> None:
    talk = Talk(torn=Torn.NEW_FIRST)

    assert pins.wanted(SSC, talk, policy(new), BOTH).entry is Entry.VERIFY


def test_a_keypad_that_the_pins_do_not_fit_is_not_used() -> None:
    several = policy(NewPin.SET, digits=Digits(minimum=4, maximum=6))

    for role, entry in product(Role, (None, *Entry)):
        assert not pins.wanted(role, Talk(entry=entry), several, BOTH).on_reader


@pytest.mark.parametrize(
    ("asked", "typed", "code"),
    [
        (Talk(), Typed(pin="135792"), None),
        (Talk(), Typed(), "pin.length"),
        (Talk(), Typed(pin="13579"), "pin.length"),
        (Talk(), Typed(pin="13579²"), "pin.length"),
        (Talk(), TYPED, "pin.new_not_wanted"),
        (Talk(), Typed(pin="123456"), "pin.still_initial"),
        (Talk(entry=Entry.NEW), TYPED, None),
        (Talk(entry=Entry.NEW), Typed(pin="135792"), "pin.length"),
        (
            Talk(entry=Entry.NEW),
            Typed(pin="135792", new_pin="123456"),
            "pin.must_differ_from_initial",
        ),
        (Talk(tries_left=1), Typed(pin="135792"), "pin.last_try"),
        (Talk(tries_left=1), Typed(pin="135792", confirm_last_try=True), None),
        (Talk(tries_left=2), Typed(pin="135792"), None),
    ],
)
def test_what_must_not_be_presented_is_said(
    asked: Talk, typed: Typed, code: str | None
) -> None:
    wanted = pins.wanted(SSC, asked, policy(), NONE)

    found = pins.objection(wanted, typed, policy())

    assert (found.code if found else None) == code


def test_on_a_keypad_nothing_comes_from_here_and_the_last_try_is_confirmed() -> None:
    wanted = pins.wanted(OLD, Talk(tries_left=1), policy(), BOTH)

    def code(typed: Typed) -> str | None:
        found = pins.objection(wanted, typed, policy())
        return found.code if found else None

    assert code(Typed(pin="135792", confirm_last_try=True)) == "pin.keypad_only"
    assert code(Typed(new_pin="135792", confirm_last_try=True)) == "pin.keypad_only"
    assert code(Typed()) == "pin.last_try"
    assert code(Typed(confirm_last_try=True)) is None


@pytest.mark.parametrize(
    ("new", "torn", "typed", "keypad", "following"),
    [
        (NewPin.KEEP, None, "135792", NONE, None),
        (NewPin.CHANGE_INITIAL, None, "135792", NONE, None),
        (NewPin.CHANGE_INITIAL, None, "123456", NONE, Entry.NEW),
        (NewPin.SET, Torn.NEW_FIRST, "246813", NONE, None),
        (NewPin.SET, Torn.NEW_FIRST, "123456", NONE, Entry.NEW),
        (NewPin.SET, Torn.NEW_FIRST, None, BOTH, Entry.NEW),
        (NewPin.SET, Torn.THEN_OLD, "135792", NONE, Entry.NEW),
        (NewPin.CHANGE_INITIAL, Torn.NEW_FIRST, "246813", NONE, None),
        (NewPin.CHANGE_INITIAL, Torn.NEW_FIRST, "123456", NONE, Entry.NEW),
        (NewPin.CHANGE_INITIAL, Torn.THEN_OLD, "123456", NONE, Entry.NEW),
        (NewPin.CHANGE_INITIAL, Torn.NEW_FIRST, None, BOTH, Entry.NEW),
        (NewPin.CHANGE_INITIAL, Torn.THEN_OLD, None, BOTH, Entry.NEW),
        (NewPin.KEEP, Torn.THEN_OLD, "135792", NONE, None),
    ],
)
def test_what_a_right_pin_leads_to(
    new: NewPin,
    torn: Torn | None,
    typed: str | None,
    keypad: pins.Keypad,
    following: Entry | None,
) -> None:
    wanted = pins.wanted(SSC, Talk(torn=torn), policy(new), keypad)

    assert pins.following(wanted, Typed(pin=typed), policy(new)) is following


def verdict(
    answer: Answer,
    talk: Talk = FRESH,
    role: Role = SSC,
    old: OldPin = OldPin.IF_SET,
) -> pins.Verdict:
    rules = policy(NewPin.SET, old)
    wanted = pins.wanted(role, talk, rules, NONE)
    return pins.judge(wanted, talk, None, answer, rules)


@pytest.mark.parametrize(
    ("answer", "role", "old", "code"),
    [
        (NotSet(), OLD, OldPin.ALWAYS, "pin.not_set"),
        (NotSet(), SSC, OldPin.IF_SET, "pin.not_set"),
        (Refused(StatusWord(0x9303)), SSC, OldPin.IF_SET, "card.app_locked"),
        (Refused(StatusWord(0x6A81)), SSC, OldPin.IF_SET, "card.app_locked"),
    ],
)
def test_what_cannot_go_on_here_says_why(
    answer: Answer, role: Role, old: OldPin, code: str
) -> None:
    found = verdict(answer, role=role, old=old)

    assert isinstance(found, Hopeless)
    assert found.problem.code == code


@pytest.mark.parametrize("answer", [NotSet(), Refused(StatusWord(0x6D00))])
def test_no_pin_on_an_old_card_counts_as_done_where_only_a_set_one_counts(
    answer: Answer,
) -> None:
    assert verdict(answer, role=OLD) == Settled()
    assert verdict(answer, role=OLD, old=OldPin.ALWAYS) != Settled()
    assert verdict(answer, role=SSC) != Settled()


def test_every_try_is_counted_down_and_the_last_one_warned_of() -> None:
    assert verdict(Wrong(4)) == Again(Talk(tries_left=4), Problem("pin.wrong"))
    assert verdict(Wrong(1)) == Again(Talk(tries_left=1), Problem("pin.last_try"))


def test_a_right_pin_is_all_unless_something_follows() -> None:
    wanted = pins.wanted(SSC, FRESH, policy(NewPin.CHANGE_INITIAL), NONE)

    def judged(then: Entry | None) -> pins.Verdict:
        rules = policy(NewPin.CHANGE_INITIAL)
        return pins.judge(wanted, Talk(tries_left=2), then, Accepted(), rules)

    assert judged(None) == Settled()
    assert judged(Entry.NEW) == Again(Talk(entry=Entry.NEW, asked=True))


def test_nothing_typed_changes_nothing() -> None:
    known = Talk(tries_left=3)

    found = verdict(NotTyped("pin.cancelled"), known)

    assert found == Again(known, Problem("pin.cancelled"))


@pytest.mark.parametrize("before", [3, 2, 1])
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Refused(StatusWord(0x6F00)), "pin.refused"),
        (Unanswered(), "pin.answer_lost"),
        (Wrong(None), "pin.wrong"),
    ],
)
def test_an_answer_without_a_counter_may_have_cost_a_try_and_the_last_is_asked_for(
    answer: Answer, code: str, before: int
) -> None:
    known = Talk(entry=Entry.VERIFY, tries_left=before)

    found = verdict(answer, known)

    assert isinstance(found, Again)
    assert found.talk == replace(known, tries_left=max(1, before - 1), feared=True)
    assert found.problem is not None
    warned = found.talk.tries_left == 1 and code == "pin.wrong"
    assert found.problem.code == ("pin.last_try" if warned else code)
    wanted = pins.wanted(SSC, found.talk, policy(), NONE)
    assert wanted.tries_told is None
    assert wanted.is_last_try is (before < 3)


def test_a_lost_answer_to_a_change_may_have_cost_a_try_as_well() -> None:
    found = verdict(Unanswered(), Talk(tries_left=2))

    assert isinstance(found, Again)
    assert pins.wanted(SSC, found.talk, policy(NewPin.SET), NONE).is_last_try


def test_who_knows_nothing_of_the_counter_fears_nothing() -> None:
    found = verdict(Refused(StatusWord(0x6F00)))

    assert found == Again(Talk(), Problem("pin.refused", {"sw": "6F00"}))


def test_a_counter_that_is_told_ends_the_fear() -> None:
    afraid = Talk(tries_left=1, feared=True)

    assert verdict(Counter(3), afraid) == Again(Talk(tries_left=3))
    assert verdict(Counter(None), afraid) == Again(afraid)
    assert verdict(NotTyped("pin.cancelled"), afraid) == Again(
        afraid, Problem("pin.cancelled")
    )


def test_a_lost_answer_to_a_verification_is_counted_again_where_cards_tell() -> None:
    known = Talk(entry=Entry.VERIFY, asked=True)

    found = verdict(Unanswered(), known)

    assert found == Again(Talk(entry=Entry.VERIFY), Problem("pin.answer_lost"))


def test_a_lost_answer_to_a_change_asks_for_the_new_pin_first() -> None:
    found = verdict(Unanswered(), Talk(asked=True))

    assert found == Again(Talk(entry=Entry.VERIFY, torn=Torn.NEW_FIRST))


@pytest.mark.parametrize("torn", list(Torn))
def test_at_a_torn_card_wrong_leads_to_the_old_pin_and_two_tries_to_the_end(
    torn: Torn,
) -> None:
    talk = Talk(torn=torn)

    assert verdict(Wrong(3), talk) == Again(Talk(torn=Torn.THEN_OLD, tries_left=3))
    for answer in (Wrong(2), Wrong(1), Counter(2), Counter(1)):
        assert verdict(answer, talk) == Hopeless(Problem("pin.torn_stopped"))
    assert verdict(Counter(None), talk) == Again(talk)


def test_what_was_typed_is_in_no_text() -> None:
    for made in (TYPED, desk.PinGiven(TYPED), desk.Step(waiting().now).desk):
        assert "135792" not in repr(made)
        assert "246813" not in repr(made)


# At the desk


def waiting(
    rules: PinPolicy | None = None, *, keypad: pins.Keypad = NONE, torn: bool = False
) -> Till:
    """A registration's card waits for its PIN."""
    till = Till(
        None,
        scenario=Scenario.OUTPATIENT_REGISTRATION,
        pin=rules or policy(NewPin.SET),
    )
    till.lies("a").happens(desk.CardRead("a", social_security(), keypad, torn))
    return till.happens(desk.StatusTold(INACTIVE))


def at_work(rules: PinPolicy | None = None) -> Till:
    return waiting(rules).happens(desk.PinGiven(TYPED))


def test_a_pin_is_asked_for_last_of_all_and_then_the_centre() -> None:
    till = at_work().happens(desk.PinAnswered("a", Accepted()))

    assert till.states == [
        "waiting_card",
        "reading",
        "checking",
        "waiting_pin",
        "waiting_pin",
        "committing",
    ]
    assert till.wanted[-1] == desk.Activate()


def test_what_was_typed_is_in_the_effect_and_in_no_state() -> None:
    till = at_work()

    assert till.wanted[-1] == desk.PresentPin(
        Slot("r1", "a"), pins.Wanted(role=SSC, entry=Entry.NEW), TYPED
    )
    kept = [till.now.state, *till.now.facts.talks.values()]
    assert not any(isinstance(each, Typed) for each in kept)


@pytest.mark.parametrize(
    "event",
    [
        desk.SlotsChanged((Slot("r1"),)),
        desk.SlotsChanged(()),
        desk.PinGiven(TYPED),
        desk.PinAnswered("b", Accepted()),
        desk.PinNotPresented("b", Problem("card.removed")),
        desk.ContinueAsked(),
        *(desk.ClockRanOut(clock) for clock in desk.Clock),
    ],
)
def test_while_the_card_is_at_work_nothing_else_moves(event: desk.Event) -> None:
    till = at_work()
    before = till.now.state

    till.happens(event)

    assert till.now.state == before
    assert isinstance(till.wanted[-1], desk.PresentPin)


@pytest.mark.parametrize(
    ("event", "notice"),
    [
        (desk.PinAnswered("a", Accepted()), "pin.changed"),
        (desk.PinAnswered("a", Unanswered()), "pin.change_unknown"),
        (desk.PinAnswered("a", Wrong(3)), None),
        (desk.PinNotPresented("a", Problem("card.removed")), None),
    ],
)
def test_a_cancel_while_the_card_is_at_work_ends_it_when_it_has_answered(
    event: desk.Event, notice: str | None
) -> None:
    till = at_work().happens(desk.CancelAsked())
    assert not till.now.is_terminal

    till.happens(event)

    assert till.now.state == desk.Cancelled((Problem(notice),) if notice else ())
    assert desk.Activate() not in till.wanted


def test_a_keypad_that_is_none_after_all_has_the_pin_typed_here() -> None:
    till = waiting(keypad=BOTH).happens(desk.PinGiven(Typed()))

    till.happens(desk.PinAnswered("a", NotTyped("reader.no_keypad")))

    assert isinstance(till.now.state, desk.WaitingPin)
    assert not till.now.state.wanted.on_reader
    assert till.problem == "reader.no_keypad"


def test_another_card_in_the_same_reader_is_taken_out_and_never_asked() -> None:
    till = at_work().happens(desk.PinNotPresented("a", Problem("card.swapped")))

    assert till.now.state == desk.WaitingCard(SSC)
    assert till.problem == "card.swapped"

    till.lies(None).lies("b").reads("b", social_security("he"))
    assert (till.now.state, till.problem) == (desk.WaitingCard(SSC), "card.swapped")

    till.lies(None).lies("c").reads("c", social_security())
    assert isinstance(till.now.state, desk.WaitingPin)
    assert till.wanted.count(till.wanted[-1]) == 1


def test_the_counter_is_asked_for_once_each_time_the_card_comes() -> None:
    till = waiting(policy(probe=True))
    count = desk.CountTries(Slot("r1", "a"), pins.Wanted(role=SSC, entry=Entry.VERIFY))
    assert till.wanted[-1] == count

    till.happens(desk.PinNotPresented("a", Problem("reader.in_use_by_other")))
    assert isinstance(till.now.state, desk.WaitingPin)
    assert till.problem == "reader.in_use_by_other"

    till.lies(None).lies("b").reads("b", social_security())
    assert isinstance(till.now.state, desk.PinAtWork)
    assert till.now.state.counting

    till.happens(desk.PinAnswered("b", Counter(3)))
    assert isinstance(till.now.state, desk.WaitingPin)
    assert till.now.state.wanted.tries_left == 3


def test_a_new_card_that_came_while_the_old_one_was_wanted_is_read_in_its_turn() -> (
    None
):
    till = Till(None, None, pin=policy(NewPin.NONE))
    till.lies("old", None).reads("old", medical())
    till.lies(None, None).lies(None, "new").reads("new", social_security())
    assert till.problem == "card.swapped"
    till.lies("back", "new").reads("back", medical())

    till.happens(desk.PinGiven(Typed(pin="135792")))
    till.happens(desk.PinAnswered("back", Accepted()))

    assert state_of(till) == desk.Reading(SSC, Slot("r2", "new"))


def test_the_old_cards_pin_is_settled_before_its_reader_is_needed() -> None:
    till = Till(None, pin=policy(NewPin.NONE)).lies("old").reads("old", medical())
    assert isinstance(till.now.state, desk.WaitingPin)

    till.happens(desk.PinGiven(Typed(pin="135792")))
    till.happens(desk.PinAnswered("old", Accepted()))

    assert state_of(till) == desk.WaitingRemoval(OLD)


@pytest.mark.parametrize(
    ("torn", "tries_left", "spare"),
    [
        (None, None, 1),
        (None, 2, 1),
        (None, 1, None),
        (Torn.NEW_FIRST, None, 2),
        (Torn.THEN_OLD, 1, 2),
    ],
)
def test_how_many_tries_a_card_must_have_to_spare(
    torn: Torn | None, tries_left: int | None, spare: int | None
) -> None:
    wanted = pins.Wanted(role=SSC, entry=Entry.VERIFY, tries_left=tries_left, torn=torn)

    assert wanted.spare == spare


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (OldPin.NEVER, NewPin.NONE, False),
        (OldPin.IF_SET, NewPin.NONE, True),
        (OldPin.NEVER, NewPin.KEEP, True),
        (OldPin.ALWAYS, NewPin.SET, True),
    ],
)
def test_a_region_wants_a_pin_of_either_card(
    old: OldPin, new: NewPin, *, wanted: bool
) -> None:
    assert PinPolicy(old=old, new=new).wanted is wanted
