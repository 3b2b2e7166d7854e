"""Rows about one request and one event: the agent's GET and POST against a trivial FastAPI
application under the same server settings, and how soon an event is with its client."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from tests.benchmarks.figures import Measured, Promise, Row, interleaved
from tests.benchmarks.journal import ON_DISK
from tests.benchmarks.processes import Child, python
from tests.benchmarks.web_server import WebServer

REQUESTS = 60  # a turn
EVENTS_A_ROUND = 200
HUNDREDTHS = 100
MICROSECOND, MILLISECOND = 1_000, 1_000_000
ANSWER_SECONDS = 10.0
ITEM = b'{"name":"kaqi"}'

REQUEST = Promise(gate=2.0, goal=1.3, unit="us")
PUSH = Promise(gate=2.0, goal=0.6, unit="ms", difference=True)


class Line:
    """One kept connection of a client that says no more than it must."""

    def __init__(self, port: int) -> None:
        self._host = f"127.0.0.1:{port}"
        self._socket = socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method: str, path: str, headers: str, body: bytes = b"") -> bytes:
        """The body of the answer. Raises RuntimeError unless it is 2xx."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n{headers}"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self._socket.sendall(f"{head}\r\n".encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        answered, _, content = answer.partition(b"\r\n\r\n")
        if not answered.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(answer.decode(errors="replace"))
        lengths = (
            each for each in answered.lower().split(b"\r\n") if b"length:" in each
        )
        length = int(next(lengths, b":0").partition(b":")[2])
        while len(content) < length:
            content += self._more()
        return content

    def follow(self, headers: str) -> Iterator[bytes]:
        """The lines of the stream of events."""
        request = f"GET /v1/events HTTP/1.1\r\nHost: {self._host}\r\n{headers}\r\n"
        self._socket.sendall(request.encode())
        with self._socket.makefile("rb") as stream:
            yield from stream

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _more(self) -> bytes:
        came = self._socket.recv(65_536)
        if not came:
            raise ConnectionError("it hung up")
        return came


def answers(rounds: int) -> Iterator[Row]:
    """An agent with forty clients, and the floor beside it."""
    with ExitStack() as stack:
        agent = stack.enter_context(Child(python("process_agent")))
        folder = stack.enter_context(TemporaryDirectory(dir=ON_DISK))
        floor = stack.enter_context(WebServer(python("server_fastapi", folder)))
        floor.wait_for_answer()
        here = json.loads(agent.line())
        ours, theirs = Line(here["port"]), Line(floor.port)
        stack.callback(ours.close)
        stack.callback(theirs.close)
        tokens = itertools.cycle(
            f"Authorization: Bearer {token}\r\n" for token in here["tokens"]
        )
        ask = _Asking(ours, tokens)
        kept, passing = map(ask.started, ("activation", "dry_run"), ask.readers())
        yield Measured(
            what="GET a transaction, p50",
            floor_is="trivial FastAPI",
            promise=REQUEST,
            rounds=interleaved(
                rounds,
                _middle(lambda: ask.get(kept)),
                _middle(lambda: theirs.ask("GET", "/items/1", "")),
            ),
        )
        plain = (
            _middle(lambda: ask.again(passing)),
            _middle(lambda: theirs.ask("POST", "/items", "", ITEM)),
        )
        yield Measured(
            what="POST that is durable, p50",
            floor_is="FastAPI, one commit",
            promise=REQUEST,
            rounds=interleaved(
                rounds,
                _middle(lambda: ask.again(kept)),
                _middle(lambda: theirs.ask("POST", "/kept", "", ITEM)),
            ),
            beside="of a dry run, nothing committed: {:.0f} us; FastAPI: {:.0f} us".format(
                *(turn() for turn in plain)
            ),
        )
        yield _push(rounds, agent, here["port"], next(tokens))


class _Asking:
    """What a POS asks of the agent, with a token of its own every time."""

    def __init__(self, line: Line, tokens: Iterator[str]) -> None:
        self._line = line
        self._tokens = tokens
        self._numbers = itertools.count()

    def readers(self) -> list[str]:
        """The ids of the readers for customers' cards, once the agent knows them."""
        while True:
            said = json.loads(self._line.ask("GET", "/v1/readers", next(self._tokens)))
            known = [each for each in said["readers"] if each["role"] == "patient"]
            if known:
                return [str(each["id"]) for each in known]

    def started(self, kind: str, reader: str) -> str:
        """The path of a new transaction, which waits for a card that never comes."""
        order = json.dumps(
            {"kind": kind, "scenario": "outpatient_registration", "readers": [reader]}
        ).encode()
        begun: str = json.loads(self._post("/v1/transactions", order))["id"]
        return f"/v1/transactions/{begun}"

    def get(self, path: str) -> bytes:
        """A snapshot."""
        return self._line.ask("GET", path, next(self._tokens))

    def again(self, path: str) -> bytes:
        """Look again at the cards: nothing changes, but the key is known from now on."""
        return self._post(f"{path}/continue", b"{}")

    def _post(self, path: str, body: bytes) -> bytes:
        key = f"Idempotency-Key: {next(self._numbers)}\r\n"
        return self._line.ask("POST", path, next(self._tokens) + key, body)


def _middle(request: Callable[[], object]) -> Callable[[], float]:
    def turn() -> float:
        taken: list[int] = []
        for _ in range(REQUESTS):
            began = time.perf_counter_ns()
            request()
            taken.append(time.perf_counter_ns() - began)
        return median(taken) / MICROSECOND

    return turn


def _push(rounds: int, agent: Child, port: int, token: str) -> Row:
    """From the deciding thread to the client's socket; 99 of 100 are as soon as this."""
    line = Line(port)
    stream = (raw for raw in line.follow(token) if raw.startswith(b"data:"))
    next(stream)  # the snapshot

    def slowest() -> float:
        agent.say(f"tell {EVENTS_A_ROUND}")
        taken: list[int] = []
        while len(taken) < EVENTS_A_ROUND:
            told = json.loads(next(stream).removeprefix(b"data:"))
            if "at" in told["data"]:
                taken.append(time.monotonic_ns() - told["data"]["at"])
        agent.line()
        return quantiles(taken, n=HUNDREDTHS)[-1] / MILLISECOND

    figures = tuple((slowest(), 0.0) for _ in range(rounds))
    line.close()
    return Measured(
        what="an event told until its client has it, p99",
        floor_is="the event",
        promise=PUSH,
        rounds=figures,
    )
