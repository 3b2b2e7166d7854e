"""The stream of events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from starlette.responses import Response

from plugin.activation.problem import Problem
from plugin.agent.happenings import Happening
from plugin.agent.service import Client, ProblemError
from plugin.api import answers
from plugin.api.events import EventStream, Following, as_event
from plugin.api.operation import LAST_EVENT_ID, Bare, Operation, reading
from plugin.api.resources.resource import Resource

PING_SECONDS = 15


class Events(Resource):
    """Events."""

    def operations(self) -> Iterator[Operation]:
        """What can be asked."""
        yield reading("/v1/events", self.events, answers.Event, LAST_EVENT_ID)

    async def events(self, asked: Bare) -> Response:
        """What happens, as it happens. With Last-Event-ID, what was missed comes first;
        `stream.gap` says that some of it is gone."""
        followed = self._parts.hub.follow()
        if followed is None:
            raise ProblemError(Problem("stream.too_many_clients"), retry_after=5)
        content = self._following(followed, asked.client, asked.last_event_id)
        return EventStream(content, lambda: self._parts.hub.leave(followed))

    async def _following(
        self, followed: Following, client: Client, last: int | None
    ) -> AsyncIterator[bytes]:
        happenings = self._parts.happenings
        whole, missed = await self._decide(
            lambda: happenings.since(happenings.last_id if last is None else last)
        )
        yield await self._stream_start(last, whole=whole)
        told = last if last is not None and whole else 0
        for event in missed:
            told = event.id
            yield as_event(event.type, event, event.id)
        while True:
            try:
                async with asyncio.timeout(PING_SECONDS):
                    following = await followed.get()
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if following is None or _is_revoked(client, following):
                return
            if following.id > told:
                yield as_event(following.type, following, following.id)

    async def _stream_start(self, last: int | None, *, whole: bool) -> bytes:
        """Where the stream begins: a snapshot, and whether something was missed."""
        if last is not None and not whole:
            return as_event("stream.gap", {"last_event_id": last})
        service = self._parts.service
        readers = await self._decide(service.readers)
        live = await self._decide(service.live_transactions)
        return as_event(
            "stream.snapshot",
            {"readers": [view.id for view in readers], "transactions": list(live)},
        )


def _is_revoked(client: Client, event: Happening) -> bool:
    """Whether this is the end of what its follower may see."""
    subject = f"clients/{client.id}"
    return event.type == "client.revoked" and event.subject == subject
