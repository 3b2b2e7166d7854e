"""Cards of which nobody but they themselves knows whether they are active: whatever is done
with them, counter and journal say one thing, and the end is said once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from plugin.activation.saga import Activation, ActivationState
from plugin.agent import recovery
from plugin.agent.clerk import Clerk
from plugin.client import Transaction
from plugin.journal.port import JournalError
from plugin.journal.sqlite import SqliteJournal
from simulator.people import engine
from simulator.scenario import ScriptedCard
from tests.agents import QUICK
from tests.centre import CentreProcess
from tests.scenario.counter import Counter
from tests.scenario.regions import counter_in
from tests.scenario.test_pin_activates import (
    CHANGE,
    INITIAL,
    NEW,
    REGION,
    WRONG,
    activates,
    begins,
    durable,
    tears,
    types,
)
from tests.waiting import wait_until

REGISTERS = "v6-registration"


@pytest.fixture
def desk(tmp_path: Path, centre: CentreProcess) -> Iterator[Counter]:
    with counter_in(REGION, tmp_path, centre) as counter:
        yield counter


@pytest.fixture
def hospital(tmp_path: Path, centre: CentreProcess) -> Iterator[Counter]:
    with counter_in(REGISTERS, tmp_path, centre) as counter:
        yield counter


def again(counter: Counter, transaction: Transaction) -> Transaction:
    return counter.pos.kaqi.get(transaction.id)


def test_a_card_that_returns_and_leaves_says_the_same_in_both_transactions(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with counter_in(REGION, tmp_path, centre) as desk:
        lin, first = tears(desk, done=True)
        begins(desk, lin)
        types(desk, WRONG, None, "waiting_pin.social_security")
        assert again(desk, first).state == "in_doubt"
        assert again(desk, first).data["commit"] == "unknown"

        second = desk.now = desk.pos.kaqi.cancel(desk.now)

        assert (second.state, desk.code) == ("in_doubt", "card.must_return")
        assert again(desk, first).data["step"]["key"] == "in_doubt.card_must_return"
    with counter_in(REGION, tmp_path, centre) as desk:  # and after a restart
        for each in (first, second):
            known = again(desk, each)
            assert known.data["step"]["key"] == "in_doubt.card_must_return"
            assert known.data["commit"] == "unknown"


def test_an_initial_pin_on_a_torn_card_shows_that_nothing_was_changed(
    desk: Counter,
) -> None:
    lin, first = tears(desk, done=False)
    begins(desk, lin)
    types(desk, INITIAL, None, "waiting_pin.social_security.new")

    desk.now = desk.pos.kaqi.cancel(desk.now)

    assert desk.now.state == "cancelled"
    assert durable(desk, first) == "ABANDONED"
    assert again(desk, first).ended
    desk.take()
    begins(desk, lin)
    assert desk.code is None  # and nothing is left of the tear
    assert activates(desk).outcome == "activated"


def test_the_same_within_one_transaction(desk: Counter) -> None:
    lin = engine("lin.social_security")
    begins(desk, ScriptedCard(lin, pull_at=CHANGE))
    activates(desk)
    desk.take()
    desk.put(lin)
    desk.reaches("waiting_pin.social_security")
    types(desk, INITIAL, None, "waiting_pin.social_security.new")

    desk.now = desk.pos.kaqi.cancel(desk.now)

    assert desk.now.state == "cancelled"
    assert durable(desk, desk.now) == "ABANDONED"


def test_killed_between_the_cards_yes_and_the_journal_it_was_activated_here(
    tmp_path: Path, centre: CentreProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    lin = engine("lin.social_security")
    with counter_in(REGION, tmp_path, centre) as desk, monkeypatch.context() as killed:
        killed.setattr(Clerk, "_activate", lambda *_: None)  # the power fails here
        begins(desk, lin)
        types(desk, INITIAL, None, "waiting_pin.social_security.new")
        first = types(desk, INITIAL, NEW, "committing")
    with counter_in(REGION, tmp_path, centre) as desk:
        assert again(desk, first).state == "in_doubt"
        begins(desk, lin)
        assert desk.code == "pin.change_unknown"

        types(desk, NEW, None, "succeeded")

        assert again(desk, first).outcome == "activated"
        assert lin.counters.changes == 1


def fills_up(
    monkeypatch: pytest.MonkeyPatch, state: ActivationState, times: int
) -> list[int]:
    """A disk that has no room for this state, so often; how often still."""
    monkeypatch.setattr(recovery, "JOURNAL_RETRY_MS", 100)
    left = [times]
    save = SqliteJournal.save

    def on_a_full_disk(journal: SqliteJournal, record: Activation) -> Activation:
        if record.state is state and left[0]:
            left[0] -= 1
            raise JournalError("disk full")
        return save(journal, record)

    monkeypatch.setattr(SqliteJournal, "save", on_a_full_disk)
    return left


def test_what_the_card_has_done_is_written_as_soon_as_the_journal_can(
    desk: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = fills_up(monkeypatch, ActivationState.ACTIVE, 2)
    lin = engine("lin.social_security")
    begins(desk, lin)

    ended = activates(desk)

    assert ended.outcome == "activated"
    assert full == [0]
    assert durable(desk, ended) == "ACTIVE"


def test_an_end_is_written_as_soon_as_the_journal_can(
    desk: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = fills_up(monkeypatch, ActivationState.ABANDONED, 1)
    begins(desk, engine("lin.social_security"))

    desk.now = desk.pos.kaqi.cancel(desk.now)

    wait_until(lambda: durable(desk, desk.now) == "ABANDONED")
    assert full == [0]


def test_a_card_taken_from_one_transaction_to_another_is_not_the_disks_fault(
    desk: Counter,
) -> None:
    lin, both = engine("lin.social_security"), desk.ids
    desk.ids = both[:1]
    begins(desk, lin)
    types(desk, INITIAL, None, "waiting_pin.social_security.new")
    desk.take(0)
    desk.ids = both[1:]
    desk.start("outpatient_registration")
    desk.put(lin, 1)
    desk.reaches("waiting_confirm")
    desk.confirm()
    desk.reaches("waiting_pin.social_security")

    assert activates(desk).outcome == "activated"


def test_a_dry_run_of_a_card_in_doubt_says_so(desk: Counter) -> None:
    lin, first = tears(desk, done=True)

    desk.start("outpatient_registration", kind="dry_run")
    desk.put(lin)
    desk.reaches("succeeded")

    codes = [each["code"] for each in desk.now.notices]
    assert codes == ["card.must_return"]
    assert durable(desk, first) == "UNKNOWN"


def test_a_dry_run_of_an_activation_in_hand_says_so(
    counter: Counter, centre: CentreProcess
) -> None:
    centre.misbehave("lose_request", "activations")
    centre.misbehave("lose_request", "activation-status")
    counter.start("outpatient_registration")
    counter.put("lin.social_security")
    counter.reaches("in_doubt")
    counter.take()

    counter.start("outpatient_registration", kind="dry_run")
    counter.put("lin.social_security")
    counter.reaches("succeeded")

    codes = [each["code"] for each in counter.now.notices]
    assert codes == ["activation.in_hand"]


# Registrations.


def registering(counter: Counter) -> Transaction:
    counter.start("outpatient_registration")
    counter.put("lin.social_security")
    counter.reaches("waiting_registration")
    counter.take()
    return counter.now


def test_one_registration_is_one_activation(
    hospital: Counter, centre: CentreProcess
) -> None:
    visits = [registering(hospital), registering(hospital)]
    centre.set_standing("lin", "active")
    outcomes = []
    for visit in visits:
        hospital.now = hospital.pos.kaqi.go_on(visit)
        outcomes.append(hospital.reaches("succeeded").outcome)

    assert outcomes == ["activated", "already_active"]
    hospital.start("outpatient_registration")
    hospital.put("lin.social_security")
    third = hospital.reaches("succeeded")
    ours = [each.data["result"] for each in map(hospital.pos.kaqi.get, _ids(visits))]
    assert third.data["result"]["activation"] == ours[0]["activation"]


def _ids(visits: list[Transaction]) -> list[str]:
    return [each.id for each in visits]


def test_asking_again_and_again_does_not_put_the_end_off(
    tmp_path: Path, centre: CentreProcess
) -> None:
    soon = replace(QUICK, registration=1)
    with counter_in(REGISTERS, tmp_path, centre, clocks=soon) as hospital:
        registering(hospital)

        def ended() -> bool:
            now = again(hospital, hospital.now)
            if "continue" in now.allowed_actions:
                hospital.pos.request(
                    "POST",
                    f"/v1/transactions/{now.id}/continue",
                    {},
                    key=str(now.data["seq"]),
                )
            return now.ended

        wait_until(ended)
        last = again(hospital, hospital.now)

    assert last.outcome == "will_activate_on_registration"
    assert [each["code"] for each in last.notices] == ["card.not_active_yet"]


def test_restarted_while_the_visit_is_registered_it_says_what_will_be(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with counter_in(REGISTERS, tmp_path, centre) as hospital:
        visit = registering(hospital)
    with counter_in(REGISTERS, tmp_path, centre) as hospital:
        known = again(hospital, visit)

        assert known.outcome == "will_activate_on_registration"


def test_who_gives_up_after_the_registration_hears_that_it_may_have_worked(
    hospital: Counter, centre: CentreProcess
) -> None:
    registering(hospital)
    centre.misbehave("lose_answer", "card-status", times=1)
    hospital.now = hospital.pos.kaqi.go_on(hospital.now)
    hospital.says("centre.answer_invalid")

    left = hospital.pos.kaqi.cancel(hospital.now)

    assert left.state == "cancelled"
    assert [each["code"] for each in left.notices] == ["card.may_be_active"]
