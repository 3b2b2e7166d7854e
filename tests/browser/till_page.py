"""What a web POS brings along: its site with our client copied into it; and agents that only
play one, to see what a page sends to whoever answers."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import (
    BaseHTTPRequestHandler,
    SimpleHTTPRequestHandler,
    ThreadingHTTPServer,
)
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
TOKEN = "pos~AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
ALLOWED = "authorization, content-type, idempotency-key, last-event-id"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def vendor_site(folder: Path) -> Iterator[int]:
    """A web site, on a port of its own, with our two files and an empty page."""
    for file in ROOT.glob("console/*.js"):
        shutil.copy(file, folder)
    for file in ROOT.glob("examples/*.html"):
        shutil.copy(file, folder)
    (folder / "index.html").write_text("<!doctype html><title>a till</title>")
    with serving(partial(_Quiet, directory=str(folder))) as port:
        yield port


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[int]:
    """A web server on any free port of loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass(frozen=True)
class Received:
    """One request that arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any

    @property
    def key(self) -> str | None:
        """Its idempotency key."""
        return self.headers.get("idempotency-key")


@dataclass
class Played:
    """Plays an agent. `answers` are (status, body) by path; everything else is an empty
    object. `silences` is how many answers are lost on their way; `proves` whether it knows
    the token; `hello` what it says instead; `streams` what each follower of the events is sent before it is cut off."""

    answers: dict[str, tuple[int, object]] = field(default_factory=dict)
    silences: int = 0
    proves: bool = True
    hello: tuple[int, object] | None = None
    streams: list[bytes] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[Received]:
        """Everything but preflights and hellos."""
        return [
            each
            for each in self.received
            if each.method != "OPTIONS" and each.path != "/v1/hello"
        ]

    def saw(self, secret: str) -> bool:
        """Whether this ever arrived."""
        return any(secret in repr(each) for each in self.received)

    def answer(self, asked: Received) -> tuple[int, bytes]:
        """The status and the body; a status of 0 is a lost answer."""
        if asked.method == "OPTIONS":
            return 204, b""
        if asked.path == "/v1/hello":
            status, said = self.hello or (200, {"proof": self._proof(asked)})
            return status, json.dumps(said).encode()
        if self.silences:
            self.silences -= 1
            return 0, b""
        if self.streams and asked.path == "/v1/events":
            return 200, self.streams.pop(0)
        status, body = self.answers.get(asked.path, (200, {}))
        return status, b"" if status == 204 else json.dumps(body).encode()

    def _proof(self, asked: Received) -> str:
        if not self.proves:
            return "0" * 64
        key = hashlib.sha256(TOKEN.encode()).digest()
        said = f"kaqi-hello\n{asked.body['nonce']}\n{asked.headers['host']}"
        return hmac.digest(key, said.encode(), "sha256").hex()


class _Playing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # on a kept connection Chromium tries again by itself

    def __init__(self, played: Played, *arguments: Any) -> None:  # noqa: ANN401
        self._played = played
        super().__init__(*arguments)

    def _one(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        asked = Received(
            method=self.command,
            path=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=json.loads(raw) if raw else None,
        )
        self._played.received.append(asked)
        status, body = self._played.answer(asked)
        if status == 0:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Headers", ALLOWED)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_OPTIONS = _one  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def playing() -> Iterator[Played]:
    """An agent that is none."""
    played = Played()
    with serving(partial(_Playing, played)) as port:
        played.port = port
        yield played


def run(page: Page, script: str, *given: object) -> Any:  # noqa: ANN401 - what JSON holds
    """Run this with our client as `k`; what it throws comes back as {thrown}."""
    return page.evaluate(
        f"""async (given) => {{
          const k = await import(location.origin + "/kaqi.js");
          try {{ return await ({script})(k, ...given); }}
          catch (e) {{ return {{thrown: e instanceof k.KaqiError ? e.code : e.name,
                                status: e.status, messages: e.messages,
                                remedy: e.remedy}}; }}
        }}""",
        list(given),
    )
