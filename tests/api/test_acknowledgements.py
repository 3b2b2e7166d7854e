"""What a client has not said that it knows is listed, and named again after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from plugin.api.requests import LIST_MAX
from simulator.reader import InProcessDesk
from tests.agents import PHARMACY, Answer, Pos, Running, running
from tests.api.test_events import activated, following
from tests.api.test_requests import assert_problem
from tests.centre import CentreProcess
from tests.scenario.counter import Counter

TRANSACTIONS = "/v1/transactions"
Start = Callable[[], AbstractContextManager[Running]]


@pytest.fixture
def start(tmp_path: Path, centre: CentreProcess, hand: InProcessDesk) -> Start:
    """Run after run of one till."""
    readers = {"inprocess": hand}
    return lambda: running(
        tmp_path, centre.address, readers, hand, institution=PHARMACY
    )


def acknowledge(pos: Pos, transaction: str, key: str = "seen") -> Answer:
    path = f"{TRANSACTIONS}/{transaction}/acknowledge"
    return pos.request("POST", path, {}, key=key)


def cancelled(pos: Pos, **more: object) -> str:
    """A transaction that has ended; returns its id."""
    begun = str(pos.start("pharmacy", more).body["id"])
    pos.request("POST", f"{TRANSACTIONS}/{begun}/cancel", {}, key=f"no-{begun}")
    return begun


def unacknowledged(pos: Pos, more: str = "") -> list[str]:
    answer = pos.request("GET", f"{TRANSACTIONS}?unacknowledged=true{more}")
    return [each["id"] for each in answer.body["transactions"]]


def told(pos: Pos, last: str = "0") -> Iterator[dict[str, Any]]:
    """Every event there is, up to one that is set off here."""
    marker = cancelled(pos)
    with following(pos, last) as stream:
        for event in stream.events():
            yield event
            about = event["data"].get("subject")
            completed = event["event"] == "transaction.completed"
            if completed and about == f"transactions/{marker}":
                return


def test_an_end_is_acknowledged_once_and_then_no_action_is_left(pos: Pos) -> None:
    ended = cancelled(pos)
    before = pos.kaqi.get(ended)

    first, again = acknowledge(pos, ended), acknowledge(pos, ended)

    assert (before.data["acknowledged"], before.allowed_actions) == (
        False,
        ["acknowledge"],
    )
    assert (first.status, again.status) == (200, 200)
    assert first.body["acknowledged"] is True
    assert first.body["allowed_actions"] == []
    assert first.body["seq"] > before.data["seq"]
    assert again.body == first.body
    assert again.headers["idempotency-replayed"] == "true"
    assert unacknowledged(pos) == []


def test_what_was_acknowledged_takes_it_no_second_time(pos: Pos) -> None:
    ended = cancelled(pos)
    acknowledge(pos, ended)

    again = acknowledge(pos, ended, key="another")

    assert again.status == 200
    assert "idempotency-replayed" not in again.headers
    assert again.body["acknowledged"] is True
    kinds = [event["event"] for event in told(pos)]
    assert kinds.count("transaction.acknowledged") == 1


def test_what_has_not_ended_is_not_acknowledged(pos: Pos) -> None:
    begun = pos.start("pharmacy").body["id"]

    answer = acknowledge(pos, begun)

    assert_problem(answer, 409, "transaction.bad_state")
    assert answer.body["allowed_actions"] == ["cancel", "continue"]
    assert unacknowledged(pos) == []


def test_only_who_started_it_or_an_operator_acknowledges(
    pos: Pos, agent: Running
) -> None:
    ended = cancelled(pos)
    other = Pos(pos.port, agent.folder.pair("pos-2", ("read", "activate")))
    operator = Pos(
        pos.port, agent.folder.pair("console", ("read", "activate", "operate"))
    )

    refused = acknowledge(other, ended)

    assert_problem(refused, 403, "auth.scope")
    assert unacknowledged(other) == []
    assert unacknowledged(operator) == unacknowledged(pos) == [ended]
    assert acknowledge(operator, ended).body["acknowledged"] is True
    assert unacknowledged(pos) == []


def test_a_dry_run_is_acknowledged_too(pos: Pos) -> None:
    begun = pos.request(
        "POST", TRANSACTIONS, {"kind": "dry_run", "scenario": "pharmacy"}, key="dry"
    ).body["id"]
    pos.request("POST", f"{TRANSACTIONS}/{begun}/cancel", {}, key="no")

    assert unacknowledged(pos) == [begun]
    assert acknowledge(pos, begun).body["acknowledged"] is True
    assert acknowledge(pos, begun).headers["idempotency-replayed"] == "true"
    assert unacknowledged(pos) == []


def test_after_a_restart_only_the_unacknowledged_are_named_again(
    start: Start, hand: InProcessDesk
) -> None:
    with start() as first:
        counter = Counter(first, hand)
        active = activated(counter)
        counter.clear()
        known, unknown = cancelled(first.pos), cancelled(first.pos)
        acknowledge(first.pos, known)

    with start() as second:
        pos = second.pos
        left = unacknowledged(pos)
        shown = pos.kaqi.get(active)
        events = [*told(pos)]
        acknowledge(pos, active)
        taken = acknowledge(pos, active, key="again")

    with start() as third:
        at_last = unacknowledged(third.pos)

    assert left == [unknown, active]
    assert shown.data["allowed_actions"] == ["acknowledge"]
    assert taken.status == 200
    assert unknown in at_last
    assert not {active, known} & {*at_last}
    reminders = [e for e in events if e["event"] == "transaction.unacknowledged"]
    assert [e["data"]["subject"] for e in reminders] == [
        f"transactions/{active}",
        f"transactions/{unknown}",
    ]
    assert reminders[0]["data"]["data"]["outcome"] == "activated"
    completed = [e for e in events if e["event"] == "transaction.completed"]
    about = {e["data"]["subject"] for e in completed}
    assert not {f"transactions/{each}" for each in (active, known, unknown)} & about


def test_what_was_removed_for_its_age_is_gone_and_nobody_is_reminded(
    start: Start,
) -> None:
    with start() as first:
        ended = cancelled(first.pos)
        till = first.agent.till
        till.loop.ask(lambda: [*till._journal.review(lambda _: None)]).result()

    with start() as second:
        pos = second.pos
        assert_problem(
            pos.request("GET", f"{TRANSACTIONS}/{ended}"), 410, "transaction.purged"
        )
        assert_problem(acknowledge(pos, ended), 410, "transaction.purged")
        assert unacknowledged(pos) == []
        never = pos.request("GET", f"{TRANSACTIONS}/t-{'f' * 32}")
        assert_problem(never, 404, "transaction.unknown")


def test_a_stream_begins_with_what_is_unacknowledged(pos: Pos) -> None:
    ended, seen = cancelled(pos), cancelled(pos)
    acknowledge(pos, seen)
    pos.start("pharmacy")

    with following(pos) as stream:
        first = next(stream.events())

    assert first["data"]["unacknowledged"] == [ended]


def test_the_list_takes_a_reference_a_state_and_a_time(pos: Pos) -> None:
    ended = cancelled(pos, pos_ref="sale-1")
    other = cancelled(pos, pos_ref="sale-2")
    received = pos.kaqi.get(other).data["received_at"].replace("+", "%2B")

    assert unacknowledged(pos, "&pos_ref=sale-1") == [ended]
    assert unacknowledged(pos, "&state=succeeded") == []
    assert other in unacknowledged(pos, f"&since={received}")
    assert unacknowledged(pos, "&since=2999-01-01T00:00:00Z") == []
    listed = pos.request("GET", f"{TRANSACTIONS}?since=2999-01-01T00:00:00Z")
    assert listed.body["transactions"] == []


@pytest.mark.parametrize("said", ["since=yesterday", "since=2026-11-22T09:00:00"])
def test_a_time_without_its_offset_is_none(pos: Pos, said: str) -> None:
    answer = pos.request("GET", f"{TRANSACTIONS}?{said}")

    assert_problem(answer, 400, "request.invalid")
    assert answer.body["errors"][0]["pointer"] == "/query/since"


def test_a_list_is_never_longer_than_a_hundred(pos: Pos) -> None:
    ended = [cancelled(pos) for _ in range(LIST_MAX + 1)]

    listed = unacknowledged(pos)

    assert listed == ended[:0:-1]
