"""Carries out the faults that were ordered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI

from simulator.centre.books import Books
from simulator.centre.faults import Fault, FaultOrder, refusing_with

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Misbehaviour:
    """Carries out the faults that were ordered, around the honest application."""

    def __init__(self, app: FastAPI, books: Books) -> None:
        self._app = app
        self._books = books

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        name = path.removeprefix("/v1/")
        self._books.received[name] = self._books.received.get(name, 0) + 1
        order = self._books.fault_at(path)
        if order is None:
            await self._app(scope, receive, send)
        else:
            await self._misbehave(order, scope, receive, send)

    async def _misbehave(
        self, order: FaultOrder, scope: Scope, receive: Receive, send: Send
    ) -> None:
        match order.fault:
            case Fault.LOSE_REQUEST:
                _hang_up(receive)
            case Fault.REFUSE:
                refusing_with.set(order.words)
                await self._app(scope, receive, send)
            case Fault.SLOW:
                await asyncio.sleep(order.seconds)
                await self._app(scope, receive, send)
            case Fault.LOSE_ANSWER:
                await self._app(scope, receive, _nowhere)
                _hang_up(receive)
            case Fault.SILENCE:
                await self._app(scope, receive, _nowhere)
                await asyncio.sleep(order.seconds)
                _hang_up(receive)
            case Fault.ERROR_AFTER_EFFECT:
                await self._app(scope, receive, _nowhere)
                await _answer(send, 500, b"{}", b"application/json")
            case Fault.WRONG_ECHO:
                await self._app(scope, receive, _echoing(order.echo, send))
            case Fault.NONSENSE:
                await self._app(scope, receive, _nowhere)
                await _answer(send, 200, b"<html>please log in</html>", b"text/html")


async def _nowhere(_: MutableMapping[str, Any]) -> None:
    """An answer that is lost."""


def _echoing(key: str, send: Send) -> Send:
    """An answer that is right but for one thing: whose answer it is."""

    async def another(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            another = (
                "0" * 16 if key in ("internal_original", "external") else "another"
            )
            body = json.dumps(json.loads(message["body"]) | {key: another}).encode()
            await _answer(send, 200, body, b"application/json")

    return another


def _hang_up(receive: Receive) -> None:
    """Drop the connection under uvicorn, which has no word for it."""
    receive.__self__.transport.abort()  # type: ignore[attr-defined]


async def _answer(send: Send, status: int, body: bytes, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
