"""The durable records as clients ask for them: page by page, by reference, and those that
have not ended."""

from __future__ import annotations

from typing import Any

from tests.agents import Pos
from tests.api.test_requests import assert_problem
from tests.centre import CentreProcess
from tests.scenario.counter import Counter
from tests.waiting import wait_until


def listed(pos: Pos, query: str = "") -> tuple[list[str], str | None]:
    """The references on one page, and where the next one begins."""
    answer = pos.request("GET", f"/v1/activations?{query}")
    assert answer.status == 200, answer.body
    return [each["pos_ref"] for each in answer.body["activations"]], answer.body["next"]


def begun(pos: Pos, *references: str) -> None:
    """Each is begun and cancelled, but for the last."""
    for reference in references:
        started = pos.start("pharmacy", {"pos_ref": reference})
        assert started.status == 202, started.body
        if reference != references[-1]:
            path = f"/v1/transactions/{started.body['id']}/cancel"
            assert pos.request("POST", path, {}, key=reference).status == 202


def test_every_record_is_on_some_page(pos: Pos) -> None:
    begun(pos, "sale-1", "sale-2", "sale-3")

    first, following = listed(pos, "limit=2")
    second, end = listed(pos, f"limit=2&before={following}")

    assert (first, second, end) == (["sale-3", "sale-2"], ["sale-1"], None)


def test_a_record_is_found_by_a_part_of_its_reference(pos: Pos) -> None:
    begun(pos, "sale-1", "Visit-1", "visit-2")

    assert listed(pos, "pos_ref=visit") == (["visit-2", "Visit-1"], None)
    assert listed(pos, "pos_ref=nobody") == ([], None)


def test_those_that_have_not_ended_are_asked_for_alone(pos: Pos) -> None:
    begun(pos, "sale-1", "sale-2")

    assert listed(pos, "unfinished=true") == (["sale-2"], None)
    (open_still,) = pos.kaqi.activations(limit=9, unfinished=True)
    assert open_still["pos_ref"] == "sale-2"


def test_what_is_no_record_is_not_before_any(pos: Pos) -> None:
    answer = pos.request("GET", "/v1/activations?before=yesterday")

    assert_problem(answer, 400, "request.invalid")
    assert answer.body["errors"][0]["pointer"] == "/query/before"


def only(pos: Pos) -> dict[str, Any]:
    (record,) = pos.request("GET", "/v1/activations").body["activations"]
    assert isinstance(record, dict)
    return record


def test_a_doubt_says_when_it_was_sent_and_when_it_is_looked_into_next(
    pos: Pos, counter: Counter, centre: CentreProcess
) -> None:
    centre.misbehave("lose_answer", "activations")
    centre.misbehave("lose_request", "activation-status")
    counter.start("pharmacy")
    before = only(pos)
    counter.put("lin.medical", 0)
    counter.reaches("waiting_card.social_security")
    counter.put("lin.social_security", 1)
    counter.reaches("waiting_confirm")
    counter.now = pos.kaqi.confirm(counter.now)
    counter.reaches("in_doubt")

    seen: list[dict[str, Any]] = []

    def is_waiting() -> bool:  # not being asked just now
        seen.append(only(pos))
        return seen[-1]["next_try_at"] is not None

    wait_until(is_waiting)
    doubt = seen[-1]
    centre.behave()
    counter.now = pos.kaqi.reconcile(counter.now)
    counter.reaches("succeeded")
    after = only(pos)

    assert (before["sent_at"], before["next_try_at"]) == (None, None)
    assert doubt["received_at"] <= doubt["sent_at"] <= doubt["next_try_at"]
    assert (after["sent_at"], after["next_try_at"]) == (doubt["sent_at"], None)
