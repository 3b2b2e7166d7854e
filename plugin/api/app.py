"""The application: the routes behind the guard, and every failure as a problem object."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from plugin.activation.problem import Problem
from plugin.agent.failure import described
from plugin.agent.service import ProblemError
from plugin.api.guard import BODY_MAX_BYTES, Guard, House
from plugin.api.routes import Parts, router, trace_of

PROBLEM_JSON = "application/problem+json"
_OF_STATUS = {
    404: "request.not_found",
    405: "request.method_not_allowed",
    413: "request.too_large",
    415: "request.not_json",
}
_log = logging.getLogger("kaqi.api")


def build(parts: Parts, house: House, version: str) -> Guard:
    """The whole API as one ASGI application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        parts.hub.attach(asyncio.get_running_loop())
        yield
        parts.hub.attach(None)

    app = FastAPI(
        title="kaqi",
        version=version,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        max_body_size=BODY_MAX_BYTES,
    )
    app.include_router(router(parts))
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    _say_problems(app, parts)
    return Guard(app, house, parts.rendering.catalogue)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        from plugin.api.description import describe

        app.openapi_schema = describe(app)
    return app.openapi_schema


def _say_problems(app: FastAPI, parts: Parts) -> None:
    catalogue = parts.rendering.catalogue

    def answer(request: Request, problem: Problem, **extras: object) -> Response:
        body = catalogue.body(problem, trace_of(request), **extras)
        headers = {}
        if catalogue.entry(problem.code).http in (409, 503) and "retry_after" in extras:
            headers["Retry-After"] = str(extras["retry_after"])
        return JSONResponse(body, body["status"], headers, media_type=PROBLEM_JSON)

    @app.exception_handler(ProblemError)
    async def known(request: Request, failed: ProblemError) -> Response:
        return answer(request, failed.problem, **failed.extras)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, failed: RequestValidationError) -> Response:
        return answer(request, Problem("request.invalid"), errors=_mistakes(failed))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, failed: HTTPException) -> Response:
        code = _OF_STATUS.get(failed.status_code, "request.invalid")
        return answer(request, Problem(code))

    @app.exception_handler(Exception)
    async def unknown(request: Request, failed: Exception) -> Response:
        told = {**described(failed), "trace_id": trace_of(request)}
        _log.error("a request failed", extra=told)
        return answer(request, Problem("agent.failed"))


def _mistakes(failed: RequestValidationError) -> list[dict[str, Any]]:
    """Where the request is wrong and why, without repeating what it said."""
    return [
        {
            "pointer": "/" + "/".join(str(part) for part in mistake["loc"]),
            "reason": mistake["msg"],
        }
        for mistake in failed.errors()
    ]
