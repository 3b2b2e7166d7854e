"""What nobody can be asked about is settled by a person, once, with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin.client import KaqiError
from plugin.journal.sqlite import SqliteJournal
from simulator.people import engine
from tests.agents import Answer
from tests.centre import CentreProcess
from tests.scenario.counter import Counter
from tests.scenario.regions import counter_in
from tests.scenario.test_pin_activates import REGION as BY_PIN
from tests.scenario.test_pin_activates import begins, tears

REASON = "电话核实，接话人工号 17"
CLASS_D = "v3-old-pin"


@pytest.fixture
def doubtful(tmp_path: Path, centre: CentreProcess) -> Iterator[Counter]:
    """A centre of class D has not answered."""
    with counter_in(CLASS_D, tmp_path, centre) as counter:
        centre.misbehave("lose_answer", "")
        counter.start("outpatient_registration", pos_ref="visit-7")
        counter.put("lin.social_security")
        counter.reaches("waiting_pin")
        counter.now = counter.pos.kaqi.pin(counter.now, "123456")
        counter.reaches("in_doubt")
        counter.says("activation.needs_a_person")
        yield counter


def record(counter: Counter) -> dict[str, Any]:
    intent = counter.now.data["result"]["activation"]
    found: dict[str, Any] = counter.pos.request("GET", f"/v1/activations/{intent}").body
    return found


def settles(counter: Counter, verdict: str, key: str = "s-1", **more: str) -> Answer:
    body = {"verdict": verdict, "reason": REASON, "operator_ref": "17", **more}
    path = f"/v1/activations/{record(counter)['id']}/settle"
    return counter.pos.request("POST", path, body, key=key)


def test_a9_a_doubt_comes_with_all_that_a_telephone_call_needs(
    doubtful: Counter,
) -> None:
    found = record(doubtful)

    assert found["state"] == "MANUAL"
    assert found["needs_a_person"]
    assert found["sends"] == 1
    assert found["pos_ref"] == "visit-7"
    assert found["institution"]
    assert found["received_at"]
    message = found["sent_as"]
    assert len(message) == 30  # as the centre knows it
    problem = doubtful.now.problem
    assert problem is not None
    assert message in problem["messages"]["zh-CN"] + " ".join(
        problem["remedy"]["zh-CN"]
    )
    assert doubtful.now.data["step"]["key"] == "in_doubt.needs_a_person"


@pytest.mark.parametrize(
    ("verdict", "state", "ends"),
    [("active", "ACTIVE", "succeeded"), ("rejected", "REJECTED", "failed")],
)
def test_a_person_ends_it(
    doubtful: Counter, verdict: str, state: str, ends: str
) -> None:
    answer = settles(doubtful, verdict)

    assert (answer.status, answer.body["state"]) == (200, state)
    settlement = answer.body["settlement"]
    assert (settlement["verdict"], settlement["reason"]) == (verdict, REASON)
    assert settlement["operator_ref"] == "17"
    assert settlement["at"]
    ended = doubtful.reaches(ends)
    if verdict == "active":
        assert ended.outcome == "activated"
        assert ended.data["result"]["confirmation"]["by"] == "person"
    else:
        assert doubtful.code == "activation.settled_as_rejected"


def test_it_is_settled_once(doubtful: Counter) -> None:
    first = settles(doubtful, "active")
    again = settles(doubtful, "active")
    other = settles(doubtful, "rejected")
    later = settles(doubtful, "rejected", key="s-2")

    assert again.body == first.body
    assert (other.status, other.code) == (422, "idempotency.key_reused")
    assert (later.status, later.code) == (409, "activation.not_for_a_person")
    assert record(doubtful)["state"] == "ACTIVE"


def test_after_a_no_the_card_can_be_sent_again_under_a_new_id(
    doubtful: Counter, centre: CentreProcess
) -> None:
    first = record(doubtful)["activation_id"]
    settles(doubtful, "rejected")
    doubtful.take()
    centre.reset()

    doubtful.start("outpatient_registration")
    doubtful.put("lin.social_security")
    doubtful.reaches("waiting_pin")
    doubtful.now = doubtful.pos.kaqi.pin(doubtful.now, "123456")
    assert doubtful.reaches("succeeded").outcome == "activated"

    assert record(doubtful)["activation_id"] != first
    assert record(doubtful)["attempt"] == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": ""},
        {"reason": "林试一 999901190102021017"},
        {"reason": "one\nline"},
        {"operator_ref": "999901190102021017"},
        {"verdict": "perhaps"},
        {"reason": "x" * 501},
    ],
)
def test_what_cannot_stand_in_the_journal_is_refused(
    doubtful: Counter, wrong: dict[str, str]
) -> None:
    answer = settles(doubtful, wrong.get("verdict", "active"), **_without(wrong))

    assert (answer.status, answer.code) == (400, "request.invalid")
    assert record(doubtful)["state"] == "MANUAL"


def _without(said: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in said.items() if key != "verdict"}


def test_only_what_needs_a_person_is_a_persons(counter: Counter) -> None:
    counter.start("outpatient_registration")
    counter.put("lin.social_security")
    counter.reaches("succeeded")

    answer = settles(counter, "rejected")

    assert (answer.status, answer.code) == (409, "activation.not_for_a_person")
    unknown = counter.pos.request(
        "POST",
        "/v1/activations/01a20000-0000-7000-8000-000000000000/settle",
        {"verdict": "active", "reason": "x", "operator_ref": "1"},
        key="s-9",
    )
    assert unknown.status == 404


def test_it_takes_the_scope_of_an_operator(doubtful: Counter) -> None:
    started = doubtful.running
    pos = type(doubtful.pos)(
        started.port, started.folder.pair("till", ("read", "activate"))
    )
    body = {"verdict": "active", "reason": "x", "operator_ref": "1"}

    path = f"/v1/activations/{record(doubtful)['id']}/settle"
    refused = pos.request("POST", path, body, key="s-3")

    assert refused.status == 403


def test_a_card_that_never_returns_is_settled_too(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with counter_in(BY_PIN, tmp_path, centre) as counter:
        lin, left = tears(counter, done=True)
        counter.now = left
        assert record(counter)["needs_a_person"]

        answer = settles(counter, "active")

        assert answer.body["state"] == "ACTIVE"
        assert counter.pos.kaqi.get(left.id).outcome == "activated"
        counter.take()
        begins(counter, lin)
        assert counter.now.outcome == "already_active"


def test_the_reason_lies_sealed_in_the_journal(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with counter_in(BY_PIN, tmp_path, centre) as counter:
        _, left = tears(counter, done=True)
        counter.now = left
        settles(counter, "active")
        keys = counter.running.folder.keys()
        path = counter.running.folder.journal

    written = b"".join(
        each.read_bytes() for each in path.parent.glob("journal.db*") if each.is_file()
    )
    assert REASON.encode() not in written
    journal = SqliteJournal(path, keys)
    (active,) = [each for each in journal.recent(9) if each.settlement]
    assert active.settlement is not None
    assert active.settlement.reason == REASON
    journal.close()


def test_the_clients_can_do_it(doubtful: Counter) -> None:
    (waiting,) = [
        each for each in doubtful.pos.kaqi.activations() if each["needs_a_person"]
    ]

    settled = doubtful.pos.kaqi.settle(waiting["id"], "active", REASON, "17")

    assert settled["state"] == "ACTIVE"
    with pytest.raises(KaqiError, match="not_for_a_person"):
        doubtful.pos.kaqi.settle(waiting["id"], "rejected", REASON, "17")


def test_the_card_of_a_doubt_is_not_sent_again(
    doubtful: Counter, centre: CentreProcess
) -> None:
    sent = dict(centre.received)
    doubtful.take()
    doubtful.start("outpatient_registration")
    doubtful.put(engine("lin.social_security"))
    doubtful.reaches("waiting_pin")
    doubtful.now = doubtful.pos.kaqi.pin(doubtful.now, "123456")
    doubtful.reaches("in_doubt")

    assert doubtful.code == "activation.needs_a_person"
    assert centre.received == sent
