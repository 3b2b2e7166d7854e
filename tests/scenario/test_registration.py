"""A region where the registration of a visit activates the card: nothing is sent by us, and
the centre is asked before and after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from plugin.activation.region import Clocks
from plugin.client import KaqiError
from tests.agents import QUICK, describe
from tests.centre import CentreProcess
from tests.scenario.counter import Counter
from tests.scenario.regions import counter_in

REGION = "v6-registration"


@pytest.fixture
def desk(tmp_path: Path, centre: CentreProcess) -> Iterator[Counter]:
    with counter_in(REGION, tmp_path, centre) as counter:
        yield counter


def registering(counter: Counter, person: str = "lin") -> None:
    counter.start("outpatient_registration")
    counter.put(f"{person}.social_security")
    counter.reaches("waiting_registration", "succeeded", "failed")


def durable(counter: Counter) -> str:
    intent = counter.now.data["result"]["activation"]
    return str(counter.pos.request("GET", f"/v1/activations/{intent}").body["state"])


@pytest.mark.parametrize(
    "scenario", ["outpatient_registration", "inpatient_registration"]
)
def test_once_the_visit_is_registered_the_centre_says_that_the_card_is_active(
    desk: Counter, centre: CentreProcess, scenario: str
) -> None:
    desk.start(scenario)
    desk.put("lin.social_security")
    waiting = desk.reaches("waiting_registration")

    assert waiting.outcome == "will_activate_on_registration"
    assert waiting.data["expects"] == {"what": "registration", "role": None}
    assert waiting.allowed_actions == ["cancel", "continue"]
    assert waiting.data["clock"] == "registration"
    assert waiting.holder is not None

    centre.set_standing("lin", "active")  # HIS registers the visit
    desk.now = desk.pos.kaqi.go_on(desk.now)
    ended = desk.reaches("succeeded")

    assert ended.outcome == "activated"
    assert ended.receipt("zh-CN")
    assert durable(desk) == "ACTIVE"
    assert "activations" not in centre.received
    assert centre.received["card-status"] == 2


def test_who_waits_for_a_result_is_answered_while_the_visit_is_not_registered(
    desk: Counter,
) -> None:
    desk.put("lin.social_security")
    body = {"kind": "activation", "scenario": "outpatient_registration"}

    answer = desk.pos.request(
        "POST",
        "/v1/transactions",
        {**body, "readers": desk.ids},
        key="visit-1",
        headers={"Prefer": "wait=20"},
    )

    assert answer.status == 202
    assert answer.body["state"] == "waiting_registration"
    assert answer.body["result"]["outcome"] == "will_activate_on_registration"


def test_the_next_visit_can_begin_while_one_is_being_registered(desk: Counter) -> None:
    registering(desk)
    first = desk.now
    desk.take()

    registering(desk, "he")

    assert desk.now.state == "waiting_registration"
    assert desk.pos.kaqi.get(first.id).state == "waiting_registration"


def test_before_the_visit_is_registered_the_centre_is_asked_in_vain(
    desk: Counter, centre: CentreProcess
) -> None:
    registering(desk)

    desk.now = desk.pos.kaqi.go_on(desk.now)
    desk.says("card.not_active_yet")

    assert desk.now.state == "waiting_registration"
    centre.set_standing("lin", "active")
    desk.now = desk.pos.kaqi.go_on(desk.now)
    assert desk.reaches("succeeded").outcome == "activated"


def test_an_answer_that_is_lost_is_asked_for_again(
    desk: Counter, centre: CentreProcess
) -> None:
    registering(desk)
    centre.set_standing("lin", "active")
    centre.misbehave("lose_answer", "card-status", times=1)

    desk.now = desk.pos.kaqi.go_on(desk.now)
    desk.says("centre.answer_invalid")

    assert desk.now.state == "waiting_registration"
    desk.now = desk.pos.kaqi.go_on(desk.now)
    assert desk.reaches("succeeded").outcome == "activated"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("lose_request", "centre.answer_invalid"),
        ("error_after_effect", "centre.answer_invalid"),
        ("wrong_echo", "centre.answer_invalid"),
        ("truncate", "centre.answer_invalid"),
        ("oversized", "centre.answer_invalid"),
        ("redirect", "centre.answer_invalid"),
        ("nonsense", "centre.answer_invalid"),
        ("slow", "centre.timeout"),
        ("silence", "centre.timeout"),
        ("stale", "card.not_active_yet"),
    ],
)
def test_an_answer_that_is_none_changes_nothing_and_is_asked_for_again(
    desk: Counter, centre: CentreProcess, fault: str, code: str
) -> None:
    registering(desk)
    centre.set_standing("lin", "active")
    centre.misbehave(fault, "card-status", times=1, seconds=60)

    desk.now = desk.pos.kaqi.go_on(desk.now)
    desk.says(code)

    assert desk.now.state == "waiting_registration"
    centre.let_go()
    desk.now = desk.pos.kaqi.go_on(desk.now)
    assert desk.reaches("succeeded").outcome == "activated"
    assert set(centre.received) == {"card-status"}


def test_a_question_that_comes_twice_is_answered_once(
    desk: Counter, centre: CentreProcess
) -> None:
    registering(desk)
    centre.set_standing("lin", "active")
    centre.misbehave("duplicate", "card-status", times=1)

    desk.now = desk.pos.kaqi.go_on(desk.now)

    assert desk.reaches("succeeded").outcome == "activated"
    assert durable(desk) == "ACTIVE"


@pytest.mark.parametrize(
    ("registered", "outcome", "state"),
    [
        (True, "activated", "ACTIVE"),
        (False, "will_activate_on_registration", "ABANDONED"),
    ],
)
def test_where_nobody_says_that_it_is_registered_the_centre_is_asked_in_the_end(
    tmp_path: Path,
    centre: CentreProcess,
    registered: bool,
    outcome: str,
    state: str,
) -> None:
    soon: Clocks = replace(QUICK, registration=1)
    with counter_in(REGION, tmp_path, centre, clocks=soon) as desk:
        registering(desk)
        if registered:
            centre.set_standing("lin", "active")

        assert desk.reaches("succeeded").outcome == outcome, describe(desk.now)
        assert durable(desk) == state
        assert bool(desk.now.receipt()) is registered


def test_a_visit_that_is_given_up_is_cancelled(desk: Counter) -> None:
    registering(desk)

    desk.now = desk.pos.kaqi.cancel(desk.now)

    assert desk.now.state == "cancelled"
    assert durable(desk) == "ABANDONED"


def test_a_card_that_is_active_waits_for_nothing(desk: Counter) -> None:
    registering(desk, "tang")

    assert desk.now.outcome == "already_active"


def test_a_pharmacy_activates_nothing_there(desk: Counter) -> None:
    refused = desk.pos.start("pharmacy")

    assert (refused.status, refused.code) == (403, "scenario.not_allowed_here")


def test_without_a_centre_the_queue_goes_on(
    desk: Counter, centre: CentreProcess
) -> None:
    centre.misbehave("lose_request")

    registering(desk)

    assert desk.now.outcome == "not_checked"


def test_a_registration_can_be_said_only_where_it_is_waited_for(desk: Counter) -> None:
    registering(desk, "tang")

    with pytest.raises(KaqiError, match=r"transaction\.bad_state"):
        desk.pos.kaqi.go_on(desk.now)
