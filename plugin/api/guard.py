"""The one guard before every route: outermost, pure ASGI, refusing before a body is read.

In this order (design of the API): where the connection comes from, Host with port, Origin
and Sec-Fetch-Site, method and content type, token and scope, size of the body. What it
refuses, it refuses by a code of its own; what it lets through carries the client and a
trace id in its scope.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from msgspec import Struct

from plugin.activation.problem import Problem
from plugin.agent.failure import described
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
CORS_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Prefer"
CORS_EXPOSED = "Allow, Location, Idempotency-Replayed, Retry-After, Trace-Id"
HEADERS_ALWAYS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
PATH = re.compile(r"/[!-~]*")
_log = logging.getLogger("kaqi.guard")


class RefusedError(Exception):
    """The guard says no, and why."""

    def __init__(self, code: str, **facts: str) -> None:
        super().__init__(code)
        self.problem = Problem(code, facts)


class Door(Struct, frozen=True, kw_only=True):
    """What stands before one operation: the scope its token needs (None: no token), and
    whether it is a page that a person may open by its address."""

    scope: str | None
    page: bool = False


class House(Struct, frozen=True, kw_only=True):
    """Where we live, who may call, and how callers are known by their token."""

    port: int
    origins: frozenset[str]
    authenticate: Callable[[str], Client | None]

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
    """Wraps the application."""

    def __init__(
        self,
        app: App,
        house: House,
        door: Callable[[str, str], Door],
        catalogue: Catalogue,
    ) -> None:
        self._app = app
        self._house = house
        self._door = door
        self._catalogue = catalogue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # there is no WebSocket here: the server answers 403
        trace_id = uuid.uuid4().hex[:16]
        origin = _only(scope, b"origin")
        answer = _with_headers(send, self._answer_headers(origin, trace_id))
        try:
            if self._is_preflight(scope, origin):
                await _empty(answer, 204)
                return
            scope.setdefault("state", {})["client"] = self._admitted(scope)
            scope["state"]["trace_id"] = trace_id
        except RefusedError as refused:
            await self._refuse(answer, refused.problem, trace_id)
            return
        except Exception as failed:  # noqa: BLE001 - nobody else answers for the guard
            _log.error(
                "the guard failed", extra={**described(failed), "trace_id": trace_id}
            )
            await self._refuse(answer, Problem("agent.failed"), trace_id)
            return
        await self._app(scope, receive, answer)

    def _is_preflight(self, scope: Scope, origin: str | None) -> bool:
        """Whether a browser asks for a listed page if it may ask (Fetch, 4.8)."""
        self._check_address(scope)
        if scope["method"] != "OPTIONS":
            return False
        self._check_origin(scope)
        return origin is not None

    def _admitted(self, scope: Scope) -> Client | None:
        """The client, once everything about the request is in order."""
        self._check_origin(scope)
        self._check_content(scope)
        return self._check_token(scope)

    def _check_address(self, scope: Scope) -> None:
        peer = scope.get("client")
        if peer is not None and peer[0] not in LOOPBACK:
            raise RefusedError("auth.host_denied")
        if not scope["path"].startswith("/"):
            raise RefusedError("auth.host_denied")
        if _only(scope, b"host") not in self._house.authorities:
            raise RefusedError("auth.host_denied")
        if not PATH.fullmatch(scope["path"]):
            raise RefusedError("request.not_found")

    def _check_origin(self, scope: Scope) -> None:
        """Go's CrossOriginProtection is the model: exact match, or not a browser."""
        origins = _all(scope, b"origin")
        listed = self._house.origins | self._house.own_origins
        if origins and (len(origins) > 1 or origins[0] not in listed):
            raise RefusedError("auth.origin_denied")
        site = _only(scope, b"sec-fetch-site")
        if site in (None, "same-origin") or origins:
            return
        typed = site == "none" and scope["method"] == "GET"  # into the address bar
        if not (typed and self._door("GET", scope["path"]).page):
            raise RefusedError("auth.origin_denied")

    def _check_content(self, scope: Scope) -> None:
        if scope["method"] not in UNSAFE:
            return
        kind = (_only(scope, b"content-type") or "").split(";")[0].strip().lower()
        if kind != "application/json":
            raise RefusedError("request.not_json")
        length = _only(scope, b"content-length") or "0"
        if not length.isdigit() or int(length) > BODY_MAX_BYTES:
            raise RefusedError("request.too_large")

    def _check_token(self, scope: Scope) -> Client | None:
        needed = self._door(scope["method"], scope["path"]).scope
        if needed is None:
            return None
        scheme, _, token = (_only(scope, b"authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise RefusedError("auth.token_missing")
        client = self._house.authenticate(token)
        if client is None:
            raise RefusedError("auth.token_invalid")
        if not client.calls_from(_page(scope)):
            raise RefusedError("auth.origin_denied")
        if needed not in client.scopes:
            raise RefusedError("auth.scope", scope=needed)
        return client

    def _answer_headers(
        self, origin: str | None, trace_id: str
    ) -> list[tuple[bytes, bytes]]:
        headers = [*HEADERS_ALWAYS, (b"trace-id", trace_id.encode())]
        if origin in self._house.origins:
            headers += [
                (b"access-control-allow-origin", origin.encode()),
                (b"access-control-allow-methods", CORS_METHODS.encode()),
                (b"access-control-allow-headers", CORS_HEADERS.encode()),
                (b"access-control-expose-headers", CORS_EXPOSED.encode()),
                (b"access-control-max-age", b"600"),
            ]
        return [*headers, (b"vary", b"Origin")]

    async def _refuse(self, send: Send, problem: Problem, trace_id: str) -> None:
        body = json.dumps(self._catalogue.body(problem, trace_id), ensure_ascii=False)
        content = body.encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(content)).encode()),
            (b"connection", b"close"),
        ]
        status = self._catalogue.entry(problem.code).http
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        await send(
            {"type": "http.response.start", "status": status, "headers": headers}
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
