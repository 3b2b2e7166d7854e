"""The vendor's client: what it does when the agent does not answer as it should."""

from __future__ import annotations

import ast
import socket
import threading
from pathlib import Path

import pytest

from plugin import client
from plugin.client import Kaqi, KaqiError, KaqiUnreachableError
from tests.agents import Running

STARTED = (
    b'{"id": "t-1", "state": "waiting_card", "allowed_actions": [], "problem": null,'
    b' "result": null, "notices": [], "seq": 1,'
    b' "step": {"key": "x", "text": {"zh-CN": "a", "en": "b"}}}'
)


class FlakyAgent:
    """Hangs up on the first connections, then answers."""

    def __init__(self, hang_ups: int, answer: bytes = STARTED) -> None:
        self._hang_ups = hang_ups
        self._answer = answer
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.received: list[str] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                self.received.append(connection.recv(65_536).decode())
                if len(self.received) > self._hang_ups:
                    head = (
                        f"HTTP/1.1 202 Accepted\r\nContent-Length: {len(self._answer)}"
                    )
                    connection.sendall(head.encode() + b"\r\n\r\n" + self._answer)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()

    def keys(self) -> set[str]:
        """The idempotency keys that came."""
        lines = [line for each in self.received for line in each.split("\r\n")]
        return {line for line in lines if line.startswith("Idempotency-Key")}


def test_a_lost_answer_is_asked_for_again_with_the_same_key() -> None:
    agent = FlakyAgent(hang_ups=2)

    transaction = Kaqi(token="t", address=agent.address).start("pharmacy")

    agent.close()
    assert transaction.id == "t-1"
    assert len(agent.received) == 3
    assert len(agent.keys()) == 1


def test_an_agent_that_never_answers_is_unreachable() -> None:
    agent = FlakyAgent(hang_ups=99)

    with pytest.raises(KaqiUnreachableError):
        Kaqi(token="t", address=agent.address).start("pharmacy")

    agent.close()
    assert len(agent.received) == client.TRIES


def test_something_else_on_the_port_is_not_the_agent() -> None:
    agent = FlakyAgent(hang_ups=0, answer=b"<html>another program</html>")

    with pytest.raises(KaqiUnreachableError):
        Kaqi(token="t", address=agent.address).get("t-1")

    agent.close()


def test_a_refusal_carries_its_code_and_its_sentence(agent: Running) -> None:
    stranger = Kaqi(token="wrong", address=f"127.0.0.1:{agent.port}")

    with pytest.raises(KaqiError) as refused:
        stranger.readers()

    assert (refused.value.status, refused.value.code) == (401, "auth.token_invalid")
    assert refused.value.message("en") == "The access token is not valid."


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
        "dataclasses",
        "http.client",
        "json",
        "typing",
        "uuid",
    }
