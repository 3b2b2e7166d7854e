"""The event stream: numbered, replayed, bounded, and about refs only."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from tests.agents import Pos
from tests.scenario.counter import Counter, two_cards


class Stream:
    """One follower."""

    def __init__(self, pos: Pos, last_event_id: str | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", pos.port, timeout=20)
        headers = {"Authorization": f"Bearer {pos.token}"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        self._connection.request("GET", "/v1/events", headers=headers)
        self._answer = self._connection.getresponse()
        self.status = self._answer.status
        self.kind = self._answer.getheader("content-type", "")

    def events(self) -> Iterator[dict[str, Any]]:
        """Event by event, as they come."""
        event: dict[str, Any] = {}
        for raw in self._answer:
            line = raw.decode().rstrip("\n")
            if not line and event:
                yield event
                event = {}
            name, _, value = line.partition(": ")
            if name == "data":
                event["data"] = json.loads(value)
            elif name in ("id", "event"):
                event[name] = value

    def until(self, kind: str) -> list[dict[str, Any]]:
        """Everything up to the first event of this kind."""
        seen = []
        for event in self.events():
            seen.append(event)
            if event["event"] == kind:
                return seen
        raise AssertionError(f"the stream ended without {kind}")

    def close(self) -> None:
        """Hang up."""
        self._answer.close()
        self._connection.close()


@contextmanager
def following(pos: Pos, last_event_id: str | None = None) -> Iterator[Stream]:
    """A stream that is closed afterwards."""
    stream = Stream(pos, last_event_id)
    try:
        yield stream
    finally:
        stream.close()


def activated(counter: Counter) -> str:
    """One whole pharmacy activation; returns the transaction's id."""
    two_cards(counter)
    counter.confirm()
    return counter.reaches("succeeded").id


def test_a_stream_begins_with_a_snapshot(pos: Pos, counter: Counter) -> None:
    started = pos.start("pharmacy").body

    with following(pos) as stream:
        first = next(stream.events())

    assert stream.kind.startswith("text/event-stream")
    assert first["event"] == "stream.snapshot"
    assert first["data"]["transactions"] == [started["id"]]
    assert set(first["data"]["readers"]) > set(counter.ids)


def test_a_transaction_is_told_from_created_to_completed(
    pos: Pos, counter: Counter
) -> None:
    with following(pos) as stream:
        transaction = activated(counter)
        seen = stream.until("transaction.completed")

    told = [
        (event["event"], event["data"]["data"].get("state"))
        for event in seen
        if event["data"].get("subject") == f"transactions/{transaction}"
    ]
    ids = [int(event["id"]) for event in seen if "id" in event]
    assert told[0] == ("transaction.created", "waiting_card")
    assert told[-2:] == [
        ("transaction.changed", "succeeded"),
        ("transaction.completed", "succeeded"),
    ]
    assert ids == sorted(set(ids))
    kinds = {event["event"] for event in seen}
    assert {"card.inserted", "card.recognised", "transaction.input_required"} <= kinds


def test_what_was_missed_comes_once_and_in_order(pos: Pos, counter: Counter) -> None:
    with following(pos) as stream:
        activated(counter)
        live = [e for e in stream.until("transaction.completed") if "id" in e]

    middle = len(live) // 2
    with following(pos, live[middle]["id"]) as again:
        replayed = [e for e in again.until("transaction.completed") if "id" in e]

    assert replayed == live[middle + 1 :]


def test_exactly_one_completed_event_for_every_transaction(
    pos: Pos, counter: Counter
) -> None:
    activated(counter)
    counter.clear()
    cancelled = pos.start("pharmacy").body["id"]
    pos.request("POST", f"/v1/transactions/{cancelled}/cancel", {}, key="c")
    marker = pos.start("pharmacy").body["id"]

    with following(pos, "0") as stream:
        seen = []
        for event in stream.events():
            seen.append(event)
            if event["data"].get("subject") == f"transactions/{marker}":
                break

    completed = [
        e["data"]["subject"] for e in seen if e["event"] == "transaction.completed"
    ]
    assert len(completed) == len(set(completed)) == 2


@pytest.mark.parametrize("last", ["not a number", "-1", "9" * 19])
def test_an_odd_last_event_id_harms_nobody(pos: Pos, last: str) -> None:
    with following(pos, last) as stream:
        first = next(stream.events())

    assert stream.status == 200
    assert first["event"] in ("stream.snapshot", "stream.gap")


def test_a_number_from_the_future_is_a_gap_and_the_stream_goes_on(
    pos: Pos, counter: Counter
) -> None:
    with following(pos, "1000000000") as stream:
        first = next(stream.events())
        activated(counter)
        seen = stream.until("transaction.completed")

    assert first["event"] == "stream.gap"
    assert len(seen) > 5


def test_a_gap_is_announced(pos: Pos, counter: Counter) -> None:
    happenings = counter.running.agent.till.happenings
    loop = counter.running.agent.till.loop
    for _ in range(1_010):
        loop.ask(lambda: happenings.tell("card.inserted", "readers/x")).result()

    with following(pos, "1") as stream:
        first = next(stream.events())

    assert first["event"] == "stream.gap"
    assert first["data"] == {"last_event_id": 1}


def test_only_sixteen_may_follow_however_they_come(pos: Pos) -> None:
    with ThreadPoolExecutor(20) as beside:
        streams = list(beside.map(lambda _: Stream(pos), range(20)))

    refused = pos.request("GET", "/v1/events")

    assert sorted(each.status for each in streams) == [200] * 16 + [503] * 4
    assert (refused.status, refused.code) == (503, "stream.too_many_clients")
    assert refused.headers["retry-after"] == "5"
    for stream in streams:
        stream.close()
