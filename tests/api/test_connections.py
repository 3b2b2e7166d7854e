"""What strangers do to the port: no connection of theirs lasts, and none costs a client his."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from plugin.api import server
from tests.agents import Pos, Running, wait_until
from tests.api.entrance import Entrance
from tests.waiting import WAIT_SECONDS


@pytest.fixture
def pos(shared_agent: Running) -> Pos:
    """Nothing here changes anything."""
    return shared_agent.pos


@pytest.fixture
def line(pos: Pos) -> Iterator[socket.socket]:
    """A connection to the agent."""
    with socket.create_connection(("127.0.0.1", pos.port), timeout=10) as opened:
        yield opened


def head(pos: Pos, method: str, path: str, **more: str) -> bytes:
    """The head of a request with a right token."""
    headers = {"Host": f"127.0.0.1:{pos.port}", "Authorization": f"Bearer {pos.token}"}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    lines = [f"{method} {path} HTTP/1.1", *map(": ".join, headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def switching(pos: Pos) -> bytes:
    """What the script of a foreign page sends that wants a web socket."""
    asked = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Origin": "https://evil.example",
    }
    return head(pos, "GET", "/v1/events", **asked)


def all_of(line: socket.socket) -> bytes:
    """What comes until the other side hangs up."""
    found = b""
    while some := line.recv(65_536):
        found += some
    return found


def test_who_does_not_wait_for_the_answer_gets_no_other(
    pos: Pos, line: socket.socket
) -> None:
    line.sendall(head(pos, "GET", "/v1/readers") * 3)

    answer = all_of(line)

    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert answer.endswith(b"}")


def test_a_request_behind_another_stands_under_no_deadline_and_so_is_not_taken(
    pos: Pos, line: socket.socket
) -> None:
    begun = head(
        pos,
        "POST",
        "/v1/transactions",
        Content_Type="application/json",
        Content_Length="99",
    )
    line.sendall(head(pos, "GET", "/v1/readers") + begun + b"{")

    assert all_of(line).count(b"HTTP/1.1") == 1


def test_who_waits_for_the_answer_may_ask_again(pos: Pos, line: socket.socket) -> None:
    for _ in range(3):
        line.sendall(head(pos, "GET", "/healthz"))
        assert line.recv(65_536).startswith(b"HTTP/1.1 204 No Content")


def test_a_switch_to_a_web_socket_is_refused_like_any_page(
    pos: Pos, line: socket.socket
) -> None:
    line.sendall(switching(pos))

    answer = all_of(line)

    assert answer.startswith(b"HTTP/1.1 403 Forbidden")
    assert b"auth.origin_denied" in answer


def test_asking_for_what_is_open_makes_nobody_a_client(pos: Pos) -> None:
    alive = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{pos.port}\r\n\r\n".encode()
    with ExitStack() as stack:
        for _ in range(server.CONNECTIONS_MAX):
            stranger = stack.enter_context(
                socket.create_connection(("127.0.0.1", pos.port), timeout=10)
            )
            stranger.sendall(alive)
            assert stranger.recv(1_000).startswith(b"HTTP/1.1 204")

        assert [pos.request("GET", "/v1/readers").status for _ in range(5)] == [200] * 5


def test_a_burst_of_strangers_drops_nobody_unheard() -> None:
    sockets = server.listen(0)
    port = sockets[0].getsockname()[1]
    entrance = Entrance(port)
    serving = server.Server(entrance.guard, sockets, lambda: None)
    with ExitStack() as stack:

        def come(times: int) -> list[socket.socket]:
            return [
                stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
                for _ in range(times)
            ]

        strangers = come(server.CONNECTIONS_MAX)
        (client,) = come(1)
        client.sendall(entrance.head("/v1/readers"))
        strangers += come(3 * server.CONNECTIONS_MAX)
        (last,) = come(1)
        last.sendall(entrance.head("/v1/readers"))
        thread = serving.run_beside()  # only now: all of them stand at the door
        stack.callback(thread.join)
        stack.callback(serving.stop)

        answers = [each.recv(1_000) for each in (client, last)]
        staying = sum(is_open(each) for each in strangers)

    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 204"] * 2
    assert staying <= server.CONNECTIONS_MAX - 2


def is_open(line: socket.socket) -> bool:
    """Whether the other side still holds it."""
    line.setblocking(False)
    try:
        return line.recv(1_000) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_strangers_make_no_noise_in_the_events_or_in_the_log(agent: Running) -> None:
    happenings = agent.agent.till.happenings
    elsewhere = {"Origin": "https://evil.example"}

    def told() -> list[str]:
        kinds = [each.type for each in happenings.since(0)[1]]
        return [kind for kind in kinds if kind.startswith("security")]

    for _ in range(20):
        agent.pos.request("GET", "/v1/readers", headers=elsewhere)
        for rubbish in (b"\x16\x03\x01 hello\r\n\r\n", switching(agent.pos)):
            with socket.create_connection(("127.0.0.1", agent.port), 10) as line:
                line.sendall(rubbish)
                all_of(line)
    wait_until(lambda: bool(told()))

    logged = (agent.folder.logs / "kaqi.log").read_text(encoding="utf-8")
    assert told() == ["security.rejected"]
    assert logged.count("auth.origin_denied") <= 1
    assert "uvicorn" not in logged


@pytest.mark.parametrize("when", ["before it has begun", "while it serves", "twice"])
def test_a_server_ends_whenever_it_is_told(when: str) -> None:
    sockets = server.listen(0)
    port = sockets[0].getsockname()[1]
    told: list[str] = []
    serving = server.Server(Entrance(port).guard, sockets, lambda: told.append("ends"))
    if when == "before it has begun":
        serving.stop()
    thread = serving.run_beside()
    if when != "before it has begun":
        with socket.create_connection(("127.0.0.1", port), 10) as line:
            line.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % port)
            assert line.recv(1_000).startswith(b"HTTP/1.1 ")
        serving.stop()

    thread.join(WAIT_SECONDS)
    if when == "twice":
        serving.stop()

    assert not thread.is_alive()
    assert told == ["ends"]
