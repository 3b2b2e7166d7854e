"""Who is let in over a real connection: every refusal by its own code."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from contextlib import ExitStack, suppress

import pytest

from plugin.api import server
from plugin.data_folder import DataFolder
from tests.agents import Answer, Pos, Running
from tests.api.conftest import LISTED
from tests.listed import unlisted


@pytest.fixture
def pos(shared_agent: Running) -> Pos:
    """Nothing here changes anything."""
    return shared_agent.pos


@pytest.fixture
def agent_folder(shared_agent: Running) -> DataFolder:
    return shared_agent.folder


def send(
    pos: Pos,
    method: str,
    path: str,
    headers: list[tuple[str, str]],
    body: bytes = b"{}",
) -> Answer:
    """Exactly these headers, several of one name if so wished."""
    connection = http.client.HTTPConnection("127.0.0.1", pos.port, timeout=10)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    content = body if method == "POST" else b""
    connection.putheader("Content-Length", str(len(content)))
    connection.endheaders(content)
    raw = b""
    try:
        answer = connection.getresponse()
        if not answer.getheader("content-type", "").startswith("text/event"):
            raw = answer.read()
    except ConnectionError:  # refused so early that our own body met a closed door
        return Answer(400, {}, None)
    finally:
        connection.close()
    shown = {key.lower(): value for key, value in answer.getheaders()}
    try:
        told = Answer(answer.status, shown, json.loads(raw) if raw else None)
    except ValueError:
        return Answer(answer.status, shown, raw.decode("utf-8", "replace"))
    if told.status >= 400 and "code" in told.body:
        assert not unlisted(method, path, told.code), (method, path, told.code)
    return told


def usual(pos: Pos, **changed: str | None) -> list[tuple[str, str]]:
    """What a POS sends, with some of it changed or left out."""
    headers: dict[str, str | None] = {
        "Host": f"127.0.0.1:{pos.port}",
        "Authorization": f"Bearer {pos.token}",
        "Content-Type": "application/json",
        "Idempotency-Key": "k",
    }
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    return [(name, value) for name, value in headers.items() if value is not None]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1:99999",
        "127.0.0.1.evil.example:{port}",
        "localhost.:{port}",
        "LOCALHOST:{port}",
        "0.0.0.0:{port}",
        "127.1:{port}",
        "2130706433:{port}",
        "user@127.0.0.1:{port}",
        "[::ffff:127.0.0.1]:{port}",
        "",
        None,
    ],
)
def test_a_host_that_is_not_ours_is_refused(pos: Pos, host: str | None) -> None:
    spelled = host.format(port=pos.port) if host is not None else None

    answer = send(pos, "GET", "/v1/readers", usual(pos, Host=spelled))

    assert answer.status in (421, 400)
    if answer.status == 421:
        assert answer.code == "auth.host_denied"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_the_three_spellings_of_this_machine_are_ours(pos: Pos, host: str) -> None:
    answer = send(pos, "GET", "/v1/readers", usual(pos, Host=f"{host}:{pos.port}"))

    assert answer.status == 200


def test_two_hosts_are_no_host(pos: Pos) -> None:
    ours = f"127.0.0.1:{pos.port}"
    headers = [*usual(pos, Host=ours), ("Host", "evil.example")]

    answer = send(pos, "GET", "/v1/readers", headers)

    assert answer.status in (400, 421)


def test_a_whole_address_as_target_is_refused(pos: Pos) -> None:
    target = f"http://127.0.0.1:{pos.port}/v1/readers"

    answer = send(pos, "GET", target, usual(pos))

    assert answer.code == "auth.host_denied"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        f"{LISTED}.evil.example",
        f"{LISTED}:8443",
        "https://xhis.example",
        "HTTPS://HIS.EXAMPLE",
        "http://his.example",
        f"{LISTED}/",
        "http://127.0.0.1:1",
    ],
)
def test_a_page_that_is_not_listed_is_refused(pos: Pos, origin: str) -> None:
    answer = send(pos, "GET", "/v1/readers", usual(pos, Origin=origin))

    assert (answer.status, answer.code) == (403, "auth.origin_denied")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", "rubbish"])
def test_a_browser_without_an_origin_is_refused(pos: Pos, site: str) -> None:
    answer = send(pos, "GET", "/v1/readers", usual(pos, Sec_Fetch_Site=site))

    assert (answer.status, answer.code) == (403, "auth.origin_denied")


def test_two_origins_are_no_origin(pos: Pos) -> None:
    headers = [*usual(pos, Origin=LISTED), ("Origin", LISTED)]

    assert send(pos, "GET", "/v1/readers", headers).code == "auth.origin_denied"


def test_a_listed_page_is_let_in_and_told_so(pos: Pos) -> None:
    headers = usual(pos, Origin=LISTED, Sec_Fetch_Site="cross-site")

    answer = send(pos, "GET", "/v1/readers", headers)

    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == LISTED
    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in answer.headers
    assert "access-control-allow-private-network" not in answer.headers


def test_a_listed_page_may_ask_before_it_asks(pos: Pos) -> None:
    headers = [
        ("Host", f"127.0.0.1:{pos.port}"),
        ("Origin", LISTED),
        ("Access-Control-Request-Method", "POST"),
    ]

    answer = send(pos, "OPTIONS", "/v1/transactions", headers)

    assert answer.status == 204
    assert answer.headers["access-control-allow-methods"] == "GET, POST"
    assert "Idempotency-Key" in answer.headers["access-control-allow-headers"]
    assert answer.headers["access-control-max-age"] == "600"


def test_a_foreign_page_may_not_even_ask(pos: Pos) -> None:
    headers = [("Host", f"127.0.0.1:{pos.port}"), ("Origin", "https://evil.example")]

    answer = send(pos, "OPTIONS", "/v1/transactions", headers)

    assert answer.code == "auth.origin_denied"


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "auth.token_missing"),
        ("", "auth.token_missing"),
        ("Bearer", "auth.token_missing"),
        ("Basic cG9zOnBvcw==", "auth.token_missing"),
        ("Bearer wrong", "auth.token_invalid"),
        ("Bearer " + "A" * 4_000, "auth.token_invalid"),
    ],
)
def test_what_is_no_token_of_ours_opens_nothing(
    pos: Pos, authorization: str | None, code: str
) -> None:
    answer = send(pos, "GET", "/v1/readers", usual(pos, Authorization=authorization))

    assert (answer.status, answer.code) == (401, code)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_alive_needs_no_token_and_says_nothing(pos: Pos) -> None:
    answer = send(pos, "GET", "/healthz", [("Host", f"127.0.0.1:{pos.port}")])

    assert answer.status == 204
    assert answer.body is None
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("scopes", "method", "path", "needed"),
    [
        (("activate",), "GET", "/v1/readers", "read"),
        (("read",), "POST", "/v1/transactions", "activate"),
        (("read", "activate"), "GET", "/v1/simulate/cast", "simulate"),
        (("read", "activate"), "POST", "/v1/simulate/readers/x/remove", "simulate"),
        (("activate",), "POST", "/v1/nothing", "read"),
        (("activate",), "PUT", "/v1/transactions", "read"),
    ],
)
def test_a_token_reaches_as_far_as_its_scopes(
    pos: Pos,
    agent_folder: DataFolder,
    scopes: tuple[str, ...],
    method: str,
    path: str,
    needed: str,
) -> None:
    narrow = Pos(pos.port, agent_folder.pair("narrow", scopes))

    answer = send(narrow, method, path, usual(narrow))

    assert (answer.status, answer.code) == (403, "auth.scope")
    assert needed in answer.body["title"]


@pytest.mark.parametrize("ending", ["%0A", "%0D", "%0A/cancel", "%00", "%E6%9E%97"])
def test_no_spelling_of_a_path_gets_round_the_scopes(
    pos: Pos, agent_folder: DataFolder, ending: str
) -> None:
    narrow = Pos(pos.port, agent_folder.pair("narrow", ("read",)))
    body = b'{"kind": "activation", "scenario": "pharmacy"}'

    path = f"/v1/transactions{ending}"
    answer = send(narrow, "POST", path, usual(narrow), body)

    assert answer.status in (403, 404)
    assert not pos.request("GET", "/v1/transactions").body["transactions"]


def test_a_revoked_token_is_void_at_once(pos: Pos, agent_folder: DataFolder) -> None:
    leaving = Pos(pos.port, agent_folder.pair("leaving", ("read",)))
    assert send(leaving, "GET", "/v1/readers", usual(leaving)).status == 200

    agent_folder.pair("leaving", ("read",))

    answer = send(leaving, "GET", "/v1/readers", usual(leaving))
    assert answer.code == "auth.token_invalid"


def test_every_answer_forbids_caching_sniffing_and_framing(pos: Pos) -> None:
    for headers in (usual(pos), usual(pos, Host="evil.example")):
        answer = send(pos, "GET", "/v1/readers", headers)

        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "set-cookie" not in answer.headers


def test_a_request_that_is_no_http_is_dropped(pos: Pos) -> None:
    with socket.create_connection(("127.0.0.1", pos.port), timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01\x00\xf4 hello\r\n\r\n")
        answer = connection.recv(1_000)

    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert send(pos, "GET", "/v1/readers", usual(pos)).status == 200


def test_headers_without_end_are_dropped(pos: Pos) -> None:
    with socket.create_connection(("127.0.0.1", pos.port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 40_000)
        answer = connection.recv(1_000)

    assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param("", id="nothing"),
        pytest.param("GET /healthz HT", id="half a head"),
        pytest.param(
            "POST /v1/transactions HTTP/1.1\r\n{usual}\r\nContent-Length: 99\r\n\r\n{{",
            id="half a body",
        ),
    ],
)
def test_what_is_left_half_done_is_hung_up(
    pos: Pos, begun: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(server, "BODY_SECONDS", 0.2)
    headers = "\r\n".join(f"{name}: {value}" for name, value in usual(pos))
    with socket.create_connection(("127.0.0.1", pos.port), timeout=3) as connection:
        connection.sendall(begun.format(usual=headers).encode())

        assert ended(connection)


def test_a_head_that_trickles_has_the_same_deadline(
    pos: Pos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.5)
    pause = threading.Event()
    with socket.create_connection(("127.0.0.1", pos.port), timeout=3) as connection:
        with suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(b"G")
                pause.wait(0.05)
        assert ended(connection)


def test_a_flood_of_strangers_does_not_keep_a_client_out(pos: Pos) -> None:
    with ExitStack() as stack:
        known = stack.enter_context(
            socket.create_connection(("127.0.0.1", pos.port), timeout=10)
        )
        headers = "\r\n".join(f"{name}: {value}" for name, value in usual(pos))
        known.sendall(f"GET /v1/events HTTP/1.1\r\n{headers}\r\n\r\n".encode())
        assert known.recv(15) == b"HTTP/1.1 200 OK"
        strangers = [
            stack.enter_context(socket.create_connection(("127.0.0.1", pos.port), 10))
            for _ in range(3 * server.CONNECTIONS_MAX)
        ]
        for each in strangers:
            with suppress(ConnectionError):
                each.sendall(b"G")

        answered = [pos.request("GET", "/v1/readers").status for _ in range(5)]

        assert answered == [200] * 5
        assert b"stream.snapshot" in known.recv(10_000)
        assert ended(strangers[0])


def ended(connection: socket.socket) -> bool:
    """Whether the other side has hung up without an answer."""
    try:
        return connection.recv(1_000) == b""
    except ConnectionError:
        return True


def test_a_body_without_a_length_is_stopped_at_its_limit(pos: Pos) -> None:
    head = "\r\n".join(f"{name}: {value}" for name, value in usual(pos))
    with socket.create_connection(("127.0.0.1", pos.port), timeout=10) as connection:
        connection.sendall(
            f"POST /v1/transactions HTTP/1.1\r\n{head}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        try:
            for _ in range(20):
                connection.sendall(b"2000\r\n" + b" " * 0x2000 + b"\r\n")
            answer = connection.recv(1_000)
        except ConnectionError:
            answer = b""

    assert answer == b"" or answer.startswith(b"HTTP/1.1 413")
    assert not pos.request("GET", "/v1/transactions").body["transactions"]
