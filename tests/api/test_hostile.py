"""L1 and L2: the hostile matrix, over every route that the application has."""

from __future__ import annotations

import asyncio
import http.client
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from plugin.api.guard import Door
from simulator.reader import InProcessDesk
from tests.agents import PHARMACY, Pos, Running, running
from tests.api import hostile
from tests.api.asking import ask
from tests.api.conftest import LISTED
from tests.api.hostile import Row
from tests.centre import CentreProcess

REFUSED = hostile.refused()
ADMITTED = hostile.admitted()
BESIDES = (
    Door(method="GET", path="/v1/nothing", scope="read"),
    Door(method="GET", path="/openapi.json", scope="read"),
)
OPEN = {
    ("GET", "/healthz"),
    ("POST", "/v1/hello"),
    ("POST", "/v1/pairings"),
    ("GET", "/v1/pairings/{pairing_id}"),  # with the secret of who has asked
    ("POST", "/v1/console/session"),  # with a code that is good for once
}
POS = ("127.0.0.1:{port}", None, None, "POST", "application/json")
VALUES = (12, 9, 5, 8, 6)


@pytest.fixture(scope="module")
def besieged(
    tmp_path_factory: pytest.TempPathFactory, session_centre: CentreProcess
) -> Iterator[Running]:
    """An agent that whoever besieges it must not change."""
    hand = InProcessDesk()
    with running(
        tmp_path_factory.mktemp("besieged"),
        session_centre.address,
        {"inprocess": hand},
        hand,
        institution=PHARMACY,
        origins=frozenset({LISTED}),
    ) as started:
        started.reader_ids(hand.readers())
        scopes = {door.scope for door in started.agent.app.doors.known if door.scope}
        token = started.folder.pair("may-do-everything", scopes)
        yield replace(started, pos=Pos(started.port, token))


def state_of(agent: Running) -> object:
    """All that a request could have changed."""
    pos, folder = agent.pos, agent.folder.path
    return (
        pos.request("GET", "/v1/transactions").body,
        pos.request("GET", "/v1/activations").body,
        pos.request("GET", "/v1/readers").body,
        pos.request("GET", "/v1/simulate/cast").body,
        sorted(each.name for each in Path(folder, "clients").iterdir()),
    )


def doors(agent: Running) -> tuple[Door, ...]:
    """Every operation, and what is none."""
    return agent.agent.app.doors.known + BESIDES


def path_of(door: Door) -> str:
    """A path that leads there."""
    return door.path.replace("{", "").replace("}", "")


def sent(agent: Running, row: Row) -> list[tuple[str, str]]:
    """The row's headers, with a right token."""
    token = ("authorization", f"Bearer {agent.pos.token}")
    return [token, ("idempotency-key", "k"), *row.headers(agent.port).items()]


def test_the_table_holds_what_differs_from_a_pos_in_one_or_two_places() -> None:
    differences = {
        sum(value != usual for value, usual in zip(row.places, POS, strict=True))
        for row in REFUSED
    }
    values = tuple(
        len({row.places[column] for row in REFUSED} | {POS[column]})
        for column in range(len(POS))
    )

    assert values == (12, 9, 5, 8, 6)
    assert differences == {1, 2}
    assert len({row.places for row in REFUSED}) == len(REFUSED) == 444
    assert len(ADMITTED) == 20


def test_l1_nothing_hostile_gets_past_the_guard_on_any_route(besieged: Running) -> None:
    guard, before = besieged.agent.app, state_of(besieged)
    counted = Counter(guard.rejections)

    async def besiege() -> Counter[str]:
        said: Counter[str] = Counter()
        for door, row in itertools.product(doors(besieged), REFUSED):
            if row.or_a_page and door.page:
                continue
            method, headers = row.method or "", sent(besieged, row)
            answer = await ask(guard, method, path_of(door), headers)
            assert answer.code == row.refused_by, (door, row.line)
            readable_by = answer.headers.get("access-control-allow-origin")
            assert readable_by == (LISTED if row.origin == LISTED else None), row.line
            said[answer.code] += 1
        return said

    said = asyncio.run(besiege())

    assert sum(said.values()) >= 400 * len(doors(besieged))
    assert guard.rejections - counted == said
    assert state_of(besieged) == before


def test_l1_nor_over_a_real_connection(besieged: Running) -> None:
    before = state_of(besieged)

    for path, row in itertools.product(("/v1/transactions", "/v1/events"), REFUSED):
        status, content = asked_for_real(besieged, path, row)

        if row.host is None:
            assert status == 400, row.line  # HTTP itself asks for one
        else:
            assert row.refused_by is not None
            assert status in (403, 415, 421), row.line
            assert (row.refused_by.encode() in content) is (row.method != "HEAD")

    assert state_of(besieged) == before


def asked_for_real(agent: Running, path: str, row: Row) -> tuple[int, bytes]:
    """The body is only announced: who answers has not read it."""
    connection = http.client.HTTPConnection("127.0.0.1", agent.port, timeout=10)
    connection.putrequest(row.method or "", path, skip_host=True)
    for name, value in [*sent(agent, row), ("content-length", "2")]:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


def test_who_may_ask_is_let_in_on_every_route(besieged: Running) -> None:
    guard = besieged.agent.app
    counted = Counter(guard.rejections)

    async def ask_everything() -> set[int]:
        found = set()
        for door, row in itertools.product(doors(besieged), ADMITTED):
            headers = sent(besieged, row)
            answer = await ask(guard, door.method, path_of(door), headers, b"{}")
            assert guard.rejections == counted, (door, row.line, answer)
            found.add(answer.status)
        return found

    statuses = asyncio.run(ask_everything())

    assert statuses >= {200, 204, 400, 404}
    assert 500 not in statuses


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "auth.token_missing"),
        ("Basic cG9zOnBvcw==", "auth.token_missing"),
        ("Bearer wrong", "auth.token_invalid"),
    ],
)
def test_l2_without_a_token_only_what_says_nothing_is_open(
    besieged: Running, authorization: str | None, code: str
) -> None:
    guard = besieged.agent.app
    token = [] if authorization is None else [("authorization", authorization)]
    headers = [*ADMITTED[0].headers(besieged.port).items(), *token]

    for door in doors(besieged):
        if door.scope is not None:
            asked = ask(guard, door.method, path_of(door), headers)
            assert asyncio.run(asked).code == code, door
        elif door.path.startswith("/v1/") or door.method != "GET":
            assert (door.method, door.path) in OPEN
        else:
            assert door.path not in ("/readyz", "/metrics", "/openapi.json")
