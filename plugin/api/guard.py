"""The one guard before every route: outermost, pure ASGI, refusing before a body is read.

In this order (design of the API): where the connection comes from, Host with port, Origin
and Sec-Fetch-Site, method and content type, token and scope, how often, size of the body.
What it refuses, it refuses by a code of its own, and counts; what it lets through carries
the client and a trace id in its scope.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from msgspec import Struct

from plugin.activation.problem import Problem
from plugin.agent.failure import described
from plugin.agent.rate import FailedTries, Rate
from plugin.agent.service import Client
from plugin.api.problems import Catalogue

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_MAX_BYTES = 64 * 1024
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
LOOPBACK = frozenset({"127.0.0.1", "::1"})
CORS_METHODS = "GET, POST"
CORS_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Prefer, Traceparent"
)
CORS_EXPOSED = "Allow, Location, Idempotency-Replayed, Retry-After, Trace-Id"
HEADERS_ALWAYS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
SHOWS_NOTHING = b"default-src 'none'; frame-ancestors 'none'"
SHOWS_ITS_OWN = (
    b"default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'"
)
JSON_TYPE = re.compile(r"application/json(; ?charset=utf-8)?", re.IGNORECASE)
LENGTH = re.compile(r"[0-9]{1,9}")
PATH = re.compile(r"/[!-~]*")
REQUESTS_MS = 5_000
_TRACE_PARENT = re.compile("00-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_SOMEBODY = re.compile(r"\d{6}(?:18|19|20)\d\d[01]\d[0-3]\d{4}")  # an identity number's
_log = logging.getLogger("kaqi.guard")


class RefusedError(Exception):
    """The guard says no, and why."""

    def __init__(self, code: str, retry_after: int = 0, **facts: str) -> None:
        super().__init__(code)
        self.problem = Problem(code, facts)
        self.retry_after = retry_after


class Door(Struct, frozen=True, kw_only=True):
    """What stands before one operation: the scope its token needs (None: no token), and
    whether it is a page that a person may open by its address."""

    method: str
    path: str
    scope: str | None
    page: bool = False


class Doors:
    """The doors of all operations, each with the pattern of its path."""

    def __init__(self, known: Iterable[tuple[re.Pattern[str], Door]]) -> None:
        self._known = tuple(known)

    @property
    def known(self) -> tuple[Door, ...]:
        """All of them."""
        return tuple(door for _, door in self._known)

    def to(self, method: str, path: str) -> Door:
        """The one before this; whatever nobody offers is behind one that is opened with
        the right to read."""
        for pattern, door in self._known:
            if door.method == method and pattern.fullmatch(path):
                return door
        return Door(method=method, path="", scope="read")


class Limits(Struct, frozen=True, kw_only=True):
    """How often. Who keeps to it is never kept waiting by those who do not."""

    requests: int = 100  # at once by one client, and as many in 5 s
    failures: int = 10  # tokens that nobody has, in a minute; then it pauses for one


class House(Struct, frozen=True, kw_only=True):
    """Where we live, who may call, and how callers are known by their token. `ticks` are
    milliseconds. `rejected` hears of a code that speaks of an attack, and how often it has
    been said: at most once a minute for each."""

    port: int
    origins: frozenset[str]
    authenticate: Callable[[str], Client | None]
    ticks: Callable[[], int]
    rejected: Callable[[str, int], None]
    limits: Limits = Limits()

    @property
    def authorities(self) -> frozenset[str]:
        """The only Host headers that mean us."""
        hosts = ("127.0.0.1", "localhost", "[::1]")
        return frozenset(f"{host}:{self.port}" for host in hosts)

    @property
    def own_origins(self) -> frozenset[str]:
        """Pages that we serve ourselves."""
        return frozenset(f"http://{authority}" for authority in self.authorities)


class Guard:
    """Wraps the application. `rejections` says how often it has refused by each code."""

    def __init__(
        self, app: App, house: House, doors: Doors, catalogue: Catalogue
    ) -> None:
        self._app = app
        self._house = house
        self._authorities = house.authorities
        self._listed = house.origins | house.own_origins
        self.doors = doors
        self._catalogue = catalogue
        self.rejections: Counter[str] = Counter()
        self._requests = Rate(house.limits.requests, house.ticks, REQUESTS_MS)
        self._failures = FailedTries(house.limits.failures, house.ticks)
        self._told = Rate(1, house.ticks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # there is no WebSocket here: the server asks as for any page
        trace_id = _trace_id(scope)
        origin = _only(scope, b"origin")
        door = self.doors.to(scope["method"], scope["path"])
        answer = _with_headers(send, self._answer_headers(origin, door, trace_id))
        try:
            self._check_address(scope)
            self._check_origin(scope, door)
            if scope["method"] == "OPTIONS" and origin is not None:
                await _empty(answer, 204)  # a listed page may ask (Fetch, 4.8)
                return
            scope.setdefault("state", {})["client"] = self._admitted(scope, door)
            scope["state"] |= {"trace_id": trace_id, "route": door.path}
        except RefusedError as refused:
            self._note(refused.problem.code)
            await self._refuse(answer, refused, trace_id)
            return
        except Exception as failed:  # noqa: BLE001 - nobody else answers for the guard
            _log.error(
                "the guard failed", extra={**described(failed), "trace_id": trace_id}
            )
            await self._refuse(answer, RefusedError("agent.failed"), trace_id)
            return
        await self._app(scope, receive, answer)

    def _admitted(self, scope: Scope, door: Door) -> Client | None:
        """The client, once what is asked is in order as well."""
        self._check_content(scope)
        client = None if door.scope is None else self._known(scope, door.scope)
        self._check_length(scope)
        return client

    def _check_address(self, scope: Scope) -> None:
        peer = scope.get("client")
        if peer is None or peer[0] not in LOOPBACK:
            raise RefusedError("auth.host_denied")
        if not scope["raw_path"].startswith(b"/"):  # a whole address, or an asterisk
            raise RefusedError("auth.host_denied")
        if _only(scope, b"host") not in self._authorities:
            raise RefusedError("auth.host_denied")
        if not PATH.fullmatch(scope["path"]):
            raise RefusedError("request.not_found")

    def _check_origin(self, scope: Scope, door: Door) -> None:
        """Go's CrossOriginProtection is the model: exact match, or not a browser."""
        origins = _all(scope, b"origin")
        if origins and (len(origins) > 1 or origins[0] not in self._listed):
            raise RefusedError("auth.origin_denied")
        match _all(scope, b"sec-fetch-site"):
            case [] | ["same-origin"]:
                return
            case ["none"] if door.page and scope["method"] == "GET":
                return  # typed into the address bar
            case ["same-site" | "cross-site"] if origins:
                return
        raise RefusedError("auth.origin_denied")

    def _check_content(self, scope: Scope) -> None:
        if scope["method"] not in UNSAFE:
            return
        if not JSON_TYPE.fullmatch(_only(scope, b"content-type") or ""):
            raise RefusedError("request.not_json")

    def _known(self, scope: Scope, needed: str) -> Client:
        """Who has this token, if it reaches far enough and was not shown too often."""
        scheme, _, token = (_only(scope, b"authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise RefusedError("auth.token_missing")
        client = self._house.authenticate(token)
        if client is None:
            self._keep_pace(self._failures.seconds_to_wait())
            raise RefusedError("auth.token_invalid")
        if not client.calls_from(_page(scope)):
            raise RefusedError("auth.origin_denied")
        if needed not in client.scopes:
            raise RefusedError("auth.scope", scope=needed)
        self._keep_pace(self._requests.seconds_to_wait(client.id))
        return client

    def _keep_pace(self, seconds: int) -> None:
        if seconds:
            raise RefusedError("client.rate_limited", seconds, seconds=str(seconds))

    def _check_length(self, scope: Scope) -> None:
        length = _only(scope, b"content-length") or "0"
        if not LENGTH.fullmatch(length) or int(length) > BODY_MAX_BYTES:
            raise RefusedError("request.too_large")

    def _answer_headers(
        self, origin: str | None, door: Door, trace_id: str
    ) -> list[tuple[bytes, bytes]]:
        shows = SHOWS_ITS_OWN if door.page else SHOWS_NOTHING
        headers = [
            *HEADERS_ALWAYS,
            (b"content-security-policy", shows),
            (b"trace-id", trace_id.encode()),
        ]
        if origin in self._house.origins:
            headers += [
                (b"access-control-allow-origin", origin.encode()),
                (b"access-control-allow-methods", CORS_METHODS.encode()),
                (b"access-control-allow-headers", CORS_HEADERS.encode()),
                (b"access-control-expose-headers", CORS_EXPOSED.encode()),
                (b"access-control-max-age", b"600"),
            ]
        return [*headers, (b"vary", b"Origin")]

    def _note(self, code: str) -> None:
        """Count it. What a page can cause as often as it likes is told now and then."""
        self.rejections[code] += 1
        if self._catalogue.entry(code).category != "security":
            return
        if self._told.seconds_to_wait(code) == 0:
            self._house.rejected(code, self.rejections[code])

    async def _refuse(self, send: Send, refused: RefusedError, trace_id: str) -> None:
        seconds = refused.retry_after
        extras = {"retry_after": seconds} if seconds else {}
        body = self._catalogue.body(refused.problem, trace_id, **extras)
        content = json.dumps(body, ensure_ascii=False).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(content)).encode()),
            (b"connection", b"close"),
        ]
        if body["status"] == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if seconds:
            headers.append((b"retry-after", str(seconds).encode()))
        await send(
            {
                "type": "http.response.start",
                "status": body["status"],
                "headers": headers,
            }
        )
        await send({"type": "http.response.body", "body": content})


def _all(scope: Scope, name: bytes) -> list[str]:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1") for key, value in headers if key == name]


def _only(scope: Scope, name: bytes) -> str | None:
    """The value of a header that may come once; twice is as bad as none."""
    values = _all(scope, name)
    return values[0] if len(values) == 1 else None


def _page(scope: Scope) -> str | None:
    """The origin of the page that asks; a browser leaves it out where a page reads from its
    own."""
    if _only(scope, b"sec-fetch-site") == "same-origin":
        return _only(scope, b"origin") or f"http://{_only(scope, b'host')}"
    return _only(scope, b"origin")


def _trace_id(scope: Scope) -> str:
    """The caller's, if it traces (W3C Trace Context, 3.2), else a new one."""
    theirs = _TRACE_PARENT.fullmatch(_only(scope, b"traceparent") or "")
    if theirs and not _SOMEBODY.search(theirs[1]):
        return theirs[1]
    return uuid.uuid4().hex[:16]


def _with_headers(send: Send, headers: list[tuple[bytes, bytes]]) -> Send:
    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name for name, _ in headers}
            own = [pair for pair in message.get("headers", []) if pair[0] not in names]
            message = {**message, "headers": [*own, *headers]}
        await send(message)

    return answer


async def _empty(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})
