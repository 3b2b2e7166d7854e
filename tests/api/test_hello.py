"""The agent proves itself before a token is sent to it."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator

import pytest

from plugin.api.resources.hello import Hello, proof
from tests.agents import Answer, Pos, Running
from tests.api.conftest import LISTED
from tests.api.test_guard import send

NONCE = "000102030405060708090a0b0c0d0e0f"


@pytest.fixture
def pos(shared_agent: Running) -> Pos:
    """Nothing here changes anything."""
    return shared_agent.pos


def said_hello(pos: Pos, client_id: str, host: str = "127.0.0.1") -> Answer:
    headers = [
        ("Host", f"{host}:{pos.port}"),
        ("Content-Type", "application/json"),
    ]
    body = json.dumps({"client_id": client_id, "nonce": NONCE}).encode()
    return send(pos, "POST", "/v1/hello", headers, body)


def expected(token: str, authority: str, nonce: str = NONCE) -> str:
    """As a vendor computes it, from the description alone."""
    key = hashlib.sha256(token.encode()).digest()
    message = f"kaqi-hello\n{nonce}\n{authority}".encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_the_proof_is_for_the_address_that_the_client_used(pos: Pos, host: str) -> None:
    answer = said_hello(pos, "pos", host)

    assert answer.status == 200
    assert answer.body == {"proof": expected(pos.token, f"{host}:{pos.port}")}


def test_a_relay_to_another_port_is_no_proof_for_this_one(pos: Pos) -> None:
    """Whoever squats on the usual port can only ask the agent where it really is."""
    relayed = said_hello(pos, "pos").body["proof"]
    headers = [("Host", "127.0.0.1:15274"), ("Content-Type", "application/json")]
    lying = send(pos, "POST", "/v1/hello", headers)

    assert relayed != expected(pos.token, "127.0.0.1:15274")
    assert lying.code == "auth.host_denied"


def test_the_client_is_named_by_its_token(pos: Pos) -> None:
    assert pos.token.rpartition("~")[0] == "pos"


def test_an_unknown_client_is_answered_like_a_known_one(pos: Pos) -> None:
    known, unknown = said_hello(pos, "pos"), said_hello(pos, "nobody")

    for headers in (known.headers, unknown.headers):
        del headers["trace-id"]
    assert unknown.status == known.status
    assert unknown.headers == known.headers
    assert set(unknown.body) == {"proof"}
    assert re.fullmatch("[0-9a-f]{64}", unknown.body["proof"])
    assert said_hello(pos, "nobody").body == unknown.body
    assert said_hello(pos, "somebody").body != unknown.body


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"client_id": "pos"},
        {"client_id": "pos", "nonce": "short"},
        {"client_id": "pos", "nonce": NONCE + "\n127.0.0.1:15274"},
        {"client_id": "pos", "nonce": "0" * 129},
        {"client_id": "../pos", "nonce": NONCE},
        {"client_id": "pos", "nonce": NONCE, "token": "t"},
    ],
)
def test_what_is_no_hello_is_refused(pos: Pos, body: dict[str, str]) -> None:
    answer = pos.request("POST", "/v1/hello", body, without=("Authorization",))

    assert (answer.status, answer.code) == (400, "request.invalid")


def test_a_listed_page_may_ask_and_another_may_not(pos: Pos) -> None:
    body = {"client_id": "pos", "nonce": NONCE}
    listed, foreign = (
        pos.request("POST", "/v1/hello", body, headers={"Origin": origin})
        for origin in (LISTED, "https://evil.example")
    )

    assert listed.status == 200
    assert foreign.code == "auth.origin_denied"


def printed() -> Iterator[str]:
    """The example's values, as the description prints them."""
    text = Hello.hello.__doc__ or ""
    for pattern in (
        r"token {3}(\S+)",
        r"Host: (\S+)",
        r'nonce": "(\w+)',
        r'proof": "(\w+)',
    ):
        found = re.search(pattern, text)
        assert found is not None
        yield found[1]


def test_the_example_in_the_description_is_right() -> None:
    token, authority, nonce, shown = printed()

    assert shown == expected(token, authority, nonce)
    key = hashlib.sha256(token.encode()).digest()
    assert proof(key, nonce, authority) == shown
