"""Recorded exchanges with a centre, replayed over a real socket.

A file in transcripts/centre is UTF-8. `# ` begins a remark, and `encoding: ` says what the
bodies are sent in. A line of ours begins with `> `, one of the centre's with `< `: first the
head of an HTTP message, then an empty line, then the body, whose last line has no end. `!`
stands where the centre closes the connection without an answer. Host is left out: it names
the port of the day.
"""

from __future__ import annotations

import re
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "transcripts" / "centre"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HOST = re.compile(rb"\r\nhost: [^\r]*", re.IGNORECASE)


@dataclass(frozen=True)
class Exchange:
    """One request, and its answer; None when there was none."""

    request: bytes
    answer: bytes | None

    @property
    def path(self) -> str:
        """Where the request goes."""
        return self.request.split(b" ")[1].decode()

    @property
    def sent(self) -> bytes:
        """The body of the request."""
        return self.request.partition(b"\r\n\r\n")[2]

    @property
    def received(self) -> bytes | None:
        """The body of the answer."""
        return self.answer and self.answer.partition(b"\r\n\r\n")[2]

    @property
    def headers(self) -> dict[str, str]:
        """Those of the request."""
        lines = self.request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return dict(line.split(": ", 1) for line in lines)


def recorded(name: str) -> list[Exchange]:
    """The exchanges of one transcript."""
    encoding, found, ours, theirs = "utf-8", [], [], []  # type: ignore[var-annotated]
    for line in [*(FOLDER / f"{name}.txt").read_text("utf-8").splitlines(), "> "]:
        mark, said = line[:1], line[2:]
        if mark == ">" and theirs:  # the next exchange begins
            found.append(Exchange(_message(ours, encoding), _answer(theirs, encoding)))
            ours, theirs = [], []
        if mark == ">":
            ours.append(said)
        elif mark in ("<", "!"):
            theirs.append(said if mark == "<" else None)
        elif line.startswith("encoding: "):
            encoding = line.removeprefix("encoding: ")
    return found


def _answer(lines: list[str | None], encoding: str) -> bytes | None:
    return None if None in lines else _message([str(each) for each in lines], encoding)


def _message(lines: list[str], encoding: str) -> bytes:
    end = lines.index("")
    head = "".join(f"{line}\r\n" for line in lines[: end + 1])
    return head.encode() + "\n".join(lines[end + 1 :]).encode(encoding)


class Replay:
    """A centre that answers as recorded, and keeps what it was asked. Use as a context
    manager."""

    def __init__(self, exchanges: list[Exchange]) -> None:
        self.asked: list[bytes] = []
        self._exchanges = exchanges
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Replay:
        self._server.settimeout(10)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        connection = None
        for exchange in self._exchanges:
            connection = connection or self._accepted()
            if connection is None:
                return
            self.asked.append(_HOST.sub(b"", _request(connection), count=1))
            connection.sendall(exchange.answer or b"")
            if exchange.answer is None or b"\r\nConnection: close" in self.asked[-1]:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _accepted(self) -> socket.socket | None:
        """The next connection; None when nobody asks any more."""
        try:
            connection, _ = self._server.accept()
        except OSError:
            return None
        connection.settimeout(10)
        return connection


def _request(connection: socket.socket) -> bytes:
    """All of one request."""
    received = b""
    while b"\r\n\r\n" not in received or len(received) < _whole(received):
        part = connection.recv(65_536)
        if not part:
            break
        received += part
    return received


def _whole(received: bytes) -> int:
    length = _LENGTH.search(received)
    head = received.index(b"\r\n\r\n") + 4
    return head + (int(length[1]) if length else 0)
