"""Requests in the log: one line each, once it has been answered. Where it went is told by the
route's template and never by what the client put there."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable

from plugin.agent.rate import Rate
from plugin.api.guard import UNSAFE, App, Door, Message, Receive, Scope, Send

REFUSALS_A_MINUTE = 60
_OURS = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SUBJECT = re.compile(rf"/v1/(\w+/{_OURS})(?:/.*)?")
_log = logging.getLogger("kaqi.requests")


class Noted:
    """Wraps what is behind the guard. What has an effect is noted always, what only reads
    where somebody reads the log closely. `door` is the guard's."""

    def __init__(self, app: App, door: Callable[[str, str], Door]) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        level = logging.INFO if scope.get("method") in UNSAFE else logging.DEBUG
        if scope["type"] != "http" or not _log.isEnabledFor(level):
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 499  # nobody listened any more

        async def noticed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noticed)
        finally:
            milliseconds = round((time.monotonic() - began) * 1000)
            self._note(level, scope, status, milliseconds)

    def _note(self, level: int, scope: Scope, status: int, ms: int) -> None:
        client = scope["state"]["client"]
        told: dict[str, str | int | None] = {
            "method": scope["method"],
            "route": self._door(scope["method"], scope["path"]).path,
            "status": status,
            "ms": ms,
            "trace_id": scope["state"]["trace_id"],
        }
        if client is not None:
            told["client"] = client.id
        if subject := _SUBJECT.fullmatch(scope["path"]):
            told["subject"] = subject[1]
        _log.log(level, "request" if client else "a stranger's request", extra=told)


class Refusals:
    """What the guard turned away, in the log; a flood of it only as a number."""

    def __init__(self) -> None:
        self._rate = Rate(REFUSALS_A_MINUTE, lambda: int(time.monotonic() * 1000))
        self._omitted = 0

    def note(self, code: str, status: int, trace_id: str) -> None:
        """One more."""
        if self._rate.seconds_to_wait(""):
            self._omitted += 1
            return
        told: dict[str, str | int] = {"code": code, "status": status}
        if self._omitted:
            told["omitted"] = self._omitted
            self._omitted = 0
        _log.info("refused", extra={**told, "trace_id": trace_id})
