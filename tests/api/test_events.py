"""The event stream: numbered, replayed, bounded, and about refs only."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from plugin.api.events import QUEUE_MAX
from tests.agents import AgentProcess, Pos, Running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter, two_cards
from tests.waiting import wait_until

CUTS = int(os.environ.get("KAQI_STREAM_CUTS", "40"))


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


class Teller:
    """Tells many events from the deciding thread, never far ahead of who follows them."""

    def __init__(self, agent: Running, count: int, ahead: int, size: int = 1) -> None:
        self._till = agent.agent.till
        self._count, self._data = count, {"padding": "x" * size}
        self._ahead = threading.Semaphore(ahead)
        self._thread = threading.Thread(target=self._tell)

    def __enter__(self) -> Teller:
        self._thread.start()
        return self

    def __exit__(self, *failed: object) -> None:
        for _ in range(self._count):
            self._ahead.release()
        self._thread.join()

    def followed(self) -> None:
        """One of them has arrived."""
        self._ahead.release()

    def _tell(self) -> None:
        happenings, loop = self._till.happenings, self._till.loop
        for number in range(self._count):
            self._ahead.acquire()
            subject, data = f"readers/{number}", self._data
            loop.ask(lambda: happenings.tell("reader.changed", subject, data)).result()  # noqa: B023 - waited for


def test_however_often_a_stream_is_cut_everything_comes_once_and_in_order(
    pos: Pos, agent: Running
) -> None:
    random, count, seen, starts = Random(7), 20 * CUTS, list[str](), list[str]()
    last = str(agent.agent.till.happenings.last_id)

    with Teller(agent, count, ahead=300) as teller:
        while len(seen) < count:
            with following(pos, last) as stream:
                events = stream.events()
                starts.append(next(events)["event"])
                for _ in range(min(random.randrange(40), count - len(seen))):
                    event = next(events)
                    assert event["data"]["subject"] == f"readers/{len(seen)}"
                    seen.append(event["data"]["subject"])
                    last = event["id"]
                    teller.followed()

    assert set(starts) == {"stream.snapshot"}
    assert len(starts) > CUTS // 2


def test_a_client_that_does_not_read_is_let_go_and_no_other_notices(
    pos: Pos, agent: Running
) -> None:
    hub, count = agent.agent.hub, 8 * QUEUE_MAX
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    deaf.connect(("127.0.0.1", pos.port))
    head = f"Host: 127.0.0.1:{pos.port}\r\nAuthorization: Bearer {pos.token}\r\n"
    deaf.sendall(f"GET /v1/events HTTP/1.1\r\n{head}\r\n".encode())
    wait_until(lambda: len(hub._streams) == 1)
    last = str(agent.agent.till.happenings.last_id)

    with following(pos, last) as stream, Teller(agent, count, 300, 1_024) as teller:
        events = stream.events()
        begins, seen = next(events), list[str]()
        while len(seen) < count:
            event = next(events)
            assert event["data"]["subject"] == f"readers/{len(seen)}"
            seen.append(event["data"]["subject"])
            teller.followed()
        left = len(hub._streams)

    deaf.close()
    assert begins["event"] == "stream.snapshot"
    assert left == 1  # only the one that reads


def test_numbers_grow_over_restarts_and_what_was_missed_is_a_gap(
    tmp_path: Path, centre: CentreProcess
) -> None:
    last, begins, numbers = "", list[dict[str, Any]](), list[int]()
    with AgentProcess(tmp_path, centre.address) as agent:
        for end in (agent.kill, agent.stop, None):
            with following(agent.pos, last or "0") as stream:
                seen = stream.until("agent.started")
            begins.append(seen[0])
            numbers += [int(each["id"]) for each in seen if "id" in each]
            last = str(numbers[-1])
            if end is not None:
                end()
                agent.start()

    assert [each["event"] for each in begins[1:]] == ["stream.gap"] * 2
    assert begins[1]["data"]["last_event_id"] in numbers
    assert numbers == sorted(set(numbers))


def test_who_comes_without_a_number_hears_only_what_comes_after_the_snapshot(
    pos: Pos, agent: Running
) -> None:
    for _ in range(20):
        with Teller(agent, 50, ahead=50), following(pos) as stream:
            events = stream.events()
            begins = next(events)
            last = agent.agent.till.happenings.last_id
            agent.agent.till.loop.ask(
                lambda: agent.agent.till.happenings.tell("agent.started", "agent")
            ).result()
            seen = [int(each["id"]) for each in _until_started(events)]

        assert begins["event"] == "stream.snapshot"
        assert seen == [*range(seen[0], seen[-1] + 1)]
        assert seen[-1] > last


def _until_started(events: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for event in events:
        yield event
        if event["event"] == "agent.started":
            return
