"""Every transition of the durable activation, one row each."""

from __future__ import annotations

import hashlib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from plugin.activation import saga
from plugin.activation.problem import Problem, Refusal
from plugin.activation.saga import (
    Abilities,
    Activation,
    ActivationState,
    AskStatus,
    CardStep,
    Confirmation,
    Dedupe,
    Origin,
    Send,
    Step,
    Wake,
)

A = Abilities(dedupe=Dedupe.ID, can_tell_status=True, message_life_ms=60_000)
B = Abilities(dedupe=Dedupe.CARD, can_tell_status=True, message_life_ms=60_000)
C = Abilities(dedupe=Dedupe.DUPLICATE_CODE, message_life_ms=60_000)
D = Abilities()
ORIGIN = Origin(
    intent_id="i",
    client_id="pos",
    scenario="pharmacy",
    institution="H1",
    profile="reference@1",
)
NAME = "a" * 64
FRESH = Activation(origin=ORIGIN)
READY = saga.CardsAccepted(card_ref="ref", attempt=1, activation_id=NAME, message=b"{}")
SENDING = saga.step(FRESH, READY, 1_000, A).record
UNKNOWN = saga.step(SENDING, saga.NoAnswer(NAME, 1), 2_000, A).record
YES = Confirmation(by="answer")
NO = Refusal(code="9", text="不")


def test_ready_cards_are_sent_with_everything_in_the_record() -> None:
    step = saga.step(FRESH, READY, 1_000, A)

    assert step.effects == (Send(),)
    assert step.record == replace(
        FRESH,
        state=ActivationState.SENDING,
        card_ref="ref",
        attempt=1,
        activation_id=NAME,
        message=b"{}",
        began=1_000,
        sends=1,
    )


def test_a_card_found_active_needs_nothing_sent() -> None:
    step = saga.step(FRESH, saga.FoundActive(YES), 0, A)

    assert step == Step(replace(FRESH, state=ActivationState.ACTIVE, confirmation=YES))


@pytest.mark.parametrize(
    ("event", "ended_as", "code"),
    [
        (saga.Dropped("cancelled"), "cancelled", None),
        (saga.Dropped("failed", Problem("card.lost")), "failed", "card.lost"),
        (saga.Restarted(), "failed", "agent.restarted"),
    ],
)
def test_what_was_never_sent_is_abandoned(
    event: saga.Event, ended_as: str, code: str | None
) -> None:
    record = saga.step(FRESH, event, 0, A).record

    assert record.state is ActivationState.ABANDONED
    assert record.ended_as == ended_as
    assert (record.problem.code if record.problem else None) == code


VERIFYING = saga.CardAsked(CardStep.VERIFYING, tries_left=5)
CHANGING = saga.CardAsked(CardStep.CHANGING)


def test_what_a_card_is_asked_is_in_the_record_before_it_is_asked() -> None:
    verifying = saga.step(FRESH, VERIFYING, 0, A)
    changing = saga.step(verifying.record, CHANGING, 0, A)

    assert verifying.record == replace(
        FRESH,
        state=ActivationState.CARD_STEPS,
        card_step=CardStep.VERIFYING,
        tries_seen=5,
    )
    assert changing.record.card_step is CardStep.CHANGING
    assert verifying.effects == changing.effects == ()


@pytest.mark.parametrize("asked", [VERIFYING, CHANGING])
def test_a_restart_between_card_steps_sends_nothing(asked: saga.Event) -> None:
    record = saga.step(FRESH, asked, 0, A).record

    after = saga.step(record, saga.Restarted(), 0, A)

    assert after.record.state is ActivationState.ABANDONED
    assert after.record.problem == Problem("agent.restarted_at_card")
    assert after.effects == ()


def test_cards_that_were_asked_are_sent_like_any_others() -> None:
    record = saga.step(FRESH, CHANGING, 0, A).record

    sent = saga.step(record, READY, 1_000, A)

    assert sent.record.state is ActivationState.SENDING
    assert sent.effects == (Send(),)


@pytest.mark.parametrize("late", [VERIFYING, CHANGING])
def test_no_card_is_asked_once_the_centre_has_the_message(late: saga.Event) -> None:
    assert saga.step(SENDING, late, 2_000, A) == Step(SENDING)


@pytest.mark.parametrize("abilities", [A, B, C, D])
def test_an_answer_ends_it_in_every_class(abilities: Abilities) -> None:
    accepted = saga.step(SENDING, saga.Accepted(NAME, YES), 2_000, abilities)
    refused = saga.step(SENDING, saga.Refused(NAME, NO, 1), 2_000, abilities)

    assert accepted.record.state is ActivationState.ACTIVE
    assert refused.record.state is ActivationState.REJECTED
    assert refused.record.refusal == NO
    assert accepted.effects == refused.effects == ()


@pytest.mark.parametrize("event", [saga.NoAnswer(NAME, 1), saga.Restarted()])
def test_silence_is_never_failure(event: saga.Event) -> None:
    step = saga.step(SENDING, event, 2_000, A)

    assert step.record.state is ActivationState.UNKNOWN
    assert step.record.unanswered == 2_000
    assert step.effects == (Wake(within_ms=500),)


@pytest.mark.parametrize(
    ("abilities", "state"),
    [
        (A, ActivationState.UNKNOWN),
        (B, ActivationState.UNKNOWN),
        (C, ActivationState.UNKNOWN),
        (D, ActivationState.MANUAL),
    ],
)
def test_only_a_centre_that_can_do_nothing_needs_a_person_at_once(
    abilities: Abilities, state: ActivationState
) -> None:
    step = saga.step(SENDING, saga.NoAnswer(NAME, 1), 2_000, abilities)

    assert step.record.state is state


def test_the_status_is_asked_when_the_timer_rings() -> None:
    assert saga.step(UNKNOWN, saga.TimerRang(), 3_000, A) == Step(
        UNKNOWN, (AskStatus(),)
    )


@pytest.mark.parametrize(
    ("abilities", "asked", "effects", "sends"),
    [
        pytest.param(A, 3_000, (Send(),), 2, id="A sends the same id at once"),
        pytest.param(B, 3_000, (Wake(at_least_ms=59_000),), 1, id="B waits its life"),
        pytest.param(B, 62_000, (Send(),), 2, id="B sends after its life"),
    ],
)
def test_not_found_is_no_proof(
    abilities: Abilities, asked: int, effects: tuple[saga.Effect, ...], sends: int
) -> None:
    step = saga.step(UNKNOWN, saga.NotFound(NAME, asked), asked, abilities)

    assert step.effects == effects
    assert step.record.sends == sends
    assert (step.record.activation_id, step.record.message) == (NAME, b"{}")


def test_a_centre_that_only_knows_duplicates_is_sent_the_same_again() -> None:
    unknown = saga.step(SENDING, saga.NoAnswer(NAME, 1), 2_000, C).record

    step = saga.step(unknown, saga.TimerRang(), 3_000, C)

    assert step.effects == (Send(),)


@pytest.mark.parametrize(
    "late", [saga.Accepted("b" * 64, YES), saga.NoAnswer("b" * 64, 1)]
)
def test_an_answer_must_name_its_attempt(late: saga.Event) -> None:
    assert saga.step(SENDING, late, 2_000, A) == Step(SENDING)


def test_a_refusal_of_an_earlier_message_does_not_end_the_later_one() -> None:
    again = saga.step(UNKNOWN, saga.NotFound(NAME, 3_000), 3_000, A).record

    assert saga.step(again, saga.Refused(NAME, NO, 1), 4_000, A) == Step(again)


def test_a_refusal_after_a_silence_is_noted_and_sent_again_for_the_last_word() -> None:
    again = saga.step(UNKNOWN, saga.NotFound(NAME, 3_000), 3_000, A).record

    noted = saga.step(again, saga.Refused(NAME, NO, 2), 4_000, A)

    assert noted.record.state is ActivationState.UNKNOWN
    assert noted.record.refusal == NO
    assert noted.effects == (Wake(at_least_ms=58_000),)

    early = saga.step(noted.record, saga.NotFound(NAME, 5_000), 62_000, A)
    late = saga.step(noted.record, saga.NotFound(NAME, 62_000), 62_100, A)
    active = saga.step(noted.record, saga.Accepted(NAME, YES), 62_100, A)
    last_word = saga.step(late.record, saga.Refused(NAME, NO, 3), 62_200, A)

    assert early.record.state is ActivationState.UNKNOWN
    assert late.record.state is ActivationState.SENDING  # nothing found is no proof
    assert late.effects == (saga.Send(),)
    assert active.record.state is ActivationState.ACTIVE
    assert last_word.record.state is ActivationState.REJECTED


def test_an_old_refusal_is_no_last_word() -> None:
    late = replace(UNKNOWN, sends=2)

    step = saga.step(late, saga.Refused(NAME, NO, 1), 2_000 + A.message_life_ms, A)

    assert step.record.state is ActivationState.UNKNOWN


def test_where_the_status_cannot_be_asked_a_person_judges_such_a_refusal() -> None:
    again = replace(UNKNOWN, state=ActivationState.SENDING, sends=2)

    step = saga.step(again, saga.Refused(NAME, NO, 2), 4_000, C)

    assert step.record.state is ActivationState.MANUAL


def test_the_first_tries_are_quick_and_later_ones_spread_out() -> None:
    delays: list[saga.Effect] = []
    record = SENDING
    for number in range(12):
        event = saga.NoAnswer(NAME, 1 if number == 0 else 0)
        step = saga.step(record, event, 2_000, A)
        record = step.record
        delays += step.effects

    assert delays[:4] == [
        Wake(within_ms=500),
        Wake(within_ms=500, at_least_ms=2_000),
        Wake(within_ms=500, at_least_ms=6_000),
        Wake(within_ms=4_000),
    ]
    assert delays[-1] == Wake(within_ms=saga.BACKGROUND_DELAY_MAX_MS)


def test_a_day_without_progress_needs_a_person_and_goes_on_asking() -> None:
    late = SENDING.began + saga.PATIENCE_MS + 1

    step = saga.step(UNKNOWN, saga.NoAnswer(NAME), late, A)

    assert step.record.state is ActivationState.MANUAL
    assert step.effects == (Wake(at_least_ms=saga.MANUAL_DELAY_MS),)
    assert saga.step(step.record, saga.TimerRang(), late, A).effects == (AskStatus(),)
    ended = saga.step(step.record, saga.Accepted(NAME, YES), late, A).record
    assert ended.state is ActivationState.ACTIVE


def test_too_many_sends_need_a_person() -> None:
    tired = replace(UNKNOWN, sends=saga.SENDS_MAX)

    step = saga.step(tired, saga.NotFound(NAME, 3_000), 3_000, A)

    assert step.record.state is ActivationState.MANUAL


def test_where_nothing_can_be_asked_only_time_ends_the_sending() -> None:
    often = replace(UNKNOWN, sends=10 * saga.SENDS_MAX)
    late = SENDING.began + saga.PATIENCE_MS + 1

    sent = saga.step(often, saga.TimerRang(), 3_000, C)
    tired = saga.step(sent.record, saga.NoAnswer(NAME, sent.record.sends), late, C)

    assert sent.record.state is ActivationState.SENDING
    assert sent.effects == (Send(),)
    assert tired.record.state is ActivationState.MANUAL


def test_found_unfinished_a_doubtful_record_is_asked_about_at_once() -> None:
    counted = replace(UNKNOWN, crashes=1)
    assert saga.step(UNKNOWN, saga.Restarted(), 9_000, A) == Step(counted, (Wake(),))


@pytest.mark.parametrize("begun", [SENDING, UNKNOWN])
def test_what_the_agent_died_of_three_times_needs_a_person(begun: Activation) -> None:
    record = begun
    for _ in range(saga.CRASHES_MAX):
        assert record.state is not ActivationState.MANUAL
        record = saga.step(record, saga.Restarted(), 9_000, A).record

    assert record.state is ActivationState.MANUAL
    assert saga.step(record, saga.Accepted(NAME, YES), 9_000, A).record.state is (
        ActivationState.ACTIVE
    )


def test_an_errand_that_ends_clears_a_record_of_suspicion() -> None:
    twice = replace(UNKNOWN, crashes=saga.CRASHES_MAX - 1)

    silent = saga.step(twice, saga.NoAnswer(NAME), 9_000, A).record

    assert (silent.state, silent.crashes) == (ActivationState.UNKNOWN, 0)


def test_a_silent_centre_is_not_asked_from_manual_when_it_cannot_tell() -> None:
    manual = replace(UNKNOWN, state=ActivationState.MANUAL)

    assert saga.step(manual, saga.Restarted(), 9_000, D) == Step(manual)


def test_the_activation_id_is_the_same_at_every_till() -> None:
    code = "999901D15600000502000001FFFFFFFF"
    day = date(2026, 1, 15)

    name = saga.activation_id(code, day, 1)

    assert name == saga.activation_id(code.lower(), day, 1)
    assert len(name) == 64
    assert name != saga.activation_id(code, day, 2)
    assert name != saga.activation_id(code, date(2026, 1, 16), 1)
    assert name != saga.activation_id(code, None, 1)


BY_A_PERSON = saga.Settlement(
    verdict=saga.Verdict.ACTIVE,
    reason="asked by telephone",
    operator_ref="17",
    client_id="pos",
    at="2026-11-22T08:00:00+08:00",
)
any_event = st.sampled_from(
    [
        READY,
        saga.FoundActive(YES),
        saga.Dropped("cancelled"),
        saga.Accepted(NAME, YES),
        saga.Refused(NAME, NO, 1),
        saga.Refused(NAME, NO, 2),
        saga.NotFound(NAME, 0),
        saga.NotFound(NAME, 200_000),
        saga.NoAnswer(NAME),
        saga.NoAnswer(NAME, 1),
        saga.NoAnswer(NAME, 2),
        saga.TimerRang(),
        saga.Restarted(),
        saga.CardAsked(saga.CardStep.CHANGING, activates="card"),
        saga.CardAsked(saga.CardStep.VERIFYING, activates="card"),
        saga.CardKept(),
        saga.Settled(BY_A_PERSON),
    ]
)


@given(st.lists(any_event, max_size=25), st.sampled_from([A, B, C, D]))
def test_unknown_ends_only_by_an_answer(
    history: list[saga.Event], abilities: Abilities
) -> None:
    record = FRESH

    for number, event in enumerate(history):
        step = saga.step(record, event, number * 5_000, abilities)
        if record.state.is_terminal:
            assert step == Step(record)
        if record.state.may_have_been_sent and step.record.state.is_terminal:
            asked = saga.Accepted | saga.Refused | saga.NotFound | saga.FoundActive
            by_a_person = isinstance(event, saga.Settled)
            assert not by_a_person or saga.needs_a_person(record)
            assert (
                by_a_person
                or isinstance(event, asked)
                or (isinstance(event, saga.TimerRang) and record.refusal is not None)
            )
        if Send() in step.effects:
            assert step.record.state is ActivationState.SENDING
            assert step.record.message == b"{}"
        if record.state.may_have_been_sent:
            assert step.record.activation_id == record.activation_id
        record = step.record


def test_the_activation_id_of_a_card_is_what_it_always_was() -> None:
    code = "999901D15600000502000001FFFFFFFF"

    dated = saga.activation_id(code, date(2026, 1, 15), 1)
    undated = saga.activation_id(code, None, 1)

    text = f"kaqi activation 1|{code}|2026-01-15|1"
    assert dated == hashlib.new("sm3", text.encode()).hexdigest()
    assert (
        undated
        == hashlib.new("sm3", f"kaqi activation 1|{code}||1".encode()).hexdigest()
    )


def test_a_transaction_and_its_intent_name_each_other() -> None:
    intent = "0192f3a4-b5c6-7d8e-9f01-23456789abcd"

    transaction = saga.transaction_of(intent)

    assert transaction == "t-0192f3a4b5c67d8e9f0123456789abcd"
    assert saga.intent_of(transaction) == intent
    assert replace(ORIGIN, intent_id=intent).transaction_id == transaction


@pytest.mark.parametrize(
    ("began", "unanswered", "tried", "last"),
    [(3, None, 0, 3), (1, 5, 2, 5), (1, 2, 7, 7), (0, None, 0, 0)],
)
def test_the_latest_moment_a_record_knows_of(
    began: int, unanswered: int | None, tried: int, last: int
) -> None:
    record = replace(FRESH, began=began, unanswered=unanswered, tried=tried)

    assert saga.last_tick(record) == last


MANUAL = replace(UNKNOWN, state=ActivationState.MANUAL)
TORN = replace(
    FRESH,
    state=ActivationState.UNKNOWN,
    card_ref="ref",
    changing=True,
    changed_before=True,
)


@pytest.mark.parametrize(
    ("record", "needed"),
    [
        (MANUAL, True),
        (TORN, True),
        (UNKNOWN, False),
        (SENDING, False),
        (replace(FRESH, changing=True), False),
    ],
)
def test_a_person_is_needed_where_asking_has_led_nowhere(
    record: Activation, *, needed: bool
) -> None:
    assert saga.needs_a_person(record) is needed


@pytest.mark.parametrize(
    ("record", "outcome"), [(MANUAL, None), (TORN, "activated")], ids=["sent", "torn"]
)
def test_a_person_can_settle_it_either_way(
    record: Activation, outcome: str | None
) -> None:
    no = replace(BY_A_PERSON, verdict=saga.Verdict.REJECTED)

    active = saga.step(record, saga.Settled(BY_A_PERSON), 9_000, A)
    rejected = saga.step(record, saga.Settled(no), 9_000, A)

    assert active == Step(
        replace(
            record,
            state=ActivationState.ACTIVE,
            outcome=outcome,
            settlement=BY_A_PERSON,
            confirmation=Confirmation(by="person"),
        )
    )
    assert rejected == Step(
        replace(record, state=ActivationState.REJECTED, settlement=no)
    )


@pytest.mark.parametrize("record", [SENDING, UNKNOWN, FRESH])
def test_no_person_settles_what_is_still_asked_about(record: Activation) -> None:
    assert saga.step(record, saga.Settled(BY_A_PERSON), 9_000, A) == Step(record)


def test_by_what_the_centres_people_find_a_message_is_kept() -> None:
    step = saga.step(FRESH, replace(READY, sent_as="0001"), 1_000, A)

    assert step.record.sent_as == "0001"


def test_what_was_said_of_a_card_is_how_a_restart_ends_it() -> None:
    said = saga.step(FRESH, saga.Foreseen("already_active"), 0, A)

    ended = saga.step(said.record, saga.Restarted(), 0, A)

    assert said == Step(replace(FRESH, outcome="already_active"))
    assert ended == Step(
        replace(
            FRESH,
            state=ActivationState.ABANDONED,
            ended_as="succeeded",
            outcome="already_active",
        )
    )


def test_how_a_transaction_ended_is_kept_whole() -> None:
    why = Problem("card.in_hand")

    step = saga.step(FRESH, saga.Dropped("failed", why, "other", "not_checked"), 0, A)

    assert step == Step(
        replace(
            FRESH,
            state=ActivationState.ABANDONED,
            ended_as="failed",
            problem=why,
            superseded_by="other",
            outcome="not_checked",
        )
    )


@pytest.mark.parametrize(
    ("known", "found", "kept"),
    [(None, "found", "found"), ("known", "found", "known"), ("known", None, "known")],
)
def test_a_card_found_active_is_named_once(
    known: str | None, found: str | None, kept: str
) -> None:
    record = replace(FRESH, card_ref=known)

    step = saga.step(record, saga.FoundActive(YES, "already_active", found), 0, A)

    assert (step.record.card_ref, step.record.outcome) == (kept, "already_active")


@pytest.mark.parametrize("record", [UNKNOWN, MANUAL], ids=["unknown", "manual"])
def test_a_card_found_active_ends_every_doubt_about_it(record: Activation) -> None:
    active = replace(record, state=ActivationState.ACTIVE, confirmation=YES)

    found = saga.step(record, saga.FoundActive(YES), 9_000, A)
    told = saga.step(record, saga.Accepted(NAME, YES), 9_000, A)

    assert found == told == Step(active)


def test_a_refusal_of_what_was_silent_is_noted_while_it_is_unknown() -> None:
    step = saga.step(UNKNOWN, saga.Refused(NAME, NO, 1), 4_000, A)

    assert step == Step(replace(UNKNOWN, refusal=NO), (Wake(at_least_ms=58_000),))


@pytest.mark.parametrize(
    "event",
    [saga.NoAnswer(NAME), saga.NotFound(NAME, 9_000), saga.Restarted()],
)
def test_what_a_person_has_in_hand_is_still_asked_about_slowly(
    event: saga.Event,
) -> None:
    later = Step(MANUAL, (Wake(at_least_ms=saga.MANUAL_DELAY_MS),))

    assert saga.step(MANUAL, event, 9_000, A) == later
    assert saga.step(MANUAL, saga.TimerRang(), 9_000, A) == Step(MANUAL, (AskStatus(),))


def test_a_refusal_is_final_on_the_tick_when_no_message_can_arrive_any_more() -> None:
    refused = replace(UNKNOWN, refusal=NO)
    end = 2_000 + A.message_life_ms

    early = saga.step(refused, saga.NotFound(NAME, end - 1), end, A)
    due = saga.step(refused, saga.NotFound(NAME, end), end, A)
    sent = replace(refused, state=ActivationState.SENDING, sends=2)
    soon = saga.step(sent, saga.Refused(NAME, NO, 2), end - 1, A)
    last = saga.step(sent, saga.Refused(NAME, NO, 2), end, A)
    again = saga.step(UNKNOWN, saga.NotFound(NAME, end - 1), end, B)

    assert early == Step(refused, (Wake(at_least_ms=1),))
    assert due.record.state is ActivationState.SENDING
    assert soon.record.state is ActivationState.UNKNOWN
    assert last.record.state is ActivationState.REJECTED
    assert again == Step(UNKNOWN, (Wake(at_least_ms=1),))


def test_a_second_change_of_a_card_remembers_that_the_first_may_have_worked() -> None:
    change = saga.CardAsked(CardStep.CHANGING, activates="ref")
    verify = saga.CardAsked(CardStep.VERIFYING, activates="ref")

    once = saga.step(FRESH, change, 0, A).record
    twice = saga.step(once, change, 0, A).record
    checked = saga.step(twice, verify, 0, A).record
    checked_once = saga.step(once, verify, 0, A).record

    assert (once.changing, once.changed_before) == (True, False)
    assert (twice.changing, twice.changed_before) == (True, True)
    assert (checked.changing, checked.changed_before) == (True, True)
    assert (checked_once.changing, checked_once.changed_before) == (True, False)
    kept_once = saga.step(once, saga.CardKept(), 0, A).record
    kept_twice = saga.step(twice, saga.CardKept(), 0, A).record
    assert (kept_once.changing, kept_once.changed_before) == (False, False)
    assert (kept_twice.changing, kept_twice.changed_before) == (True, True)


def test_only_a_change_that_activates_names_the_card_of_the_record() -> None:
    named = replace(FRESH, card_ref="before")

    verifying = saga.CardAsked(CardStep.VERIFYING, activates="ref")

    assert saga.step(named, verifying, 0, A).record.card_ref == "before"
    assert saga.step(named, CHANGING, 0, A).record.card_ref == "before"


def test_patience_ends_after_the_last_millisecond_of_a_day() -> None:
    end = SENDING.began + saga.PATIENCE_MS

    last = saga.step(UNKNOWN, saga.NoAnswer(NAME), end, A)
    over = saga.step(UNKNOWN, saga.NoAnswer(NAME), end + 1, A)

    assert last.record.state is ActivationState.UNKNOWN
    assert over.record.state is ActivationState.MANUAL


def test_a_silence_about_an_earlier_message_says_nothing_of_the_later_one() -> None:
    again = saga.step(UNKNOWN, saga.NotFound(NAME, 3_000), 3_000, A).record

    assert saga.step(again, saga.NoAnswer(NAME, 1), 4_000, A) == Step(again)
