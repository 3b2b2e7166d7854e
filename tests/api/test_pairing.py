"""Clients are let in by a code, listed and revoked; the console by a code that works once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plugin.client import Kaqi, pair
from tests.agents import Answer, Pos, Running
from tests.api.conftest import LISTED
from tests.api.test_events import Stream, following

WISH = {"client": "his", "version": "3.2", "scopes": ["read", "activate"]}
Change = dict[str, Any]


@pytest.fixture
def admin(agent: Running) -> Pos:
    """The commands on this machine."""
    return Pos(agent.port, agent.folder.operator_token())


@pytest.fixture
def nobody_waits(shared_agent: Running) -> Pos:
    """The same, of an agent that nobody is paired with meanwhile."""
    return Pos(shared_agent.port, shared_agent.folder.operator_token())


def asked(pos: Pos, wish: Change | None = None, origin: str | None = None) -> Answer:
    """Somebody without a token asks to be paired."""
    headers = {} if origin is None else {"Origin": origin}
    return pos.request(
        "POST",
        "/v1/pairings",
        wish or WISH,
        headers=headers,
        without=("Authorization",),
    )


def polled(pos: Pos, begun: dict[str, str], origin: str | None = None) -> Answer:
    headers = {"Authorization": f"Bearer {begun['secret']}"}
    if origin is not None:
        headers["Origin"] = origin
    return pos.request("GET", f"/v1/pairings/{begun['id']}", headers=headers)


def approved(admin: Pos, begun: dict[str, str]) -> Answer:
    path = f"/v1/pairings/{begun['id']}/approve"
    return admin.request("POST", path, {"code": begun["code"]})


def paired(admin: Pos, origin: str | None = None) -> str:
    """The token of somebody who was let in."""
    begun = asked(admin, origin=origin).body
    approved(admin, begun)
    return str(polled(admin, begun, origin).body["token"])


def test_a_pos_is_paired_by_the_code_it_shows(pos: Pos, admin: Pos) -> None:
    shown: list[str] = []

    def show(code: str) -> None:
        shown.append(code)
        (waiting,) = admin.request("GET", "/v1/pairings").body["pairings"]
        assert approved(admin, {"id": waiting["id"], "code": code}).status == 200

    address = f"127.0.0.1:{pos.port}"
    token = pair("my-pos", ["read"], show, version="1.0", address=address)

    assert len(shown) == 1
    assert Kaqi(token=token, address=address).readers()


def test_who_decides_sees_who_asks_and_no_secret(admin: Pos) -> None:
    begun = asked(admin, origin=LISTED)

    listed = admin.request("GET", "/v1/pairings")

    (seen,) = listed.body["pairings"]
    assert seen["client"] == "his"
    assert seen["version"] == "3.2"
    assert seen["scopes"] == ["activate", "read"]
    assert seen["origin"] == LISTED
    assert (seen["state"], seen["tries_left"]) == ("waiting", 5)
    assert not seen["replaces"]
    assert begun.body["code"] not in json.dumps(listed.body)
    assert begun.body["secret"] not in json.dumps(listed.body)


def test_what_is_answered_to_strangers_names_no_machine(
    agent: Running, admin: Pos
) -> None:
    """Only what it said itself, and what was made for it."""
    begun = asked(admin)
    seen = polled(admin, begun.body)

    assert begun.status == 201
    assert set(begun.body) == {
        "id",
        "code",
        "secret",
        "expires_at",
        "expires_in",
        "poll_seconds",
    }
    assert seen.body == {
        "id": begun.body["id"],
        "state": "waiting",
        "client_id": "his",
        "scopes": ["activate", "read"],
        "expires_at": begun.body["expires_at"],
        "token": None,
    }
    assert agent.folder.path.name not in json.dumps([begun.body, seen.body])


@pytest.mark.parametrize("place", ["", LISTED])
def test_a_token_works_where_it_was_asked_for(admin: Pos, place: str) -> None:
    token = paired(admin, place or None)
    headers = {"": {}, LISTED: {"Origin": LISTED}}
    his = Pos(admin.port, token)

    here = his.request("GET", "/v1/readers", headers=headers.pop(place))
    elsewhere = his.request("GET", "/v1/readers", headers=headers.popitem()[1])

    assert here.status == 200
    assert (elsewhere.status, elsewhere.code) == (403, "auth.origin_denied")


def test_a_page_that_is_not_listed_may_not_even_ask(nobody_waits: Pos) -> None:
    answer = asked(nobody_waits, origin="https://evil.example")

    assert answer.code == "auth.origin_denied"
    assert nobody_waits.request("GET", "/v1/pairings").body == {"pairings": []}


@pytest.mark.parametrize(
    "change",
    [
        {"client": "operator"},
        {"client": "console"},
        {"client": "a b"},
        {"client": "a\n"},
        {"client": "x" * 41},
        {"scopes": []},
        {"scopes": ["admin"]},
        {"scopes": ["read", "everything"]},
        {"version": "卡"},
        {"token": "mine"},
    ],
)
def test_a_wish_that_cannot_be_granted_is_refused(
    nobody_waits: Pos, change: Change
) -> None:
    answer = asked(nobody_waits, {**WISH, **change})

    assert (answer.status, answer.code) == (400, "request.invalid")
    assert nobody_waits.request("GET", "/v1/pairings").body == {"pairings": []}


def test_a_wrong_code_is_counted_and_a_denied_one_hears_so(admin: Pos) -> None:
    begun = asked(admin).body
    wrong = approved(admin, {**begun, "code": f"{(int(begun['code']) + 1) % 10**6:06}"})
    (counted,) = admin.request("GET", "/v1/pairings").body["pairings"]

    denied = admin.request("POST", f"/v1/pairings/{begun['id']}/deny", {})

    assert (wrong.status, wrong.code) == (409, "pairing.wrong_code")
    assert counted["tries_left"] == 4
    assert denied.body["state"] == "denied"
    assert polled(admin, begun).body["state"] == "denied"
    assert approved(admin, begun).code == "pairing.ended"


def test_too_many_requests_are_told_when_to_come_back(admin: Pos) -> None:
    answers = [asked(admin) for _ in range(6)]

    assert [each.status for each in answers] == [201] * 5 + [429]
    assert answers[-1].code == "pairing.too_many"
    assert int(answers[-1].headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/pairings"),
        ("POST", "/v1/pairings/p-00000000/approve"),
        ("POST", "/v1/pairings/p-00000000/deny"),
        ("GET", "/v1/clients"),
        ("POST", "/v1/clients/pos/revoke"),
        ("POST", "/v1/console/codes"),
    ],
)
def test_only_an_administrator_decides(
    shared_agent: Running, method: str, path: str
) -> None:
    pos = shared_agent.pos

    answer = pos.request(method, path, {} if method == "POST" else None)

    assert (answer.status, answer.code) == (403, "auth.scope")
    assert pos.request("GET", "/v1/readers").status == 200


@pytest.mark.parametrize("secret", ["", "Bearer", "Bearer 0", "Basic {secret}"])
def test_without_the_secret_there_is_no_such_pairing(admin: Pos, secret: str) -> None:
    begun = asked(admin).body
    approved(admin, begun)
    said = {"Authorization": secret.format(**begun)}

    answer = admin.request("GET", f"/v1/pairings/{begun['id']}", headers=said)

    assert (answer.status, answer.code) == (404, "pairing.unknown")
    assert polled(admin, begun).body["token"] is not None


def test_clients_are_listed_without_their_tokens(admin: Pos) -> None:
    token = paired(admin)

    listed = admin.request("GET", "/v1/clients").body

    assert [each["id"] for each in listed["clients"]] == ["his", "operator", "pos"]
    his = listed["clients"][0]
    assert (his["scopes"], his["origin"]) == (["activate", "read"], "")
    assert his["paired_at"].startswith("20")
    assert token not in json.dumps(listed)
    assert token.rpartition("~")[2] not in json.dumps(listed)


def test_a_revoked_client_is_dead_at_once_and_so_are_its_streams(admin: Pos) -> None:
    his = Pos(admin.port, paired(admin))
    with following(his) as stream, following(admin) as watching:
        next(stream.events())
        next(watching.events())

        revoked = admin.request("POST", "/v1/clients/his/revoke", {})

        refused = his.request("GET", "/v1/readers")
        after = next(stream.events(), None)
        told = watching.until("client.revoked")[-1]

    assert revoked.status == 204
    assert refused.code == "auth.token_invalid"
    assert after is None  # nothing, not even this
    assert told["data"]["subject"] == "clients/his"
    assert admin.request("POST", "/v1/clients/his/revoke", {}).code == "client.unknown"


def test_pairing_again_ends_the_streams_of_the_earlier_token(admin: Pos) -> None:
    his = Pos(admin.port, paired(admin))
    stream = Stream(his)
    next(stream.events())

    again = Pos(admin.port, paired(admin))

    assert next(stream.events(), None) is None
    assert his.request("GET", "/v1/readers").code == "auth.token_invalid"
    assert again.request("GET", "/v1/readers").status == 200
    stream.close()


def test_an_old_revocation_does_not_end_a_new_stream(admin: Pos) -> None:
    paired(admin)
    admin.request("POST", "/v1/clients/his/revoke", {})
    his = Pos(admin.port, paired(admin))

    with following(his, "0") as stream:
        seen = stream.until("client.revoked")
        admin.request("POST", "/v1/clients/pos/revoke", {})
        later = stream.until("client.revoked")

    assert seen[-1]["data"]["subject"] == "clients/his"
    assert later[-1]["data"]["subject"] == "clients/pos"


def opened(admin: Pos, code: str, origin: str | None, host: str = "") -> Answer:
    """The console's page asks for its token."""
    headers = {} if origin is None else {"Origin": origin}
    headers |= {"Host": host} if host else {}
    return admin.request(
        "POST",
        "/v1/console/session",
        {"code": code},
        headers=headers,
        without=("Authorization",),
    )


def test_the_console_opens_once_for_its_own_page(admin: Pos) -> None:
    own = f"http://127.0.0.1:{admin.port}"
    code = admin.request("POST", "/v1/console/codes", {}).body

    session = opened(admin, code["code"], own)
    console = Pos(admin.port, session.body["token"])

    assert code["expires_in"] == 60
    assert session.status == 201
    assert {"operate", "admin", "simulate"} < set(session.body["scopes"])
    for headers in ({"Origin": own}, {"Sec-Fetch-Site": "same-origin"}):
        assert console.request("GET", "/v1/clients", headers=headers).status == 200
    for headers in ({}, {"Origin": LISTED}):
        refused = console.request("GET", "/v1/clients", headers=headers)
        assert refused.code == "auth.origin_denied"
    again = opened(admin, code["code"], own)
    assert (again.status, again.code) == (403, "console.code_void")
    late = console.request("GET", "/v1/clients", headers={"Origin": own})
    assert late.code == "auth.token_invalid"


def test_a_console_signs_out_and_its_streams_end(admin: Pos) -> None:
    own = f"http://127.0.0.1:{admin.port}"
    leaves, stays = (
        Pos(admin.port, opened(admin, code, own).body["token"])
        for code in [
            admin.request("POST", "/v1/console/codes", {}).body["code"]
            for _ in range(2)
        ]
    )
    page = {"Origin": own}

    with following(admin) as watching:
        next(watching.events())
        left = leaves.request("POST", "/v1/console/session/end", {}, headers=page)
        told = watching.until("client.revoked")[-1]

    assert left.status == 204
    assert told["data"]["subject"] == "clients/console"
    refused = leaves.request("GET", "/v1/readers", headers=page)
    assert refused.code == "auth.token_invalid"
    assert stays.request("GET", "/v1/readers", headers=page).status == 200
    no_console = admin.request("POST", "/v1/console/session/end", {})
    assert (no_console.status, no_console.code) == (404, "client.unknown")
    assert admin.request("GET", "/v1/readers").status == 200


@pytest.mark.parametrize(
    ("seconds", "status"), [(1, 201), (3_600, 201), (0, 400), (3_601, 400)]
)
def test_a_code_lives_as_long_as_was_asked_for_and_not_too_long(
    admin: Pos, seconds: int, status: int
) -> None:
    answer = admin.request("POST", "/v1/console/codes", {"seconds": seconds})

    assert answer.status == status
    assert answer.body.get("expires_in") == (seconds if status == 201 else None)


@pytest.mark.parametrize("origin", [None, LISTED, "http://localhost:{port}"])
def test_no_other_page_opens_the_console(admin: Pos, origin: str | None) -> None:
    code = admin.request("POST", "/v1/console/codes", {}).body["code"]
    said = origin and origin.format(port=admin.port)

    answer = opened(admin, code, said)

    assert (answer.status, answer.code) == (403, "auth.origin_denied")
    assert opened(admin, code, f"http://127.0.0.1:{admin.port}").status == 201


def test_no_token_code_or_secret_is_logged(agent: Running, admin: Pos) -> None:
    begun = asked(admin).body
    approved(admin, begun)
    token = polled(admin, begun).body["token"]
    Kaqi(token=token, address=f"127.0.0.1:{admin.port}").readers()
    code = admin.request("POST", "/v1/console/codes", {}).body["code"]
    session = opened(admin, code, f"http://127.0.0.1:{admin.port}").body["token"]
    for path in (f"/v1/nothing/{token}", f"/v1/transactions?x={token}"):
        admin.request("GET", path)
    admin.request("POST", "/v1/hello", {"client_id": token, "nonce": begun["secret"]})
    with following(admin, "0") as stream:
        told = json.dumps(stream.until("client.paired"))

    written = "".join(_texts(agent.folder.logs)) + told
    secrets = (token, token.rpartition("~")[2], begun["secret"], code, session)
    assert "kaqi" in written
    assert not [each for each in secrets if each in written]
    kept = "".join(_texts(agent.folder.path))
    assert not [each for each in secrets if each in kept]


def _texts(folder: Path) -> list[str]:
    """What the files under a folder say; the operator's own token is not looked at."""
    return [
        file.read_bytes().decode("latin-1") + file.name
        for file in folder.rglob("*")
        if file.is_file()
    ]
