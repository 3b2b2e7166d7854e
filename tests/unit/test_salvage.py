"""What becomes of each record when a journal is made of a damaged one and a copy."""

from __future__ import annotations

from uuid import UUID

import pytest
from msgspec.structs import replace

from plugin.activation import saga
from plugin.activation.journey import told_by
from plugin.activation.problem import Problem, Refusal
from plugin.activation.saga import (
    TERMINAL,
    Abilities,
    Activation,
    ActivationState,
    AskStatus,
    CardStep,
    Dedupe,
    Origin,
    Send,
    Step,
    Wake,
)
from plugin.journal.salvage import GAP, Plan, Remains, Row, began_ms, merged
from plugin.profile_file import load_profile

COPIED, WRITTEN = "2026-11-22T03:00:00+08:00", "2026-11-22T18:00:00+08:00"
UNFINISHED = [state for state in ActivationState if state not in TERMINAL]
ASKED = Abilities(dedupe=Dedupe.ID, can_tell_status=True)
EVENTS = (
    saga.Restarted(),
    saga.TimerRang(),
    saga.NoAnswer("a"),
    saga.NotFound("a", 9_999_999_999),
    saga.Refused("a", Refusal(code="9", text=""), 1),
    saga.Dropped("failed"),
    saga.CardKept(),
)


def record(number: int, state: ActivationState, version: int = 1) -> Activation:
    """With as much in it as this state has."""
    origin = Origin(
        intent_id=str(UUID(int=number << 64)),
        client_id="pos",
        scenario="pharmacy",
        institution="H1",
        profile="reference@1",
    )
    begun = Activation(origin=origin, state=state, version=version)
    if state in (ActivationState.RECEIVED, ActivationState.CARD_STEPS):
        return begun
    return replace(
        begun, card_ref=f"card-{number}", activation_id="a", message=b"m", sends=1
    )


def row(kept: Activation) -> Row:
    number = int(kept.origin.intent_id.replace("-", "")[:16], 16)
    return Row(
        number=number,
        state=kept.state.value,
        version=kept.version,
        card_ref=kept.card_ref,
        columns=(number, kept.origin.intent_id),
        record=None if kept.state in TERMINAL else kept,
    )


def file(*records: Activation, is_copy: bool = False, **more: object) -> Remains:
    rows = {each.number: each for each in map(row, records)}
    made = COPIED if is_copy else WRITTEN
    return replace(Remains(made=made, is_copy=is_copy, records=rows), **more)


def copy(*records: Activation) -> Remains:
    return file(*records, is_copy=True)


def states(plan: Plan) -> dict[int, str]:
    doubtful = {row(each).number: each.state.value for each in plan.doubtful}
    return {each.number: each.state for each in plan.rows} | doubtful


def of_the_copy(kept: Activation) -> Activation:
    """What becomes of a record that only the copy has."""
    (doubtful,) = merged([file(), copy(kept)], 0).doubtful
    return doubtful


@pytest.mark.parametrize("state", UNFINISHED)
def test_what_only_a_copy_has_unfinished_goes_to_a_person(
    state: ActivationState,
) -> None:
    kept = record(1, state, version=4)

    doubtful = of_the_copy(kept)

    assert doubtful.state is ActivationState.MANUAL
    assert saga.needs_a_person(doubtful)
    assert doubtful.version == 5
    assert (doubtful.card_ref, doubtful.activation_id) == (
        kept.card_ref,
        kept.activation_id,
    )
    facts = {"copy": COPIED, "message": kept.activation_id or ""}
    assert doubtful.problem == Problem("activation.restored", facts)


@pytest.mark.parametrize("state", [ActivationState.CARD_STEPS, ActivationState.UNKNOWN])
def test_a_change_that_only_a_copy_knows_waits_for_its_card(
    state: ActivationState,
) -> None:
    begun = record(1, ActivationState.RECEIVED)
    asked = replace(
        begun, state=state, changing=True, card_ref="x", card_step=CardStep.CHANGING
    )

    doubtful = of_the_copy(asked)

    assert doubtful.state is ActivationState.UNKNOWN
    assert doubtful.changing
    assert saga.needs_a_person(doubtful)
    kept = saga.step(doubtful, saga.Restarted(), 0, ASKED)
    assert kept == Step(doubtful)


@pytest.mark.parametrize("state", UNFINISHED)
@pytest.mark.parametrize("abilities", [ASKED, Abilities()], ids=["A", "D"])
def test_it_is_never_sent_nor_called_anything_by_itself(
    state: ActivationState, abilities: Abilities
) -> None:
    now = of_the_copy(record(1, state))
    effects: list[saga.Effect] = []

    for event in EVENTS * 20:
        step = saga.step(now, event, 10**12, abilities)
        now = step.record
        effects += step.effects

    assert now.state is ActivationState.MANUAL
    assert not any(isinstance(each, Send) for each in effects)
    assert all(isinstance(each, AskStatus | Wake) for each in effects)


def test_one_without_an_id_is_not_asked_about() -> None:
    begun = of_the_copy(record(1, ActivationState.RECEIVED))
    sent = of_the_copy(record(1, ActivationState.SENDING))

    assert saga.step(begun, saga.Restarted(), 0, ASKED).effects == ()
    assert saga.step(sent, saga.Restarted(), 0, ASKED).effects != ()


def test_it_says_at_the_counter_where_it_comes_from() -> None:
    _, problem = told_by(
        of_the_copy(record(1, ActivationState.SENDING)), load_profile("reference")
    )

    assert problem is not None
    assert problem.code == "activation.restored"
    assert problem.facts["copy"] == COPIED


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_what_has_ended_is_the_same_wherever_it_is_found(
    state: ActivationState,
) -> None:
    plan = merged([file(record(1, state)), copy(record(2, state))], 0)

    assert states(plan) == {1: state, 2: state}
    assert plan.doubtful == ()
    assert plan.from_copies == 1


@pytest.mark.parametrize("state", UNFINISHED)
def test_what_the_journal_itself_has_goes_on_as_it_is(state: ActivationState) -> None:
    ours = record(1, state, version=3)

    plan = merged([file(ours), copy(record(1, ActivationState.RECEIVED))], 0)

    assert plan.rows == (row(ours),)
    assert plan.doubtful == ()
    assert plan.from_copies == 0


def test_the_newer_version_wins_and_one_that_has_ended_beats_both() -> None:
    older = record(1, ActivationState.RECEIVED, version=0)
    newer = record(1, ActivationState.SENDING, version=2)
    ended = record(1, ActivationState.ACTIVE, version=1)

    assert states(merged([file(newer), copy(older)], 0)) == {1: "SENDING"}
    assert states(merged([file(older), copy(newer)], 0)) == {1: "MANUAL"}
    assert states(merged([file(newer), copy(ended)], 0)) == {1: "ACTIVE"}
    assert states(merged([file(ended), copy(newer)], 0)) == {1: "ACTIVE"}


@pytest.mark.parametrize(
    ("later", "let_go"),
    [
        (record(2, ActivationState.SENDING), True),
        (record(2, ActivationState.REJECTED), True),
        (record(2, ActivationState.ABANDONED), False),
    ],
    ids=lambda each: each.state.value if isinstance(each, Activation) else None,
)
def test_a_card_that_a_later_record_has_had_is_let_go(
    later: Activation, let_go: bool
) -> None:
    sent = replace(record(1, ActivationState.SENDING), card_ref="card")

    plan = merged([file(replace(later, card_ref="card")), copy(sent)], 0)

    (doubtful,) = plan.doubtful
    assert doubtful.card_ref == (None if let_go else "card")


def test_of_two_doubtful_records_one_keeps_the_card() -> None:
    older, newer = (
        replace(record(number, ActivationState.SENDING), card_ref="card")
        for number in (1, 2)
    )

    plan = merged([copy(older), copy(newer)], 0)

    assert [each.card_ref for each in plan.doubtful] == [None, "card"]


def test_requests_and_torn_changes_are_united_and_ours_win() -> None:
    ours = replace(
        file(), requests={("a",): ("a", 1), ("b",): ("b", 1)}, torn={("x",): ("x", 1)}
    )
    theirs = replace(copy(), requests={("a",): ("a", 0), ("c",): ("c", 0)})

    plan = merged([ours, theirs], 0)

    assert set(plan.requests) == {("a", 1), ("b", 1), ("c", 0)}
    assert plan.torn == (("x", 1),)


@pytest.mark.parametrize("now_ms", [0, 10**13])
def test_counters_go_on_beyond_everything_that_was_told(now_ms: int) -> None:
    ours, theirs = file(counters={"events": 10**12}), copy()
    theirs = replace(theirs, counters={"events": 10**12 + 5, "other": 3})

    counters = merged([ours, theirs], now_ms).counters

    assert counters["events"] == max(10**12 + 5, now_ms) + GAP
    assert counters["other"] == 3  # it measures something
    assert counters["epochs"] == now_ms + GAP


def test_what_nobody_has_is_named_with_its_time() -> None:
    moment = 1_795_000_000_000
    lost, found = moment << 16, 1
    ours = file(missing=frozenset({lost, found}))

    plan = merged([ours, copy(record(1, ActivationState.ACTIVE))], 0)

    assert plan.lost == (lost,)
    assert began_ms(plan.lost[0]) == moment
    assert not plan.has_gap


def test_the_hours_are_those_since_the_copy() -> None:
    broken = merged([file(broken=True), copy()], 0)
    without = merged([file(broken=True)], 0)
    older = merged([copy()], 0)

    assert (broken.has_gap, broken.since, broken.until) == (True, COPIED, WRITTEN)
    assert (without.has_gap, without.since, without.until) == (True, None, WRITTEN)
    assert (older.has_gap, older.since, older.until) == (True, COPIED, None)
