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
        content = self._following(followed, asked)
        return EventStream(content, lambda: self._parts.hub.leave(followed))

    async def _following(
        self, followed: Following, asked: Bare
    ) -> AsyncIterator[bytes]:
        happenings, last = self._parts.happenings, asked.last_event_id
        whole, missed = await self._decide(
            lambda: happenings.since(happenings.last_id if last is None else last)
        )
        if last is not None and not whole:
            yield as_event("stream.gap", {"last_event_id": last})
        else:
            yield as_event("stream.snapshot", await self._snapshot(asked.client))
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
            if following is None or _is_revoked(asked.client, following):
                return
            if following.id > told:
                yield as_event(following.type, following, following.id)

    async def _snapshot(self, client: Client) -> dict[str, list[str]]:
        """What there is when a stream begins, by its ids."""
        service = self._parts.service

        def seen() -> dict[str, list[str]]:
            return {
                "readers": [view.id for view in service.readers()],
                "transactions": [*service.live_transactions()],
                "unacknowledged": service.outstanding(client),
            }

        return await self._decide(seen)


def _is_revoked(client: Client, event: Happening) -> bool:
    """Whether this is the end of what its follower may see."""
    subject = f"clients/{client.id}"
    return event.type == "client.revoked" and event.subject == subject
