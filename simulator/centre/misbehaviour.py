"""Carries out the faults that were ordered, in every dialect alike."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI

from simulator.centre.books import Books
from simulator.centre.faults import Fault, FaultOrder, at_a_stale_site, refusing_with

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
TOO_MUCH = 256 * 1024
RANDOMS = ("internal_original", "external")  # sixteen hexadecimal digits
NOT_THE_CENTRE = ("/simulation/", "/healthz")


@dataclass
class Answer:
    """What the honest application says."""

    status: int = 500
    kind: bytes = b"application/json"
    body: bytes = b""


@dataclass
class Misbehaviour:
    """The honest application, with the faults around it."""

    app: FastAPI
    books: Books
    timers: set[asyncio.Task[None]] = field(default_factory=set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        path = scope.get("path", "")
        honest = scope["type"] != "http" or scope["method"] != "POST"
        if honest or path.startswith(NOT_THE_CENTRE):
            await self.app(scope, receive, send)
            return
        name = path.removeprefix("/v1/")
        self.books.received[name] = self.books.received.get(name, 0) + 1
        order = self.books.fault_at(path)
        if order is None:
            await self.app(scope, receive, send)
            return
        body = await _whole(receive)
        await self._misbehave(order, lambda: self._done(scope, body), receive, send)

    async def _done(self, scope: Scope, body: bytes) -> Answer:
        """Let the application do it."""
        answer = Answer()

        async def once() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def kept(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.kind = dict(message["headers"]).get(b"content-type", b"")
            else:
                answer.body += message.get("body", b"")

        await self.app(dict(scope), once, kept)
        return answer

    async def _misbehave(
        self,
        order: FaultOrder,
        done: Callable[[], Awaitable[Answer]],
        receive: Receive,
        send: Send,
    ) -> None:
        match order.fault:
            case Fault.LOSE_REQUEST:
                _hang_up(receive)
            case Fault.LATE:
                self._do_later(done, order.seconds)
                _hang_up(receive)
            case Fault.REDIRECT:
                place = (b"location", order.location.encode())
                await _say(send, Answer(302), place)
            case Fault.REFUSE:
                refusing_with.set(order.words)
                await _say(send, await done())
            case Fault.STALE:
                at_a_stale_site.set(True)
                await _say(send, await done())
            case Fault.SLOW:
                edition = self.books.edition
                await self._keep_back(order.seconds)
                if edition == self.books.edition:
                    await _say(send, await done())
            case Fault.DUPLICATE:
                await done()
                await _say(send, await done())
            case Fault.LOSE_ANSWER:
                await done()
                _hang_up(receive)
            case Fault.SILENCE:
                await done()
                await self._keep_back(order.seconds)
                _hang_up(receive)
            case Fault.TRUNCATE:
                await _say_half(send, await done())
                receive.__self__.transport.close()  # type: ignore[attr-defined]
            case _:
                await _say(send, _spoilt(await done(), order))

    async def _keep_back(self, seconds: float) -> None:
        """Until then, or until somebody lets it go."""
        let_go = asyncio.Event()
        self.books.kept_back.append(let_go.set)
        with suppress(TimeoutError):
            await asyncio.wait_for(let_go.wait(), seconds)

    def _do_later(self, done: Callable[[], Awaitable[Answer]], seconds: float) -> None:
        """The message is on its way until then, or until somebody lets it arrive."""

        async def arrive() -> None:
            await done()

        async def wait() -> None:
            await asyncio.sleep(seconds)
            if arrive in self.books.late:
                self.books.late.remove(arrive)
                await arrive()

        self.books.late.append(arrive)
        timer = asyncio.create_task(wait())
        self.timers.add(timer)
        timer.add_done_callback(self.timers.discard)


def _spoilt(answer: Answer, order: FaultOrder) -> Answer:
    """An answer that is wrong in one way."""
    match order.fault:
        case Fault.ERROR_AFTER_EFFECT:
            return Answer(500, answer.kind, answer.body)
        case Fault.OVERSIZED:
            return Answer(200, answer.kind, answer.body + b" " * TOO_MUCH)
        case Fault.WRONG_ECHO:
            return Answer(200, answer.kind, _to_another(answer.body, order.echo))
        case _:
            return Answer(200, b"text/html", b"<html>please log in</html>")


def _to_another(body: bytes, key: str) -> bytes:
    """An answer that is right but for one thing: whose answer it is. In XML that is
    REFMSGID, whatever the order says."""
    if body.startswith(b"<"):
        return re.sub(rb"(?<=<REFMSGID>)[^<]*", b"another", body)
    another = "0" * 16 if key in RANDOMS else "another"
    return json.dumps(json.loads(body) | {key: another}).encode()


async def _whole(receive: Receive) -> bytes:
    """The body of a request."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _hang_up(receive: Receive) -> None:
    """Drop the connection under uvicorn, which has no word for it."""
    receive.__self__.transport.abort()  # type: ignore[attr-defined]


async def _say(send: Send, answer: Answer, *headers: tuple[bytes, bytes]) -> None:
    await _begin(send, answer, *headers)
    await send({"type": "http.response.body", "body": answer.body})


async def _say_half(send: Send, answer: Answer) -> None:
    half = answer.body[: len(answer.body) // 2]
    await _begin(send, answer)
    await send({"type": "http.response.body", "body": half, "more_body": True})


async def _begin(send: Send, answer: Answer, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(answer.body)).encode())
    start = [(b"content-type", answer.kind), length, *headers]
    status = answer.status
    await send({"type": "http.response.start", "status": status, "headers": start})
