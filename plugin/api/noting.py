"""Requests in the log: one line each, once it has been answered. Where it went is told by the
route's template and never by what the client put there."""

from __future__ import annotations

import logging
import re
import time

from plugin.api.guard import UNSAFE, App, Message, Receive, Scope, Send

_METHODS = UNSAFE | {"GET", "HEAD", "OPTIONS"}  # others are any text at all
_OURS = "t-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SUBJECT = re.compile(rf"/v1/(\w+/(?:{_OURS}))(?:/.*)?")
_log = logging.getLogger("kaqi.requests")


class Noted:
    """Wraps what is behind the guard. What has an effect is noted always, what only reads
    where somebody reads the log closely."""

    def __init__(self, app: App) -> None:
        self._app = app

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
        path = scope["path"]
        told: dict[str, str | int] = {
            "method": scope["method"] if scope["method"] in _METHODS else "?",
            "status": status,
            "ms": ms,
            "trace_id": scope["state"]["trace_id"],
        }
        if route := scope["state"]["route"]:
            told["route"] = route
        if client is not None:
            told["client"] = client.id
        subject = _SUBJECT.fullmatch(path)
        if subject and status < 400:  # there is one of that name, so it is ours
            told["subject"] = subject[1]
        _log.log(level, "request" if client else "a stranger's request", extra=told)
