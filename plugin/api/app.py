"""The application: the operations behind the guard, and every failure as a problem object."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from types import MappingProxyType
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from plugin.activation.problem import Problem
from plugin.agent.failure import described
from plugin.agent.service import ProblemError
from plugin.api.guard import BODY_MAX_BYTES, Door, Doors, Guard, House
from plugin.api.noting import Noted
from plugin.api.operation import Operation, trace_of
from plugin.api.problems import Catalogue
from plugin.api.resources import Parts, operations
from plugin.api.resources.health import LATER_SECONDS

PROBLEM_JSON = "application/problem+json"
_OF_STATUS = {
    404: "request.not_found",
    405: "request.method_not_allowed",
    413: "request.too_large",
}
_log = logging.getLogger("kaqi.api")


def build(parts: Parts, house: House, version: str) -> Guard:
    """The whole API as one ASGI application."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        parts.hub.attach(asyncio.get_running_loop())
        yield
        parts.hub.attach(None)

    offered = operations(parts)
    saying = Saying(parts.rendering.catalogue, offered)
    app = Starlette(
        routes=[
            *(each.route() for each in offered),
            _description(offered, version, parts),
        ],
        lifespan=lifespan,
        max_body_size=BODY_MAX_BYTES,
        exception_handlers={
            ProblemError: saying.known,
            HTTPException: saying.refused,
            ClientDisconnect: saying.nothing,
            Exception: saying.unknown,
        },
    )
    app.router.redirect_slashes = False
    noted = Noted(app)
    return Guard(noted, house, doors(offered), parts.rendering.catalogue)


def doors(offered: list[Operation]) -> Doors:
    """What stands before these."""
    return Doors(
        (
            each.path_pattern,
            Door(method=each.method, path=each.path, scope=each.scope, page=each.page),
        )
        for each in offered
    )


def _description(offered: list[Operation], version: str, parts: Parts) -> Route:
    @cache
    def document() -> bytes:
        from plugin.api.description import describe

        return msgspec.json.encode(describe(offered, version, parts.rendering))

    async def description(_: Request) -> Response:
        content = await asyncio.to_thread(document)
        return Response(content, media_type="application/json")

    return Route("/openapi.json", description)


class Saying:
    """Failures as problem objects."""

    def __init__(self, catalogue: Catalogue, offered: list[Operation]) -> None:
        self._catalogue = catalogue
        self._offered = offered

    async def known(self, request: Request, failed: Exception) -> Response:
        """What the agent refuses, in its own words."""
        assert isinstance(failed, ProblemError)  # noqa: S101 - registered for it
        return self._answer(request, failed.problem, failed.extras)

    async def refused(self, request: Request, failed: Exception) -> Response:
        """What the router refuses."""
        assert isinstance(failed, HTTPException)  # noqa: S101 - registered for it
        code = _OF_STATUS.get(failed.status_code, "request.invalid")
        headers = failed.headers
        if failed.status_code == 405:  # the router knows one operation of a path
            headers = {"Allow": ", ".join(self._methods(request.url.path))}
        return self._answer(request, Problem(code), headers=headers)

    def _methods(self, path: str) -> list[str]:
        """What may be done to this path."""
        fitting = (each for each in self._offered if each.path_pattern.fullmatch(path))
        return sorted(each.method for each in fitting) or ["GET"]

    async def nothing(self, _: Request, __: Exception) -> Response:
        """Nobody listens any more."""
        return Response(status_code=499)

    async def unknown(self, request: Request, failed: Exception) -> Response:
        """What nobody thought of: named in the log by its trace id, never shown."""
        told = {**described(failed), "trace_id": trace_of(request)}
        _log.error("a request failed", extra=told)
        return self._answer(request, Problem("agent.failed"))

    def _answer(
        self,
        request: Request,
        problem: Problem,
        extras: Mapping[str, Any] = MappingProxyType({}),
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        body = self._catalogue.body(problem, trace_of(request), **extras)
        headers = dict(headers or {})
        if "retry_after" in extras or body["status"] == 503:
            headers["Retry-After"] = str(extras.get("retry_after", LATER_SECONDS))
        return JSONResponse(body, body["status"], headers, media_type=PROBLEM_JSON)
