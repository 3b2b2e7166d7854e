"""The centre is slow, refuses, loses answers or is gone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.reader import InProcessDesk
from tests.agents import running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter, new_card, two_cards

LOST = ["lose_answer", "lose_request", "error_after_effect", "wrong_echo", "nonsense"]


@pytest.fixture
def without_centre(tmp_path: Path) -> Iterator[Counter]:
    """A counter whose centre is gone."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    hand = InProcessDesk()
    with running(tmp_path, address, {"inprocess": hand}, hand) as started:
        yield Counter(started, hand)


@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer_is_asked_for_and_the_card_activated_once(
    counter: Counter, centre: CentreProcess, fault: str
) -> None:
    centre.misbehave(fault, "activations", times=1)
    two_cards(counter)

    counter.confirm()
    counter.reaches("in_doubt")
    assert counter.code == "centre.answer_lost"
    assert counter.now.allowed_actions == ["reconcile"]
    ended = counter.reaches("succeeded")

    assert ended.outcome == "activated"
    assert ended.data["commit"] == "committed"
    assert len(centre.effects) == 1


def test_a_late_answer_is_awaited_by_asking(
    counter: Counter, centre: CentreProcess
) -> None:
    centre.misbehave("slow", "activations", times=1, seconds=3)
    two_cards(counter)

    counter.confirm()
    counter.reaches("in_doubt")

    assert counter.reaches("succeeded").outcome == "activated"
    assert len(centre.effects) == 1


def test_in_doubt_cannot_be_cancelled_and_says_why(
    counter: Counter, centre: CentreProcess
) -> None:
    centre.misbehave("lose_answer", "activations", times=1)
    centre.misbehave("lose_request", "activation-status")
    two_cards(counter)
    counter.confirm()
    counter.reaches("in_doubt")

    refused = counter.pos.request(
        "POST", f"/v1/transactions/{counter.now.id}/cancel", {}, key="c"
    )

    assert refused.status == 409
    assert refused.code == "transaction.not_cancellable"
    assert refused.body["allowed_actions"] == ["reconcile"]
    centre.behave()
    assert counter.reaches("succeeded").outcome == "activated"


def test_while_in_doubt_the_next_person_is_served(
    counter: Counter, centre: CentreProcess
) -> None:
    centre.misbehave("lose_answer", "activations", times=1)
    centre.misbehave("lose_request", "activation-status", times=1)
    new_card(counter, "lin")
    doubtful = counter.now
    assert doubtful.state == "in_doubt"
    counter.clear()

    new_card(counter, "he")

    assert counter.now.outcome == "activated"
    assert counter.pos.until(doubtful, "succeeded").outcome == "activated"
    assert len(centre.effects) == 2


def test_the_same_card_again_while_in_doubt_joins_what_is_under_way(
    counter: Counter, centre: CentreProcess
) -> None:
    centre.misbehave("lose_request", "activations", times=1)
    centre.misbehave("lose_request", "activation-status", times=1)
    first = new_card(counter, "lin")
    assert first.state == "in_doubt"
    counter.clear()

    second = new_card(counter, "lin")

    assert second.state in ("in_doubt", "succeeded")
    second = counter.reaches("succeeded")
    first = counter.pos.until(first, "succeeded")
    assert first.data["result"]["activation"] == second.data["result"]["activation"]
    assert len(centre.effects) == 1


def test_a_refusal_carries_the_centres_words_and_does_not_stick(
    counter: Counter, centre: CentreProcess
) -> None:
    centre.misbehave("refuse", "activations", times=1)
    two_cards(counter)
    counter.confirm()

    refused = counter.reaches("failed")
    problem = refused.problem
    assert problem is not None
    assert problem["code"] == "centre.refused"
    assert problem["centre"] == {"code": "9", "text": "中心暂不受理"}
    assert centre.effects == []

    counter.clear()
    two_cards(counter)
    counter.confirm()
    assert counter.reaches("succeeded").outcome == "activated"


def test_a10_refused_at_one_till_and_accepted_at_another(
    counter: Counter, centre: CentreProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    centre.set_standing("lin", "lost")
    refused = two_cards(counter)
    assert counter.code == "card.lost"
    assert refused.state == "failed"

    centre.set_standing("lin", "inactive")
    hand = InProcessDesk()
    folder = tmp_path_factory.mktemp("other")
    with running(folder, centre.address, {"inprocess": hand}, hand) as started:
        other = Counter(started, hand)
        two_cards(other)
        other.confirm()

        assert other.reaches("succeeded").outcome == "activated"
    assert len(centre.effects) == 1


def test_activated_at_one_till_is_active_already_at_another(
    counter: Counter, centre: CentreProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    two_cards(counter)
    counter.confirm()
    first = counter.reaches("succeeded")

    hand = InProcessDesk()
    folder = tmp_path_factory.mktemp("other")
    with running(folder, centre.address, {"inprocess": hand}, hand) as started:
        other = Counter(started, hand)
        ended = two_cards(other)

    assert ended.outcome == "already_active"
    assert (
        ended.data["result"]["confirmation"]["since"]
        == (first.data["result"]["confirmation"]["since"])
    )
    assert len(centre.effects) == 1


def test_a_second_transaction_for_the_same_card_answers_with_the_first_receipt(
    counter: Counter, centre: CentreProcess
) -> None:
    first = new_card(counter, "lin").data["result"]
    counter.clear()

    second = new_card(counter, "lin").data["result"]

    assert second["outcome"] == "already_active"
    assert second["activation"] == first["activation"]
    assert second["confirmation"]["receipt_no"] == first["confirmation"]["receipt_no"]
    assert len(centre.effects) == 1


def test_a_pharmacy_without_an_answer_fails_before_anything_is_sent(
    counter: Counter, centre: CentreProcess
) -> None:
    centre.misbehave("slow", "card-status", seconds=5)

    ended = two_cards(counter)

    assert ended.state == "failed"
    assert counter.code == "centre.timeout"
    assert centre.effects == []


def test_a_pharmacy_whose_centre_is_gone_says_so(without_centre: Counter) -> None:
    ended = two_cards(without_centre)

    assert ended.state == "failed"
    assert without_centre.code == "centre.unreachable"


def test_a_hospitals_reading_arrives_although_the_centre_is_gone(
    without_centre: Counter,
) -> None:
    ended = new_card(without_centre)

    holder = ended.holder
    assert ended.state == "succeeded"
    assert ended.outcome == "not_checked"
    assert [notice["code"] for notice in ended.notices] == ["centre.unreachable"]
    assert holder is not None
    assert holder["name"] == "林试一"
    assert holder["card_identification_code"]


def test_a_hospitals_reading_arrives_before_the_centre_has_answered(
    counter: Counter, centre: CentreProcess
) -> None:
    centre.misbehave("slow", "card-status", seconds=1)
    counter.start("outpatient_registration")
    counter.put("lin.social_security")

    checking = counter.reaches("checking")

    assert checking.holder is not None
    assert checking.holder["social_security_number"] == "999901190102021017"
    assert counter.reaches("succeeded").outcome == "activated"


def test_a_registration_whose_answer_is_lost_lets_the_holder_go(
    counter: Counter, centre: CentreProcess
) -> None:
    centre.misbehave("lose_answer", "activations", times=1)
    centre.misbehave("lose_request", "activation-status", times=1)

    ended = new_card(counter)

    assert ended.state == "in_doubt"
    assert "持卡人可以离开" in ended.instruction()
    assert counter.pos.until(ended, "succeeded").outcome == "activated"
