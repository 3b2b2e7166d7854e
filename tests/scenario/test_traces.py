"""What the log tells of one request: everything under one trace id, and nothing of it at the
expense of whoever stands at the counter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin.client import Transaction
from simulator.reader import InProcessDesk
from tests.agents import Pos, Running, running
from tests.centre import CentreProcess
from tests.contract.liar import Liar, http
from tests.scenario.counter import Counter, new_card, two_cards
from tests.waiting import wait_until

THEIRS = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{THEIRS}-00f067aa0ba902b7-01"
SOMEBODY = f"00-ab999901190102021017{'c' * 12}-00f067aa0ba902b7-01"
UNTRACED = (
    "",
    "garbage",
    PARENT.upper(),
    f"00-{'0' * 32}-00f067aa0ba902b7-01",
    PARENT.replace("00-", "ff-", 1),
    SOMEBODY,
)


def lines(
    folder: Path, name: str = "kaqi.log", **wanted: object
) -> list[dict[str, Any]]:
    """The lines that have these fields."""
    written = (folder / "logs" / name).read_text("utf-8").splitlines()
    found = map(json.loads, written)
    return [each for each in found if wanted.items() <= each.items()]


def traced(counter: Counter, scenario: str, parent: str) -> str:
    """A transaction that a tracing client begins; the Trace-Id of its answer."""
    body = {"kind": "activation", "scenario": scenario, "readers": counter.ids}
    answer = counter.pos.request(
        "POST", "/v1/transactions", body, key=parent, headers={"traceparent": parent}
    )
    assert answer.status == 202, answer.body
    counter.now = Transaction(answer.body)
    return answer.headers["trace-id"]


def test_one_trace_leads_from_the_request_to_the_cards_and_the_centre(
    tmp_path: Path, counter: Counter
) -> None:
    trace = traced(counter, "outpatient_registration", PARENT)
    counter.put("qin.social_security")  # a card that wants the PSAM
    counter.reaches("succeeded")

    wait_until(lambda: bool(lines(tmp_path, event="transaction.completed")))
    found = lines(tmp_path, trace_id=trace)
    assert trace == THEIRS
    said = {each["event"] for each in found}
    assert {"request", "transaction.created", "apdu", "centre asked"} <= said
    assert {"activation.changed", "transaction.completed"} <= said
    readers = {each["reader"] for each in found if each["event"] == "apdu"}
    assert readers == {counter.ids[0], "PSAM"}
    questions = [each["question"] for each in found if each["event"] == "centre asked"]
    assert questions == ["card-status", "activations"]


def test_a_trace_id_that_is_none_or_names_somebody_is_not_taken(
    counter: Counter,
) -> None:
    answers = [
        counter.pos.request("GET", "/v1/readers", headers={"traceparent": parent})
        for parent in UNTRACED
    ]

    assert [len(each.headers["trace-id"]) for each in answers] == [16] * len(UNTRACED)


def test_who_had_what_done_is_audited(tmp_path: Path, counter: Counter) -> None:
    two_cards(counter)
    counter.confirm()
    counter.reaches("succeeded")
    counter.pos.request("POST", "/v1/transactions/nobodys/confirm", {}, key="wrong")

    wait_until(lambda: len(lines(tmp_path, "audit.log", event="request")) == 3)
    asked = lines(tmp_path, "audit.log", event="request")
    told = [(each["route"], each["status"], each["client"]) for each in asked]
    one = "/v1/transactions/{transaction_id}/confirm"
    assert told[:2] == [("/v1/transactions", 202, "pos"), (one, 202, "pos")]
    assert told[2][1] >= 400
    subjects = [each.get("subject") for each in asked]
    assert subjects == [None, f"transactions/{counter.now.id}", None]
    assert lines(tmp_path, "audit.log", event="transaction.completed")
    kinds = {each["event"] for each in lines(tmp_path, "audit.log")}
    assert not kinds & {"apdu", "card.inserted", "centre asked", "transaction.changed"}


def test_what_only_reads_is_noted_at_debug_level_and_never_by_its_path(
    tmp_path: Path, counter: Counter
) -> None:
    stranger = Pos(counter.pos.port, "")
    counter.pos.request("GET", "/v1/readers?x=y")
    counter.pos.request("GET", "/v1/nobodys-path")
    stranger.request("GET", "/healthz", without=("Authorization",))

    wait_until(lambda: bool(lines(tmp_path, route="/healthz")))
    found = {each["trace_id"]: each for each in lines(tmp_path, logger="kaqi.requests")}
    told = [(each["event"], each.get("route")) for each in found.values()]
    assert ("request", "/v1/readers") in told
    assert ("request", None) in told
    assert ("a stranger's request", "/healthz") in told
    reading = (each for each in found.values() if each["method"] == "GET")
    assert {each["level"] for each in reading} == {"debug"}
    written = (tmp_path / "logs" / "kaqi.log").read_text("utf-8")
    assert "nobodys-path" not in written
    assert "x=y" not in written


def test_what_a_broken_centre_answered_is_told_by_its_status(tmp_path: Path) -> None:
    hand = InProcessDesk()
    with (
        Liar(http(b"", "502 Bad Gateway")) as liar,
        running(tmp_path, liar.address, {"inprocess": hand}, hand) as agent,
    ):
        new_card(Counter(agent, hand))

    asked = lines(tmp_path, event="centre asked")[0]
    assert (asked["question"], asked["status"]) == ("card-status", 502)
    assert asked["code"] == "centre.answer_invalid"


@pytest.fixture(params=["full disk", "a folder in its place"])
def speechless(
    request: pytest.FixtureRequest, tmp_path: Path, centre: CentreProcess
) -> Iterator[tuple[Running, InProcessDesk]]:
    """An agent that cannot write its log."""
    log = tmp_path / "logs" / "kaqi.log"
    log.parent.mkdir()
    if request.param == "full disk":
        log.symlink_to("/dev/full")
    else:
        log.mkdir()
    hand = InProcessDesk()
    with running(tmp_path, centre.address, {"inprocess": hand}, hand) as agent:
        yield agent, hand


def test_a_log_that_cannot_be_written_hurts_no_transaction(
    speechless: tuple[Running, InProcessDesk],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    counter = Counter(*speechless)

    assert new_card(counter).outcome == "activated"

    complaints = capfd.readouterr().err.splitlines()
    assert len([each for each in complaints if "could not be written" in each]) <= 1
    assert lines(tmp_path, "audit.log", event="transaction.completed")
