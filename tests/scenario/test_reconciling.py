"""A POS in doubt has the centre asked now, over HTTP."""

from __future__ import annotations

from pathlib import Path

from simulator.reader import InProcessDesk
from tests.agents import Answer, Pos, running
from tests.api.test_requests import assert_problem
from tests.centre import CentreProcess
from tests.scenario.counter import Counter, new_card, two_cards
from tests.scenario.regions import counter_in
from tests.scenario.test_pin_activates import REGION as BY_PIN
from tests.scenario.test_pin_activates import tears
from tests.scenario.test_settling import CLASS_D


def reconcile(pos: Pos, transaction: str, key: str = "now") -> Answer:
    path = f"/v1/transactions/{transaction}/reconcile"
    return pos.request("POST", path, {}, key=key)


def loses_everything(centre: CentreProcess) -> None:
    centre.misbehave("lose_answer", "activations", times=1)
    centre.misbehave("lose_request", "activation-status")


def test_in_doubt_the_centre_is_asked_now_and_once_per_click(
    counter: Counter, centre: CentreProcess
) -> None:
    loses_everything(centre)
    doubtful = new_card(counter)

    first = reconcile(counter.pos, doubtful.id)
    again = reconcile(counter.pos, doubtful.id)

    assert (first.status, first.body["state"]) == (202, "in_doubt")
    assert first.headers["location"] == f"/v1/transactions/{doubtful.id}"
    assert again.headers["idempotency-replayed"] == "true"
    centre.behave()
    reconcile(counter.pos, doubtful.id, key="again")  # the clock may have been faster
    assert counter.reaches("succeeded").outcome == "activated"
    assert len(centre.effects) == 1
    assert len({each["activation_id"] for each in centre.messages}) == 1


def test_a_doubt_of_an_earlier_run_is_reconciled_too(
    tmp_path: Path, centre: CentreProcess
) -> None:
    hand = InProcessDesk()
    loses_everything(centre)
    with running(tmp_path, centre.address, {"inprocess": hand}, hand) as agent:
        doubtful = new_card(Counter(agent, hand))
    with running(tmp_path, centre.address, {"inprocess": hand}, hand) as agent:
        shown = agent.pos.kaqi.get(doubtful.id)

        answer = reconcile(agent.pos, doubtful.id)
        centre.behave()
        reconcile(agent.pos, doubtful.id, key="again")  # the clock may have been faster

        assert shown.allowed_actions == ["reconcile"]
        assert answer.status == 202
        assert agent.pos.until(shown, "succeeded").outcome == "activated"
    assert len(centre.effects) == 1


def test_who_is_not_in_doubt_has_nothing_to_reconcile(counter: Counter) -> None:
    confirming = two_cards(counter)

    refused = reconcile(counter.pos, confirming.id)
    counter.confirm()
    ended = counter.reaches("succeeded")
    late = reconcile(counter.pos, ended.id, key="late")

    assert_problem(refused, 409, "transaction.bad_state")
    assert refused.body["allowed_actions"] == ["cancel", "confirm"]
    assert_problem(late, 409, "transaction.bad_state")
    assert late.body["allowed_actions"] == ["acknowledge"]


def test_where_only_the_card_can_tell_it_is_wanted_back(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with counter_in(BY_PIN, tmp_path, centre) as desk:
        _, doubtful = tears(desk, done=True)

        refused = reconcile(desk.pos, doubtful.id)

    assert doubtful.allowed_actions == []
    assert_problem(refused, 409, "card.must_return")


def test_where_only_a_person_can_find_out_that_is_said(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with counter_in(CLASS_D, tmp_path, centre) as desk:
        centre.misbehave("lose_answer", "")
        desk.start("outpatient_registration")
        desk.put("lin.social_security")
        desk.reaches("waiting_pin")
        desk.now = desk.pos.kaqi.pin(desk.now, "123456")
        doubtful = desk.says("activation.needs_a_person")

        refused = reconcile(desk.pos, doubtful.id)

    assert doubtful.allowed_actions == []
    assert_problem(refused, 409, "activation.needs_a_person")
    assert refused.body["remedy"] == doubtful.data["problem"]["remedy"]
