"""Clients: whoever clicks too often, goes away, is slow, hostile or wrong about the time,
nothing is done twice and nothing is done for them that is not theirs."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.agents import Answer, Pos
from tests.centre import CentreProcess
from tests.faults.places import (
    KEY,
    STANDS,
    Place,
    Standing,
    every_place,
    standing,
)

CLICKS = 64
CROWD = 20  # of each kind
STREAMS_MAX = 16
HUGE = 66_000  # bytes, where 64 KiB are allowed
DEEP = 9_000
DATES = ["Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"]


@every_place
def test_many_clicks_at_once_are_one_whatever_the_clients_clocks_say(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    with standing(place, tmp_path, centre) as visit:
        with ThreadPoolExecutor(CLICKS) as clicking:
            answers = list(
                clicking.map(lambda date: clicked(visit, date), DATES * (CLICKS // 2))
            )
        place.go_on(visit)

        assert {each.body["id"] for each in answers} == {visit.now.id}
        assert {each.status for each in answers} <= {200, 202}
        assert visit.ends(place.ends) == STANDS[place.ends]


def clicked(visit: Standing, date: str) -> Answer:
    """The same click, by a client that takes it to be that day."""
    said = {"kind": "activation", "scenario": "outpatient_registration", "pos_ref": KEY}
    headers = {"Date": date}
    return visit.pos.request("POST", "/v1/transactions", said, key=KEY, headers=headers)


@every_place
def test_the_same_key_for_something_else_is_refused(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    with standing(place, tmp_path, centre) as visit:
        other = visit.pos.start("outpatient_registration", {"pos_ref": "x"}, key=KEY)
        place.go_on(visit)

        assert (other.status, other.code) == (422, "idempotency.key_reused")
        assert visit.ends(place.ends) == STANDS[place.ends]


@every_place
def test_who_asks_goes_away_before_the_answer(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    with standing(place, tmp_path, centre) as visit:
        for _ in range(3):
            with connected(visit) as line:
                line.sendall(click(visit))
        place.go_on(visit)

        assert visit.ends(place.ends) == STANDS[place.ends]
        assert len(visit.pos.kaqi.activations()) == 1


@contextmanager
def connected(visit: Standing) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", visit.pos.port)) as line:
        yield line


def click(visit: Standing) -> bytes:
    """The POS's request, as it goes over the line."""
    said = {"kind": "activation", "scenario": "outpatient_registration"}
    body = json.dumps({**said, "pos_ref": KEY}).encode()
    head = (
        "POST /v1/transactions HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{visit.pos.port}\r\n"
        f"Authorization: Bearer {visit.pos.token}\r\n"
        f"Idempotency-Key: {KEY}\r\nPrefer: wait=5\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@every_place
def test_slow_clients_and_a_flood_of_them_hold_nobody_up(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    with standing(place, tmp_path, centre) as visit, ExitStack() as open_lines:
        heard = []
        for _ in range(CROWD):
            slow = open_lines.enter_context(connected(visit))
            slow.sendall(click(visit)[:40])
            flooding = open_lines.enter_context(connected(visit))
            flooding.sendall(upgrade(visit))
            heard.append(flooding.recv(12))
        place.go_on(visit)

        assert set(heard) <= {b"HTTP/1.1 200", b"HTTP/1.1 503"}  # and never 101
        assert heard.count(b"HTTP/1.1 200") <= STREAMS_MAX
        assert visit.ends(place.ends) == STANDS[place.ends]


def upgrade(visit: Standing) -> bytes:
    """Somebody wants the events over a WebSocket, which we do not speak."""
    return (
        "GET /v1/events HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{visit.pos.port}\r\n"
        f"Authorization: Bearer {visit.pos.token}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()


@every_place
def test_who_may_not_ask_changes_nothing(
    tmp_path: Path, centre: CentreProcess, place: Place
) -> None:
    with standing(place, tmp_path, centre) as visit:
        told = {name: refused(visit, name) for name in HOSTILE}
        stood = visit.record["state"]
        place.go_on(visit)

        assert told == {name: answer for name, (_, answer) in HOSTILE.items()}
        assert stood == place.state
        assert visit.ends(place.ends) == STANDS[place.ends]


HOSTILE: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "F77 a foreign page": (
        {"headers": {"Origin": "https://evil.example"}},
        (403, "auth.origin_denied"),
    ),
    "F78 a name bound anew": (
        {"headers": {"Host": "evil.example"}},
        (421, "auth.host_denied"),
    ),
    "F80 huge": ({"raw": b" " * HUGE}, (413, "request.too_large")),
    "F80 deep": (
        {"raw": b'{"a":' * DEEP + b"1" + b"}" * DEEP},
        (400, "request.invalid"),
    ),
    "F82 a token of yesterday": ({"token": True}, (401, "auth.token_invalid")),
}


def refused(visit: Standing, name: str) -> tuple[int, str]:
    """What somebody hears who would cancel this visit, or settle it."""
    said = dict(HOSTILE[name][0])
    pos = visit.pos
    if said.pop("token", False):
        pos = Pos(pos.port, visit.agent.folder.pair("gone", ("activate", "operate")))
        visit.agent.folder.pair("gone", ("read",))
    answers = [_posted(pos, path, said) for path in _paths(visit)]
    first = answers[0]
    assert all(each.status == first.status for each in answers), answers
    return first.status, first.code


def _paths(visit: Standing) -> tuple[str, ...]:
    return (
        f"/v1/transactions/{visit.now.id}/cancel",
        f"/v1/activations/{visit.record['id']}/settle",
        "/v1/transactions",
    )


def _posted(pos: Pos, path: str, said: dict[str, Any]) -> Answer:
    body: object = None if "raw" in said else {}
    return pos.request("POST", path, body, key="hostile", **said)
