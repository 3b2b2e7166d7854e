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
        yield reading(
            "/v1/events",
            self.events,
            answers.Event,
            LAST_EVENT_ID,
            problems=("stream.too_many_clients",),
        )

    async def events(self, asked: Bare) -> Response:
        """What happens, as it happens. With Last-Event-ID, what was missed comes first;
        `stream.gap` says that some of it is gone."""
        followed = self._parts.hub.follow()
        if followed is None:
            raise ProblemError(Problem("stream.too_many_clients"), retry_after=5)
        loop, service, client = self._parts.loop, self._parts.service, asked.client
        loop.post(lambda: service.follows(client))

        def ended() -> None:
            self._parts.hub.leave(followed)
            loop.post(lambda: service.left(client))

        return EventStream(self._following(followed, asked), ended)

    async def _following(
        self, followed: Following, asked: Bare
    ) -> AsyncIterator[bytes]:
        """What was missed, then what is told: at one moment it is settled which is which, so
        that nothing comes twice or never."""
        last = asked.last_event_id
        told, missed, begins = await self._decide(
            lambda: self._beginning(last, asked.client)
        )
        yield begins
        for event in missed:
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

    def _beginning(
        self, last: int | None, client: Client
    ) -> tuple[int, tuple[Happening, ...], bytes]:
        """The last event until now, what the client has missed of them, and how its stream
        begins: with a snapshot, or with the gap."""
        happenings = self._parts.happenings
        now = happenings.last_id
        whole, missed = happenings.since(now if last is None else last)
        if last is not None and not whole:
            return now, missed, as_event("stream.gap", {"last_event_id": last})
        service = self._parts.service
        snapshot = {
            "readers": [view.id for view in service.readers()],
            "transactions": [*service.live_transactions()],
            "unacknowledged": service.outstanding(client),
        }
        return now, missed, as_event("stream.snapshot", snapshot)


def _is_revoked(client: Client, event: Happening) -> bool:
    """Whether this is the end of what its follower may see."""
    subject = f"clients/{client.id}"
    return event.type == "client.revoked" and event.subject == subject
