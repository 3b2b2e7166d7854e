"""The vendor's client: what it does when the agent does not answer as it should."""

from __future__ import annotations

import ast
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin import client
from plugin.client import (
    Event,
    Kaqi,
    KaqiError,
    KaqiImpostorError,
    KaqiNotPairedError,
    KaqiUnreachableError,
    Transaction,
)
from tests.agents import Running
from tests.scenario.counter import Counter, two_cards

TOKEN = "pos~a-token-that-nobody-else-knows"
STARTED: dict[str, Any] = {
    "id": "t-1",
    "state": "waiting_card",
    "allowed_actions": [],
    "problem": None,
    "result": None,
    "notices": [],
    "seq": 1,
    "step": {"key": "x", "text": {"zh-CN": "a", "en": "b"}},
}

Said = tuple[str, dict[str, str], bytes]  # request line, headers, body
Answering = Callable[[Said], bytes | None]


class Listener:
    """A program on a port. What it answers to a request is up to `answering`; None hangs
    up."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.received: list[Said] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                self._converse(connection, stream)

    def _converse(self, connection: socket.socket, stream: Any) -> None:  # noqa: ANN401
        while said := _request(stream):
            self.received.append(said)
            answer = self._answering(said)
            if answer is None:
                return
            connection.sendall(answer)
            if b"Content-Length" not in answer:  # a stream, which breaks here
                return

    def everything(self) -> str:
        """All that came, as one text."""
        return repr(self.received)

    def asked(self, path: str) -> list[Said]:
        """The requests to this path."""
        return [each for each in self.received if each[0].split()[1].startswith(path)]


def _request(stream: Any) -> Said | None:  # noqa: ANN401
    first = stream.readline().decode().strip()
    if not first:
        return None
    headers = {}
    while line := stream.readline().decode().strip():
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    return first, headers, stream.read(int(headers.get("content-length", 0)))


def http(body: object, status: int = 200) -> bytes:
    """An answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def hello(said: Said, token: str = TOKEN, host: str | None = None) -> bytes:
    """What the agent answers who knows the token."""
    key = hashlib.sha256(token.encode()).digest()
    nonce = json.loads(said[2])["nonce"]
    message = f"kaqi-hello\n{nonce}\n{host or said[1]['host']}"
    return http({"proof": hmac.digest(key, message.encode(), "sha256").hex()})


def ours(answering: Answering) -> Answering:
    """An agent that knows the token, and then answers like this."""
    return lambda said: hello(said) if "/v1/hello" in said[0] else answering(said)


def in_turn(*answers: bytes | None) -> Answering:
    """One answer after the other, then the last one."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def test_a_lost_answer_is_asked_for_again_with_the_same_key() -> None:
    with Listener(ours(in_turn(None, None, http(STARTED, 202)))) as agent:
        transaction = Kaqi(token=TOKEN, address=agent.address).start("pharmacy")

    posted = agent.asked("/v1/transactions")
    assert transaction.id == "t-1"
    assert len(posted) == 3
    assert len({headers["idempotency-key"] for _, headers, _ in posted}) == 1


def test_an_agent_that_never_answers_is_unreachable() -> None:
    with (
        Listener(ours(in_turn(None))) as agent,
        pytest.raises(KaqiUnreachableError),
    ):
        Kaqi(token=TOKEN, address=agent.address).start("pharmacy")

    assert len(agent.asked("/v1/transactions")) == client.TRIES


def test_an_answer_that_is_no_object_is_not_the_agents() -> None:
    with (
        Listener(ours(in_turn(http(b"<html>")))) as agent,
        pytest.raises(KaqiUnreachableError),
    ):
        Kaqi(token=TOKEN, address=agent.address).get("t-1")


def guessed(said: Said) -> bytes:
    return hello(said, token="pos~a-guess")


def of_another_port(said: Said) -> bytes:
    """A relay: the real agent's proof, for the port where that listens."""
    return hello(said, host="127.0.0.1:15274")


def refusal(_: Said) -> bytes:
    return http({"code": "auth.token_missing"}, 401)


SQUATTERS: dict[str, Answering] = {
    "another program": lambda _: http(b"<html>another program</html>"),
    "a list": lambda _: http([]),
    "an empty answer": lambda _: http(b""),
    "no proof": lambda _: http({}),
    "a proof that is a number": lambda _: http({"proof": 1}),
    "a proof with odd characters": lambda _: http({"proof": "\ud800卡"}),
    "an echo": lambda said: http({"proof": json.loads(said[2])["nonce"]}),
    "a guessed token": guessed,
    "a relay from another port": of_another_port,
    "a refusal": refusal,
}


@pytest.mark.parametrize("answering", SQUATTERS.values(), ids=SQUATTERS.keys())
def test_a_program_that_took_the_port_never_sees_the_token(
    answering: Answering,
) -> None:
    with Listener(answering) as squatter:
        kaqi = Kaqi(token=TOKEN, address=squatter.address)
        with pytest.raises(KaqiImpostorError) as noticed:
            kaqi.start("pharmacy", pos_ref="4711")
        with pytest.raises(KaqiImpostorError):
            next(kaqi.events())

    assert len(squatter.received) == 2
    assert "that-nobody-else-knows" not in squatter.everything()
    assert "4711" not in squatter.everything()
    assert noticed.value.code == "client.impostor"
    assert squatter.address in noticed.value.message("en")
    assert "没有向它发送令牌" in noticed.value.message()


def test_a_squatter_that_comes_later_is_noticed_as_well() -> None:
    """Whoever proved itself has died, and another program has its port."""
    honest = ours(in_turn(http({"readers": []})))
    turn = iter([honest, honest, guessed])
    with Listener(lambda said: next(turn)(said)) as port:
        kaqi = Kaqi(token=TOKEN, address=port.address)
        assert kaqi.readers() == []

        with pytest.raises(KaqiImpostorError):
            kaqi.readers()

    assert len(port.asked("/v1/readers")) == 1


def test_the_token_goes_only_where_the_proof_came_from() -> None:
    """A server that closes after its proof must not get the token by a new connection."""

    def closing(said: Said) -> bytes:
        return hello(said).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)

    with Listener(closing) as port, pytest.raises(KaqiUnreachableError):
        Kaqi(token=TOKEN, address=port.address).readers()

    assert TOKEN not in port.everything()


def test_an_agent_too_busy_for_a_proof_is_no_impostor() -> None:
    busy = http({"code": "client.rate_limited"}, 429)
    with Listener(lambda _: busy) as agent, pytest.raises(KaqiError) as refused:
        Kaqi(token=TOKEN, address=agent.address).readers()

    assert refused.value.code == "client.rate_limited"
    assert TOKEN not in agent.everything()


def test_a_stranger_cannot_tell_the_agent_from_an_impostor(agent: Running) -> None:
    stranger = Kaqi(token="stranger~wrong", address=f"127.0.0.1:{agent.port}")

    with pytest.raises(KaqiImpostorError):
        stranger.readers()


def test_a_refusal_carries_its_code_and_its_sentence(agent: Running) -> None:
    token = agent.folder.pair("narrow", ("activate",))

    with pytest.raises(KaqiError) as refused:
        Kaqi(token=token, address=f"127.0.0.1:{agent.port}").readers()

    assert (refused.value.status, refused.value.code) == (403, "auth.scope")
    assert refused.value.message("en") == "This token lacks the scope read."


def test_all_that_a_sale_asks_goes_to_where_the_agent_has_it() -> None:
    ended = {**STARTED, "state": "succeeded"}
    answers = in_turn(
        http(STARTED, 202),
        http(ended),
        http(ended),
        http({"transactions": [ended]}),
        http({"present": True}),
    )
    with Listener(ours(answers)) as agent:
        kaqi = Kaqi(token=TOKEN, address=agent.address)
        started = kaqi.start("pharmacy", kind="dry_run", on_client_loss="cancel")
        over = kaqi.next(started)
        kaqi.acknowledge(over)
        left = kaqi.unacknowledged()
        there = kaqi.is_present("i-1")

    asked = [line for line, _, _ in agent.received if "/v1/hello" not in line]
    assert asked == [
        "POST /v1/transactions HTTP/1.1",
        "GET /v1/transactions/t-1?wait=25&after_seq=1 HTTP/1.1",
        "POST /v1/transactions/t-1/acknowledge HTTP/1.1",
        "GET /v1/transactions?unacknowledged=true HTTP/1.1",
        "GET /v1/presence/i-1 HTTP/1.1",
    ]
    said = json.loads(agent.asked("/v1/transactions")[0][2])
    assert said == {
        "kind": "dry_run",
        "scenario": "pharmacy",
        "on_client_loss": "cancel",
    }
    assert left == [Transaction(ended)]
    assert there is True


def told(number: int, kind: str = "card.inserted") -> bytes:
    return f'event: {kind}\nid: {number}\ndata: {{"id": {number}}}\n\n'.encode()


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
SNAPSHOT = b'event: stream.snapshot\ndata: {"readers": []}\n\n: still here\n\n'


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RECONNECT_SECONDS", 0)


@pytest.mark.usefixtures("at_once")
def test_a_stream_that_breaks_goes_on_where_it_was() -> None:
    streams = iter([STREAM + SNAPSHOT + told(7) + told(8), None, STREAM + told(9)])
    with Listener(Breaking(streams)) as agent:
        events = Kaqi(token=TOKEN, address=agent.address).events()
        seen = [next(events) for _ in range(4)]

    assert seen == [
        Event("stream.snapshot", None, {"readers": []}),
        *(Event("card.inserted", number, {"id": number}) for number in (7, 8, 9)),
    ]
    last = [h.get("last-event-id") for _, h, _ in agent.asked("/v1/events")]
    assert last[:3] == [None, "8", "8"]


class Breaking:
    """An agent that proves itself; each of its streams breaks off."""

    def __init__(self, streams: Iterator[bytes | None]) -> None:
        self._streams = streams

    def __call__(self, said: Said) -> bytes | None:
        if "/v1/hello" in said[0]:
            return hello(said)
        stream = next(self._streams, None)
        return stream and stream + b": "  # cut in the middle of a line


def test_a_sale_is_followed_by_events_of_the_real_agent(counter: Counter) -> None:
    kaqi = counter.running.pos.kaqi
    events = kaqi.events()
    first = next(events)

    two_cards(counter)
    counter.confirm()
    done = counter.reaches("succeeded")
    seen = [first]
    while seen[-1].type != "transaction.completed":
        seen.append(next(events))

    assert first.type == "stream.snapshot"
    assert seen[-1].data["subject"] == f"transactions/{done.id}"
    assert [each.id for each in seen[1:]] == sorted(each.id or 0 for each in seen[1:])


@pytest.mark.parametrize("state", ["denied", "expired", "collected"])
def test_a_pairing_that_comes_to_nothing_says_how(state: str) -> None:
    begun = {"id": "p-1", "code": "123456", "secret": "s", "poll_seconds": 0}
    waiting = {"state": "waiting", "token": None}
    answers = in_turn(
        http(begun, 201), http(waiting), http({**waiting, "state": state})
    )
    shown: list[str] = []
    with Listener(answers) as agent, pytest.raises(KaqiNotPairedError) as failed:
        client.pair("pos", ["read"], shown.append, address=agent.address)

    assert failed.value.state == state
    assert shown == ["123456"]
    assert [line.split()[:2] for line, _, _ in agent.received] == [
        ["POST", "/v1/pairings"],
        ["GET", "/v1/pairings/p-1"],
        ["GET", "/v1/pairings/p-1"],
    ]


def test_the_client_is_one_file_that_imports_nothing_of_ours() -> None:
    source = Path(client.__file__).read_text(encoding="utf-8")

    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }

    assert imported == {
        "__future__",
        "collections.abc",
        "contextlib",
        "dataclasses",
        "hashlib",
        "hmac",
        "http.client",
        "json",
        "secrets",
        "threading",
        "typing",
        "uuid",
    }
