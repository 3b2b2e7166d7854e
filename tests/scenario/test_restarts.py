"""The agent is killed and started again, with real processes."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from plugin.client import Transaction
from tests.agents import AgentProcess, Pos
from tests.api.test_events import following
from tests.centre import CentreProcess
from tests.regions import settings_for
from tests.waiting import WAIT_SECONDS, wait_until

READER = "Simulated reader 1"


def reader_id(pos: Pos) -> str:
    """The first simulated reader, once it was noticed."""
    found: list[str] = []

    def there() -> bool:
        found[:] = [
            str(each["id"]) for each in pos.kaqi.readers() if each["name"] == READER
        ]
        return bool(found)

    wait_until(there)
    return found[0]


def insert(pos: Pos, card: str) -> None:
    """Put a card of the cast in, through the agent's own API."""
    path = f"/v1/simulate/readers/{reader_id(pos)}/insert"
    answer = pos.request("POST", path, {"card": card})
    assert answer.status == 204, answer.body


def register(pos: Pos, key: str) -> Transaction:
    """Start a registration."""
    answer = pos.start("outpatient_registration", {"pos_ref": key}, key=key)
    assert answer.status == 202, answer.body
    return Transaction(answer.body)


def activation_of(pos: Pos, transaction: Transaction) -> dict[str, Any]:
    """The durable record behind a transaction."""
    listed = pos.request("GET", "/v1/activations").body["activations"]
    found: dict[str, Any] = next(
        each for each in listed if each["transaction"] == transaction.id
    )
    return found


@pytest.mark.parametrize(
    ("fault", "operation"),
    [
        pytest.param("silence", "activations", id="after the effect"),
        pytest.param("lose_request", "activations", id="before the effect"),
    ],
)
def test_killed_between_intent_and_answer_ends_in_exactly_one_activation(
    tmp_path: Path, centre: CentreProcess, fault: str, operation: str
) -> None:
    centre.misbehave(fault, operation, seconds=30)
    centre.misbehave("lose_request", "activation-status")
    with AgentProcess(tmp_path, centre.address) as agent:
        started = register(agent.pos, "sale-1")
        insert(agent.pos, "lin.social_security")
        wait_until(lambda: centre.received.get("activations", 0) > 0)

        agent.kill()
        centre.behave()
        pos = agent.start()

        ended = pos.until(pos.kaqi.get(started.id), "succeeded")
        assert ended.outcome == "activated"
        assert activation_of(pos, ended)["state"] == "ACTIVE"
        assert len(centre.effects) == 1
        again = pos.start(
            "outpatient_registration", {"pos_ref": "sale-1"}, key="sale-1"
        )
        assert again.headers["idempotency-replayed"] == "true"
        assert again.body["id"] == started.id
        assert again.body["state"] == "succeeded"
        assert again.body["result"]["holder"] is None


def test_whoever_waits_after_a_restart_hears_of_the_end(
    tmp_path: Path, centre: CentreProcess
) -> None:
    centre.misbehave("silence", "activations", seconds=30)
    centre.misbehave("lose_request", "activation-status")
    with AgentProcess(tmp_path, centre.address) as agent:
        started = register(agent.pos, "sale-1")
        insert(agent.pos, "lin.social_security")
        wait_until(lambda: centre.received.get("activations", 0) > 0)
        agent.kill()
        pos = agent.start()
        before = pos.kaqi.get(started.id)

        with following(pos) as stream, ThreadPoolExecutor(1) as beside:
            next(stream.events())
            polling = beside.submit(
                lambda: pos.kaqi.next(before, seconds=WAIT_SECONDS - 5)
            )
            centre.behave()
            told = stream.until("transaction.completed")

        assert polling.result().state in ("succeeded", "in_doubt")
        assert told[-1]["data"]["subject"] == f"transactions/{started.id}"
        assert told[-1]["data"]["data"]["state"] == "succeeded"


def test_when_it_stops_nobody_is_kept_waiting(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with AgentProcess(tmp_path, centre.address) as agent:
        started = register(agent.pos, "sale-1")
        body = {"kind": "activation", "scenario": "outpatient_registration"}
        headers = {"Prefer": "wait=60"}
        with following(agent.pos) as stream, ThreadPoolExecutor(2) as beside:
            next(stream.events())
            polling = beside.submit(
                lambda: agent.pos.kaqi.next(started, seconds=WAIT_SECONDS)
            )
            again = {**body, "pos_ref": "sale-1"}
            blocking = beside.submit(
                lambda: agent.pos.request(
                    "POST", "/v1/transactions", again, key="sale-1", headers=headers
                )
            )
            threading.Event().wait(0.5)  # both are waiting by now
            began = time.monotonic()
            code = agent.stop()
            took = time.monotonic() - began
            told = [event["event"] for event in stream.events()]

        assert code == 0
        assert took < 2.5
        assert told[-1] == "agent.stopping"
        assert polling.result().id == blocking.result().body["id"] == started.id
        assert "Traceback" not in agent.output


def test_killed_before_anything_was_sent_leaves_nothing_behind(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with AgentProcess(tmp_path, centre.address) as agent:
        started = register(agent.pos, "sale-1")

        agent.kill()
        pos = agent.start()

        ended = pos.kaqi.get(started.id)
        assert ended.state == "failed"
        assert ended.problem is not None
        assert ended.problem["code"] == "agent.restarted"
        assert activation_of(pos, ended)["state"] == "ABANDONED"
        assert centre.received == {}


def test_killed_between_pins_sends_nothing_and_presents_nothing_again(
    tmp_path: Path, centre: CentreProcess
) -> None:
    settings = settings_for(tmp_path, new='"change_initial"')
    data = tmp_path / "data"
    with AgentProcess(data, centre.address, "--settings", settings) as agent:
        started = register(agent.pos, "sale-1")
        insert(agent.pos, "lin.social_security")
        now = agent.pos.until(started, "waiting_pin")
        now = agent.pos.kaqi.pin(now, "123456")
        now = agent.pos.until(now, lambda at: "new" in at.data["step"]["key"])
        assert activation_of(agent.pos, now)["state"] == "CARD_STEPS"

        agent.kill()
        pos = agent.start()

        ended = pos.kaqi.get(started.id)
        assert ended.state == "failed"
        assert ended.problem is not None
        assert ended.problem["code"] == "agent.restarted_at_card"
        assert activation_of(pos, ended)["state"] == "ABANDONED"
        assert centre.effects == []
        again = register(pos, "sale-2")
        insert(pos, "lin.social_security")
        again = pos.until(again, "waiting_pin")
        assert again.data["step"]["key"] == "waiting_pin.social_security"


def test_stopped_politely_it_leaves_with_zero(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with AgentProcess(tmp_path, centre.address) as agent:
        register(agent.pos, "sale-1")

        code = agent.stop()

        assert code == 0
        assert not (tmp_path / "agent.json").exists()


def test_a_refusal_is_told_again_in_the_centres_words_after_a_restart(
    tmp_path: Path, centre: CentreProcess
) -> None:
    with AgentProcess(tmp_path, centre.address) as agent:
        started = register(agent.pos, "sale-1")
        insert(agent.pos, "luo.social_security")
        before = agent.pos.until(started, "failed")

        agent.kill()
        after = agent.start().kaqi.get(started.id)

        assert before.problem is not None
        assert after.problem is not None
        assert after.state == "failed"
        for part in ("code", "messages", "remedy", "centre"):
            assert after.problem[part] == before.problem[part]
