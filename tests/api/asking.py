"""An ASGI application asked without a server: fast, and nothing between it and the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, MutableMapping
from typing import Any
from urllib.parse import unquote

from plugin.api.guard import App
from tests.agents import Answer

PEER = ("127.0.0.1", 50_000)


class BodyWasReadError(AssertionError):
    """Somebody asked for the body of a request that has none to give."""


async def ask(
    app: App,
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]],
    body: bytes | None = None,
    peer: tuple[str, int] | None = PEER,
) -> Answer:
    """One request and its answer; of a stream, only how it begins. Without a `body`,
    reading it is an error."""
    begun = asyncio.Event()
    answer: dict[str, Any] = {"status": 0, "headers": []}
    content = bytearray()

    async def receive() -> MutableMapping[str, Any]:
        if body is None:
            raise BodyWasReadError(target)
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.update(message)
        content.extend(message.get("body", b""))
        begun.set()

    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (name.lower().encode(), text.encode("latin-1")) for name, text in headers
        ],
        "client": peer,
    }
    asked = asyncio.ensure_future(app(scope, receive, send))
    await _over(asked, begun, answer)
    shown = {key.decode(): value.decode() for key, value in answer["headers"]}
    is_json = "json" in shown.get("content-type", "") and content
    return Answer(answer["status"], shown, json.loads(content) if is_json else None)


async def _over(
    asked: asyncio.Future[None], begun: asyncio.Event, answer: dict[str, Any]
) -> None:
    """Until it has ended, or has begun to stream."""
    beginning = asyncio.ensure_future(begun.wait())
    either: set[asyncio.Future[Any]] = {asked, beginning}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    beginning.cancel()
    if (b"content-type", b"text/event-stream; charset=utf-8") in answer["headers"]:
        asked.cancel()
        await asyncio.wait({asked})
    else:
        await asked
