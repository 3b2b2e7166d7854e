"""A8: however often somebody clicks with one key, it is one click; also after a restart."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from plugin.api.requests import LIST_MAX
from simulator.reader import InProcessDesk
from tests.agents import PHARMACY, Answer, Pos, running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter

ROUNDS = int(os.environ.get("KAQI_ROUNDS", "12"))
CLICKS = 64
TRANSACTIONS = "/v1/transactions"


@pytest.fixture
def fingers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(CLICKS) as fingers:
        yield fingers


def clicks(fingers: ThreadPoolExecutor, click: Callable[[], Answer]) -> list[Answer]:
    """All at once."""
    return [each.result() for each in [fingers.submit(click) for _ in range(CLICKS)]]


def firsts(answers: list[Answer]) -> int:
    """How many were not told to be a repetition."""
    return sum("idempotency-replayed" not in each.headers for each in answers)


def test_a8_the_same_key_is_the_same_answer(
    tmp_path: Path, centre: CentreProcess, fingers: ThreadPoolExecutor
) -> None:
    started: dict[str, str] = {}
    hand = InProcessDesk()
    readers = {"inprocess": hand}
    with running(
        tmp_path, centre.address, readers, hand, institution=PHARMACY
    ) as agent:
        for number in range(ROUNDS):
            key = f"round-{number}"
            answers = clicks(fingers, lambda: agent.pos.start("pharmacy", key=key))  # noqa: B023 - used at once
            assert {each.status for each in answers} == {202}
            assert firsts(answers) == 1
            (started[key],) = {each.body["id"] for each in answers}
            cancelled = clicks(fingers, lambda: cancel(agent.pos, started[key]))  # noqa: B023 - used at once
            assert {each.body["state"] for each in cancelled} == {"cancelled"}
            assert firsts(cancelled) == 1
    with running(
        tmp_path, centre.address, readers, hand, institution=PHARMACY
    ) as agent:
        again = {key: agent.pos.start("pharmacy", key=key) for key in started}
        listed = agent.pos.request("GET", f"/v1/activations?limit={LIST_MAX}").body

    assert {key: each.body["id"] for key, each in again.items()} == started
    assert {each.body["state"] for each in again.values()} == {"cancelled"}
    assert firsts([*again.values()]) == 0
    assert len(listed["activations"]) == min(ROUNDS, LIST_MAX)
    assert centre.effects == []


def cancel(pos: Pos, transaction: str) -> Answer:
    path = f"{TRANSACTIONS}/{transaction}/cancel"
    return pos.request("POST", path, {}, key=f"cancel-{transaction}")


def test_a8_many_confirmations_are_one_activation(
    tmp_path: Path, centre: CentreProcess, fingers: ThreadPoolExecutor
) -> None:
    hand = InProcessDesk()
    readers = {"inprocess": hand}
    with running(
        tmp_path, centre.address, readers, hand, institution=PHARMACY
    ) as agent:
        counter = Counter(agent, hand)
        counter.start("pharmacy", pos_ref="sale-1")
        counter.put("lin.medical")
        counter.reaches("waiting_card.social_security")
        counter.put("lin.social_security", 1)
        asked = counter.reaches("waiting_confirm")
        path = f"{TRANSACTIONS}/{asked.id}/confirm"

        answers = clicks(
            fingers, lambda: agent.pos.request("POST", path, {}, key="yes")
        )

        assert {each.status for each in answers} <= {200, 202}
        assert firsts(answers) == 1
        assert counter.reaches("succeeded").outcome == "activated"
    assert len(centre.effects) == 1


def test_a8_the_same_clicks_after_a_restart_have_no_second_effect(
    tmp_path: Path, centre: CentreProcess, fingers: ThreadPoolExecutor
) -> None:
    """Nor while one of them is answered: what a key does is decided on one thread, before
    the next request is looked at, so nobody can meet one that is in progress. Who waits
    with the first waits for the transaction, not for the key."""
    hand = InProcessDesk()
    readers = {"inprocess": hand}
    paths: dict[str, str] = {}
    with running(
        tmp_path, centre.address, readers, hand, institution=PHARMACY
    ) as agent:
        counter = Counter(agent, hand)
        begun = counter.start("pharmacy", pos_ref="sale-1")
        counter.put("lin.medical")
        counter.reaches("waiting_card.social_security")
        counter.put("lin.social_security", 1)
        counter.reaches("waiting_confirm")
        for action in ("confirm", "acknowledge"):
            paths[action] = f"{TRANSACTIONS}/{begun.id}/{action}"
            agent.pos.request("POST", paths[action], {}, key=action)
            counter.reaches("succeeded")
    with running(
        tmp_path, centre.address, readers, hand, institution=PHARMACY
    ) as agent:
        told = agent.agent.till.happenings
        again = [
            answer
            for action, path in paths.items()
            for answer in clicks(
                fingers,
                lambda: agent.pos.request("POST", path, {}, key=action),  # noqa: B023 - used at once
            )
        ]
        _, events = agent.agent.till.loop.ask(lambda: told.since(0)).result()

    assert {each.status for each in again} == {200, 202}
    assert firsts(again) == 0
    assert {each.body["state"] for each in again} == {"succeeded"}
    assert [each for each in events if each.subject.startswith("transactions/")] == []
    assert len(centre.effects) == 1
