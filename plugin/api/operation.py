"""One operation of the API: where it is, what may be said to it and what it answers. The
routes and the OpenAPI document are both made from these.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from plugin.activation.problem import Problem
from plugin.agent.service import Client, Keyed, ProblemError
from plugin.api.plain_json import plain
from plugin.api.requests import WAIT_MAX_SECONDS, Nothing
from plugin.privacy import scrubbed, sm3
from plugin.shapes import ShapeError, Strict, shaped

_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_WAIT = re.compile(r"\s*wait\s*=\s*(\d{1,4})\s*")
_STEP_MAX = 64

Where = TypeVar("Where", bound=Strict)
Said = TypeVar("Said", bound=Strict)


class Heading(Struct, frozen=True, kw_only=True):
    """A header that an operation looks at."""

    name: str
    about: str
    required: bool = False


KEY = Heading(
    name="idempotency-key",
    about="New for every click; the same again when trying again.",
    required=True,
)
PREFER = Heading(
    name="prefer",
    about="wait=60 answers when the transaction has ended, or after 60 s.",
)
LAST_EVENT_ID = Heading(
    name="last-event-id",
    about="The last event that arrived; what was missed comes first.",
)


class Asked(Struct, Generic[Where, Said], frozen=True):
    """One request: the values of its path and query (`where`), its body, and its headers."""

    request: Request
    where: Where
    body: Said

    @property
    def client(self) -> Client:
        """The client the guard let in."""
        client = self.request.state.client
        assert isinstance(client, Client)  # noqa: S101 - the guard has seen a token
        return client

    @property
    def trace_id(self) -> str:
        """The trace id the guard gave this request."""
        return trace_of(self.request)

    @property
    def keyed(self) -> Keyed:
        """The key of the request and the fingerprint of all that it says and that may be
        kept. Raises ProblemError."""
        key = self.request.headers.get(KEY.name)
        if key is None:
            raise ProblemError(Problem("idempotency.key_missing"))
        if not _KEY.fullmatch(key):
            raise _invalid(_pointer("header", KEY.name), "1 to 200 visible characters")
        content = [self.request.method, self.request.url.path, self.body.lasting]
        said = msgspec.json.encode(content, order="deterministic")
        return Keyed(key=key, fingerprint=sm3(said), trace_id=self.trace_id)

    @property
    def wait(self) -> float:
        """How many seconds the client prefers to wait (RFC 7240, 4.3); anything else is
        ignored."""
        found = _WAIT.fullmatch(self.request.headers.get(PREFER.name, ""))
        return min(float(found[1]), WAIT_MAX_SECONDS) if found else 0.0

    @property
    def last_event_id(self) -> int | None:
        """The number of the last event a follower has seen; anything else is ignored."""
        number = self.request.headers.get(LAST_EVENT_ID.name, "")
        return int(number) if re.fullmatch("[0-9]{1,19}", number) else None


Doing = Callable[[Asked[Any, Any]], Awaitable[Response]]


class Operation(Struct, frozen=True):
    """One method of one path. What it takes stands in the signature of `does`; `scope` is
    what a token must allow, None where none is needed; a `page` is what a person opens in a
    browser; `answers` are shapes by status, where None is an empty answer."""

    method: str
    path: str
    does: Doing
    scope: str | None
    answers: Mapping[int, type[Struct] | None]
    headings: tuple[Heading, ...] = ()
    page: bool = False

    @property
    def takes(self) -> tuple[type[Strict], type[Strict]]:
        """The shape of path and query, and the shape of the body."""
        hints = get_type_hints(self.does).values()
        where, body = next(get_args(h) for h in hints if get_origin(h) is Asked)
        return where, body

    @property
    def path_pattern(self) -> re.Pattern[str]:
        """What fits the path; what stands in it is checked later."""
        return re.compile(re.sub(r"{\w+}", "[^/]*", self.path))

    @property
    def path_names(self) -> frozenset[str]:
        """What stands in the path; anything else in the shape stands in the query."""
        return frozenset(re.findall(r"{(\w+)}", self.path))

    def route(self) -> Route:
        """The same for the router: check what is said, then do it."""
        where, body = self.takes
        reads_body = self.method != "GET"

        async def endpoint(request: Request) -> Response:
            raw = await request.body() if reads_body else b"{}"
            asked = Asked(request, self._where(request, where), _in_body(raw, body))
            return await self.does(asked)

        route = Route(self.path, endpoint, methods=[self.method])
        route.methods = {self.method}  # no HEAD: an event stream has no use for it
        return route

    def _where(self, request: Request, shape: type[Where]) -> Where:
        said: dict[str, str] = {}
        for name, value in request.query_params.multi_items():
            if name in said or name in request.path_params:
                raise _invalid(_pointer("query", name), "said twice")
            said[name] = value
        try:
            return shaped(said | request.path_params, shape, strict=False)
        except ShapeError as wrong:
            part = "path" if wrong.place[0] in request.path_params else "query"
            raise _invalid(_pointer(part, *wrong.place), wrong.reason) from wrong


Bare = Asked[Nothing, Nothing]


def reading(
    path: str, does: Doing, shows: type[Struct], *headings: Heading
) -> Operation:
    """A GET that any client with the scope `read` may ask for."""
    return Operation("GET", path, does, "read", {200: shows}, headings)


def trace_of(request: Request) -> str:
    """The trace id the guard gave this request."""
    return str(request.state.trace_id)


def answer(
    shown: Struct, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An object of `answers` as JSON."""
    content = msgspec.json.encode(shown)
    return Response(content, status, headers, media_type="application/json")


def _in_body(raw: bytes, shape: type[Said]) -> Said:
    """The body in its shape. Raises ProblemError."""
    try:
        return shaped(plain(raw), shape)
    except ShapeError as wrong:
        raise _invalid(_pointer("body", *wrong.place), wrong.reason) from wrong


def _invalid(pointer: str, reason: str) -> ProblemError:
    mistake = {"pointer": pointer, "reason": reason}
    return ProblemError(Problem("request.invalid"), errors=[mistake])


def _pointer(part: str, *steps: str | int) -> str:
    """Where (RFC 6901); what the client made up comes back short and without numbers that
    mean somebody."""
    plain = (
        str(step)[:_STEP_MAX].encode("utf-8", "replace").decode() for step in steps
    )
    shown = map(scrubbed, plain)
    escaped = (step.replace("~", "~0").replace("/", "~1") for step in shown)
    return "/".join(["", part, *escaped])
