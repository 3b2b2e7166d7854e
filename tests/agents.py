"""Agents under test: in this process with a real HTTP server, or as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from drivers.ports import Clock, ReaderDirectory, SimulatedDesk
from plugin import logs, main, simulated
from plugin.activation.region import Clocks, RegionProfile
from plugin.agent.happenings import Happening
from plugin.agent.space import Space
from plugin.api.guard import Limits
from plugin.api.server import Server, listen
from plugin.client import Kaqi, KaqiError, Transaction
from plugin.data_folder import DataFolder
from plugin.profile_file import load_profile
from plugin.settings import Institution, InstitutionKind, Settings
from tests.listed import unlisted
from tests.telling import mistakes
from tests.waiting import WAIT_SECONDS, wait_until

SCOPES = ("read", "activate", "identity", "operate", "simulate")
UNLIMITED = Limits(requests=1_000_000, failures=1_000_000)
QUICK = Clocks(card=20, confirm=20, centre=2)
HOSPITAL = Institution(code="H9999", name="试用医院", kind=InstitutionKind.HOSPITAL)
PHARMACY = Institution(code="P9999", name="试用药店", kind=InstitutionKind.PHARMACY)


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def code(self) -> str:
        """The code of a problem."""
        return str(self.body["code"])


class Pos:
    """A POS: the vendor's client, and raw requests beside it."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self.token = token
        self.kaqi = Kaqi(token=token, address=f"127.0.0.1:{port}")

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
        without: tuple[str, ...] = (),
    ) -> Answer:
        """Send exactly this; `without` leaves usual headers out. Whatever the test is
        about, a refusal must be one that the description has."""
        sent = {"Authorization": f"Bearer {self.token}"}
        if body is not None or raw is not None:
            sent["Content-Type"] = "application/json"
        if key is not None:
            sent["Idempotency-Key"] = key
        sent |= headers or {}
        for name in without:
            sent.pop(name, None)
        content = raw if raw is not None or body is None else json.dumps(body).encode()
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", content, sent, method=method
        )
        try:
            with urllib.request.urlopen(asked, timeout=WAIT_SECONDS) as answer:
                return _answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                told = _answer(refused.code, refused.headers, refused.read())
            if isinstance(told.body, dict) and "code" in told.body:
                assert not unlisted(method, path, told.code), (method, path, told.code)
            return told

    def start(
        self,
        scenario: str,
        more: Mapping[str, object] | None = None,
        *,
        key: str | None = None,
    ) -> Answer:
        """Start a transaction."""
        body = {"kind": "activation", "scenario": scenario, **(more or {})}
        key = key or os.urandom(8).hex()
        return self.request("POST", "/v1/transactions", body, key=key)

    def until(
        self,
        transaction: Transaction,
        wanted: Callable[[Transaction], bool] | str,
        seconds: float = WAIT_SECONDS,
    ) -> Transaction:
        """Follow until it is in this state, or as wanted."""
        deadline = time.monotonic() + seconds
        while not (
            transaction.state == wanted
            if isinstance(wanted, str)
            else wanted(transaction)
        ):
            assert not transaction.ended, describe(transaction)
            assert time.monotonic() < deadline, describe(transaction)
            transaction = self.kaqi.next(transaction, seconds=2)
        return transaction


def describe(transaction: Transaction) -> str:
    """What an assertion shows."""
    problem = transaction.problem
    return f"{transaction.data['step']['key']} {problem['code'] if problem else ''}"


def _answer(status: int, headers: Any, raw: bytes) -> Answer:  # noqa: ANN401 - two kinds
    shown = {key.lower(): value for key, value in headers.items()}
    body: Any = raw
    if shown.get("content-type") != "application/zip":
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw.decode("utf-8", "replace")
    return Answer(status, shown, body)


@dataclass(frozen=True, slots=True)
class Running:
    """An agent in this process."""

    agent: main.Agent
    pos: Pos
    folder: DataFolder
    port: int

    def reader_ids(self, names: tuple[str, ...]) -> list[str]:
        """The ids of these readers, once they have been noticed."""
        deadline = time.monotonic() + WAIT_SECONDS
        pause = threading.Event()
        while True:
            known = {each["name"]: str(each["id"]) for each in self.pos.kaqi.readers()}
            if all(name in known for name in names):
                return [known[name] for name in names]
            assert time.monotonic() < deadline, known
            pause.wait(0.02)


@contextmanager
def running(
    folder: Path,
    centre_address: str,
    directories: Mapping[str, ReaderDirectory],
    hand: SimulatedDesk | None,
    *,
    institution: Institution = HOSPITAL,
    clocks: Clocks = QUICK,
    origins: frozenset[str] = frozenset(),
    profile: RegionProfile | None = None,
    clock: Clock | None = None,
    space: Space | None = None,
    limits: Limits = UNLIMITED,
    port: int = 0,
) -> Iterator[Running]:
    """An agent with a real server on this port, or on a free one; unlimited, because tests look very often
    whether something has come. When it ends without a failure, all that it told is looked
    through."""
    told: list[Happening] = []
    with ExitStack() as stack:
        opened = DataFolder(folder)
        stack.callback(logs.configure(opened.logs, debug=True))
        sockets = listen(port)
        port = sockets[0].getsockname()[1]
        settings = Settings(
            institution=institution,
            centre_address=centre_address,
            origins=origins,
            psam_reader=simulated.PSAM,
        )
        built = main.agent(
            settings=settings,
            profile=replace(profile or load_profile("reference"), clocks=clocks),
            folder=opened,
            port=port,
            directories=directories,
            hand=hand,
            clock=clock,
            space=space,
            limits=limits,
        )
        built.till.happenings.listen(told.append)
        built.till.start()
        stack.callback(built.till.stop)
        server = Server(built.app, sockets, built.stopping)
        thread = server.run_beside()
        stack.callback(thread.join)
        stack.callback(server.stop)
        token = opened.pair("pos", SCOPES)
        yield Running(built, Pos(port, token), opened, port)
    assert not mistakes(told), mistakes(told)


class AgentProcess:
    """`kaqi serve --simulate` as a process that can be killed. Use as a context manager."""

    def __init__(self, folder: Path, centre_address: str, *arguments: str) -> None:
        self._folder = folder
        self._command = [
            *(sys.executable, "-m", "plugin", "serve", "--simulate"),
            *("--port", "0", "--data", str(folder), "--centre", centre_address),
            *arguments,
        ]
        self._process: subprocess.Popen[str] | None = None
        self.output = ""

    def __enter__(self) -> AgentProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Pos:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        line = ""
        while "http://127.0.0.1:" not in line:  # after what it has to say before
            line = self._process.stdout.readline()
            self.output += line
            assert line, self.output
        port = int(line.rpartition(":")[2])
        self.pos = Pos(port, DataFolder(self._folder).pair("pos", SCOPES))
        return self.pos

    def another(self, client: str, scopes: tuple[str, ...]) -> Pos:
        """A second client of the same agent."""
        return Pos(self.pos.port, DataFolder(self._folder).pair(client, scopes))

    def kill(self) -> None:
        """SIGKILL: nothing is said goodbye to."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(how)
        overdue = threading.Timer(WAIT_SECONDS, process.kill)
        overdue.start()
        with process:  # not communicate: part of it is in our buffer already
            assert process.stdout is not None
            self.output += process.stdout.read()
        overdue.cancel()
        return process.returncode


__all__ = [
    "HOSPITAL",
    "PHARMACY",
    "AgentProcess",
    "Answer",
    "KaqiError",
    "Pos",
    "Running",
    "describe",
    "running",
    "wait_until",
]
