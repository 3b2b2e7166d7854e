"""What a POS asked and what it was told: an ASGI application around the agent's own, which
can lose an answer, refuse a request, and tell the same in other words."""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

from msgspec import Struct

from plugin.api.guard import App, Message, Receive, Scope, Send
from plugin.commands.conforming.situations import Change, Mishap, Way

EVENT_STREAM = b"text/event-stream"
LANGUAGES = {"zh-CN", "en"}


class Call(Struct, kw_only=True):
    """One request of the POS. `at` are seconds on a clock that only moves forward;
    `status` is None while it is not answered; `is_lost` says that its answer did not
    arrive."""

    at: float
    method: str
    path: str
    query: str = ""
    key: str | None = None
    body: bytes = b""
    status: int | None = None
    answer: Any = None
    is_lost: bool = False

    @property
    def said(self) -> dict[str, Any]:
        """The body, where it is an object."""
        return _object(self.body)

    @property
    def problems(self) -> Iterable[dict[str, Any]]:
        """The problem objects of the answer."""
        told = self.answer if isinstance(self.answer, dict) else {}
        if "code" in told and "messages" in told:
            return [told]
        return [
            each for each in (told.get("problem"), *told.get("notices", [])) if each
        ]

    @property
    def told(self) -> frozenset[str]:
        """What the POS knows by the answer: the key of the step, the state, and the codes
        of problems."""
        if self.is_lost or not isinstance(self.answer, dict):
            return frozenset()
        step = self.answer.get("step", {}).get("key")
        codes = (each["code"] for each in self.problems)
        return frozenset(filter(None, (step, self.answer.get("state"), *codes)))


class Recorder:
    """Keeps the calls of whoever does not bear the token `ours`. Written on the server's
    thread, read from any. `refusal` is the body of a 429."""

    def __init__(
        self,
        *,
        ways: Iterable[Way],
        change: Change | None,
        refusal: dict[str, Any],
    ) -> None:
        self.calls: list[Call] = []
        self.ours = ""
        self._ways = list(ways)
        self._change = change
        self._refusal = refusal
        self._told = threading.Condition()

    def around(self, app: App) -> App:
        """The application that records this one."""

        async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or _token(scope) == self.ours:
                await app(scope, receive, send)
            else:
                await self._record(app, scope, receive, send)

        return recorded

    def wait_until_told(self, what: str, after: int, over: Callable[[], bool]) -> int:
        """Wait until the POS has been told this in one of the calls after the first
        `after`; returns how many calls that takes. Ends when it is `over`, too."""
        with self._told:
            while not over():
                for number, call in enumerate(self.calls[after:], start=after + 1):
                    if what in call.told:
                        return number
                self._told.wait(0.1)
        return after

    async def _record(
        self, app: App, scope: Scope, receive: Receive, send: Send
    ) -> None:
        body = await _whole(receive)
        call = Call(
            at=time.monotonic(),
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            key=_header(scope, b"idempotency-key"),
            body=body,
        )
        with self._told:
            self.calls.append(call)
        mishap = self._mishap(call)
        call.is_lost = mishap is Mishap.LOSE_ANSWER
        answer = _Answer(call, send, self._changed)
        if mishap is Mishap.REFUSE:
            await answer.refuse(self._refusal)
        else:
            await app(scope, _again(body, receive), answer.send)
        if call.is_lost:
            receive.__self__.transport.abort()  # type: ignore[attr-defined]
        with self._told:
            self._told.notify_all()

    def _mishap(self, call: Call) -> Mishap | None:
        """What happens to this call; to one only."""
        for way in self._ways:
            if call.method == "POST" and call.path.endswith(way.path):
                self._ways.remove(way)
                return way.mishap
        return None

    def _changed(self, told: Any) -> Any:  # noqa: ANN401 - JSON
        match self._change:
            case Change.WORDS:
                return in_other_words(told)
            case Change.FIELDS:
                return with_more_fields(told)
            case None:
                return told


class _Answer:
    """One answer on its way: whole, changed and noted; or as it comes, where it streams."""

    def __init__(self, call: Call, send: Send, changed: Callable[[Any], Any]) -> None:
        self._call = call
        self._send = send
        self._changed = changed
        self._start: Message = {}
        self._body = b""

    async def refuse(self, problem: dict[str, Any]) -> None:
        """Say no."""
        self._start = {
            "type": "http.response.start",
            "status": problem["status"],
            "headers": [
                (b"content-type", b"application/problem+json"),
                (b"retry-after", str(problem["retry_after"]).encode()),
            ],
        }
        await self.send(
            {"type": "http.response.body", "body": json.dumps(problem).encode()}
        )

    async def send(self, message: Message) -> None:
        """A part of the answer."""
        if message["type"] == "http.response.start":
            self._start = message
            if self._streams:
                self._call.status = message["status"]
                await self._send(message)
        elif self._streams:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._deliver()

    @property
    def _streams(self) -> bool:
        return dict(self._start["headers"]).get(b"content-type") == EVENT_STREAM

    async def _deliver(self) -> None:
        told = _object(self._body)
        if told:
            told = self._changed(told)
            self._body = json.dumps(told, ensure_ascii=False).encode()
        if not self._call.is_lost:
            kept = [each for each in self._start["headers"] if each[0] != _LENGTH]
            length = (_LENGTH, str(len(self._body)).encode())
            start = {**self._start, "headers": [*kept, length]}
            await self._send(start if self._start["status"] != 204 else self._start)
            await self._send({"type": "http.response.body", "body": self._body})
        self._call.answer = told
        self._call.status = self._start["status"]


_LENGTH = b"content-length"


def in_other_words(told: Any) -> Any:  # noqa: ANN401 - JSON
    """The same with every text for people replaced; what was equal stays equal."""
    match told:
        case dict() if set(told) == LANGUAGES:
            return {each: _reworded(each, told[each]) for each in told}
        case dict():
            return {
                key: _reworded("en", value)
                if key in ("title", "detail")
                else in_other_words(value)
                for key, value in told.items()
            }
        case list():
            return [in_other_words(each) for each in told]
        case _:
            return told


def _reworded(language: str, text: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(text, list):
        return [_reworded(language, each) for each in text]
    number = zlib.crc32(str(text).encode())
    return f"改写 {number}" if language == "zh-CN" else f"Reworded {number}"


def with_more_fields(told: Any) -> Any:  # noqa: ANN401 - JSON
    """The same as a later version would say it."""
    match told:
        case dict() if set(told) == LANGUAGES:
            return told
        case dict():
            same = {key: with_more_fields(value) for key, value in told.items()}
            return same | {"of_a_later_version": {"known": False}}
        case list():
            return [with_more_fields(each) for each in told]
        case _:
            return told


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _header(scope: Scope, name: bytes) -> str | None:
    found = dict(scope["headers"]).get(name)
    return found.decode("latin-1") if found is not None else None


def _token(scope: Scope) -> str:
    return (_header(scope, b"authorization") or "").partition(" ")[2]


async def _whole(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, then whatever comes."""
    waiting: list[MutableMapping[str, Any]] = [
        {"type": "http.request", "body": body, "more_body": False}
    ]

    async def received() -> MutableMapping[str, Any]:
        return waiting.pop() if waiting else await receive()

    return received
